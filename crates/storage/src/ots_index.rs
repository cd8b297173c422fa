//! Which transactions touched an address, and which created a contract: database `ots_index`.
//!
//! One entry per address and transaction, under a key that sorts by address and then by place in the chain. A page of an address's history is therefore one seek and a scan of what
//! is on the page, in either direction and however long the history is.
//!
//! | column | key | value after the version byte |
//! |---|---|---|
//! | `address` | address, block (8 bytes), index in the block (4 bytes) | nothing |
//! | `creator` | contract | block, index, transaction hash, creator |
//! | `meta` | `head` | number and hash of the last block |
//!
//! The entries of a block and the head are one batch, so a crash leaves whole blocks only. Nothing is synced: what a crash of the machine takes away is written again.

use crate::{
    StorageError, StorageOptions,
    codec::{unversioned, versioned},
    db::{ChainMarker, Column, ColumnKind, Database, DbEnv},
    provider::genesis_fingerprint,
};
use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256, BlockNumber, TxHash};
use rocksdb::{DBRawIterator, ReadOptions, WriteBatch};
use std::{path::Path, sync::Arc};
use tokio::sync::watch;
use zkos_primitives::ZkChainSpec;
use zkos_storage_api::{ProviderError, ProviderResult};

/// Name of the database.
pub const OTS_INDEX_DATABASE: &str = "ots_index";

const ADDRESS: &str = "address";
const CREATOR: &str = "creator";
const META: &str = "meta";
const HEAD_KEY: &[u8] = b"head";

const ADDRESS_LEN: usize = 20;
const KEY_LEN: usize = ADDRESS_LEN + PLACE_LEN;
const PLACE_LEN: usize = 12;
const CREATION_LEN: usize = PLACE_LEN + 32 + ADDRESS_LEN;

const COLUMNS: [Column; 3] = [
    Column::new(ADDRESS, ColumnKind::Prefix(ADDRESS_LEN)),
    Column::new(CREATOR, ColumnKind::Point),
    Column::new(META, ColumnKind::Log),
];

/// Where a transaction stands. Sorts by place in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TxPlace {
    /// Number of the block.
    pub block: BlockNumber,
    /// Index in the block.
    pub index: u32,
}

/// How a contract came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContractCreation {
    /// The contract.
    pub contract: Address,
    /// Who executed the creation: the sender, or the contract that created it.
    pub creator: Address,
    /// Hash of the transaction.
    pub tx_hash: TxHash,
    /// Where the transaction stands.
    pub place: TxPlace,
}

/// What the index takes from a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtsIndexBlock {
    /// Number and hash.
    pub block: BlockNumHash,
    /// Addresses with the index of a transaction that touched them; each pair once.
    pub touched: Vec<(Address, u32)>,
    /// Contracts that were created, in order: the last creation of a contract counts.
    pub created: Vec<ContractCreation>,
}

/// Part of the history of an address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OtsPage {
    /// Transactions in the direction of the search.
    pub places: Vec<TxPlace>,
    /// Whether there are more in that direction.
    pub more: bool,
}

/// The index. One writer, which appends blocks in order; any number of readers.
#[derive(Debug)]
pub struct OtsIndex {
    db: Arc<Database>,
    head: watch::Sender<BlockNumHash>,
}

impl OtsIndex {
    /// Opens (creates) the database under `path`, for programs that have no [`BlockchainProvider`](crate::BlockchainProvider) open there.
    ///
    /// # Errors
    /// When it belongs to another chain or a newer version, or is damaged.
    pub fn open(
        path: &Path,
        spec: &ZkChainSpec,
        options: &StorageOptions,
    ) -> Result<Self, StorageError> {
        let marker = ChainMarker { chain_id: spec.chain_id(), genesis: genesis_fingerprint(spec) };
        let genesis = spec.genesis_state().block_hash;
        Self::open_in(&DbEnv::new(options), path, &marker, genesis)
    }

    pub(crate) fn open_in(
        env: &DbEnv,
        path: &Path,
        marker: &ChainMarker,
        genesis_hash: B256,
    ) -> Result<Self, StorageError> {
        let db = Database::open(env, path, OTS_INDEX_DATABASE, &COLUMNS, marker)?;
        let head = match stored_head(&db)? {
            Some(head) => head,
            None => {
                // Block 0 has no transactions.
                let head = BlockNumHash::new(0, genesis_hash);
                let mut batch = WriteBatch::default();
                put_head(&db, &mut batch, head)?;
                db.write(batch, true)?;
                head
            }
        };
        Ok(Self { db, head: watch::channel(head).0 })
    }

    /// Last block in the index.
    pub fn head(&self) -> BlockNumHash {
        *self.head.borrow()
    }

    /// Follows [`Self::head`].
    pub fn watch_head(&self) -> watch::Receiver<BlockNumHash> {
        self.head.subscribe()
    }

    /// Adds blocks after the head.
    ///
    /// # Errors
    /// [`ProviderError::OutOfOrder`] when they do not follow it; nothing is written then.
    pub fn append(&self, blocks: &[OtsIndexBlock]) -> ProviderResult<()> {
        let mut head = self.head();
        let (address, creator) = (self.db.column(ADDRESS)?, self.db.column(CREATOR)?);
        let entry = versioned(&[]);
        let mut batch = WriteBatch::default();
        for block in blocks {
            let number = block.block.number;
            if number != head.number + 1 {
                return Err(ProviderError::OutOfOrder { number, expected: head.number + 1 });
            }
            for (touched, index) in &block.touched {
                let place = TxPlace { block: number, index: *index };
                batch.put_cf(address, address_key(touched, place), &entry);
            }
            for creation in &block.created {
                let value = versioned(&encode_creation(creation));
                batch.put_cf(creator, creation.contract, value);
            }
            head = block.block;
        }
        if blocks.is_empty() {
            return Ok(());
        }
        put_head(&self.db, &mut batch, head)?;
        self.db.write(batch, false)?;
        self.head.send_replace(head);
        Ok(())
    }

    /// History of an address before block `before`, newest first. `limit` transactions, and the rest of the block in which it is reached.
    pub fn before(
        &self,
        address: Address,
        before: BlockNumber,
        limit: usize,
    ) -> ProviderResult<OtsPage> {
        let Some(last) = before.checked_sub(1) else { return Ok(OtsPage::default()) };
        let mut entries = self.entries()?;
        entries.seek_for_prev(address_key(&address, TxPlace { block: last, index: u32::MAX }));
        self.page(&address, entries, limit, |entries| entries.prev())
    }

    /// History of an address after block `after`, oldest first. `limit` transactions, and the rest of the block in which it is reached.
    pub fn after(
        &self,
        address: Address,
        after: BlockNumber,
        limit: usize,
    ) -> ProviderResult<OtsPage> {
        let Some(first) = after.checked_add(1) else { return Ok(OtsPage::default()) };
        let mut entries = self.entries()?;
        entries.seek(address_key(&address, TxPlace { block: first, index: 0 }));
        self.page(&address, entries, limit, |entries| entries.next())
    }

    /// How a contract was created; `None` for what no transaction created.
    pub fn creator(&self, contract: Address) -> ProviderResult<Option<ContractCreation>> {
        let Some(value) = self.db.get(CREATOR, contract)? else { return Ok(None) };
        let payload = unversioned(&self.db, contract.as_slice(), &value)?;
        let creation = decode_creation(contract, payload);
        creation.map(Some).ok_or_else(|| {
            self.db.corrupt(contract, format!("creation does not have {CREATION_LEN} bytes"))
        })
    }

    /// Iterator that stays with the address it was put on.
    fn entries(&self) -> ProviderResult<DBRawIterator<'_>> {
        let mut options = ReadOptions::default();
        options.set_prefix_same_as_start(true);
        Ok(self.db.raw().raw_iterator_cf_opt(self.db.column(ADDRESS)?, options))
    }

    fn page<'a>(
        &'a self,
        address: &Address,
        mut entries: DBRawIterator<'a>,
        limit: usize,
        step: impl Fn(&mut DBRawIterator<'a>),
    ) -> ProviderResult<OtsPage> {
        let mut page = OtsPage::default();
        while let Some((key, value)) = entries.item() {
            let (owner, place) =
                split_key(key).ok_or_else(|| self.db.corrupt(key, "key has no 32 bytes"))?;
            if owner != address.as_slice() {
                break;
            }
            if !unversioned(&self.db, key, value)?.is_empty() {
                return Err(self.db.corrupt(key, "entry is not empty"));
            }
            if page.places.len() >= limit
                && page.places.last().is_some_and(|last| last.block != place.block)
            {
                page.more = true;
                break;
            }
            page.places.push(place);
            step(&mut entries);
        }
        entries.status().map_err(|error| self.db.error(&error))?;
        Ok(page)
    }
}

/// Head that an opened database names.
fn stored_head(db: &Database) -> ProviderResult<Option<BlockNumHash>> {
    let Some(value) = db.get(META, HEAD_KEY)? else { return Ok(None) };
    let head =
        unversioned(db, HEAD_KEY, &value)?.split_first_chunk::<8>().and_then(|(number, hash)| {
            let hash = B256::try_from(hash).ok()?;
            Some(BlockNumHash::new(u64::from_be_bytes(*number), hash))
        });
    head.map(Some).ok_or_else(|| db.corrupt(HEAD_KEY, "head does not have 40 bytes"))
}

fn put_head(db: &Database, batch: &mut WriteBatch, head: BlockNumHash) -> ProviderResult<()> {
    let mut value = [0; 40];
    value[..8].copy_from_slice(&head.number.to_be_bytes());
    value[8..].copy_from_slice(head.hash.as_slice());
    batch.put_cf(db.column(META)?, HEAD_KEY, versioned(&value));
    Ok(())
}

fn encode_place(place: TxPlace) -> [u8; PLACE_LEN] {
    let mut out = [0; PLACE_LEN];
    out[..8].copy_from_slice(&place.block.to_be_bytes());
    out[8..].copy_from_slice(&place.index.to_be_bytes());
    out
}

fn decode_place(bytes: &[u8; PLACE_LEN]) -> Option<TxPlace> {
    let (block, index) = bytes.split_first_chunk::<8>()?;
    let index: [u8; 4] = index.try_into().ok()?;
    Some(TxPlace { block: u64::from_be_bytes(*block), index: u32::from_be_bytes(index) })
}

fn address_key(address: &Address, place: TxPlace) -> [u8; KEY_LEN] {
    let mut key = [0; KEY_LEN];
    key[..ADDRESS_LEN].copy_from_slice(address.as_slice());
    key[ADDRESS_LEN..].copy_from_slice(&encode_place(place));
    key
}

fn split_key(key: &[u8]) -> Option<(&[u8], TxPlace)> {
    let (address, place) = key.split_last_chunk::<PLACE_LEN>()?;
    (address.len() == ADDRESS_LEN).then_some((address, decode_place(place)?))
}

fn encode_creation(creation: &ContractCreation) -> [u8; CREATION_LEN] {
    let mut out = [0; CREATION_LEN];
    let (place, rest) = out.split_at_mut(PLACE_LEN);
    let (hash, creator) = rest.split_at_mut(32);
    place.copy_from_slice(&encode_place(creation.place));
    hash.copy_from_slice(creation.tx_hash.as_slice());
    creator.copy_from_slice(creation.creator.as_slice());
    out
}

fn decode_creation(contract: Address, bytes: &[u8]) -> Option<ContractCreation> {
    let (place, rest) = bytes.split_first_chunk::<PLACE_LEN>()?;
    let (hash, creator) = rest.split_first_chunk::<32>()?;
    let creator: [u8; ADDRESS_LEN] = creator.try_into().ok()?;
    Some(ContractCreation {
        contract,
        creator: creator.into(),
        tx_hash: B256::from(*hash),
        place: decode_place(place)?,
    })
}
