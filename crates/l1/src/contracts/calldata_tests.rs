//! Operator calldata against known encodings.

use super::*;
use crate::contracts::PriorityOpsBatchInfo;
use alloy_primitives::{B256, KECCAK256_EMPTY, address, b256, bytes, hex, keccak256};
use proptest::prelude::*;
use zkos_primitives::{CommitBatchInfo, DaCommitmentScheme};

const DIAMOND: Address = address!("00000000000000000000000000000000000000d1");
const T0: B256 = b256!("4164624346d4c915977debf68dbd721f8ae86b964080925aecf6911dd47a6ece");
const T1: B256 = b256!("c99fec1c606ef0b8e5ed9fcdfd970787248a9130227ea815a8a66f9649e5e800");

/// Whole calldata of a commit.
fn known_commit_calldata() -> Vec<u8> {
    alloy_primitives::hex!(
        "0db9eb8700000000000000000000000000000000000000000000000000000000000000d100000000000000000000000000000000000000000000000000000000"
        "00000001000000000000000000000000000000000000000000000000000000000000000100000000000000000000000000000000000000000000000000000000"
        "00000080000000000000000000000000000000000000000000000000000000000000044103000000000000000000000000000000000000000000000000000000"
        "00000000006d485ef96ab683ea6bc450b63e6eb9de143f9f19d0fe89b7b536ae8a689e6982000000000000000000000000000000000000000000000000000000"
        "00000000000000000000000000000000000000000000000000000000000000000000000000c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8"
        "045d85a4700000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "00000000010000000000000000000000000000000000000000000000000000000000000140000000000000000000000000000000000000000000000000000000"
        "00000000010000000000000000000000000000000000000000000000000000000000000020000000000000000000000000000000000000000000000000000000"
        "0000000001d6b0b7b9d521c1b834226c5db16775ba6864dd2fe89d327366804e63e0b07bdc000000000000000000000000000000000000000000000000000000"
        "0000000002b5236acd5f9acbaf7bfacaec8fd59772ae3cb85f630d379075b393ad58e005ea000000000000000000000000000000000000000000000000000000"
        "00000000002ed652f51ba9a569d2bf01694ea546373748f0cbc542b3445bb074e4ade096ca000000000000000000000000000000000000000000000000000000"
        "00000000034e31fc8520618ec6849671607f6691edb49ca1b89e83bc6eb01795aefef6b892000000000000000000000000000000000000000000000000000000"
        "0068e778000000000000000000000000000000000000000000000000000000000000000001000000000000000000000000000000000000000000000000000000"
        "0068e778010000000000000000000000000000000000000000000000000000000000000002000000000000000000000000000000000000000000000000000000"
        "00000019a500000000000000000000000000000000000000000000000000000000000001c0000000000000000000000000000000000000000000000000000000"
        "00000000c20000000000000000000000000000000000000000000000000000000000000000002030bde3d4cf89919649775cd71875c4d0ab1708a380e03fefc3"
        "a28aa2483101000000000000000000000000000000000000000000000000000000000000000000000102030405060708090a0b0c0d0e0f101112131415161718"
        "191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f00000000000000000000000000000000000000000000000000"
        "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "00000000"
    )
    .to_vec()
}

/// Last argument of a prove call.
fn known_prove_data() -> Vec<u8> {
    alloy_primitives::hex!(
        "0100000000000000000000000000000000000000000000000000000000000000006d485ef96ab683ea6bc450b63e6eb9de143f9f19d0fe89b7b536ae8a689e69"
        "82000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "00c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a47000000000000000000000000000000000000000000000000000000000000000"
        "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "00000000000000000000000000000000000000000000000000000000000000000100000000000000000000000000000000000000000000000000000000000001"
        "6000000000000000000000000000000000000000000000000000000000000002a000000000000000000000000000000000000000000000000000000000000000"
        "010000000000000000000000000000000000000000000000000000000000000001d6b0b7b9d521c1b834226c5db16775ba6864dd2fe89d327366804e63e0b07b"
        "dc000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "02b5236acd5f9acbaf7bfacaec8fd59772ae3cb85f630d379075b393ad58e005ea00000000000000000000000000000000000000000000000000000000000000"
        "002ed652f51ba9a569d2bf01694ea546373748f0cbc542b3445bb074e4ade096ca00000000000000000000000000000000000000000000000000000000000000"
        "00acb17c9e9a1716ad6443951308a5adaf5f55c069f0def1c427d88cacabbfe75300000000000000000000000000000000000000000000000000000000000000"
        "04000000000000000000000000000000000000000000000000000000000000000300000000000000000000000000000000000000000000000000000000000000"
        "00000000000000000000000000000000000000000000000000000000000000000d000000000d98e772d2b0b09edc01ae447f08c43553331736843b532d416c46"
        "84"
    )
    .to_vec()
}

/// Last argument of an execute call.
fn known_execute_data() -> Vec<u8> {
    alloy_primitives::hex!(
        "01000000000000000000000000000000000000000000000000000000000000006000000000000000000000000000000000000000000000000000000000000001"
        "a0000000000000000000000000000000000000000000000000000000000000032000000000000000000000000000000000000000000000000000000000000000"
        "010000000000000000000000000000000000000000000000000000000000000001d6b0b7b9d521c1b834226c5db16775ba6864dd2fe89d327366804e63e0b07b"
        "dc000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "02b5236acd5f9acbaf7bfacaec8fd59772ae3cb85f630d379075b393ad58e005ea00000000000000000000000000000000000000000000000000000000000000"
        "002ed652f51ba9a569d2bf01694ea546373748f0cbc542b3445bb074e4ade096ca00000000000000000000000000000000000000000000000000000000000000"
        "00acb17c9e9a1716ad6443951308a5adaf5f55c069f0def1c427d88cacabbfe75300000000000000000000000000000000000000000000000000000000000000"
        "01000000000000000000000000000000000000000000000000000000000000002000000000000000000000000000000000000000000000000000000000000000"
        "6000000000000000000000000000000000000000000000000000000000000000a000000000000000000000000000000000000000000000000000000000000000"
        "e0000000000000000000000000000000000000000000000000000000000000000100000000000000000000000000000000000000000000000000000000000000"
        "00000000000000000000000000000000000000000000000000000000000000000100000000000000000000000000000000000000000000000000000000000000"
        "0000000000000000000000000000000000000000000000000000000000000000024164624346d4c915977debf68dbd721f8ae86b964080925aecf6911dd47a6e"
        "cec99fec1c606ef0b8e5ed9fcdfd970787248a9130227ea815a8a66f9649e5e80000000000000000000000000000000000000000000000000000000000000000"
        "01000000000000000000000000000000000000000000000000000000000000002000000000000000000000000000000000000000000000000000000000000000"
        "00"
    )
    .to_vec()
}

fn genesis_batch() -> StoredBatchInfo {
    StoredBatchInfo {
        state_commitment: b256!("6d485ef96ab683ea6bc450b63e6eb9de143f9f19d0fe89b7b536ae8a689e6982"),
        priority_operations_hash: KECCAK256_EMPTY,
        commitment: B256::with_last_byte(1),
        ..Default::default()
    }
}

/// Batch 1 of a chain that publishes its data as calldata.
fn batch() -> CommitBatchInfo {
    let pubdata: Vec<u8> = (0..64).collect();
    let mut header = vec![0; 32];
    header.extend_from_slice(keccak256(&pubdata).as_slice());
    header.push(1);
    header.extend_from_slice(&[0; 32]);
    let da_commitment = keccak256(&header);
    let mut input = header;
    input.push(0);
    input.extend_from_slice(&pubdata);
    input.extend_from_slice(&[0; 32]);
    CommitBatchInfo {
        batch_number: 1,
        new_state_commitment: keccak256("state-1"),
        number_of_layer1_txs: 2,
        priority_operations_hash: b256!(
            "b5236acd5f9acbaf7bfacaec8fd59772ae3cb85f630d379075b393ad58e005ea"
        ),
        dependency_roots_rolling_hash: B256::ZERO,
        l2_logs_tree_root: b256!(
            "2ed652f51ba9a569d2bf01694ea546373748f0cbc542b3445bb074e4ade096ca"
        ),
        da_commitment_scheme: DaCommitmentScheme::try_from(3).unwrap(),
        da_commitment,
        first_block_timestamp: 1_760_000_000,
        first_block_number: 1,
        last_block_timestamp: 1_760_000_001,
        last_block_number: 2,
        chain_id: 6565,
        operator_da_input: input.into(),
    }
}

fn data_argument(calldata: &[u8]) -> Vec<u8> {
    IValidatorTimelock::executeBatchesSharedBridgeCall::abi_decode_raw(&calldata[4..])
        .unwrap()
        .data
        .to_vec()
}

#[test]
fn commit_calldata_is_byte_exact() {
    let calldata = commit_calldata(DIAMOND, &genesis_batch(), &batch());
    assert_eq!(hex::encode(&calldata), hex::encode(known_commit_calldata()));
    assert_eq!(calldata.len(), 1284);
    assert_eq!(
        keccak256(&calldata),
        b256!("c4aed3ef9ac0237f347c98a3f2ae5a919141431e956c7c705864518db784e24b")
    );
    assert_eq!(
        keccak256(data_argument(&calldata)),
        b256!("fba161cdca97bc8729d9f66111fc2061486243c769630de3f060e865da4163d5")
    );
}

#[test]
fn a_commit_is_learnt_back_from_its_calldata() {
    let (previous, found) = decode_commit_calldata(&known_commit_calldata(), DIAMOND).unwrap();
    assert_eq!((previous, &found), (genesis_batch(), &batch()));
    assert_eq!(
        previous.hash(),
        b256!("202ff3f096e7cbdf9b76a13be4bdb5a6357703ff1cbca345accb617fb5720474")
    );
    let stored = found.stored(B256::ZERO);
    assert_eq!(
        stored.commitment,
        b256!("acb17c9e9a1716ad6443951308a5adaf5f55c069f0def1c427d88cacabbfe753")
    );
    assert_eq!(
        stored.hash(),
        b256!("9c203a4851d72d9479bebbb07414645a514538823c9c089dcc9f956b260bb468")
    );
    let upgraded = found.stored(B256::repeat_byte(0x11));
    assert_eq!(
        upgraded.commitment,
        b256!("ca8ee3ba20caf0f0d74e08d5b2ce0e4d98f851f3cbd932991d82ef4346ae4029")
    );
}

#[test]
fn a_commit_with_signatures_is_learnt_back_too() {
    let plain = known_commit_calldata();
    let data = data_argument(&plain).into();
    let wrapped = IValidatorTimelock::commitBatchesMultisigCall {
        chainAddress: DIAMOND,
        processFrom: U256::ONE,
        processTo: U256::ONE,
        data,
        signers: vec![DIAMOND],
        signatures: vec![bytes!("00")],
    }
    .abi_encode();
    assert_eq!(
        decode_commit_calldata(&wrapped, DIAMOND).unwrap(),
        decode_commit_calldata(&plain, DIAMOND).unwrap()
    );
}

#[test]
fn foreign_and_broken_calldata_is_refused() {
    let good = known_commit_calldata();
    assert!(matches!(
        decode_commit_calldata(&good, Address::ZERO),
        Err(CalldataError::OtherChain { .. })
    ));
    assert!(matches!(decode_commit_calldata(&good[..3], DIAMOND), Err(CalldataError::Selector(_))));
    assert!(matches!(decode_commit_calldata(&[0; 100], DIAMOND), Err(CalldataError::Selector(_))));
    assert!(decode_commit_calldata(&good[..good.len() - 64], DIAMOND).is_err());
    let mut number = good;
    number[4 + 32 + 31] = 2;
    assert!(matches!(decode_commit_calldata(&number, DIAMOND), Err(CalldataError::Bounds { .. })));
}

#[test]
fn prove_data_is_byte_exact() {
    let stored = batch().stored(B256::ZERO);
    let proof = fake_proof(&genesis_batch(), &[stored]).unwrap();
    assert_eq!(proof[..3], [U256::from(3), U256::ZERO, U256::from(13)]);
    assert_eq!(
        proof[3],
        U256::from_be_slice(&hex!("0d98e772d2b0b09edc01ae447f08c43553331736843b532d416c4684"))
    );
    let calldata = prove_calldata(DIAMOND, &genesis_batch(), &[stored], &proof).unwrap();
    assert_eq!(calldata[..4], hex!("9271e450"));
    assert_eq!(hex::encode(data_argument(&calldata)), hex::encode(known_prove_data()));
    assert_eq!(
        decode_prove_calldata(&calldata, DIAMOND).unwrap(),
        (genesis_batch(), vec![stored], proof)
    );
    assert!(matches!(
        prove_calldata(DIAMOND, &genesis_batch(), &[], &[]),
        Err(CalldataError::NoBatches)
    ));
}

#[test]
fn real_proofs_carry_the_verifier_version() {
    let words = vec![U256::from(7); 44];
    let proof = real_proof(6, &words);
    assert_eq!(proof[..2], [U256::from(2 | 6 << 8), U256::ZERO]);
    assert_eq!(proof[2..], words);
}

#[test]
fn execute_data_is_byte_exact() {
    let stored = batch().stored(B256::ZERO);
    let ops = PriorityOpsBatchInfo {
        leftPath: vec![B256::ZERO],
        rightPath: vec![B256::ZERO],
        itemHashes: vec![T0, T1],
    };
    let calldata = execute_calldata(DIAMOND, &[stored], core::slice::from_ref(&ops)).unwrap();
    assert_eq!(calldata[..4], hex!("a085344d"));
    let data = data_argument(&calldata);
    assert_eq!(data.len(), 897);
    assert_eq!(hex::encode(data), hex::encode(known_execute_data()));
    assert_eq!(decode_execute_calldata(&calldata, DIAMOND).unwrap(), (vec![stored], vec![ops]));
    assert!(matches!(
        execute_calldata(DIAMOND, &[stored], &[]),
        Err(CalldataError::Lengths { .. })
    ));
}

#[test]
fn execute_data_without_priority_transactions() {
    let mut info = batch();
    info.number_of_layer1_txs = 0;
    info.priority_operations_hash = KECCAK256_EMPTY;
    let stored = info.stored(B256::ZERO);
    let calldata =
        execute_calldata(DIAMOND, &[stored], &[PriorityOpsBatchInfo::default()]).unwrap();
    assert_eq!(data_argument(&calldata).len(), 769);
    let decoded = decode_execute_calldata(&calldata, DIAMOND).unwrap();
    assert_eq!(decoded, (vec![stored], vec![PriorityOpsBatchInfo::default()]));
}

#[test]
fn ranges_come_from_the_batches() {
    let first = batch().stored(B256::ZERO);
    let second = StoredBatchInfo { batch_number: 2, ..first };
    let third = StoredBatchInfo { batch_number: 4, ..first };
    let calldata =
        prove_calldata(DIAMOND, &genesis_batch(), &[first, second], &[U256::ONE]).unwrap();
    let call = IValidatorTimelock::proveBatchesSharedBridgeCall::abi_decode(&calldata).unwrap();
    assert_eq!((call.processFrom, call.processTo), (U256::ONE, U256::from(2)));
    assert!(matches!(
        prove_calldata(DIAMOND, &genesis_batch(), &[first, third], &[]),
        Err(CalldataError::Bounds { .. })
    ));
}

prop_compose! {
    fn any_stored(number: u64)(
        words: [[u8; 32]; 5], txs: u64,
    ) -> StoredBatchInfo {
        StoredBatchInfo {
            batch_number: number,
            state_commitment: words[0].into(),
            number_of_layer1_txs: txs,
            priority_operations_hash: words[1].into(),
            dependency_roots_rolling_hash: words[2].into(),
            l2_logs_tree_root: words[3].into(),
            commitment: words[4].into(),
        }
    }
}

prop_compose! {
    fn any_ops()(left: Vec<[u8; 32]>, right: Vec<[u8; 32]>, items: Vec<[u8; 32]>) -> PriorityOpsBatchInfo {
        let words = |list: Vec<[u8; 32]>| list.into_iter().map(B256::from).collect();
        PriorityOpsBatchInfo { leftPath: words(left), rightPath: words(right), itemHashes: words(items) }
    }
}

proptest! {
    #[test]
    fn stored_batches_encode_alike_in_both_types(info in any_stored(7)) {
        let sol = SolStoredBatchInfo::from(&info);
        prop_assert_eq!(sol.abi_encode(), info.abi_encode().to_vec());
        prop_assert_eq!(StoredBatchInfo::try_from(&sol).unwrap(), info);
    }

    #[test]
    fn execute_round_trips(first in any_stored(8), second in any_stored(9), ops in proptest::array::uniform2(any_ops())) {
        let calldata = execute_calldata(DIAMOND, &[first, second], &ops).unwrap();
        prop_assert_eq!(decode_execute_calldata(&calldata, DIAMOND).unwrap(), (vec![first, second], ops.to_vec()));
    }

    #[test]
    fn prove_round_trips(previous in any_stored(4), batch in any_stored(5), words: Vec<[u8; 32]>) {
        let proof: Vec<U256> = words.into_iter().map(U256::from_be_bytes).collect();
        let calldata = prove_calldata(DIAMOND, &previous, &[batch], &proof).unwrap();
        prop_assert_eq!(decode_prove_calldata(&calldata, DIAMOND).unwrap(), (previous, vec![batch], proof));
    }

    #[test]
    fn decoders_survive_garbage(mut data: Vec<u8>, which in 0usize..3) {
        let selectors = [hex!("0db9eb87"), hex!("9271e450"), hex!("a085344d")];
        data.splice(0..0, selectors[which]);
        let _ = decode_commit_calldata(&data, DIAMOND);
        let _ = decode_prove_calldata(&data, DIAMOND);
        let _ = decode_execute_calldata(&data, DIAMOND);
    }
}
