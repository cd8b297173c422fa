//! The settlement layer that is Ethereum: one sender per operation, to the chain's validator timelock.

use crate::{
    KnownBatchInfo,
    settlement::{Command, Operation, SettlementError, SettlementLayer},
};
use alloy_primitives::{Address, B256, U256};
use alloy_rpc_types_eth::BlockId;
use eyre::WrapErr;
use std::time::Duration;
use tracing::{info, warn};
use zkos_l1::{
    L1Contracts, L1Provider, L1Sender, L1TxRequest, SendError,
    batches::{BatchError, UpgradeTxs, relearn_batch, stored_batch_hash},
    discovery::read_counters,
};
use zkos_primitives::blobs::SidecarForm;

/// Pause before a step is tried again that L1 does not allow yet.
const NOT_YET_PAUSE: Duration = Duration::from_secs(1);
/// Pause before L1 is asked again that could not be reached.
const UNREACHABLE_PAUSE: Duration = Duration::from_secs(1);
/// Revert of a step whose time has not come: the timelock's delay, or an L1 clock behind ours.
const TIME_NOT_REACHED: &str = "TimeNotReached";

/// Senders and contracts of one chain.
#[derive(Debug, Clone)]
pub struct L1Settlement {
    /// Connection for reads.
    pub provider: L1Provider,
    /// Addresses.
    pub contracts: L1Contracts,
    /// Sends commits, and nothing else (nodes refuse accounts that mix blob and other transactions).
    pub commit: L1Sender,
    /// Sends proofs.
    pub prove: L1Sender,
    /// Sends executions.
    pub execute: L1Sender,
    /// Proofs beside blobs as L1 took them at start. The sender of commits converts what it is given, should L1 change its mind.
    pub sidecar_form: SidecarForm,
    /// L1 block before which the chain did not exist.
    pub floor: u64,
}

impl L1Settlement {
    const fn sender(&self, operation: Operation) -> &L1Sender {
        match operation {
            Operation::Commit => &self.commit,
            Operation::Prove => &self.prove,
            Operation::Execute => &self.execute,
        }
    }

    /// Whether L1 counts the batches as done already: a transaction of a previous process was mined meanwhile.
    async fn already_done(&self, operation: Operation, to: u64) -> bool {
        match read_counters(&self.provider, self.contracts.diamond, BlockId::latest()).await {
            Ok(counters) => {
                let count = match operation {
                    Operation::Commit => counters.committed,
                    Operation::Prove => counters.verified,
                    Operation::Execute => counters.executed,
                };
                count >= to
            }
            Err(error) => {
                warn!(target: "batcher", %error, "can't read batch counters");
                false
            }
        }
    }
}

impl SettlementLayer for L1Settlement {
    fn diamond(&self) -> Address {
        self.contracts.diamond
    }

    fn sidecar_form(&self) -> SidecarForm {
        self.sidecar_form
    }

    async fn execute(&self, command: Command) -> Result<Option<B256>, SettlementError> {
        let Command { operation, from, to, calldata, sidecar } = command;
        let label: &'static str = operation.into();
        loop {
            let request = L1TxRequest {
                label,
                to: self.contracts.validator_timelock,
                input: calldata.clone(),
                value: U256::ZERO,
                sidecar: sidecar.clone(),
            };
            let sent = match self.sender(operation).send(request).await {
                Ok(pending) => pending.receipt().await,
                Err(error) => Err(error),
            };
            let error = match sent {
                Ok(receipt) => return Ok(Some(receipt.transaction_hash)),
                Err(error) => error,
            };
            if matches!(
                error,
                SendError::WouldRevert { .. }
                    | SendError::Reverted { .. }
                    | SendError::NonceTaken { .. }
            ) && self.already_done(operation, to).await
            {
                info!(target: "batcher", %operation, from, to, %error, "L1 has this already");
                return Ok(None);
            }
            let reason = error.to_string();
            if reason.contains(TIME_NOT_REACHED) {
                warn!(target: "batcher", %operation, from, to, reason, "L1 does not allow this yet, trying again");
                tokio::time::sleep(NOT_YET_PAUSE).await;
                continue;
            }
            return Err(SettlementError { operation, from, to, reason });
        }
    }

    async fn committed_batch(&self, batch: u64) -> eyre::Result<Option<KnownBatchInfo>> {
        let (provider, contracts) = (&self.provider, &self.contracts);
        let upgrades = UpgradeTxs::AppliedSince(self.floor);
        match relearn_batch(provider, contracts, None, batch, upgrades).await {
            Ok(found) => Ok(Some(KnownBatchInfo {
                stored: found.stored,
                first_block: found.commit.first_block_number,
                last_block: found.commit.last_block_number,
                da_commitment_scheme: found.commit.da_commitment_scheme,
                commit_tx: Some(found.l1_tx),
            })),
            Err(BatchError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn stored_batch_hash(&self, batch: u64) -> eyre::Result<B256> {
        loop {
            match stored_batch_hash(&self.provider, self.contracts.diamond, batch).await {
                Err(error) if error.is_transient() => {
                    warn!(target: "batcher", batch, %error, "can't read the stored batch, trying again");
                    tokio::time::sleep(UNREACHABLE_PAUSE).await;
                }
                result => {
                    return result.wrap_err_with(|| format!("can't read stored batch {batch}"));
                }
            }
        }
    }
}
