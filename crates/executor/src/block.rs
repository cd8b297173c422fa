//! Execution of one block, transaction by transaction.

use crate::{
    ExecutionError, StateView,
    code_cache::CodeCache,
    env::BlockEnv,
    error::{AbortReason, Fatal, Halt},
    flow::{self, Mode, Processed, Rejection},
    frame::Runner,
    journal::{Checkpoint, Journal, TxChanges},
    native::{MAX_NATIVE_COMPUTATIONAL, NativeMeter},
    output,
    spec::ExecutionSpec,
    trace::{InspectorTracer, NoTracer, TraceContext, Tracer},
    tx::{DecodeError, VmTx},
    vm::{CallKind, CallRequest, CallResult, TxEnv, Vm},
};
use alloy_consensus::transaction::Recovered;
use alloy_primitives::{Address, B256, Bytes, U256};
use revm::{
    inspector::Inspector,
    interpreter::{CallInput, InstructionResult},
};
use zkos_primitives::{BlockOutput, ZkTxEnvelope, transaction::l1::extend_rolling_hash};
use zksync_os_interface::{
    error::InvalidTransaction,
    traits::{AnyBlockContext, EncodedTx},
    types::{ExecutionOutput, ExecutionResult, L2ToL1LogWithPreimage, TxOutput},
};

/// Sums over the transactions included so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlockTotals {
    /// Included transactions.
    pub transactions: usize,
    /// Gas used.
    pub gas_used: u64,
    /// Native used by computation.
    pub computational_native_used: u64,
    /// Charged pubdata in bytes (not the length of the published pubdata).
    pub pubdata_used: u64,
    /// L2 to L1 logs.
    pub l2_to_l1_logs: u64,
}

/// Gas of a call outside of any transaction.
pub(crate) const SYSTEM_CALL_GAS: u64 = 30_000_000;

/// A transaction that was executed and can be included.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// Position of the journal before it.
    pub(crate) start: Checkpoint,
    pub(crate) hash: B256,
    pub(crate) processed: Processed,
}

/// Result of one transaction: its output, or why it is not part of the block.
pub type TxResult = Result<TxOutput, InvalidTransaction>;

/// Executes the transactions of one block in order, then seals it.
///
/// A rejected transaction leaves no trace but its entry in [`BlockOutput::tx_results`]. After an
/// [`ExecutionError`] the executor must be dropped. It is not `Send`: one thread runs a block.
#[derive(Debug)]
pub struct BlockExecutor<S> {
    pub(crate) runner: Runner<S>,
    mode: Mode,
    totals: BlockTotals,
    rolling_hash: B256,
    tx_results: Vec<TxResult>,
    logs: Vec<L2ToL1LogWithPreimage>,
    last_end: InstructionResult,
}

impl<S: StateView> BlockExecutor<S> {
    pub(crate) fn new(
        context: &impl AnyBlockContext,
        spec: &'static ExecutionSpec,
        state: S,
        mode: Mode,
        code_cache: CodeCache,
    ) -> Result<Self, ExecutionError> {
        let env = BlockEnv::new(context, spec)?;
        Ok(Self::with_env(env, state, mode, code_cache))
    }

    pub(crate) fn with_env(env: BlockEnv, state: S, mode: Mode, code_cache: CodeCache) -> Self {
        Self {
            rolling_hash: env.spec.transactions_root_seed,
            runner: Runner::new(Vm::new(env, Journal::new(state, code_cache))),
            mode,
            totals: BlockTotals::default(),
            tx_results: Vec::new(),
            logs: Vec::new(),
            last_end: InstructionResult::Stop,
        }
    }

    /// Sums over the transactions included so far.
    pub const fn totals(&self) -> BlockTotals {
        self.totals
    }

    /// Results so far, rejections included.
    pub fn tx_results(&self) -> &[TxResult] {
        &self.tx_results
    }

    /// What the last included transaction changed; empty after a rejected one.
    pub fn last_tx_changes(&mut self) -> TxChanges {
        match self.tx_results.last() {
            Some(Ok(_)) => self.runner.journal().tx_changes(),
            _ => TxChanges::default(),
        }
    }

    /// State the block started from.
    pub const fn state(&mut self) -> &mut S {
        &mut self.runner.vm.journal.state
    }

    /// Executes a transaction whose sender is known.
    ///
    /// # Errors
    /// The inner error rejects the transaction: the block goes on without it. The outer one means that no
    /// block can be made with it.
    pub fn execute_transaction(
        &mut self,
        tx: &ZkTxEnvelope,
        sender: Address,
    ) -> Result<Result<&TxOutput, InvalidTransaction>, ExecutionError> {
        let recovered = Recovered::new_unchecked(tx, sender);
        let chain_id = self.runner.vm.env.chain_id;
        match VmTx::from_recovered(recovered, chain_id, self.mode.verify_signatures) {
            Ok(tx) => self.execute(&tx, &mut NoTracer),
            Err(error) => Ok(Err(self.reject(error))),
        }
    }

    /// Executes a transaction in the encoding of the official interface.
    ///
    /// # Errors
    /// As [`Self::execute_transaction`].
    pub fn execute_encoded(
        &mut self,
        tx: &EncodedTx,
    ) -> Result<Result<&TxOutput, InvalidTransaction>, ExecutionError> {
        self.execute_encoded_with(tx, &mut NoTracer)
    }

    pub(crate) fn execute_encoded_with<T: Tracer<S>>(
        &mut self,
        tx: &EncodedTx,
        tracer: &mut T,
    ) -> Result<Result<&TxOutput, InvalidTransaction>, ExecutionError> {
        let chain_id = self.runner.vm.env.chain_id;
        match VmTx::decode(tx, chain_id, self.mode.verify_signatures) {
            Ok(tx) => self.execute(&tx, tracer),
            Err(DecodeError::Invalid(error)) => Ok(Err(self.reject(error))),
            Err(DecodeError::Abort(reason)) => Err(self.fatal(B256::ZERO, Fatal::Abort(reason))),
        }
    }

    /// [`Self::execute_transaction`] with a revm inspector attached.
    ///
    /// # Errors
    /// As [`Self::execute_transaction`].
    pub fn inspect_transaction<I: Inspector<TraceContext>>(
        &mut self,
        tx: &ZkTxEnvelope,
        sender: Address,
        inspector: &mut I,
    ) -> Result<Result<&TxOutput, InvalidTransaction>, ExecutionError> {
        let recovered = Recovered::new_unchecked(tx, sender);
        let chain_id = self.runner.vm.env.chain_id;
        let mut tracer = InspectorTracer::new(inspector, &self.runner.vm.env);
        match VmTx::from_recovered(recovered, chain_id, self.mode.verify_signatures) {
            Ok(tx) => self.execute(&tx, &mut tracer),
            Err(error) => Ok(Err(self.reject(error))),
        }
    }

    fn reject(&mut self, error: InvalidTransaction) -> InvalidTransaction {
        self.tx_results.push(Err(error.clone()));
        error
    }

    fn fatal(&self, tx_hash: B256, fatal: Fatal) -> ExecutionError {
        match fatal {
            Fatal::State(error) => ExecutionError::State(error),
            Fatal::Precompile(address, message) => ExecutionError::Precompile {
                block_number: self.runner.vm.env.number,
                address,
                message,
            },
            Fatal::Abort(reason) => ExecutionError::Transaction {
                block_number: self.runner.vm.env.number,
                tx_hash,
                reason,
            },
        }
    }

    pub(crate) fn execute<T: Tracer<S>>(
        &mut self,
        tx: &VmTx<'_>,
        tracer: &mut T,
    ) -> Result<Result<&TxOutput, InvalidTransaction>, ExecutionError> {
        match self.attempt(tx, tracer)? {
            Ok(attempt) => Ok(Ok(self.include(attempt))),
            Err(error) => Ok(Err(self.reject(error))),
        }
    }

    /// Runs a transaction up to the decision whether it can be part of the block. Its changes stand in the
    /// journal until [`Self::include`] keeps them or a rollback to [`Attempt::start`] drops them; those of a
    /// rejected transaction are gone.
    pub(crate) fn attempt<T: Tracer<S>>(
        &mut self,
        tx: &VmTx<'_>,
        tracer: &mut T,
    ) -> Result<Result<Attempt, InvalidTransaction>, ExecutionError> {
        if self.totals.transactions > usize::from(u16::MAX) {
            return Err(self.fatal(tx.hash, Fatal::Abort(AbortReason::TooManyTransactions)));
        }
        if let Err(error) = tracer.begin_tx(tx) {
            return Ok(Err(error));
        }
        let start = self.runner.journal().begin_tx();
        let coinbase = self.runner.vm.env.coinbase;
        self.runner.journal().warm_free(coinbase)?;
        let processed =
            flow::process(&mut self.runner, tx, self.mode, self.totals.transactions, tracer);
        let processed = match processed {
            Ok(processed) => processed,
            Err(Rejection::Fatal(fatal)) => return Err(self.fatal(tx.hash, *fatal)),
            Err(Rejection::Invalid(error)) => {
                if self.runner.journal().native.is_beyond_bound() {
                    return Err(self.fatal(tx.hash, Fatal::Abort(AbortReason::BeyondBound)));
                }
                self.runner.journal().rollback(start);
                return Ok(Err(error));
            }
        };
        if let Err(error) = tracer.finish_tx(tx).and_then(|()| self.check_limits(&processed)) {
            self.runner.journal().rollback(start);
            return Ok(Err(error));
        }
        Ok(Ok(Attempt { start, hash: tx.hash, processed }))
    }

    /// Runs a call outside of any transaction: no fee, no validation, native not limited. Its changes stand in
    /// the journal until a rollback to the returned position.
    pub(crate) fn system_call(
        &mut self,
        caller: Address,
        contract: Address,
        input: Bytes,
    ) -> Result<(Checkpoint, CallResult), ExecutionError> {
        let start = self.runner.journal().begin_tx();
        self.runner.journal().native = NativeMeter::new(u64::MAX);
        self.runner.vm.tx = TxEnv { origin: caller, gas_price: U256::ZERO };
        let request = CallRequest {
            kind: CallKind::Call,
            is_static: false,
            caller,
            callers_caller: Address::ZERO,
            callee: contract,
            value: U256::ZERO,
            gas: SYSTEM_CALL_GAS,
            input: CallInput::Bytes(input),
            return_range: 0..0,
        };
        match self.runner.execute(request, &mut NoTracer) {
            Ok(result) => Ok((start, result)),
            Err(Halt::OutOfGas | Halt::OutOfNative) => {
                self.runner.journal().rollback(start);
                Ok((start, CallResult::failed(InstructionResult::OutOfGas, 0)))
            }
            Err(Halt::Fatal(fatal)) => Err(self.fatal(B256::ZERO, *fatal)),
        }
    }

    /// Sums with the transaction that stands in the journal.
    fn with(&mut self, processed: &Processed) -> BlockTotals {
        let logs = self.runner.journal().l2_to_l1_logs.len() as u64;
        BlockTotals {
            transactions: self.totals.transactions + 1,
            gas_used: self.totals.gas_used.saturating_add(processed.gas_used),
            computational_native_used: self
                .totals
                .computational_native_used
                .saturating_add(processed.computational_native_used),
            pubdata_used: self.totals.pubdata_used.saturating_add(processed.pubdata_used),
            l2_to_l1_logs: self.totals.l2_to_l1_logs + logs,
        }
    }

    /// The first limit of the block that the transaction in the journal would exceed.
    fn check_limits(&mut self, processed: &Processed) -> Result<(), InvalidTransaction> {
        let totals = self.with(processed);
        let env = &self.runner.vm.env;
        if totals.gas_used > env.gas_limit {
            return Err(InvalidTransaction::BlockGasLimitReached);
        }
        if totals.computational_native_used > MAX_NATIVE_COMPUTATIONAL {
            return Err(InvalidTransaction::BlockNativeLimitReached);
        }
        if totals.pubdata_used > env.pubdata_limit {
            return Err(InvalidTransaction::BlockPubdataLimitReached);
        }
        if totals.l2_to_l1_logs > env.spec.max_l2_to_l1_logs {
            return Err(InvalidTransaction::BlockL2ToL1LogsLimitReached);
        }
        Ok(())
    }

    /// Keeps the changes of a transaction and builds its output.
    pub(crate) fn include(&mut self, attempt: Attempt) -> &TxOutput {
        self.include_applied(attempt.hash, attempt.processed)
    }

    /// [`Self::include`] for a transaction whose changes were applied to the journal.
    pub(crate) fn include_applied(&mut self, hash: B256, processed: Processed) -> &TxOutput {
        // An attempt beyond the last number is refused.
        let number = u16::try_from(self.totals.transactions).unwrap_or(u16::MAX);
        self.totals = self.with(&processed);
        self.rolling_hash = extend_rolling_hash(self.rolling_hash, hash);
        let journal = self.runner.journal();
        journal.commit_tx();
        for log in &mut journal.l2_to_l1_logs {
            log.log.tx_number_in_block = number;
        }
        let l2_to_l1_logs = core::mem::take(&mut journal.l2_to_l1_logs);
        let logs = core::mem::take(&mut journal.logs);
        self.logs.extend_from_slice(&l2_to_l1_logs);
        self.last_end = processed.end;
        let bytes = processed.output.to_vec();
        let execution_result = match (processed.success, processed.created) {
            (true, Some(address)) => {
                ExecutionResult::Success(ExecutionOutput::Create(bytes, address))
            }
            (true, None) => ExecutionResult::Success(ExecutionOutput::Call(bytes)),
            (false, _) => ExecutionResult::Revert(bytes),
        };
        let output = TxOutput {
            execution_result,
            gas_used: processed.gas_used,
            gas_refunded: processed.gas_refunded,
            computational_native_used: processed.computational_native_used,
            native_used: processed.native_used,
            pubdata_used: processed.pubdata_used,
            contract_address: processed.created,
            l1_tx_operator_decision: None,
            logs,
            l2_to_l1_logs,
            storage_writes: Vec::new(),
        };
        match self.tx_results.push_mut(Ok(output)) {
            Ok(output) => output,
            Err(_) => unreachable!("an output was pushed"),
        }
    }

    /// Seals the block.
    ///
    /// # Errors
    /// If a bytecode that must be published cannot be read.
    pub fn finish(self) -> Result<BlockOutput, ExecutionError> {
        self.finish_with_state().map(|(_, output)| output)
    }

    /// [`Self::finish`] that gives the state back.
    pub(crate) fn finish_with_state(mut self) -> Result<(S, BlockOutput), ExecutionError> {
        let env = self.runner.vm.env.clone();
        let output = output::seal(
            &env,
            self.runner.journal(),
            self.totals,
            self.rolling_hash,
            self.tx_results,
            &self.logs,
        )?;
        Ok((self.runner.vm.journal.state, output))
    }

    pub(crate) fn into_state(self) -> S {
        self.runner.vm.journal.state
    }

    /// How the outermost frame of the last included transaction ended, or why the protocol undid it: tells a halt from a revert, which its output does not.
    pub const fn last_end(&self) -> InstructionResult {
        self.last_end
    }

    /// L2 to L1 logs of the last included transaction.
    pub(crate) fn last_l2_to_l1_logs(&self) -> &[L2ToL1LogWithPreimage] {
        match self.tx_results.last() {
            Some(Ok(output)) => &output.l2_to_l1_logs,
            _ => &[],
        }
    }
}
