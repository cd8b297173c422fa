//! State of the blocks that are not in the databases yet.

use alloy_primitives::{B256, Bytes, map::HashMap};
use parking_lot::RwLock;
use zkos_primitives::{BlockOutput, ReplayRecord};

/// Shards of the maps: the engine writes one key while others are read.
const SHARDS: usize = 64;

fn shard_of(key: &B256) -> usize {
    key[0] as usize % SHARDS
}

/// Values of one flat key with the blocks that wrote them, ascending. Nearly always one or a few.
type Versions = Vec<(u64, B256)>;

/// Versioned values by flat key, and preimages by hash.
#[derive(Debug)]
pub(crate) struct Overlay {
    slots: Vec<RwLock<HashMap<B256, Versions>>>,
    // With the last block that published the preimage.
    preimages: Vec<RwLock<HashMap<B256, (u64, Bytes)>>>,
}

impl Overlay {
    pub(crate) fn new() -> Self {
        Self {
            slots: (0..SHARDS).map(|_| RwLock::default()).collect(),
            preimages: (0..SHARDS).map(|_| RwLock::default()).collect(),
        }
    }

    /// Puts what a block wrote. Readers of earlier blocks don't see it.
    pub(crate) fn insert(&self, number: u64, output: &BlockOutput, record: &ReplayRecord) {
        for write in &output.storage_writes {
            let mut shard = self.slots[shard_of(&write.key)].write();
            shard.entry(write.key).or_default().push((number, write.value));
        }
        for (hash, bytes) in preimages(output, record) {
            let mut shard = self.preimages[shard_of(&hash)].write();
            shard
                .entry(hash)
                .and_modify(|(last, _)| *last = number)
                .or_insert_with(|| (number, bytes.to_bytes()));
        }
    }

    /// Value of a key at the end of block `number`, if an unflushed block up to it wrote the key.
    pub(crate) fn slot(&self, key: &B256, number: u64) -> Option<B256> {
        let shard = self.slots[shard_of(key)].read();
        let versions = shard.get(key)?;
        versions.iter().rev().find(|(block, _)| *block <= number).map(|(_, value)| *value)
    }

    /// A preimage that is not in the database yet.
    pub(crate) fn preimage(&self, hash: &B256) -> Option<Bytes> {
        let shard = self.preimages[shard_of(hash)].read();
        shard.get(hash).map(|(_, bytes)| bytes.clone())
    }

    /// Forgets the values of a key up to block `flushed`. `hand_over` gets the last of them while no reader can miss it: the key is still locked.
    pub(crate) fn remove_slot(&self, key: &B256, flushed: u64, hand_over: impl FnOnce(u64, B256)) {
        let mut shard = self.slots[shard_of(key)].write();
        let Some(versions) = shard.get_mut(key) else { return };
        let count = versions.partition_point(|(block, _)| *block <= flushed);
        let Some((block, value)) = versions.drain(..count).next_back() else { return };
        if versions.is_empty() {
            shard.remove(key);
        }
        hand_over(block, value);
    }

    /// Forgets a preimage unless a block after `flushed` published it again.
    pub(crate) fn remove_preimage(&self, hash: &B256, flushed: u64) -> Option<Bytes> {
        let mut shard = self.preimages[shard_of(hash)].write();
        if shard.get(hash)?.0 > flushed {
            return None;
        }
        shard.remove(hash).map(|(_, bytes)| bytes)
    }
}

/// A preimage as a block has it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PreimageRef<'a> {
    /// Published by the execution.
    Published(&'a [u8]),
    /// Given to the execution.
    Forced(&'a Bytes),
}

impl PreimageRef<'_> {
    pub(crate) fn to_bytes(self) -> Bytes {
        match self {
            Self::Published(bytes) => Bytes::copy_from_slice(bytes),
            Self::Forced(bytes) => bytes.clone(),
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Published(bytes) => bytes,
            Self::Forced(bytes) => bytes,
        }
    }
}

/// All preimages that a block adds: what it published and what force deployments were offered.
pub(crate) fn preimages<'a>(
    output: &'a BlockOutput,
    record: &'a ReplayRecord,
) -> impl Iterator<Item = (B256, PreimageRef<'a>)> {
    let published = output
        .published_preimages
        .iter()
        .map(|(hash, bytes)| (*hash, PreimageRef::Published(bytes)));
    let forced =
        record.force_preimages.iter().map(|(hash, bytes)| (*hash, PreimageRef::Forced(bytes)));
    published.chain(forced)
}
