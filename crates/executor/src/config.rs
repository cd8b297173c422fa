//! Entry points of the node: production and replay of blocks, simulation.

use crate::{
    AbortReason, BlockExecutor, ExecutionError, StateView,
    code_cache::CodeCache,
    evm::{ZkBlockExecutorFactory, ZkEvmFactory},
    flow::Mode,
    spec::ExecutionSpec,
    trace::TraceContext,
};
use alloy_consensus::transaction::Recovered;
use revm::{inspector::Inspector, interpreter::InstructionResult};
use zkos_primitives::{BlockContext, ZkTxEnvelope};
use zksync_os_interface::{
    error::InvalidTransaction,
    traits::{AnyBlockContext, EncodedTx},
    types::TxOutput,
};

/// reth: `EvmConfig`. Creates executors; clones share a cache of analysed bytecodes.
#[derive(Debug, Clone)]
pub struct ZkEvmConfig {
    spec: &'static ExecutionSpec,
    verify_signatures: bool,
    code_cache: CodeCache,
}

/// What a simulated transaction did.
#[derive(Debug, Clone)]
pub struct Simulated {
    /// As a block would record it, which makes no difference between a revert and a halt.
    pub output: TxOutput,
    /// How the outermost frame ended, or why the protocol undid it.
    pub end: InstructionResult,
}

impl Default for ZkEvmConfig {
    fn default() -> Self {
        Self {
            spec: ExecutionSpec::latest(),
            verify_signatures: false,
            code_cache: CodeCache::default(),
        }
    }
}

impl ZkEvmConfig {
    /// Configuration that trusts the given senders, as a node does after recovering them.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes execution verify transaction signatures, as the proving run does.
    #[must_use]
    pub const fn with_signature_verification(mut self, verify: bool) -> Self {
        self.verify_signatures = verify;
        self
    }

    /// Rules for contexts of the official interface, which carry no execution version (default: the newest).
    #[must_use]
    pub const fn with_spec(mut self, spec: &'static ExecutionSpec) -> Self {
        self.spec = spec;
        self
    }

    pub(crate) const fn mode(&self, simulate: bool) -> Mode {
        Mode { simulate, verify_signatures: self.verify_signatures, native_bound: None }
    }

    pub(crate) fn code_cache(&self) -> CodeCache {
        self.code_cache.clone()
    }

    fn for_context<S: StateView>(
        &self,
        context: &BlockContext,
        state: S,
        mode: Mode,
    ) -> Result<BlockExecutor<S>, ExecutionError> {
        let spec = ExecutionSpec::of(context.execution_version).ok_or(
            ExecutionError::UnknownExecutionVersion {
                block_number: context.block_number,
                execution_version: context.execution_version,
            },
        )?;
        BlockExecutor::new(context, spec, state, mode, self.code_cache())
    }

    /// This configuration behind alloy-evm's factories.
    pub fn evm_factory(&self) -> ZkEvmFactory {
        ZkEvmFactory::new(self.clone())
    }

    /// This configuration behind alloy-evm's factories.
    pub fn block_executor_factory(&self) -> ZkBlockExecutorFactory {
        ZkBlockExecutorFactory::new(self.evm_factory())
    }

    /// Starts a block on `state`.
    ///
    /// # Errors
    /// If the context is outside of what the protocol can represent.
    pub fn block_executor<S: StateView>(
        &self,
        context: BlockContext,
        state: S,
    ) -> Result<BlockExecutor<S>, ExecutionError> {
        self.for_context(&context, state, self.mode(false))
    }

    /// [`Self::block_executor`] in simulation mode (see [`Self::simulate`]), for blocks that are only imagined.
    ///
    /// # Errors
    /// As [`Self::block_executor`].
    pub fn simulation_executor<S: StateView>(
        &self,
        context: &BlockContext,
        state: S,
    ) -> Result<BlockExecutor<S>, ExecutionError> {
        self.executor_for(context, state, true)
    }

    pub(crate) fn executor_for<S: StateView>(
        &self,
        context: &impl AnyBlockContext,
        state: S,
        simulate: bool,
    ) -> Result<BlockExecutor<S>, ExecutionError> {
        BlockExecutor::new(context, self.spec, state, self.mode(simulate), self.code_cache())
    }

    /// Executes one transaction in simulation mode: nonce, code and signature of the sender are not
    /// checked, native has a fixed price, nothing is kept.
    ///
    /// # Errors
    /// The inner error is the rejection of the transaction.
    pub fn simulate<S: StateView>(
        &self,
        context: &BlockContext,
        tx: &Recovered<ZkTxEnvelope>,
        state: S,
    ) -> Result<Result<Simulated, InvalidTransaction>, ExecutionError> {
        self.simulate_in(self.mode(true), context, tx, state)
    }

    fn simulate_in<S: StateView>(
        &self,
        mode: Mode,
        context: &BlockContext,
        tx: &Recovered<ZkTxEnvelope>,
        state: S,
    ) -> Result<Result<Simulated, InvalidTransaction>, ExecutionError> {
        let mut executor = self.for_context(context, state, mode)?;
        let result = executor.execute_transaction(tx.inner(), tx.signer())?.cloned();
        Ok(result.map(|output| Simulated { output, end: executor.last_end() }))
    }

    /// [`Self::simulate`] as long as it computes for no more than `bound` native, which follows the time it takes; `None` when it would need more. The transaction
    /// does not see the bound.
    ///
    /// # Errors
    /// As [`Self::simulate`].
    pub fn simulate_bounded<S: StateView>(
        &self,
        context: &BlockContext,
        tx: &Recovered<ZkTxEnvelope>,
        state: S,
        bound: u64,
    ) -> Result<Option<Result<Simulated, InvalidTransaction>>, ExecutionError> {
        let mode = Mode { native_bound: Some(bound), ..self.mode(true) };
        match self.simulate_in(mode, context, tx, state) {
            Ok(result) => Ok(Some(result)),
            Err(ExecutionError::Transaction { reason: AbortReason::BeyondBound, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// [`Self::simulate`] with a revm inspector attached.
    ///
    /// # Errors
    /// As [`Self::simulate`].
    pub fn simulate_with_inspector<S: StateView, I: Inspector<TraceContext>>(
        &self,
        context: &BlockContext,
        tx: &Recovered<ZkTxEnvelope>,
        state: S,
        inspector: &mut I,
    ) -> Result<Result<Simulated, InvalidTransaction>, ExecutionError> {
        let mut executor = self.for_context(context, state, self.mode(true))?;
        let result = executor.inspect_transaction(tx.inner(), tx.signer(), inspector)?.cloned();
        Ok(result.map(|output| Simulated { output, end: executor.last_end() }))
    }

    /// [`Self::simulate`] for a transaction in the encoding of the official interface.
    ///
    /// # Errors
    /// As [`Self::simulate`].
    pub fn simulate_encoded<S: StateView>(
        &self,
        context: &impl AnyBlockContext,
        tx: &EncodedTx,
        state: S,
    ) -> Result<Result<TxOutput, InvalidTransaction>, ExecutionError> {
        let mut executor = self.executor_for(context, state, true)?;
        let result = executor.execute_encoded(tx)?;
        Ok(result.cloned())
    }
}
