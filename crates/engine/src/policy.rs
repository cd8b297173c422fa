//! What becomes of a transaction that the state transition refuses, and why blocks end.

use zksync_os_interface::error::InvalidTransaction;

/// Why a block was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SealReason {
    /// The record has no more transactions.
    Replay,
    /// Block time is over.
    Timeout,
    /// As many transactions as a block may hold.
    TxCountLimit,
    /// The gas limit of the next transaction exceeds what the block has left.
    GasLimit,
    /// Gas used would exceed the limit of the block.
    GasVm,
    /// Native resource would exceed the limit of the block.
    NativeCycles,
    /// Pubdata would exceed the limit of the block.
    Pubdata,
    /// L2->L1 logs would exceed the limit of the block.
    L2ToL1Logs,
    /// Another limit of the state transition.
    Other,
    /// An upgrade transaction has a block of its own.
    Upgrade,
    /// The node is shutting down.
    Shutdown,
}

impl SealReason {
    /// Name in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Timeout => "timeout",
            Self::TxCountLimit => "tx_count_limit",
            Self::GasLimit => "gas_limit",
            Self::GasVm => "gas_vm",
            Self::NativeCycles => "native_cycles",
            Self::Pubdata => "pubdata",
            Self::L2ToL1Logs => "l2_to_l1_logs",
            Self::Other => "other_limit",
            Self::Upgrade => "upgrade",
            Self::Shutdown => "shutdown",
        }
    }
}

impl std::fmt::Display for SealReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What to do with a refused transaction of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// It can never become valid: out of the pool.
    Purge,
    /// It may become valid: stays in the pool, but its sender is left out of the running selection.
    Skip,
    /// It, or its replacement, is in an earlier block that the pool has not heard of yet.
    Stale,
    /// The block is full: seal it. In an empty block the transaction is purged instead.
    Seal(SealReason),
}

pub(crate) const fn policy(error: &InvalidTransaction) -> Policy {
    use InvalidTransaction as E;
    match error {
        E::GasPriceLessThanBasefee
        | E::BaseFeeGreaterThanMaxFee
        | E::LackOfFundForMaxFee { .. }
        | E::NonceTooHigh { .. }
        | E::BlobBaseFeeGreaterThanMaxFeePerBlobGas => Policy::Skip,
        E::NonceTooLow { .. } => Policy::Stale,
        E::BlockGasLimitReached => Policy::Seal(SealReason::GasVm),
        E::BlockNativeLimitReached => Policy::Seal(SealReason::NativeCycles),
        E::BlockPubdataLimitReached => Policy::Seal(SealReason::Pubdata),
        E::BlockL2ToL1LogsLimitReached => Policy::Seal(SealReason::L2ToL1Logs),
        E::BlockBlobGasLimitReached | E::OtherLimitReached(_) => Policy::Seal(SealReason::Other),
        _ => Policy::Purge,
    }
}

/// Name of an error without its values, for metric labels.
pub(crate) fn error_label(error: &InvalidTransaction) -> String {
    let text = format!("{error:?}");
    let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::U256;

    #[test]
    fn classes() {
        let poor = InvalidTransaction::LackOfFundForMaxFee { fee: U256::ONE, balance: U256::ZERO };
        assert_eq!(policy(&poor), Policy::Skip);
        assert_eq!(error_label(&poor), "LackOfFundForMaxFee");
        assert_eq!(policy(&InvalidTransaction::NonceTooLow { tx: 0, state: 1 }), Policy::Stale);
        assert_eq!(
            policy(&InvalidTransaction::BlockPubdataLimitReached),
            Policy::Seal(SealReason::Pubdata)
        );
        assert_eq!(policy(&InvalidTransaction::InvalidChainId), Policy::Purge);
        assert_eq!(
            error_label(&InvalidTransaction::OtherUnrecoverable("x y".into())),
            "OtherUnrecoverable"
        );
    }
}
