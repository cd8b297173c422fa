//! Input of a batch: what the proving program is given.

use crate::words::{DecodeError, Reader, Writer, bytes_to_words, words_to_bytes};
use alloy_eips::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, BlockNumber, Bytes, U256};
use zkos_primitives::{
    BLOCK_HASHES_LEN, BlockContext, BlockHashes, DaCommitmentScheme, ProtocolVersion, ZkTxEnvelope,
    blake2s_concat, state_commitment,
};
use zkos_tree::Leaf;

const SECTION: &str = "batch input";
const MAGIC: [u8; 4] = *b"zkbi";
/// Index, then key, value and next index.
const LEAF_WORDS: usize = 20;
/// Everything of a block but its transactions.
const BLOCK_WORDS: usize = 53;

/// The chain before the batch: what its state commitment is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParentState {
    /// Root of the state tree.
    pub root: B256,
    /// Number of leaves of the state tree, guards included.
    pub leaf_count: u64,
    /// Number of the last block.
    pub block_number: BlockNumber,
    /// Its timestamp in seconds.
    pub timestamp: u64,
    /// Hashes of the last 256 blocks, itself included.
    pub block_hashes: BlockHashes,
}

impl ParentState {
    /// The state commitment.
    pub fn commitment(&self) -> B256 {
        let hashes: Vec<_> = self.block_hashes.0.iter().map(U256::to_be_bytes::<32>).collect();
        let blake = blake2s_concat(hashes.iter().map(<[u8; 32]>::as_slice));
        state_commitment(self.root, self.leaf_count, self.block_number, blake, self.timestamp)
    }
}

/// A block of the batch: its context without what follows from the block before it, and its transactions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlockInput {
    /// Seconds since the epoch.
    pub timestamp: u64,
    /// Base fee in wei per gas.
    pub eip1559_basefee: U256,
    /// Price of pubdata in wei per byte.
    pub pubdata_price: U256,
    /// Price of the native resource in wei per unit.
    pub native_price: U256,
    /// Receives all fees.
    pub coinbase: Address,
    /// Gas limit.
    pub gas_limit: u64,
    /// Limit of charged pubdata in bytes.
    pub pubdata_limit: u64,
    /// Randomness.
    pub mix_hash: U256,
    /// Version of the state transition function.
    pub execution_version: u32,
    /// Blob base fee.
    pub blob_fee: U256,
    /// Transactions, all of which must be valid.
    pub transactions: Vec<ZkTxEnvelope>,
}

impl BlockInput {
    pub(crate) fn new(context: &BlockContext, transactions: Vec<ZkTxEnvelope>) -> Self {
        Self {
            timestamp: context.timestamp,
            eip1559_basefee: context.eip1559_basefee,
            pubdata_price: context.pubdata_price,
            native_price: context.native_price,
            coinbase: context.coinbase,
            gas_limit: context.gas_limit,
            pubdata_limit: context.pubdata_limit,
            mix_hash: context.mix_hash,
            execution_version: context.execution_version,
            blob_fee: context.blob_fee,
            transactions,
        }
    }

    pub(crate) fn context(
        &self,
        chain_id: u64,
        block_number: BlockNumber,
        block_hashes: BlockHashes,
    ) -> BlockContext {
        BlockContext {
            chain_id,
            block_number,
            block_hashes,
            timestamp: self.timestamp,
            eip1559_basefee: self.eip1559_basefee,
            pubdata_price: self.pubdata_price,
            native_price: self.native_price,
            coinbase: self.coinbase,
            gas_limit: self.gas_limit,
            pubdata_limit: self.pubdata_limit,
            mix_hash: self.mix_hash,
            execution_version: self.execution_version,
            blob_fee: self.blob_fee,
        }
    }
}

/// Everything needed to execute a batch again, see [`crate::execute`].
///
/// The words after the section's header, in this order (forms: [`crate::words_to_bytes`] and the module of the word stream):
///
/// | field | form |
/// |---|---|
/// | batch number, chain id | `u64` each |
/// | protocol version: minor, patch | `u32` each |
/// | data availability scheme | `u32` |
/// | parent: tree root, leaf count, block number, timestamp | 8 words, `u64`, `u64`, `u64` |
/// | parent: block hashes, oldest first, without the leading zero ones | list of 8 words |
/// | blocks | list, see below |
/// | leaves, ascending by index: index, key, value, next index | list of `u64`, 8 words, 8 words, `u64` |
/// | sibling hashes, ascending by height and position | list of 8 words |
/// | preimages, ascending by their Blake2s hash | list of byte strings |
///
/// A block: timestamp (`u64`), base fee, pubdata price, native price (8 words each), fee recipient (5 words), gas limit, pubdata limit (`u64` each), mix hash (8 words),
/// execution version (`u32`), blob fee (8 words), transactions (list of byte strings, EIP-2718).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BatchInput {
    /// Number of the batch.
    pub batch_number: u64,
    /// Chain id.
    pub chain_id: u64,
    /// Protocol version, the same for all blocks of a batch.
    pub protocol_version: ProtocolVersion,
    /// How the pubdata is committed to.
    pub da_scheme: DaCommitmentScheme,
    /// The chain before the batch.
    pub parent: ParentState,
    /// Blocks, in order.
    pub blocks: Vec<BlockInput>,
    /// Leaves of the tree before the batch: of each key that the batch reads or writes, both neighbours of each such key that is missing, and the last leaf if a key is
    /// inserted.
    pub leaves: Vec<(u64, Leaf)>,
    /// Hashes that lead from the leaves to the root.
    pub hashes: Vec<B256>,
    /// Preimages that the batch reads: account records, bytecodes, code for force deployments.
    pub preimages: Vec<Bytes>,
}

impl BatchInput {
    /// Number of transactions.
    pub fn transactions(&self) -> usize {
        self.blocks.iter().map(|block| block.transactions.len()).sum()
    }

    /// First and last block, inclusive.
    pub const fn block_range(&self) -> (BlockNumber, BlockNumber) {
        let before = self.parent.block_number;
        (before.saturating_add(1), before.saturating_add(self.blocks.len() as u64))
    }

    /// The input as words.
    pub fn to_words(&self) -> Vec<u32> {
        let mut out = Writer::new(MAGIC);
        out.u64(self.batch_number);
        out.u64(self.chain_id);
        out.u32(self.protocol_version.minor);
        out.u32(self.protocol_version.patch);
        out.u32(u8::from(self.da_scheme).into());
        out.fixed(self.parent.root.as_slice());
        out.u64(self.parent.leaf_count);
        out.u64(self.parent.block_number);
        out.u64(self.parent.timestamp);
        let hashes = &self.parent.block_hashes.0;
        let first = hashes.iter().position(|hash| !hash.is_zero()).unwrap_or(BLOCK_HASHES_LEN);
        out.len(BLOCK_HASHES_LEN - first);
        for hash in &hashes[first..] {
            out.u256(*hash);
        }
        out.len(self.blocks.len());
        for block in &self.blocks {
            block.write(&mut out);
        }
        out.len(self.leaves.len());
        for (index, leaf) in &self.leaves {
            out.u64(*index);
            out.fixed(leaf.as_bytes());
        }
        out.len(self.hashes.len());
        for hash in &self.hashes {
            out.fixed(hash.as_slice());
        }
        out.len(self.preimages.len());
        for preimage in &self.preimages {
            out.bytes(preimage);
        }
        out.finish()
    }

    /// Reads [`Self::to_words`] at the start of `words`; returns what follows, too.
    ///
    /// # Errors
    /// When it is anything but what [`Self::to_words`] writes.
    pub fn from_words(words: &[u32]) -> Result<(Self, &[u32]), DecodeError> {
        let (mut reader, rest) = Reader::new(SECTION, MAGIC, words)?;
        let from = &mut reader;
        let batch_number = from.u64()?;
        let chain_id = from.u64()?;
        let protocol_version = ProtocolVersion::new(from.u32()?, from.u32()?);
        let da_scheme = from.da_scheme()?;
        let root = from.b256()?;
        let leaf_count = from.u64()?;
        let block_number = from.u64()?;
        let timestamp = from.u64()?;
        let block_hashes = read_block_hashes(from)?;
        let parent = ParentState { root, leaf_count, block_number, timestamp, block_hashes };
        let blocks = read_list(from, BLOCK_WORDS, BlockInput::read)?;
        let leaves =
            read_list(from, LEAF_WORDS, |from| Ok((from.u64()?, Leaf::from_bytes(from.array()?))))?;
        let hashes = read_list(from, 8, |from| from.b256())?;
        let preimages = read_list(from, 1, |from| from.bytes().map(Bytes::from))?;
        reader.finish()?;
        let input = Self {
            batch_number,
            chain_id,
            protocol_version,
            da_scheme,
            parent,
            blocks,
            leaves,
            hashes,
            preimages,
        };
        Ok((input, rest))
    }

    /// [`Self::to_words`] as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        words_to_bytes(&self.to_words())
    }

    /// Reads [`Self::to_bytes`]; nothing may follow.
    ///
    /// # Errors
    /// As [`Self::from_words`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let words = bytes_to_words(bytes)?;
        let (input, rest) = Self::from_words(&words)?;
        match rest.len() {
            0 => Ok(input),
            words => Err(DecodeError::Surplus { section: SECTION, words }),
        }
    }
}

impl BlockInput {
    fn write(&self, out: &mut Writer) {
        out.u64(self.timestamp);
        out.u256(self.eip1559_basefee);
        out.u256(self.pubdata_price);
        out.u256(self.native_price);
        out.fixed(self.coinbase.as_slice());
        out.u64(self.gas_limit);
        out.u64(self.pubdata_limit);
        out.u256(self.mix_hash);
        out.u32(self.execution_version);
        out.u256(self.blob_fee);
        out.len(self.transactions.len());
        for tx in &self.transactions {
            out.bytes(&tx.encoded_2718());
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            timestamp: from.u64()?,
            eip1559_basefee: from.u256()?,
            pubdata_price: from.u256()?,
            native_price: from.u256()?,
            coinbase: from.address()?,
            gas_limit: from.u64()?,
            pubdata_limit: from.u64()?,
            mix_hash: from.u256()?,
            execution_version: from.u32()?,
            blob_fee: from.u256()?,
            transactions: read_list(from, 1, |from| {
                let bytes = from.bytes()?;
                let tx = ZkTxEnvelope::decode_2718_exact(&bytes)
                    .map_err(|error| from.bad(format!("malformed transaction: {error}")))?;
                // One form for each transaction.
                if tx.encoded_2718() != bytes {
                    return Err(from.bad("transaction is not in its canonical encoding"));
                }
                Ok(tx)
            })?,
        })
    }
}

fn read_block_hashes(from: &mut Reader<'_>) -> Result<BlockHashes, DecodeError> {
    let hashes = read_list(from, 8, |from| from.b256())?;
    if hashes.len() > BLOCK_HASHES_LEN {
        return Err(from.bad(format!("{} block hashes, at most 256 are known", hashes.len())));
    }
    if hashes.first().is_some_and(|hash| hash.is_zero()) {
        return Err(from.bad("block hashes begin with zero"));
    }
    Ok(BlockHashes::from_newest_first(hashes.into_iter().rev()))
}

/// Grows with what is read: elements may be much larger in memory than as words.
fn read_list<T>(
    from: &mut Reader<'_>,
    min_words: usize,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let len = from.list_len(min_words)?;
    let mut list = Vec::new();
    for _ in 0..len {
        list.push(read(from)?);
    }
    Ok(list)
}
