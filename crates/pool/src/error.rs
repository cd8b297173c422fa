//! Why the pool refuses a transaction. Texts are those users and tools know from Ethereum nodes.

use alloy_primitives::{Address, TxHash, U256};

/// Result of a pool operation.
pub type PoolResult<T> = Result<T, PoolError>;

/// A transaction was not added.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct PoolError {
    /// Hash of the transaction.
    pub hash: TxHash,
    /// Why.
    #[source]
    pub kind: PoolErrorKind,
}

impl PoolError {
    /// An error about a transaction.
    pub fn new(hash: TxHash, kind: impl Into<PoolErrorKind>) -> Self {
        Self { hash, kind: kind.into() }
    }

    /// True if the transaction as such is fine and may be accepted later.
    pub const fn is_temporary(&self) -> bool {
        matches!(
            self.kind,
            PoolErrorKind::SpammerExceededCapacity(_)
                | PoolErrorKind::DiscardedOnInsert
                | PoolErrorKind::Other(_)
        )
    }
}

/// Kinds of [`PoolError`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolErrorKind {
    /// The transaction is in the pool already.
    #[error("already known")]
    AlreadyImported,
    /// There is one of the same sender and nonce, and the fees are not raised enough.
    #[error("replacement transaction underpriced")]
    ReplacementUnderpriced,
    /// The sender has as many transactions in the pool as it may.
    #[error("sender {0} has too many transactions in the txpool")]
    SpammerExceededCapacity(Address),
    /// The pool is full and everything in it pays more.
    #[error("txpool is full")]
    DiscardedOnInsert,
    /// The transaction can't be executed, now or ever.
    #[error(transparent)]
    InvalidTransaction(#[from] InvalidPoolTransactionError),
    /// The transaction could not be checked.
    #[error("transaction could not be validated: {0}")]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

/// What is wrong with a transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPoolTransactionError {
    /// Blob transactions, and those that only L1 can make.
    #[error("transaction type not supported")]
    TxTypeNotSupported,
    /// Signed for another chain.
    #[error("invalid chain id for signer: have {have} want {want}")]
    ChainIdMismatch {
        /// In the transaction.
        have: u64,
        /// Of this chain.
        want: u64,
    },
    /// Encoded transaction above the limit.
    #[error("oversized data: transaction size {size}, limit {limit}")]
    OversizedData {
        /// Encoded bytes.
        size: usize,
        /// Limit in bytes.
        limit: usize,
    },
    /// Init code above the limit of EIP-3860.
    #[error("max initcode size exceeded: code size {size}, limit {limit}")]
    ExceedsMaxInitCodeSize {
        /// Bytes.
        size: usize,
        /// Limit in bytes.
        limit: usize,
    },
    /// Gas limit above that of a block.
    #[error("exceeds block gas limit: tx gas limit {tx}, block gas limit {block}")]
    ExceedsGasLimit {
        /// Of the transaction.
        tx: u64,
        /// Of a block.
        block: u64,
    },
    /// Gas limit below what the transaction costs before it runs.
    #[error("intrinsic gas too low: have {have}, want {want}")]
    IntrinsicGasTooLow {
        /// Gas limit.
        have: u64,
        /// Intrinsic gas.
        want: u64,
    },
    /// At the present fee parameters the gas limit does not pay for the native resource or the pubdata that every transaction needs.
    #[error("intrinsic gas too low: gas limit does not cover the native resource")]
    IntrinsicNativeTooLow,
    /// Tip above the fee cap.
    #[error(
        "max priority fee per gas higher than max fee per gas: maxPriorityFeePerGas {tip}, maxFeePerGas {fee_cap}"
    )]
    TipAboveFeeCap {
        /// Max priority fee per gas.
        tip: u128,
        /// Max fee per gas.
        fee_cap: u128,
    },
    /// Fee cap below the least that this node takes.
    #[error("transaction underpriced: maxFeePerGas {fee_cap}, minimum needed {minimum}")]
    Underpriced {
        /// Max fee per gas.
        fee_cap: u128,
        /// Least that is accepted.
        minimum: u128,
    },
    /// EIP-7702 transaction without authorizations.
    #[error("EIP-7702 transaction with empty auth list")]
    EmptyAuthorizationList,
    /// Signature with a high `s` (EIP-2).
    #[error("invalid transaction v, r, s values")]
    MalleableSignature,
    /// Nonce used already.
    #[error("nonce too low: next nonce {state}, tx nonce {tx}")]
    NonceTooLow {
        /// Of the transaction.
        tx: u64,
        /// Of the account.
        state: u64,
    },
    /// Nonce that no transaction can have (EIP-2681).
    #[error("nonce has max value")]
    NonceMax,
    /// The sender is a contract (EIP-3607).
    #[error("sender not an eoa: address {0}")]
    SenderNotEoa(Address),
    /// Fee cap times gas limit plus value does not fit 256 bits.
    #[error("insufficient funds for gas * price + value: cost overflows")]
    CostOverflow,
    /// The sender can't pay.
    #[error("insufficient funds for gas * price + value: have {balance} want {cost}")]
    InsufficientFunds {
        /// Balance in wei.
        balance: U256,
        /// Fee cap times gas limit plus value, in wei.
        cost: U256,
    },
    /// A rule of the operator.
    #[error("transaction rejected by policy: {0}")]
    Policy(String),
}
