//! Simulations that are given up when they compute for too long.

#[path = "common/mod.rs"]
mod common;

use alloy_consensus::{TxEip1559, transaction::Recovered};
use alloy_primitives::{Address, TxKind};
use common::*;
use zkos_executor::ZkEvmConfig;
use zkos_primitives::ZkTxEnvelope;
use zksync_os_interface::types::{ExecutionOutput, ExecutionResult, TxOutput};

const OTHER: Address = Address::repeat_byte(0x33);
/// More than a transaction costs before it computes anything.
const INTRINSIC: u64 = 1_000_000;

fn simulate(state: Memory, bound: Option<u64>) -> Option<TxOutput> {
    let to = TxKind::Call(CONTRACT);
    let tx = transaction(TxEip1559 { to, gas_limit: 10_000_000, ..Default::default() });
    let tx = Recovered::<ZkTxEnvelope>::new_unchecked(tx, SENDER);
    let config = ZkEvmConfig::new();
    match bound {
        Some(bound) => config.simulate_bounded(&context(), &tx, state, bound),
        None => config.simulate(&context(), &tx, state).map(Some),
    }
    .unwrap()
    .map(|simulated| simulated.unwrap().output)
}

/// Code that jumps back to its begin for ever.
fn endless() -> Vec<u8> {
    vec![0x5b, 0x5f, 0x56]
}

/// Code that calls `OTHER` with all gas, and returns what gas is left after it.
fn survivor() -> Vec<u8> {
    let mut code = vec![0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x73];
    code.extend_from_slice(OTHER.as_slice());
    code.extend_from_slice(&[0x5a, 0xf1, 0x50, 0x5a, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3]);
    code
}

fn returned(output: &TxOutput) -> &[u8] {
    match &output.execution_result {
        ExecutionResult::Success(ExecutionOutput::Call(data)) => data,
        other => panic!("{other:?}"),
    }
}

#[test]
fn within_the_bound_the_result_is_the_same() {
    let state = Memory::new(&survivor()).with_code(OTHER, &[0x00]);
    let free = simulate(state.clone(), None).unwrap();
    let bounded = simulate(state, Some(4 * INTRINSIC)).unwrap();
    assert_eq!(returned(&bounded), returned(&free));
    assert_eq!(
        (bounded.gas_used, bounded.native_used, bounded.computational_native_used),
        (free.gas_used, free.native_used, free.computational_native_used)
    );
}

#[test]
fn beyond_the_bound_there_is_no_result() {
    assert!(simulate(Memory::new(&endless()), Some(4 * INTRINSIC)).is_none());
    // Not even when a caller would survive the failure of what it calls.
    let state = Memory::new(&survivor()).with_code(OTHER, &endless());
    assert!(simulate(state.clone(), Some(4 * INTRINSIC)).is_none());
    assert_eq!(returned(&simulate(state, None).unwrap()).len(), 32);
    // Validation counts too.
    assert!(simulate(Memory::new(&[0x00]), Some(1_000)).is_none());
}

#[test]
fn a_transaction_that_runs_out_of_its_own_has_a_result() {
    let out = simulate(Memory::new(&endless()), Some(u64::MAX)).unwrap();
    assert_eq!(out.gas_used, simulate(Memory::new(&endless()), None).unwrap().gas_used);
}
