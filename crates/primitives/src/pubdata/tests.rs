use super::*;
use crate::{account::AccountProperties, storage_key::account_properties_flat_key};
use alloy_primitives::{U256, address, b256, hex};
use proptest::prelude::*;

fn encoded(old: U256, new: U256) -> Vec<u8> {
    let mut out = Vec::new();
    ValueDiff::new(old, new).encode_into(&mut out);
    assert_eq!(out.len(), value_diff_length(old, new));
    out
}

#[test]
fn published_compressions() {
    let n = |value: u64| U256::from(value);
    let high = U256::ONE << 255;
    assert_eq!(encoded(n(0x0c), n(0x16)), hex!("090a"));
    assert_eq!(encoded(U256::from(0xff) << 248, (U256::from(0xff) << 248) + n(3)), hex!("0903"));
    assert_eq!(encoded(n(5), n(0)), hex!("03"));
    assert_eq!(encoded(n(0), n(1)), hex!("0901"));
    assert_eq!(encoded(n(100), n(99)), hex!("0a01"));
    assert_eq!(encoded(high, n(1)), hex!("0b01"));
    let mut full = vec![0u8];
    full.extend_from_slice(&high.to_be_bytes::<32>());
    assert_eq!(encoded(n(1), high), full);
    assert_eq!(encoded(n(0xFF00000000FF), n(0xFF0000000000)), hex!("0aff"));
    assert_eq!(encoded(high, high), hex!("01"));
}

/// Pubdata of a block with one transfer, as the official VM writes it.
const TRANSFER: &[u8] = &hex!(
    "01568b4e970a1d34d302448496d098f97afed0a41c3483532485145b6f8f489209000000006553f10000000003b10e431638f40d90fb2f2808fa5529f5802116b16fc17438dce36cb1b4f2fd66143101e8f1c10800fff389ee5f916cf6f7f7a0c7b678486642c7b627018814df34ffe14cd89776051c09013201e8f1c108016e536db501cc34cb5a4d075f7fb0e39cc7707e6a00f14cb691f716540b4c6c481409010000000000000000"
);

#[test]
fn published_transfer() {
    let block = BlockPubdata::decode_batch(TRANSFER).unwrap().remove(0);
    assert_eq!(block.encode(), TRANSFER);
    assert_eq!(block.timestamp, 1_700_000_000);
    assert_eq!(
        block.block_hash,
        b256!("568b4e970a1d34d302448496d098f97afed0a41c3483532485145b6f8f489209")
    );
    let [coinbase, sender, target] = block.diffs.as_slice() else { panic!("three diffs") };
    assert_eq!(
        coinbase.0,
        account_properties_flat_key(address!("00000000000000000000000000000000c0ffee00"))
    );
    let fee = U256::from(0x01e8f1c10800u64);
    let apply = |diff: &StateDiff, old: AccountProperties| match diff {
        StateDiff::Account(diff) => diff.apply(&old, |_| None).unwrap(),
        StateDiff::Value(_) => panic!("not an account"),
    };
    assert_eq!(apply(&coinbase.1, Default::default()), AccountProperties::new_eoa(0, fee));
    let balance = U256::from(10u64.pow(18));
    assert_eq!(
        apply(&sender.1, AccountProperties::new_eoa(0, balance)),
        AccountProperties::new_eoa(1, balance - fee - U256::ONE)
    );
    assert_eq!(
        target.0,
        account_properties_flat_key(address!("5555555555555555555555555555555555555555"))
    );
    assert_eq!(apply(&target.1, Default::default()), AccountProperties::new_eoa(0, U256::ONE));
}

#[test]
fn published_force_deployment() {
    let mut new = AccountProperties::default();
    new.set_deployed_code(&hex!("0123456789"));
    let diff = AccountDiff::new(&Default::default(), &new, None);
    let mut out = Vec::new();
    diff.encode_into(&mut out);
    assert_eq!(
        out,
        hex!(
            "240101010000000000010135ebff051d4e1350c6204d34ba718990497dce4f49c750f5d277641f6509108200000005"
        )
    );
    // Written with its key: 79 bytes; charged: 83.
    assert_eq!(32 + out.len(), 79);
    assert_eq!(32 + AccountDiff::charged_length(&Default::default(), &new, false), 83);
    assert_eq!(
        diff.apply(&Default::default(), |_| Some((8, new.observable_bytecode_hash))),
        Ok(new)
    );
    assert_eq!(diff.apply(&Default::default(), |_| None), Err(PubdataError::Code));
}

#[test]
fn empty_block_has_53_bytes() {
    let empty = BlockPubdata::default().encode();
    assert_eq!(empty.len(), 53);
    let two = [empty.as_slice(), empty.as_slice()].concat();
    assert_eq!(BlockPubdata::decode_batch(&two).unwrap().len(), 2);
}

#[test]
fn decoding_is_strict() {
    for len in 1..TRANSFER.len() {
        assert!(BlockPubdata::decode_batch(&TRANSFER[..len]).is_err(), "{len}");
    }
    let change = |at: usize, value: u8| {
        let mut bad = TRANSFER.to_vec();
        bad[at] = value;
        BlockPubdata::decode_batch(&bad)
    };
    assert_eq!(change(0, 2), Err(PubdataError::Version(2)));
    // Number of diffs larger than the input can hold.
    assert_eq!(change(41, 0xff), Err(PubdataError::TooShort));
    // Metadata of the first diff: no such kind; then a number with a leading zero byte.
    assert_eq!(change(77, 0x2c), Err(PubdataError::Metadata(0x2c)));
    assert_eq!(change(77, 0x07), Err(PubdataError::Metadata(0x07)));
    assert_eq!(change(79, 0), Err(PubdataError::Number));
}

#[test]
fn messages_must_match_their_logs() {
    let message = Bytes::from_static(b"hello");
    let good = BlockPubdata {
        logs: vec![
            L2ToL1Log::l1_tx_result(0, B256::ZERO, true),
            L2ToL1Log::message(1, Default::default(), &message),
        ],
        messages: vec![message],
        ..Default::default()
    };
    assert_eq!(BlockPubdata::decode_batch(&good.encode()).unwrap(), std::slice::from_ref(&good));
    for messages in [vec![], vec![Bytes::from_static(b"other")]] {
        let bad = BlockPubdata { messages, ..good.clone() }.encode();
        assert_eq!(BlockPubdata::decode_batch(&bad), Err(PubdataError::Messages));
    }
}

#[test]
fn published_code_must_be_consistent() {
    let mut new = AccountProperties::new_eoa(1, U256::from(7));
    let stored = new.set_deployed_code(&hex!("605b5b00"));
    let diff = AccountDiff::new(&Default::default(), &new, Some(&stored.preimage));
    let block = |diff| BlockPubdata {
        diffs: vec![(B256::ZERO, StateDiff::Account(diff))],
        ..Default::default()
    };
    assert_eq!(
        BlockPubdata::decode_batch(&block(diff.clone()).encode()).unwrap(),
        [block(diff.clone())]
    );
    let Some(CodeDiff::Published {
        versioning, unpadded_code_len, artifacts_len, bytecode, ..
    }) = diff.code
    else {
        panic!("code is published")
    };
    let mut wrong_bitmap = bytecode.to_vec();
    wrong_bitmap[8] ^= 1;
    for (bytecode, observable_len) in [(bytecode, 5), (wrong_bitmap.into(), 4)] {
        let bad = AccountDiff {
            code: Some(CodeDiff::Published {
                versioning,
                unpadded_code_len,
                artifacts_len,
                bytecode,
                observable_len,
            }),
            ..diff
        };
        assert_eq!(BlockPubdata::decode_batch(&block(bad).encode()), Err(PubdataError::Code));
    }
}

/// Counts and lengths that the bytes cannot hold are refused before anything is allocated for them.
#[test]
fn huge_counts_are_refused() {
    // Behind version, hash and timestamp: the counts of diffs, logs and messages.
    let empty = BlockPubdata::default().encode();
    for at in [41, 45, 49] {
        for count in [1, 1 << 16, u32::MAX] {
            let mut bad = empty.clone();
            bad[at..at + 4].copy_from_slice(&count.to_be_bytes());
            assert_eq!(BlockPubdata::decode_batch(&bad), Err(PubdataError::TooShort), "{at}");
        }
    }
    let message = Bytes::from_static(b"message");
    let block = BlockPubdata {
        logs: vec![L2ToL1Log::message(0, Default::default(), &message)],
        messages: vec![message],
        ..Default::default()
    };
    let mut bad = block.encode();
    let at = bad.len() - 7 - 4;
    bad[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(BlockPubdata::decode_batch(&bad), Err(PubdataError::TooShort));

    // Code lengths whose sum is more than 32 bits can hold.
    let mut bad = empty;
    bad.truncate(41);
    bad.extend_from_slice(&1u32.to_be_bytes());
    bad.extend_from_slice(&[0; 32]);
    bad.push(0x04);
    bad.extend_from_slice(&[0; 8]);
    bad.extend_from_slice(&[0x01, 0x01]);
    bad.extend_from_slice(&[0xff; 8]);
    bad.extend_from_slice(&[0; 64]);
    assert_eq!(BlockPubdata::decode_batch(&bad), Err(PubdataError::TooShort));
}

fn value() -> impl Strategy<Value = U256> {
    prop_oneof![
        any::<[u8; 32]>().prop_map(U256::from_be_bytes),
        any::<u64>().prop_map(U256::from),
        (0u32..256, 0u64..4).prop_map(|(shift, value)| U256::from(value) << shift),
    ]
}

prop_compose! {
    fn account()(nonce in any::<u64>(), balance in value(), kind in 0u8..4,
                 code in proptest::collection::vec(any::<u8>(), 0..150), target in any::<[u8; 20]>()) -> (AccountProperties, Vec<u8>) {
        let mut account = AccountProperties::new_eoa(nonce, balance);
        let preimage = match kind {
            0 | 1 => vec![],
            2 => account.set_deployed_code(&code).preimage,
            _ => account.set_delegation(target.into()).preimage,
        };
        (account, preimage)
    }
}

proptest! {
    #[test]
    fn value_diffs_apply(old in value(), new in value()) {
        let diff = ValueDiff::new(old, new);
        prop_assert_eq!(diff.apply(old), Ok(new));
        let mut out = Vec::new();
        diff.encode_into(&mut out);
        prop_assert!(out.len() <= 33);
        let mut reader = Reader(&out);
        prop_assert_eq!(ValueDiff::read(&mut reader), Ok(diff));
        prop_assert!(reader.0.is_empty());
    }

    #[test]
    fn account_diffs_apply(old in account(), new in account()) {
        prop_assume!(old.0 != new.0);
        let diff = AccountDiff::new(&old.0, &new.0, Some(&new.1));
        let mut out = Vec::new();
        diff.encode_into(&mut out);
        prop_assert_eq!(out.len(), AccountDiff::charged_length(&old.0, &new.0, true));
        let mut reader = Reader(&out);
        let read = AccountDiff::read(&mut reader).unwrap();
        prop_assert!(reader.0.is_empty());
        prop_assert_eq!(read.apply(&old.0, |_| None), Ok(new.0));
        prop_assert_eq!(read, diff);
    }

    /// Whatever is accepted is what the encoder writes.
    #[test]
    fn accepted_bytes_are_canonical(old in account(), new in account(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        prop_assume!(old.0 != new.0);
        let diff = AccountDiff::new(&old.0, &new.0, Some(&new.1));
        let value = ValueDiff::new(old.0.balance, new.0.balance);
        let block = BlockPubdata {
            diffs: vec![(B256::ZERO, StateDiff::Account(diff)), (B256::ZERO, StateDiff::Value(value))],
            logs: vec![L2ToL1Log::l1_tx_result(0, B256::ZERO, true)],
            ..Default::default()
        };
        let mut bytes = block.encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(blocks) = BlockPubdata::decode_batch(&bytes) {
            let again: Vec<u8> = blocks.iter().flat_map(BlockPubdata::encode).collect();
            prop_assert_eq!(again, bytes);
        }
    }

    #[test]
    fn decoder_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = BlockPubdata::decode_batch(&bytes);
        let mut versioned = vec![PUBDATA_VERSION];
        versioned.extend(&bytes);
        let _ = BlockPubdata::decode_batch(&versioned);
    }
}
