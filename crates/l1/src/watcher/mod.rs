//! Follows the settlement contracts: priority transactions in gapless order, and how far batches have come.
//!
//! One polling loop. Each poll reads the head; if it moved, parent hashes are checked and the logs of the new blocks are read with one
//! request for all events. Two cursors, one for the priority queue and one for batches, share that request while they stand at the same
//! block (always, once caught up), and let batches go ahead while the consumer of priority transactions is slow.
//!
//! No cursor is persisted: the start is derived from the next priority id (known from the last block) and from the counters on L1.
//! Transient faults never end the loop. A contradiction does: an event that can't be decoded, or an already delivered priority transaction
//! that L1 replaced by another one.

mod events;
mod start;
mod types;

pub use events::EventError;
pub use types::{
    BatchPoint, CommittedBatch, CommittedBatches, L1Finality, L1PriorityTx, L1WatcherStatus,
    ScheduledUpgrade,
};

use crate::{
    discovery::{DiscoveryError, L1Contracts},
    logs::{self, LogScanError},
    metrics::L1WatcherMetrics,
    provider::{CallError, L1BlockRef, L1Provider},
};
use alloy_primitives::{Address, B256, U256};
use alloy_rpc_types_eth::BlockNumberOrTag;
use alloy_transport::TransportError;
use events::Event;
use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};
use tracing::{debug, error, info, warn};
use zkos_primitives::ProtocolVersion;

/// Which L1 blocks are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmations {
    /// Blocks with at least so many blocks on top. 0 (follow the head) is for local chains only: a priority transaction that was executed
    /// on L2 and then reorganised away on L1 can never be settled.
    Blocks(u64),
    /// Blocks that L1 calls finalized.
    Finalized,
}

/// Settings of the watcher.
#[derive(Clone, Copy, Debug)]
pub struct L1WatcherConfig {
    /// Time between two looks at the head.
    pub poll_interval: Duration,
    /// Most blocks in one log request; lowered by itself where the node refuses it.
    pub max_block_span: u64,
    /// Which blocks are believed.
    pub confirmations: Confirmations,
    /// Priority transactions that wait for their consumer.
    pub queue_capacity: usize,
}

impl Default for L1WatcherConfig {
    /// For a local L1: 100 ms, spans of 1000 blocks, no confirmations.
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_millis(100),
            max_block_span: 1000,
            confirmations: Confirmations::Blocks(0),
            queue_capacity: 1024,
        }
    }
}

/// Why the watcher failed.
#[derive(Debug, thiserror::Error)]
pub enum WatcherError {
    /// An event contradicts the contract's rules.
    #[error(transparent)]
    Event(#[from] EventError),
    /// L1 replaced a priority transaction that was already handed out.
    #[error(
        "l1 replaced priority transaction {id}: {known} was delivered, now it is {found}; l1 was reorganised below the configured confirmations (or reset), blocks that contain the transaction can't be settled"
    )]
    PriorityTxReplaced {
        /// Priority id.
        id: u64,
        /// Hash handed out.
        known: B256,
        /// Hash on L1 now.
        found: B256,
    },
    /// L1 knows fewer priority transactions than our blocks contain.
    #[error(
        "l1 knows {total} priority transactions of diamond {diamond}, our blocks already contain {next_id}: this l1 was reset or is another network; restore its state, or delete the node's data directory"
    )]
    L1Behind {
        /// Diamond asked.
        diamond: Address,
        /// Next id the node needs.
        next_id: u64,
        /// Requests on L1.
        total: U256,
    },
    /// The event of a committed batch is not in the logs.
    #[error(
        "l1 has no commit event for batch {batch}, which its counters contain: the l1 node has lost its logs"
    )]
    MissingCommit {
        /// Batch number.
        batch: u64,
    },
    /// The list of events was incomplete. Asked again by itself.
    #[error(
        "l1 node returned an incomplete list of events: priority transaction {expected} is missing before {found}"
    )]
    Gap {
        /// Id expected.
        expected: u64,
        /// Id found.
        found: u64,
    },
    /// The node has no latest block.
    #[error("l1 node has no such block")]
    NoHead,
    /// Reading state failed.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// A contract call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Reading logs failed.
    #[error(transparent)]
    Logs(#[from] LogScanError),
    /// L1 could not be asked.
    #[error("l1 request failed: {0}")]
    Rpc(#[from] TransportError),
}

impl WatcherError {
    /// Whether going on would mean to guess.
    pub const fn is_fatal(&self) -> bool {
        matches!(self, Self::Event(_) | Self::PriorityTxReplaced { .. } | Self::L1Behind { .. })
    }
}

/// The consumers' side of the watcher.
#[derive(Debug)]
pub struct L1WatcherHandle {
    /// Priority transactions, ids ascending without gaps from the requested one.
    pub priority_txs: mpsc::Receiver<L1PriorityTx>,
    /// How far settlement has come.
    pub finality: watch::Receiver<L1Finality>,
    /// Committed batches by number.
    pub batches: CommittedBatches,
    /// Last upgrade that was announced since the watcher started.
    pub upgrades: watch::Receiver<Option<ScheduledUpgrade>>,
    /// Health of the watcher.
    pub status: watch::Receiver<L1WatcherStatus>,
}

/// Block hashes remembered for the detection of reorganisations.
const CHECKPOINTS: usize = 256;
/// Delivered priority transactions remembered for the detection of replaced ones.
const REMEMBERED_TXS: usize = 8192;
/// Longest pause after failed polls.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// The polling loop. Create with [`L1Watcher::new`], drive with [`L1Watcher::run`].
#[derive(Debug)]
pub struct L1Watcher {
    provider: L1Provider,
    contracts: L1Contracts,
    config: L1WatcherConfig,
    metrics: L1WatcherMetrics,

    /// Next block to read for the priority queue.
    priority_cursor: u64,
    /// Next block to read for batches.
    batch_cursor: u64,
    span: u64,
    /// Processed blocks with their hashes, ascending.
    checkpoints: VecDeque<(u64, B256)>,
    last_head: Option<B256>,

    next_id: u64,
    /// Hashes of the last ids below `next_id`.
    known: BTreeMap<u64, B256>,
    /// Decoded, not yet in the channel.
    pending: VecDeque<L1PriorityTx>,
    batches: CommittedBatches,

    priority_tx: mpsc::Sender<L1PriorityTx>,
    finality_tx: watch::Sender<L1Finality>,
    upgrade_tx: watch::Sender<Option<ScheduledUpgrade>>,
    status_tx: watch::Sender<L1WatcherStatus>,
}

impl L1Watcher {
    /// Finds the starting point and reads the current finality. `next_priority_id` is the first id that no block of ours contains.
    ///
    /// The handle's `finality` is already filled in when this returns. Faults of L1 are returned; the caller decides whether to try again.
    pub async fn new(
        provider: L1Provider,
        contracts: L1Contracts,
        next_priority_id: u64,
        config: L1WatcherConfig,
    ) -> Result<(Self, L1WatcherHandle), WatcherError> {
        let (priority_tx, priority_txs) = mpsc::channel(config.queue_capacity.max(1));
        let (upgrade_tx, upgrades) = watch::channel(None);
        let (status_tx, status) = watch::channel(L1WatcherStatus::default());
        let batches = CommittedBatches::default();

        let head = believed_head(&provider, config.confirmations).await?;
        let finality = start::finality_at(&provider, &contracts, &batches, head.number).await?;
        let priority_cursor =
            start::priority_start(&provider, &contracts, next_priority_id, head.number).await?;
        info!(
            target: "zkos::l1::watcher",
            head = head.number, next_priority_id, priority_start = priority_cursor,
            committed = finality.committed.batch, proved = finality.proved.batch, executed = finality.executed.batch,
            "l1 watcher starts"
        );
        let (finality_tx, finality_rx) = watch::channel(finality);
        let watcher = Self {
            provider,
            contracts,
            config,
            metrics: L1WatcherMetrics::default(),
            priority_cursor,
            batch_cursor: finality.l1_block + 1,
            span: config.max_block_span.max(1),
            // The counters may belong to a later block than the head read before them.
            checkpoints: if finality.l1_block == head.number {
                VecDeque::from([(head.number, head.hash)])
            } else {
                VecDeque::new()
            },
            last_head: None,
            next_id: next_priority_id,
            known: BTreeMap::new(),
            pending: VecDeque::new(),
            batches: batches.clone(),
            priority_tx,
            finality_tx,
            upgrade_tx,
            status_tx,
        };
        watcher.report_finality(finality);
        Ok((
            watcher,
            L1WatcherHandle { priority_txs, finality: finality_rx, batches, upgrades, status },
        ))
    }

    /// Polls until a contradiction is met. Can be dropped at any time: nothing is persisted here.
    pub async fn run(mut self) -> Result<(), WatcherError> {
        let mut failures = 0u32;
        let mut last_warning: Option<Instant> = None;
        loop {
            match self.poll().await {
                Ok(()) => {
                    if failures > 0 {
                        info!(target: "zkos::l1::watcher", failures, "l1 can be read again");
                    }
                    failures = 0;
                    last_warning = None;
                    self.metrics.unreachable.set(0);
                }
                Err(error) if error.is_fatal() => {
                    error!(target: "zkos::l1::watcher", err = %error, "l1 contradicts what is known");
                    return Err(error);
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    self.metrics.poll_errors_total.increment(1);
                    self.metrics.unreachable.set(1);
                    if last_warning.is_none_or(|at| at.elapsed() > Duration::from_secs(30)) {
                        warn!(target: "zkos::l1::watcher", err = %error, failures, "l1 can't be read, retrying");
                        last_warning = Some(Instant::now());
                    }
                    self.status_tx
                        .send_modify(|status| status.last_error = Some(error.to_string()));
                }
            }
            let pause = self
                .config
                .poll_interval
                .saturating_mul(1 << failures.min(10))
                .min(MAX_BACKOFF.max(self.config.poll_interval));
            self.wait_and_deliver(pause).await;
        }
    }

    /// Waits for `pause`, handing out what is pending as its consumer makes room.
    async fn wait_and_deliver(&mut self, pause: Duration) {
        let deadline = tokio::time::sleep(pause);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                () = &mut deadline => return,
                permit = self.priority_tx.reserve(), if !self.pending.is_empty() => match permit {
                    Ok(permit) => if let Some(tx) = self.pending.pop_front() { permit.send(tx) },
                    // Nobody wants priority transactions any more; batches are still followed.
                    Err(_) => self.pending.clear(),
                },
            }
        }
    }

    /// One look at L1.
    async fn poll(&mut self) -> Result<(), WatcherError> {
        let head = believed_head(&self.provider, self.config.confirmations).await?;
        self.metrics.head_block.set(head.number as f64);
        self.deliver();
        let caught_up = self.batch_cursor > head.number
            && (self.priority_cursor > head.number || self.backlogged());
        if caught_up && self.last_head == Some(head.hash) {
            self.report_status(head.number);
            return Ok(());
        }
        self.check_reorg(&head).await?;
        loop {
            match self.scan_step(&head).await {
                Ok(true) => self.deliver(),
                Ok(false) => break,
                // An earlier answer of the node lacked events: find the place where they must be, and read again after a pause.
                Err(error @ WatcherError::Gap { .. }) => {
                    self.priority_cursor = start::priority_start(
                        &self.provider,
                        &self.contracts,
                        self.next_id,
                        head.number,
                    )
                    .await?;
                    return Err(error);
                }
                Err(error @ WatcherError::MissingCommit { .. }) => {
                    self.restart_batches(&head).await?;
                    return Err(error);
                }
                Err(error) => return Err(error),
            }
        }
        self.last_head = Some(head.hash);
        self.report_status(head.number);
        Ok(())
    }

    fn backlogged(&self) -> bool {
        self.pending.len() >= self.config.queue_capacity.max(1)
    }

    fn deliver(&mut self) {
        while !self.pending.is_empty() {
            match self.priority_tx.try_reserve() {
                Ok(permit) => {
                    if let Some(tx) = self.pending.pop_front() {
                        permit.send(tx);
                    }
                }
                Err(mpsc::error::TrySendError::Full(())) => return,
                Err(mpsc::error::TrySendError::Closed(())) => self.pending.clear(),
            }
        }
    }

    /// Reads the next span for the cursor that is behind, or for both. Returns whether there may be more to read.
    async fn scan_step(&mut self, head: &L1BlockRef) -> Result<bool, WatcherError> {
        let priority_open = self.priority_cursor <= head.number && !self.backlogged();
        let batches_open = self.batch_cursor <= head.number;
        let together = priority_open && batches_open && self.priority_cursor == self.batch_cursor;
        let (priority, batches) = match (priority_open, batches_open) {
            (false, false) => return Ok(false),
            _ if together => (true, true),
            (true, true) => {
                (self.priority_cursor < self.batch_cursor, self.priority_cursor > self.batch_cursor)
            }
            only => only,
        };
        let from = if priority { self.priority_cursor } else { self.batch_cursor };
        // A cursor that is behind stops where the other one stands, so that they go on together.
        let meet = if together {
            u64::MAX
        } else if priority && self.batch_cursor > from {
            self.batch_cursor - 1
        } else if batches && self.priority_cursor > from {
            self.priority_cursor - 1
        } else {
            u64::MAX
        };
        let to = from.saturating_add(self.span - 1).min(head.number).min(meet);

        // The hash before the logs: if L1 reorganises in between, the next poll sees another hash and comes back here.
        let hash = if !batches {
            None
        } else if to == head.number {
            Some(head.hash)
        } else {
            Some(
                self.provider
                    .block(BlockNumberOrTag::Number(to))
                    .await?
                    .ok_or(WatcherError::NoHead)?
                    .hash,
            )
        };
        let (diamond, admin) = (self.contracts.diamond, self.contracts.chain_admin);
        let logs = match logs::get_logs(
            &self.provider,
            &events::filter(diamond, admin, priority, batches),
            from,
            to,
        )
        .await
        {
            Ok(logs) => logs,
            Err(error) if error.is_range_limit() && self.span > 1 => {
                self.span /= 2;
                debug!(target: "zkos::l1::watcher", span = self.span, err = %error, "l1 node refuses the span, halving it");
                return Ok(true);
            }
            Err(error) => return Err(error.into()),
        };
        self.span = (self.span + self.span / 8 + 1).min(self.config.max_block_span.max(1));

        let events = events::decode(&logs, diamond, admin)?;
        // Priority transactions first: a gap must stop the cursors before anything of the span counts.
        if priority {
            for event in &events {
                if let Event::Priority(tx) = event {
                    self.accept(tx)?;
                }
            }
            self.priority_cursor = to + 1;
        }
        if batches {
            let mut finality = *self.finality_tx.borrow();
            finality.l1_block = to;
            for event in events {
                self.apply(event, &mut finality)?;
            }
            self.batch_cursor = to + 1;
            self.batches.trim(finality.committed.batch, finality.executed.batch);
            self.report_finality(finality);
            if let Some(hash) = hash {
                self.checkpoints.push_back((to, hash));
                if self.checkpoints.len() > CHECKPOINTS {
                    self.checkpoints.pop_front();
                }
            }
            self.metrics.scanned_block.set(to as f64);
        }
        Ok(true)
    }

    fn accept(&mut self, tx: &L1PriorityTx) -> Result<(), WatcherError> {
        if tx.id > self.next_id {
            return Err(WatcherError::Gap { expected: self.next_id, found: tx.id });
        }
        if tx.id < self.next_id {
            // Seen before: the range is read again, or the start lies before the wanted id.
            return match self.known.get(&tx.id) {
                Some(&known) if known != tx.tx.seal() => {
                    Err(WatcherError::PriorityTxReplaced { id: tx.id, known, found: tx.tx.seal() })
                }
                _ => Ok(()),
            };
        }
        self.known.insert(tx.id, tx.tx.seal());
        if self.known.len() > REMEMBERED_TXS {
            self.known.pop_first();
        }
        self.next_id += 1;
        self.metrics.next_priority_id.set(self.next_id as f64);
        self.pending.push_back(tx.clone());
        Ok(())
    }

    fn apply(&self, event: Event, finality: &mut L1Finality) -> Result<(), WatcherError> {
        let point = |batch| self.batches.point(batch).ok_or(WatcherError::MissingCommit { batch });
        match event {
            Event::Priority(_) => {}
            Event::Committed(batch) => {
                self.batches.insert(batch);
                finality.committed =
                    BatchPoint { batch: batch.number, last_block: batch.last_block };
            }
            Event::Verified { batch } => finality.proved = point(batch)?,
            Event::Executed { batch } => finality.executed = point(batch)?,
            Event::Reverted { committed, verified, executed } => {
                warn!(target: "zkos::l1::watcher", committed, verified, executed, "batches were reverted on l1");
                finality.committed = point(committed)?;
                finality.proved = point(verified)?;
                finality.executed = point(executed)?;
            }
            Event::UpgradeTimestamp { version, timestamp } => {
                match ProtocolVersion::unpack(version) {
                    Ok(version) => {
                        info!(target: "zkos::l1::watcher", %version, timestamp, "protocol upgrade announced");
                        self.upgrade_tx.send_replace(Some(ScheduledUpgrade { version, timestamp }));
                    }
                    Err(error) => {
                        warn!(target: "zkos::l1::watcher", err = %error, "upgrade announced for no protocol version, ignored");
                    }
                }
            }
        }
        Ok(())
    }

    /// Compares what was processed with L1's present chain; on a difference goes back to the last common block.
    async fn check_reorg(&mut self, head: &L1BlockRef) -> Result<(), WatcherError> {
        let newest = self.checkpoints.back().copied();
        if let Some((number, hash)) = newest
            && head.number == number + 1
            && head.parent_hash == hash
        {
            return Ok(());
        }
        let mut common = None;
        let mut stale = false;
        for &(number, hash) in self.checkpoints.iter().rev() {
            if number > head.number {
                // The head went back: a node that lags, or the first sight of a shorter chain. Older blocks tell.
                continue;
            }
            let canonical = if number == head.number {
                head.hash
            } else {
                self.provider
                    .block(BlockNumberOrTag::Number(number))
                    .await?
                    .ok_or(WatcherError::NoHead)?
                    .hash
            };
            if canonical == hash {
                common = Some(number);
                break;
            }
            stale = true;
        }
        if !stale {
            return Ok(());
        }
        // Without a common block everything since the start is in doubt.
        let common = common.unwrap_or_else(|| {
            self.checkpoints
                .front()
                .map_or(0, |(number, _)| number.saturating_sub(CHECKPOINTS as u64))
        });
        warn!(target: "zkos::l1::watcher", head = head.number, common, "l1 was reorganised, reading again from the last common block");
        self.metrics.reorgs_total.increment(1);
        self.last_head = None;
        self.priority_cursor = self.priority_cursor.min(common + 1);
        self.checkpoints.retain(|(number, _)| *number <= common);
        self.restart_batches(head).await
    }

    /// Reads counters and open batches anew instead of following events.
    async fn restart_batches(&mut self, head: &L1BlockRef) -> Result<(), WatcherError> {
        let finality =
            start::finality_at(&self.provider, &self.contracts, &self.batches, head.number).await?;
        self.batch_cursor = finality.l1_block + 1;
        self.checkpoints.retain(|(number, _)| *number < head.number);
        if finality.l1_block == head.number {
            self.checkpoints.push_back((head.number, head.hash));
        }
        self.report_finality(finality);
        Ok(())
    }

    fn report_finality(&self, finality: L1Finality) {
        self.metrics.committed_batch.set(finality.committed.batch as f64);
        self.metrics.proved_batch.set(finality.proved.batch as f64);
        self.metrics.executed_batch.set(finality.executed.batch as f64);
        self.finality_tx.send_if_modified(|current| {
            let changed = (current.committed, current.proved, current.executed)
                != (finality.committed, finality.proved, finality.executed);
            *current = finality;
            changed
        });
    }

    fn report_status(&self, head: u64) {
        let scanned = self.batch_cursor.min(self.priority_cursor).saturating_sub(1);
        self.status_tx.send_if_modified(|status| {
            let new = L1WatcherStatus { head, scanned, last_error: None };
            let changed = *status != new;
            *status = new;
            changed
        });
    }
}

/// The newest block that is believed.
async fn believed_head(
    provider: &L1Provider,
    confirmations: Confirmations,
) -> Result<L1BlockRef, WatcherError> {
    let tag = match confirmations {
        Confirmations::Blocks(0) => BlockNumberOrTag::Latest,
        Confirmations::Finalized => BlockNumberOrTag::Finalized,
        Confirmations::Blocks(depth) => {
            let latest =
                provider.block(BlockNumberOrTag::Latest).await?.ok_or(WatcherError::NoHead)?;
            BlockNumberOrTag::Number(latest.number.saturating_sub(depth))
        }
    };
    provider.block(tag).await?.ok_or(WatcherError::NoHead)
}
