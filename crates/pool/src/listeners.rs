//! Who wants to know what happens in the pool.

use crate::{SubPool, ValidPoolTransaction};
use alloy_primitives::{B256, TxHash, map::HashMap};
use futures::Stream;
use parking_lot::Mutex;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};
use tokio::sync::mpsc::{self, Receiver, Sender, error::TrySendError};

/// Events that a listener of one transaction may leave unread.
const EVENT_BUFFER: usize = 16;

/// A transaction entered the pool.
#[derive(Debug)]
pub struct NewTransactionEvent<T> {
    /// Sub-pool it is in.
    pub sub_pool: SubPool,
    /// The transaction.
    pub transaction: Arc<ValidPoolTransaction<T>>,
}

impl<T> Clone for NewTransactionEvent<T> {
    fn clone(&self) -> Self {
        Self { sub_pool: self.sub_pool, transaction: self.transaction.clone() }
    }
}

/// What happens to a transaction in the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionEvent {
    /// It is executable now.
    Pending,
    /// It waits: nonce gap, balance or base fee.
    Queued,
    /// It is in this block.
    Mined(B256),
    /// This transaction took its place.
    Replaced(TxHash),
    /// It was removed: limit, age, invalid, or its nonce was used by another.
    Discarded,
}

impl TransactionEvent {
    /// True if nothing follows.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Mined(_) | Self::Replaced(_) | Self::Discarded)
    }
}

/// Events of one transaction; ends after a final one.
#[derive(Debug)]
pub struct TransactionEvents {
    hash: TxHash,
    events: Receiver<TransactionEvent>,
}

impl TransactionEvents {
    /// Hash of the transaction.
    pub const fn hash(&self) -> TxHash {
        self.hash
    }

    /// The next event, `None` after the last.
    pub async fn recv(&mut self) -> Option<TransactionEvent> {
        self.events.recv().await
    }
}

impl Stream for TransactionEvents {
    type Item = TransactionEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().events.poll_recv(cx)
    }
}

/// All listeners. Sending never waits: who does not read loses messages.
#[derive(Debug)]
pub(crate) struct Listeners<T> {
    buffer: usize,
    // Number of listeners of each kind, so that a pool without any pays one load per message.
    pending_count: AtomicUsize,
    new_count: AtomicUsize,
    event_count: AtomicUsize,
    pending: Mutex<Vec<Sender<TxHash>>>,
    new: Mutex<Vec<Sender<NewTransactionEvent<T>>>>,
    events: Mutex<HashMap<TxHash, Vec<Sender<TransactionEvent>>>>,
}

impl<T> Listeners<T> {
    pub(crate) fn new(buffer: usize) -> Self {
        Self {
            buffer: buffer.max(1),
            pending_count: AtomicUsize::new(0),
            new_count: AtomicUsize::new(0),
            event_count: AtomicUsize::new(0),
            pending: Mutex::default(),
            new: Mutex::default(),
            events: Mutex::default(),
        }
    }

    pub(crate) fn listen_pending(&self) -> Receiver<TxHash> {
        let (sender, receiver) = mpsc::channel(self.buffer);
        let mut listeners = self.pending.lock();
        listeners.push(sender);
        self.pending_count.store(listeners.len(), Ordering::Release);
        receiver
    }

    pub(crate) fn listen_new(&self) -> Receiver<NewTransactionEvent<T>> {
        let (sender, receiver) = mpsc::channel(self.buffer);
        let mut listeners = self.new.lock();
        listeners.push(sender);
        self.new_count.store(listeners.len(), Ordering::Release);
        receiver
    }

    pub(crate) fn listen_events(&self, hash: TxHash) -> TransactionEvents {
        let (sender, events) = mpsc::channel(EVENT_BUFFER);
        let mut listeners = self.events.lock();
        listeners.entry(hash).or_default().push(sender);
        self.event_count.store(listeners.len(), Ordering::Release);
        TransactionEvents { hash, events }
    }

    pub(crate) fn notify_pending(&self, hash: TxHash) {
        if self.pending_count.load(Ordering::Acquire) > 0 {
            let mut listeners = self.pending.lock();
            listeners.retain(|listener| is_open(listener.try_send(hash)));
            self.pending_count.store(listeners.len(), Ordering::Release);
        }
        self.notify_event(hash, TransactionEvent::Pending);
    }

    pub(crate) fn notify_new(&self, sub_pool: SubPool, transaction: &Arc<ValidPoolTransaction<T>>) {
        if self.new_count.load(Ordering::Acquire) == 0 {
            return;
        }
        let event = NewTransactionEvent { sub_pool, transaction: transaction.clone() };
        let mut listeners = self.new.lock();
        listeners.retain(|listener| is_open(listener.try_send(event.clone())));
        self.new_count.store(listeners.len(), Ordering::Release);
    }

    pub(crate) fn notify_event(&self, hash: TxHash, event: TransactionEvent) {
        if self.event_count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut listeners = self.events.lock();
        if let Some(list) = listeners.get_mut(&hash) {
            list.retain(|listener| is_open(listener.try_send(event)));
            if list.is_empty() || event.is_final() {
                listeners.remove(&hash);
            }
        }
        self.event_count.store(listeners.len(), Ordering::Release);
    }
}

fn is_open<T>(result: Result<(), TrySendError<T>>) -> bool {
    !matches!(result, Err(TrySendError::Closed(_)))
}
