//! Malformed and over-long transactions.

use super::{tests::any_tx, *};
use crate::ReplayRecord;
use alloy_eips::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, Bytes, U256};
use alloy_rlp::{Encodable, Header};
use proptest::prelude::*;

/// An RLP list of items that are encoded already.
fn list(items: &[Vec<u8>]) -> Vec<u8> {
    let payload = items.concat();
    let mut out = Vec::new();
    Header { list: true, payload_length: payload.len() }.encode(&mut out);
    out.extend(payload);
    out
}

fn item(value: impl Encodable) -> Vec<u8> {
    alloy_rlp::encode(value)
}

/// A byte string as it is, canonical number or not.
fn string(bytes: &[u8]) -> Vec<u8> {
    item(bytes)
}

/// Chain id, address, nonce, parity, r, s.
fn authorization() -> Vec<Vec<u8>> {
    vec![
        item(270u64),
        item(Address::repeat_byte(2)),
        item(3u64),
        item(1u8),
        item(U256::from(5)),
        item(U256::from(6)),
    ]
}

/// A transaction of type 4 with the given access and authorization list.
fn set_code_transaction(access: Vec<u8>, authorizations: Vec<u8>) -> Vec<u8> {
    let fields = [
        item(270u64),
        item(1u64),
        item(1u64),
        item(2u64),
        item(100_000u64),
        item(Address::repeat_byte(1)),
        item(0u64),
        string(&[1, 2, 3]),
        access,
        authorizations,
        item(1u8),
        item(U256::from(7)),
        item(U256::from(8)),
    ];
    [vec![4], list(&fields)].concat()
}

fn is_accepted(bytes: &[u8]) -> bool {
    match ZkTxEnvelope::decode_2718_exact(bytes) {
        Ok(tx) => {
            assert_eq!(tx.encoded_2718(), bytes);
            true
        }
        Err(_) => false,
    }
}

#[test]
fn authorization_lists() {
    let with = |entry: &[Vec<u8>]| set_code_transaction(list(&[]), list(&[list(entry)]));
    let change = |at: usize, bytes: Vec<u8>| {
        let mut entry = authorization();
        entry[at] = bytes;
        with(&entry)
    };
    assert!(is_accepted(&with(&authorization())));
    // Whether the values make sense is for the state transition to say.
    for (at, value) in [
        (0, item(U256::MAX)),
        (0, item(0u64)),
        (2, item(u64::MAX)),
        (3, item(u8::MAX)),
        (4, item(U256::MAX)),
        (5, item(U256::MAX)),
    ] {
        assert!(is_accepted(&change(at, value)), "{at}");
    }
    assert!(is_accepted(&set_code_transaction(list(&[]), list(&[]))));

    for (at, bytes) in [
        // Wider than the field.
        (0, string(&[1; 33])),
        (2, item(1u128 << 64)),
        (3, item(256u64)),
        (4, string(&[1; 33])),
        (5, string(&[1; 33])),
        // Leading zeros.
        (0, string(&[0, 1])),
        (2, vec![0x00]),
        (3, vec![0x00]),
        (4, string(&[0, 1])),
        // Addresses of another length.
        (1, string(&[2; 19])),
        (1, string(&[2; 21])),
        (1, string(&[])),
        // A list in place of a string, a string too few, a string too many.
        (0, list(&[])),
        (1, list(&[string(&[2; 20])])),
        (5, Vec::new()),
        (5, [item(6u64), item(6u64)].concat()),
        // A single byte in the long form, a length with a leading zero.
        (2, vec![0x81, 0x03]),
        (4, [&[0xb9, 0x00, 0x20][..], &[1; 32]].concat()),
    ] {
        assert!(!is_accepted(&change(at, bytes.clone())), "{at}: {bytes:02x?}");
    }
    for wrong in [
        string(&[]),
        string(&list(&[list(&authorization())])),
        list(&authorization()),
        list(&[string(&list(&authorization()))]),
        list(&[list(&[list(&authorization())])]),
        list(&[list(&[])]),
    ] {
        assert!(!is_accepted(&set_code_transaction(list(&[]), wrong.clone())), "{wrong:02x?}");
    }
}

#[test]
fn access_lists() {
    let good = || list(&[list(&authorization())]);
    let entry = |address: &[u8], keys: Vec<u8>| list(&[list(&[string(address), keys])]);
    let keys =
        |lens: &[usize]| list(&lens.iter().map(|len| string(&vec![7; *len])).collect::<Vec<_>>());
    assert!(is_accepted(&set_code_transaction(entry(&[1; 20], keys(&[32, 32])), good())));
    assert!(is_accepted(&set_code_transaction(entry(&[1; 20], keys(&[])), good())));
    for wrong in [
        entry(&[1; 19], keys(&[])),
        entry(&[1; 20], keys(&[31])),
        entry(&[1; 20], keys(&[33])),
        entry(&[1; 20], string(&[])),
        list(&[list(&[string(&[1; 20])])]),
        list(&[list(&[string(&[1; 20]), list(&[]), list(&[])])]),
        string(&[]),
    ] {
        assert!(!is_accepted(&set_code_transaction(wrong.clone(), good())), "{wrong:02x?}");
    }
}

/// Lengths that the input does not have are refused where they stand.
#[test]
fn claimed_lengths_beyond_the_input() {
    for prefix in [
        &[0xf9, 0xff, 0xff][..],
        &[0xfb, 0xff, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0xbb, 0xff, 0xff, 0xff, 0xff],
        &[0xbf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ] {
        for kind in [&[][..], &[1], &[2], &[3], &[4], &[0x7e], &[0x7f]] {
            assert!(!is_accepted(&[kind, prefix, &[0x80; 40]].concat()));
        }
        assert!(alloy_rlp::decode_exact::<ZkTxEnvelope>(prefix).is_err());
        assert!(ReplayRecord::decode(&[&[1], prefix].concat()).is_err());
    }
    // A list entry that claims more than its list.
    let mut tx = set_code_transaction(list(&[]), list(&[list(&authorization())]));
    let entry = tx.windows(2).position(|pair| pair == [0xdd, 0xdc]).unwrap();
    tx[entry + 1] += 1;
    assert!(!is_accepted(&tx));
}

#[test]
fn long_transactions_pass() {
    let entries = vec![list(&authorization()); 4_000];
    let keys = list(&vec![string(&[7; 32]); 4_000]);
    let access = list(&[list(&[string(&[1; 20]), keys])]);
    assert!(is_accepted(&set_code_transaction(access, list(&entries))));

    let long = TxL1Priority { input: vec![1; 1 << 20].into(), ..Default::default() };
    assert!(is_accepted(&ZkTxEnvelope::from(long.clone()).encoded_2718()));
    let canonical = CanonicalTransaction::abi_decode(&long.abi_encode()).unwrap();
    assert_eq!(TxL1Priority::try_from(canonical), Ok(long));
}

/// Offset and length words of every tail, at the borders of their ranges.
#[test]
fn params_sequence_with_wild_words() {
    let sequence = CanonicalTransaction {
        data: Bytes::from_static(&[1, 2, 3]),
        signature: Bytes::from_static(&[4; 40]),
        factory_deps: vec![U256::ONE, U256::MAX],
        ..Default::default()
    }
    .abi_encode();
    let wild = [
        U256::ZERO,
        U256::from(31),
        U256::from(u32::MAX),
        U256::from(u64::MAX),
        U256::from(u64::MAX - 31),
        U256::from(u64::MAX / 32 + 1),
        U256::from(i64::MAX),
        U256::ONE << 64,
        U256::ONE << 255,
        U256::MAX,
    ];
    // Behind 14 words of values: five offsets, then the tails with their lengths.
    for word in 14..sequence.len() / 32 {
        for value in wild {
            let mut bad = sequence.clone();
            bad[word * 32..][..32].copy_from_slice(&value.to_be_bytes::<32>());
            if let Ok(decoded) = CanonicalTransaction::abi_decode(&bad) {
                assert_eq!(decoded.abi_encode(), bad, "{word}");
            }
        }
    }
    // A tail that is shared by two offsets.
    let mut shared = sequence;
    shared.copy_within(14 * 32..15 * 32, 15 * 32);
    assert_eq!(
        CanonicalTransaction::abi_decode(&shared),
        Err(CanonicalTxError::Offset { index: 1 })
    );
}

#[test]
fn nested_json_is_refused_without_a_stack_overflow() {
    for open in ["[", "{\"type\":", "{\"accessList\":[", "{\"a\":"] {
        let text = open.repeat(100_000);
        assert!(serde_json::from_str::<ZkTxEnvelope>(&text).is_err());
        assert!(serde_json::from_str::<crate::Genesis>(&text).is_err());
        assert!(serde_json::from_str::<crate::BlockContext>(&text).is_err());
    }
}

/// One change of a byte string.
#[derive(Debug, Clone)]
enum Change {
    Set(u8),
    Insert(u8),
    Remove,
    Cut,
    Double,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        any::<u8>().prop_map(Change::Set),
        any::<u8>().prop_map(Change::Insert),
        Just(Change::Remove),
        Just(Change::Cut),
        Just(Change::Double),
    ]
}

proptest! {
    /// One transaction has one encoding: whatever is accepted is what the encoder writes, and its hash is that of the
    /// bytes.
    #[test]
    fn accepted_bytes_are_canonical(tx in any_tx(), changes in prop::collection::vec((any::<prop::sample::Index>(), change()), 1..4)) {
        let mut bytes = tx.encoded_2718();
        for (at, change) in changes {
            let at = at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            match change {
                _ if bytes.is_empty() => {}
                Change::Set(byte) => bytes[at] = byte,
                Change::Insert(byte) => bytes.insert(at, byte),
                Change::Remove => drop(bytes.remove(at)),
                Change::Cut => bytes.truncate(at),
                Change::Double => bytes.extend_from_within(at..),
            }
        }
        if let Ok(tx) = ZkTxEnvelope::decode_2718_exact(&bytes) {
            prop_assert_eq!(tx.encoded_2718(), bytes.as_slice());
            if !tx.is_from_l1() {
                prop_assert_eq!(*tx.hash(), alloy_primitives::keccak256(&bytes));
            }
        }
        if let Ok(canonical) = CanonicalTransaction::abi_decode(&bytes) {
            prop_assert_eq!(canonical.abi_encode(), bytes);
        }
    }
}
