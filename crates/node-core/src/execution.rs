//! Between provider and executor: the state of a provider as the executor reads it, executed blocks in the form in which they are stored, and the re-execution of a record.
//! Shared by block production, import, backfill and RPC.

use alloy_primitives::{Address, B256, BlockNumber, Bytes, U256, map::HashMap};
use std::sync::Arc;
use zkos_executor::{BlockExecutor, ExecutionError, StateError, StateView, ZkEvmConfig};
use zkos_primitives::{
    AccountProperties, BlockOutput, ReplayRecord, ZkBlock, ZkBlockBody, ZkReceipt, ZkTxEnvelope,
    account_properties_flat_key, flat_storage_key,
};
use zkos_storage_api::{ExecutedBlock, ProviderError, RecoveredZkBlock, StateProvider};
use zksync_os_interface::error::InvalidTransaction;

/// reth: `StateProviderDatabase`. A [`StateProvider`] as the executor's [`StateView`], with code that a block offers to force deployments.
#[derive(Debug, Clone)]
pub struct StateProviderView<S> {
    state: S,
    preimages: HashMap<B256, Bytes>,
}

impl<S> StateProviderView<S> {
    /// A view of a state.
    pub fn new(state: S) -> Self {
        Self { state, preimages: HashMap::default() }
    }

    /// Adds raw code under its blake2s hash.
    #[must_use]
    pub fn with_preimages(mut self, preimages: &[(B256, Bytes)]) -> Self {
        self.preimages.extend(preimages.iter().cloned());
        self
    }

    /// The state below.
    pub const fn state(&self) -> &S {
        &self.state
    }
}

fn backend(error: ProviderError) -> StateError {
    StateError::Backend(Box::new(error))
}

impl<S: StateProvider> StateView for StateProviderView<S> {
    fn account(&mut self, address: Address) -> Result<Option<AccountProperties>, StateError> {
        if let Some(account) = self.state.account(address).map_err(backend)? {
            return Ok(Some(account));
        }
        // An account can be empty and yet have a leaf, which costs less to write than a new one.
        let leaf = self.state.read(account_properties_flat_key(address)).map_err(backend)?;
        Ok(leaf.map(|_| AccountProperties::default()))
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<Option<U256>, StateError> {
        let key = flat_storage_key(address, B256::from(slot));
        Ok(self.state.read(key).map_err(backend)?.map(Into::into))
    }

    fn preimage(&mut self, hash: B256) -> Result<Option<Bytes>, StateError> {
        if let Some(preimage) = self.preimages.get(&hash) {
            return Ok(Some(preimage.clone()));
        }
        self.state.preimage(hash).map_err(backend)
    }
}

/// What a block was compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHashPair {
    /// Hash of the block.
    pub block: B256,
    /// [`BlockOutput::output_hash`].
    pub output: B256,
}

impl std::fmt::Display for BlockHashPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "block hash {}, output hash {}", self.block, self.output)
    }
}

/// Why a record could not be executed again with the result it names.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Execution was not possible.
    #[error("block {number} can't be executed again: {error}")]
    Execution {
        /// Number of the block.
        number: BlockNumber,
        /// The record.
        record: Arc<ReplayRecord>,
        /// What went wrong.
        error: ExecutionError,
    },
    /// A transaction of the record is refused.
    #[error("transaction {index} of block {number} is refused when executed again: {error}")]
    InvalidTransaction {
        /// Number of the block.
        number: BlockNumber,
        /// The record.
        record: Arc<ReplayRecord>,
        /// Position of the transaction.
        index: usize,
        /// The rejection.
        error: InvalidTransaction,
    },
    /// The result differs from the record.
    #[error("block {number} executed again gives {computed}, recorded is {recorded}")]
    Mismatch {
        /// Number of the block.
        number: BlockNumber,
        /// The record.
        record: Arc<ReplayRecord>,
        /// What the record says.
        recorded: BlockHashPair,
        /// What execution gave.
        computed: BlockHashPair,
        /// Output of the execution.
        output: Box<BlockOutput>,
    },
}

impl ReplayError {
    /// The record that failed.
    pub const fn record(&self) -> &Arc<ReplayRecord> {
        match self {
            Self::Execution { record, .. }
            | Self::InvalidTransaction { record, .. }
            | Self::Mismatch { record, .. } => record,
        }
    }
}

/// Executes a record on the state before its block and compares the result with the hashes in the record. The senders in the record are taken as they are.
///
/// # Errors
/// [`ReplayError`], each with the record for a dump.
pub fn execute_record<S: StateView>(
    evm_config: &ZkEvmConfig,
    record: Arc<ReplayRecord>,
    state: S,
) -> Result<ExecutedBlock, Box<ReplayError>> {
    execute_record_with(evm_config, record, state, |execution, tx, sender| {
        Ok(execution.execute_transaction(tx, sender)?.map(drop))
    })
}

/// [`execute_record`], with `execute` to execute each transaction: for whoever wants to watch, with [`BlockExecutor::inspect_transaction`].
///
/// # Errors
/// As [`execute_record`].
pub fn execute_record_with<S: StateView>(
    evm_config: &ZkEvmConfig,
    record: Arc<ReplayRecord>,
    state: S,
    mut execute: impl FnMut(
        &mut BlockExecutor<S>,
        &ZkTxEnvelope,
        Address,
    ) -> Result<Result<(), InvalidTransaction>, ExecutionError>,
) -> Result<ExecutedBlock, Box<ReplayError>> {
    let number = record.block_number();
    let failed = |error| Box::new(ReplayError::Execution { number, record: record.clone(), error });
    let mut execution =
        evm_config.block_executor(record.block_context.clone(), state).map_err(failed)?;
    for (index, (tx, sender)) in record.transactions.iter().zip(&record.senders).enumerate() {
        if let Err(error) = execute(&mut execution, tx, *sender).map_err(failed)? {
            let record = record.clone();
            let error = ReplayError::InvalidTransaction { number, record, index, error };
            return Err(Box::new(error));
        }
    }
    let output = execution.finish().map_err(failed)?;
    let computed = BlockHashPair { block: output.block_hash, output: output.output_hash() };
    let recorded = BlockHashPair { block: record.block_hash, output: record.block_output_hash };
    if computed != recorded {
        let output = Box::new(output);
        let error = ReplayError::Mismatch { number, record, recorded, computed, output };
        return Err(Box::new(error));
    }
    Ok(assemble_block(record, output))
}

/// Puts an executed block into the form in which it is stored and announced. Results of refused transactions are dropped, so that results, receipts and transactions have the
/// same order and number.
pub fn assemble_block(record: Arc<ReplayRecord>, mut output: BlockOutput) -> ExecutedBlock {
    output.tx_results.retain(Result::is_ok);
    let receipts = receipts(&record.transactions, &output);
    let body = ZkBlockBody {
        transactions: record.transactions.clone(),
        ommers: Vec::new(),
        withdrawals: None,
    };
    let block = ZkBlock::new(output.header.clone(), body);
    let block = RecoveredZkBlock::new(block, record.senders.clone(), output.block_hash);
    ExecutedBlock {
        block: Arc::new(block),
        receipts: Arc::new(receipts),
        output: Arc::new(output),
        record,
    }
}

fn receipts(transactions: &[ZkTxEnvelope], output: &BlockOutput) -> Vec<ZkReceipt> {
    let mut cumulative_gas_used = 0;
    transactions
        .iter()
        .zip(output.included())
        .map(|(tx, result)| {
            cumulative_gas_used += result.gas_used;
            ZkReceipt {
                tx_type: tx.tx_type(),
                success: result.is_success(),
                cumulative_gas_used,
                logs: result.logs.clone(),
                l2_to_l1_logs: result
                    .l2_to_l1_logs
                    .iter()
                    .map(|log| log.log.clone().into())
                    .collect(),
            }
        })
        .collect()
}
