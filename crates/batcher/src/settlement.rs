//! What the pipeline needs of the settlement layer, so that its order and its checks can be tested without one.

use crate::KnownBatchInfo;
use alloy_primitives::{Address, B256, Bytes};
use std::{fmt, future::Future, sync::Arc};
use zkos_primitives::blobs::{BlobTransactionSidecarVariant, SidecarForm};

/// The three steps of settlement, each signed by an operator of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Operation {
    /// `commitBatchesSharedBridge`.
    Commit,
    /// `proveBatchesSharedBridge`.
    Prove,
    /// `executeBatchesSharedBridge`.
    Execute,
}

/// A call to the validator timelock.
#[derive(Debug, Clone)]
pub struct Command {
    /// Which step.
    pub operation: Operation,
    /// First batch, for logs.
    pub from: u64,
    /// Last batch, for logs.
    pub to: u64,
    /// Calldata.
    pub calldata: Bytes,
    /// Blobs that the transaction carries.
    pub sidecar: Option<Arc<BlobTransactionSidecarVariant>>,
}

/// A step failed for good. Transient faults never show up here: they are retried below.
#[derive(Debug, thiserror::Error)]
#[error("{operation} of batches {from} to {to} failed: {reason}")]
pub struct SettlementError {
    /// Which step.
    pub operation: Operation,
    /// First batch.
    pub from: u64,
    /// Last batch.
    pub to: u64,
    /// Why, with the decoded revert reason where there is one.
    pub reason: String,
}

/// The settlement layer as the pipeline sees it.
pub trait SettlementLayer: fmt::Debug + Send + Sync + 'static {
    /// Address of the chain's contract.
    fn diamond(&self) -> Address;

    /// Form of the proofs that it wants beside blobs.
    fn sidecar_form(&self) -> SidecarForm;

    /// Sends a command and waits until it is mined with success; gives the transaction, or none when the layer had done it before. Commands of one operation are mined in the order of the calls. Waits as long as the layer can't be reached.
    fn execute(
        &self,
        command: Command,
    ) -> impl Future<Output = Result<Option<B256>, SettlementError>> + Send;

    /// A committed batch, none if the layer has no such batch.
    fn committed_batch(
        &self,
        batch: u64,
    ) -> impl Future<Output = eyre::Result<Option<KnownBatchInfo>>> + Send;

    /// What the layer keeps of a committed batch.
    fn stored_batch_hash(&self, batch: u64) -> impl Future<Output = eyre::Result<B256>> + Send;
}
