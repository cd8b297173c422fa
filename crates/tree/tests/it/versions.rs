//! Gaps, repetition, pruning, full paths.

use crate::{Tree, WHOLE, new_tree, reopened};
use alloy_primitives::B256;
use zkos_tree::{BatchProof, Lookup, Operation, ProofError, TreeError, TreeOutput, hash_node};

fn entry(key: u8, value: u8) -> (B256, B256) {
    (B256::repeat_byte(key), B256::repeat_byte(value))
}

/// Versions 0 to 5, each with one new key.
fn six_versions() -> (Tree, Vec<TreeOutput>) {
    let mut tree = new_tree();
    let outputs = (0..6).map(|version| {
        let key = 0x20 + 7 * version as u8;
        tree.extend(version, &[entry(key, 1), entry(0x10, key)]).expect("valid entries")
    });
    let outputs = outputs.collect();
    (tree, outputs)
}

#[test]
fn nothing_before_genesis() {
    let mut tree = new_tree();
    assert_eq!((tree.latest(), tree.latest_version(), tree.oldest_version()), (None, None, None));
    assert_eq!(tree.get(&B256::ZERO).expect(WHOLE), None);
    assert!(matches!(tree.root(0), Err(TreeError::UnknownVersion { version: 0, latest: None })));
    assert!(matches!(tree.prove(0, &[]), Err(TreeError::UnknownVersion { .. })));
    assert!(matches!(tree.truncate(0), Err(TreeError::UnknownVersion { .. })));
    assert!(matches!(tree.extend(1, &[]), Err(TreeError::VersionGap { expected: 0, got: 1 })));
    assert!(matches!(tree.extend_batch::<Vec<_>>(0, &[]), Err(TreeError::UnknownVersion { .. })));
    let output = tree.extend(0, &[]).expect("no entries");
    assert_eq!(output.leaf_count, 2);
    assert_eq!(tree.extend_batch::<Vec<_>>(1, &[]).expect("nothing to do"), output);
}

#[test]
fn gaps_and_bad_entries() {
    let (mut tree, outputs) = six_versions();
    assert!(matches!(tree.extend(7, &[]), Err(TreeError::VersionGap { expected: 6, got: 7 })));
    assert!(matches!(tree.root(6), Err(TreeError::UnknownVersion { version: 6, latest: Some(5) })));
    for entries in [[entry(0x77, 1), entry(0x77, 2)], [entry(0x20, 1), entry(0x20, 1)]] {
        let error = tree.extend(6, &entries).expect_err("a repeated key");
        assert!(
            matches!(error, TreeError::DuplicateKey { version: 6, key } if key == entries[0].0)
        );
        // A bad version takes the good ones of its update with it.
        let update = [vec![entry(0x66, 1)], entries.to_vec()];
        assert!(matches!(
            tree.extend_batch(6, &update),
            Err(TreeError::DuplicateKey { version: 7, .. })
        ));
    }
    for guard in [0, 0xff] {
        assert!(matches!(
            tree.extend(6, &[entry(guard, 1)]),
            Err(TreeError::GuardKey { version: 6, .. })
        ));
        assert!(matches!(
            new_tree().extend(0, &[entry(guard, 1)]),
            Err(TreeError::GuardKey { version: 0, .. })
        ));
    }
    assert_eq!(tree.latest(), outputs.last().copied());
    assert_eq!(reopened(&tree).latest(), outputs.last().copied());
    assert_eq!(tree.get(&B256::repeat_byte(0x66)).expect(WHOLE), None);

    let mut fresh = new_tree();
    fresh.extend(0, &[entry(1, 1), entry(1, 2)]).expect_err("a repeated key");
    assert_eq!(fresh.latest(), None);
    assert_eq!(
        fresh.extend(0, &[entry(0x20, 1), entry(0x10, 0x20)]).expect("valid entries"),
        outputs[0]
    );
}

#[test]
fn an_update_may_start_in_the_past() {
    let (mut tree, outputs) = six_versions();
    let versions: Vec<_> = (4..8u8)
        .map(|version| vec![entry(0x20 + 7 * version, 1), entry(0x10, 0x20 + 7 * version)])
        .collect();
    tree.extend_batch(4, &versions).expect("two known, two new");
    assert_eq!(tree.latest_version(), Some(7));
    assert_eq!(tree.output(4).expect("known"), outputs[4]);

    let mut versions = versions;
    versions[1][0].1 = B256::ZERO;
    let error = tree.extend_batch(4, &versions).expect_err("version 5 is another");
    assert!(
        matches!(error, TreeError::VersionMismatch { version: 5, recorded, computed: Some(_) } if recorded == outputs[5].root)
    );
}

#[test]
fn pruning() {
    let (mut tree, outputs) = six_versions();
    tree.retain_from(3).expect("known");
    tree.retain_from(2).expect("nothing to do");
    for mut tree in [reopened(&tree), tree] {
        assert_eq!(tree.oldest_version(), Some(3));
        assert!(matches!(tree.view(2), Err(TreeError::HistoryPruned { version: 2, oldest: 3 })));
        assert!(matches!(tree.truncate(2), Err(TreeError::HistoryPruned { .. })));
        // Roots are kept, and so is the comparison of repeated versions.
        for (version, output) in (0..).zip(&outputs) {
            assert_eq!(tree.output(version).expect("known"), *output);
            assert_eq!(tree.leaf_count(version).expect("known"), output.leaf_count);
            let key = 0x20 + 7 * version as u8;
            assert_eq!(
                tree.extend(version, &[entry(key, 1), entry(0x10, key)]).expect("the same"),
                *output
            );
        }
        let error = tree.extend(2, &[]).expect_err("another version");
        assert!(matches!(error, TreeError::VersionMismatch { version: 2, computed: None, .. }));
        assert!(matches!(
            tree.extend(4, &[]),
            Err(TreeError::VersionMismatch { version: 4, computed: Some(_), .. })
        ));
        assert_eq!(tree.view(3).expect("kept").output(), outputs[3]);
    }
    let (mut tree, outputs) = six_versions();
    tree.retain_from(3).expect("known");
    assert_eq!(tree.truncate(3).expect("kept"), outputs[3]);
    assert!(matches!(tree.retain_from(4), Err(TreeError::UnknownVersion { .. })));
    tree.retain_from(3).expect("nothing to do");
    assert_eq!(tree.extend(4, &[]).expect("valid").leaf_count, outputs[3].leaf_count);
    assert_eq!(reopened(&tree).view(3).expect("kept").output(), outputs[3]);
}

#[test]
fn full_paths_lead_to_the_root() {
    let (tree, outputs) = six_versions();
    for (version, output) in (0..).zip(&outputs) {
        let view = tree.view(version).expect("kept");
        assert_eq!(view.full_path(view.leaf_count()).expect(WHOLE), None);
        for index in 0..view.leaf_count() {
            let mut hash = view.leaf(index).expect(WHOLE).expect("within the count").hash();
            for (height, sibling) in
                view.full_path(index).expect(WHOLE).expect("within the count").iter().enumerate()
            {
                hash = match (index >> height) & 1 {
                    0 => hash_node(&hash, sibling),
                    _ => hash_node(sibling, &hash),
                };
            }
            assert_eq!(hash, output.root);
        }
    }
}

#[test]
fn lookup_of_old_neighbours() {
    let (tree, _) = six_versions();
    // Version 0 holds 0x20 (leaf 2) and 0x10 (leaf 3); 0x27 came with version 1 as leaf 4.
    let probe = B256::repeat_byte(0x28);
    assert_eq!(
        tree.view(0).expect("kept").lookup(&probe).expect(WHOLE),
        Lookup::Missing { left: 2, right: 1 }
    );
    assert_eq!(
        tree.view(1).expect("kept").lookup(&probe).expect(WHOLE),
        Lookup::Missing { left: 4, right: 1 }
    );
    let later = B256::repeat_byte(0x27);
    assert_eq!(
        tree.view(0).expect("kept").lookup(&later).expect(WHOLE),
        Lookup::Missing { left: 2, right: 1 }
    );
    assert_eq!(
        tree.view(1).expect("kept").lookup(&later).expect(WHOLE),
        Lookup::Existing { index: 4 }
    );
}

#[test]
fn witnesses_that_make_no_sense() {
    let (tree, outputs) = six_versions();
    let previous = outputs[5];
    let read = B256::repeat_byte(0x28);
    let proof = tree.prove_batch(5, &[read], &[]).expect("kept");
    for leaf_count in [0, 1, u64::MAX] {
        let previous = TreeOutput { leaf_count, ..previous };
        assert_eq!(
            proof.verify(Some(previous), &[read], &[]),
            Err(ProofError::LeafCount { leaf_count })
        );
    }
    assert_eq!(proof.verify(None, &[read], &[]), Err(ProofError::GenesisNotEmpty));
    assert_eq!(BatchProof::default().verify(None, &[read], &[]), Err(ProofError::GenesisNotEmpty));
    let carried = BatchProof::default().verify(Some(previous), &[], &[]).expect("nothing to prove");
    assert_eq!(carried.output, previous);
    let claims = BatchProof { read_operations: vec![Operation::Miss(0)], ..BatchProof::default() };
    assert_eq!(
        claims.verify(Some(previous), &[read], &[]),
        Err(ProofError::MissingLeaf { index: 0 })
    );
    let claims = BatchProof { hashes: vec![previous.root], ..BatchProof::default() };
    assert!(claims.verify(Some(previous), &[], &[]).is_err());

    // A new key without the last leaf.
    let key = B256::repeat_byte(0x11);
    let mut proof = tree.prove_batch(5, &[], &[key]).expect("kept");
    let read_only = tree.prove_batch(5, &[key], &[]).expect("kept");
    assert_ne!(proof.leaves, read_only.leaves);
    proof.leaves = read_only.leaves;
    proof.hashes = read_only.hashes;
    let last = previous.leaf_count - 1;
    assert_eq!(
        proof.verify(Some(previous), &[], &[(key, key)]),
        Err(ProofError::MissingLeaf { index: last })
    );
    // Leaves out of order.
    proof.leaves.reverse();
    assert!(matches!(
        proof.verify(Some(previous), &[], &[(key, key)]),
        Err(ProofError::LeafOrder { .. })
    ));
}
