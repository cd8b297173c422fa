//! Block headers.
//!
//! The hash of a block is that of its header **with an empty bloom**, while headers are stored and
//! served with the bloom of their receipts. Recomputing the hash of a served header in the
//! Ethereum way therefore gives a different value as soon as the block has logs.

use alloy_consensus::EMPTY_OMMER_ROOT_HASH;
pub use alloy_consensus::Header;
use alloy_primitives::{B64, B256, Bloom, Bytes, b256};
use reth_primitives_traits::SealedHeader;

/// Hash of block 0, the same for every chain.
pub const GENESIS_BLOCK_HASH: B256 =
    b256!("ef97917ce9bd9fa7d12ad6a8d81ea26c80ac1d727acc37cbb9799ae199788dc5");

/// Hash of a block: Keccak-256 of the RLP of its header with the bloom zeroed.
pub fn header_hash(header: &Header) -> B256 {
    if header.logs_bloom.is_zero() {
        return header.hash_slow();
    }
    Header { logs_bloom: Bloom::ZERO, ..header.clone() }.hash_slow()
}

/// Seals a header with [`header_hash`]. Never use the generic sealing helpers on our headers: they
/// hash the bloom.
pub fn seal_header(header: Header) -> SealedHeader<Header> {
    let hash = header_hash(&header);
    SealedHeader::new(header, hash)
}

/// Header of block 0.
pub fn genesis_header() -> Header {
    Header { gas_limit: 5_000, base_fee_per_gas: Some(1_000_000_000), ..empty_header() }
}

/// Header in which every field that the protocol fixes is set and all others are zero.
pub fn empty_header() -> Header {
    Header {
        parent_hash: B256::ZERO,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: Default::default(),
        state_root: B256::ZERO,
        transactions_root: B256::ZERO,
        receipts_root: B256::ZERO,
        logs_bloom: Bloom::ZERO,
        difficulty: Default::default(),
        number: 0,
        gas_limit: 0,
        gas_used: 0,
        timestamp: 0,
        extra_data: Bytes::new(),
        mix_hash: B256::ZERO,
        nonce: B64::ZERO,
        base_fee_per_gas: Some(0),
        withdrawals_root: None,
        blob_gas_used: None,
        excess_blob_gas: None,
        parent_beacon_block_root: None,
        requests_hash: None,
        ..Default::default()
    }
}

/// Transactions root of a block: rolling Keccak over the hashes of the included transactions,
/// starting from zero.
pub fn transactions_rolling_hash(hashes: impl IntoIterator<Item = B256>) -> B256 {
    hashes.into_iter().fold(B256::ZERO, crate::transaction::extend_rolling_hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{U256, address};

    #[test]
    fn genesis_hash() {
        let header = genesis_header();
        assert_eq!(alloy_rlp::encode(&header).len(), 503);
        assert_eq!(header_hash(&header), GENESIS_BLOCK_HASH);
    }

    #[test]
    fn bloom_does_not_count() {
        // The first two executed blocks of the official test context: empty, and one transfer.
        let mut header = Header {
            parent_hash: GENESIS_BLOCK_HASH,
            beneficiary: address!("00000000000000000000000000000000c0ffee00"),
            number: 1,
            gas_limit: 100_000_000,
            timestamp: 1_700_000_000,
            mix_hash: B256::from(U256::from(1)),
            base_fee_per_gas: Some(100_000_000),
            ..empty_header()
        };
        let expected = b256!("be2f1e2b11a0c45872fdecd891e063547b45486972c526c593ab84188b478123");
        assert_eq!(header_hash(&header), expected);
        header.logs_bloom = Bloom::repeat_byte(1);
        assert_eq!(header_hash(&header), expected);
        assert_ne!(header.hash_slow(), expected);
        assert_eq!(seal_header(header).hash(), expected);
    }

    #[test]
    fn rolling_hash_of_published_block() {
        let hashes = [b256!("623ecacbf623ea5f6ab67e9f7218915915d3c44229079d4c076095ce81f9b263")];
        assert_eq!(transactions_rolling_hash([]), B256::ZERO);
        assert_eq!(
            transactions_rolling_hash(hashes),
            crate::transaction::extend_rolling_hash(B256::ZERO, hashes[0])
        );
    }
}
