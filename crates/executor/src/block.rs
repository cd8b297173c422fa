//! Execution of one block, transaction by transaction.

use crate::{
    ExecutionError, StateView,
    code_cache::CodeCache,
    env::BlockEnv,
    error::{AbortReason, Fatal},
    flow::{self, Mode, Processed, Rejection},
    frame::Runner,
    journal::{Journal, TxChanges},
    native::MAX_NATIVE_COMPUTATIONAL,
    output,
    trace::{InspectorTracer, NoTracer, TraceContext, Tracer},
    tx::{DecodeError, VmTx},
    vm::Vm,
};
use alloy_consensus::transaction::Recovered;
use alloy_primitives::{Address, B256};
use revm::inspector::Inspector;
use zkos_primitives::{BlockOutput, ZkTxEnvelope, transaction::l1::extend_rolling_hash};
use zksync_os_interface::{
    error::InvalidTransaction,
    traits::{AnyBlockContext, EncodedTx},
    types::{ExecutionOutput, ExecutionResult, L2ToL1LogWithPreimage, TxOutput},
};

/// Most L2 to L1 logs of a block: leaves of its log tree.
const MAX_L2_TO_L1_LOGS: u64 = 16_384;

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
}

impl<S: StateView> BlockExecutor<S> {
    pub(crate) fn new(
        context: &impl AnyBlockContext,
        state: S,
        mode: Mode,
        code_cache: CodeCache,
    ) -> Result<Self, ExecutionError> {
        let env = BlockEnv::new(context)?;
        let journal = Journal::new(state, code_cache);
        Ok(Self {
            runner: Runner::new(Vm::new(env, journal)),
            mode,
            totals: BlockTotals::default(),
            rolling_hash: B256::ZERO,
            tx_results: Vec::new(),
            logs: Vec::new(),
        })
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
        if let Err(error) = tracer.begin_tx(tx) {
            return Ok(Err(self.reject(error)));
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
                self.runner.journal().rollback(start);
                return Ok(Err(self.reject(error)));
            }
        };
        let totals = match tracer.finish_tx(tx).and_then(|()| self.with(&processed)) {
            Ok(totals) => totals,
            Err(error) => {
                self.runner.journal().rollback(start);
                return Ok(Err(self.reject(error)));
            }
        };
        let number = u16::try_from(self.totals.transactions)
            .map_err(|_| self.fatal(tx.hash, Fatal::Abort(AbortReason::TooManyTransactions)))?;
        self.totals = totals;
        self.rolling_hash = extend_rolling_hash(self.rolling_hash, tx.hash);
        let output = self.include(processed, number);
        self.tx_results.push(Ok(output));
        match self.tx_results.last() {
            Some(Ok(output)) => Ok(Ok(output)),
            // Just pushed.
            _ => Err(self.fatal(tx.hash, Fatal::Abort(AbortReason::TooManyTransactions))),
        }
    }

    /// Sums with a transaction added, or the first limit it exceeds.
    fn with(&mut self, processed: &Processed) -> Result<BlockTotals, InvalidTransaction> {
        let logs = self.runner.journal().l2_to_l1_logs.len() as u64;
        let totals = BlockTotals {
            transactions: self.totals.transactions + 1,
            gas_used: self.totals.gas_used.saturating_add(processed.gas_used),
            computational_native_used: self
                .totals
                .computational_native_used
                .saturating_add(processed.computational_native_used),
            pubdata_used: self.totals.pubdata_used.saturating_add(processed.pubdata_used),
            l2_to_l1_logs: self.totals.l2_to_l1_logs + logs,
        };
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
        if totals.l2_to_l1_logs > MAX_L2_TO_L1_LOGS {
            return Err(InvalidTransaction::BlockL2ToL1LogsLimitReached);
        }
        Ok(totals)
    }

    /// Keeps the changes of a transaction and builds its output.
    fn include(&mut self, processed: Processed, number: u16) -> TxOutput {
        let journal = self.runner.journal();
        journal.commit_tx();
        for log in &mut journal.l2_to_l1_logs {
            log.log.tx_number_in_block = number;
        }
        let l2_to_l1_logs = core::mem::take(&mut journal.l2_to_l1_logs);
        let logs = core::mem::take(&mut journal.logs);
        self.logs.extend_from_slice(&l2_to_l1_logs);
        let bytes = processed.output.to_vec();
        let execution_result = match (processed.success, processed.created) {
            (true, Some(address)) => {
                ExecutionResult::Success(ExecutionOutput::Create(bytes, address))
            }
            (true, None) => ExecutionResult::Success(ExecutionOutput::Call(bytes)),
            (false, _) => ExecutionResult::Revert(bytes),
        };
        TxOutput {
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
        }
    }

    /// Seals the block.
    ///
    /// # Errors
    /// If a bytecode that must be published cannot be read.
    pub fn finish(mut self) -> Result<BlockOutput, ExecutionError> {
        let env = self.runner.vm.env.clone();
        output::seal(
            &env,
            self.runner.journal(),
            self.totals,
            self.rolling_hash,
            self.tx_results,
            &self.logs,
        )
    }
}
