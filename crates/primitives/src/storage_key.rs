//! Keys of the flat state map.

use crate::{addresses::ACCOUNT_PROPERTIES_STORAGE_ADDRESS, hash::blake2s};
use alloy_primitives::{Address, B256};
use core::cmp::Ordering;

/// Key in the flat state map of slot `slot` of account `address`: Blake2s over the address, left
/// padded to 32 bytes, and the slot.
pub fn flat_storage_key(address: Address, slot: B256) -> B256 {
    let mut preimage = [0u8; 64];
    preimage[12..32].copy_from_slice(address.as_slice());
    preimage[32..].copy_from_slice(slot.as_slice());
    blake2s(preimage)
}

/// Slot of [`ACCOUNT_PROPERTIES_STORAGE_ADDRESS`] that holds the record of `address`.
pub fn account_properties_slot(address: Address) -> B256 {
    address.into_word()
}

/// Key in the flat state map of the account record of `address`.
pub fn account_properties_flat_key(address: Address) -> B256 {
    flat_storage_key(ACCOUNT_PROPERTIES_STORAGE_ADDRESS, account_properties_slot(address))
}

/// Order of the state writes of a block: by address, compared as three limbs with the least
/// significant one first, then by slot bytes.
///
/// Storage writes, account diffs, pubdata diffs and tree insertions of a block all follow it.
pub fn block_write_order(a: (Address, B256), b: (Address, B256)) -> Ordering {
    fn limbs(address: &Address) -> (&[u8], &[u8], &[u8]) {
        let bytes = address.as_slice();
        (&bytes[12..20], &bytes[4..12], &bytes[0..4])
    }
    limbs(&a.0).cmp(&limbs(&b.0)).then_with(|| a.1.cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{address, b256};

    #[test]
    fn known_keys() {
        assert_eq!(
            flat_storage_key(
                address!("1000000000000000000000000000000000000001"),
                B256::with_last_byte(5)
            ),
            b256!("7103f6578a5385c64c5988cc3cfec93cf80aa3e11a92a8ea3ba1ec551cc0ad5c")
        );
        assert_eq!(
            account_properties_flat_key(address!("0000000000000000000000000000000000010002")),
            b256!("eb724a820858596f9ee8fb0bfb2ae4cdd0c542b0b73b574120325ce2a23b1a81")
        );
        assert_eq!(
            account_properties_flat_key(address!("000000000000000000000000000000000001000c")),
            b256!("42615dcf4711879e1d898545348fc8fb456fcdbfd7558f8330cc6dbba83a4c06")
        );
    }

    #[test]
    fn write_order_compares_low_limb_first() {
        let low = (address!("1000000000000000000000000000000000000001"), B256::ZERO);
        let records = (ACCOUNT_PROPERTIES_STORAGE_ADDRESS, B256::ZERO);
        let high_ff = (address!("ff00000000000000000000000000000000000001"), B256::ZERO);
        let two = (address!("0000000000000000000000000000000000000002"), B256::ZERO);
        assert_eq!(block_write_order(low, records), Ordering::Less);
        assert_eq!(block_write_order(high_ff, two), Ordering::Less);
        assert_eq!(block_write_order(two, (two.0, B256::with_last_byte(1))), Ordering::Less);
    }
}
