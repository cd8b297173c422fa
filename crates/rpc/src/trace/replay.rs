//! A stored block, executed again.

use super::{
    observer::{Observer, RecordedSteps},
    session::{Rules, Session, TracedTx},
    state::PreState,
};
use crate::{
    EthApi, EthApiError, EthResult, RpcNodeCore,
    eth::{BlockAndReceipts, SimulationState},
};
use alloy_primitives::B256;
use alloy_rpc_types_eth::TransactionInfo;
use revm::inspector::Inspector;
use zkos_executor::TraceContext;
use zkos_primitives::RecoveredTx;
use zkos_storage_api::{ReplayRecordReader, StateProviderFactory};
use zksync_os_interface::types::TxOutput;

/// Executes the transactions of a stored block in order and compares each with its receipt.
pub(crate) struct Replay<'a> {
    session: Session<'a>,
    found: &'a BlockAndReceipts,
    next: usize,
}

impl<N: RpcNodeCore> EthApi<N> {
    /// State before a block.
    pub(crate) fn state_before(&self, found: &BlockAndReceipts) -> EthResult<SimulationState> {
        let number = found.block.header().number;
        let record = self.provider().replay_record(number)?;
        let record = record.ok_or(EthApiError::HistoryNotAvailable(number))?;
        if record.block_hash != found.block.hash() {
            return Err(EthApiError::BlockNotFound(found.block.hash().into()));
        }
        let state = self.provider().history_by_block_number(number.saturating_sub(1))?;
        Ok(SimulationState::with_preimages(state, &record.force_preimages))
    }

    /// Executes a block again; `run` says with what. Blocks, and takes as long as the block did.
    ///
    /// # Errors
    /// When the state before the block is not stored any more, or a result differs from what is stored.
    pub(crate) fn replay<T>(
        &self,
        found: &BlockAndReceipts,
        run: impl FnOnce(&mut Replay<'_>) -> EthResult<T>,
    ) -> EthResult<T> {
        let mut state = self.state_before(found)?;
        let header = found.block.header();
        let context = self.cache().block_context(header.number, found.block.hash())?;
        let context = context.ok_or(EthApiError::HistoryNotAvailable(header.number))?;
        let evm_config = self.node().evm_config();
        let session = Session::new(evm_config, &context, &mut state, Rules::Block)?;
        run(&mut Replay { session, found, next: 0 })
    }

    /// Executes the block of a transaction again up to it, and the transaction before the eyes of an inspector, which is given back. For namespaces that need more than
    /// the stock tracers; runs in the class of traces. `None` when the transaction is not included.
    ///
    /// # Errors
    /// When the state before the block is not stored any more, or a result differs from what is stored.
    pub async fn inspect_transaction<I>(&self, hash: B256, inspector: I) -> EthResult<Option<I>>
    where
        I: Inspector<TraceContext> + Send + 'static,
    {
        self.spawn_trace(move |this| {
            let mut observer = Observer::new(inspector, RecordedSteps::default());
            let seen = this.replay_to_transaction(hash, |replay| {
                replay.trace_next(&mut observer, |_, _, _, _| Ok(()))
            })?;
            Ok(seen.map(|()| observer.inner))
        })
        .await
    }

    /// State before the transaction at `index` of a block.
    pub(crate) fn state_before_transaction(
        &self,
        found: &BlockAndReceipts,
        index: usize,
    ) -> EthResult<SimulationState> {
        let overlay = self.replay(found, |replay| {
            replay.skip_to(index)?;
            Ok(replay.session.overlay().clone())
        })?;
        let mut state = self.state_before(found)?;
        state.apply(&overlay);
        Ok(state)
    }
}

impl<'a> Replay<'a> {
    /// State before the next transaction.
    #[cfg(feature = "js-tracer")]
    pub(super) fn before_next(&self) -> PreState<'a> {
        self.session.before_next()
    }

    /// Transactions of the block.
    pub(crate) fn len(&self) -> usize {
        self.found.block.body().transactions.len()
    }

    fn transaction(&self, index: usize) -> EthResult<RecoveredTx> {
        let tx = self.found.block.recovered_transaction(index);
        Ok(tx.ok_or(EthApiError::TransactionNotFound)?.cloned())
    }

    /// Place of a transaction, as tracers want it.
    fn info(&self, index: usize, tx: &RecoveredTx) -> TransactionInfo {
        let header = self.found.block.header();
        TransactionInfo {
            hash: Some(*tx.inner().hash()),
            index: Some(index as u64),
            block_hash: Some(self.found.block.hash()),
            block_number: Some(header.number),
            base_fee: header.base_fee_per_gas,
            ..Default::default()
        }
    }

    /// Executes without a tracer up to, and without, the transaction at `index`.
    pub(crate) fn skip_to(&mut self, index: usize) -> EthResult<()> {
        while self.next < index {
            let tx = self.transaction(self.next)?;
            let executed = self.session.execute(&tx).map_err(|error| self.of_block(error))?;
            let executed = executed.map_err(|error| self.differs(error))?;
            self.check(&executed.output)?;
            self.next += 1;
        }
        Ok(())
    }

    /// Executes the next transaction before the eyes of a tracer.
    pub(crate) fn trace_next<I: Inspector<TraceContext>, T>(
        &mut self,
        observer: &mut Observer<I>,
        finish: impl FnOnce(&mut I, TransactionInfo, &TracedTx, &mut PreState<'_>) -> EthResult<T>,
    ) -> EthResult<T> {
        let tx = self.transaction(self.next)?;
        let info = self.info(self.next, &tx);
        let traced = self.session.inspect(&tx, observer, |inspector, traced, before| {
            finish(inspector, info, traced, before)
        });
        let traced = traced.map_err(|error| self.of_block(error))?;
        let (output, trace) = traced.map_err(|error| self.differs(error))?;
        self.check(&output)?;
        self.next += 1;
        Ok(trace)
    }

    /// Compares with the receipt.
    fn check(&self, output: &TxOutput) -> EthResult<()> {
        let receipts = &self.found.receipts;
        let receipt = receipts.get(self.next).ok_or(EthApiError::TransactionNotFound)?;
        let before = self.next.checked_sub(1).and_then(|index| receipts.get(index));
        let before = before.map(|receipt| receipt.cumulative_gas_used).unwrap_or_default();
        let stored = (receipt.success, receipt.cumulative_gas_used.saturating_sub(before));
        let found = (output.is_success(), output.gas_used);
        if stored != found {
            return Err(self
                .differs(format_args!("status and gas are {found:?}, in its receipt {stored:?}")));
        }
        if receipt.logs != output.logs {
            return Err(self.differs("logs"));
        }
        Ok(())
    }

    /// What is a caller's fault in a call is the node's in a block.
    fn of_block(&self, error: EthApiError) -> EthApiError {
        match error {
            EthApiError::Unexecutable(reason) => self.differs(reason),
            other => other,
        }
    }

    fn differs(&self, what: impl std::fmt::Debug) -> EthApiError {
        EthApiError::internal(format_args!(
            "transaction {} of block {} executed again differs: {what:?}",
            self.next,
            self.found.block.header().number
        ))
    }
}
