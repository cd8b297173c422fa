//! Replay records, pubdata, commit data, blobs, genesis files: what other nodes, L1 and operators give us.
//!
//! The rows of the write-ahead log are made of the same parts (context, transactions, versions) behind a checksum;
//! their codec is private to the storage crate, whose unit tests flip its bits.

use crate::memory::bounded;
use alloy_primitives::{B256, U256};
use alloy_rlp::{Decodable, Encodable};
use core::fmt::Debug;
use zkos_primitives::{
    BlockContext, BlockHashes, CommitBatchInfo, Genesis, ProtocolVersion, ReplayRecord,
    StoredBatchInfo,
    batch::{decode_commit_data, encode_commit_data},
    blobs::{Blob, MAX_BLOBS, blob_count, decode_blobs, encode_blobs},
    bytecode::{jumpdest_bitmap, pad_and_artifacts},
    pubdata::{BlockPubdata, StateDiff},
};

/// Memory per byte of binary input. The worst are the diffs of a block's pubdata in a growing vector.
const BINARY: usize = 48;
/// Memory per byte of JSON.
const JSON: usize = 256;

/// Number of decoders; the first byte of an input chooses one.
pub const DECODERS: u8 = 8;

/// Gives the bytes after the first to the decoder that the first one names.
pub fn run(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    match choice % DECODERS {
        0 => record(data),
        1 => pubdata(data),
        2 => commit_data(data),
        3 => blob_stream(data),
        4 => damaged_blobs(data),
        5 => genesis(data),
        6 => parts(data),
        _ => code(data),
    }
}

fn record(data: &[u8]) {
    let Ok(record) = bounded(data.len(), BINARY, || ReplayRecord::decode(data)) else { return };
    assert_eq!(record.encode(), data);
    assert_eq!(ReplayRecord::decode(data).as_ref(), Ok(&record));
    let _ = record.verify_senders();
    let hashes: Vec<B256> = record.transactions.iter().map(|tx| *tx.hash()).collect();
    let again = ReplayRecord::decode(&record.encode()).expect("own encoding");
    assert!(again.transactions.iter().map(|tx| *tx.hash()).eq(hashes));
}

fn pubdata(data: &[u8]) {
    let mut rest = data;
    if let Ok(block) = bounded(data.len(), BINARY, || BlockPubdata::decode(&mut rest)) {
        assert_eq!(block.encode(), data[..data.len() - rest.len()]);
        for (_, diff) in &block.diffs {
            apply(diff, data);
        }
    }
    if let Ok(blocks) = bounded(data.len(), BINARY, || BlockPubdata::decode_batch(data)) {
        let mut again = Vec::new();
        blocks.iter().for_each(|block| block.encode_into(&mut again));
        assert_eq!(again, data);
    }
}

/// Any diff on any value gives a value or an error.
fn apply(diff: &StateDiff, data: &[u8]) {
    let word = |at: usize| {
        let mut word = [0u8; 32];
        let tail = &data[at.min(data.len())..];
        let len = tail.len().min(32);
        word[..len].copy_from_slice(&tail[..len]);
        U256::from_be_bytes(word)
    };
    match diff {
        StateDiff::Value(diff) => {
            for old in [U256::ZERO, U256::MAX, word(9)] {
                let _ = diff.apply(old);
            }
        }
        StateDiff::Account(diff) => {
            let old = zkos_primitives::AccountProperties::new_eoa(word(1).as_limbs()[0], word(41));
            let _ = diff.apply(&old, |_| Some((8, B256::ZERO)));
            let _ = diff.apply(&old, |_| None);
        }
    }
}

fn commit_data(data: &[u8]) {
    let decoded = bounded(data.len(), BINARY, || decode_commit_data(data));
    if let Ok((previous, batch)) = decoded {
        assert_eq!(encode_commit_data(&previous, &batch), data);
        // What follows from a batch is defined for every batch.
        let stored = batch.stored(B256::ZERO);
        assert_ne!(stored.hash(), previous.hash());
    }
}

/// The bytes as the front of blobs that are zero behind them.
fn blob_stream(data: &[u8]) {
    let Some((count, data)) = data.split_first() else { return };
    let mut blobs = vec![Blob::ZERO; usize::from(*count) % 3];
    for (blob, chunk) in blobs.iter_mut().zip(data.chunks(Blob::len_bytes())) {
        blob[..chunk.len()].copy_from_slice(chunk);
    }
    let len = blobs.len() * Blob::len_bytes();
    if let Ok(pubdata) = bounded(len, 4, || decode_blobs(&blobs)) {
        assert_eq!(encode_blobs(&pubdata).ok().as_deref(), Some(blobs.as_slice()));
    }
}

/// Honest blobs with one byte changed.
fn damaged_blobs(data: &[u8]) {
    let Some((change, pubdata)) = data.split_first_chunk::<5>() else { return };
    let mut blobs = encode_blobs(pubdata).expect("a few bytes fit");
    assert_eq!(blobs.len(), blob_count(pubdata.len()));
    assert!(blobs.len() <= MAX_BLOBS);
    assert_eq!(decode_blobs(&blobs).ok().as_deref(), Some(pubdata));
    let at = u32::from_le_bytes([change[0], change[1], change[2], change[3]]) as usize;
    let at = at % Blob::len_bytes();
    blobs[0][at] ^= change[4];
    match decode_blobs(&blobs) {
        Ok(read) => {
            assert_eq!(encode_blobs(&read).ok().as_deref(), Some(blobs.as_slice()));
            assert_eq!(read == pubdata, change[4] == 0);
        }
        Err(_) => assert_ne!(change[4], 0),
    }
}

fn genesis(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(genesis) = bounded(data.len(), JSON, || Genesis::from_json(text)) else { return };
    let again = serde_json::to_string(&genesis).expect("every genesis has a json form");
    assert_eq!(Genesis::from_json(&again).ok().as_ref(), Some(&genesis));
    if let Ok(state) = bounded(data.len(), JSON, || genesis.state()) {
        assert!(state.entries.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(state.preimages.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
    let _ = genesis.verify_root(B256::ZERO, 2);
}

/// Decoding and encoding are inverse.
fn rlp<T: Decodable + Encodable + PartialEq + Debug>(data: &[u8]) {
    if let Ok(value) = bounded(data.len(), BINARY, || alloy_rlp::decode_exact::<T>(data)) {
        assert_eq!(alloy_rlp::encode(&value), data);
        assert_eq!(value.length(), data.len());
    }
}

fn parts(data: &[u8]) {
    rlp::<BlockContext>(data);
    rlp::<BlockHashes>(data);
    rlp::<ProtocolVersion>(data);
    rlp::<StoredBatchInfo>(data);
    rlp::<CommitBatchInfo>(data);
    if let Some(packed) = U256::try_from_be_slice(data)
        && let Ok(version) = ProtocolVersion::unpack(packed)
    {
        assert_eq!(version.pack(), packed);
    }
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(version) = text.parse::<ProtocolVersion>() {
        assert_eq!(version.to_string().parse(), Ok(version));
    }
    let context = bounded(data.len(), JSON, || serde_json::from_str::<BlockContext>(text));
    if let Ok(context) = context {
        let again = serde_json::to_string(&context).expect("every context has a json form");
        assert_eq!(serde_json::from_str::<BlockContext>(&again).ok(), Some(context));
    }
    let batch = bounded(data.len(), JSON, || serde_json::from_str::<CommitBatchInfo>(text));
    if let Ok(batch) = batch {
        let again = serde_json::to_string(&batch).expect("every batch has a json form");
        assert_eq!(serde_json::from_str::<CommitBatchInfo>(&again).ok(), Some(batch));
    }
}

fn code(data: &[u8]) {
    let stored = bounded(data.len(), 8, || pad_and_artifacts(data));
    assert_eq!(stored.preimage[..data.len()], *data);
    assert_eq!(stored.code_len as usize, data.len());
    assert_eq!(stored.preimage.len() % 8, 0);
    assert!(stored.artifacts_len == 0 || stored.preimage.ends_with(&jumpdest_bitmap(data)));
}
