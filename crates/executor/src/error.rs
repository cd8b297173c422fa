//! Errors of the executor.

use alloy_primitives::{Address, B256};

/// Failure of the state that the executor reads from.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// An account record is in the state but its 124-byte encoding is not available.
    #[error("preimage {hash} of account {address} is missing")]
    MissingAccount {
        /// Account whose record was read.
        address: Address,
        /// Hash stored in the state.
        hash: B256,
    },
    /// A bytecode is referenced by an account but its preimage is not available.
    #[error("bytecode preimage {hash} is missing")]
    MissingBytecode {
        /// Internal (blake2s) bytecode hash.
        hash: B256,
    },
    /// A preimage does not have the form its account record promises.
    #[error("preimage {hash} is malformed: {reason}")]
    MalformedPreimage {
        /// Hash under which it was served.
        hash: B256,
        /// What is wrong.
        reason: &'static str,
    },
    /// The backing store failed.
    #[error("state backend failed: {0}")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A block or a simulation could not be executed at all. No result exists; nothing may be committed.
#[derive(Debug, thiserror::Error)]
pub enum ExecutionError {
    /// Reading the state failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The block context is outside what the protocol can represent.
    #[error("block {block_number} context is invalid: {reason}")]
    InvalidContext {
        /// Number of the block.
        block_number: u64,
        /// Which bound is violated.
        reason: &'static str,
    },
    /// The rules of the block are not known.
    #[error("block {block_number} has unknown execution version {execution_version}")]
    UnknownExecutionVersion {
        /// Number of the block.
        block_number: u64,
        /// Version its context names.
        execution_version: u32,
    },
    /// A precompile that a node added or wrapped failed in a way that is no result of a transaction.
    #[error("precompile {address} failed in block {block_number}: {message}")]
    Precompile {
        /// Number of the block.
        block_number: u64,
        /// Address of the precompile.
        address: Address,
        /// What it said.
        message: String,
    },
    /// A transaction cannot be processed and the protocol has no rejection for it.
    #[error("transaction {tx_hash} in block {block_number} aborts the block: {reason}")]
    Transaction {
        /// Number of the block.
        block_number: u64,
        /// Hash of the transaction (zero if it could not be decoded).
        tx_hash: B256,
        /// What went wrong.
        reason: AbortReason,
    },
}

/// Conditions inside a transaction that the protocol treats as an internal error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AbortReason {
    /// Zero-length transaction bytes.
    #[error("empty transaction bytes")]
    EmptyTransaction,
    /// The refund recipient word of an L1 transaction does not fit an address.
    #[error("refund recipient exceeds 160 bits")]
    RefundRecipientTooLarge,
    /// A protocol upgrade transaction reverted.
    #[error("upgrade transaction failed")]
    UpgradeFailed,
    /// The L1 deposit does not cover value and fee.
    #[error("deposit is lower than value plus maximal fee")]
    DepositTooLow,
    /// A balance would exceed 2^256-1.
    #[error("balance of {0} overflows")]
    BalanceOverflow(Address),
    /// A balance is too small for an amount the protocol guarantees to be there.
    #[error("balance of {0} underflows")]
    BalanceUnderflow(Address),
    /// Prices multiply past u64.
    #[error("native resource arithmetic overflows")]
    NativeOverflow,
    /// The gas limit of an L1 transaction does not fit the internal unit.
    #[error("gas limit overflows the internal unit")]
    GasOverflow,
    /// The context prices native at zero.
    #[error("native price is zero")]
    ZeroNativePrice,
    /// A force deployment names a bytecode whose preimage is unknown or has another length.
    #[error("force deployment of unknown bytecode {0}")]
    UnknownForceDeployment(B256),
    /// A fee or deposit exceeds 256 bits.
    #[error("fee arithmetic overflows")]
    FeeOverflow,
    /// More transactions in one block than a log can number.
    #[error("too many transactions in one block")]
    TooManyTransactions,
    /// A bounded simulation would have gone beyond its bound (see [`simulate_bounded`](crate::ZkEvmConfig::simulate_bounded)).
    #[error("simulation goes beyond its bound")]
    BeyondBound,
}

/// Why execution of frames stopped without an EVM result.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The frame that charged has not enough gas.
    OutOfGas,
    /// Native (or return memory) exhausted: the whole transaction reverts.
    OutOfNative,
    /// No result is possible.
    Fatal(Box<Fatal>),
}

/// Payload of [`Halt::Fatal`].
#[derive(Debug)]
pub(crate) enum Fatal {
    State(StateError),
    Abort(AbortReason),
    Precompile(Address, String),
}

impl From<StateError> for Halt {
    fn from(error: StateError) -> Self {
        Self::Fatal(Box::new(Fatal::State(error)))
    }
}

impl From<AbortReason> for Halt {
    fn from(reason: AbortReason) -> Self {
        Self::Fatal(Box::new(Fatal::Abort(reason)))
    }
}
