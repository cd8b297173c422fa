//! Blocks: context, output of execution, and the node's primitive types.

use crate::{receipt::ZkReceipt, transaction::ZkTxEnvelope};
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Keccak256, U256};
use alloy_rlp::{BufMut, Decodable, Encodable, RlpDecodable, RlpEncodable};
use core::fmt;
use reth_primitives_traits::NodePrimitives;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zksync_os_interface::{
    error::InvalidTransaction,
    traits::AnyBlockContext,
    types::{AccountDiff, StorageWrite, TxOutput},
};

/// A block of the chain.
pub type ZkBlock = alloy_consensus::Block<ZkTxEnvelope>;
/// Body of a block.
pub type ZkBlockBody = alloy_consensus::BlockBody<ZkTxEnvelope>;

/// The primitive types of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ZkPrimitives;

impl NodePrimitives for ZkPrimitives {
    type Block = ZkBlock;
    type BlockHeader = Header;
    type BlockBody = ZkBlockBody;
    type SignedTx = ZkTxEnvelope;
    type Receipt = ZkReceipt;
}

/// Number of block hashes in a context.
pub const BLOCK_HASHES_LEN: usize = 256;

/// Hashes of the 256 blocks before the current one: the parent at index 255, the oldest at 0,
/// zero where there is no block.
#[derive(Clone, PartialEq, Eq)]
pub struct BlockHashes(pub Box<[U256; BLOCK_HASHES_LEN]>);

impl BlockHashes {
    /// Window built from the hashes of the most recent blocks, newest first.
    pub fn from_newest_first(hashes: impl IntoIterator<Item = B256>) -> Self {
        let mut this = Self::default();
        for (slot, hash) in this.0.iter_mut().rev().zip(hashes) {
            *slot = hash.into();
        }
        this
    }

    /// Window of the block after the one whose window this is and whose hash is `hash`.
    #[must_use]
    pub fn next(&self, hash: B256) -> Self {
        let mut next = self.clone();
        next.0.rotate_left(1);
        next.0[BLOCK_HASHES_LEN - 1] = hash.into();
        next
    }

    /// Hash of the parent block; zero if there is none.
    pub fn parent(&self) -> B256 {
        self.0[BLOCK_HASHES_LEN - 1].into()
    }

    /// Hash of block `number` as seen from block `current`; none if it is out of the window or in
    /// the future.
    pub fn get(&self, current: u64, number: u64) -> Option<B256> {
        let distance = current.checked_sub(number)?;
        let index = (BLOCK_HASHES_LEN as u64).checked_sub(distance)?;
        self.0.get(index as usize).map(|hash| B256::from(*hash))
    }
}

impl Default for BlockHashes {
    fn default() -> Self {
        Self(Box::new([U256::ZERO; BLOCK_HASHES_LEN]))
    }
}

impl fmt::Debug for BlockHashes {
    /// Shows the newest hashes only: a window has 8 KiB.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.0.iter().rev().take_while(|hash| !hash.is_zero());
        f.debug_struct("BlockHashes")
            .field("parent", &self.parent())
            .field("known", &known.count())
            .finish()
    }
}

impl Serialize for BlockHashes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter())
    }
}

impl<'de> Deserialize<'de> for BlockHashes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hashes = Vec::<U256>::deserialize(deserializer)?;
        let len = hashes.len();
        let hashes: [U256; BLOCK_HASHES_LEN] = hashes
            .try_into()
            .map_err(|_| serde::de::Error::invalid_length(len, &"256 block hashes"))?;
        Ok(Self(Box::new(hashes)))
    }
}

// Encoded as one byte string of 32-byte words, oldest first, without the leading zero words.
impl Encodable for BlockHashes {
    fn encode(&self, out: &mut dyn BufMut) {
        let known = self.known();
        alloy_rlp::Header { list: false, payload_length: known.len() * 32 }.encode(out);
        for hash in known {
            out.put_slice(&hash.to_be_bytes::<32>());
        }
    }

    fn length(&self) -> usize {
        let payload_length = self.known().len() * 32;
        alloy_rlp::Header { list: false, payload_length }.length_with_payload()
    }
}

impl BlockHashes {
    fn known(&self) -> &[U256] {
        let first = self.0.iter().position(|hash| !hash.is_zero()).unwrap_or(BLOCK_HASHES_LEN);
        &self.0[first..]
    }
}

impl Decodable for BlockHashes {
    fn decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        let bytes = alloy_rlp::Header::decode_bytes(buf, false)?;
        let (words, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() || words.len() > BLOCK_HASHES_LEN {
            return Err(alloy_rlp::Error::UnexpectedLength);
        }
        if words.first().is_some_and(|word| *word == [0; 32]) {
            return Err(alloy_rlp::Error::LeadingZero);
        }
        Ok(Self::from_newest_first(words.iter().rev().map(B256::from)))
    }
}

/// Everything the execution of a block depends on besides transactions and state.
#[derive(
    Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, RlpEncodable, RlpDecodable,
)]
pub struct BlockContext {
    /// Chain id.
    pub chain_id: u64,
    /// Number of the block.
    pub block_number: u64,
    /// Hashes of the blocks before it.
    pub block_hashes: BlockHashes,
    /// Seconds since the epoch; never less than the parent's.
    pub timestamp: u64,
    /// Base fee in wei per gas; must fit 64 bits.
    pub eip1559_basefee: U256,
    /// Price of pubdata in wei per byte.
    pub pubdata_price: U256,
    /// Price of the native resource in wei per unit.
    pub native_price: U256,
    /// Receives all fees.
    pub coinbase: Address,
    /// Gas limit of the block.
    pub gas_limit: u64,
    /// Limit of charged pubdata of the block in bytes.
    pub pubdata_limit: u64,
    /// Randomness; the VM of execution version 5 ignores it.
    pub mix_hash: U256,
    /// Version of the state transition function.
    pub execution_version: u32,
    /// Blob base fee; the VM of execution version 5 ignores it.
    pub blob_fee: U256,
}

impl AnyBlockContext for BlockContext {
    fn chain_id(&self) -> u64 {
        self.chain_id
    }

    fn block_number(&self) -> u64 {
        self.block_number
    }

    fn block_hashes(&self) -> &[U256; 256] {
        &self.block_hashes.0
    }

    fn timestamp(&self) -> u64 {
        self.timestamp
    }

    fn eip1559_basefee(&self) -> U256 {
        self.eip1559_basefee
    }

    fn pubdata_price(&self) -> U256 {
        self.pubdata_price
    }

    fn native_price(&self) -> U256 {
        self.native_price
    }

    fn coinbase(&self) -> Address {
        self.coinbase
    }

    fn gas_limit(&self) -> u64 {
        self.gas_limit
    }

    fn pubdata_limit(&self) -> u64 {
        self.pubdata_limit
    }

    fn mix_hash(&self) -> U256 {
        self.mix_hash
    }

    fn blob_fee(&self) -> U256 {
        self.blob_fee
    }

    fn is_gateway(&self) -> bool {
        false
    }
}

/// Result of executing a block.
#[derive(Debug, Clone)]
pub struct BlockOutput {
    /// Header with the bloom of the block's EVM logs.
    pub header: Header,
    /// [`crate::header::header_hash`] of the header.
    pub block_hash: B256,
    /// One result per transaction taken from the source, rejected ones included.
    pub tx_results: Vec<Result<TxOutput, InvalidTransaction>>,
    /// Net state changes in [`crate::storage_key::block_write_order`].
    pub storage_writes: Vec<StorageWrite>,
    /// Changed accounts in the same order.
    pub account_diffs: Vec<AccountDiff>,
    /// Bytecodes and account records by their Blake2s hash, ordered by hash.
    pub published_preimages: Vec<(B256, Vec<u8>)>,
    /// Pubdata of the block.
    pub pubdata: Vec<u8>,
    /// Native resource spent on computation by all included transactions.
    pub computational_native_used: u64,
}

impl BlockOutput {
    /// Hash by which nodes compare the results of a block: Keccak over block hash, success and gas
    /// used of each included transaction, and all storage writes.
    pub fn output_hash(&self) -> B256 {
        let mut hasher = Keccak256::new();
        hasher.update(self.block_hash);
        for output in self.included() {
            hasher.update([u8::from(output.is_success())]);
            hasher.update(output.gas_used.to_be_bytes());
        }
        for write in &self.storage_writes {
            hasher.update(write.key);
            hasher.update(write.value);
        }
        hasher.finalize()
    }

    /// Outputs of the included transactions, in order.
    pub fn included(&self) -> impl Iterator<Item = &TxOutput> {
        self.tx_results.iter().filter_map(|result| result.as_ref().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hashes(count: u64) -> BlockHashes {
        BlockHashes::from_newest_first((1..=count).rev().map(|n| B256::from(U256::from(n))))
    }

    #[test]
    fn window_is_addressed_by_number() {
        let window = hashes(3);
        assert_eq!(window.parent(), B256::with_last_byte(3));
        assert_eq!(window.get(4, 3), Some(B256::with_last_byte(3)));
        assert_eq!(window.get(4, 1), Some(B256::with_last_byte(1)));
        assert_eq!(window.get(4, 4), None);
        assert_eq!(window.get(4, 5), None);
        assert_eq!(window.get(300, 44), Some(B256::ZERO));
        assert_eq!(window.get(300, 43), None);
        assert_eq!(window.next(B256::with_last_byte(4)), hashes(4));
    }

    #[test]
    fn hashes_encoding_is_canonical() {
        let mut words = vec![0u8; 64];
        words[63] = 1;
        let encoded = alloy_rlp::encode(words.as_slice());
        assert_eq!(
            alloy_rlp::decode_exact::<BlockHashes>(&encoded),
            Err(alloy_rlp::Error::LeadingZero)
        );
        let too_many = alloy_rlp::encode([1u8; 257 * 32].as_slice());
        assert!(alloy_rlp::decode_exact::<BlockHashes>(&too_many).is_err());
        assert!(
            alloy_rlp::decode_exact::<BlockHashes>(alloy_rlp::encode([1u8; 33].as_slice()))
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn context_round_trips(numbers in any::<[u64; 6]>(), words in any::<[[u8; 32]; 5]>(),
                               coinbase in any::<[u8; 20]>(), known in 0u64..300, version in any::<u32>()) {
            let word = |i: usize| U256::from_be_bytes(words[i]);
            let context = BlockContext {
                chain_id: numbers[0], block_number: numbers[1], block_hashes: hashes(known),
                timestamp: numbers[2], eip1559_basefee: word(0), pubdata_price: word(1),
                native_price: word(2), coinbase: coinbase.into(), gas_limit: numbers[3],
                pubdata_limit: numbers[4], mix_hash: word(3), execution_version: version,
                blob_fee: word(4),
            };
            let rlp = alloy_rlp::encode(&context);
            prop_assert_eq!(rlp.len(), context.length());
            prop_assert_eq!(&alloy_rlp::decode_exact::<BlockContext>(&rlp).unwrap(), &context);
            let json = serde_json::to_string(&context).unwrap();
            prop_assert_eq!(serde_json::from_str::<BlockContext>(&json).unwrap(), context);
        }
    }
}
