//! Blake2s-256, the hash of state keys, account records and bytecode preimages.

use alloy_primitives::B256;
use blake2::{Blake2s256, Digest};

/// Unkeyed Blake2s with 32 bytes of output.
pub fn blake2s(data: impl AsRef<[u8]>) -> B256 {
    B256::new(Blake2s256::digest(data.as_ref()).into())
}

/// Blake2s of the concatenation of `parts`, without building it.
pub fn blake2s_concat<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> B256 {
    let mut hasher = Blake2s256::new();
    for part in parts {
        hasher.update(part);
    }
    B256::new(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::b256;

    #[test]
    fn empty_input() {
        let expected = b256!("69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9");
        assert_eq!(blake2s([]), expected);
        assert_eq!(blake2s_concat([]), expected);
        assert_eq!(blake2s_concat([&b"a"[..], &b"bc"[..]]), blake2s(b"abc"));
    }
}
