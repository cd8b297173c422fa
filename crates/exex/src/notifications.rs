//! reth: `exex/exex/src/notifications.rs`. The stream of notifications of one extension.

use crate::{BackfillJobFactory, ExExError, ExExHead, ExExNotification};
use alloy_primitives::BlockNumber;
use futures::{FutureExt, Stream, StreamExt};
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{sync::mpsc, task::JoinHandle};
use tracing::debug;
use zkos_executor::ZkEvmConfig;
use zkos_node_core::TaskExecutor;
use zkos_storage_api::{BlockIdReader, Chain, ReplayRecordReader, StateProviderFactory};

/// Live notifications that are kept while older blocks are executed again.
const KEPT: usize = 64;

/// With more blocks than this to catch up, live notifications beyond the kept ones are let go and read again from the log later, so that a new extension does not stop
/// block production; with fewer they stay in their channel, so that block production waits and the extension does catch up.
const MAX_LAG: u64 = 1024;

/// What backfill needs of a provider.
pub trait BackfillProvider:
    BlockIdReader + ReplayRecordReader + StateProviderFactory + Clone + Send + Sync + Unpin + 'static
{
}

impl<P> BackfillProvider for P where
    P: BlockIdReader
        + ReplayRecordReader
        + StateProviderFactory
        + Clone
        + Send
        + Sync
        + Unpin
        + 'static
{
}

/// Notifications in order and without gaps.
///
/// Without a head (the default) the stream starts with whatever comes first. With a head it starts with the block after that head: blocks that are already canonical are
/// executed again from the write-ahead log, then live notifications follow. Blocks that the extension has already handled are left out.
///
/// It ends when the node shuts down, or after an error.
pub struct ExExNotifications<P> {
    provider: P,
    executor: TaskExecutor,
    factory: BackfillJobFactory<P>,
    live: mpsc::Receiver<ExExNotification>,
    kept: VecDeque<ExExNotification>,
    cursor: Option<Cursor>,
    backfill: Option<Backfill>,
    failed: bool,
}

/// Where a stream with a head stands.
#[derive(Debug)]
struct Cursor {
    head: ExExHead,
    /// Next block to deliver.
    next: BlockNumber,
    /// Last block that was canonical when the stream was first polled.
    canonical: Option<BlockNumber>,
}

struct Backfill {
    from: BlockNumber,
    job: JoinHandle<Result<Chain, ExExError>>,
}

impl<P> std::fmt::Debug for ExExNotifications<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExExNotifications")
            .field("cursor", &self.cursor)
            .field("kept", &self.kept.len())
            .field("backfilling", &self.backfill.is_some())
            .finish_non_exhaustive()
    }
}

impl<P: BackfillProvider> ExExNotifications<P> {
    /// A stream without head over a live channel.
    pub fn new(
        provider: P,
        evm_config: ZkEvmConfig,
        executor: TaskExecutor,
        live: mpsc::Receiver<ExExNotification>,
    ) -> Self {
        Self {
            factory: BackfillJobFactory::new(evm_config, provider.clone()),
            provider,
            executor,
            live,
            kept: VecDeque::new(),
            cursor: None,
            backfill: None,
            failed: false,
        }
    }

    /// Starts after `head`, with backfill. Call it before the first notification is taken.
    pub fn set_with_head(&mut self, head: ExExHead) {
        self.backfill = None;
        self.cursor = Some(Cursor { head, next: head.block.number + 1, canonical: None });
    }

    /// Live notifications only.
    pub fn set_without_head(&mut self) {
        self.backfill = None;
        self.cursor = None;
    }

    /// [`Self::set_with_head`] by value.
    #[must_use]
    pub fn with_head(mut self, head: ExExHead) -> Self {
        self.set_with_head(head);
        self
    }

    /// [`Self::set_without_head`] by value.
    #[must_use]
    pub fn without_head(mut self) -> Self {
        self.set_without_head();
        self
    }

    /// The next notification; `None` when the node shuts down. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Result<ExExNotification, ExExError>> {
        self.next().await
    }

    /// Moves live notifications into the kept ones as far as there is room or the gap is wide. Returns whether the channel has ended.
    fn drain_live(&mut self, cx: &mut Context<'_>, next: BlockNumber) -> bool {
        loop {
            if self.kept.len() >= KEPT {
                let wide = match self.kept.front() {
                    Some(ExExNotification::ChainCommitted { new }) => {
                        new.first().number().saturating_sub(next) > MAX_LAG
                    }
                    _ => false,
                };
                if !wide {
                    return false;
                }
                self.kept.pop_front();
            }
            match self.live.poll_recv(cx) {
                Poll::Ready(Some(notification)) => self.kept.push_back(notification),
                Poll::Ready(None) => return true,
                Poll::Pending => return false,
            }
        }
    }

    /// Checks the head at the first poll.
    fn check_head(&self, cursor: &mut Cursor) -> Result<BlockNumber, ExExError> {
        if let Some(canonical) = cursor.canonical {
            return Ok(canonical);
        }
        let best = self.provider.best_block_number()?;
        let head = cursor.head.block;
        // A head above ours is checked when its block arrives.
        if head.number <= best
            && let Some(canonical) = self.provider.block_hash(head.number)?
            && canonical != head.hash
        {
            return Err(ExExError::HeadNotCanonical { head, canonical });
        }
        debug!(target: "exex", head = head.number, best, "notifications start after the head");
        cursor.canonical = Some(best);
        Ok(best)
    }

    fn start_backfill(&mut self, from: BlockNumber, to: BlockNumber) {
        let mut job = self.factory.backfill(from..=to);
        let job = self.executor.spawn_blocking(move || {
            job.next().unwrap_or_else(|| {
                Err(zkos_storage_api::ProviderError::BlockNotFound(from.into()).into())
            })
        });
        self.backfill = Some(Backfill { from, job });
    }

    fn poll_with_head(
        &mut self,
        cx: &mut Context<'_>,
        cursor: &mut Cursor,
    ) -> Poll<Option<Result<ExExNotification, ExExError>>> {
        let canonical = match self.check_head(cursor) {
            Ok(canonical) => canonical,
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        loop {
            let ended = self.drain_live(cx, cursor.next);
            if let Some(backfill) = &mut self.backfill {
                let from = backfill.from;
                let result = ready!(backfill.job.poll_unpin(cx));
                self.backfill = None;
                let result = result.unwrap_or_else(|error| {
                    Err(ExExError::BackfillDied { from, reason: error.to_string() })
                });
                return Poll::Ready(Some(result.map(|chain| {
                    cursor.next = chain.tip().number() + 1;
                    chain.into()
                })));
            }
            match self.kept.pop_front() {
                Some(notification) => match place(notification, cursor) {
                    Ok(Placed::Deliver(notification)) => {
                        return Poll::Ready(Some(Ok(notification)));
                    }
                    Ok(Placed::Known) => {}
                    Ok(Placed::Gap(notification, first)) => {
                        self.kept.push_front(notification);
                        self.start_backfill(cursor.next, first - 1);
                    }
                    Err(error) => return Poll::Ready(Some(Err(error))),
                },
                None if cursor.next <= canonical => self.start_backfill(cursor.next, canonical),
                None if ended => return Poll::Ready(None),
                None => return Poll::Pending,
            }
        }
    }
}

enum Placed {
    Deliver(ExExNotification),
    Known,
    /// Blocks before the notification's first are missing.
    Gap(ExExNotification, BlockNumber),
}

/// Compares a live notification with the cursor, moves the cursor over what is delivered and cuts off what the extension knows already.
fn place(notification: ExExNotification, cursor: &mut Cursor) -> Result<Placed, ExExError> {
    let head = cursor.head.block;
    Ok(match notification {
        ExExNotification::ChainCommitted { new } => {
            let (first, last) = (new.first().number(), new.tip().number());
            if let Some(block) = new.blocks().iter().find(|block| block.number() == head.number)
                && block.hash() != head.hash
                && cursor.next == head.number + 1
            {
                return Err(ExExError::HeadNotCanonical { head, canonical: block.hash() });
            }
            if first > cursor.next {
                return Ok(Placed::Gap(ExExNotification::ChainCommitted { new }, first));
            }
            match tail(&new, cursor.next) {
                Some(new) => {
                    cursor.next = last + 1;
                    Placed::Deliver(ExExNotification::ChainCommitted { new })
                }
                None => Placed::Known,
            }
        }
        ExExNotification::ChainReverted { old } => match head_part(&old, cursor.next) {
            Some(old) => {
                cursor.next = old.first().number();
                Placed::Deliver(ExExNotification::ChainReverted { old })
            }
            None => Placed::Known,
        },
        ExExNotification::ChainReorged { old, new } => {
            match head_part(&old, cursor.next) {
                Some(old) => {
                    cursor.next = new.tip().number() + 1;
                    Placed::Deliver(ExExNotification::ChainReorged { old, new })
                }
                // Nothing of the old blocks was seen: for this extension the new ones are simply next.
                None => return place(ExExNotification::ChainCommitted { new }, cursor),
            }
        }
    })
}

/// Blocks from `next` on.
fn tail(chain: &Arc<Chain>, next: BlockNumber) -> Option<Arc<Chain>> {
    if chain.first().number() >= next {
        return Some(chain.clone());
    }
    let blocks = chain.blocks().iter().filter(|block| block.number() >= next).cloned().collect();
    Chain::new(blocks).map(Arc::new)
}

/// Blocks before `next`.
fn head_part(chain: &Arc<Chain>, next: BlockNumber) -> Option<Arc<Chain>> {
    if chain.tip().number() < next {
        return Some(chain.clone());
    }
    let blocks = chain.blocks().iter().filter(|block| block.number() < next).cloned().collect();
    Chain::new(blocks).map(Arc::new)
}

impl<P: BackfillProvider> Stream for ExExNotifications<P> {
    type Item = Result<ExExNotification, ExExError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.failed {
            return Poll::Ready(None);
        }
        let polled = match this.cursor.take() {
            None => match this.kept.pop_front() {
                Some(notification) => Poll::Ready(Some(Ok(notification))),
                None => this.live.poll_recv(cx).map(|notification| notification.map(Ok)),
            },
            Some(mut cursor) => {
                let polled = this.poll_with_head(cx, &mut cursor);
                this.cursor = Some(cursor);
                polled
            }
        };
        this.failed = matches!(polled, Poll::Ready(Some(Err(_))));
        polled
    }
}
