//! State during a batch: what the blocks so far wrote, above the state before the batch.

use alloy_primitives::{
    Address, B256, Bytes, U256,
    map::{B256Map, B256Set},
};
use std::{cell::Cell, sync::LazyLock};
use zkos_executor::{StateError, StateView};
use zkos_primitives::{
    AccountProperties, BlockOutput, account_properties_flat_key, blake2s, flat_storage_key,
};
use zkos_tree::{Leaf, Operation};

/// State before a batch, as the tree and the preimages know it.
pub trait StateReader {
    /// Value of a leaf by flat key, `None` if the tree has no such leaf.
    ///
    /// # Errors
    /// When the source fails.
    fn leaf(&mut self, key: B256) -> Result<Option<B256>, StateError>;

    /// Preimage of a Blake2s hash.
    ///
    /// # Errors
    /// When the source fails.
    fn preimage(&mut self, hash: B256) -> Result<Option<Bytes>, StateError>;
}

impl<R: StateReader + ?Sized> StateReader for &mut R {
    fn leaf(&mut self, key: B256) -> Result<Option<B256>, StateError> {
        (**self).leaf(key)
    }
    fn preimage(&mut self, hash: B256) -> Result<Option<Bytes>, StateError> {
        (**self).preimage(hash)
    }
}

/// Hash of the record of an account that has nothing. Its preimage is known to everybody.
static EMPTY_ACCOUNT: LazyLock<B256> =
    LazyLock::new(|| AccountProperties::default().compute_hash());

/// The state that the blocks of a batch see.
#[derive(Debug)]
pub(crate) struct BatchState<R> {
    pub(crate) before: R,
    written: B256Map<B256>,
    published: B256Map<Bytes>,
}

impl<R: StateReader> BatchState<R> {
    pub(crate) fn new(before: R) -> Self {
        Self { before, written: B256Map::default(), published: B256Map::default() }
    }

    /// Makes what a block wrote visible to the next one.
    pub(crate) fn apply(&mut self, output: &mut BlockOutput) {
        self.written.extend(output.storage_writes.iter().map(|write| (write.key, write.value)));
        let published = std::mem::take(&mut output.published_preimages);
        self.published.extend(published.into_iter().map(|(hash, bytes)| (hash, bytes.into())));
    }

    /// Values after the blocks so far.
    pub(crate) fn written(&self, key: &B256) -> Option<B256> {
        self.written.get(key).copied()
    }

    fn read(&mut self, key: B256) -> Result<Option<B256>, StateError> {
        match self.written.get(&key) {
            Some(value) => Ok(Some(*value)),
            None => self.before.leaf(key),
        }
    }
}

impl<R: StateReader> StateView for BatchState<R> {
    fn account(&mut self, address: Address) -> Result<Option<AccountProperties>, StateError> {
        let Some(hash) = self.read(account_properties_flat_key(address))? else {
            return Ok(None);
        };
        if hash.is_zero() || hash == *EMPTY_ACCOUNT {
            return Ok(Some(AccountProperties::default()));
        }
        let encoded = self.preimage(hash)?.ok_or(StateError::MissingAccount { address, hash })?;
        AccountProperties::decode(&encoded)
            .map(Some)
            .map_err(|_| StateError::MalformedPreimage { hash, reason: "account record length" })
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<Option<U256>, StateError> {
        let key = flat_storage_key(address, B256::from(slot));
        Ok(self.read(key)?.map(Into::into))
    }

    fn preimage(&mut self, hash: B256) -> Result<Option<Bytes>, StateError> {
        match self.published.get(&hash) {
            Some(bytes) => Ok(Some(bytes.clone())),
            None => self.before.preimage(hash),
        }
    }
}

/// Notes what a batch reads of the state before it.
#[derive(Debug)]
pub(crate) struct Recorder<R> {
    inner: R,
    pub(crate) keys: B256Set,
    pub(crate) preimages: B256Map<Bytes>,
}

impl<R: StateReader> Recorder<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, keys: B256Set::default(), preimages: B256Map::default() }
    }
}

impl<R: StateReader> StateReader for Recorder<R> {
    fn leaf(&mut self, key: B256) -> Result<Option<B256>, StateError> {
        self.keys.insert(key);
        self.inner.leaf(key)
    }

    fn preimage(&mut self, hash: B256) -> Result<Option<Bytes>, StateError> {
        if let Some(known) = self.preimages.get(&hash) {
            return Ok(Some(known.clone()));
        }
        let found = self.inner.preimage(hash)?;
        if let Some(found) = &found {
            self.preimages.insert(hash, found.clone());
        }
        Ok(found)
    }
}

/// The witness does not have what the batch reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// Neither a leaf nor the two leaves between which it would be.
    #[error("nothing in the witness tells the value of key {0}")]
    UnknownKey(B256),
}

/// The leaves of an input, by key. What they say is proved only afterwards.
#[derive(Debug)]
pub(crate) struct Leaves<'a> {
    /// Ascending by key.
    by_key: Vec<&'a (u64, Leaf)>,
    /// Index of the leaf after each, in the order of the input.
    by_index: &'a [(u64, Leaf)],
}

impl<'a> Leaves<'a> {
    pub(crate) fn new(leaves: &'a [(u64, Leaf)]) -> Self {
        let mut by_key: Vec<_> = leaves.iter().collect();
        by_key.sort_unstable_by_key(|(_, leaf)| leaf.key());
        Self { by_key, by_index: leaves }
    }

    /// Where a key stands, if the leaves tell.
    pub(crate) fn locate(&self, key: &B256) -> Option<(Operation, &Leaf)> {
        let above = self.by_key.partition_point(|(_, leaf)| leaf.key() <= *key);
        let (index, leaf) = self.by_key[above.checked_sub(1)?];
        if leaf.key() == *key {
            return Some((Operation::Hit(*index), leaf));
        }
        let next = self.by_index.binary_search_by_key(&leaf.next(), |(index, _)| *index).ok()?;
        (self.by_index[next].1.key() > *key).then_some((Operation::Miss(*index), leaf))
    }
}

/// State before a batch, from its witness alone. Notes what is used.
#[derive(Debug)]
pub(crate) struct WitnessState<'a> {
    pub(crate) leaves: Leaves<'a>,
    pub(crate) keys: B256Set,
    preimages: B256Map<(&'a Bytes, Cell<bool>)>,
}

impl<'a> WitnessState<'a> {
    /// Fails with the first hash that is out of order.
    pub(crate) fn new(leaves: &'a [(u64, Leaf)], preimages: &'a [Bytes]) -> Result<Self, B256> {
        let mut known = B256Map::default();
        let mut last = None;
        for bytes in preimages {
            let hash = blake2s(bytes);
            if last.is_some_and(|last| hash <= last) {
                return Err(hash);
            }
            last = Some(hash);
            known.insert(hash, (bytes, Cell::new(false)));
        }
        Ok(Self { leaves: Leaves::new(leaves), keys: B256Set::default(), preimages: known })
    }

    /// A preimage that was not read, the one with the smallest hash.
    pub(crate) fn unused_preimage(&self) -> Option<B256> {
        self.preimages.iter().filter(|(_, (_, used))| !used.get()).map(|(hash, _)| *hash).min()
    }
}

impl StateReader for WitnessState<'_> {
    fn leaf(&mut self, key: B256) -> Result<Option<B256>, StateError> {
        let (operation, leaf) = self
            .leaves
            .locate(&key)
            .ok_or_else(|| StateError::Backend(Box::new(WitnessError::UnknownKey(key))))?;
        let value = matches!(operation, Operation::Hit(_)).then(|| leaf.value());
        self.keys.insert(key);
        Ok(value)
    }

    fn preimage(&mut self, hash: B256) -> Result<Option<Bytes>, StateError> {
        Ok(self.preimages.get(&hash).map(|(bytes, used)| {
            used.set(true);
            (*bytes).clone()
        }))
    }
}
