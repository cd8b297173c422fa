//! Batches of 1,000 transactions: making the input, its size, and executing it without a state.

#![allow(missing_docs)]

#[path = "../tests/it/chain.rs"]
#[allow(dead_code)]
mod chain;

use alloy_primitives::{Address, Bytes, TxKind};
use chain::{Chain, User};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use zkos_primitives::DaCommitmentScheme;
use zkos_stateless::{BatchInput, execute};

const TRANSACTIONS: u64 = 1_000;
const BLOCKS: u64 = 10;

/// Transfers of 50 users to 1,000 accounts, or calls of contracts that count in 1,000 slots; above a state of 100,000 accounts.
fn batch(calls: bool) -> (Chain, u64) {
    let mut users: Vec<User> = (0..50).map(User::new).collect();
    let others = (0..100_000u64).map(|n| Address::left_padding_from(&(n << 24 | 1).to_be_bytes()));
    let mut chain = Chain::funded(users.iter().map(User::address).chain(others));
    let (deploy, counter) = users[0].deploy_counter();
    chain.block(&[deploy]);
    for block in 0..BLOCKS {
        let txs: Vec<_> = (0..TRANSACTIONS / BLOCKS)
            .map(|n| {
                let number = block * (TRANSACTIONS / BLOCKS) + n;
                let user = &mut users[(number % 50) as usize];
                if calls {
                    user.count(counter, number)
                } else {
                    let to = Address::left_padding_from(&(number << 24 | 1).to_be_bytes());
                    user.send(TxKind::Call(to), 1, Bytes::new())
                }
            })
            .collect();
        let output = chain.block(&txs);
        assert_eq!(output.included().count(), txs.len());
    }
    (chain, 1 + BLOCKS)
}

fn verify(c: &mut Criterion) {
    let mut group = c.benchmark_group("batch of 1000 transactions");
    group.sample_size(10).throughput(Throughput::Elements(TRANSACTIONS));
    for (name, calls) in [("transfers", false), ("contract calls", true)] {
        let (chain, last) = batch(calls);
        let scheme = DaCommitmentScheme::BlobsAndPubdataKeccak256;
        let bytes = chain.input(2, last, scheme).to_bytes();
        println!(
            "{name}: input has {} bytes, {} per transaction",
            bytes.len(),
            bytes.len() as u64 / TRANSACTIONS
        );
        group.bench_function(format!("make input, {name}"), |b| {
            b.iter(|| black_box(chain.input(2, last, scheme).to_bytes()));
        });
        group.bench_function(format!("verify, {name}"), |b| {
            b.iter(|| execute(&BatchInput::from_bytes(black_box(&bytes)).unwrap()).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, verify);
criterion_main!(benches);
