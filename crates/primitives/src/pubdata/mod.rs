//! Pubdata: the bytes from which the state can be restored.
//!
//! A block is `0x01 || block hash || timestamp`, its state diffs, its L2->L1 logs and the messages
//! they stand for. The pubdata of a batch is the concatenation of that of its blocks. Decoders
//! accept exactly what the encoders write.

use crate::{
    account::{AccountProperties, VERSIONING_DELEGATED},
    bytecode::pad_and_artifacts,
    log::{L2_TO_L1_LOG_LEN, L2ToL1Log, LogDecodeError},
};
use alloy_primitives::{B256, Bytes};

mod account;
mod value;

pub use account::{AccountDiff, CodeDiff};
pub use value::{ValueDiff, value_diff_length};

/// Version byte at the start of a block's pubdata.
pub const PUBDATA_VERSION: u8 = 1;

/// Why bytes are not the pubdata of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PubdataError {
    /// Fewer bytes than the layout needs.
    #[error("pubdata ends early")]
    TooShort,
    /// Another version byte.
    #[error("pubdata has version {0} instead of 1")]
    Version(u8),
    /// A metadata byte that means nothing.
    #[error("pubdata has a diff with metadata {0:#04x}")]
    Metadata(u8),
    /// An integer with a leading zero byte, or longer than 31 bytes.
    #[error("pubdata has a number that is not canonical")]
    Number,
    /// Code fields that contradict each other.
    #[error("pubdata has an account diff with inconsistent code")]
    Code,
    /// A malformed log.
    #[error("pubdata has a malformed log: {0}")]
    Log(#[from] LogDecodeError),
    /// The number of messages differs from that of the message logs, or a hash does.
    #[error("messages in pubdata do not match the logs")]
    Messages,
    /// A diff does not apply to the value it is applied to.
    #[error("diff over- or underflows")]
    Overflow,
}

/// Change of one state entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateDiff {
    /// Of a storage slot.
    Value(ValueDiff),
    /// Of an account record.
    Account(AccountDiff),
}

/// Pubdata of one block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlockPubdata {
    /// Hash of the block.
    pub block_hash: B256,
    /// Timestamp of the block in seconds.
    pub timestamp: u64,
    /// State diffs by flat key, in [`crate::storage_key::block_write_order`].
    pub diffs: Vec<(B256, StateDiff)>,
    /// L2->L1 logs in order of emission.
    pub logs: Vec<L2ToL1Log>,
    /// Bodies of the message logs, in the same order.
    pub messages: Vec<Bytes>,
}

impl BlockPubdata {
    /// The encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        out
    }

    /// Appends the encoding to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.push(PUBDATA_VERSION);
        out.extend_from_slice(self.block_hash.as_slice());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        put_len(out, self.diffs.len());
        for (key, diff) in &self.diffs {
            out.extend_from_slice(key.as_slice());
            match diff {
                StateDiff::Value(diff) => diff.encode_into(out),
                StateDiff::Account(diff) => diff.encode_into(out),
            }
        }
        put_len(out, self.logs.len());
        for log in &self.logs {
            out.extend_from_slice(&log.encode());
        }
        put_len(out, self.messages.len());
        for message in &self.messages {
            put_len(out, message.len());
            out.extend_from_slice(message);
        }
    }

    /// Reads the pubdata of one block from the front of `buf` and advances it.
    pub fn decode(buf: &mut &[u8]) -> Result<Self, PubdataError> {
        let mut reader = Reader(buf);
        let version = reader.byte()?;
        if version != PUBDATA_VERSION {
            return Err(PubdataError::Version(version));
        }
        let block_hash = reader.hash()?;
        let timestamp = u64::from_be_bytes(reader.array()?);
        let diffs = reader.list(33, |reader| {
            let key = reader.hash()?;
            let diff = if AccountDiff::is_metadata(reader.peek()?) {
                StateDiff::Account(AccountDiff::read(reader)?)
            } else {
                StateDiff::Value(ValueDiff::read(reader)?)
            };
            Ok((key, diff))
        })?;
        let logs = reader.list(L2_TO_L1_LOG_LEN, |reader| {
            Ok(L2ToL1Log::decode(reader.take(L2_TO_L1_LOG_LEN)?)?)
        })?;
        let messages = reader.list(4, |reader| {
            let len = reader.u32()? as usize;
            Ok(Bytes::copy_from_slice(reader.take(len)?))
        })?;
        let hashes: Vec<_> = messages.iter().map(alloy_primitives::keccak256).collect();
        if !logs.iter().filter(|log| log.is_message()).map(|log| log.value).eq(hashes) {
            return Err(PubdataError::Messages);
        }
        *buf = reader.0;
        Ok(Self { block_hash, timestamp, diffs, logs, messages })
    }

    /// Reads the pubdata of a batch: that of its blocks, one after the other.
    pub fn decode_batch(mut pubdata: &[u8]) -> Result<Vec<Self>, PubdataError> {
        let mut blocks = Vec::new();
        while !pubdata.is_empty() {
            blocks.push(Self::decode(&mut pubdata)?);
        }
        Ok(blocks)
    }
}

fn put_len(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&(len as u32).to_be_bytes());
}

/// Cursor over bytes from outside.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], PubdataError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(PubdataError::TooShort)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PubdataError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(PubdataError::TooShort)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, PubdataError> {
        Ok(self.array::<1>()?[0])
    }

    fn peek(&self) -> Result<u8, PubdataError> {
        self.0.first().copied().ok_or(PubdataError::TooShort)
    }

    fn u32(&mut self) -> Result<u32, PubdataError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn hash(&mut self) -> Result<B256, PubdataError> {
        Ok(B256::new(self.array()?))
    }

    /// Reads a count and so many items of at least `min_len` bytes each.
    fn list<T>(
        &mut self,
        min_len: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, PubdataError>,
    ) -> Result<Vec<T>, PubdataError> {
        let count = self.u32()? as usize;
        // A count from outside must not make us allocate more than the input could hold.
        if count > self.0.len() / min_len {
            return Err(PubdataError::TooShort);
        }
        (0..count).map(|_| item(self)).collect()
    }
}

#[cfg(test)]
mod tests;
