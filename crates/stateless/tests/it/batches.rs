//! Any run of blocks gives an input that leads to the same state.

use crate::chain::{Chain, User, deposit};
use alloy_primitives::{Address, Bytes, TxKind};
use proptest::prelude::*;
use zkos_primitives::DaCommitmentScheme;
use zkos_stateless::{BatchClaim, BatchInput, execute};

#[derive(Debug, Clone)]
enum Action {
    Transfer { user: usize, to: u8, value: u64 },
    Deploy { user: usize },
    Count { user: usize, slot: u64 },
    Message { user: usize, len: usize },
    Deposit { to: u8 },
}

fn action() -> impl Strategy<Value = Action> {
    let user = 0usize..3;
    prop_oneof![
        (user.clone(), any::<u8>(), 0u64..1000).prop_map(|(user, to, value)| Action::Transfer {
            user,
            to,
            value
        }),
        user.clone().prop_map(|user| Action::Deploy { user }),
        (user.clone(), 0u64..6).prop_map(|(user, slot)| Action::Count { user, slot }),
        (user, 0usize..100).prop_map(|(user, len)| Action::Message { user, len }),
        (0u8..4).prop_map(|to| Action::Deposit { to }),
    ]
}

/// A chain of blocks with these actions.
fn chain(blocks: &[Vec<Action>]) -> Chain {
    let mut users: Vec<User> = (0..3).map(User::new).collect();
    let mut chain = Chain::funded(users.iter().map(User::address));
    let (deploy, mut counter) = users[0].deploy_counter();
    let mut first = vec![deploy];
    let mut deposits = 0;
    for actions in blocks {
        let mut txs = std::mem::take(&mut first);
        for action in actions {
            txs.push(match *action {
                Action::Transfer { user, to, value } => {
                    users[user].send(TxKind::Call(Address::repeat_byte(to)), value, Bytes::new())
                }
                Action::Deploy { user } => {
                    let (tx, address) = users[user].deploy_counter();
                    counter = address;
                    tx
                }
                Action::Count { user, slot } => users[user].count(counter, slot),
                Action::Message { user, len } => users[user].message(&vec![7; len]),
                Action::Deposit { to } => {
                    deposits += 1;
                    deposit(deposits - 1, Address::repeat_byte(to))
                }
            });
        }
        chain.block(&txs);
    }
    chain
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn inputs_lead_to_the_tree_of_the_chain(
        blocks in prop::collection::vec(prop::collection::vec(action(), 0..6), 1..6),
        cut in 0usize..6,
    ) {
        let chain = chain(&blocks);
        let head = chain.head();
        let cut = (cut as u64).min(head - 1);
        let mut previous = None;
        for (first, last) in [(1, cut), (cut + 1, head)] {
            if first > last {
                continue;
            }
            let input = chain.input(first, last, DaCommitmentScheme::BlobsAndPubdataKeccak256);
            prop_assert_eq!(input.block_range(), (first, last));
            let bytes = input.to_bytes();
            prop_assert_eq!(&BatchInput::from_bytes(&bytes).unwrap(), &input);
            let outcome = execute(&input).unwrap();
            prop_assert_eq!(outcome.tree, chain.outputs[last as usize]);
            prop_assert_eq!(outcome.block_hash, chain.records[last as usize - 1].block_hash);
            if let Some(previous) = previous {
                prop_assert_eq!(outcome.previous_state_commitment, previous);
            }
            previous = Some(outcome.commit.new_state_commitment);

            let claim = BatchClaim::new(
                outcome.previous_state_commitment,
                outcome.commit.clone(),
                outcome.upgrade_tx_hash,
            );
            claim.check(&outcome).unwrap();
            let words = claim.to_words();
            let (read, rest) = BatchClaim::from_words(&words).unwrap();
            prop_assert!(rest.is_empty());
            prop_assert_eq!(read, claim);
        }
    }
}

#[test]
fn a_batch_of_empty_blocks_touches_nothing() {
    let mut chain = Chain::funded([]);
    chain.block(&[]);
    chain.block(&[]);
    let input = chain.input(1, 2, DaCommitmentScheme::EmptyNoDa);
    // The fee recipient is read by every block.
    assert!(input.preimages.is_empty());
    let outcome = execute(&input).unwrap();
    assert_eq!(outcome.tree, chain.outputs[0]);
    assert_eq!(outcome.transactions, 0);
}

#[test]
fn a_record_that_does_not_execute_to_its_hash_is_refused() {
    let mut user = User::new(0);
    let mut chain = Chain::funded([user.address()]);
    chain.block(&[user.send(TxKind::Call(Address::repeat_byte(9)), 1, Bytes::new())]);
    std::sync::Arc::make_mut(&mut chain.records[0]).block_hash = Default::default();
    let error = chain.try_input(1, 1, DaCommitmentScheme::EmptyNoDa).unwrap_err();
    assert!(error.to_string().starts_with("block 1 is 0x0000"), "{error}");
}
