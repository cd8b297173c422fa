//! alloy-evm's block executor.

use super::{Executed, ZkEvm, ZkEvmFactory, ZkTxEnv};
use crate::{BlockTotals, TraceContext};
use alloy_consensus::transaction::TxHashRef;
use alloy_evm::{
    Database, RecoveredTx,
    block::{
        BlockExecutionError, BlockExecutionResult, BlockExecutor, BlockExecutorFactory,
        ExecutableTx, GasOutput, StateDB, TxResult,
    },
};
use alloy_primitives::{B256, Bytes, Log};
use revm::{
    context::result::{HaltReason, ResultAndState},
    inspector::Inspector,
};
use std::mem;
use zkos_primitives::{BlockOutput, ZkReceipt, ZkTxEnvelope, transaction::ZkTxType};
use zksync_os_interface::types::L2ToL1LogWithPreimage;

/// What sealing a block needs besides its environment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ZkBlockExecutionCtx {
    /// Hash of the parent block.
    pub parent_hash: B256,
}

/// A transaction that [`ZkBlockExecutor`] executed and may commit.
#[derive(Debug)]
pub struct ZkTxResult {
    result: ResultAndState<HaltReason>,
    executed: Executed,
    tx_type: ZkTxType,
}

impl ZkTxResult {
    /// Native used by computation.
    pub const fn computational_native_used(&self) -> u64 {
        self.executed.processed.computational_native_used
    }

    /// Native used, pubdata included.
    pub const fn native_used(&self) -> u64 {
        self.executed.processed.native_used
    }

    /// Charged pubdata in bytes.
    pub const fn pubdata_used(&self) -> u64 {
        self.executed.processed.pubdata_used
    }

    /// Returned data, also of a transaction that failed.
    pub const fn output(&self) -> &Bytes {
        &self.executed.processed.output
    }

    /// L2 to L1 logs; their transaction number is filled in by the commit.
    pub fn l2_to_l1_logs(&self) -> &[L2ToL1LogWithPreimage] {
        &self.executed.effects.l2_to_l1_logs
    }
}

impl TxResult for ZkTxResult {
    type HaltReason = HaltReason;

    fn result(&self) -> &ResultAndState<HaltReason> {
        &self.result
    }

    fn into_result(self) -> ResultAndState<HaltReason> {
        self.result
    }
}

/// Executes the transactions of a block on a [`ZkEvm`].
///
/// Rejections come as [`BlockExecutionError::Validation`], the limits of the block (gas, native, pubdata, logs)
/// among them. There is nothing to do before or after the transactions, and no EIP-7685 requests.
#[derive(Debug)]
pub struct ZkBlockExecutor<DB: Database, I> {
    evm: ZkEvm<DB, I>,
    receipts: Vec<ZkReceipt>,
}

impl<DB: Database, I> ZkBlockExecutor<DB, I> {
    /// Sums over the committed transactions.
    pub const fn totals(&self) -> BlockTotals {
        self.evm.executor.totals()
    }

    /// Ends the block with all that the protocol makes of it: header, writes, preimages, pubdata.
    ///
    /// # Errors
    /// If a bytecode that must be published cannot be read, or an earlier commit failed.
    pub fn seal(
        self,
    ) -> Result<(DB, BlockExecutionResult<ZkReceipt>, BlockOutput), BlockExecutionError> {
        let Self { evm, receipts } = self;
        let result = BlockExecutionResult {
            receipts,
            gas_used: evm.executor.totals().gas_used,
            ..Default::default()
        };
        if let Some(error) = evm.broken {
            return Err(BlockExecutionError::other(error));
        }
        let (state, output) =
            evm.executor.finish_with_state().map_err(BlockExecutionError::other)?;
        Ok((state.db, result, output))
    }
}

impl<DB: StateDB, I: Inspector<TraceContext>> BlockExecutor for ZkBlockExecutor<DB, I> {
    type Transaction = ZkTxEnvelope;
    type Receipt = ZkReceipt;
    type Evm = ZkEvm<DB, I>;
    type Result = ZkTxResult;

    fn apply_pre_execution_changes(&mut self) -> Result<(), BlockExecutionError> {
        Ok(())
    }

    fn execute_transaction_without_commit(
        &mut self,
        tx: impl ExecutableTx<Self>,
    ) -> Result<ZkTxResult, BlockExecutionError> {
        let (tx_env, recovered): (ZkTxEnv, _) = tx.into_parts();
        let hash = *recovered.tx().tx_hash();
        let tx_type = recovered.tx().tx_type();
        let executed =
            self.evm.execute(&tx_env).map_err(|error| BlockExecutionError::evm(error, hash))?;
        let result =
            self.evm.result(&executed).map_err(|error| BlockExecutionError::evm(error, hash))?;
        Ok(ZkTxResult { result, executed, tx_type })
    }

    fn commit_transaction(&mut self, output: ZkTxResult) -> GasOutput {
        let ZkTxResult { result: ResultAndState { result, state }, executed, tx_type } = output;
        let logs: Vec<Log> = result.into_logs();
        let gas_used = executed.processed.gas_used;
        let success = executed.processed.success;
        self.evm.commit(executed, state);
        let l2_to_l1_logs = self.evm.executor.last_l2_to_l1_logs();
        self.receipts.push(ZkReceipt {
            tx_type,
            success,
            cumulative_gas_used: self.evm.executor.totals().gas_used,
            logs,
            l2_to_l1_logs: l2_to_l1_logs.iter().map(|log| log.log.clone().into()).collect(),
        });
        GasOutput::new(gas_used)
    }

    fn finish(
        mut self,
    ) -> Result<(Self::Evm, BlockExecutionResult<ZkReceipt>), BlockExecutionError> {
        if let Some(error) = self.evm.broken.take() {
            return Err(BlockExecutionError::other(error));
        }
        let result = BlockExecutionResult {
            receipts: mem::take(&mut self.receipts),
            gas_used: self.evm.executor.totals().gas_used,
            ..Default::default()
        };
        Ok((self.evm, result))
    }

    fn evm_mut(&mut self) -> &mut Self::Evm {
        &mut self.evm
    }

    fn evm(&self) -> &Self::Evm {
        &self.evm
    }

    fn receipts(&self) -> &[ZkReceipt] {
        &self.receipts
    }
}

/// Creates [`ZkBlockExecutor`]s.
#[derive(Debug, Clone, Default)]
pub struct ZkBlockExecutorFactory {
    evm_factory: ZkEvmFactory,
}

impl ZkBlockExecutorFactory {
    /// Factory on top of an EVM factory.
    pub const fn new(evm_factory: ZkEvmFactory) -> Self {
        Self { evm_factory }
    }
}

impl BlockExecutorFactory for ZkBlockExecutorFactory {
    type EvmFactory = ZkEvmFactory;
    type TxExecutionResult = ZkTxResult;
    type ExecutionCtx<'a> = ZkBlockExecutionCtx;
    type Transaction = ZkTxEnvelope;
    type Receipt = ZkReceipt;
    type Executor<'a, DB: StateDB, I: Inspector<TraceContext>> = ZkBlockExecutor<DB, I>;

    fn evm_factory(&self) -> &ZkEvmFactory {
        &self.evm_factory
    }

    fn create_executor<DB, I>(
        &self,
        mut evm: ZkEvm<DB, I>,
        ctx: ZkBlockExecutionCtx,
    ) -> ZkBlockExecutor<DB, I>
    where
        DB: StateDB,
        I: Inspector<TraceContext>,
    {
        evm.executor.runner.vm.env.parent_hash = ctx.parent_hash;
        ZkBlockExecutor { evm, receipts: Vec::new() }
    }
}
