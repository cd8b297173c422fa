//! Inputs and claims that are damaged, or made up.

use crate::chain::{Chain, User, deposit};
use alloy_primitives::{Address, Bytes, TxKind, U256};
use proptest::prelude::*;
use std::sync::LazyLock;
use zkos_primitives::{DaCommitmentScheme, ProtocolVersion, blake2s};
use zkos_stateless::{
    BatchClaim, BatchInput, BatchOutcome, DecodeError, StatelessError, bytes_to_words, execute,
    words_to_bytes,
};

const HEADER_WORDS: usize = 11;

struct Batch {
    input: BatchInput,
    claim: BatchClaim,
}

/// A small batch that has something of everything.
static BATCH: LazyLock<Batch> = LazyLock::new(|| {
    let mut users = [User::new(0), User::new(1)];
    let others = (0..60).map(|n| Address::repeat_byte(100 + n));
    let mut chain = Chain::funded(users.iter().map(User::address).chain(others));
    let (deploy, counter) = users[0].deploy_counter();
    chain.block(&[deploy]);
    let txs = [
        deposit(0, Address::repeat_byte(3)),
        users[0].count(counter, 1),
        users[1].send(TxKind::Call(Address::repeat_byte(9)), 1, Bytes::new()),
    ];
    chain.block(&txs);
    chain.block(&[users[1].message(b"hello"), users[0].count(counter, 1)]);
    let input = chain.input(2, 3, DaCommitmentScheme::BlobsAndPubdataKeccak256);
    let outcome = execute(&input).unwrap();
    assert_eq!(outcome.transactions, 5);
    let claim = claim(&outcome);
    Batch { input, claim }
});

fn claim(outcome: &BatchOutcome) -> BatchClaim {
    let commit = outcome.commit.clone();
    BatchClaim::new(outcome.previous_state_commitment, commit, outcome.upgrade_tx_hash)
}

/// Everything that checking a file does.
fn verify(words: &[u32]) -> Result<(), String> {
    let (input, rest) = BatchInput::from_words(words).map_err(|error| error.to_string())?;
    let (claim, rest) = BatchClaim::from_words(rest).map_err(|error| error.to_string())?;
    if !rest.is_empty() {
        return Err("surplus words".to_owned());
    }
    let outcome = execute(&input).map_err(|error| error.to_string())?;
    claim.check(&outcome).map_err(|error| error.to_string())
}

fn file() -> Vec<u32> {
    [BATCH.input.to_words(), BATCH.claim.to_words()].concat()
}

/// Makes the header of a section agree with its words.
fn reseal(section: &mut [u32]) {
    let hash = blake2s(words_to_bytes(&section[HEADER_WORDS..]));
    section[3..HEADER_WORDS].copy_from_slice(&bytes_to_words(hash.as_slice()).unwrap());
}

/// The input without what no commitment binds: values on which the result happens not to depend.
fn bound(input: &BatchInput) -> BatchInput {
    let mut input = input.clone();
    input.protocol_version = ProtocolVersion::V30_0;
    for block in &mut input.blocks {
        // The state transition reads neither.
        (block.mix_hash, block.blob_fee) = (U256::ZERO, U256::ZERO);
        // Limits that are not reached, and prices that round to the same gas.
        (block.pubdata_limit, block.pubdata_price) = (0, U256::ZERO);
        block.native_price = U256::ZERO;
    }
    input
}

#[test]
fn the_batch_itself_is_accepted() {
    verify(&file()).unwrap();
}

#[test]
fn a_flipped_byte_anywhere_is_refused() {
    let good = words_to_bytes(&file());
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        let words = bytes_to_words(&bytes).unwrap();
        assert!(verify(&words).is_err(), "byte {at} of {}", good.len());
    }
}

/// The hash in the header is anybody's to compute; the batch is not.
#[test]
fn a_flipped_bit_behind_a_right_hash_changes_nothing_or_is_refused() {
    let good = BATCH.input.to_words();
    let mut survivors = 0;
    for at in HEADER_WORDS..good.len() {
        for bit in [at % 32, (at * 7 + 13) % 32] {
            let mut words = good.clone();
            words[at] ^= 1 << bit;
            reseal(&mut words);
            let Ok((input, _)) = BatchInput::from_words(&words) else { continue };
            let Ok(outcome) = execute(&input) else { continue };
            if BATCH.claim.check(&outcome).is_ok() {
                assert_eq!(bound(&input), bound(&BATCH.input), "word {at}, bit {bit}");
                survivors += 1;
            }
        }
    }
    // Without the randomness and blob fee that nothing reads the test would test nothing.
    assert!(survivors > 0);
}

#[test]
fn a_flipped_bit_in_the_claim_behind_a_right_hash_is_refused() {
    let outcome = execute(&BATCH.input).unwrap();
    let good = BATCH.claim.to_words();
    for at in HEADER_WORDS..good.len() {
        let mut words = good.clone();
        words[at] ^= 1 << (at % 32);
        reseal(&mut words);
        if let Ok((claim, _)) = BatchClaim::from_words(&words) {
            let error = claim.check(&outcome).expect_err("claim was changed");
            assert!(!error.differences.is_empty(), "word {at}");
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    let good = file();
    for len in (0..good.len()).step_by(7) {
        assert!(verify(&good[..len]).is_err(), "{len}");
    }
    let long = [good, vec![0]].concat();
    assert!(verify(&long).is_err());
    assert_eq!(bytes_to_words(&[1, 2, 3]), Err(DecodeError::NotWords { len: 3 }));
}

#[test]
fn only_what_is_needed_is_accepted() {
    let refused = |change: &dyn Fn(&mut BatchInput)| {
        let mut input = BATCH.input.clone();
        change(&mut input);
        execute(&input).expect_err("the input was changed")
    };
    let error = refused(&|input| {
        input.preimages.push(Bytes::from_static(b"?"));
        input.preimages.sort_by_key(|bytes| blake2s(bytes));
    });
    assert!(matches!(error, StatelessError::UnneededPreimage { .. }), "{error}");
    let error = refused(&|input| input.preimages.reverse());
    assert!(matches!(error, StatelessError::PreimageOrder { .. }), "{error}");
    let error = refused(&|input| {
        input.preimages.pop();
    });
    assert!(matches!(error, StatelessError::Execution { .. }), "{error}");
    let error = refused(&|input| {
        input.leaves.remove(0);
    });
    assert!(
        matches!(
            error,
            StatelessError::Execution { .. }
                | StatelessError::Proof(_)
                | StatelessError::UnknownKey { .. }
        ),
        "{error}"
    );
    let error = refused(&|input| input.hashes.reverse());
    assert!(matches!(error, StatelessError::Proof(_)), "{error}");
    let error = refused(&|input| input.leaves.reverse());
    assert!(
        matches!(error, StatelessError::Execution { .. } | StatelessError::Proof(_)),
        "{error}"
    );
    let error = refused(&|input| input.blocks.clear());
    assert!(
        matches!(error, StatelessError::Contents(_) | StatelessError::UnneededLeaf { .. }),
        "{error}"
    );
    let error = refused(&|input| input.blocks[1].timestamp = 1);
    assert!(matches!(error, StatelessError::Timestamp { block: 3, .. }), "{error}");
    let error = refused(&|input| input.blocks[0].execution_version = 4);
    assert!(matches!(error, StatelessError::Version { block: 2, .. }), "{error}");
    let error = refused(&|input| input.protocol_version = ProtocolVersion::new(99, 0));
    assert!(matches!(error, StatelessError::Version { .. }), "{error}");
    let error = refused(&|input| input.parent.block_number = u64::MAX);
    assert!(matches!(error, StatelessError::BlockNumber(_)), "{error}");
    let error = refused(&|input| {
        let tx = input.blocks[0].transactions[1].clone();
        input.blocks[0].transactions.push(tx);
    });
    assert!(matches!(error, StatelessError::Rejected { block: 2, .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_words_never_panic(body in prop::collection::vec(any::<u32>(), 0..200), cut in 0usize..400) {
        // A made-up body, and the real one with its tail replaced.
        let good = BATCH.input.to_words();
        let keep = HEADER_WORDS + cut.min(good.len() - HEADER_WORDS);
        for prefix in [&good[..HEADER_WORDS], &good[..keep]] {
            let mut words = [prefix, &body].concat();
            words[2] = (words.len() - HEADER_WORDS) as u32;
            reseal(&mut words);
            if let Ok((input, _)) = BatchInput::from_words(&words) {
                let _ = execute(&input);
            }
        }
        let _ = BatchInput::from_words(&body);
        let _ = BatchClaim::from_words(&body);
    }

    #[test]
    fn random_inputs_never_panic(
        leaf_count in any::<u64>(), number in any::<u64>(), swaps in prop::collection::vec(any::<[prop::sample::Index; 2]>(), 0..4),
        gas_limit in any::<u64>(), price in any::<[u8; 32]>(),
    ) {
        let mut input = BATCH.input.clone();
        input.parent.leaf_count = leaf_count;
        input.parent.block_number = number;
        for [a, b] in swaps {
            let len = input.leaves.len();
            input.leaves.swap(a.index(len), b.index(len));
        }
        input.blocks[0].gas_limit = gas_limit;
        input.blocks[0].native_price = U256::from_be_bytes(price);
        prop_assert!(execute(&input).is_err());
    }
}
