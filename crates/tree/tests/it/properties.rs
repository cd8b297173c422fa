//! Random histories against the naive tree; forged proofs.

use crate::{Tree, WHOLE, naive::NaiveTree, new_tree, reopened};
use alloy_primitives::B256;
use proptest::{collection::vec, prelude::*, sample::Index};
use std::{collections::BTreeSet, sync::Arc};
use zkos_tree::{
    BatchProof, InMemoryStore, KeyProof, Lookup, MerkleTree, Operation, TreeError, TreeOptions,
};

/// Few different keys, so that updates are as frequent as inserts and neighbours are close.
fn key(seed: u8) -> B256 {
    let mut key = B256::repeat_byte(0x40);
    key[0] = seed / 16 * 16;
    key[31] = seed;
    key
}

/// Hashes are slow where they are not optimised.
const CASES: u32 = if cfg!(debug_assertions) { 8 } else { 128 };

type Entries = Vec<(B256, B256)>;

fn entries() -> impl Strategy<Value = Entries> {
    vec((any::<u8>(), 0u8..3), 0..24).prop_map(|writes| {
        let mut seen = BTreeSet::new();
        writes
            .into_iter()
            .filter(|(seed, _)| seen.insert(*seed))
            .map(|(seed, value)| (key(seed), B256::with_last_byte(value)))
            .collect()
    })
}

fn history() -> impl Strategy<Value = Vec<Entries>> {
    vec(entries(), 1..6)
}

fn keys() -> impl Strategy<Value = Vec<B256>> {
    vec(any::<u8>().prop_map(key), 0..12)
}

/// The naive tree after each version.
fn models(history: &[Entries]) -> Vec<NaiveTree> {
    let mut model = NaiveTree::new();
    let step = |entries: &Entries| {
        model.extend(entries);
        model.clone()
    };
    history.iter().map(step).collect()
}

fn build(history: &[Entries]) -> Tree {
    let mut tree = new_tree();
    for (version, entries) in (0..).zip(history) {
        tree.extend(version, entries).expect("valid entries");
    }
    tree
}

/// Everything that the tree says about each version agrees with the naive tree.
fn check(tree: &Tree, models: &[NaiveTree]) {
    assert_eq!(tree.latest_version(), Some(models.len() as u64 - 1));
    for (version, model) in (0..).zip(models) {
        let expected = model.output();
        assert_eq!(tree.output(version).expect("known"), expected);
        let view = tree.view(version).expect("history is kept");
        assert_eq!(view.output(), expected);
        for seed in 0..=u8::MAX {
            let key = key(seed);
            assert_eq!(view.get(&key).expect(WHOLE), model.get(&key));
            // Each proof costs up to 128 hashes, so another few per version.
            if u64::from(seed) % 61 == version {
                let proof = view.prove(&key).expect(WHOLE);
                assert_eq!(proof.verify(&key, &expected.root), Ok(model.get(&key)));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn agrees_with_the_naive_tree(history in history(), burst in history()) {
        let mut tree = build(&history);
        let next = history.len() as u64;
        tree.extend_batch(next, &burst).expect("valid entries");
        let models = models(&[history, burst].concat());
        check(&tree, &models);
        check(&reopened(&tree), &models);
    }

    /// Room for two pages, and a checkpoint before nearly every update.
    #[test]
    fn a_tiny_cache_changes_nothing(history in history(), to in any::<Index>(), other in history()) {
        let options = TreeOptions {
            cache_bytes: 3000,
            checkpoint_log_bytes: 1000,
            background_checkpoints: true,
        };
        let open = |store| MerkleTree::open_with(store, options).expect(WHOLE);
        let mut tree = open(Arc::new(InMemoryStore::new()));
        for (version, entries) in (0..).zip(&history) {
            tree.extend(version, entries).expect("valid entries");
        }
        check(&tree, &models(&history));
        check(&open(tree.store().clone()), &models(&history));
        let to = to.index(history.len());
        tree.truncate(to as u64).expect("history is kept");
        tree.extend_batch(to as u64 + 1, &other).expect("valid entries");
        let models = models(&[&history[..=to], &other].concat());
        check(&tree, &models);
        tree.verify().expect(WHOLE);
        tree.checkpoint().expect("memory");
        check(&open(tree.store().clone()), &models);
    }

    #[test]
    fn truncation_forgets(history in history(), other in history(), to in any::<Index>()) {
        let mut tree = build(&history);
        let to = to.index(history.len());
        let output = tree.truncate(to as u64).expect("history is kept");
        let kept = &history[..=to];
        prop_assert_eq!(output, models(kept)[to].output());
        check(&tree, &models(kept));
        check(&reopened(&tree), &models(kept));

        for (version, entries) in (to as u64 + 1..).zip(&other) {
            tree.extend(version, entries).expect("valid entries");
        }
        check(&tree, &models(&[kept, &other].concat()));
    }

    #[test]
    fn repeated_versions_are_compared(history in history(), other in entries(), at in any::<Index>()) {
        let mut tree = build(&history);
        let at = at.index(history.len());
        let models = models(&history);
        // The same list, and the same list with known keys moved to the end.
        let mut moved = history[at].clone();
        moved.sort_by_key(|(key, _)| at > 0 && models[at - 1].get(key).is_some());
        for entries in [&history[at], &moved] {
            prop_assert_eq!(tree.extend(at as u64, entries).expect("the same root"), models[at].output());
        }

        let mut forked = if at == 0 { NaiveTree::new() } else { models[at - 1].clone() };
        forked.extend(&other);
        match tree.extend(at as u64, &other) {
            Ok(output) => prop_assert_eq!(output, forked.output()),
            Err(TreeError::VersionMismatch { version, recorded, computed }) => {
                prop_assert_eq!(version, at as u64);
                prop_assert_eq!(recorded, models[at].output().root);
                prop_assert_eq!(computed, Some(forked.output().root));
                prop_assert_ne!(computed, Some(recorded));
            }
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        }
        check(&tree, &models);
    }

    #[test]
    fn witnesses_lead_to_the_next_root(history in history(), writes in entries(), reads in keys()) {
        let tree = build(&history);
        let write_keys: Vec<B256> = writes.iter().map(|(key, _)| *key).collect();
        for (version, model) in (0..).zip(models(&history)) {
            let proof = tree.prove_batch(version, &reads, &write_keys).expect("history is kept");
            let proof = BatchProof::decode(&proof.encode()).expect("own encoding");
            let verified = proof.verify(Some(model.output()), &reads, &writes).expect("own proof");
            let mut after = model.clone();
            after.extend(&writes);
            prop_assert_eq!(verified.output, after.output());
            prop_assert_eq!(verified.reads, reads.iter().map(|key| model.get(key)).collect::<Vec<_>>());
        }
        let first = BatchProof::default().verify(None, &[], &writes).expect("genesis");
        let mut model = NaiveTree::new();
        model.extend(&writes);
        prop_assert_eq!(first.output, model.output());
    }

    #[test]
    fn forged_witnesses_are_refused(
        history in history(),
        writes in entries(),
        reads in keys(),
        at in any::<Index>(),
        flip in 1u8..,
    ) {
        let tree = build(&history);
        let view = tree.view(tree.latest_version().expect("a version")).expect("latest");
        let previous = view.output();
        let write_keys: Vec<B256> = writes.iter().map(|(key, _)| *key).collect();
        let proof = view.prove_batch(&reads, &write_keys).expect(WHOLE);
        let verified = proof.verify(Some(previous), &reads, &writes).expect("own proof");

        // One byte changed anywhere in the encoding.
        let mut bytes = proof.encode();
        let position = at.index(bytes.len());
        bytes[position] ^= flip;
        if let Ok(forged) = BatchProof::decode(&bytes) {
            prop_assert_ne!(&forged, &proof);
            prop_assert!(forged.verify(Some(previous), &reads, &writes).is_err());
        }
        // Any proof that is accepted proves the same, so parts may be missing only if nothing needs
        // them.
        let mut forgeries = vec![proof.clone(); 5];
        forgeries[0].leaves.pop();
        forgeries[1].hashes.pop();
        forgeries[2].hashes.push(B256::ZERO);
        forgeries[3].operations.push(Operation::Hit(0));
        forgeries[4].read_operations.push(Operation::Miss(0));
        for forged in forgeries.iter().filter(|forged| **forged != proof) {
            prop_assert!(forged.verify(Some(previous), &reads, &writes).is_err());
        }

        // Another list of writes, or another tree.
        let mut changed = writes.clone();
        if let Some((_, value)) = changed.first_mut() {
            value[0] ^= flip;
            let output = proof.verify(Some(previous), &reads, &changed).expect("values are free").output;
            prop_assert_ne!(output, verified.output);
        }
        if !proof.leaves.is_empty() {
            let mut other = previous;
            other.root[at.index(32)] ^= flip;
            prop_assert!(proof.verify(Some(other), &reads, &writes).is_err());
        }
        for key in write_keys.iter().chain(&reads).take(1) {
            let doubled = [&writes[..], &[(*key, B256::ZERO), (*key, B256::ZERO)]].concat();
            let keys: Vec<B256> = doubled.iter().map(|(key, _)| *key).collect();
            let proof = view.prove_batch(&reads, &keys).expect(WHOLE);
            prop_assert!(proof.verify(Some(previous), &reads, &doubled).is_err());
        }
    }

    #[test]
    fn forged_key_proofs_are_refused(history in history(), seed: u8, at in any::<Index>(), flip in 1u8..) {
        let tree = build(&history);
        let view = tree.view(tree.latest_version().expect("a version")).expect("latest");
        let (key, root) = (key(seed), view.root());
        let proof = view.prove(&key).expect(WHOLE);
        prop_assert_eq!(proof.verify(&key, &root), Ok(view.get(&key).expect(WHOLE)));

        let mut other_key = key;
        other_key[at.index(32)] ^= flip;
        if let KeyProof::Existing(_) = proof {
            prop_assert!(proof.verify(&other_key, &root).is_err());
        }
        let leaf_of = |proof: &mut KeyProof, change: &dyn Fn(&mut zkos_tree::LeafProof)| match proof {
            KeyProof::Existing(leaf) => change(leaf),
            KeyProof::NonExisting { left_neighbor, right_neighbor } => {
                change(if flip % 2 == 0 { &mut left_neighbor.leaf } else { &mut right_neighbor.leaf });
            }
        };
        let forge = |change: &dyn Fn(&mut zkos_tree::LeafProof)| {
            let mut forged = proof.clone();
            leaf_of(&mut forged, change);
            forged.verify(&key, &root)
        };
        prop_assert!(forge(&|leaf| leaf.value[at.index(32)] ^= flip).is_err());
        prop_assert!(forge(&|leaf| leaf.next_index ^= u64::from(flip)).is_err());
        prop_assert!(forge(&|leaf| leaf.index ^= u64::from(flip)).is_err());
        let other_sibling = forge(&|leaf| {
            let height = at.index(leaf.siblings.len());
            leaf.siblings[height][0] ^= flip;
        });
        prop_assert!(other_sibling.is_err());
        prop_assert!(forge(&|leaf| leaf.siblings = vec![B256::ZERO; 65]).is_err());

        // A key that is there can't be shown missing by stepping over its leaf.
        if let Lookup::Existing { index } = view.lookup(&key).expect(WHOLE) {
            let mut below = key;
            below[31] = below[31].wrapping_sub(1);
            let mut above = key;
            above[31] = above[31].wrapping_add(1);
            for neighbor in [below, above] {
                if let forged @ KeyProof::NonExisting { .. } = view.prove(&neighbor).expect(WHOLE) {
                    prop_assert!(forged.verify(&key, &root).is_err(), "leaf {index} is hidden");
                }
            }
        }
    }

    #[test]
    fn noise_is_refused(bytes in vec(any::<u8>(), 0..400)) {
        if let Ok(proof) = BatchProof::decode(&bytes) {
            prop_assert_eq!(proof.encode(), bytes);
        }
    }
}
