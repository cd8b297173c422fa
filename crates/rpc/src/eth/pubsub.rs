//! Subscriptions.

use super::{EthApi, cache::BlockAndReceipts};
use crate::{
    EthApiError, EthResult, RpcNodeCore,
    api::EthPubSubApiServer,
    types::{matching_logs, rpc_block_receipts, rpc_header, rpc_transaction},
};
use alloy_primitives::{B256, TxHash, map::B256Set};
use alloy_rpc_types_eth::{
    Filter, Log,
    pubsub::{Params, PubSubSyncStatus, SubscriptionKind, SyncStatusMetadata},
};
use jsonrpsee::{
    PendingSubscriptionSink, SubscriptionMessage, SubscriptionSink,
    core::{SubscriptionResult, async_trait},
};
use serde::Serialize;
use std::fmt;
use tokio::sync::{
    broadcast::{Receiver, error::RecvError},
    mpsc,
};
use tracing::{debug, trace};
use zkos_pool::TransactionPool;
use zkos_storage_api::{CanonStateNotification, CanonStateSubscriptions, Chain, ExecutedBlock};

/// Blocks read at once by a subscriber that lags.
const CATCH_UP_CHUNK: u64 = 64;

/// Subscriptions over a node.
pub struct EthPubSub<N: RpcNodeCore> {
    api: EthApi<N>,
}

impl<N: RpcNodeCore> Clone for EthPubSub<N> {
    fn clone(&self) -> Self {
        Self { api: self.api.clone() }
    }
}

impl<N: RpcNodeCore> fmt::Debug for EthPubSub<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EthPubSub").finish_non_exhaustive()
    }
}

impl<N: RpcNodeCore> EthPubSub<N> {
    /// Subscriptions over a node.
    pub const fn new(api: EthApi<N>) -> Self {
        Self { api }
    }

    fn feed(&self) -> EthResult<CanonFeed<N>> {
        // In this order: a block between the two is seen twice, which `last` sorts out, and never missed.
        let notifications = self.api.provider().subscribe_to_canonical_state();
        let last = self.api.head_number()?;
        Ok(CanonFeed { api: self.api.clone(), notifications, last, target: last })
    }
}

/// A block that became canonical, or is no longer.
struct FeedItem {
    found: BlockAndReceipts,
    removed: bool,
}

/// Every canonical block after a starting point, once each and in order, whether or not notifications were lost.
struct CanonFeed<N: RpcNodeCore> {
    api: EthApi<N>,
    notifications: Receiver<CanonStateNotification>,
    /// Last block that was handed out.
    last: u64,
    /// Last block that has to be read from storage, because its notification was lost.
    target: u64,
}

impl<N: RpcNodeCore> CanonFeed<N> {
    /// Waits for blocks. `None` when the node stops.
    async fn next(&mut self) -> EthResult<Option<Vec<FeedItem>>> {
        loop {
            let items = if self.last < self.target {
                self.read_up_to(self.target).await?
            } else {
                match self.notifications.recv().await {
                    Ok(CanonStateNotification::Commit { new }) => {
                        if new.first().number() > self.last + 1 {
                            self.target = new.tip().number();
                            continue;
                        }
                        self.take(&new)
                    }
                    Ok(CanonStateNotification::Reorg { old, new }) => {
                        let gone = old.blocks().iter().filter(|block| block.number() <= self.last);
                        let mut items: Vec<_> =
                            gone.map(|block| FeedItem::new(block, true)).collect();
                        self.last = self.last.min(new.first().number().saturating_sub(1));
                        items.extend(self.take(&new));
                        items
                    }
                    Err(RecvError::Lagged(missed)) => {
                        debug!(target: "rpc::pubsub", missed, "subscriber lags, reading from storage");
                        self.target = self.api.head_number()?;
                        continue;
                    }
                    Err(RecvError::Closed) => return Ok(None),
                }
            };
            if !items.is_empty() {
                return Ok(Some(items));
            }
        }
    }

    fn take(&mut self, chain: &Chain) -> Vec<FeedItem> {
        let last = self.last;
        self.last = last.max(chain.tip().number());
        let new = chain.blocks().iter().filter(|block| block.number() > last);
        new.map(|block| FeedItem::new(block, false)).collect()
    }

    /// Reads the next blocks from storage, at most `CATCH_UP_CHUNK`.
    async fn read_up_to(&mut self, number: u64) -> EthResult<Vec<FeedItem>> {
        let range = self.last + 1..=number.min(self.last.saturating_add(CATCH_UP_CHUNK));
        let items = self
            .api
            .spawn_read(move |api| {
                let mut items = Vec::new();
                for number in range {
                    let found = api.block_and_receipts(number.into())?;
                    let found = found.ok_or(EthApiError::BlockNotFound(number.into()))?;
                    items.push(FeedItem { found, removed: false });
                }
                Ok::<_, EthApiError>(items)
            })
            .await?;
        self.last += items.len() as u64;
        Ok(items)
    }
}

impl FeedItem {
    fn new(block: &ExecutedBlock, removed: bool) -> Self {
        let found =
            BlockAndReceipts { block: block.block.clone(), receipts: block.receipts.clone() };
        Self { found, removed }
    }
}

/// Sends to a subscriber; `false` when it has gone away. Waits while its buffer is full.
async fn send(sink: &SubscriptionSink, item: &(impl Serialize + Sync)) -> bool {
    match SubscriptionMessage::new(sink.method_name(), sink.subscription_id(), item) {
        Ok(message) => sink.send(message).await.is_ok(),
        Err(error) => {
            debug!(target: "rpc::pubsub", %error, "subscription item can't be serialised");
            false
        }
    }
}

/// Sends what `select` makes of each block until the subscriber or the node goes away.
async fn send_blocks<N, T, F>(sink: SubscriptionSink, mut feed: CanonFeed<N>, select: F)
where
    N: RpcNodeCore,
    T: Serialize + Sync + Send,
    F: Fn(&FeedItem) -> Vec<T> + Send,
{
    loop {
        let items = tokio::select! {
            () = sink.closed() => return,
            items = feed.next() => items,
        };
        let items = match items {
            Ok(Some(items)) => items,
            Ok(None) => return,
            Err(error) => {
                debug!(target: "rpc::pubsub", %error, "subscription ends");
                return;
            }
        };
        for item in &items {
            for selected in select(item) {
                if !send(&sink, &selected).await {
                    trace!(target: "rpc::pubsub", "subscriber has gone away");
                    return;
                }
            }
        }
    }
}

/// Sends whether the node is behind, at first and whenever that changes.
async fn send_sync_status<N: RpcNodeCore>(sink: SubscriptionSink, mut feed: CanonFeed<N>) {
    let api = feed.api.clone();
    let mut highest = api.shared().watch_highest_block();
    let mut told = None;
    loop {
        let Ok(target) = api.sync_target() else { return };
        if told != Some(target.is_some()) {
            told = Some(target.is_some());
            let status = match target {
                None => PubSubSyncStatus::Simple(false),
                Some((current_block, highest)) => PubSubSyncStatus::Detailed(SyncStatusMetadata {
                    syncing: true,
                    starting_block: current_block,
                    current_block,
                    highest_block: Some(highest),
                }),
            };
            if !send(&sink, &status).await {
                return;
            }
        }
        tokio::select! {
            () = sink.closed() => return,
            // Only a block can end the lag, and only news of one can begin it.
            changed = highest.changed(), if target.is_none() => if changed.is_err() { return },
            items = feed.next(), if target.is_some() => match items {
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(error) => {
                    debug!(target: "rpc::pubsub", %error, "subscription ends");
                    return;
                }
            },
        }
    }
}

async fn send_pool_transactions<N: RpcNodeCore>(
    sink: SubscriptionSink,
    api: EthApi<N>,
    mut hashes: mpsc::Receiver<TxHash>,
    full: bool,
) {
    loop {
        let hash = tokio::select! {
            () = sink.closed() => return,
            hash = hashes.recv() => hash,
        };
        let Some(hash) = hash else { return };
        let sent = if full {
            match api.pool().get(&hash) {
                Some(tx) => send(&sink, &rpc_transaction(tx.to_consensus(), None)).await,
                // Already replaced or included: it is not pending any more.
                None => true,
            }
        } else {
            send(&sink, &hash).await
        };
        if !sent {
            return;
        }
    }
}

fn logs_of(item: &FeedItem, filter: &Filter) -> Vec<Log> {
    let block = &item.found.block;
    let mut logs = Vec::new();
    if filter.matches_bloom(block.header().logs_bloom) {
        let matches = |log: &alloy_primitives::Log| filter.matches(log);
        matching_logs(block, &item.found.receipts, item.removed, matches, &mut logs);
    }
    logs
}

#[async_trait]
impl<N: RpcNodeCore> EthPubSubApiServer for EthPubSub<N> {
    async fn subscribe(
        &self,
        pending: PendingSubscriptionSink,
        kind: SubscriptionKind,
        params: Option<Params>,
    ) -> SubscriptionResult {
        let params = params.unwrap_or_default();
        // Made before the subscriber hears of its subscription: from then on it may rely on every block.
        let feed = match self.feed() {
            Ok(feed) => feed,
            Err(error) => {
                pending.reject(error).await;
                return Ok(());
            }
        };
        let executor = self.api.node().task_executor();
        match (kind, params) {
            (SubscriptionKind::NewHeads, Params::None) => {
                let sink = pending.accept().await?;
                executor.spawn_task(
                    "rpc-new-heads",
                    send_blocks(sink, feed, |item| {
                        let header = || {
                            let block = &item.found.block;
                            rpc_header(block.clone_sealed_header(), Some(block.rlp_length()))
                        };
                        if item.removed { Vec::new() } else { vec![header()] }
                    }),
                );
            }
            (SubscriptionKind::Logs, params @ (Params::None | Params::Logs(_))) => {
                let filter = match params {
                    Params::Logs(filter) => *filter,
                    _ => Filter::default(),
                };
                let sink = pending.accept().await?;
                executor.spawn_task(
                    "rpc-logs",
                    send_blocks(sink, feed, move |item| logs_of(item, &filter)),
                );
            }
            (
                SubscriptionKind::NewPendingTransactions,
                params @ (Params::None | Params::Bool(_)),
            ) => {
                let hashes = self.api.pool().pending_transactions_listener();
                let sink = pending.accept().await?;
                let full = matches!(params, Params::Bool(true));
                executor.spawn_task(
                    "rpc-pending-transactions",
                    send_pool_transactions(sink, self.api.clone(), hashes, full),
                );
            }
            (SubscriptionKind::TransactionReceipts, params) => {
                let hashes: Option<B256Set> = match params {
                    Params::TransactionReceipts(params) => params
                        .transaction_hashes
                        .filter(|hashes| !hashes.is_empty())
                        .map(|hashes| hashes.into_iter().collect()),
                    Params::None => None,
                    _ => {
                        pending
                            .reject(EthApiError::invalid_params(
                                "invalid params: expected `transactionHashes`",
                            ))
                            .await;
                        return Ok(());
                    }
                };
                let sink = pending.accept().await?;
                executor.spawn_task(
                    "rpc-receipts",
                    send_blocks(sink, feed, move |item| {
                        if item.removed {
                            return Vec::new();
                        }
                        let mut receipts =
                            rpc_block_receipts(&item.found.block, &item.found.receipts);
                        receipts.retain(|receipt| wanted(&hashes, &receipt.transaction_hash));
                        if receipts.is_empty() { Vec::new() } else { vec![receipts] }
                    }),
                );
            }
            (SubscriptionKind::Syncing, Params::None) => {
                let sink = pending.accept().await?;
                executor.spawn_task("rpc-syncing", send_sync_status(sink, feed));
            }
            (kind, _) => {
                let name = serde_json::to_string(&kind).unwrap_or_default();
                pending
                    .reject(EthApiError::invalid_params(format!(
                        "invalid params: not those of subscription {name}"
                    )))
                    .await;
            }
        }
        Ok(())
    }
}

fn wanted(hashes: &Option<B256Set>, hash: &B256) -> bool {
    hashes.as_ref().is_none_or(|hashes| hashes.contains(hash))
}
