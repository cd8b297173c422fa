//! Inputs to start from: valid encodings for the decoders, noise for the recipes.

use std::{fs, path::PathBuf};

use crate::{executor::program::secret, replay_record::DECODERS};
use alloy_consensus::{
    ReceiptWithBloom, SignableTransaction, Signed, TxEip1559, TxEip2930, TxEip4844, TxEip7702,
    TxLegacy, TxReceipt, crypto::secp256k1::sign_message,
};
use alloy_eips::{
    Encodable2718,
    eip2930::{AccessList, AccessListItem},
    eip7702::Authorization,
};
use alloy_primitives::{Address, B256, Bytes, Log, Signature, TxKind, U256, keccak256};
use zkos_primitives::{
    AccountProperties, BlockContext, BlockHashes, CommitBatchInfo, Genesis, L2ToL1Log,
    ProtocolVersion, ReplayRecord, StoredBatchInfo, TxL1Priority, TxUpgrade, ZkReceipt,
    ZkTxEnvelope, ZkTxType,
    batch::{DaCommitmentScheme, encode_commit_data},
    blobs::encode_blobs,
    pubdata::{AccountDiff, BlockPubdata, StateDiff, ValueDiff},
};
use zkos_stateless::{BatchClaim, BatchInput, BlockInput, words_to_bytes};
use zkos_tree::{InMemoryStore, Leaf, MerkleTree};

/// Names of the targets.
pub const TARGETS: [&str; 5] =
    ["transactions", "replay_record", "tree_proof", "executor", "witness"];

/// Seeds of a target; none for an unknown one.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "transactions" => transactions(),
        "replay_record" => replay_record(),
        "tree_proof" => tree_proof(),
        "executor" => noise(64, 1 << 13),
        "witness" => witness(),
        _ => Vec::new(),
    }
}

/// Environment variable that names a folder; the seeds of a target are written there when it starts.
pub const FOLDER: &str = "ZKOS_FUZZ_SEEDS";

/// Writes the seeds of a target to the folder in [`FOLDER`], if it is set.
///
/// # Panics
/// If the folder cannot be written to: fuzzing without the seeds would find little.
pub fn write_if_asked(target: &str) {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(&folder)?;
        for (number, seed) in of(target).iter().enumerate() {
            fs::write(folder.join(format!("seed-{number:03}")), seed)?;
        }
        Ok(())
    };
    write().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
}

/// Hashes in a row: the same bytes in every run.
fn noise(count: u64, longest: usize) -> Vec<Vec<u8>> {
    let one = |n: u64| {
        let len = 32 + longest * n as usize / count as usize;
        (0u64..)
            .flat_map(|block| keccak256([n.to_be_bytes(), block.to_be_bytes()].concat()).0)
            .take(len)
            .collect()
    };
    (0..count).map(one).collect()
}

fn signed<T>(tx: T) -> ZkTxEnvelope
where
    T: SignableTransaction<Signature>,
    Signed<T>: Into<alloy_consensus::EthereumTxEnvelope<TxEip4844>>,
{
    let signature = sign_message(secret(0), tx.signature_hash()).expect("a valid key");
    let envelope: alloy_consensus::EthereumTxEnvelope<TxEip4844> = tx.into_signed(signature).into();
    envelope.into()
}

/// One transaction of each type.
pub fn envelopes() -> Vec<ZkTxEnvelope> {
    let (chain_id, nonce, gas_limit, to) = (270, 1, 100_000, Address::repeat_byte(0x22));
    let kind = TxKind::Call(to);
    let value = U256::from(3);
    let input = Bytes::from_static(&[0, 1, 2, 3]);
    let access_list = AccessList(vec![AccessListItem {
        address: to,
        storage_keys: vec![B256::ZERO, B256::repeat_byte(7)],
    }]);
    let authorization = Authorization { chain_id: U256::from(270), address: to, nonce: 5 };
    let signature = sign_message(secret(1), authorization.signature_hash()).expect("a valid key");
    let legacy = TxLegacy {
        chain_id: Some(chain_id),
        nonce,
        gas_price: 1,
        gas_limit,
        to: kind,
        value,
        input: input.clone(),
    };
    let l1 = TxL1Priority {
        from: to,
        to: Address::repeat_byte(0x33),
        gas_limit,
        gas_per_pubdata_byte_limit: 800,
        max_fee_per_gas: 1,
        nonce,
        value,
        to_mint: U256::from(200_000),
        refund_recipient: to,
        input: input.clone(),
        factory_deps: vec![B256::repeat_byte(1)],
        ..Default::default()
    };
    vec![
        signed(TxLegacy { chain_id: None, ..legacy.clone() }),
        signed(legacy),
        signed(TxEip2930 {
            chain_id,
            nonce,
            gas_price: 1,
            gas_limit,
            to: TxKind::Create,
            value,
            access_list: access_list.clone(),
            input: input.clone(),
        }),
        signed(TxEip1559 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas: 2,
            max_priority_fee_per_gas: 1,
            to: kind,
            value,
            access_list: access_list.clone(),
            input: input.clone(),
        }),
        signed(TxEip4844 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas: 2,
            to,
            value,
            blob_versioned_hashes: vec![B256::repeat_byte(1)],
            max_fee_per_blob_gas: 1,
            ..Default::default()
        }),
        signed(TxEip7702 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas: 2,
            max_priority_fee_per_gas: 1,
            to,
            value,
            access_list,
            authorization_list: vec![authorization.into_signed(signature)],
            input,
        }),
        l1.into(),
        TxUpgrade { nonce: 30, gas_limit, ..Default::default() }.into(),
    ]
}

fn receipts() -> Vec<ZkReceipt> {
    let receipt = ZkReceipt {
        tx_type: ZkTxType::L1,
        success: true,
        cumulative_gas_used: 21_000,
        logs: vec![Log::new_unchecked(
            Address::repeat_byte(1),
            vec![B256::repeat_byte(2)],
            Bytes::from_static(&[3, 4]),
        )],
        l2_to_l1_logs: vec![L2ToL1Log::l1_tx_result(0, B256::repeat_byte(5), true)],
    };
    vec![ZkReceipt { tx_type: ZkTxType::default(), ..receipt.clone() }, receipt]
}

fn transactions() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for tx in envelopes() {
        seeds.push(tx.encoded_2718());
        seeds.push(alloy_rlp::encode(&tx));
        seeds.push(serde_json::to_vec(&tx).expect("every transaction has a json form"));
        if tx.is_from_l1() {
            seeds.push(tx.encode_for_vm(Address::ZERO).bytes().clone());
        }
    }
    for receipt in receipts() {
        let with_bloom: ReceiptWithBloom<ZkReceipt> = receipt.clone().into_with_bloom();
        seeds.push(with_bloom.encoded_2718());
        seeds.push(alloy_rlp::encode(&receipt));
        seeds.push(serde_json::to_vec(&receipt).expect("every receipt has a json form"));
    }
    let log = L2ToL1Log::message(1, Address::repeat_byte(1), b"message");
    seeds.push(log.encode().to_vec());
    seeds.push(alloy_rlp::encode(log));
    let mut account = AccountProperties::new_eoa(1, U256::from(7));
    account.set_deployed_code(&[0x60, 0x5b, 0x5b]);
    seeds.push(account.encode().to_vec());
    seeds
}

fn block_pubdata() -> BlockPubdata {
    let old = AccountProperties::new_eoa(1, U256::from(100));
    let mut deployed = old;
    let stored = deployed.set_deployed_code(&[0x5b, 0x60, 0x00]);
    let log = L2ToL1Log::message(0, Address::repeat_byte(1), b"message");
    let mut diffs: Vec<(B256, StateDiff)> = [(0u64, 5), (5, 0), (1000, 1001)]
        .map(|(old, new)| StateDiff::Value(ValueDiff::new(U256::from(old), U256::from(new))))
        .into_iter()
        .map(|diff| (B256::repeat_byte(1), diff))
        .collect();
    let value = ValueDiff::new(U256::ZERO, U256::MAX);
    diffs.push((B256::repeat_byte(2), StateDiff::Value(value)));
    for (new, code) in [
        (AccountProperties { nonce: 2, ..old }, None),
        (AccountProperties { balance: U256::from(99), ..old }, None),
        (AccountProperties { nonce: 2, balance: U256::from(99), ..old }, None),
        (deployed, Some(stored.preimage.as_slice())),
        (deployed, None),
    ] {
        diffs.push((B256::repeat_byte(3), StateDiff::Account(AccountDiff::new(&old, &new, code))));
    }
    BlockPubdata {
        block_hash: B256::repeat_byte(9),
        timestamp: 1_700_000_000,
        diffs,
        logs: vec![log, L2ToL1Log::l1_tx_result(1, B256::repeat_byte(5), false)],
        messages: vec![Bytes::from_static(b"message")],
    }
}

fn block_context() -> BlockContext {
    BlockContext {
        chain_id: 270,
        block_number: 7,
        block_hashes: BlockHashes::from_newest_first([B256::repeat_byte(1), B256::repeat_byte(2)]),
        timestamp: 1_700_000_000,
        eip1559_basefee: U256::from(1_000),
        gas_limit: 1 << 20,
        execution_version: 5,
        ..Default::default()
    }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("every value here has a json form")
}

/// Each with the byte that chooses its decoder in front.
fn replay_record() -> Vec<Vec<u8>> {
    let transactions = envelopes();
    let record = ReplayRecord {
        block_context: block_context(),
        senders: transactions
            .iter()
            .map(|tx| tx.l1_sender().unwrap_or(crate::executor::program::user(0)))
            .collect(),
        transactions,
        node_version: "0.1.0".to_owned(),
        protocol_version: ProtocolVersion::V30_2,
        force_preimages: vec![(B256::repeat_byte(1), Bytes::from_static(&[0x5b]))],
        ..Default::default()
    };
    let pubdata = block_pubdata().encode();
    let batch = CommitBatchInfo {
        batch_number: 2,
        da_commitment_scheme: DaCommitmentScheme::BlobsZksyncOs,
        first_block_number: 3,
        last_block_number: 7,
        chain_id: 270,
        operator_da_input: Bytes::from_static(&[1, 2, 3]),
        ..Default::default()
    };
    let stored = StoredBatchInfo { batch_number: 1, ..Default::default() };
    let genesis = Genesis {
        initial_contracts: vec![(Address::repeat_byte(1), Bytes::from_static(&[0x5b, 0x00]))],
        additional_storage_raw: vec![(B256::repeat_byte(2), B256::repeat_byte(3))],
        genesis_root: Some(B256::repeat_byte(4)),
        execution_version: Some(5),
        ..Default::default()
    };
    let listed = r#"{"initial_contracts":[],"additional_storage":[["0x0101010101010101010101010101010101010101010101010101010101010101","0x0202020202020202020202020202020202020202020202020202020202020202"]]}"#;
    let blobs = encode_blobs(&pubdata).expect("a few bytes fit");
    let seeds: Vec<(u8, Vec<u8>)> = vec![
        (0, record.encode()),
        (
            0,
            ReplayRecord { protocol_version: ProtocolVersion::V30_0, ..Default::default() }
                .encode(),
        ),
        (1, pubdata.clone()),
        (1, [pubdata.clone(), BlockPubdata::default().encode()].concat()),
        (2, encode_commit_data(&stored, &batch)),
        (3, [&[1], &blobs[0][..pubdata.len() + 80]].concat()),
        (4, [&[0, 0, 0, 0, 1], pubdata.as_slice()].concat()),
        (5, json(&genesis)),
        (5, listed.as_bytes().to_vec()),
        (6, alloy_rlp::encode(block_context())),
        (6, alloy_rlp::encode(&batch)),
        (6, alloy_rlp::encode(stored)),
        (6, json(&block_context())),
        (6, json(&batch)),
        (6, b"v0.30.2".to_vec()),
        (7, (0..=255).collect()),
    ];
    seeds
        .into_iter()
        .map(|(decoder, bytes)| [&[decoder % DECODERS], bytes.as_slice()].concat())
        .collect()
}

fn tree_proof() -> Vec<Vec<u8>> {
    let mut seeds = noise(48, 1 << 10);
    let mut tree = MerkleTree::open(InMemoryStore::new()).expect("an empty store opens");
    let key = |n: u8| B256::repeat_byte(n);
    let entries: Vec<_> = (1..20).map(|n| (key(n), key(n))).collect();
    tree.extend(0, &entries).expect("no key twice");
    let proof = tree.prove_batch(0, &[key(3), key(40)], &[key(5), key(50)]).expect("version 0");
    seeds.push(proof.encode());
    for proof in tree.prove(0, &[key(3), key(40)]).expect("version 0") {
        seeds.push(serde_json::to_vec(&proof).expect("every proof has a json form"));
    }
    seeds
}

fn witness() -> Vec<Vec<u8>> {
    let mut seeds = noise(48, 1 << 13);
    let block = BlockInput { transactions: envelopes(), ..Default::default() };
    let input = BatchInput {
        blocks: vec![block.clone(), block],
        leaves: vec![(3, Leaf::new(B256::repeat_byte(1), B256::repeat_byte(2), 4))],
        hashes: vec![B256::repeat_byte(5)],
        preimages: vec![Bytes::from_static(&[1, 2, 3, 4, 5])],
        ..Default::default()
    };
    seeds.push(input.to_bytes());
    let claim = BatchClaim::new(B256::ZERO, CommitBatchInfo::default(), B256::ZERO);
    seeds.push(words_to_bytes(&claim.to_words()));
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(target: &str, run: fn(&[u8])) {
        let seeds = of(target);
        assert!(seeds.len() > 10);
        for seed in seeds {
            run(&seed);
            // Cut, and with each byte changed in turn.
            run(&seed[..seed.len() / 2]);
            for at in (0..seed.len()).step_by(seed.len().div_ceil(64)) {
                let mut changed = seed.clone();
                changed[at] = changed[at].wrapping_add(0x41);
                run(&changed);
            }
        }
    }

    #[test]
    fn transactions_pass() {
        passes("transactions", crate::transactions::run);
    }

    #[test]
    fn replay_records_pass() {
        passes("replay_record", crate::replay_record::run);
    }

    #[test]
    fn tree_proofs_pass() {
        passes("tree_proof", crate::tree_proof::run);
    }

    #[test]
    fn witnesses_pass() {
        passes("witness", crate::witness::run);
    }

    #[test]
    fn blocks_pass() {
        passes("executor", crate::executor::run);
    }

    /// Seeds that fail to decode teach the fuzzer nothing.
    #[test]
    fn seeds_are_valid() {
        use alloy_eips::Decodable2718;
        for tx in envelopes() {
            assert_eq!(ZkTxEnvelope::decode_2718_exact(&tx.encoded_2718()).ok(), Some(tx));
        }
        let mut pubdata = &*block_pubdata().encode();
        assert_eq!(BlockPubdata::decode(&mut pubdata), Ok(block_pubdata()));
        assert!(of("unknown").is_empty());
        assert!(TARGETS.iter().all(|target| !of(target).is_empty()));
    }
}
