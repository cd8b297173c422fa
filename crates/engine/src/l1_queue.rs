//! Transactions from L1 that wait for a block.

use crate::EngineError;
use alloy_consensus::Transaction;
use alloy_primitives::B256;
use std::collections::VecDeque;
use tokio::sync::mpsc;
use tracing::debug;
use zkos_node_core::L1Transaction;

/// Priority transactions taken out of the channel ahead of time, so that an upgrade behind them is seen.
const LOOK_AHEAD: usize = 64;

/// Upgrades and priority transactions in the order in which they must be executed. A transaction leaves the queue by [`Self::pop_upgrade`] or [`Self::pop_priority`] after it was
/// executed, never before: one that does not fit a block is still the first of the next.
#[derive(Debug)]
pub(crate) struct L1Queue {
    receiver: mpsc::Receiver<L1Transaction>,
    upgrades: VecDeque<L1Transaction>,
    priority: VecDeque<L1Transaction>,
    /// Id of the priority transaction that must come next out of the channel.
    next_id: u64,
    /// Genesis upgrade that this chain has executed already.
    known_upgrade: Option<B256>,
    closed: bool,
}

impl L1Queue {
    pub(crate) const fn new(
        receiver: mpsc::Receiver<L1Transaction>,
        next_id: u64,
        known_upgrade: Option<B256>,
    ) -> Self {
        Self {
            receiver,
            upgrades: VecDeque::new(),
            priority: VecDeque::new(),
            next_id,
            known_upgrade,
            closed: false,
        }
    }

    /// Takes over what has arrived, without waiting.
    pub(crate) fn refill(&mut self) -> Result<(), EngineError> {
        while self.priority.len() < LOOK_AHEAD && !self.closed {
            match self.receiver.try_recv() {
                Ok(tx) => self.accept(tx)?,
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => self.closed = true,
            }
        }
        Ok(())
    }

    /// Waits for the next transaction; never returns once the other end is gone or the look-ahead is full. Cancel-safe.
    pub(crate) async fn arrived(&mut self) -> Result<(), EngineError> {
        if self.closed || self.priority.len() >= LOOK_AHEAD {
            return std::future::pending().await;
        }
        match self.receiver.recv().await {
            Some(tx) => self.accept(tx),
            None => {
                self.closed = true;
                std::future::pending().await
            }
        }
    }

    fn accept(&mut self, l1: L1Transaction) -> Result<(), EngineError> {
        if let Some(upgrade) = l1.tx.as_upgrade() {
            if self.known_upgrade == Some(*upgrade.hash_ref()) {
                debug!(target: "engine", hash = %upgrade.hash_ref(), "genesis upgrade is executed already");
            } else {
                self.upgrades.push_back(l1);
            }
            return Ok(());
        }
        let Some(tx) = l1.tx.as_l1() else { return Err(EngineError::NotFromL1(*l1.tx.hash())) };
        let (found, expected) = (tx.nonce(), self.next_id);
        if found < expected {
            // A watcher that starts a little earlier than needed does no harm.
            debug!(target: "engine", id = found, "priority transaction is executed already");
            return Ok(());
        }
        if found > expected {
            return Err(EngineError::L1TransactionGap { expected, found });
        }
        self.next_id += 1;
        self.priority.push_back(l1);
        Ok(())
    }

    pub(crate) fn peek_upgrade(&self) -> Option<&L1Transaction> {
        self.upgrades.front()
    }

    pub(crate) fn peek_priority(&self) -> Option<&L1Transaction> {
        self.priority.front()
    }

    pub(crate) fn pop_upgrade(&mut self) -> Option<L1Transaction> {
        self.upgrades.pop_front()
    }

    pub(crate) fn pop_priority(&mut self) -> Option<L1Transaction> {
        self.priority.pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.upgrades.is_empty() && self.priority.is_empty()
    }

    /// Everything that waits, in the channel or out of it.
    pub(crate) fn len(&self) -> usize {
        self.upgrades.len() + self.priority.len() + self.receiver.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zkos_primitives::{TxL1Priority, TxUpgrade};

    fn priority(id: u64) -> L1Transaction {
        let tx = TxL1Priority { nonce: id, ..Default::default() };
        L1Transaction { tx: tx.into(), force_preimages: Vec::new() }
    }

    fn upgrade(minor: u64) -> L1Transaction {
        let tx = TxUpgrade { nonce: minor, ..Default::default() };
        L1Transaction { tx: tx.into(), force_preimages: Vec::new() }
    }

    #[tokio::test]
    async fn upgrades_overtake_and_known_ones_are_left_out() {
        let (sender, receiver) = mpsc::channel(8);
        let known = *upgrade(30).tx.hash();
        let mut queue = L1Queue::new(receiver, 5, Some(known));
        for tx in [upgrade(30), priority(4), priority(5), priority(6), upgrade(31)] {
            sender.send(tx).await.unwrap();
        }
        queue.refill().unwrap();
        assert_eq!(queue.len(), 3);
        assert_eq!(queue.peek_upgrade().unwrap().tx.nonce(), 31);
        assert_eq!(queue.peek_priority().unwrap().tx.nonce(), 5);
        assert_eq!(queue.pop_priority().unwrap().tx.nonce(), 5);
        assert_eq!(queue.peek_priority().unwrap().tx.nonce(), 6);
    }

    #[tokio::test]
    async fn a_gap_is_an_error() {
        let (sender, receiver) = mpsc::channel(8);
        let mut queue = L1Queue::new(receiver, 0, None);
        sender.send(priority(1)).await.unwrap();
        assert!(matches!(
            queue.arrived().await,
            Err(EngineError::L1TransactionGap { expected: 0, found: 1 })
        ));
    }

    #[tokio::test]
    async fn look_ahead_is_bounded() {
        let (sender, receiver) = mpsc::channel(200);
        let mut queue = L1Queue::new(receiver, 0, None);
        for id in 0..100 {
            sender.send(priority(id)).await.unwrap();
        }
        queue.refill().unwrap();
        assert_eq!(queue.priority.len(), LOOK_AHEAD);
        assert_eq!(queue.len(), 100);
    }
}
