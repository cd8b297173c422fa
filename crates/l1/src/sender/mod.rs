//! One pipelined transaction sender per operator key.
//!
//! [`L1Sender`] is the handle, [`L1SenderTask`] the loop that owns the key's nonces. A request is simulated, signed, and broadcast; several
//! may be in flight, in order. The loop watches receipts, broadcasts again what a node forgot, replaces what is stuck with higher fees
//! under the same nonce (never above the caps: then it waits and says so), and sends again what a reorganisation of L1 undid.
//!
//! Transient faults are retried for ever. What a caller gets as an error is final: the call would revert or did revert, the node refuses
//! the transaction, or somebody else used the nonce.
//!
//! Nothing is persisted. Transactions that a previous process left in flight are found by nonce and adopted; a request equal to an adopted
//! one is not sent twice. A key must be used by one sender only, and a key that sends blobs must send nothing else (nodes refuse a mix).
//!
//! The form of blob proofs changed with the Osaka fork ([`detect_sidecar_form`]). A request whose form the node refuses is sent once more in
//! the other one, and so are all after it.

mod blobs;
mod fees;
mod keys;
mod sending;
mod task;
mod watching;

pub use blobs::detect_sidecar_form;
pub use fees::FeeCaps;
pub use keys::{KeyError, ensure_key_allowed, ensure_keys_distinct, is_local_chain};
pub use task::L1SenderTask;

use crate::{contracts::RevertReason, provider::L1Provider};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rpc_types_eth::TransactionReceipt;
use alloy_signer_local::PrivateKeySigner;
use alloy_transport::TransportError;
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot, watch};
use zkos_primitives::blobs::{BlobTransactionSidecarVariant, SidecarForm};

/// Settings of a sender.
#[derive(Clone, Copy, Debug)]
pub struct L1SenderConfig {
    /// What the key pays at most.
    pub fee_caps: FeeCaps,
    /// Gas limit of transactions whose gas can't be estimated because they depend on others in flight.
    pub fallback_gas_limit: u64,
    /// Gas limit that is never exceeded. L1 itself allows 2^24 per transaction.
    pub max_gas_limit: u64,
    /// Blocks on top of the one that mined a transaction before its receipt is handed out.
    pub confirmations: u64,
    /// Time between two looks at nonces and receipts.
    pub poll_interval: Duration,
    /// Age at which a transaction is replaced with higher fees.
    pub resubmit_timeout: Duration,
    /// Most transactions in flight.
    pub max_in_flight: usize,
    /// The only form in which blob proofs are sent; `None` lets the node's refusals decide.
    pub sidecar_form: Option<SidecarForm>,
}

impl Default for L1SenderConfig {
    /// For a local L1: 100 ms polls, no confirmations, replacement after one minute, 16 in flight.
    fn default() -> Self {
        Self {
            fee_caps: FeeCaps::default(),
            fallback_gas_limit: 15_000_000,
            max_gas_limit: 1 << 24,
            confirmations: 0,
            poll_interval: Duration::from_millis(100),
            resubmit_timeout: Duration::from_secs(60),
            max_in_flight: 16,
            sidecar_form: None,
        }
    }
}

/// A transaction to be sent.
#[derive(Clone, Debug)]
pub struct L1TxRequest {
    /// Name for logs, e.g. `commit`.
    pub label: &'static str,
    /// Called contract.
    pub to: Address,
    /// Calldata.
    pub input: Bytes,
    /// Value, wei.
    pub value: U256,
    /// Blobs with commitments and proofs. Proofs of a form that this L1 does not take are made anew, at a cost.
    pub sidecar: Option<Arc<BlobTransactionSidecarVariant>>,
}

impl L1TxRequest {
    /// A call without value and blobs.
    pub const fn call(label: &'static str, to: Address, input: Bytes) -> Self {
        Self { label, to, input, value: U256::ZERO, sidecar: None }
    }
}

/// Why a transaction failed for good.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Simulation says the call reverts; nothing was sent.
    #[error("{label} would revert: {reason}")]
    WouldRevert {
        /// Name of the request.
        label: &'static str,
        /// Decoded reason.
        reason: RevertReason,
    },
    /// Mined, but reverted.
    #[error("{label} reverted in l1 transaction {hash} (block {block}): {}", reason.as_ref().map_or_else(|| "reason unknown".to_owned(), ToString::to_string))]
    Reverted {
        /// Name of the request.
        label: &'static str,
        /// L1 transaction.
        hash: B256,
        /// L1 block.
        block: u64,
        /// Decoded reason, if the node could still tell it.
        reason: Option<RevertReason>,
        /// Whether all gas was used: then gas, not the contract, may be the reason.
        out_of_gas: bool,
    },
    /// The node refuses the transaction for a reason that will not pass.
    #[error("l1 node refuses {label}: {message}")]
    Rejected {
        /// Name of the request.
        label: &'static str,
        /// The node's words.
        message: String,
    },
    /// Another transaction with our nonce was mined.
    #[error(
        "nonce {nonce} of {address} was used by another transaction than {label}: another process uses the same key"
    )]
    NonceTaken {
        /// Name of the request.
        label: &'static str,
        /// The sender's address.
        address: Address,
        /// The nonce.
        nonce: u64,
    },
    /// The signer failed.
    #[error("signing {label} failed: {message}")]
    Signer {
        /// Name of the request.
        label: &'static str,
        /// The signer's words.
        message: String,
    },
    /// Proofs of another form could not be made.
    #[error("proofs for the blobs of {label} could not be made: {message}")]
    Blobs {
        /// Name of the request.
        label: &'static str,
        /// The KZG library's words.
        message: String,
    },
    /// The sender's task ended.
    #[error("l1 sender of {address} has stopped")]
    Stopped {
        /// The sender's address.
        address: Address,
    },
    /// The key is refused.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// L1 could not be asked when the sender was created.
    #[error("l1 request failed: {0}")]
    Rpc(#[from] TransportError),
}

/// What a sender is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct L1SenderStatus {
    /// Transactions sent and not finished, adopted ones included.
    pub in_flight: usize,
    /// Next nonce.
    pub next_nonce: u64,
    /// Balance of the key, wei; as of a few seconds ago.
    pub balance: U256,
    /// Why the oldest transaction (or the next request) has to wait; `None` while all is well.
    pub waiting: Option<String>,
}

/// Handle of a sender. Cheap to clone.
#[derive(Clone, Debug)]
pub struct L1Sender {
    address: Address,
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<L1SenderStatus>,
}

/// A transaction on its way.
#[derive(Debug)]
pub struct PendingL1Tx {
    /// Hash of the first broadcast; the mined transaction has another one if it was replaced (see its receipt).
    pub hash: B256,
    address: Address,
    receipt: oneshot::Receiver<Result<Box<TransactionReceipt>, SendError>>,
}

impl PendingL1Tx {
    /// Waits until the transaction is mined (and confirmed, if so configured). Only successful ones give a receipt.
    pub async fn receipt(self) -> Result<TransactionReceipt, SendError> {
        match self.receipt.await {
            Ok(result) => result.map(|receipt| *receipt),
            Err(_) => Err(SendError::Stopped { address: self.address }),
        }
    }
}

#[derive(Debug)]
struct Command {
    request: L1TxRequest,
    /// The node refused the form of the blob proofs once.
    form_refused: bool,
    accepted: oneshot::Sender<Result<PendingL1Tx, SendError>>,
}

impl L1Sender {
    /// Reads nonces and balance, adopts what is in flight, and returns the handle with the loop to be driven.
    ///
    /// Refuses public test keys on an L1 that is not local.
    pub async fn new(
        provider: L1Provider,
        signer: PrivateKeySigner,
        config: L1SenderConfig,
    ) -> Result<(Self, L1SenderTask), SendError> {
        let address = signer.address();
        ensure_key_allowed(address, provider.chain_id())?;
        // The task takes commands only while there is room in flight: callers wait here.
        let (commands, receiver) = mpsc::channel(1);
        let (status_tx, status) = watch::channel(L1SenderStatus::default());
        let task = L1SenderTask::new(provider, signer, config, receiver, status_tx).await?;
        Ok((Self { address, commands, status }, task))
    }

    /// Address of the key.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Sends a transaction after all earlier ones. Returns once it is signed and broadcast (or refused); waits while too many are in
    /// flight, fees are above the caps, or L1 can't be reached.
    ///
    /// Dropping the returned future may leave the transaction sent.
    pub async fn send(&self, request: L1TxRequest) -> Result<PendingL1Tx, SendError> {
        let stopped = || SendError::Stopped { address: self.address };
        let (accepted, answer) = oneshot::channel();
        self.commands
            .send(Command { request, form_refused: false, accepted })
            .await
            .map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// What the sender is doing.
    pub fn status(&self) -> watch::Receiver<L1SenderStatus> {
        self.status.clone()
    }

    /// Waits until nothing is in flight. After a restart: until all that the previous process sent has been mined, so that counters read
    /// afterwards are complete.
    pub async fn wait_idle(&self) -> Result<(), SendError> {
        let mut status = self.status.clone();
        status
            .wait_for(|status| status.in_flight == 0)
            .await
            .map_err(|_| SendError::Stopped { address: self.address })?;
        Ok(())
    }
}
