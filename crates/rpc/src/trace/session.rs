//! Transactions executed one after the other on a state, with or without a tracer: a block that is executed again, or one that is only imagined.

use super::{
    observer::{Exceeded, Observer},
    state::{Overlay, PreState, SharedState},
};
use crate::{EthApiError, EthResult, eth::SimulationState};
use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, U256};
use revm::{
    context::{
        BlockEnv, TxEnv,
        result::{ExecutionResult, HaltReason, Output, ResultAndState, ResultGas, SuccessReason},
    },
    inspector::Inspector,
    interpreter::InstructionResult,
};
use std::{
    cell::{Ref, RefCell},
    rc::Rc,
};
use zkos_executor::{BlockExecutor, Simulated, TraceContext, ZkEvmConfig};
use zkos_primitives::{AccountProperties, BlockContext, BlockOutput, RecoveredTx};
use zksync_os_interface::{
    error::InvalidTransaction,
    types::{ExecutionOutput, ExecutionResult as ZkExecutionResult, TxOutput},
};

/// Rules under which a session executes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// Those of real blocks.
    Block,
    /// Those of calls: nonce and code of the sender are not checked.
    Simulation,
}

/// A traced transaction as tracers want to see it when it is over.
pub(crate) struct TracedTx {
    /// Result, and the state it touched.
    pub(crate) result: ResultAndState<HaltReason>,
    /// The transaction.
    pub(crate) tx: TxEnv,
    /// Its block.
    pub(crate) block: BlockEnv,
}

/// Executes transactions of one block on a state.
pub(crate) struct Session<'a> {
    executor: BlockExecutor<SharedState<'a>>,
    state: SharedState<'a>,
    overlay: Rc<RefCell<Overlay>>,
    block: BlockEnv,
    gas_limit: u64,
}

fn failed(error: impl std::fmt::Display) -> EthApiError {
    EthApiError::internal(error)
}

impl<'a> Session<'a> {
    /// Starts a block.
    ///
    /// # Errors
    /// When the context can't be executed in.
    pub(crate) fn new(
        evm_config: &ZkEvmConfig,
        context: &BlockContext,
        state: &'a mut SimulationState,
        rules: Rules,
    ) -> EthResult<Self> {
        let block = BlockEnv {
            number: U256::from(context.block_number),
            beneficiary: context.coinbase,
            timestamp: U256::from(context.timestamp),
            gas_limit: context.gas_limit,
            basefee: context.eip1559_basefee.saturating_to(),
            ..Default::default()
        };
        let state = SharedState::new(state);
        let executor = match rules {
            Rules::Block => evm_config.block_executor(context.clone(), state.clone()),
            Rules::Simulation => evm_config.simulation_executor(context, state.clone()),
        };
        let gas_limit = context.gas_limit;
        Ok(Self {
            executor: executor.map_err(failed)?,
            state,
            overlay: Default::default(),
            block,
            gas_limit,
        })
    }

    /// Gas that is left in the block.
    pub(crate) const fn gas_left(&self) -> u64 {
        self.gas_limit.saturating_sub(self.executor.totals().gas_used)
    }

    /// Record of an account after what was executed.
    pub(crate) fn account(&self, address: Address) -> EthResult<AccountProperties> {
        self.before_next().account(address).map_err(failed)
    }

    /// State before the next transaction.
    pub(super) fn before_next(&self) -> PreState<'a> {
        PreState::new(self.state.clone(), self.overlay.clone())
    }

    /// Executes a transaction.
    pub(crate) fn execute(
        &mut self,
        tx: &RecoveredTx,
    ) -> EthResult<Result<Simulated, InvalidTransaction>> {
        let output = match self.executor.execute_transaction(tx.inner(), tx.signer())? {
            Ok(output) => output.clone(),
            Err(error) => return Ok(Err(error)),
        };
        self.overlay.borrow_mut().extend(&self.executor.last_tx_changes());
        Ok(Ok(Simulated { output, end: self.last_end() }))
    }

    /// How the last transaction ended.
    pub(crate) const fn last_end(&self) -> InstructionResult {
        self.executor.last_end()
    }

    /// Executes a transaction before the eyes of a tracer; `finish` makes the trace out of what the tracer saw.
    pub(crate) fn inspect<I: Inspector<TraceContext>, T>(
        &mut self,
        tx: &RecoveredTx,
        observer: &mut Observer<I>,
        finish: impl FnOnce(&mut I, &TracedTx, &mut PreState<'_>) -> EthResult<T>,
    ) -> EthResult<Result<(TxOutput, T), InvalidTransaction>> {
        observer.start();
        let result = self.executor.inspect_transaction(tx.inner(), tx.signer(), observer);
        let output = match result?.cloned() {
            Ok(output) => output,
            Err(error) => return Ok(Err(error)),
        };
        match observer.exceeded() {
            Some(Exceeded::Size) => return Err(EthApiError::TraceTooLarge),
            Some(Exceeded::Time) => return Err(EthApiError::TraceTimeout),
            None => {}
        }
        let changes = self.executor.last_tx_changes();
        let mut touched = observer.take_touched();
        for address in [Some(tx.signer()), tx.to(), Some(self.block.beneficiary)] {
            address.into_iter().for_each(|address| touched.account(address));
        }
        let mut before = self.before_next();
        let state = before.evm_state(&touched, &changes).map_err(failed)?;
        let traced = TracedTx {
            result: ResultAndState::new(execution_result(&output), state),
            tx: tx_env(tx, self.block.basefee),
            block: self.block.clone(),
        };
        let trace = finish(&mut observer.inner, &traced, &mut before)?;
        let mut overlay = self.overlay.borrow_mut();
        overlay.extend(&changes);
        overlay.add_codes(&changes, touched);
        Ok(Ok((output, trace)))
    }

    /// Seals the block: its output, and what it changed.
    ///
    /// # Errors
    /// When the state can't be read.
    pub(crate) fn finish(self) -> EthResult<(BlockOutput, Overlay)> {
        let output = self.executor.finish().map_err(failed)?;
        Ok((output, Rc::unwrap_or_clone(self.overlay).into_inner()))
    }

    /// What was changed so far.
    pub(crate) fn overlay(&self) -> Ref<'_, Overlay> {
        self.overlay.borrow()
    }
}

/// The result in revm's terms. An execution that halts is a revert without data: the output does not tell the two apart, and tracers look at their frames.
fn execution_result(output: &TxOutput) -> ExecutionResult<HaltReason> {
    // What revm calls gas spent is before refunds.
    let gas = ResultGas::default()
        .with_total_gas_spent(output.gas_used.saturating_add(output.gas_refunded))
        .with_refunded(output.gas_refunded);
    let logs = output.logs.clone();
    match &output.execution_result {
        ZkExecutionResult::Success(success) => ExecutionResult::Success {
            reason: SuccessReason::Return,
            gas,
            logs,
            output: match success {
                ExecutionOutput::Call(data) => Output::Call(data.clone().into()),
                ExecutionOutput::Create(data, address) => {
                    Output::Create(data.clone().into(), Some(*address))
                }
            },
        },
        ZkExecutionResult::Revert(data) => {
            ExecutionResult::Revert { gas, logs, output: data.clone().into() }
        }
    }
}

fn tx_env(tx: &RecoveredTx, base_fee: u64) -> TxEnv {
    TxEnv {
        tx_type: tx.tx_type().into(),
        caller: tx.signer(),
        gas_limit: tx.gas_limit(),
        gas_price: tx.inner().effective_gas_price(base_fee),
        kind: tx.kind(),
        value: tx.value(),
        data: tx.input().clone(),
        nonce: tx.nonce(),
        chain_id: tx.chain_id(),
        ..Default::default()
    }
}
