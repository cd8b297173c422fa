//! Stored form of bytecode: code, padding and the bitmap of valid jump destinations.

use crate::hash::blake2s;
use alloy_primitives::{Address, B256, keccak256};

/// Opcode of a valid jump destination.
const JUMPDEST: u8 = 0x5b;
/// Opcode that pushes one byte; `PUSH32` is [`PUSH1`] + 31.
const PUSH1: u8 = 0x60;
const PUSH32: u8 = 0x7f;

/// First three bytes of an EIP-7702 delegation designator.
pub const DELEGATION_PREFIX: [u8; 3] = [0xef, 0x01, 0x00];
/// Length of an EIP-7702 delegation designator in bytes.
pub const DELEGATION_DESIGNATOR_LEN: usize = 23;
/// Maximal length of deployed code in bytes (EIP-170).
pub const MAX_CODE_SIZE: usize = 24_576;
/// Maximal length of init code in bytes (EIP-3860).
pub const MAX_INITCODE_SIZE: usize = 2 * MAX_CODE_SIZE;

/// Bytecode in its stored form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBytecode {
    /// Code, zero padding to a multiple of eight bytes, jump destination bitmap.
    pub preimage: Vec<u8>,
    /// Blake2s of `preimage`.
    pub bytecode_hash: B256,
    /// Length of the code alone in bytes.
    pub code_len: u32,
    /// Length of the bitmap in bytes.
    pub artifacts_len: u32,
    /// Keccak-256 of the code alone.
    pub observable_hash: B256,
}

/// Number of zero bytes between the code and its artifacts.
pub const fn bytecode_padding_len(code_len: usize) -> usize {
    (8 - code_len % 8) % 8
}

/// Bitmap of the jump destinations of `code`: bit `i` (least significant first) is set where
/// `code[i]` is `JUMPDEST` outside push data. Its length is a multiple of eight bytes.
pub fn jumpdest_bitmap(code: &[u8]) -> Vec<u8> {
    let mut bitmap = vec![0u8; code.len().div_ceil(64) * 8];
    let mut i = 0;
    while let Some(&opcode) = code.get(i) {
        match opcode {
            JUMPDEST => bitmap[i / 8] |= 1 << (i % 8),
            PUSH1..=PUSH32 => i += usize::from(opcode - PUSH1) + 1,
            _ => {}
        }
        i += 1;
    }
    bitmap
}

/// Pads `code` and appends its artifacts.
///
/// A delegation designator is padded but carries no artifacts; empty code stays empty.
pub fn pad_and_artifacts(code: &[u8]) -> StoredBytecode {
    let artifacts = if delegation_target(code).is_some() { vec![] } else { jumpdest_bitmap(code) };
    let padding = bytecode_padding_len(code.len());
    let mut preimage = Vec::with_capacity(code.len() + padding + artifacts.len());
    preimage.extend_from_slice(code);
    preimage.resize(code.len() + padding, 0);
    preimage.extend_from_slice(&artifacts);
    StoredBytecode {
        bytecode_hash: blake2s(&preimage),
        code_len: code.len() as u32,
        artifacts_len: artifacts.len() as u32,
        observable_hash: keccak256(code),
        preimage,
    }
}

/// Delegation designator of EIP-7702 for `target`.
pub fn delegation_designator(target: Address) -> [u8; DELEGATION_DESIGNATOR_LEN] {
    let mut code = [0u8; DELEGATION_DESIGNATOR_LEN];
    code[..3].copy_from_slice(&DELEGATION_PREFIX);
    code[3..].copy_from_slice(target.as_slice());
    code
}

/// Target of a delegation, if `code` is a designator.
pub fn delegation_target(code: &[u8]) -> Option<Address> {
    (code.len() == DELEGATION_DESIGNATOR_LEN && code.starts_with(&DELEGATION_PREFIX))
        .then(|| Address::from_slice(&code[3..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{address, b256, hex};
    use proptest::prelude::*;

    #[test]
    fn known_preimages() {
        let plain = pad_and_artifacts(&hex!("0123456789"));
        assert_eq!(plain.preimage, hex!("01234567890000000000000000000000"));
        assert_eq!(
            plain.bytecode_hash,
            b256!("35ebff051d4e1350c6204d34ba718990497dce4f49c750f5d277641f65091082")
        );
        assert_eq!(
            plain.observable_hash,
            b256!("79fad56e6cf52d0c8c2c033d568fc36856ba2b556774960968d79274b0e6b944")
        );
        assert_eq!(
            blake2s(hex!("0123456789")),
            b256!("1c4be3dec3ba88b69a8d3cd5cedd2b22f3da89b1ff9c8fd453c5a6e10c23d6f7")
        );

        let jumps = pad_and_artifacts(&hex!("605b5b00"));
        assert_eq!(jumps.preimage, hex!("605b5b00000000000400000000000000"));
        assert_eq!(
            jumps.bytecode_hash,
            b256!("1a6c874476d64bf825681f10942fc534296419452d4973177be6f6258d3de844")
        );

        let delegated = pad_and_artifacts(&delegation_designator(address!(
            "0000000000000000000000000000000000001234"
        )));
        assert_eq!(delegated.preimage, hex!("ef0100000000000000000000000000000000000000123400"));
        assert_eq!(delegated.artifacts_len, 0);
        assert_eq!(
            delegated.bytecode_hash,
            b256!("eaec8a0e1993c4db946ec2e98ae489cd49f6d9ebde137f80e67848e96e9596c5")
        );

        let empty = pad_and_artifacts(&[]);
        assert!(empty.preimage.is_empty());
        assert_eq!(empty.bytecode_hash, blake2s([]));
    }

    #[test]
    fn push_data_may_run_past_the_end() {
        assert_eq!(jumpdest_bitmap(&[0x7f, 0x5b]), vec![0; 8]);
        assert_eq!(jumpdest_bitmap(&[0x5f, 0x5b])[0], 0b10);
    }

    #[test]
    fn designator_is_recognised_by_length_and_prefix() {
        let target = address!("00000000000000000000000000000000deadbeef");
        let mut code = delegation_designator(target).to_vec();
        assert_eq!(delegation_target(&code), Some(target));
        code.push(0);
        assert_eq!(delegation_target(&code), None);
    }

    proptest! {
        #[test]
        fn bitmap_marks_exactly_the_reachable_jumpdests(code in proptest::collection::vec(any::<u8>(), 0..300)) {
            let bitmap = jumpdest_bitmap(&code);
            prop_assert_eq!(bitmap.len() % 8, 0);
            prop_assert!(bitmap.len() * 8 >= code.len() && bitmap.len() * 8 < code.len() + 64);
            let mut skip = 0usize;
            for i in 0..bitmap.len() * 8 {
                let marked = bitmap[i / 8] >> (i % 8) & 1 == 1;
                let mut expected = false;
                if let Some(&op) = code.get(i) {
                    if skip > 0 {
                        skip -= 1;
                    } else {
                        expected = op == 0x5b;
                        if (0x60..=0x7f).contains(&op) {
                            skip = usize::from(op) - 0x5f;
                        }
                    }
                }
                prop_assert_eq!(marked, expected);
            }
        }
    }
}
