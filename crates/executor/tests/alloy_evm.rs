//! The executor through alloy-evm's traits: equal to the official interface, open to a node's precompiles.

mod common;

use alloy_consensus::{TxEip1559, transaction::Recovered};
use alloy_evm::{
    Evm, EvmError, EvmFactory, InvalidTxError,
    block::{BlockExecutor, BlockExecutorFactory},
    precompiles::{DynPrecompile, PrecompileInput},
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, hex};
use common::{COINBASE, CONTRACT, Memory, SENDER, call, context, create, transaction};
use revm::{
    Database, DatabaseCommit,
    bytecode::Bytecode,
    context::{TxEnv, result::ExecutionResult},
    database::{CacheDB, EmptyDB, State},
    database_interface::DBErrorMarker,
    inspector::Inspector,
    interpreter::{Interpreter, interpreter_types::Jumps},
    precompile::{PrecompileError, PrecompileId, PrecompileOutput},
    state::AccountInfo,
};
use revm_inspectors::tracing::{TracingInspector, TracingInspectorConfig};
use std::{cell::Cell, rc::Rc};
use zkos_executor::{
    ExecutionError, TraceContext, ZkEvmConfig, ZkEvmFactory,
    evm::{ZkBlockExecutionCtx, ZkEvmEnv, ZkEvmError, ZkTxEnv, evm_env},
};
use zkos_primitives::{BlockOutput, TxL1Priority, ZkTxEnvelope};
use zksync_os_interface::{error::InvalidTransaction, types::TxOutput};

const L1_MESSENGER: Address = address!("0x0000000000000000000000000000000000008008");
const BASE_TOKEN: Address = address!("0x000000000000000000000000000000000000800a");
const ADDED: Address = address!("0x00000000000000000000000000000000000abcde");

/// The same state as revm's database.
fn database(memory: &Memory) -> CacheDB<EmptyDB> {
    let mut db = CacheDB::new(EmptyDB::default());
    for (address, account) in &memory.accounts {
        let info =
            AccountInfo { nonce: account.nonce, balance: account.balance, ..Default::default() };
        let code = memory.preimages.get(&account.bytecode_hash);
        let code = code.map(|preimage| preimage.slice(..account.unpadded_code_len as usize));
        let code = Bytecode::new_raw(code.unwrap_or_default());
        db.insert_account_info(*address, info.with_code(code));
    }
    for ((address, slot), value) in &memory.slots {
        db.insert_account_storage(*address, *slot, *value).unwrap();
    }
    db
}

fn env() -> ZkEvmEnv {
    evm_env(&context()).unwrap()
}

fn factory() -> ZkEvmFactory {
    ZkEvmConfig::new().evm_factory()
}

fn recovered(tx: &ZkTxEnvelope) -> Recovered<&ZkTxEnvelope> {
    let signer = tx.as_l1().map_or(SENDER, |tx| tx.from);
    Recovered::new_unchecked(tx, signer)
}

/// A message to L1: `sendToL1(bytes)` with four bytes.
fn message() -> Vec<u8> {
    let mut input = hex!("62f84b24").to_vec();
    input.extend_from_slice(&U256::from(32).to_be_bytes::<32>());
    input.extend_from_slice(&U256::from(4).to_be_bytes::<32>());
    input.extend_from_slice(&hex!("deadbeef"));
    input.resize(4 + 96, 0);
    input
}

/// `withdraw(address)`
fn withdrawal() -> Vec<u8> {
    [&hex!("51cff8d9")[..], SENDER.into_word().as_slice()].concat()
}

/// Stores the calldata size in slot 7 and the slot's old value in slot 8, emits a log, returns a word.
const CODE: [u8; 21] = hex!("60075460085536600755365f5260205fa060205ff3");

/// One block of everything: transfers, creations, hooks, an L1 transaction, reverts.
fn block() -> Vec<ZkTxEnvelope> {
    let deposit = TxL1Priority {
        from: Address::repeat_byte(0x44),
        to: CONTRACT,
        gas_limit: 500_000,
        gas_per_pubdata_byte_limit: 800,
        max_fee_per_gas: 1_000,
        max_priority_fee_per_gas: 0,
        nonce: 0,
        value: U256::from(77),
        to_mint: U256::from(10u64.pow(10)),
        refund_recipient: Address::repeat_byte(0x45),
        input: Bytes::from_static(&[1, 2, 3]),
        factory_deps: Vec::new(),
    };
    vec![
        call(0, Address::repeat_byte(0x99), 5, Bytes::new()),
        // Deploys STOP, then reverts with a word, then is invalid.
        create(1, hex!("60015ff3").to_vec()),
        create(2, hex!("60205ffd").to_vec()),
        create(3, hex!("fe").to_vec()),
        call(4, CONTRACT, 0, vec![9; 5]),
        call(5, CONTRACT, 0, Bytes::new()),
        call(6, L1_MESSENGER, 0, message()),
        call(7, BASE_TOKEN, 3, withdrawal()),
        deposit.into(),
        call(8, Address::repeat_byte(0x99), 6, Bytes::new()),
    ]
}

fn state() -> Memory {
    Memory::new(&CODE)
}

fn reference(txs: &[ZkTxEnvelope]) -> BlockOutput {
    let mut executor = ZkEvmConfig::new().block_executor(context(), state()).unwrap();
    for tx in txs {
        let tx = recovered(tx);
        executor.execute_transaction(tx.inner(), tx.signer()).unwrap().unwrap();
    }
    executor.finish().unwrap()
}

fn assert_same(result: &ExecutionResult, expected: &TxOutput) {
    assert_eq!(result.is_success(), expected.is_success());
    assert_eq!(result.tx_gas_used(), expected.gas_used);
    assert_eq!(result.logs(), expected.logs);
    assert_eq!(result.created_address(), expected.contract_address);
    let output = result.output().map(|bytes| bytes.as_ref()).unwrap_or_default();
    assert_eq!(output, expected.as_returned_bytes());
}

#[test]
fn transact_commit_gives_the_results_of_the_block_executor() {
    let txs = block();
    let expected = reference(&txs);
    let mut evm = factory().create_evm(database(&state()), env());
    for (tx, expected) in txs.iter().zip(expected.included()) {
        let result = evm.transact_commit(recovered(tx)).unwrap();
        assert_same(&result, expected);
    }
    // The database holds what the block wrote.
    let mut db = evm.into_db();
    for diff in &expected.account_diffs {
        let info = db.basic(diff.address).unwrap().unwrap();
        assert_eq!((info.nonce, info.balance), (diff.nonce, diff.balance), "{}", diff.address);
    }
    let written = expected.storage_writes.iter().filter(|write| write.account == CONTRACT);
    assert!(written.clone().count() > 0);
    for write in written {
        let value = db.storage(write.account, write.account_key.into()).unwrap();
        assert_eq!(B256::from(value), write.value);
    }
}

#[test]
fn block_executor_seals_the_same_block() {
    let txs = block();
    let expected = reference(&txs);
    let factory = ZkEvmConfig::new().block_executor_factory();
    let db = State::builder().with_database(database(&state())).build();
    let evm = factory.evm_factory().create_evm(db, env());
    let ctx = ZkBlockExecutionCtx { parent_hash: context().block_hashes.0[255].into() };
    let mut executor = factory.create_executor(evm, ctx);
    executor.apply_pre_execution_changes().unwrap();
    for tx in &txs {
        executor.execute_transaction(recovered(tx)).unwrap();
    }
    let (_, result, output) = executor.seal().unwrap();
    assert_eq!(output.block_hash, expected.block_hash);
    assert_eq!(output.pubdata, expected.pubdata);
    assert_eq!(output.output_hash(), expected.output_hash());
    assert_eq!(result.gas_used, expected.header.gas_used);
    let last = result.receipts.last().unwrap();
    assert_eq!(last.cumulative_gas_used, expected.header.gas_used);
    assert_eq!(result.receipts.iter().map(|receipt| receipt.l2_to_l1_logs.len()).sum::<usize>(), 3);
}

#[test]
fn uncommitted_transactions_leave_no_trace() {
    let txs = block();
    let expected = reference(&txs);
    let factory = ZkEvmConfig::new().block_executor_factory();
    let evm = factory.evm_factory().create_evm(database(&state()), env());
    let mut executor = factory.create_executor(evm, ZkBlockExecutionCtx::default());
    let mut results = Vec::new();
    for tx in &txs {
        // Twice, and once more committed: all the same.
        let first = executor.execute_transaction_without_commit(recovered(tx)).unwrap();
        let again = executor.execute_transaction_without_commit(recovered(tx)).unwrap();
        assert_eq!(first.native_used(), again.native_used());
        executor.commit_transaction(first);
        results.push(again);
    }
    for (result, expected) in results.iter().zip(expected.included()) {
        assert_eq!(result.native_used(), expected.native_used);
        assert_eq!(result.pubdata_used(), expected.pubdata_used);
        assert_eq!(result.output().as_ref(), expected.as_returned_bytes());
    }
    assert_eq!(executor.totals().gas_used, expected.header.gas_used);
}

#[test]
fn state_committed_by_hand_is_seen() {
    let txs = block();
    let expected = reference(&txs);
    let mut evm = factory().create_evm(database(&state()), env());
    for (tx, expected) in txs.iter().zip(expected.included()) {
        let result = evm.transact(recovered(tx)).unwrap();
        assert_same(&result.result, expected);
        evm.db_mut().commit(result.state);
    }
}

#[test]
fn rejections_and_failures_are_told_apart() {
    let mut evm = factory().create_evm(database(&state()), env());
    let error = evm.transact(recovered(&call(9, CONTRACT, 0, Bytes::new()))).unwrap_err();
    let invalid = error.as_invalid_tx_err().unwrap();
    assert!(matches!(invalid.inner(), InvalidTransaction::NonceTooHigh { tx: 9, state: 0 }));
    assert!(!error.is_fatal() && !invalid.is_nonce_too_low());
    evm.transact_commit(recovered(&call(0, CONTRACT, 0, Bytes::new()))).unwrap();
    let error = evm.transact(recovered(&call(0, CONTRACT, 0, Bytes::new()))).unwrap_err();
    assert!(error.as_invalid_tx_err().unwrap().is_nonce_too_low());

    let mut env = env();
    env.block_env.native_price = U256::ZERO;
    let mut evm = factory().create_evm(database(&state()), env);
    let error = evm.transact(recovered(&call(0, CONTRACT, 0, Bytes::new()))).unwrap_err();
    assert!(error.is_fatal() && error.as_invalid_tx_err().is_none());
}

/// A database that cannot read.
#[derive(Debug)]
struct Broken;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("broken")]
struct Cause(u32);

impl DBErrorMarker for Cause {}

impl Database for Broken {
    type Error = Cause;
    fn basic(&mut self, _: Address) -> Result<Option<AccountInfo>, Cause> {
        Err(Cause(4))
    }
    fn code_by_hash(&mut self, _: B256) -> Result<Bytecode, Cause> {
        Err(Cause(3))
    }
    fn storage(&mut self, _: Address, _: U256) -> Result<U256, Cause> {
        Err(Cause(2))
    }
    fn block_hash(&mut self, _: u64) -> Result<B256, Cause> {
        Err(Cause(1))
    }
}

#[test]
fn errors_of_the_database_come_back_as_they_were() {
    let mut evm = factory().create_evm(Broken, env());
    for _ in 0..2 {
        let error = evm.transact(recovered(&call(0, CONTRACT, 0, Bytes::new()))).unwrap_err();
        assert!(matches!(error, ZkEvmError::Database(Cause(4))), "{error:?}");
    }
}

#[test]
fn block_hashes_come_from_the_database_if_the_context_has_none() {
    // BLOCKHASH(6) returned.
    let memory = Memory::new(&hex!("6006405f5260205ff3"));
    let mut db = database(&memory);
    let hash = B256::repeat_byte(0x66);
    db.cache.block_hashes.insert(U256::from(6), hash);
    let mut env = env();
    env.block_env.block_hashes = None;
    let mut evm = factory().create_evm(db, env);
    let result = evm.transact(recovered(&call(0, CONTRACT, 0, Bytes::new()))).unwrap();
    assert_eq!(result.result.output().unwrap().as_ref(), hash);
}

fn id(name: &'static str) -> PrecompileId {
    PrecompileId::custom(name)
}

#[test]
fn an_added_precompile_is_called() {
    let calls = Rc::new(Cell::new(0));
    let seen = calls.clone();
    let mut evm = factory().create_evm(database(&state()), env());
    evm.precompiles_mut().apply_precompile(&ADDED, |_| {
        Some(DynPrecompile::new(id("reverse"), move |input: PrecompileInput<'_>| {
            seen.set(seen.get() + 1);
            let reversed: Vec<u8> = input.data.iter().rev().copied().collect();
            Ok(PrecompileOutput::new(1_000, reversed.into(), input.reservoir))
        }))
    });
    let tx = call(0, ADDED, 0, vec![1, 2, 3]);
    let result = evm.transact(recovered(&tx)).unwrap().result;
    assert_eq!(result.output().unwrap().as_ref(), [3, 2, 1]);
    assert_eq!(result.tx_gas_used(), 21_000 + 3 * 16 + 1_000);
    assert_eq!(calls.get(), 1);
    // Without it the address is an empty account.
    let mut plain = factory().create_evm(database(&state()), env());
    let result = plain.transact(recovered(&tx)).unwrap().result;
    assert_eq!((result.output().unwrap().len(), result.tx_gas_used()), (0, 21_000 + 3 * 16));
}

/// Pays the caller, counts in storage and transient storage, logs.
fn faucet(mut input: PrecompileInput<'_>) -> Result<PrecompileOutput, PrecompileError> {
    let failed = |error| PrecompileError::Fatal(format!("{error}"));
    let (caller, reservoir) = (input.caller, input.reservoir);
    let internals = input.internals_mut();
    internals.balance_incr(caller, U256::from(1_000)).map_err(failed)?;
    let count = internals.sload(ADDED, U256::ZERO).map_err(failed)?.data + U256::ONE;
    internals.sstore(ADDED, U256::ZERO, count).map_err(failed)?;
    let transient = internals.tload(ADDED, U256::ONE) + U256::ONE;
    internals.tstore(ADDED, U256::ONE, transient);
    internals.log(alloy_primitives::Log::new_unchecked(ADDED, vec![], Bytes::from_static(b"paid")));
    Ok(PrecompileOutput::new(10, transient.to_be_bytes::<32>().into(), reservoir))
}

#[test]
fn an_added_precompile_works_on_the_state() {
    // Calls the precompile twice and returns what the second call returned.
    let once = [&hex!("60205f5f5f5f62")[..], &hex!("0abcde"), &hex!("5af150")].concat();
    let code = [once.clone(), once, hex!("60205ff3").to_vec()].concat();
    let memory = Memory::new(&code);
    let mut evm = factory().create_evm(database(&memory), env());
    evm.precompiles_mut()
        .apply_precompile(&ADDED, |_| Some(DynPrecompile::new_stateful(id("faucet"), faucet)));
    let result = evm.transact_commit(recovered(&call(0, CONTRACT, 0, Bytes::new()))).unwrap();
    assert!(result.is_success());
    assert_eq!(U256::from_be_slice(result.output().unwrap()), U256::from(2), "transient counter");
    assert_eq!(result.logs().len(), 2);
    // A second transaction starts with fresh transient storage and the first one's storage.
    let result = evm.transact_commit(recovered(&call(1, CONTRACT, 0, Bytes::new()))).unwrap();
    assert_eq!(U256::from_be_slice(result.output().unwrap()), U256::from(2));
    let db = evm.db_mut();
    assert_eq!(db.storage(ADDED, U256::ZERO).unwrap(), U256::from(4));
    assert_eq!(db.basic(CONTRACT).unwrap().unwrap().balance, U256::from(1_000 + 4 * 1_000));
}

#[test]
fn a_failing_precompile_changes_nothing() {
    let mut evm = factory().create_evm(database(&state()), env());
    evm.precompiles_mut().apply_precompile(&ADDED, |_| {
        Some(DynPrecompile::new_stateful(id("stingy"), |input: PrecompileInput<'_>| {
            let reservoir = input.reservoir;
            faucet(input)?;
            Ok(PrecompileOutput::revert(7, Bytes::from_static(b"no"), reservoir))
        }))
    });
    let result = evm.transact_commit(recovered(&call(0, ADDED, 0, Bytes::new()))).unwrap();
    assert!(matches!(&result, ExecutionResult::Revert { output, .. } if output.as_ref() == b"no"));
    assert!(result.logs().is_empty());
    assert_eq!(evm.db_mut().storage(ADDED, U256::ZERO).unwrap(), U256::ZERO);

    evm.precompiles_mut().apply_precompile(&ADDED, |_| {
        Some(DynPrecompile::new(id("fatal"), |_: PrecompileInput<'_>| {
            Err(PrecompileError::Fatal("out of order".into()))
        }))
    });
    let error = evm.transact(recovered(&call(1, ADDED, 0, Bytes::new()))).unwrap_err();
    assert!(error.is_fatal() && error.to_string().contains("out of order"), "{error}");
    // The EVM is still of use.
    evm.transact(recovered(&call(1, CONTRACT, 0, Bytes::new()))).unwrap();
}

#[test]
fn hooks_can_be_wrapped_replaced_and_removed() {
    let txs = [call(0, L1_MESSENGER, 0, message()), call(1, BASE_TOKEN, 3, withdrawal())];
    let expected = reference(&txs);
    let calls = Rc::new(Cell::new(0));
    let seen = calls.clone();
    let mut evm = factory().create_evm(database(&state()), env());
    evm.precompiles_mut().map_precompiles(|_, inner| {
        let seen = seen.clone();
        DynPrecompile::new_stateful(id("counted"), move |input: PrecompileInput<'_>| {
            seen.set(seen.get() + 1);
            alloy_evm::precompiles::Precompile::call(&inner, input)
        })
    });
    for (tx, expected) in txs.iter().zip(expected.included()) {
        assert!(expected.is_success() && !expected.logs.is_empty());
        assert_same(&evm.transact_commit(recovered(tx)).unwrap(), expected);
    }
    assert_eq!(calls.get(), 2);

    let mut evm = factory().create_evm(database(&state()), env());
    evm.precompiles_mut().apply_precompile(&L1_MESSENGER, |_| None);
    let result = evm.transact(recovered(&txs[0])).unwrap().result;
    assert!(result.is_success() && result.logs().is_empty(), "an empty account");
}

#[test]
fn a_hook_called_outside_of_its_executor_fails() {
    let mut donor = factory().create_evm(database(&state()), env());
    let mut stolen = None;
    donor.precompiles_mut().apply_precompile(&L1_MESSENGER, |hook| {
        stolen = hook;
        None
    });
    let mut evm = factory().create_evm(database(&state()), env());
    evm.precompiles_mut().apply_precompile(&L1_MESSENGER, |_| stolen);
    let error = evm.transact(recovered(&call(0, L1_MESSENGER, 0, message()))).unwrap_err();
    assert!(error.is_fatal(), "{error}");
}

#[test]
fn a_wrapper_and_its_hook_may_not_change_the_same_account() {
    let mut evm = factory().create_evm(database(&state()), env());
    evm.precompiles_mut().map_precompile(&BASE_TOKEN, |inner| {
        DynPrecompile::new_stateful(id("greedy"), move |mut input: PrecompileInput<'_>| {
            let failed = |error| PrecompileError::Fatal(format!("{error}"));
            input.internals_mut().balance_incr(BASE_TOKEN, U256::ONE).map_err(failed)?;
            alloy_evm::precompiles::Precompile::call(&inner, input)
        })
    });
    let error = evm.transact(recovered(&call(0, BASE_TOKEN, 3, withdrawal()))).unwrap_err();
    assert!(error.is_fatal() && error.to_string().contains("by a hook"), "{error}");
}

#[test]
fn inspectors_see_the_frames_and_change_nothing() {
    let tx = call(0, CONTRACT, 0, vec![1; 4]);
    let mut plain = factory().create_evm(database(&state()), env());
    let expected = plain.transact(recovered(&tx)).unwrap();
    let inspector = TracingInspector::new(TracingInspectorConfig::all());
    let mut evm = factory().create_evm_with_inspector(database(&state()), env(), inspector);
    let result = evm.transact(recovered(&tx)).unwrap();
    assert_eq!(result, expected);
    let steps = evm.inspector().traces().nodes()[0].trace.steps.len();
    assert!(steps > 10);
    evm.disable_inspector();
    evm.inspector_mut().fuse();
    evm.transact(recovered(&tx)).unwrap();
    assert!(evm.inspector().traces().nodes()[0].trace.steps.is_empty());
}

/// Balances and first slots of two contracts, and the balance of a payee, before each instruction.
#[derive(Default)]
struct StateWatcher(Vec<(u8, [u64; 5])>);

const REVERTER: Address = Address::repeat_byte(0x33);
const PAYEE: Address = Address::repeat_byte(0x34);

impl Inspector<TraceContext> for StateWatcher {
    fn step(&mut self, interpreter: &mut Interpreter, context: &mut TraceContext) {
        let state = &context.journaled_state.inner.state;
        let balance = |address| state.get(&address).map_or(0, |a| a.info.balance.to::<u64>());
        let slot = |address| {
            let slot = state.get(&address).and_then(|account| account.storage.get(&U256::ZERO));
            slot.map_or(0, |slot| slot.present_value.to::<u64>())
        };
        let seen =
            [balance(CONTRACT), slot(CONTRACT), balance(REVERTER), slot(REVERTER), balance(PAYEE)];
        self.0.push((interpreter.bytecode.opcode(), seen));
        let code = |address| state[&address].info.code.clone().unwrap().original_bytes();
        assert!(!code(CONTRACT).is_empty());
    }
}

#[test]
fn inspectors_see_the_state_before_each_instruction() {
    let pay = |value: u8, to: Address| {
        [&hex!("5f5f5f5f60")[..], &[value, 0x73], to.as_slice(), &hex!("5af150")].concat()
    };
    let code = [&hex!("60015f55")[..], &pay(5, REVERTER), &pay(6, PAYEE), &[0x00]].concat();
    let state = Memory::new(&code).with_code(REVERTER, &hex!("60025f555f5ffd"));
    let mut executor = ZkEvmConfig::new().block_executor(context(), state).unwrap();
    let mut watcher = StateWatcher::default();
    let tx = call(0, CONTRACT, 0, Bytes::new());
    executor.inspect_transaction(&tx, SENDER, &mut watcher).unwrap().unwrap();
    let seen = |op: u8, nth: usize| watcher.0.iter().filter(|(o, _)| *o == op).nth(nth).unwrap().1;
    let (sstore, gas, pop, revert, stop) = (0x55, 0x5a, 0x50, 0xfd, 0x00);
    assert_eq!(seen(sstore, 0), [1000, 0, 0, 0, 0]);
    assert_eq!(seen(gas, 0), [1000, 1, 0, 0, 0]);
    assert_eq!(seen(sstore, 1), [995, 1, 1005, 0, 0]);
    assert_eq!(seen(revert, 0), [995, 1, 1005, 2, 0]);
    assert_eq!(seen(pop, 0), [1000, 1, 1000, 0, 0]);
    assert_eq!(seen(pop, 1), [994, 1, 1000, 0, 6]);
    assert_eq!(seen(stop, 0), [994, 1, 1000, 0, 6]);
}

#[test]
fn requests_run_in_simulation_mode() {
    let mut env = env();
    env.cfg_env.disable_nonce_check = true;
    let request = TxEnv {
        caller: SENDER,
        kind: TxKind::Call(CONTRACT),
        gas_limit: 1_000_000,
        gas_price: 10_000,
        nonce: 77,
        data: Bytes::from_static(&[1, 2]),
        ..Default::default()
    };
    for tx_type in [0, 1, 2] {
        let fee = (tx_type == 2).then_some(0);
        let request = TxEnv { tx_type, gas_priority_fee: fee, ..request.clone() };
        let tx = ZkTxEnv::from(TxEnv { chain_id: None, ..request.clone() });
        let mut evm = factory().create_evm(database(&state()), env.clone());
        assert!(evm.transact(tx).unwrap().result.is_success(), "type {tx_type}");
        let foreign = ZkTxEnv::from(TxEnv { chain_id: Some(1), ..request });
        assert!(evm.transact(foreign).unwrap_err().is_invalid_tx_err());
    }
    let blob = ZkTxEnv::from(TxEnv { tx_type: 3, ..request });
    let mut evm = factory().create_evm(database(&state()), env);
    assert!(evm.transact(blob).unwrap_err().is_invalid_tx_err());
}

#[test]
fn simulation_matches_the_configuration_s() {
    let tx = transaction(TxEip1559 { nonce: 5, to: TxKind::Call(CONTRACT), ..Default::default() });
    let owned = Recovered::new_unchecked(tx.clone(), SENDER);
    let expected =
        ZkEvmConfig::new().simulate(&context(), &owned, state()).unwrap().unwrap().output;
    let mut env = env();
    env.cfg_env.disable_nonce_check = true;
    let mut evm = factory().create_evm(database(&state()), env);
    assert_same(&evm.transact(recovered(&tx)).unwrap().result, &expected);
}

#[test]
fn system_calls_cost_nobody_anything() {
    let mut evm = factory().create_evm(database(&state()), env());
    let input = Bytes::from_static(&[1, 2, 3]);
    let result = evm.transact_system_call(Address::ZERO, CONTRACT, input).unwrap();
    assert!(result.result.is_success());
    assert!(!result.state.contains_key(&COINBASE) && !result.state.contains_key(&SENDER));
    assert_eq!(result.state[&CONTRACT].storage[&U256::from(7)].present_value, U256::from(3));
    // Nothing stays.
    let again = evm.transact_system_call(Address::ZERO, CONTRACT, Bytes::new()).unwrap();
    assert!(
        !again.state.contains_key(&CONTRACT) || {
            again.state[&CONTRACT].storage[&U256::from(8)].present_value.is_zero()
        }
    );
}

#[test]
fn environments_out_of_range_are_refused() {
    let mut env = env();
    env.block_env.inner.number = U256::MAX;
    let mut evm = factory().create_evm(database(&state()), env);
    let error = evm.transact(recovered(&call(0, CONTRACT, 0, Bytes::new()))).unwrap_err();
    assert!(error.is_fatal());
    let unknown = zkos_primitives::BlockContext { execution_version: 99, ..context() };
    let error = evm_env(&unknown).unwrap_err();
    assert!(matches!(error, ExecutionError::UnknownExecutionVersion { .. }));
}
