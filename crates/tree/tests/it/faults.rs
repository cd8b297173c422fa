//! Stores that fail or hold nonsense.

use alloy_primitives::B256;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use zkos_tree::{
    Corruption, InMemoryStore, Leaf, Manifest, MerkleTree, StoreError, TreeError, TreeStore,
    TreeUpdate, UndoRecord, VersionRecord,
};

/// Refuses updates while `broken`; `twist` changes what is read.
#[derive(Debug, Default)]
struct Faulty {
    inner: InMemoryStore,
    broken: AtomicBool,
    twist: Option<Twist>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Twist {
    ValueOfALeaf,
    LinkOfALeaf,
    MissingLeaf,
    RootOfManifest,
    NoVersionRecords,
    NoUndoRecords,
    UndoOfUnknownLeaf,
    UndoOfOtherValue,
    UndoOfOtherCount,
}

impl TreeStore for Faulty {
    fn manifest(&self) -> Result<Option<Manifest>, StoreError> {
        let mut manifest = self.inner.manifest()?;
        if let (Some(Twist::RootOfManifest), Some(manifest)) = (self.twist, &mut manifest) {
            manifest.root[0] ^= 1;
        }
        Ok(manifest)
    }

    fn leaves(&self) -> Result<Vec<Leaf>, StoreError> {
        let mut leaves = self.inner.leaves()?;
        let leaf = leaves[2];
        match self.twist {
            Some(Twist::ValueOfALeaf) => leaves[2] = Leaf::new(leaf.key(), B256::ZERO, leaf.next()),
            Some(Twist::LinkOfALeaf) => {
                leaves[2] = Leaf::new(leaf.key(), leaf.value(), leaf.next() + 1000);
            }
            Some(Twist::MissingLeaf) => drop(leaves.pop()),
            _ => {}
        }
        Ok(leaves)
    }

    fn version_record(&self, version: u64) -> Result<Option<VersionRecord>, StoreError> {
        let record = self.inner.version_record(version)?;
        Ok(record.filter(|_| self.twist != Some(Twist::NoVersionRecords)))
    }

    fn undo_record(&self, version: u64) -> Result<Option<UndoRecord>, StoreError> {
        let mut record =
            self.inner.undo_record(version)?.filter(|_| self.twist != Some(Twist::NoUndoRecords));
        if let Some(record) = &mut record {
            match self.twist {
                Some(Twist::UndoOfUnknownLeaf) => record.leaves.push((1000, record.leaves[0].1)),
                Some(Twist::UndoOfOtherValue) => {
                    record.leaves[0].1 = Leaf::new(B256::ZERO, B256::ZERO, 1);
                }
                Some(Twist::UndoOfOtherCount) => record.leaf_count += 1,
                _ => {}
            }
        }
        Ok(record)
    }

    fn apply(&self, update: TreeUpdate) -> Result<(), StoreError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err("disk is full".into());
        }
        self.inner.apply(update)
    }
}

fn entry(key: u8, value: u8) -> (B256, B256) {
    (B256::repeat_byte(key), B256::repeat_byte(value))
}

fn fill(store: Faulty) -> MerkleTree<Arc<Faulty>> {
    let mut tree = MerkleTree::open(Arc::new(store)).expect("an empty store opens");
    tree.extend(0, &[entry(0x30, 1), entry(0x50, 1)]).expect("valid entries");
    tree.extend(1, &[entry(0x40, 1), entry(0x30, 2)]).expect("valid entries");
    tree.extend(2, &[entry(0x60, 1), entry(0x30, 3)]).expect("valid entries");
    tree
}

#[test]
fn a_failing_store_leaves_the_tree_as_it_was() {
    let mut fresh =
        MerkleTree::open(Faulty { broken: true.into(), ..Faulty::default() }).expect("opens");
    assert!(matches!(fresh.extend(0, &[entry(3, 3)]), Err(TreeError::Store { .. })));
    assert_eq!(fresh.latest(), None);
    fresh.store().broken.store(false, Ordering::Relaxed);
    let after_failure = fresh.extend(0, &[entry(0x30, 1), entry(0x50, 1)]).expect("valid entries");

    let mut tree = fill(Faulty::default());
    assert_eq!(tree.root(0).expect("known"), after_failure.root);
    let before = tree.latest();
    tree.store().broken.store(true, Ordering::Relaxed);
    let versions = [vec![entry(0x45, 1), entry(0x30, 9)], vec![entry(0x46, 1), entry(0x45, 2)]];
    assert!(matches!(tree.extend_batch(3, &versions), Err(TreeError::Store { .. })));
    assert!(matches!(tree.truncate(1), Err(TreeError::Store { .. })));
    assert!(matches!(tree.retain_from(1), Err(TreeError::Store { .. })));
    assert_eq!((tree.latest(), tree.oldest_version()), (before, Some(0)));
    assert_eq!(tree.get(&B256::repeat_byte(0x45)), None);
    assert_eq!(tree.view(0).expect("kept").root(), after_failure.root);

    tree.store().broken.store(false, Ordering::Relaxed);
    let output = tree.extend_batch(3, &versions).expect("valid entries");
    let mut expected = fill(Faulty::default());
    assert_eq!(expected.extend_batch(3, &versions).expect("valid entries"), output);
    assert_eq!(MerkleTree::open(tree.store().clone()).expect("opens").latest(), Some(output));
}

fn twisted(twist: Twist) -> Faulty {
    let tree = fill(Faulty::default());
    let store = tree.store().clone();
    drop(tree);
    Faulty { twist: Some(twist), ..Arc::into_inner(store).expect("the tree is gone") }
}

#[test]
fn corrupt_leaves_are_found_at_open() {
    let open = |twist| match MerkleTree::open(twisted(twist)) {
        Err(TreeError::Corrupt(corruption)) => corruption,
        other => panic!("{twist:?}: {other:?}"),
    };
    assert!(matches!(open(Twist::ValueOfALeaf), Corruption::Root { version: 2, .. }));
    assert!(matches!(open(Twist::RootOfManifest), Corruption::Root { version: 2, .. }));
    assert!(matches!(open(Twist::LinkOfALeaf), Corruption::BrokenList { index: 2 }));
    assert!(matches!(open(Twist::MissingLeaf), Corruption::LeafCount { recorded: 6, found: 5 }));
}

#[test]
fn corrupt_history_is_found_when_used() {
    let view = |twist| {
        let mut tree = MerkleTree::open(twisted(twist)).expect("leaves are fine");
        let latest = tree.latest();
        let Err(TreeError::Corrupt(of_truncation)) = tree.truncate(0) else { panic!("{twist:?}") };
        assert_eq!(tree.latest(), latest);
        match tree.view(0) {
            Err(TreeError::Corrupt(corruption)) => {
                assert_eq!(corruption, of_truncation);
                corruption
            }
            other => panic!("{twist:?}: {other:?}"),
        }
    };
    assert!(matches!(view(Twist::NoVersionRecords), Corruption::MissingRecord { version: 0, .. }));
    assert!(matches!(view(Twist::NoUndoRecords), Corruption::MissingRecord { version: 2, .. }));
    assert!(matches!(
        view(Twist::UndoOfUnknownLeaf),
        Corruption::UndoLeaf { version: 2, index: 1000 }
    ));
    assert!(matches!(view(Twist::UndoOfOtherValue), Corruption::Root { version: 0, .. }));
    assert!(matches!(view(Twist::UndoOfOtherCount), Corruption::LeafCount { .. }));
}
