//! Plain and ERC-20 transfers per second: our executor against bare revm with the same transactions, the same
//! bytecode and an in-memory state, in one run. Prints the ratio of the two at the end.

#![allow(missing_docs)]

use alloy_consensus::{Signed, TxEip1559};
use alloy_primitives::{
    Address, B256, Bytes, Signature, TxKind, U256, hex, keccak256,
    map::{AddressMap, B256Map, HashMap},
};
use criterion::{Criterion, Throughput};
use revm::{
    Context, ExecuteCommitEvm, MainBuilder, MainContext,
    bytecode::Bytecode,
    context::TxEnv,
    database::{CacheDB, EmptyDB},
    primitives::hardfork::SpecId,
    state::AccountInfo,
};
use std::{
    cell::RefCell,
    hint::black_box,
    rc::Rc,
    time::{Duration, Instant},
};
use zkos_executor::{StateError, StateView, ZkEvmConfig};
use zkos_primitives::{AccountProperties, BlockContext, ZkTxEnvelope};

/// The node's allocator, for both sides.
#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A full block. What our executor allocates per block counts.
const TRANSFERS: u64 = 1_000;
const GAS_PRICE: u64 = 1_000_000_000;
const TOKEN: Address = Address::repeat_byte(0x70);

/// `transfer(address,uint256)` of a token: dispatch, two mapping slots, balance check, event, `true`.
const TOKEN_CODE: [u8; 113] = hex!(
    "5f3560e01c63a9059cbb146012575b5f5ffd5b335f525f60205260405f208054602435808210600e"
    "578091039091556004355f5260405f208054820190555f52600435337fddf252ad1be2c89b69c2b0"
    "68fc378daa952ba7f163c4a11628f55a4df523b3ef60205fa360015f5260205ff3"
);

/// Shortest time per block of each measured routine.
#[derive(Default)]
struct Times(RefCell<Vec<(String, Duration)>>);

impl Times {
    /// Measures `routine`, whose input is made by `setup` outside of the measured time.
    fn bench<I, O>(
        &self,
        criterion: &mut Criterion,
        group: &str,
        name: &str,
        mut setup: impl FnMut() -> I,
        mut routine: impl FnMut(I) -> O,
    ) {
        let best = Rc::new(RefCell::new(Duration::MAX));
        let mut group_ = criterion.benchmark_group(group);
        group_.throughput(Throughput::Elements(TRANSFERS));
        group_.bench_function(name, |b| {
            b.iter_custom(|iterations| {
                let mut total = Duration::ZERO;
                for _ in 0..iterations {
                    let input = setup();
                    let start = Instant::now();
                    let output = black_box(routine(black_box(input)));
                    let elapsed = start.elapsed();
                    drop(output);
                    total += elapsed;
                    let mut best = best.borrow_mut();
                    *best = (*best).min(elapsed);
                }
                total
            });
        });
        group_.finish();
        self.0.borrow_mut().push((format!("{group}/{name}"), *best.borrow()));
    }

    fn print(&self) {
        let times = self.0.borrow();
        let rate = |name: &str| {
            times
                .iter()
                .find(|(known, time)| known == name && *time < Duration::MAX)
                .map(|(_, time)| TRANSFERS as f64 / time.as_secs_f64())
        };
        for group in ["transfers", "erc20"] {
            let Some(revm) = rate(&format!("{group}/revm")) else { continue };
            for name in ["zkos", "zkos_with_seal"] {
                let Some(ours) = rate(&format!("{group}/{name}")) else { continue };
                println!(
                    "{group}: {name} {ours:.0}/s, bare revm {revm:.0}/s, ratio {:.3}",
                    ours / revm
                );
            }
        }
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let times = Times::default();
    for case in [Case::plain(), Case::token()] {
        case.run(&mut criterion, &times);
    }
    criterion.final_summary();
    times.print();
}

#[derive(Clone, Default)]
struct Memory {
    accounts: AddressMap<AccountProperties>,
    slots: HashMap<(Address, U256), U256>,
    preimages: B256Map<Bytes>,
}

impl StateView for Memory {
    fn account(&mut self, address: Address) -> Result<Option<AccountProperties>, StateError> {
        Ok(self.accounts.get(&address).copied())
    }
    fn storage(&mut self, address: Address, slot: U256) -> Result<Option<U256>, StateError> {
        Ok(self.slots.get(&(address, slot)).copied())
    }
    fn preimage(&mut self, hash: B256) -> Result<Option<Bytes>, StateError> {
        Ok(self.preimages.get(&hash).cloned())
    }
}

fn sender(n: u64) -> Address {
    Address::left_padding_from(&(0xa000_0000 + n).to_be_bytes())
}

fn receiver(n: u64) -> Address {
    Address::left_padding_from(&(0xb000_0000 + n).to_be_bytes())
}

/// Slot of `holder` in the token's mapping at slot 0.
fn balance_slot(holder: Address) -> U256 {
    let mut preimage = [0u8; 64];
    preimage[12..32].copy_from_slice(holder.as_slice());
    keccak256(preimage).into()
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

/// A block of transfers, each with its own sender and receiver.
struct Case {
    name: &'static str,
    gas_limit: u64,
    /// Target, value and calldata of the n-th transfer.
    call: fn(u64) -> (Address, U256, Bytes),
}

impl Case {
    fn plain() -> Self {
        let call = |n| (receiver(n), U256::from(1), Bytes::new());
        Self { name: "transfers", gas_limit: 21_000, call }
    }

    fn token() -> Self {
        let call = |n| {
            let mut data = hex!("a9059cbb").to_vec();
            data.extend_from_slice(receiver(n).into_word().as_slice());
            data.extend_from_slice(&U256::from(5).to_be_bytes::<32>());
            (TOKEN, U256::ZERO, data.into())
        };
        Self { name: "erc20", gas_limit: 100_000, call }
    }

    fn run(&self, criterion: &mut Criterion, times: &Times) {
        let mut state = Memory::default();
        let mut db = CacheDB::new(EmptyDB::default());
        let mut token = AccountProperties::new_eoa(1, U256::ZERO);
        let stored = token.set_deployed_code(&TOKEN_CODE);
        state.accounts.insert(TOKEN, token);
        state.preimages.insert(stored.bytecode_hash, stored.preimage.into());
        let code = Bytecode::new_legacy(TOKEN_CODE.into());
        let info = AccountInfo { nonce: 1, ..Default::default() }.with_code(code);
        db.insert_account_info(TOKEN, info);
        let balance = U256::from(10u64.pow(18));
        for n in 0..TRANSFERS {
            for address in [sender(n), receiver(n)] {
                state.accounts.insert(address, AccountProperties::new_eoa(0, balance));
                db.insert_account_info(address, AccountInfo { balance, ..Default::default() });
            }
            let slot = balance_slot(sender(n));
            state.slots.insert((TOKEN, slot), balance);
            db.insert_account_storage(TOKEN, slot, balance).unwrap();
        }
        self.zkos(criterion, times, &mut state);
        self.revm(criterion, times, &db);
    }

    fn zkos(&self, criterion: &mut Criterion, times: &Times, state: &mut Memory) {
        let transaction = |n| {
            let (to, value, input) = (self.call)(n);
            let tx = TxEip1559 {
                chain_id: 270,
                nonce: 0,
                gas_limit: self.gas_limit,
                max_fee_per_gas: GAS_PRICE.into(),
                max_priority_fee_per_gas: GAS_PRICE.into(),
                to: TxKind::Call(to),
                value,
                input,
                ..Default::default()
            };
            let signature = Signature::new(U256::MAX, U256::MAX, false);
            let signed = Signed::new_unchecked(tx, signature, B256::from(U256::from(n)));
            let envelope: alloy_consensus::EthereumTxEnvelope<alloy_consensus::TxEip4844> =
                signed.into();
            (ZkTxEnvelope::from(envelope), sender(n))
        };
        let txs: Vec<_> = (0..TRANSFERS).map(transaction).collect();
        let config = ZkEvmConfig::new();
        let state = RefCell::new(state);
        let execute = |seal: bool| {
            let mut state = state.borrow_mut();
            let mut executor = config.block_executor(context(), &mut **state).unwrap();
            for (tx, sender) in &txs {
                let output = executor.execute_transaction(tx, *sender).unwrap().unwrap();
                assert!(output.is_success());
            }
            assert_eq!(executor.totals().transactions, txs.len());
            seal.then(|| executor.finish().unwrap())
        };
        times.bench(criterion, self.name, "zkos", || (), |()| execute(false));
        times.bench(criterion, self.name, "zkos_with_seal", || (), |()| execute(true));
    }

    fn revm(&self, criterion: &mut Criterion, times: &Times, db: &CacheDB<EmptyDB>) {
        let transaction = |n| {
            let (to, value, data) = (self.call)(n);
            TxEnv {
                tx_type: 2,
                caller: sender(n),
                kind: TxKind::Call(to),
                value,
                data,
                gas_limit: self.gas_limit,
                gas_price: GAS_PRICE.into(),
                gas_priority_fee: Some(GAS_PRICE.into()),
                chain_id: Some(1),
                ..Default::default()
            }
        };
        let txs: Vec<TxEnv> = (0..TRANSFERS).map(transaction).collect();
        let execute = |db: CacheDB<EmptyDB>| {
            let mut evm = Context::mainnet()
                .with_db(db)
                .modify_cfg_chained(|cfg| cfg.set_spec_and_mainnet_gas_params(SpecId::CANCUN))
                .modify_block_chained(|block| {
                    block.gas_limit = 1 << 40;
                    block.basefee = GAS_PRICE / 2;
                    block.beneficiary = Address::repeat_byte(0xcb);
                })
                .build_mainnet();
            for tx in &txs {
                let result = evm.transact_commit(tx.clone()).unwrap();
                assert!(result.is_success());
            }
            evm
        };
        times.bench(criterion, self.name, "revm", || db.clone(), execute);
    }
}
