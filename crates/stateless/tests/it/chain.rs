//! A small chain in memory: state, tree, records.

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::Decodable2718;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex, map::B256Map};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use std::{convert::Infallible, sync::Arc};
use zkos_executor::{FlatState, StateError, ZkEvmConfig};
use zkos_primitives::{
    AccountProperties, BlockContext, BlockHashes, BlockOutput, DaCommitmentScheme, Genesis,
    ProtocolVersion, ReplayRecord, TxL1Priority, ZkChainSpec, ZkTxEnvelope,
    account_properties_flat_key,
};
use zkos_stateless::{BatchInput, BuildError, StateReader, build};
use zkos_tree::{InMemoryStore, MerkleTree, TreeOutput};
use zksync_os_interface::traits::{PreimageSource, ReadStorage};

pub(crate) const CHAIN_ID: u64 = 270;
/// The address every program may send messages to L1 through.
pub(crate) const L1_MESSENGER: Address = zkos_primitives::L1_MESSENGER_ADDRESS;
/// Runtime code that adds one to the slot named by its first argument.
const COUNTER: [u8; 10] = hex!("5f358054600101905500");

#[derive(Clone, Default)]
struct Leaves(B256Map<B256>);

impl ReadStorage for Leaves {
    fn read(&mut self, key: B256) -> Option<B256> {
        self.0.get(&key).copied()
    }
}

#[derive(Clone, Default)]
struct Preimages(B256Map<Vec<u8>>);

impl PreimageSource for Preimages {
    fn get_preimage(&mut self, hash: B256) -> Option<Vec<u8>> {
        self.0.get(&hash).cloned()
    }
}

/// State after a block.
#[derive(Clone, Default)]
pub(crate) struct State {
    leaves: Leaves,
    preimages: Preimages,
}

impl StateReader for State {
    fn leaf(&mut self, key: B256) -> Result<Option<B256>, StateError> {
        Ok(self.leaves.read(key))
    }
    fn preimage(&mut self, hash: B256) -> Result<Option<Bytes>, StateError> {
        Ok(self.preimages.get_preimage(hash).map(Bytes::from))
    }
}

pub(crate) struct Chain {
    /// State after each block.
    pub(crate) states: Vec<State>,
    pub(crate) tree: MerkleTree<InMemoryStore>,
    pub(crate) outputs: Vec<TreeOutput>,
    /// Record of each block from 1 on.
    pub(crate) records: Vec<Arc<ReplayRecord>>,
    hashes: BlockHashes,
    timestamp: u64,
    version: ProtocolVersion,
}

impl Chain {
    pub(crate) fn new(spec: &ZkChainSpec) -> Self {
        let genesis = spec.genesis_state();
        let mut tree = MerkleTree::open(InMemoryStore::default()).unwrap();
        let output = tree.extend(0, &genesis.entries).unwrap();
        let state = State {
            leaves: Leaves(genesis.entries.iter().copied().collect()),
            preimages: Preimages(genesis.preimages.iter().cloned().collect()),
        };
        Self {
            states: vec![state],
            tree,
            outputs: vec![output],
            records: Vec::new(),
            hashes: BlockHashes::from_newest_first([genesis.block_hash]),
            timestamp: 0,
            version: ProtocolVersion::V30_2,
        }
    }

    /// A chain on which these accounts have 1000 ether each.
    pub(crate) fn funded(accounts: impl IntoIterator<Item = Address>) -> Self {
        let mut genesis = Genesis::default();
        for address in accounts {
            let account = AccountProperties::new_eoa(0, U256::from(10u128.pow(21)));
            let hash = account.compute_hash();
            genesis.additional_storage_raw.push((account_properties_flat_key(address), hash));
            genesis.additional_preimages.push((hash, account.encode().to_vec().into()));
        }
        Self::new(&ZkChainSpec::new(CHAIN_ID, genesis).unwrap())
    }

    pub(crate) fn head(&self) -> u64 {
        self.records.len() as u64
    }

    /// Executes and appends a block. Transactions that are not valid are left out.
    pub(crate) fn block(&mut self, transactions: &[ZkTxEnvelope]) -> BlockOutput {
        let context = BlockContext {
            chain_id: CHAIN_ID,
            block_number: self.head() + 1,
            block_hashes: self.hashes.clone(),
            timestamp: self.timestamp.max(1_700_000_000 - 1) + 1,
            eip1559_basefee: U256::from(100_000_000),
            pubdata_price: U256::from(500_000_000),
            native_price: U256::from(1_000_000),
            coinbase: Address::from(hex!("00000000000000000000000000000000c0ffee00")),
            gas_limit: 100_000_000,
            pubdata_limit: 110_000,
            execution_version: 5,
            ..Default::default()
        };
        let mut state = self.states.last().unwrap().clone();
        let view = FlatState::new(&mut state.leaves, &mut state.preimages);
        let mut executor =
            ZkEvmConfig::new().block_executor(context.clone(), Borrowed(view)).unwrap();
        let mut included = Vec::new();
        let mut senders = Vec::new();
        for tx in transactions {
            let sender =
                alloy_consensus::transaction::SignerRecoverable::recover_signer(tx).unwrap();
            if executor.execute_transaction(tx, sender).unwrap().is_ok() {
                included.push(tx.clone());
                senders.push(sender);
            }
        }
        let output = executor.finish().unwrap();
        let entries: Vec<_> =
            output.storage_writes.iter().map(|write| (write.key, write.value)).collect();
        self.outputs.push(self.tree.extend(context.block_number, &entries).unwrap());
        state.leaves.0.extend(entries);
        state.preimages.0.extend(output.published_preimages.iter().cloned());
        self.states.push(state);
        self.hashes = self.hashes.next(output.block_hash);
        let previous_block_timestamp = std::mem::replace(&mut self.timestamp, context.timestamp);
        self.records.push(Arc::new(ReplayRecord {
            block_context: context,
            transactions: included,
            senders,
            previous_block_timestamp,
            protocol_version: self.version,
            block_output_hash: output.output_hash(),
            block_hash: output.block_hash,
            ..Default::default()
        }));
        output
    }

    /// Input of the batch of these blocks.
    pub(crate) fn input(&self, first: u64, last: u64, scheme: DaCommitmentScheme) -> BatchInput {
        self.try_input(first, last, scheme).unwrap()
    }

    pub(crate) fn try_input(
        &self,
        first: u64,
        last: u64,
        scheme: DaCommitmentScheme,
    ) -> Result<BatchInput, BuildError<Infallible>> {
        let before = first as usize - 1;
        build(
            7,
            scheme,
            self.outputs[before],
            &self.records[before..last as usize],
            self.states[before].clone(),
            |reads, writes| Ok(self.tree.prove_batch(before as u64, reads, writes).unwrap()),
        )
    }
}

/// The interface's traits are implemented for values, not for references.
struct Borrowed<'a>(FlatState<&'a mut Leaves, &'a mut Preimages>);

impl zkos_executor::StateView for Borrowed<'_> {
    fn account(&mut self, address: Address) -> Result<Option<AccountProperties>, StateError> {
        let Some(hash) = self.0.storage.read(account_properties_flat_key(address)) else {
            return Ok(None);
        };
        let encoded = self.0.preimages.get_preimage(hash).unwrap();
        Ok(Some(AccountProperties::decode(&encoded).unwrap()))
    }
    fn storage(&mut self, address: Address, slot: U256) -> Result<Option<U256>, StateError> {
        let key = zkos_primitives::flat_storage_key(address, slot.into());
        Ok(self.0.storage.read(key).map(Into::into))
    }
    fn preimage(&mut self, hash: B256) -> Result<Option<Bytes>, StateError> {
        Ok(self.0.preimages.get_preimage(hash).map(Bytes::from))
    }
}

/// A user with a nonce.
pub(crate) struct User {
    signer: PrivateKeySigner,
    nonce: u64,
}

impl User {
    pub(crate) fn new(number: u8) -> Self {
        let signer = PrivateKeySigner::from_bytes(&B256::repeat_byte(number + 1)).unwrap();
        Self { signer, nonce: 0 }
    }

    pub(crate) fn address(&self) -> Address {
        self.signer.address()
    }

    pub(crate) fn send(&mut self, to: TxKind, value: u64, input: Bytes) -> ZkTxEnvelope {
        let tx = TxEip1559 {
            chain_id: CHAIN_ID,
            nonce: self.nonce,
            gas_limit: 1_000_000,
            max_fee_per_gas: 1_000_000_000,
            max_priority_fee_per_gas: 0,
            to,
            value: U256::from(value),
            access_list: Default::default(),
            input,
        };
        self.nonce += 1;
        let signature = self.signer.sign_hash_sync(&tx.signature_hash()).unwrap();
        let signed = tx.into_signed(signature);
        ZkTxEnvelope::decode_2718_exact(&{
            let mut bytes = Vec::new();
            signed.eip2718_encode(&mut bytes);
            bytes
        })
        .unwrap()
    }

    pub(crate) fn deploy_counter(&mut self) -> (ZkTxEnvelope, Address) {
        let address = self.address().create(self.nonce);
        let code = [&hex!("69")[..], &COUNTER, &hex!("5f52600a6016f3")].concat();
        (self.send(TxKind::Create, 0, code.into()), address)
    }

    pub(crate) fn count(&mut self, counter: Address, slot: u64) -> ZkTxEnvelope {
        self.send(TxKind::Call(counter), 0, U256::from(slot).to_be_bytes_vec().into())
    }

    /// Sends a message to L1.
    pub(crate) fn message(&mut self, text: &[u8]) -> ZkTxEnvelope {
        let mut input = hex!("62f84b24").to_vec();
        input.extend(U256::from(32).to_be_bytes::<32>());
        input.extend(U256::from(text.len()).to_be_bytes::<32>());
        input.extend(text);
        input.resize(4 + 64 + text.len().next_multiple_of(32), 0);
        self.send(TxKind::Call(L1_MESSENGER), 0, input.into())
    }
}

/// A deposit.
pub(crate) fn deposit(nonce: u64, to: Address) -> ZkTxEnvelope {
    TxL1Priority {
        from: to,
        to,
        gas_limit: 300_000,
        gas_per_pubdata_byte_limit: 800,
        max_fee_per_gas: 250_000_000,
        nonce,
        value: U256::from(10u128.pow(18)),
        to_mint: U256::from(10u128.pow(18) + 75_000_000_000_000),
        refund_recipient: to,
        ..Default::default()
    }
    .into()
}
