//! Hashes of the tree: blake2s-256, unkeyed. Leaves (72 bytes) and inner nodes (64 bytes) differ
//! only in input length.

use crate::{LEAF_BYTES, TREE_DEPTH};
use alloy_primitives::B256;
use blake2s_simd::{
    Params, blake2s,
    blake2sp::Params as DigestParams,
    many::{HashManyJob, hash_many},
};
use rayon::prelude::*;
use std::sync::LazyLock;

/// A hash as it lies in the flat arrays of the tree.
pub(crate) type RawHash = [u8; 32];

/// Hashes handed to one call of the many-lane hasher. A multiple of every lane count.
const LANES: usize = 32;

/// Below this many hashes a second thread costs more than it saves.
const PARALLEL_HASHES: usize = 2048;

/// Work of one thread at a time, in hashes.
const HASHES_PER_TASK: usize = 512;

static EMPTY: LazyLock<[RawHash; TREE_DEPTH + 1]> = LazyLock::new(|| {
    let mut hashes = [hash_bytes(&[0; LEAF_BYTES]); TREE_DEPTH + 1];
    for height in 1..hashes.len() {
        hashes[height] = hash_bytes([hashes[height - 1]; 2].as_flattened());
    }
    hashes
});

/// Hash of a subtree without leaves by height, 0 to 64.
pub(crate) fn empty_hashes() -> &'static [RawHash; TREE_DEPTH + 1] {
    &EMPTY
}

/// Hash of a subtree of the given height that holds no leaves. `None` above the root (height 64).
pub fn empty_subtree_hash(height: usize) -> Option<B256> {
    EMPTY.get(height).copied().map(B256::new)
}

/// Hash of an inner node: `blake2s(left || right)`.
pub fn hash_node(left: &B256, right: &B256) -> B256 {
    hash_pair(&left.0, &right.0).into()
}

pub(crate) fn hash_pair(left: &RawHash, right: &RawHash) -> RawHash {
    let mut input = [0; 64];
    input[..32].copy_from_slice(left);
    input[32..].copy_from_slice(right);
    hash_bytes(&input)
}

pub(crate) fn hash_bytes(input: &[u8]) -> RawHash {
    *blake2s(input).as_array()
}

/// Hashes inputs of equal length from all over the memory into `out`, in lanes, on the calling
/// thread. They are copied together first: the processor fetches several at a time for a copy, and
/// one after the other for the hashing.
pub(crate) fn hash_scattered<'a, const N: usize>(
    mut inputs: impl Iterator<Item = &'a [u8]>,
    out: &mut [RawHash],
) {
    let mut gathered = [[0; N]; 4 * LANES];
    for out in out.chunks_mut(gathered.len()) {
        let gathered = &mut gathered[..out.len()];
        for (place, input) in gathered.iter_mut().zip(inputs.by_ref()) {
            place.copy_from_slice(input);
        }
        hash_lanes(gathered.iter().map(<[u8; N]>::as_slice), out);
    }
}

/// Hashes inputs of equal length into `out`, in lanes, on the calling thread.
pub(crate) fn hash_lanes<'a>(inputs: impl ExactSizeIterator<Item = &'a [u8]>, out: &mut [RawHash]) {
    debug_assert_eq!(inputs.len(), out.len());
    // Fewer inputs than the narrowest lanes are hashed one by one anyway.
    if out.len() < 4 {
        for (input, out) in inputs.zip(out) {
            *out = hash_bytes(input);
        }
        return;
    }
    let params = Params::new();
    let mut inputs = inputs;
    let mut jobs = Vec::with_capacity(LANES.min(out.len()));
    for out in out.chunks_mut(LANES) {
        jobs.clear();
        jobs.extend(inputs.by_ref().take(out.len()).map(|input| HashManyJob::new(&params, input)));
        hash_many(&mut jobs);
        for (job, out) in jobs.iter().zip(out) {
            *out = *job.to_hash().as_array();
        }
    }
}

/// Hashes inputs of equal length, on several threads if there are many.
pub(crate) fn hash_all<const N: usize>(inputs: &[[u8; N]]) -> Vec<RawHash> {
    let mut out = vec![[0; 32]; inputs.len()];
    let hash = |inputs: &[[u8; N]], out: &mut [RawHash]| {
        hash_lanes(inputs.iter().map(<[u8; N]>::as_slice), out);
    };
    if inputs.len() < PARALLEL_HASHES {
        hash(inputs, &mut out);
    } else {
        out.par_chunks_mut(HASHES_PER_TASK)
            .zip(inputs.par_chunks(HASHES_PER_TASK))
            .for_each(|(out, inputs)| hash(inputs, out));
    }
    out
}

/// Digest of the entries of a version, by which a repeated version is recognised. Not part of any
/// commitment, so a wider variant of the hash is used.
pub(crate) fn entries_digest(entries: &[(B256, B256)]) -> B256 {
    let mut state = DigestParams::new().to_state();
    let mut buffer = Vec::with_capacity(64 * entries.len().min(256));
    for entries in entries.chunks(256) {
        buffer.clear();
        for (key, value) in entries {
            buffer.extend_from_slice(key.as_slice());
            buffer.extend_from_slice(value.as_slice());
        }
        state.update(&buffer);
    }
    B256::new(*state.finalize().as_array())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::b256;

    #[test]
    fn empty_subtrees() {
        let leaf = b256!("e3cdc93b3c2beb30f6a7c7cc45a32da012df9ae1be880e2c074885cb3f4e1e53");
        let top = b256!("b720fe53e6bd4e997d967b8649e10036802a4fd3aca6d7dcc43ed9671f41cb31");
        assert_eq!(empty_subtree_hash(0), Some(leaf));
        assert_eq!(empty_subtree_hash(63), Some(top));
        assert_eq!(empty_subtree_hash(64), Some(hash_node(&top, &top)));
        assert_eq!(empty_subtree_hash(65), None);
    }

    #[test]
    fn lanes_equal_single_hashes() {
        for count in [0, 1, 3, 4, 5, 8, 9, 31, 32, 33, 100, 128, 300, PARALLEL_HASHES + 7] {
            let inputs: Vec<[u8; 72]> =
                (0..count).map(|i| std::array::from_fn(|byte| (i * 31 + byte * 7) as u8)).collect();
            let expected: Vec<RawHash> = inputs.iter().map(|input| hash_bytes(input)).collect();
            assert_eq!(hash_all(&inputs), expected, "{count} inputs");
            let mut scattered = vec![[0; 32]; count];
            hash_scattered::<72>(inputs.iter().map(<[u8; 72]>::as_slice), &mut scattered);
            assert_eq!(scattered, expected, "{count} scattered inputs");
        }
    }

    #[test]
    fn digest_depends_on_order() {
        let a = (B256::repeat_byte(1), B256::repeat_byte(2));
        let b = (B256::repeat_byte(3), B256::repeat_byte(4));
        assert_ne!(entries_digest(&[a, b]), entries_digest(&[b, a]));
        assert_ne!(entries_digest(&[a]), entries_digest(&[]));
    }
}
