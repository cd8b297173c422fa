//! Proofs of the state tree. A small tree is built from the input, honest proofs are made and damaged; whatever a
//! verifier accepts must say the same as the honest proof.

use crate::memory::bounded;
use alloy_primitives::B256;
use arbitrary::{Arbitrary, Unstructured};
use std::collections::BTreeMap;
use zkos_tree::{
    BatchProof, InMemoryStore, KeyProof, Leaf, MerkleTree, Operation, TreeOutput, VerifiedBatch,
};

/// Memory per byte of a proof, for decoding and for verification.
const FACTOR: usize = 16;

type Write = (u8, u8);

/// What is done to a proof.
#[derive(Debug, Arbitrary)]
enum Damage {
    Flip { at: u16, mask: u8 },
    Cut { to: u16 },
    Append(Vec<u8>),
    DropLeaf(u8),
    DoubleLeaf(u8),
    SwapLeaves(u8, u8),
    MoveLeaf { leaf: u8, index: u64 },
    SetLeaf { leaf: u8, key: u8, value: u8, next: u64 },
    DropHash(u8),
    DoubleHash(u8),
    SwapHashes(u8, u8),
    SetHash { hash: u8, word: [u8; 32] },
    EmptyHash(u8),
    Operation { at: u8, read: bool, miss: bool, index: u64 },
    DropOperation { at: u8, read: bool },
    SwapOperations(u8, u8),
}

#[derive(Debug, Arbitrary)]
struct Case<'a> {
    history: Vec<Vec<Write>>,
    reads: Vec<u8>,
    writes: Vec<Write>,
    damage: Vec<Damage>,
    other_root: [u8; 32],
    other_count: u64,
    other_write: Option<Write>,
    noise: &'a [u8],
}

/// Reads the input as a recipe, and also as the bytes of every record.
pub fn run(data: &[u8]) {
    records(data);
    if let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(data)) {
        check(case);
    }
}

/// Few different keys, so that updates are as frequent as inserts and neighbours are close.
fn key(seed: u8) -> B256 {
    let mut key = B256::repeat_byte(0x40);
    key[0] = seed / 16 * 16;
    key[31] = seed;
    key
}

/// The last write of a key counts, at the place of the first.
fn entries(writes: &[Write]) -> Vec<(B256, B256)> {
    let mut at = BTreeMap::new();
    let mut entries: Vec<(B256, B256)> = Vec::new();
    for (seed, value) in writes.iter().take(40) {
        let value = B256::with_last_byte(*value);
        let position = *at.entry(*seed).or_insert_with(|| {
            entries.push((key(*seed), value));
            entries.len() - 1
        });
        entries[position].1 = value;
    }
    entries
}

fn records(data: &[u8]) {
    if let Ok(proof) = bounded(data.len(), FACTOR, || BatchProof::decode(data)) {
        assert_eq!(proof.encode(), data);
    }
    if let Ok(proof) = serde_json::from_slice::<KeyProof>(data) {
        let _ = proof.verify(&key(7), &B256::ZERO);
        let text = serde_json::to_string(&proof).expect("every proof has a json form");
        assert_eq!(serde_json::from_str::<KeyProof>(&text).ok(), Some(proof));
    }
}

fn check(case: Case<'_>) {
    let mut tree = MerkleTree::open(InMemoryStore::new()).expect("an empty store opens");
    let mut values = BTreeMap::new();
    tree.extend(0, &[]).expect("guards alone");
    for (version, writes) in (1..).zip(case.history.iter().take(4)) {
        let entries = entries(writes);
        tree.extend(version, &entries).expect("no key twice");
        values.extend(entries);
    }
    let version = tree.latest_version().expect("a version");
    let previous = tree.latest().expect("a version");
    let reads: Vec<B256> = case.reads.iter().take(24).map(|seed| key(*seed)).collect();
    let writes = entries(&case.writes);
    let write_keys: Vec<B256> = writes.iter().map(|(key, _)| *key).collect();
    let proof = tree.prove_batch(version, &reads, &write_keys).expect("the latest version");

    let input_len = |proof: &BatchProof| proof.encode().len() + 64 * (reads.len() + writes.len());
    let honest = bounded(input_len(&proof), FACTOR, || {
        proof.verify(Some(previous), &reads, &writes).expect("own proof")
    });
    let known: Vec<_> = reads.iter().map(|key| values.get(key).copied()).collect();
    assert_eq!(honest.reads, known);
    assert_eq!(BatchProof::decode(&proof.encode()).as_ref(), Ok(&proof));

    let ask = |proof: &BatchProof, previous: TreeOutput| {
        bounded(input_len(proof), FACTOR, || proof.verify(Some(previous), &reads, &writes))
    };
    let refuse_other = |forged: &BatchProof| {
        if let Ok(accepted) = ask(forged, previous) {
            assert_eq!(accepted, honest, "{forged:?}");
        }
    };

    // Damage step by step, so that later steps can hide earlier ones.
    let mut forged = proof.clone();
    for damage in case.damage.iter().take(8) {
        forged = match apply(damage, &forged) {
            Some(forged) => forged,
            None => continue,
        };
        if forged != proof {
            refuse_other(&forged);
        }
        // The same damage alone.
        if let Some(alone) = apply(damage, &proof)
            && alone != proof
        {
            refuse_other(&alone);
        }
    }
    if let Ok(noise) = BatchProof::decode(case.noise) {
        refuse_other(&noise);
        let _ = noise.verify(None, &reads, &writes);
    }

    // Another tree.
    let other = TreeOutput { root: case.other_root.into(), ..previous };
    if !proof.leaves.is_empty() && other != previous {
        assert!(ask(&proof, other).is_err());
    }
    let _ = ask(&proof, TreeOutput { leaf_count: case.other_count, ..previous });
    let _ = ask(&forged, TreeOutput { leaf_count: case.other_count, ..other });

    // Another value.
    if let Some((seed, value)) = case.other_write {
        let mut changed = writes.clone();
        if let Some(slot) = changed.get_mut(usize::from(seed) % writes.len().max(1))
            && slot.1 != B256::with_last_byte(value)
        {
            slot.1 = B256::with_last_byte(value);
            let verified = proof.verify(Some(previous), &reads, &changed).expect("values are free");
            assert_ne!(verified.output, honest.output);
        }
    }

    key_proofs(&tree, version, &case, &values);
    let after = tree.extend(version + 1, &writes).expect("no key twice");
    assert_eq!(after, honest.output);
    genesis(&writes, &forged);
}

/// Proofs of the first version are empty, and nothing else is accepted.
fn genesis(writes: &[(B256, B256)], forged: &BatchProof) {
    let mut tree = MerkleTree::open(InMemoryStore::new()).expect("an empty store opens");
    let output = tree.extend(0, writes).expect("no key twice");
    let expected = VerifiedBatch { output, reads: Vec::new() };
    assert_eq!(BatchProof::default().verify(None, &[], writes), Ok(expected));
    if *forged != BatchProof::default() {
        assert!(forged.verify(None, &[], writes).is_err());
    }
}

fn key_proofs(
    tree: &MerkleTree<InMemoryStore>,
    version: u64,
    case: &Case<'_>,
    values: &BTreeMap<B256, B256>,
) {
    let root = tree.root(version).expect("the latest version");
    for seed in case.reads.iter().take(4) {
        let key = key(*seed);
        let proof = tree.prove(version, &[key]).expect("the latest version").remove(0);
        let value = values.get(&key).copied();
        assert_eq!(proof.verify(&key, &root), Ok(value));
        let mut forged = proof.clone();
        for damage in case.damage.iter().take(4) {
            forge(&mut forged, damage);
            if let Ok(accepted) = forged.verify(&key, &root) {
                assert_eq!(accepted, value, "{forged:?}");
            }
        }
        // The proof of one key shown for another.
        for (other, truth) in values.iter().take(8) {
            if let Ok(accepted) = proof.verify(other, &root) {
                assert_eq!(accepted, Some(*truth), "{proof:?}");
            }
        }
    }
}

fn forge(proof: &mut KeyProof, damage: &Damage) {
    let leaf = match proof {
        KeyProof::Existing(leaf) => leaf,
        KeyProof::NonExisting { left_neighbor, right_neighbor } => {
            if let Damage::SetLeaf { key: seed, leaf, .. } = damage {
                let neighbor = if leaf % 2 == 0 { left_neighbor } else { right_neighbor };
                neighbor.leaf_key = key(*seed);
                return;
            }
            &mut if matches!(damage, Damage::Flip { at, .. } if at % 2 == 0) {
                right_neighbor
            } else {
                left_neighbor
            }
            .leaf
        }
    };
    let position = |at: u8, len: usize| usize::from(at) % len.max(1);
    match damage {
        Damage::Flip { at, mask } => leaf.value[usize::from(*at) % 32] ^= mask,
        Damage::Cut { to } => leaf.siblings.truncate(usize::from(*to) % 70),
        Damage::Append(bytes) => {
            leaf.siblings.extend(bytes.iter().take(80).map(|byte| B256::repeat_byte(*byte)));
        }
        Damage::MoveLeaf { index, .. } => leaf.index = *index,
        Damage::SetLeaf { next, .. } => leaf.next_index = *next,
        Damage::SetHash { hash, word } => {
            let at = position(*hash, leaf.siblings.len());
            if let Some(slot) = leaf.siblings.get_mut(at) {
                *slot = (*word).into();
            }
        }
        Damage::SwapHashes(a, b) if !leaf.siblings.is_empty() => {
            let len = leaf.siblings.len();
            leaf.siblings.swap(position(*a, len), position(*b, len));
        }
        Damage::EmptyHash(height) => {
            let height = usize::from(*height) % 64;
            leaf.siblings.push(zkos_tree::empty_subtree_hash(height).unwrap_or_default());
        }
        _ => {}
    }
}

/// The damaged proof; none if it is no proof any more.
fn apply(damage: &Damage, proof: &BatchProof) -> Option<BatchProof> {
    let mut out = proof.clone();
    let position = |at: u8, len: usize| (len != 0).then(|| usize::from(at) % len);
    match damage {
        Damage::Flip { at, mask } => {
            let mut bytes = proof.encode();
            let at = usize::from(*at) % bytes.len();
            bytes[at] ^= mask;
            return BatchProof::decode(&bytes).ok();
        }
        Damage::Cut { to } => {
            let bytes = proof.encode();
            let to = usize::from(*to) % (bytes.len() + 1);
            let cut = BatchProof::decode(&bytes[..to]);
            assert_eq!(cut.is_ok(), to == bytes.len());
            return cut.ok();
        }
        Damage::Append(more) => {
            let mut bytes = proof.encode();
            bytes.extend_from_slice(more);
            assert_eq!(BatchProof::decode(&bytes).is_ok(), more.is_empty());
        }
        Damage::DropLeaf(at) => {
            out.leaves.remove(position(*at, out.leaves.len())?);
        }
        Damage::DoubleLeaf(at) => {
            let at = position(*at, out.leaves.len())?;
            out.leaves.insert(at, out.leaves[at]);
        }
        Damage::SwapLeaves(a, b) => {
            let len = out.leaves.len();
            let (a, b) = (position(*a, len)?, position(*b, len)?);
            let leaf = out.leaves[a].1;
            out.leaves[a].1 = out.leaves[b].1;
            out.leaves[b].1 = leaf;
        }
        Damage::MoveLeaf { leaf, index } => {
            let at = position(*leaf, out.leaves.len())?;
            out.leaves[at].0 = *index;
        }
        Damage::SetLeaf { leaf, key: seed, value, next } => {
            let at = position(*leaf, out.leaves.len())?;
            out.leaves[at].1 = Leaf::new(key(*seed), B256::with_last_byte(*value), *next);
        }
        Damage::DropHash(at) => {
            out.hashes.remove(position(*at, out.hashes.len())?);
        }
        Damage::DoubleHash(at) => {
            let at = position(*at, out.hashes.len())?;
            out.hashes.insert(at, out.hashes[at]);
        }
        Damage::SwapHashes(a, b) => {
            let len = out.hashes.len();
            out.hashes.swap(position(*a, len)?, position(*b, len)?);
        }
        Damage::SetHash { hash, word } => {
            let at = position(*hash, out.hashes.len())?;
            out.hashes[at] = (*word).into();
        }
        Damage::EmptyHash(height) => {
            out.hashes
                .push(zkos_tree::empty_subtree_hash(usize::from(*height) % 64).unwrap_or_default());
        }
        Damage::Operation { at, read, miss, index } => {
            let list = if *read { &mut out.read_operations } else { &mut out.operations };
            let at = position(*at, list.len())?;
            list[at] = if *miss { Operation::Miss(*index) } else { Operation::Hit(*index) };
        }
        Damage::DropOperation { at, read } => {
            let list = if *read { &mut out.read_operations } else { &mut out.operations };
            list.remove(position(*at, list.len())?);
        }
        Damage::SwapOperations(a, b) => {
            let len = out.operations.len();
            out.operations.swap(position(*a, len)?, position(*b, len)?);
        }
    }
    Some(out)
}
