//! Byte forms of the columns of a log record.
//!
//! Every value is `version byte || payload || crc32 LE`, the checksum taken over column name, key, version byte and payload: a value that was written under another
//! key, or was cut, does not pass.

use alloy_eips::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bytes};
use alloy_rlp::{Decodable, RlpDecodable, RlpEncodable};
use zkos_primitives::{BlockContext, BlockHashes, ProtocolVersion, ReplayRecord, ZkTxEnvelope};

/// Version byte that this build writes.
const RECORD_VERSION: u8 = 1;

pub(super) const CONTEXT: &str = "context";
pub(super) const STARTING_L1_ID: &str = "last_processed_l1_tx_id";
pub(super) const TXS: &str = "txs";
pub(super) const SENDERS: &str = "senders";
pub(super) const PREVIOUS_TIMESTAMP: &str = "previous_block_timestamp";
pub(super) const NODE_VERSION: &str = "node_version";
pub(super) const PROTOCOL_VERSION: &str = "protocol_version";
pub(super) const OUTPUT_HASH: &str = "block_output_hash";
pub(super) const CANONICAL_HASH: &str = "canonical_hash";
pub(super) const FORCE_PREIMAGES: &str = "force_preimages";

/// Columns that a record consists of, in the order of [`encode`] and [`decode`].
pub(super) const RECORD_COLUMNS: [&str; 10] = [
    CONTEXT,
    STARTING_L1_ID,
    TXS,
    SENDERS,
    PREVIOUS_TIMESTAMP,
    NODE_VERSION,
    PROTOCOL_VERSION,
    OUTPUT_HASH,
    CANONICAL_HASH,
    FORCE_PREIMAGES,
];

/// The context names the 256 hashes itself.
const HASHES_STORED: u8 = 0;
/// The hashes are those of the records before.
const HASHES_DERIVED: u8 = 1;

/// Why a value is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RecordError {
    #[error("column {column}: value is shorter than its frame")]
    Short { column: &'static str },
    #[error("column {column}: checksum mismatch")]
    Checksum { column: &'static str },
    #[error("column {column}: unknown version {version}")]
    Version { column: &'static str, version: u8 },
    #[error("column {column}: {reason}")]
    Payload { column: &'static str, reason: String },
}

fn checksum(column: &str, key: &[u8], framed: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(column.as_bytes());
    hasher.update(key);
    hasher.update(framed);
    hasher.finalize()
}

/// Frames a payload.
pub(super) fn seal(column: &str, key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 5);
    out.push(RECORD_VERSION);
    out.extend_from_slice(payload);
    let crc = checksum(column, key, &out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// Checks the frame and returns the payload.
pub(super) fn unseal<'a>(
    column: &'static str,
    key: &[u8],
    value: &'a [u8],
) -> Result<&'a [u8], RecordError> {
    let (framed, crc) = value.split_last_chunk::<4>().ok_or(RecordError::Short { column })?;
    let (&version, payload) = framed.split_first().ok_or(RecordError::Short { column })?;
    if checksum(column, key, framed) != u32::from_le_bytes(*crc) {
        return Err(RecordError::Checksum { column });
    }
    if version != RECORD_VERSION {
        return Err(RecordError::Version { column, version });
    }
    Ok(payload)
}

#[derive(RlpEncodable, RlpDecodable)]
struct Preimage {
    hash: B256,
    bytes: Bytes,
}

/// Values of all columns, framed, in the order of [`RECORD_COLUMNS`]. `window` is what the hashes of the block's context are when they are those of the records before
/// it; the 8 KiB are then left out.
pub(super) fn encode(record: &ReplayRecord, window: &BlockHashes) -> [Vec<u8>; 10] {
    let key = record.block_number().to_be_bytes();
    let mut context = Vec::with_capacity(256);
    if record.block_context.block_hashes == *window {
        let bare =
            BlockContext { block_hashes: BlockHashes::default(), ..record.block_context.clone() };
        context.push(HASHES_DERIVED);
        alloy_rlp::Encodable::encode(&bare, &mut context);
    } else {
        context.push(HASHES_STORED);
        alloy_rlp::Encodable::encode(&record.block_context, &mut context);
    }
    let txs: Vec<Bytes> = record.transactions.iter().map(|tx| tx.encoded_2718().into()).collect();
    let senders: Vec<u8> = record.senders.iter().flat_map(|sender| sender.0.0).collect();
    let preimages: Vec<Preimage> = record
        .force_preimages
        .iter()
        .map(|(hash, bytes)| Preimage { hash: *hash, bytes: bytes.clone() })
        .collect();
    [
        seal(CONTEXT, &key, &context),
        seal(STARTING_L1_ID, &key, &record.starting_l1_priority_id.to_be_bytes()),
        seal(TXS, &key, &alloy_rlp::encode(&txs)),
        seal(SENDERS, &key, &senders),
        seal(PREVIOUS_TIMESTAMP, &key, &record.previous_block_timestamp.to_be_bytes()),
        seal(NODE_VERSION, &key, record.node_version.as_bytes()),
        seal(PROTOCOL_VERSION, &key, &alloy_rlp::encode(record.protocol_version)),
        seal(OUTPUT_HASH, &key, record.block_output_hash.as_slice()),
        seal(CANONICAL_HASH, &key, record.block_hash.as_slice()),
        seal(FORCE_PREIMAGES, &key, &alloy_rlp::encode(&preimages)),
    ]
}

/// A record whose block hashes may have to be filled in.
#[derive(Debug)]
pub(super) struct DecodedRecord {
    pub(super) record: ReplayRecord,
    /// The hashes are those of the records before and are not in `record`.
    pub(super) hashes_derived: bool,
}

/// Reads what [`encode`] wrote for block `number`.
pub(super) fn decode(number: u64, values: [&[u8]; 10]) -> Result<DecodedRecord, RecordError> {
    let key = number.to_be_bytes();
    let [context, l1_id, txs, senders, previous, node, protocol, output, hash, preimages] = values;

    let payload = unseal(CONTEXT, &key, context)?;
    let (&flag, rlp) = payload.split_first().ok_or(RecordError::Short { column: CONTEXT })?;
    let hashes_derived = match flag {
        HASHES_DERIVED => true,
        HASHES_STORED => false,
        other => return Err(bad(CONTEXT, format!("unknown flag {other}"))),
    };
    let block_context: BlockContext = rlp_exact(CONTEXT, rlp)?;
    if block_context.block_number != number {
        return Err(bad(CONTEXT, format!("it is of block {}", block_context.block_number)));
    }
    let transactions = rlp_exact::<Vec<Bytes>>(TXS, unseal(TXS, &key, txs)?)?
        .iter()
        .enumerate()
        .map(|(index, bytes)| {
            ZkTxEnvelope::decode_2718_exact(bytes)
                .map_err(|error| bad(TXS, format!("transaction {index}: {error}")))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let (senders, rest) = unseal(SENDERS, &key, senders)?.as_chunks::<20>();
    if !rest.is_empty() || senders.len() != transactions.len() {
        return Err(bad(
            SENDERS,
            format!("not one sender for each of {} transactions", transactions.len()),
        ));
    }
    let node_version = str::from_utf8(unseal(NODE_VERSION, &key, node)?)
        .map_err(|error| bad(NODE_VERSION, error.to_string()))?
        .to_owned();
    let force_preimages =
        rlp_exact::<Vec<Preimage>>(FORCE_PREIMAGES, unseal(FORCE_PREIMAGES, &key, preimages)?)?
            .into_iter()
            .map(|preimage| (preimage.hash, preimage.bytes))
            .collect();
    let record = ReplayRecord {
        block_context,
        starting_l1_priority_id: number_of(STARTING_L1_ID, unseal(STARTING_L1_ID, &key, l1_id)?)?,
        transactions,
        senders: senders.iter().map(Address::from).collect(),
        previous_block_timestamp: number_of(
            PREVIOUS_TIMESTAMP,
            unseal(PREVIOUS_TIMESTAMP, &key, previous)?,
        )?,
        node_version,
        protocol_version: rlp_exact::<ProtocolVersion>(
            PROTOCOL_VERSION,
            unseal(PROTOCOL_VERSION, &key, protocol)?,
        )?,
        block_output_hash: word_of(OUTPUT_HASH, unseal(OUTPUT_HASH, &key, output)?)?,
        block_hash: word_of(CANONICAL_HASH, unseal(CANONICAL_HASH, &key, hash)?)?,
        force_preimages,
    };
    Ok(DecodedRecord { record, hashes_derived })
}

fn bad(column: &'static str, reason: String) -> RecordError {
    RecordError::Payload { column, reason }
}

fn rlp_exact<T: Decodable>(column: &'static str, bytes: &[u8]) -> Result<T, RecordError> {
    alloy_rlp::decode_exact(bytes).map_err(|error| bad(column, error.to_string()))
}

/// A payload of 8 bytes.
pub(super) fn number_of(column: &'static str, payload: &[u8]) -> Result<u64, RecordError> {
    let bytes = payload.try_into().map_err(|_| bad(column, "not 8 bytes".to_owned()))?;
    Ok(u64::from_be_bytes(bytes))
}

/// A payload of 32 bytes.
pub(super) fn word_of(column: &'static str, payload: &[u8]) -> Result<B256, RecordError> {
    B256::try_from(payload).map_err(|_| bad(column, "not 32 bytes".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zkos_storage_api::test_utils::test_transfer;

    fn record(number: u64, txs: u64, hashes: u64, preimage: Vec<u8>) -> ReplayRecord {
        let window =
            BlockHashes::from_newest_first((0..hashes).map(|n| B256::with_last_byte(n as u8 + 1)));
        let recovered: Vec<_> = (0..txs)
            .map(|nonce| test_transfer(Address::with_last_byte(nonce as u8), nonce))
            .collect();
        ReplayRecord {
            block_context: BlockContext {
                chain_id: 270,
                block_number: number,
                block_hashes: window,
                timestamp: 5,
                ..Default::default()
            },
            starting_l1_priority_id: number / 2,
            senders: recovered.iter().map(|tx| tx.signer()).collect(),
            transactions: recovered.into_iter().map(|tx| tx.into_inner()).collect(),
            previous_block_timestamp: 4,
            node_version: "0.1.0".to_owned(),
            protocol_version: ProtocolVersion::V30_2,
            block_output_hash: B256::repeat_byte(3),
            block_hash: B256::repeat_byte(4),
            force_preimages: vec![(B256::repeat_byte(5), preimage.into())],
        }
    }

    proptest! {
        #[test]
        fn round_trip(number: u64, txs in 0u64..5, hashes in 0u64..200, preimage: Vec<u8>, derived: bool) {
            let record = record(number, txs, hashes, preimage);
            let window = if derived { record.block_context.block_hashes.clone() } else { BlockHashes::default().next(B256::repeat_byte(9)) };
            let values = encode(&record, &window);
            let mut decoded = decode(number, values.each_ref().map(Vec::as_slice)).unwrap();
            prop_assert_eq!(decoded.hashes_derived, derived);
            if derived {
                decoded.record.block_context.block_hashes = window;
            }
            prop_assert_eq!(decoded.record, record);
        }

        #[test]
        fn every_bit_flip_is_detected(column in 0usize..10, position: prop::sample::Index, bit in 0u8..8) {
            let record = record(7, 2, 3, vec![1, 2, 3]);
            let mut values = encode(&record, &BlockHashes::default());
            let position = position.index(values[column].len());
            values[column][position] ^= 1 << bit;
            let error = decode(7, values.each_ref().map(Vec::as_slice)).unwrap_err();
            prop_assert_eq!(error, RecordError::Checksum { column: RECORD_COLUMNS[column] });
        }

        #[test]
        fn noise_is_refused_without_panic(value in prop::collection::vec(any::<u8>(), 0..60), column in 0usize..10) {
            let record = record(7, 2, 3, Vec::new());
            let values = encode(&record, &BlockHashes::default());
            let mut values = values.each_ref().map(Vec::as_slice);
            values[column] = &value;
            prop_assert!(decode(7, values).is_err());
            let sealed = seal(RECORD_COLUMNS[column], &7u64.to_be_bytes(), &value);
            values[column] = &sealed;
            let _ = decode(7, values);
        }
    }

    #[test]
    fn a_value_under_another_key_is_refused() {
        let values = encode(&record(7, 1, 0, Vec::new()), &BlockHashes::default());
        assert!(matches!(
            decode(8, values.each_ref().map(Vec::as_slice)),
            Err(RecordError::Checksum { column: CONTEXT })
        ));
    }
}
