//! Block production on the engine's thread.

use crate::{
    ChainHead, EngineConfig, EngineError,
    dump::Dump,
    l1_queue::L1Queue,
    metrics::{EngineMetrics, count_refused, count_seal},
    pipeline::Pipeline,
    policy::{Policy, SealReason, error_label, policy},
    selection::{Candidate, Selection},
};
use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256, Bytes, U256};
use serde_json::Value;
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::runtime::Handle;
use tracing::{debug, info, warn};
use zkos_executor::{BlockExecutor, ExecutionError, ZkEvmConfig};
use zkos_node_core::{
    GracefulShutdown, L1Transaction, StageHandle,
    execution::{StateProviderView, assemble_block},
};
use zkos_pool::{PoolTransaction, TransactionPool};
use zkos_primitives::{BlockContext, ProtocolVersion, ReplayRecord, ZkTxEnvelope};
use zkos_storage_api::{BlockWriter, FullProvider, StateProviderBox};
use zksync_os_interface::error::InvalidTransaction;

/// A block executor over stored state.
type Executor = BlockExecutor<StateProviderView<StateProviderBox>>;

/// What the producer does next.
enum Work {
    /// Something may be executable.
    Ready,
    /// The node is shutting down.
    Shutdown,
}

/// A block under construction.
struct OpenBlock {
    executor: Executor,
    context: BlockContext,
    transactions: Vec<ZkTxEnvelope>,
    senders: Vec<Address>,
    force_preimages: Vec<(B256, Bytes)>,
    gas_used: u64,
    /// When the first transaction was included.
    opened: Option<Instant>,
    executing: Duration,
    purged: Vec<B256>,
}

impl OpenBlock {
    const fn is_empty(&self) -> bool {
        self.transactions.is_empty()
    }

    fn include(&mut self, tx: ZkTxEnvelope, sender: Address, gas_used: u64) {
        self.opened.get_or_insert_with(Instant::now);
        self.gas_used += gas_used;
        self.transactions.push(tx);
        self.senders.push(sender);
    }
}

/// Produces blocks until shutdown.
pub(crate) struct Producer<P, Pool: TransactionPool> {
    pub(crate) config: EngineConfig,
    pub(crate) evm_config: ZkEvmConfig,
    pub(crate) provider: P,
    pub(crate) pipeline: Pipeline<P>,
    pub(crate) selection: Selection<Pool>,
    pub(crate) l1: L1Queue,
    pub(crate) head: ChainHead,
    pub(crate) stage: StageHandle,
    pub(crate) metrics: EngineMetrics,
    pub(crate) runtime: Handle,
    pub(crate) shutdown: GracefulShutdown,
}

impl<P, Pool> Producer<P, Pool>
where
    P: FullProvider + BlockWriter,
    Pool: TransactionPool,
{
    pub(crate) fn run(mut self) -> Result<(), EngineError> {
        let mut produced = 0;
        while self.config.max_blocks_to_produce.is_none_or(|limit| produced < limit) {
            self.selection.begin_block(self.head.number);
            match self.wait_for_work()? {
                Work::Shutdown => return Ok(()),
                Work::Ready => {}
            }
            self.pipeline.wait_for_room(&self.stage)?;
            self.stage.processing();
            if self.produce_block()? {
                produced += 1;
            }
        }
        warn!(target: "engine", blocks = produced, "as many blocks produced as configured, production stops");
        self.stage.waiting("nothing: as many blocks produced as configured");
        self.runtime.block_on(self.shutdown.signalled());
        Ok(())
    }

    /// Whether the chain still lacks its first block, which only the genesis upgrade can start.
    const fn needs_genesis_upgrade(&self) -> bool {
        self.head.number == 0
    }

    fn report_queue(&self) {
        let waiting = self.l1.len();
        self.metrics.l1_queue.set(waiting as f64);
        self.stage.set_queue(waiting as u64);
    }

    /// Waits until there is something that could start a block.
    fn wait_for_work(&mut self) -> Result<Work, EngineError> {
        loop {
            if self.shutdown.is_signalled() {
                return Ok(Work::Shutdown);
            }
            self.l1.refill()?;
            self.report_queue();
            let genesis = self.needs_genesis_upgrade();
            if genesis && self.l1.peek_upgrade().is_none() {
                self.stage.waiting("genesis upgrade from L1");
            } else if !genesis && self.l1.is_empty() && !self.selection.has_next() {
                self.stage.waiting("transactions (there are none)");
            } else {
                return Ok(Work::Ready);
            }
            self.runtime.block_on(async {
                tokio::select! {
                    arrived = self.l1.arrived() => arrived,
                    () = self.selection.arrived(), if !genesis => Ok(()),
                    () = self.shutdown.signalled() => Ok(()),
                }
            })?;
        }
    }

    /// Waits for a further transaction of an open block. Returns false when the deadline passes first.
    fn wait_in_block(&mut self, deadline: Instant) -> Result<bool, EngineError> {
        self.runtime.block_on(async {
            tokio::select! {
                arrived = self.l1.arrived() => arrived.map(|()| true),
                () = self.selection.arrived() => Ok(true),
                () = tokio::time::sleep_until(deadline.into()) => Ok(false),
                () = self.shutdown.signalled() => Ok(true),
            }
        })
    }

    /// Protocol version without regard to upgrades that wait: that of the head, or what was configured if that is later.
    fn current_version(&self) -> ProtocolVersion {
        let head = self.head.protocol_version;
        self.config.protocol_version.map_or(head, |configured| configured.max(head))
    }

    /// Protocol version of the next block.
    fn protocol_version(&self) -> ProtocolVersion {
        let current = self.current_version();
        match self.l1.peek_upgrade().map(|upgrade| upgrade.tx.nonce()) {
            Some(minor) if minor > u64::from(current.minor) => {
                ProtocolVersion::new(minor.try_into().unwrap_or(u32::MAX), 0)
            }
            _ => current,
        }
    }

    fn context(&self) -> Result<BlockContext, EngineError> {
        let version = self.protocol_version();
        let execution_version =
            version.execution_version().ok_or(EngineError::UnsupportedProtocolVersion(version))?;
        Ok(BlockContext {
            chain_id: self.config.chain_id,
            block_number: self.head.number + 1,
            block_hashes: self.head.next_block_hashes.clone(),
            timestamp: unix_seconds().max(self.head.timestamp),
            eip1559_basefee: self.config.fees.base_fee_word(),
            pubdata_price: U256::from(self.config.fees.pubdata_price),
            native_price: U256::from(self.config.fees.native_price),
            coinbase: self.config.fee_collector,
            gas_limit: self.config.gas_limit,
            pubdata_limit: self.config.pubdata_limit,
            mix_hash: U256::ZERO,
            execution_version,
            blob_fee: U256::ONE,
        })
    }

    fn executor(
        &self,
        context: &BlockContext,
        force_preimages: &[(B256, Bytes)],
    ) -> Result<Executor, EngineError> {
        let state = self.provider.pending()?;
        let view = StateProviderView::new(state).with_preimages(force_preimages);
        self.evm_config
            .block_executor(context.clone(), view)
            .map_err(|error| self.production_failed(context, &[], &[], error))
    }

    fn open(&self) -> Result<OpenBlock, EngineError> {
        let context = self.context()?;
        // Only an upgrade carries code, and it has a block of its own.
        let force_preimages =
            self.l1.peek_upgrade().map(|tx| tx.force_preimages.clone()).unwrap_or_default();
        Ok(OpenBlock {
            executor: self.executor(&context, &force_preimages)?,
            context,
            transactions: Vec::new(),
            senders: Vec::new(),
            force_preimages,
            gas_used: 0,
            opened: None,
            executing: Duration::ZERO,
            purged: Vec::new(),
        })
    }

    /// An empty block takes over the time of its first transaction: refused candidates before it must not make it older.
    fn refresh_timestamp(&self, block: &mut OpenBlock) -> Result<(), EngineError> {
        if !block.is_empty() {
            return Ok(());
        }
        let now = unix_seconds();
        if now > block.context.timestamp {
            block.context.timestamp = now;
            block.executor = self.executor(&block.context, &block.force_preimages)?;
        }
        Ok(())
    }

    /// Produces one block. Returns false when no candidate was valid; there are no empty blocks.
    fn produce_block(&mut self) -> Result<bool, EngineError> {
        let mut block = self.open()?;
        let reason = loop {
            if let Some(opened) = block.opened {
                if block.transactions.len() >= self.config.max_transactions {
                    break SealReason::TxCountLimit;
                }
                if opened.elapsed() >= self.config.block_time {
                    break SealReason::Timeout;
                }
                if self.shutdown.is_signalled() {
                    break SealReason::Shutdown;
                }
            }
            self.l1.refill()?;
            self.refresh_timestamp(&mut block)?;
            let sealed = if self.l1.peek_upgrade().is_some() {
                self.execute_upgrade(&mut block)?
            } else if self.l1.peek_priority().is_some() {
                self.execute_priority(&mut block)?
            } else if let Some(candidate) = self.selection.next() {
                self.execute_candidate(&mut block, candidate)?
            } else {
                let Some(opened) = block.opened else { break SealReason::Timeout };
                if self.wait_in_block(opened + self.config.block_time)? {
                    None
                } else {
                    Some(SealReason::Timeout)
                }
            };
            if let Some(reason) = sealed {
                break reason;
            }
        };
        self.selection.purge(std::mem::take(&mut block.purged));
        if block.is_empty() {
            debug!(target: "engine", number = block.context.block_number, "no candidate was valid, no block");
            return Ok(false);
        }
        self.seal(block, reason)?;
        Ok(true)
    }

    fn execute(
        &self,
        block: &mut OpenBlock,
        tx: &ZkTxEnvelope,
        sender: Address,
    ) -> Result<Result<u64, InvalidTransaction>, EngineError> {
        let started = Instant::now();
        let result = block.executor.execute_transaction(tx, sender);
        block.executing += started.elapsed();
        match result {
            Ok(Ok(summary)) => Ok(Ok(summary.gas_used)),
            Ok(Err(error)) => Ok(Err(error)),
            Err(error) => {
                let (mut transactions, mut senders) =
                    (block.transactions.clone(), block.senders.clone());
                transactions.push(tx.clone());
                senders.push(sender);
                Err(self.production_failed(&block.context, &transactions, &senders, error))
            }
        }
    }

    fn execute_upgrade(
        &mut self,
        block: &mut OpenBlock,
    ) -> Result<Option<SealReason>, EngineError> {
        if !block.is_empty() {
            // It has a block of its own, the next one.
            return Ok(Some(SealReason::Upgrade));
        }
        let Some(upgrade) = self.l1.peek_upgrade().cloned() else { return Ok(None) };
        // It may have arrived after the block was opened, and brings code and a protocol version.
        *block = self.open()?;
        let sender = upgrade.tx.l1_sender().unwrap_or_default();
        match self.execute(block, &upgrade.tx, sender)? {
            Ok(gas_used) => {
                self.l1.pop_upgrade();
                block.include(upgrade.tx, sender, gas_used);
                Ok(Some(SealReason::Upgrade))
            }
            Err(error) => Err(self.l1_invalid(block, &upgrade, sender, &error)),
        }
    }

    fn execute_priority(
        &mut self,
        block: &mut OpenBlock,
    ) -> Result<Option<SealReason>, EngineError> {
        let Some(l1) = self.l1.peek_priority().cloned() else { return Ok(None) };
        if !self.fits_gas(block, l1.tx.gas_limit()) {
            return Ok(Some(SealReason::GasLimit));
        }
        let sender = l1.tx.l1_sender().unwrap_or_default();
        match self.execute(block, &l1.tx, sender)? {
            Ok(gas_used) => {
                self.l1.pop_priority();
                block.include(l1.tx, sender, gas_used);
                Ok(None)
            }
            // It stays first in the queue and so becomes the first of the next block.
            Err(error) => match policy(&error) {
                Policy::Seal(reason) if !block.is_empty() => Ok(Some(reason)),
                Policy::Seal(_) => {
                    let dump = self.dump_l1(block, &l1, sender, error.to_string());
                    Err(EngineError::L1TransactionTooLarge {
                        tx_hash: *l1.tx.hash(),
                        reason: error.to_string(),
                        dump,
                    })
                }
                _ => Err(self.l1_invalid(block, &l1, sender, &error)),
            },
        }
    }

    fn execute_candidate(
        &mut self,
        block: &mut OpenBlock,
        candidate: Candidate<Pool>,
    ) -> Result<Option<SealReason>, EngineError> {
        if !self.fits_gas(block, candidate.gas_limit()) {
            self.selection.put_back(candidate);
            return Ok(Some(SealReason::GasLimit));
        }
        let hash = *candidate.hash();
        let (tx, sender) = candidate.transaction.clone_into_consensus().into_parts();
        let error = match self.execute(block, &tx, sender)? {
            Ok(gas_used) => {
                self.selection.included(sender, tx.nonce(), block.context.block_number);
                block.include(tx, sender, gas_used);
                return Ok(None);
            }
            Err(error) => error,
        };
        let action = match policy(&error) {
            Policy::Seal(reason) if !block.is_empty() => {
                count_refused(error_label(&error), "seal");
                self.selection.put_back(candidate);
                return Ok(Some(reason));
            }
            // Not even an empty block can hold it.
            Policy::Seal(_) | Policy::Purge => {
                self.selection.skip_sender(&candidate);
                block.purged.push(hash);
                "purge"
            }
            Policy::Skip => {
                self.selection.skip_sender(&candidate);
                "skip"
            }
            // The pool drops it when it hears of that block.
            Policy::Stale => "stale",
        };
        debug!(target: "engine", %hash, %sender, %error, action, "transaction refused");
        count_refused(error_label(&error), action);
        Ok(None)
    }

    /// Whether the gas limit of a transaction fits what the block has left. In an empty block the state transition decides.
    fn fits_gas(&self, block: &OpenBlock, gas_limit: u64) -> bool {
        block.is_empty() || block.gas_used.saturating_add(gas_limit) <= self.config.gas_limit
    }

    fn seal(&mut self, block: OpenBlock, reason: SealReason) -> Result<(), EngineError> {
        let sealing = Instant::now();
        let OpenBlock { executor, context, transactions, senders, opened, executing, .. } = block;
        let output = match executor.finish() {
            Ok(output) => output,
            Err(error) => {
                return Err(self.production_failed(&context, &transactions, &senders, error));
            }
        };
        let number = context.block_number;
        let has_upgrade = transactions.first().is_some_and(|tx| tx.as_upgrade().is_some());
        let record = ReplayRecord {
            starting_l1_priority_id: self.head.next_l1_priority_id,
            previous_block_timestamp: self.head.timestamp,
            node_version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol_version: self.version_of(&transactions),
            block_output_hash: output.output_hash(),
            block_hash: output.block_hash,
            force_preimages: if has_upgrade { block.force_preimages } else { Vec::new() },
            block_context: context,
            transactions,
            senders,
        };
        let executed = assemble_block(Arc::new(record), output);
        self.head = ChainHead::after(&executed.record);
        let (txs, gas, pubdata) = (
            executed.record.transactions.len(),
            executed.output.header.gas_used,
            executed.output.pubdata.len(),
        );
        let hash = executed.hash();
        self.pipeline.push(executed)?;
        self.stage.set_head(number);

        let open = opened.map(|opened| opened.elapsed()).unwrap_or_default();
        self.metrics.transactions.increment(txs as u64);
        self.metrics.gas_used.increment(gas);
        self.metrics.pubdata_bytes.increment(pubdata as u64);
        self.metrics.block_transactions.record(txs as f64);
        self.metrics.block_gas.record(gas as f64);
        self.metrics.block_open_seconds.record(open);
        self.metrics.execution_seconds.record(executing);
        self.metrics.seal_seconds.record(sealing.elapsed());
        count_seal(reason);
        info!(
            target: "engine",
            number,
            %hash,
            txs,
            gas,
            pubdata,
            seal = %reason,
            execution = ?executing,
            elapsed = ?open,
            "block produced"
        );
        Ok(())
    }

    /// Version that goes into the record. An upgrade was taken out of the queue by now, so it is looked up in the block.
    fn version_of(&self, transactions: &[ZkTxEnvelope]) -> ProtocolVersion {
        let current = self.current_version();
        match transactions.first().and_then(|tx| tx.as_upgrade()) {
            Some(upgrade) if upgrade.nonce() > u64::from(current.minor) => {
                ProtocolVersion::new(upgrade.nonce().try_into().unwrap_or(u32::MAX), 0)
            }
            _ => current,
        }
    }

    fn production_failed(
        &self,
        context: &BlockContext,
        transactions: &[ZkTxEnvelope],
        senders: &[Address],
        error: ExecutionError,
    ) -> EngineError {
        let dump = Dump {
            context,
            transactions,
            senders,
            error: error.to_string(),
            expected: Value::Null,
            got: Value::Null,
        }
        .write(&self.config.block_dump_path);
        EngineError::Production { number: context.block_number, error: Box::new(error), dump }
    }

    fn dump_l1(
        &self,
        block: &OpenBlock,
        l1: &L1Transaction,
        sender: Address,
        error: String,
    ) -> crate::error::DumpPath {
        let (mut transactions, mut senders) = (block.transactions.clone(), block.senders.clone());
        transactions.push(l1.tx.clone());
        senders.push(sender);
        Dump {
            context: &block.context,
            transactions: &transactions,
            senders: &senders,
            error,
            expected: Value::Null,
            got: Value::Null,
        }
        .write(&self.config.block_dump_path)
    }

    fn l1_invalid(
        &self,
        block: &OpenBlock,
        l1: &L1Transaction,
        sender: Address,
        error: &InvalidTransaction,
    ) -> EngineError {
        let dump = self.dump_l1(block, l1, sender, error.to_string());
        EngineError::InvalidL1Transaction {
            number: block.context.block_number,
            tx_hash: *l1.tx.hash(),
            reason: error.to_string(),
            dump,
        }
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs())
}
