//! Blocks and receipts: database `repository`.
//!
//! One record per block and one for its receipts, both under the block number, so that a block is two puts in ascending key order whatever it holds; hashes, transactions
//! and (sender, nonce) pairs have small index entries.
//!
//! | column | key | value after the version byte |
//! |---|---|---|
//! | `block_data` | number | RLP `[hash, header with bloom, transactions (EIP-2718), senders]` |
//! | `tx_receipt` | number | RLP list of receipts without blooms |
//! | `block_number_to_hash` | number | hash |
//! | `block_hash_to_number` | hash | number |
//! | `tx_meta` | transaction hash | number, index (4 bytes) |
//! | `initiator_and_nonce_to_hash` | address, nonce | transaction hash |
//! | `meta` | `block_number` | last block |

mod codec;
mod recent;

pub(crate) use recent::RecentBlocks;

use crate::{
    StorageError,
    codec::{decode_u64, decode_word, read_u64, unversioned, versioned},
    db::{ChainMarker, Column, ColumnKind, Database, DbEnv},
};
use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256, BlockNumber, TxHash};
use parking_lot::Mutex;
use reth_primitives_traits::SealedHeader;
use rocksdb::WriteBatch;
use schnellru::{ByLength, LruMap};
use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use zkos_primitives::ZkReceipt;
use zkos_storage_api::{
    ExecutedBlock, ProviderError, ProviderResult, RecoveredZkBlock, may_use_disk, not_in_memory,
};

/// Name of the database.
pub const REPOSITORY_DATABASE: &str = "repository";

pub(crate) const BLOCK_DATA: &str = "block_data";
pub(crate) const RECEIPTS: &str = "tx_receipt";
pub(crate) const NUMBER_TO_HASH: &str = "block_number_to_hash";
pub(crate) const HASH_TO_NUMBER: &str = "block_hash_to_number";
pub(crate) const TX_META: &str = "tx_meta";
pub(crate) const NONCE_TO_HASH: &str = "initiator_and_nonce_to_hash";
const META: &str = "meta";
const HEAD_KEY: &[u8] = b"block_number";

const COLUMNS: [Column; 7] = [
    Column::new(BLOCK_DATA, ColumnKind::Log),
    Column::new(RECEIPTS, ColumnKind::Log),
    Column::new(NUMBER_TO_HASH, ColumnKind::Log),
    Column::new(HASH_TO_NUMBER, ColumnKind::Point),
    Column::new(TX_META, ColumnKind::Point),
    Column::new(NONCE_TO_HASH, ColumnKind::Point),
    Column::new(META, ColumnKind::Log),
];

/// Blocks decoded from disk that are kept for the next reader.
const DECODED_BLOCKS: u32 = 64;
/// Largest record that is decoded for a thread that may not wait, bytes.
const QUICK_TO_DECODE: usize = 32 * 1024;

type Decoded<T> = Mutex<LruMap<BlockNumber, Arc<T>>>;

/// Blocks on disk.
pub(crate) struct Repository {
    db: Arc<Database>,
    head: AtomicU64,
    blocks: Decoded<RecoveredZkBlock>,
    receipts: Decoded<Vec<ZkReceipt>>,
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository").field("head", &self.head).finish_non_exhaustive()
    }
}

impl Repository {
    /// Opens the database and writes block 0 if it is empty.
    pub(crate) fn open(
        env: &DbEnv,
        dir: &Path,
        marker: &ChainMarker,
        genesis: &RecoveredZkBlock,
    ) -> Result<Self, StorageError> {
        let db = Database::open(env, dir, REPOSITORY_DATABASE, &COLUMNS, marker)?;
        let head = match stored_head(&db)? {
            Some(head) => head,
            None => {
                let mut batch = WriteBatch::default();
                put_block(&db, &mut batch, genesis, &[])?;
                put_head(&db, &mut batch, 0)?;
                db.write(batch, true)?;
                0
            }
        };
        Ok(Self::over(db, head))
    }

    /// The blocks of a database that is open already.
    pub(crate) fn over(db: Arc<Database>, head: BlockNumber) -> Self {
        Self {
            db,
            head: AtomicU64::new(head),
            blocks: Mutex::new(LruMap::new(ByLength::new(DECODED_BLOCKS))),
            receipts: Mutex::new(LruMap::new(ByLength::new(DECODED_BLOCKS))),
        }
    }

    /// Last block in the database.
    pub(crate) fn head(&self) -> BlockNumber {
        self.head.load(Ordering::SeqCst)
    }

    pub(crate) fn block_hash(&self, number: BlockNumber) -> ProviderResult<Option<B256>> {
        let key = number.to_be_bytes();
        self.db
            .get(NUMBER_TO_HASH, key)?
            .map(|value| decode_word(&self.db, &key, &value))
            .transpose()
    }

    pub(crate) fn block_number(&self, hash: B256) -> ProviderResult<Option<BlockNumber>> {
        self.db
            .get(HASH_TO_NUMBER, hash)?
            .map(|value| decode_u64(&self.db, hash.as_slice(), &value))
            .transpose()
    }

    pub(crate) fn block(
        &self,
        number: BlockNumber,
    ) -> ProviderResult<Option<Arc<RecoveredZkBlock>>> {
        self.decoded(&self.blocks, BLOCK_DATA, number, codec::decode_block)
    }

    /// Hash and header of a block, without decoding the rest of it.
    pub(crate) fn header(&self, number: BlockNumber) -> ProviderResult<Option<SealedHeader>> {
        if let Some(block) = self.blocks.lock().get(&number) {
            return Ok(Some(block.clone_sealed_header()));
        }
        let key = number.to_be_bytes();
        let Some(value) = self.db.get(BLOCK_DATA, key)? else { return Ok(None) };
        let payload = unversioned(&self.db, &key, &value)?;
        codec::decode_header(payload)
            .map(Some)
            .map_err(|reason| self.db.corrupt(key, format!("column {BLOCK_DATA}: {reason}")))
    }

    pub(crate) fn receipts(
        &self,
        number: BlockNumber,
    ) -> ProviderResult<Option<Arc<Vec<ZkReceipt>>>> {
        self.decoded(&self.receipts, RECEIPTS, number, codec::decode_receipts)
    }

    fn decoded<T>(
        &self,
        cache: &Decoded<T>,
        column: &'static str,
        number: BlockNumber,
        decode: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> ProviderResult<Option<Arc<T>>> {
        if let Some(found) = cache.lock().get(&number) {
            return Ok(Some(found.clone()));
        }
        let key = number.to_be_bytes();
        let Some(value) = self.db.get(column, key)? else { return Ok(None) };
        if value.len() > QUICK_TO_DECODE && !may_use_disk() {
            return Err(not_in_memory());
        }
        let payload = unversioned(&self.db, &key, &value)?;
        let decoded = decode(payload)
            .map_err(|reason| self.db.corrupt(key, format!("column {column}: {reason}")))?;
        let decoded = Arc::new(decoded);
        cache.lock().insert(number, decoded.clone());
        Ok(Some(decoded))
    }

    /// Block and index of a transaction.
    pub(crate) fn transaction(&self, hash: TxHash) -> ProviderResult<Option<(BlockNumber, u32)>> {
        let Some(value) = self.db.get(TX_META, hash)? else { return Ok(None) };
        let payload = unversioned(&self.db, hash.as_slice(), &value)?;
        let bytes: &[u8; 12] = payload
            .try_into()
            .map_err(|_| self.db.corrupt(hash, "transaction place does not have 12 bytes"))?;
        let (number, index) = bytes.split_at(8);
        let word =
            |bytes: &[u8]| bytes.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
        Ok(Some((word(number), word(index) as u32)))
    }

    /// Hash of a transaction by sender and nonce.
    pub(crate) fn nonce(&self, sender: Address, nonce: u64) -> ProviderResult<Option<TxHash>> {
        let key = nonce_key(sender, nonce);
        self.db
            .get(NONCE_TO_HASH, key)?
            .map(|value| decode_word(&self.db, &key, &value))
            .transpose()
    }

    /// Writes consecutive blocks as one batch. Blocks that are there already are compared.
    pub(crate) fn flush(&self, blocks: &[ExecutedBlock]) -> ProviderResult<()> {
        let head = self.head();
        let mut batch = WriteBatch::default();
        let mut last = None;
        for block in blocks {
            let number = block.number();
            if number > head {
                put_block(&self.db, &mut batch, &block.block, &block.receipts)?;
                last = Some(number);
                continue;
            }
            let stored = self.block_hash(number)?.unwrap_or_default();
            if stored != block.hash() {
                return Err(ProviderError::Mismatch { number, stored, given: block.hash() });
            }
        }
        if let Some(last) = last {
            put_head(&self.db, &mut batch, last)?;
            self.db.write(batch, false)?;
            self.head.store(last, Ordering::SeqCst);
        }
        Ok(())
    }

    /// The database underneath.
    pub(crate) const fn database(&self) -> &Arc<Database> {
        &self.db
    }
}

fn put_block(
    db: &Database,
    batch: &mut WriteBatch,
    block: &RecoveredZkBlock,
    receipts: &[ZkReceipt],
) -> ProviderResult<()> {
    let number = block.header().number;
    let key = number.to_be_bytes();
    batch.put_cf(db.column(BLOCK_DATA)?, key, versioned(&codec::encode_block(block)));
    batch.put_cf(db.column(RECEIPTS)?, key, versioned(&codec::encode_receipts(receipts)));
    batch.put_cf(db.column(NUMBER_TO_HASH)?, key, versioned(block.hash_ref().as_slice()));
    batch.put_cf(db.column(HASH_TO_NUMBER)?, block.hash_ref(), versioned(&key));
    let (meta, nonces) = (db.column(TX_META)?, db.column(NONCE_TO_HASH)?);
    for ((index, tx), sender) in (0u32..).zip(&block.body().transactions).zip(block.senders()) {
        let mut place = [0; 12];
        place[..8].copy_from_slice(&key);
        place[8..].copy_from_slice(&index.to_be_bytes());
        batch.put_cf(meta, tx.hash(), versioned(&place));
        if !tx.is_from_l1() {
            batch.put_cf(nonces, nonce_key(*sender, tx.nonce()), versioned(tx.hash().as_slice()));
        }
    }
    Ok(())
}

fn put_head(db: &Database, batch: &mut WriteBatch, head: BlockNumber) -> ProviderResult<()> {
    batch.put_cf(db.column(META)?, HEAD_KEY, versioned(&head.to_be_bytes()));
    Ok(())
}

/// Head that the meta column of an opened database names.
pub(crate) fn stored_head(db: &Database) -> ProviderResult<Option<BlockNumber>> {
    read_u64(db, META, HEAD_KEY)
}

fn nonce_key(sender: Address, nonce: u64) -> [u8; 28] {
    let mut key = [0; 28];
    key[..20].copy_from_slice(sender.as_slice());
    key[20..].copy_from_slice(&nonce.to_be_bytes());
    key
}
