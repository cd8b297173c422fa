//! The loop behind a sender.

use super::{Command, L1SenderConfig, L1SenderStatus, L1TxRequest, SendError, fees::Fees};
use crate::{
    metrics::L1SenderMetrics,
    provider::{L1Provider, is_transient},
};
use alloy_consensus::Transaction;
use alloy_eips::BlockNumberOrTag;
use alloy_network::TransactionResponse;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::{BlockId, TransactionReceipt};
use alloy_signer_local::PrivateKeySigner;
use alloy_transport::TransportError;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};
use zkos_primitives::blobs::SidecarForm;

/// Mined transactions remembered, to be sent again if L1 reorganises.
pub(super) const REMEMBERED: usize = 64;
/// Time between two reads of the balance, and between two checks that the node still knows the oldest transaction.
pub(super) const SLOW_INTERVAL: Duration = Duration::from_secs(5);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

type Reply = oneshot::Sender<Result<Box<TransactionReceipt>, SendError>>;

/// The loop that owns a key's nonces. See [`super::L1Sender::new`].
#[derive(Debug)]
pub struct L1SenderTask {
    pub(super) provider: L1Provider,
    pub(super) signer: PrivateKeySigner,
    pub(super) config: L1SenderConfig,
    commands: mpsc::Receiver<Command>,
    status: watch::Sender<L1SenderStatus>,
    pub(super) metrics: L1SenderMetrics,

    pub(super) next_nonce: u64,
    /// Not mined or not confirmed, nonces ascending without gaps up to `next_nonce`.
    pub(super) in_flight: VecDeque<InFlight>,
    /// Mined and reported, nonces ascending.
    pub(super) done: VecDeque<InFlight>,
    /// Taken from the channel, not yet sent.
    pub(super) queued: Option<Command>,
    pub(super) waiting: Option<String>,
    pub(super) balance: U256,
    pub(super) slow_due: Instant,
    /// Form of blob proofs that the node asked for by refusing the other one.
    pub(super) learnt_form: Option<SidecarForm>,
}

#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) nonce: u64,
    /// `None` for a transaction of a previous process of which only the nonce is known.
    pub(super) request: Option<L1TxRequest>,
    pub(super) gas_limit: u64,
    pub(super) fees: Fees,
    /// Signed bytes of the last attempt; empty for adopted ones.
    pub(super) raw: Bytes,
    /// Hashes of all attempts, oldest first.
    pub(super) attempts: Vec<B256>,
    pub(super) sent_at: Instant,
    pub(super) missing_receipt: u32,
    pub(super) reply: Option<Reply>,
}

impl InFlight {
    pub(super) fn label(&self) -> &'static str {
        self.request.as_ref().map_or("adopted", |request| request.label)
    }

    pub(super) fn hash(&self) -> B256 {
        self.attempts.last().copied().unwrap_or_default()
    }
}

impl L1SenderTask {
    pub(super) async fn new(
        provider: L1Provider,
        signer: PrivateKeySigner,
        config: L1SenderConfig,
        commands: mpsc::Receiver<Command>,
        status: watch::Sender<L1SenderStatus>,
    ) -> Result<Self, SendError> {
        let address = signer.address();
        let balance = provider.inner().get_balance(address).await?;
        if balance.is_zero() {
            warn!(target: "zkos::l1::sender", %address, "l1 sender has no funds: send ether to it, or its transactions will wait");
        }
        let mut task = Self {
            metrics: L1SenderMetrics::new_with_labels(&[("address", address.to_string())]),
            provider,
            signer,
            config,
            commands,
            status,
            next_nonce: 0,
            in_flight: VecDeque::new(),
            done: VecDeque::new(),
            queued: None,
            waiting: None,
            balance,
            slow_due: Instant::now() + SLOW_INTERVAL,
            learnt_form: None,
        };
        task.adopt().await?;
        task.report();
        Ok(task)
    }

    /// Sends and watches until all handles are dropped and nothing is in flight. Can be dropped at any time: what is in flight is adopted
    /// by the next process.
    pub async fn run(mut self) -> Result<(), SendError> {
        let mut failures = 0u32;
        let mut closed = false;
        loop {
            let room =
                self.queued.is_none() && self.in_flight.len() < self.config.max_in_flight.max(1);
            let pause = self
                .config
                .poll_interval
                .saturating_mul(1 << failures.min(6))
                .min(MAX_BACKOFF.max(self.config.poll_interval));
            let mut result = Ok(());
            tokio::select! {
                biased;
                command = self.commands.recv(), if room && !closed => match command {
                    Some(command) => {
                        self.queued = Some(command);
                        result = self.start_queued().await;
                    }
                    None => closed = true,
                },
                () = tokio::time::sleep(pause) => {
                    result = self.poll().await;
                    if result.is_ok() {
                        result = self.start_queued().await;
                    }
                }
            }
            match result {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    self.metrics.errors_total.increment(1);
                    if failures.is_power_of_two() {
                        warn!(target: "zkos::l1::sender", address = %self.address(), failures, err = %error, "l1 request of sender failed, retrying");
                    }
                    self.waiting = Some(format!("l1 request failed: {error}"));
                }
            }
            self.report();
            if closed && self.in_flight.is_empty() && self.queued.is_none() {
                return Ok(());
            }
        }
    }

    pub(super) fn address(&self) -> Address {
        self.signer.address()
    }

    fn report(&self) {
        self.metrics.parallel_transactions.set(self.in_flight.len() as f64);
        self.metrics.nonce.set(self.next_nonce as f64);
        self.metrics.balance.set(to_ether(self.balance));
        let new = L1SenderStatus {
            in_flight: self.in_flight.len(),
            next_nonce: self.next_nonce,
            balance: self.balance,
            waiting: self.waiting.clone(),
        };
        self.status.send_if_modified(|status| {
            let changed = *status != new;
            *status = new;
            changed
        });
    }

    pub(super) async fn nonces(&self) -> Result<(u64, u64), TransportError> {
        let latest = self
            .provider
            .inner()
            .get_transaction_count(self.address())
            .block_id(BlockId::latest())
            .await?;
        let pending = self
            .provider
            .inner()
            .get_transaction_count(self.address())
            .block_id(BlockId::pending())
            .await?;
        Ok((latest, pending.max(latest)))
    }

    /// Takes over what a previous process with the same key left in the pool.
    pub(super) async fn adopt(&mut self) -> Result<(), TransportError> {
        let (latest, pending) = self.nonces().await?;
        let address = self.address();
        for nonce in latest..pending {
            // Not every node has this method; and a node without it may have the transaction in its pending block.
            let found =
                match self.provider.inner().get_transaction_by_sender_nonce(address, nonce).await {
                    Ok(found) => found,
                    Err(error) if is_transient(&error) => return Err(error),
                    Err(_) => {
                        let block = self
                            .provider
                            .inner()
                            .get_block_by_number(BlockNumberOrTag::Pending)
                            .full()
                            .await?;
                        block.and_then(|block| {
                            block
                                .transactions
                                .into_transactions()
                                .find(|tx| tx.from() == address && tx.nonce() == nonce)
                        })
                    }
                };
            let adopted = match found {
                Some(tx) => InFlight {
                    nonce,
                    gas_limit: tx.gas_limit(),
                    fees: Fees {
                        max_fee: Transaction::max_fee_per_gas(&tx),
                        tip: tx
                            .max_priority_fee_per_gas()
                            .unwrap_or_else(|| Transaction::max_fee_per_gas(&tx)),
                        blob_fee: tx.max_fee_per_blob_gas(),
                    },
                    raw: Bytes::new(),
                    attempts: vec![tx.tx_hash()],
                    // The blobs are not known: such a transaction is watched, and replaced only once its request comes.
                    request: (tx.max_fee_per_blob_gas().is_none() && tx.to().is_some()).then(
                        || L1TxRequest {
                            label: "adopted",
                            to: tx.to().unwrap_or_default(),
                            input: tx.input().clone(),
                            value: tx.value(),
                            sidecar: None,
                        },
                    ),
                    sent_at: Instant::now(),
                    missing_receipt: 0,
                    reply: None,
                },
                None => InFlight {
                    nonce,
                    request: None,
                    gas_limit: 21_000,
                    fees: Fees { max_fee: 0, tip: 0, blob_fee: None },
                    raw: Bytes::new(),
                    attempts: Vec::new(),
                    sent_at: Instant::now(),
                    missing_receipt: 0,
                    reply: None,
                },
            };
            info!(target: "zkos::l1::sender", %address, nonce, hash = %adopted.hash(), "adopted transaction in flight");
            self.in_flight.push_back(adopted);
        }
        self.next_nonce = pending;
        Ok(())
    }
}

pub(super) fn to_ether(wei: U256) -> f64 {
    f64::from(wei) / 1e18
}
