//! Plain transfers per second: our executor against bare revm with the same transactions and an in-memory state.

#![allow(missing_docs)]

use alloy_consensus::{Signed, TxEip1559};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, map::HashMap};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use revm::{
    Context, ExecuteCommitEvm, MainBuilder, MainContext,
    context::TxEnv,
    database::{CacheDB, EmptyDB},
    primitives::hardfork::SpecId,
    state::AccountInfo,
};
use std::hint::black_box;
use zkos_executor::{StateError, StateView, ZkEvmConfig};
use zkos_primitives::{AccountProperties, BlockContext, ZkTxEnvelope};

const TRANSFERS: u64 = 1_000;
const GAS_PRICE: u64 = 1_000_000_000;

#[derive(Clone, Default)]
struct Memory {
    accounts: HashMap<Address, AccountProperties>,
}

impl StateView for Memory {
    fn account(&mut self, address: Address) -> Result<Option<AccountProperties>, StateError> {
        Ok(self.accounts.get(&address).copied())
    }
    fn storage(&mut self, _: Address, _: U256) -> Result<Option<U256>, StateError> {
        Ok(None)
    }
    fn preimage(&mut self, _: B256) -> Result<Option<Bytes>, StateError> {
        Ok(None)
    }
}

fn sender(n: u64) -> Address {
    Address::left_padding_from(&(0xa000_0000 + n).to_be_bytes())
}

fn receiver(n: u64) -> Address {
    Address::left_padding_from(&(0xb000_0000 + n).to_be_bytes())
}

fn context() -> BlockContext {
    BlockContext {
        chain_id: 270,
        block_number: 1,
        timestamp: 1_700_000_000,
        eip1559_basefee: U256::from(GAS_PRICE / 2),
        pubdata_price: U256::from(1_000_000),
        native_price: U256::from(1_000_000),
        coinbase: Address::repeat_byte(0xcb),
        gas_limit: 1 << 40,
        pubdata_limit: 1 << 40,
        execution_version: 5,
        ..Default::default()
    }
}

fn ours(c: &mut Criterion) {
    let mut state = Memory::default();
    let mut txs = Vec::new();
    for n in 0..TRANSFERS {
        let account = AccountProperties::new_eoa(0, U256::from(10u64.pow(18)));
        state.accounts.insert(sender(n), account);
        state.accounts.insert(receiver(n), account);
        let tx = TxEip1559 {
            chain_id: 270,
            nonce: 0,
            gas_limit: 100_000,
            max_fee_per_gas: GAS_PRICE.into(),
            max_priority_fee_per_gas: 1,
            to: TxKind::Call(receiver(n)),
            value: U256::from(1),
            ..Default::default()
        };
        let signature = Signature::new(U256::from(1), U256::from(1), false);
        let signed = Signed::new_unchecked(tx, signature, B256::from(U256::from(n)));
        let envelope: alloy_consensus::EthereumTxEnvelope<alloy_consensus::TxEip4844> =
            signed.into();
        txs.push((ZkTxEnvelope::from(envelope), sender(n)));
    }
    let config = ZkEvmConfig::new();
    let mut group = c.benchmark_group("transfers");
    group.throughput(Throughput::Elements(TRANSFERS));
    group.bench_function("zkos", |b| {
        b.iter(|| {
            let mut executor = config.block_executor(context(), &mut state).unwrap();
            for (tx, sender) in &txs {
                let output = executor.execute_transaction(tx, *sender).unwrap().unwrap();
                assert!(output.is_success());
            }
            black_box(executor.totals());
        });
    });
    group.bench_function("zkos_with_seal", |b| {
        b.iter(|| {
            let mut executor = config.block_executor(context(), &mut state).unwrap();
            for (tx, sender) in &txs {
                let _ = executor.execute_transaction(tx, *sender).unwrap().unwrap();
            }
            black_box(executor.finish().unwrap());
        });
    });
    group.finish();
}

fn bare_revm(c: &mut Criterion) {
    let mut db = CacheDB::new(EmptyDB::default());
    for n in 0..TRANSFERS {
        let info = AccountInfo { balance: U256::from(10u64.pow(18)), ..Default::default() };
        db.insert_account_info(sender(n), info.clone());
        db.insert_account_info(receiver(n), info);
    }
    let txs: Vec<TxEnv> = (0..TRANSFERS)
        .map(|n| TxEnv {
            caller: sender(n),
            kind: TxKind::Call(receiver(n)),
            value: U256::from(1),
            gas_limit: 100_000,
            gas_price: GAS_PRICE.into(),
            chain_id: Some(1),
            ..Default::default()
        })
        .collect();
    let mut group = c.benchmark_group("transfers");
    group.throughput(Throughput::Elements(TRANSFERS));
    group.bench_function("revm", |b| {
        b.iter(|| {
            let mut evm = Context::mainnet()
                .with_db(db.clone())
                .modify_cfg_chained(|cfg| cfg.set_spec_and_mainnet_gas_params(SpecId::CANCUN))
                .modify_block_chained(|block| {
                    block.gas_limit = 1 << 40;
                    block.basefee = GAS_PRICE / 2;
                })
                .build_mainnet();
            for tx in &txs {
                let result = evm.transact_commit(tx.clone()).unwrap();
                assert!(result.is_success());
            }
            black_box(&evm);
        });
    });
    group.finish();
}

criterion_group!(benches, ours, bare_revm);
criterion_main!(benches);
