use super::*;
use crate::{log::L2ToL1Log, log_tree::l2_logs_tree_root};
use alloy_primitives::{KECCAK256_EMPTY, address, b256, hex};
use proptest::prelude::*;

/// Batch 1 of the published example: chain 6565, calldata, two priority transactions.
fn published() -> (StoredBatchInfo, CommitBatchInfo) {
    let previous = crate::genesis::genesis_batch(b256!(
        "6d485ef96ab683ea6bc450b63e6eb9de143f9f19d0fe89b7b536ae8a689e6982"
    ));
    let pubdata: Vec<u8> = (0..64).collect();
    let (da_commitment, operator_da_input) =
        da_commitment(DaCommitmentScheme::BlobsAndPubdataKeccak256, &pubdata).unwrap();
    let hashes = [
        b256!("4164624346d4c915977debf68dbd721f8ae86b964080925aecf6911dd47a6ece"),
        b256!("c99fec1c606ef0b8e5ed9fcdfd970787248a9130227ea815a8a66f9649e5e800"),
    ];
    let message = hex!(
        "6c0960f936615cf349d7f6344891b1e7ca7c72883f5dc0490000000000000000000000000000000000000000000000000000000000000064"
    );
    let logs = [
        L2ToL1Log::l1_tx_result(0, hashes[0], true),
        L2ToL1Log::l1_tx_result(1, hashes[1], true),
        L2ToL1Log::message(2, address!("000000000000000000000000000000000000800a"), &message),
    ];
    let batch = CommitBatchInfo {
        batch_number: 1,
        new_state_commitment: keccak256("state-1"),
        number_of_layer1_txs: 2,
        priority_operations_hash: crate::transaction::priority_operations_hash(hashes),
        dependency_roots_rolling_hash: B256::ZERO,
        l2_logs_tree_root: l2_logs_tree_root(&logs).unwrap(),
        da_commitment_scheme: DaCommitmentScheme::BlobsAndPubdataKeccak256,
        da_commitment,
        first_block_timestamp: 1_760_000_000,
        first_block_number: 1,
        last_block_timestamp: 1_760_000_001,
        last_block_number: 2,
        chain_id: 6565,
        operator_da_input,
    };
    (previous, batch)
}

#[test]
fn published_commit() {
    let (previous, batch) = published();
    assert_eq!(
        previous.hash(),
        b256!("202ff3f096e7cbdf9b76a13be4bdb5a6357703ff1cbca345accb617fb5720474")
    );
    assert_eq!(
        batch.da_commitment,
        b256!("4e31fc8520618ec6849671607f6691edb49ca1b89e83bc6eb01795aefef6b892")
    );
    assert_eq!(
        batch.output(B256::ZERO).hash(),
        b256!("acb17c9e9a1716ad6443951308a5adaf5f55c069f0def1c427d88cacabbfe753")
    );
    assert_eq!(
        batch.output(B256::repeat_byte(0x11)).hash(),
        b256!("ca8ee3ba20caf0f0d74e08d5b2ce0e4d98f851f3cbd932991d82ef4346ae4029")
    );
    let data = encode_commit_data(&previous, &batch);
    assert_eq!(data.len(), 1089);
    assert_eq!(
        keccak256(&data),
        b256!("fba161cdca97bc8729d9f66111fc2061486243c769630de3f060e865da4163d5")
    );
    assert_eq!(calldata::commit_data_hash(&previous, &batch), keccak256(&data));
    assert_eq!(decode_commit_data(&data), Ok((previous, batch.clone())));
    assert_eq!(
        batch.stored(B256::ZERO).hash(),
        b256!("9c203a4851d72d9479bebbb07414645a514538823c9c089dcc9f956b260bb468")
    );
}

/// Prove data of the published batch with a mock proof.
const PUBLISHED_PROVE_DATA: &[u8] = &hex!(
    "0100000000000000000000000000000000000000000000000000000000000000006d485ef96ab683ea6bc450b63e6eb9de143f9f19d0fe89b7b536ae8a689e698200000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a4700000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001000000000000000000000000000000000000000000000000000000000000016000000000000000000000000000000000000000000000000000000000000002a000000000000000000000000000000000000000000000000000000000000000010000000000000000000000000000000000000000000000000000000000000001d6b0b7b9d521c1b834226c5db16775ba6864dd2fe89d327366804e63e0b07bdc00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000002b5236acd5f9acbaf7bfacaec8fd59772ae3cb85f630d379075b393ad58e005ea00000000000000000000000000000000000000000000000000000000000000002ed652f51ba9a569d2bf01694ea546373748f0cbc542b3445bb074e4ade096ca0000000000000000000000000000000000000000000000000000000000000000acb17c9e9a1716ad6443951308a5adaf5f55c069f0def1c427d88cacabbfe753000000000000000000000000000000000000000000000000000000000000000400000000000000000000000000000000000000000000000000000000000000030000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000d000000000d98e772d2b0b09edc01ae447f08c43553331736843b532d416c4684"
);

#[test]
fn published_prove() {
    let (previous, batch) = published();
    let stored = batch.stored(B256::ZERO);
    let input = proof_public_input(&previous, &stored);
    assert_eq!(
        B256::from(input),
        b256!("000000000d98e772d2b0b09edc01ae447f08c43553331736843b532d416c4684")
    );
    assert_eq!(aggregated_public_input(&previous, &[stored]), Some(input));
    assert_eq!(aggregated_public_input(&previous, &[]), None);
    let proof = [U256::from(3), U256::ZERO, U256::from(13), input];
    let data = encode_prove_data(&previous, &[stored], &proof);
    assert_eq!(data, PUBLISHED_PROVE_DATA);
}

#[test]
fn aggregation_folds_shifted_inputs() {
    let (previous, batch) = published();
    let first = batch.stored(B256::ZERO);
    let second =
        StoredBatchInfo { batch_number: 2, state_commitment: keccak256("state-2"), ..first };
    let mut fold = [0u8; 64];
    fold[..32].copy_from_slice(&proof_public_input(&previous, &first).to_be_bytes::<32>());
    fold[32..].copy_from_slice(&proof_public_input(&first, &second).to_be_bytes::<32>());
    assert_eq!(
        aggregated_public_input(&previous, &[first, second]),
        Some(U256::from_be_bytes(keccak256(fold).0) >> 32)
    );
}

#[test]
fn public_input_of_words() {
    assert_eq!(
        batch_public_input(
            B256::repeat_byte(0x11),
            B256::repeat_byte(0x22),
            B256::repeat_byte(0x33)
        ),
        b256!("41524791bda53e6da2158f10c15e3672835515d6135111d11c7e9880cfcbe573")
    );
}

#[test]
fn schemes_and_modes() {
    assert_eq!(
        da_commitment(DaCommitmentScheme::EmptyNoDa, b"x").unwrap(),
        (B256::ZERO, Bytes::from(vec![0; 32]))
    );
    for scheme in [DaCommitmentScheme::None, DaCommitmentScheme::PubdataKeccak256] {
        assert!(matches!(da_commitment(scheme, b"x"), Err(DaError::Unsupported(_))));
    }
    for value in 0..5u8 {
        assert_eq!(u8::from(DaCommitmentScheme::try_from(value).unwrap()), value);
    }
    assert!(DaCommitmentScheme::try_from(5).is_err());
    for mode in ["Blobs", "calldata", "VALIDIUM", "RelayedL2Calldata"] {
        let parsed: PubdataMode = mode.parse().unwrap();
        assert!(parsed.to_string().eq_ignore_ascii_case(mode));
    }
    assert!("blob".parse::<PubdataMode>().is_err());
    assert!(!PubdataMode::Validium.is_rollup());
    assert_eq!(PubdataMode::Blobs.max_pubdata(), Some(761_825));
    assert_eq!(PubdataMode::Calldata.max_pubdata(), Some(126_976));
    assert_eq!(PubdataMode::Validium.max_pubdata(), None);
}

#[test]
fn commit_data_decoding_is_strict() {
    let (previous, batch) = published();
    let data = encode_commit_data(&previous, &batch);
    assert_eq!(decode_commit_data(&[]), Err(BatchCalldataError::Version(None)));
    assert_eq!(decode_commit_data(&[2]), Err(BatchCalldataError::Version(Some(2))));
    assert!(matches!(decode_commit_data(&data[..100]), Err(BatchCalldataError::Abi(_))));
    assert_eq!(decode_commit_data(&data[..data.len() - 1]), Err(BatchCalldataError::NotCanonical));
    let mut long = data.clone();
    long.push(0);
    assert!(decode_commit_data(&long).is_err());
    // Unused fields, an unknown scheme, padding of the last byte string.
    for at in [1 + 2 * 32 + 31, 1 + 7 * 32 + 31, data.len() - 1] {
        let mut bad = data.clone();
        bad[at] = 7;
        assert!(decode_commit_data(&bad).is_err(), "{at}");
    }
}

/// A list of many batches is refused by its length, whatever its elements are.
#[test]
fn number_of_batches_is_checked_before_decoding() {
    let (previous, batch) = published();
    let data = encode_commit_data(&previous, &batch);
    let at = 1 + 10 * 32 + 24;
    assert_eq!(data[at..at + 8], 1u64.to_be_bytes());
    for count in [0, 2, 1 << 20, u64::MAX] {
        let mut bad = data.clone();
        bad[at..at + 8].copy_from_slice(&count.to_be_bytes());
        assert_eq!(
            decode_commit_data(&bad),
            Err(BatchCalldataError::BatchCount(count.try_into().unwrap()))
        );
    }
    let mut huge = data;
    huge[at - 24] = 1;
    assert_eq!(decode_commit_data(&huge), Err(BatchCalldataError::BatchCount(usize::MAX)));
}

#[test]
fn no_transactions_hash() {
    assert_eq!(crate::transaction::priority_operations_hash([]), KECCAK256_EMPTY);
}

prop_compose! {
    fn any_batch()(numbers in any::<[u64; 7]>(), words in any::<[[u8; 32]; 5]>(), scheme in 0u8..5,
                   input in proptest::collection::vec(any::<u8>(), 0..200)) -> CommitBatchInfo {
        CommitBatchInfo {
            batch_number: numbers[0], new_state_commitment: words[0].into(),
            number_of_layer1_txs: numbers[1], priority_operations_hash: words[1].into(),
            dependency_roots_rolling_hash: words[2].into(), l2_logs_tree_root: words[3].into(),
            da_commitment_scheme: scheme.try_into().unwrap(), da_commitment: words[4].into(),
            first_block_timestamp: numbers[2], first_block_number: numbers[3],
            last_block_timestamp: numbers[4], last_block_number: numbers[5], chain_id: numbers[6],
            operator_da_input: input.into(),
        }
    }
}

proptest! {
    #[test]
    fn codecs_round_trip(batch in any_batch(), previous in any_batch()) {
        let previous = previous.stored(B256::ZERO);
        let data = encode_commit_data(&previous, &batch);
        prop_assert_eq!(decode_commit_data(&data), Ok((previous, batch.clone())));
        prop_assert_eq!(&alloy_rlp::decode_exact::<CommitBatchInfo>(alloy_rlp::encode(&batch)).unwrap(), &batch);
        prop_assert_eq!(alloy_rlp::decode_exact::<StoredBatchInfo>(alloy_rlp::encode(previous)).unwrap(), previous);
        let json = serde_json::to_string(&batch).unwrap();
        prop_assert_eq!(serde_json::from_str::<CommitBatchInfo>(&json).unwrap(), batch);
    }

    /// What is accepted has one encoding, so the hash of a commit names its content.
    #[test]
    fn accepted_commit_data_is_canonical(batch in any_batch(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let previous = StoredBatchInfo::default();
        let mut data = encode_commit_data(&previous, &batch);
        let at = at.index(data.len());
        data[at] = byte;
        if let Ok((previous, batch)) = decode_commit_data(&data) {
            prop_assert_eq!(encode_commit_data(&previous, &batch), data);
        }
    }
}
