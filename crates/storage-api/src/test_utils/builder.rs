use crate::{ExecutedBlock, RecoveredZkBlock};
use alloy_consensus::{EthereumTxEnvelope, SignableTransaction, TxEip1559, TxReceipt};
use alloy_primitives::{Address, B256, Bloom, Signature, TxKind, U256};
use reth_primitives_traits::InMemorySize as _;
use std::sync::Arc;
use zkos_primitives::{
    ACCOUNT_PROPERTIES_STORAGE_ADDRESS, AccountProperties, BlockContext, BlockHashes, BlockOutput,
    Header, ProtocolVersion, RecoveredTx, ReplayRecord, ZkBlock, ZkBlockBody, ZkChainSpec,
    ZkReceipt, ZkTxEnvelope, account_properties_flat_key, account_properties_slot, blake2s,
    flat_storage_key, header::empty_header, header::transactions_rolling_hash, header_hash,
};
use zksync_os_interface::types::{
    AccountDiff, ExecutionOutput, ExecutionResult, StorageWrite, TxOutput,
};

/// Contents of a block that [`ChainBuilder`] is to build.
#[derive(Debug, Clone, Default)]
pub struct TestBlock {
    /// Transactions with their senders.
    pub transactions: Vec<RecoveredTx>,
    /// Receipts; made up (success, 21000 gas each) when empty.
    pub receipts: Vec<ZkReceipt>,
    /// Slots written: address, slot, value.
    pub storage: Vec<(Address, B256, B256)>,
    /// Accounts written.
    pub accounts: Vec<(Address, AccountProperties)>,
    /// Bytecodes published, in stored form.
    pub bytecodes: Vec<Vec<u8>>,
    /// Raw code offered to force deployments.
    pub force_preimages: Vec<Vec<u8>>,
}

/// A 1559 transfer with a dummy signature that is unique per sender and nonce. For code that never recovers the signer.
pub fn test_transfer(sender: Address, nonce: u64) -> RecoveredTx {
    let tx = TxEip1559 {
        chain_id: 270,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 1_000_000_000,
        max_priority_fee_per_gas: 0,
        to: TxKind::Call(sender),
        value: U256::from(nonce),
        ..Default::default()
    };
    let signature = Signature::new(
        U256::from_be_slice(sender.as_slice()) + U256::from(1),
        U256::from(nonce) + U256::from(1),
        false,
    );
    let envelope = ZkTxEnvelope::from(EthereumTxEnvelope::Eip1559(tx.into_signed(signature)));
    RecoveredTx::new_unchecked(envelope, sender)
}

/// Builds consistent chains of [`ExecutedBlock`]s on a genesis without executing anything.
#[derive(Debug, Clone)]
pub struct ChainBuilder {
    chain_id: u64,
    number: u64,
    timestamp: u64,
    hashes: BlockHashes,
}

impl ChainBuilder {
    /// A builder whose first block is block 1.
    pub fn new(spec: &ZkChainSpec) -> Self {
        let genesis_hash = spec.genesis_state().block_hash;
        Self {
            chain_id: spec.chain_id(),
            number: 0,
            timestamp: 0,
            hashes: BlockHashes::default().next(genesis_hash),
        }
    }

    /// Builds the next block.
    pub fn next_block(&mut self, contents: TestBlock) -> ExecutedBlock {
        let TestBlock { transactions, receipts, storage, accounts, bytecodes, force_preimages } =
            contents;
        let previous_block_timestamp = self.timestamp;
        self.number += 1;
        self.timestamp = 1_700_000_000 + self.number;
        let receipts = if receipts.is_empty() { made_up_receipts(&transactions) } else { receipts };
        let (transactions, senders): (Vec<_>, Vec<_>) =
            transactions.into_iter().map(RecoveredTx::into_parts).unzip();
        let header = Header {
            parent_hash: self.hashes.parent(),
            number: self.number,
            timestamp: self.timestamp,
            gas_limit: 100_000_000,
            gas_used: receipts.last().map_or(0, |receipt| receipt.cumulative_gas_used),
            base_fee_per_gas: Some(100_000_000),
            transactions_root: transactions_rolling_hash(transactions.iter().map(|tx| *tx.hash())),
            logs_bloom: receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom()),
            ..empty_header()
        };
        let block_hash = header_hash(&header);
        let output = BlockOutput {
            header: header.clone(),
            block_hash,
            tx_results: receipts.iter().map(|receipt| Ok(tx_output(receipt))).collect(),
            storage_writes: storage_writes(&storage, &accounts),
            account_diffs: accounts
                .iter()
                .map(|(address, account)| diff(*address, account))
                .collect(),
            published_preimages: accounts
                .iter()
                .map(|(_, account)| account.encode().to_vec())
                .chain(bytecodes)
                .map(|preimage| (blake2s(&preimage), preimage))
                .collect(),
            pubdata: Vec::new(),
            computational_native_used: 0,
        };
        let record = ReplayRecord {
            block_context: BlockContext {
                chain_id: self.chain_id,
                block_number: self.number,
                block_hashes: self.hashes.clone(),
                timestamp: self.timestamp,
                eip1559_basefee: U256::from(100_000_000),
                native_price: U256::from(1_000_000),
                gas_limit: 100_000_000,
                pubdata_limit: 110_000,
                execution_version: 5,
                ..Default::default()
            },
            starting_l1_priority_id: 0,
            transactions: transactions.clone(),
            senders: senders.clone(),
            previous_block_timestamp,
            node_version: "0.0.0".to_owned(),
            protocol_version: ProtocolVersion::V30_0,
            block_output_hash: output.output_hash(),
            block_hash,
            force_preimages: force_preimages
                .into_iter()
                .map(|code| (blake2s(&code), code.into()))
                .collect(),
        };
        self.hashes = self.hashes.next(block_hash);
        let body = ZkBlockBody { transactions, ommers: Vec::new(), withdrawals: None };
        ExecutedBlock {
            block: Arc::new(RecoveredZkBlock::new(ZkBlock::new(header, body), senders, block_hash)),
            receipts: Arc::new(receipts),
            output: Arc::new(output),
            record: Arc::new(record),
        }
    }
}

fn made_up_receipts(transactions: &[RecoveredTx]) -> Vec<ZkReceipt> {
    (1..)
        .zip(transactions)
        .map(|(count, tx)| ZkReceipt {
            tx_type: tx.tx_type(),
            success: true,
            cumulative_gas_used: 21_000 * count,
            logs: Vec::new(),
            l2_to_l1_logs: Vec::new(),
        })
        .collect()
}

fn tx_output(receipt: &ZkReceipt) -> TxOutput {
    TxOutput {
        execution_result: if receipt.success {
            ExecutionResult::Success(ExecutionOutput::Call(Vec::new()))
        } else {
            ExecutionResult::Revert(Vec::new())
        },
        gas_used: 21_000,
        gas_refunded: 0,
        computational_native_used: 0,
        native_used: 0,
        pubdata_used: receipt.size() as u64,
        contract_address: None,
        l1_tx_operator_decision: None,
        logs: receipt.logs.clone(),
        l2_to_l1_logs: Vec::new(),
        storage_writes: Vec::new(),
    }
}

fn storage_writes(
    storage: &[(Address, B256, B256)],
    accounts: &[(Address, AccountProperties)],
) -> Vec<StorageWrite> {
    let slots = storage.iter().map(|(account, account_key, value)| StorageWrite {
        key: flat_storage_key(*account, *account_key),
        value: *value,
        account: *account,
        account_key: *account_key,
    });
    let records = accounts.iter().map(|(address, account)| StorageWrite {
        key: account_properties_flat_key(*address),
        value: account.compute_hash(),
        account: ACCOUNT_PROPERTIES_STORAGE_ADDRESS,
        account_key: account_properties_slot(*address),
    });
    slots.chain(records).collect()
}

fn diff(address: Address, account: &AccountProperties) -> AccountDiff {
    AccountDiff {
        address,
        nonce: account.nonce,
        balance: account.balance,
        bytecode_hash: account.bytecode_hash,
    }
}
