//! Random programs on our executor, with native out of the way, against plain revm at the same level.
//!
//! Status, output, gas, logs and state must be equal, or the difference must be one that [`deviations`] lists
//! and that the program was seen to run into. Seeds are fixed; `PROPTEST_CASES` asks for more cases.

mod deviations;
mod program;

use alloy_consensus::{EthereumTxEnvelope, Signed, TxEip1559, TxEip2930, TxEip4844, TxLegacy};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{
    Address, B256, Bytes, KECCAK256_EMPTY, Log, Signature, TxKind, U256, map::HashMap,
};
use deviations::{DEVIATIONS, Field, Watch};
use program::{Piece, address_of, assemble, initcode};
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};
use revm::{
    Context, InspectEvm, MainBuilder, MainContext,
    bytecode::Bytecode,
    context::TxEnv,
    context_interface::{block::BlobExcessGasAndPrice, result::EVMError},
    database::{CacheDB, EmptyDB},
    primitives::hardfork::SpecId,
    state::AccountInfo,
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};
use zkos_executor::{StateError, StateView, ZkEvmConfig};
use zkos_primitives::{AccountProperties, BlockContext, BlockHashes, ZkTxEnvelope};

const CHAIN_ID: u64 = 270;
const NUMBER: u64 = 7;
const TIMESTAMP: u64 = 1_700_000_000;
const BLOCK_GAS_LIMIT: u64 = 30_000_000;
/// Enough fee per gas for any program to have more native than it can use.
const FEE: u64 = 1_000_000_000;

/// A block's worth of input.
#[derive(Debug, Clone)]
struct Case {
    contracts: [Vec<Piece>; 3],
    kind: Kind,
    tx_type: u8,
    value: u64,
    gas_limit: u64,
    base_fee: u64,
    priority_fee: u64,
    input: Vec<u8>,
    access_list: Vec<(usize, Vec<u8>)>,
}

#[derive(Debug, Clone)]
enum Kind {
    Contract,
    Address(usize),
    Create(Vec<Piece>),
    CreateSmall(usize),
}

fn case() -> impl Strategy<Value = Case> {
    let kind = prop_oneof![
        12 => Just(Kind::Contract),
        2 => (0..program::ADDRESSES).prop_map(Kind::Address),
        2 => program::program().prop_map(Kind::Create),
        1 => (0..program::INITCODES).prop_map(Kind::CreateSmall),
    ];
    let contracts = [program::program(), program::program(), program::program()];
    let fees = (0..FEE, 0..FEE);
    let list =
        prop::collection::vec((0..program::ADDRESSES, prop::collection::vec(0u8..5, 0..3)), 0..4);
    (
        contracts,
        kind,
        0u8..3,
        prop_oneof![3 => Just(0u64), 1 => 1u64..1_000],
        prop_oneof![1 => 20_000u64..60_000, 4 => 60_000u64..900_000],
        fees,
        prop::collection::vec(any::<u8>(), 0..80),
        list,
    )
        .prop_map(|(contracts, kind, tx_type, value, gas_limit, fees, input, access_list)| {
            Case {
                contracts,
                kind,
                tx_type,
                value,
                gas_limit,
                base_fee: fees.0,
                priority_fee: fees.1,
                input,
                access_list,
            }
        })
}

/// State before the transaction.
#[derive(Debug, Clone, Default)]
struct Pre {
    accounts: BTreeMap<Address, (u64, U256, Bytes)>,
    slots: BTreeMap<(Address, U256), U256>,
}

impl Pre {
    fn new(case: &Case) -> Self {
        let mut pre = Self::default();
        let rich = U256::from(10).pow(U256::from(24));
        pre.accounts.insert(program::SENDER, (3, rich, Bytes::new()));
        pre.accounts.insert(program::EOA, (0, U256::from(5), Bytes::new()));
        for (n, pieces) in case.contracts.iter().enumerate() {
            let address = program::CONTRACTS[n];
            pre.accounts.insert(address, (1, U256::from(1_000 * n), assemble(pieces).into()));
            for key in 0..3u64 {
                pre.slots.insert((address, U256::from(key)), U256::from(key * 7 + n as u64));
            }
        }
        pre.slots.retain(|_, value| !value.is_zero());
        pre
    }
}

impl StateView for &Pre {
    fn account(&mut self, address: Address) -> Result<Option<AccountProperties>, StateError> {
        Ok(self.accounts.get(&address).map(|(nonce, balance, code)| {
            let mut account = AccountProperties::new_eoa(*nonce, *balance);
            if !code.is_empty() {
                account.set_deployed_code(code);
            }
            account
        }))
    }
    fn storage(&mut self, address: Address, slot: U256) -> Result<Option<U256>, StateError> {
        Ok(self.slots.get(&(address, slot)).copied())
    }
    fn preimage(&mut self, hash: B256) -> Result<Option<Bytes>, StateError> {
        let stored = self
            .accounts
            .values()
            .map(|(_, _, code)| AccountProperties::default().set_deployed_code(code));
        let found = stored.into_iter().find(|stored| stored.bytecode_hash == hash);
        Ok(found.map(|stored| stored.preimage.into()))
    }
}

/// What is compared. Accounts and slots that the transaction left as they were are not listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Outcome {
    success: bool,
    output: Bytes,
    gas_used: u64,
    logs: Vec<Log>,
    accounts: BTreeMap<Address, (u64, U256, B256)>,
    slots: BTreeMap<(Address, U256), U256>,
}

impl Outcome {
    /// Fields in which two outcomes differ.
    fn differences(&self, other: &Self) -> BTreeSet<Field> {
        let mut fields = BTreeSet::new();
        let mut check = |field, equal: bool| {
            if !equal {
                fields.insert(field);
            }
        };
        check(Field::Status, self.success == other.success);
        check(Field::Output, self.output == other.output);
        check(Field::Gas, self.gas_used == other.gas_used);
        check(Field::Logs, self.logs == other.logs);
        check(Field::State, self.accounts == other.accounts && self.slots == other.slots);
        fields
    }
}

fn hash_of(code: &Bytes) -> B256 {
    if code.is_empty() { KECCAK256_EMPTY } else { alloy_primitives::keccak256(code) }
}

fn access_list(case: &Case) -> AccessList {
    if case.tx_type == 0 {
        return AccessList::default();
    }
    let item = |(address, keys): &(usize, Vec<u8>)| AccessListItem {
        address: address_of(*address),
        storage_keys: keys.iter().map(|key| B256::with_last_byte(*key)).collect(),
    };
    AccessList(case.access_list.iter().map(item).collect())
}

fn target(case: &Case) -> (TxKind, Bytes) {
    match &case.kind {
        Kind::Contract => (TxKind::Call(program::CONTRACTS[0]), case.input.clone().into()),
        Kind::Address(n) => (TxKind::Call(address_of(*n)), case.input.clone().into()),
        Kind::Create(pieces) => (TxKind::Create, assemble(pieces).into()),
        Kind::CreateSmall(n) => (TxKind::Create, initcode(*n).into()),
    }
}

/// Price per gas that the sender offers at most.
const fn max_fee(case: &Case) -> u128 {
    (case.base_fee + case.priority_fee + FEE) as u128
}

fn envelope(case: &Case) -> ZkTxEnvelope {
    let (to, input) = target(case);
    let signature = Signature::new(U256::from(1), U256::from(1), false);
    let hash = B256::repeat_byte(9);
    let (nonce, gas_limit, value) = (3, case.gas_limit, U256::from(case.value));
    let gas_price = max_fee(case);
    let access_list = access_list(case);
    let envelope: EthereumTxEnvelope<TxEip4844> = match case.tx_type {
        0 => {
            let chain_id = Some(CHAIN_ID);
            let tx = TxLegacy { chain_id, nonce, gas_price, gas_limit, to, value, input };
            Signed::new_unchecked(tx, signature, hash).into()
        }
        1 => {
            let chain_id = CHAIN_ID;
            let tx =
                TxEip2930 { chain_id, nonce, gas_price, gas_limit, to, value, access_list, input };
            Signed::new_unchecked(tx, signature, hash).into()
        }
        _ => {
            let tx = TxEip1559 {
                chain_id: CHAIN_ID,
                nonce,
                gas_limit,
                max_fee_per_gas: gas_price,
                max_priority_fee_per_gas: u128::from(case.priority_fee),
                to,
                value,
                access_list,
                input,
            };
            Signed::new_unchecked(tx, signature, hash).into()
        }
    };
    envelope.into()
}

/// Our result; `None` if the transaction was rejected.
fn ours(case: &Case, pre: &Pre) -> Option<Outcome> {
    let mut hashes = vec![B256::repeat_byte(0xbb)];
    hashes.resize(NUMBER as usize, B256::repeat_byte(0xbc));
    let context = BlockContext {
        chain_id: CHAIN_ID,
        block_number: NUMBER,
        block_hashes: BlockHashes::from_newest_first(hashes),
        timestamp: TIMESTAMP,
        eip1559_basefee: U256::from(case.base_fee),
        // Free pubdata, and so much native per gas that it is never what limits a program.
        pubdata_price: U256::ZERO,
        native_price: U256::from(1),
        coinbase: program::COINBASE,
        gas_limit: BLOCK_GAS_LIMIT,
        pubdata_limit: u64::MAX,
        execution_version: 5,
        ..Default::default()
    };
    let mut executor = ZkEvmConfig::new().block_executor(context, pre).unwrap();
    let tx = envelope(case);
    let output = executor.execute_transaction(&tx, program::SENDER).unwrap().ok()?.clone();
    let changes = executor.last_tx_changes();
    let accounts = changes.accounts.iter().map(|change| {
        let after = &change.after;
        let code = after.observable_bytecode_hash;
        let code = if code.is_zero() { KECCAK256_EMPTY } else { code };
        (change.address, (after.nonce, after.balance, code))
    });
    let slots = changes.slots.iter().map(|slot| ((slot.address, slot.key), slot.after));
    Some(Outcome {
        success: output.is_success(),
        output: Bytes::copy_from_slice(output.as_returned_bytes()),
        gas_used: output.gas_used,
        logs: output.logs.clone(),
        accounts: accounts.collect(),
        slots: slots.collect(),
    })
}

/// revm's result, with the base fee paid to the coinbase, and what the program did.
fn reference(case: &Case, pre: &Pre) -> (Option<Outcome>, Watch) {
    let mut db = CacheDB::new(EmptyDB::default());
    for (address, (nonce, balance, code)) in &pre.accounts {
        let info = AccountInfo { nonce: *nonce, balance: *balance, ..Default::default() };
        db.insert_account_info(*address, info.with_code(Bytecode::new_legacy(code.clone())));
    }
    for ((address, slot), value) in &pre.slots {
        db.insert_account_storage(*address, *slot, *value).unwrap();
    }
    for number in 0..NUMBER {
        let byte = if number + 1 == NUMBER { 0xbb } else { 0xbc };
        db.cache.block_hashes.insert(U256::from(number), B256::repeat_byte(byte));
    }
    let (kind, data) = target(case);
    let tx = TxEnv {
        tx_type: case.tx_type,
        caller: program::SENDER,
        gas_limit: case.gas_limit,
        gas_price: max_fee(case),
        kind,
        value: U256::from(case.value),
        data,
        nonce: 3,
        chain_id: Some(CHAIN_ID),
        access_list: access_list(case),
        gas_priority_fee: (case.tx_type == 2).then_some(u128::from(case.priority_fee)),
        ..Default::default()
    };
    let mut watch = Watch::default();
    let result = {
        let mut evm = Context::mainnet()
            .with_db(&mut db)
            .modify_cfg_chained(|cfg| {
                cfg.chain_id = CHAIN_ID;
                cfg.set_spec_and_mainnet_gas_params(SpecId::CANCUN);
            })
            .modify_block_chained(|block| {
                block.number = U256::from(NUMBER);
                block.timestamp = U256::from(TIMESTAMP);
                block.beneficiary = program::COINBASE;
                block.gas_limit = BLOCK_GAS_LIMIT;
                block.basefee = case.base_fee;
                // The protocol's fixed values of PREVRANDAO and BLOBBASEFEE.
                block.prevrandao = Some(B256::with_last_byte(1));
                block.blob_excess_gas_and_price =
                    Some(BlobExcessGasAndPrice { excess_blob_gas: 0, blob_gasprice: 1 });
            })
            .build_mainnet_with_inspector(&mut watch);
        evm.inspect_tx(tx)
    };
    let result = match result {
        Ok(result) => result,
        Err(EVMError::Transaction(_)) => return (None, watch),
        Err(error) => panic!("revm failed: {error}"),
    };
    let gas_used = result.result.tx_gas_used();
    let mut accounts = BTreeMap::new();
    let mut slots = BTreeMap::new();
    for (address, account) in &result.state {
        let destroyed = account.is_selfdestructed();
        let info = if destroyed { AccountInfo::default() } else { account.info.clone() };
        let (nonce, balance, code) = pre.accounts.get(address).cloned().unwrap_or_default();
        let mut after = (info.nonce, info.balance, info.code_hash);
        if *address == program::COINBASE && !destroyed {
            // Deviation "base fee to the coinbase", exact.
            after.1 += U256::from(case.base_fee) * U256::from(gas_used);
        }
        if after != (nonce, balance, hash_of(&code)) {
            accounts.insert(*address, after);
        }
        if !destroyed {
            let changed = account.changed_storage_slots();
            slots.extend(changed.map(|(key, slot)| ((*address, *key), slot.present_value)));
        }
    }
    let outcome = Outcome {
        success: result.result.is_success(),
        output: result.result.output().cloned().unwrap_or_default(),
        gas_used,
        logs: result.result.logs().to_vec(),
        accounts,
        slots,
    };
    (Some(outcome), watch)
}

fn check(case: &Case, seen: &RefCell<HashMap<&'static str, u32>>) -> Result<(), TestCaseError> {
    let pre = Pre::new(case);
    let ours = ours(case, &pre);
    let (reference, watch) = reference(case, &pre);
    let count = |name| *seen.borrow_mut().entry(name).or_default() += 1;
    let (Some(ours), Some(reference)) = (&ours, &reference) else {
        count("rejected");
        prop_assert_eq!(ours.is_some(), reference.is_some(), "only one rejected the transaction");
        return Ok(());
    };
    let differences = ours.differences(reference);
    if differences.is_empty() {
        count(if reference.success { "equal, success" } else { "equal, failure" });
        return Ok(());
    }
    let explained: BTreeSet<Field> = DEVIATIONS
        .iter()
        .filter(|deviation| (deviation.applies)(&watch))
        .inspect(|deviation| count(deviation.name))
        .flat_map(|deviation| deviation.fields)
        .copied()
        .collect();
    prop_assert!(
        differences.is_subset(&explained),
        "differs in {:?}, explained are {:?}\nours {:#?}\nrevm {:#?}",
        differences,
        explained,
        ours,
        reference
    );
    Ok(())
}

#[test]
fn random_programs_agree_with_revm() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases: u32 = cases.unwrap_or(600);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[0x5a; 32]);
    let seen = RefCell::default();
    TestRunner::new_with_rng(config, rng)
        .run(&case(), |case| check(&case, &seen))
        .unwrap_or_else(|error| panic!("{error}"));
    let seen = seen.into_inner();
    println!("{seen:?}");
    let of = |name: &str| seen.get(name).copied().unwrap_or_default();
    // The comparison is worth something: most programs run, and few meet a deviation.
    assert!(of("equal, success") > cases / 5, "{seen:?}");
    assert!(of("equal, failure") > cases / 20, "{seen:?}");
    assert!(of("equal, success") + of("equal, failure") > cases * 4 / 5, "{seen:?}");
}
