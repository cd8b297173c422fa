//! One error enum per namespace, converted to a JSON-RPC error object in one place each.
//!
//! | code | when |
//! |---|---|
//! | 3 | execution reverted; `data` is the return data |
//! | 4 | `eth_sendRawTransactionSync` ran out of time; `data` is the transaction hash |
//! | 4444 | the state or history asked for is not stored any more |
//! | -32000 | the request is well formed but can't be satisfied: invalid transaction, halted execution, pool rejection, unknown filter, failed script |
//! | -32001 | unknown block |
//! | -32003 | the pool is full |
//! | -32004 | the method exists in Ethereum but not here |
//! | -32005 | a limit that protects the node: too many requests wait, or a trace is too large |
//! | -32602 | wrong parameters: conflicting or impossible values, undecodable transaction, too wide a range |
//! | -32603 | internal failure; the cause is logged and not returned |
//! | -38010 to -38026 | `eth_simulateV1`, as its specification lists them |

use crate::SettlementReadError;
use alloy_eips::BlockId;
use alloy_primitives::{B256, Bytes, U256, hex};
use alloy_rpc_types_eth::{FilterId, error::EthRpcErrorCode};
use alloy_sol_types::{Panic, PanicKind, Revert, SolError};
use jsonrpsee::types::{
    ErrorObjectOwned,
    error::{INTERNAL_ERROR_CODE, INVALID_PARAMS_CODE},
};
use revm::interpreter::InstructionResult;
use std::time::Duration;
use tracing::error;
use zkos_executor::{AbortReason, ExecutionError};
use zkos_storage_api::ProviderError;
use zksync_os_interface::error::InvalidTransaction;

/// EIP-1474: method not supported.
const METHOD_NOT_SUPPORTED_CODE: i32 = -32004;

/// EIP-1474: limit exceeded.
const LIMIT_EXCEEDED_CODE: i32 = -32005;

/// Result of an `eth_` operation.
pub type EthResult<T> = Result<T, EthApiError>;

/// Errors of `eth_`, `debug_`, `net_`, `web3_` and `txpool_`.
#[derive(Debug, thiserror::Error)]
pub enum EthApiError {
    /// Storage could not answer.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// There is no such block.
    #[error("block not found: {0}")]
    BlockNotFound(BlockId),
    /// There is no such transaction.
    #[error("transaction not found")]
    TransactionNotFound,
    /// Execution reverted.
    #[error("{}", revert_text(.0))]
    Reverted(Bytes),
    /// Execution ended neither in success nor in a revert: out of gas, an invalid opcode and the like.
    #[error("{}", halt_text(*.0))]
    Halted(InstructionResult),
    /// The state transition has no result for the transaction; blocks never hold such a one.
    #[error("transaction can't be executed: {0}")]
    Unexecutable(AbortReason),
    /// The state transition does not accept the transaction.
    #[error("{}", invalid_transaction_text(.0))]
    InvalidTransaction(InvalidTransaction),
    /// No gas limit up to the given one suffices.
    #[error("gas required exceeds allowance ({0})")]
    GasRequiredExceedsAllowance(u64),
    /// The balance does not cover value and fees.
    #[error("insufficient funds for gas * price + value: have {balance} want {cost}")]
    InsufficientFunds {
        /// What the transaction costs at least, wei.
        cost: U256,
        /// What the sender has, wei.
        balance: U256,
    },
    /// Parameters contradict each other or are out of bounds.
    #[error("{0}")]
    InvalidParams(String),
    /// Not the encoding of a transaction that users may send.
    #[error("failed to decode signed transaction")]
    FailedToDecodeSignedTransaction,
    /// The signature has no signer.
    #[error("invalid transaction signature")]
    InvalidTransactionSignature,
    /// The pool refuses the transaction; the text says why.
    #[error("{0}")]
    Pool(String),
    /// The pool is full.
    #[error("txpool is full")]
    TxPoolOverflow,
    /// The transaction was not included in time.
    #[error("the transaction was added to the mempool but was not processed within {}ms", .duration.as_millis())]
    TransactionConfirmationTimeout {
        /// Hash of the transaction.
        hash: B256,
        /// How long was waited.
        duration: Duration,
    },
    /// The node has no keys.
    #[error("node has no signer accounts")]
    NoSigner,
    /// The method can't exist here.
    #[error("{0}")]
    Unsupported(&'static str),
    /// A tracer would record more than a request may hold.
    #[error("trace is too large, disable stack and memory or use another tracer")]
    TraceTooLarge,
    /// The time that the caller gave a trace is over.
    #[error("execution timeout")]
    TraceTimeout,
    /// A JavaScript tracer failed; the text is its own.
    #[error("{0}")]
    JsTracer(String),
    /// Too many requests of this kind wait already.
    #[error("too many requests, try again later")]
    TooManyRequests,
    /// The state before the block is not stored any more.
    #[error("historical block {0} is not available")]
    HistoryNotAvailable(u64),
    /// An imagined block is wrong.
    #[error("{message}")]
    Simulation {
        /// Code of the specification of `eth_simulateV1`.
        code: i32,
        /// What is wrong.
        message: String,
    },
    /// Anything that is not the caller's fault.
    #[error("internal error: {0}")]
    Internal(String),
}

impl EthApiError {
    /// Wrong parameters.
    pub fn invalid_params(message: impl Into<String>) -> Self {
        Self::InvalidParams(message.into())
    }

    /// Internal failure.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        Self::Internal(cause.to_string())
    }
}

impl From<ExecutionError> for EthApiError {
    fn from(error: ExecutionError) -> Self {
        match error {
            ExecutionError::Transaction { reason, .. } => Self::Unexecutable(reason),
            other => Self::internal(other),
        }
    }
}

impl From<EthApiError> for ErrorObjectOwned {
    fn from(error: EthApiError) -> Self {
        use EthApiError as E;
        let message = error.to_string();
        let plain = |code: i32| Self::owned(code, message.clone(), None::<()>);
        match &error {
            E::Provider(error) => provider_error(error),
            E::BlockNotFound(_) | E::TransactionNotFound => {
                plain(EthRpcErrorCode::ResourceNotFound.code())
            }
            E::Reverted(output) => Self::owned(
                EthRpcErrorCode::ExecutionError.code(),
                message,
                (!output.is_empty()).then(|| output.clone()),
            ),
            E::InvalidTransaction(_)
            | E::Halted(_)
            | E::Unexecutable(_)
            | E::GasRequiredExceedsAllowance(_)
            | E::InsufficientFunds { .. }
            | E::Pool(_)
            | E::TraceTimeout
            | E::JsTracer(_)
            | E::NoSigner => plain(EthRpcErrorCode::InvalidInput.code()),
            E::InvalidParams(_)
            | E::FailedToDecodeSignedTransaction
            | E::InvalidTransactionSignature => plain(INVALID_PARAMS_CODE),
            E::TxPoolOverflow => plain(EthRpcErrorCode::TransactionRejected.code()),
            E::TransactionConfirmationTimeout { hash, .. } => Self::owned(
                EthRpcErrorCode::TransactionConfirmationTimeout.code(),
                message,
                Some(hash),
            ),
            E::Unsupported(_) => plain(METHOD_NOT_SUPPORTED_CODE),
            E::TraceTooLarge | E::TooManyRequests => plain(LIMIT_EXCEEDED_CODE),
            E::HistoryNotAvailable(_) => plain(EthRpcErrorCode::PrunedHistory.code()),
            E::Simulation { code, .. } => plain(*code),
            E::Internal(cause) => internal_error(cause),
        }
    }
}

fn provider_error(error: &ProviderError) -> ErrorObjectOwned {
    match error {
        ProviderError::BlockNotFound(id) => ErrorObjectOwned::owned(
            EthRpcErrorCode::ResourceNotFound.code(),
            format!("block not found: {id}"),
            None::<()>,
        ),
        ProviderError::StateNotAvailable { number, first, .. } if number < first => {
            ErrorObjectOwned::owned(
                EthRpcErrorCode::PrunedHistory.code(),
                format!("historical block {number} is not available"),
                None::<()>,
            )
        }
        other => internal_error(other),
    }
}

fn internal_error(cause: impl std::fmt::Display) -> ErrorObjectOwned {
    error!(target: "rpc", %cause, "request failed");
    ErrorObjectOwned::owned(INTERNAL_ERROR_CODE, "internal error", None::<()>)
}

/// Errors of filters and log queries.
#[derive(Debug, thiserror::Error)]
pub enum EthFilterError {
    /// No filter of this id, or it was not polled for too long.
    #[error("filter not found")]
    FilterNotFound(FilterId),
    /// The filter is of another kind.
    #[error("filter is not a log filter")]
    NotALogFilter,
    /// `fromBlock` is above `toBlock`.
    #[error("invalid block range params")]
    InvalidBlockRange,
    /// The range is too wide.
    #[error("query exceeds max block range {0}")]
    QueryExceedsMaxBlocks(u64),
    /// Too many logs match.
    #[error("query exceeds max results {max_logs}, retry with the range {from_block}-{to_block}")]
    QueryExceedsMaxResults {
        /// Limit.
        max_logs: usize,
        /// First block of the range asked for.
        from_block: u64,
        /// Last block up to which the result would have fitted.
        to_block: u64,
    },
    /// Too many filters are installed.
    #[error("too many filters installed (limit {0})")]
    TooManyFilters(usize),
    /// As in the rest of `eth_`.
    #[error(transparent)]
    Eth(#[from] EthApiError),
}

impl From<ProviderError> for EthFilterError {
    fn from(error: ProviderError) -> Self {
        Self::Eth(error.into())
    }
}

impl From<EthFilterError> for ErrorObjectOwned {
    fn from(error: EthFilterError) -> Self {
        use EthFilterError as E;
        let code = match error {
            E::Eth(error) => return error.into(),
            E::FilterNotFound(_) | E::TooManyFilters(_) => EthRpcErrorCode::InvalidInput.code(),
            E::NotALogFilter
            | E::InvalidBlockRange
            | E::QueryExceedsMaxBlocks(_)
            | E::QueryExceedsMaxResults { .. } => INVALID_PARAMS_CODE,
        };
        Self::owned(code, error.to_string(), None::<()>)
    }
}

/// Errors of `zks_`.
#[derive(Debug, thiserror::Error)]
pub enum ZksApiError {
    /// The settlement layer was not discovered yet, or the node does not settle.
    #[error("bridgehub address is not known")]
    BridgehubUnknown,
    /// The chain has no such contract, or it was not discovered yet.
    #[error("bytecode supplier address is not known")]
    BytecodeSupplierUnknown,
    /// Nobody tells this node of batches.
    #[error("this node does not follow batches")]
    NoBatches,
    /// The node keeps no state tree.
    #[error("this node has no state tree")]
    NoStateTree,
    /// The block of the transaction is in no batch yet.
    #[error("transaction has not been included in an L1 batch yet")]
    NotBatched,
    /// L1 would refuse the proof.
    #[error("L1 batch containing the transaction has not been executed yet")]
    NotExecuted,
    /// The transaction has fewer logs.
    #[error(
        "provided L2->L1 log index ({index}) does not exist; there are only {count} L2->L1 logs in the transaction"
    )]
    NoSuchLog {
        /// Index asked for.
        index: usize,
        /// Number of logs.
        count: usize,
    },
    /// Batches or tree could not be read.
    #[error(transparent)]
    Settlement(#[from] SettlementReadError),
    /// As in `eth_`.
    #[error(transparent)]
    Eth(#[from] EthApiError),
}

impl From<ZksApiError> for ErrorObjectOwned {
    fn from(error: ZksApiError) -> Self {
        use ZksApiError as E;
        let code = match &error {
            E::BridgehubUnknown | E::BytecodeSupplierUnknown => {
                EthRpcErrorCode::ResourceNotFound.code()
            }
            E::NoBatches | E::NoStateTree => METHOD_NOT_SUPPORTED_CODE,
            E::NotBatched | E::NotExecuted => EthRpcErrorCode::InvalidInput.code(),
            E::NoSuchLog { .. } => INVALID_PARAMS_CODE,
            E::Settlement(cause) => return internal_error(cause),
            E::Eth(_) => 0,
        };
        match error {
            E::Eth(error) => error.into(),
            other => Self::owned(code, other.to_string(), None::<()>),
        }
    }
}

/// Whether more gas could have helped.
pub(crate) const fn is_out_of_gas(end: InstructionResult) -> bool {
    matches!(
        end,
        InstructionResult::OutOfGas
            | InstructionResult::MemoryOOG
            | InstructionResult::MemoryLimitOOG
            | InstructionResult::PrecompileOOG
            | InstructionResult::InvalidOperandOOG
            | InstructionResult::ReentrancySentryOOG
    )
}

/// Message of a halt, in geth's words where it has some.
pub(crate) fn halt_text(end: InstructionResult) -> String {
    let text = match end {
        _ if is_out_of_gas(end) => "out of gas",
        InstructionResult::OpcodeNotFound
        | InstructionResult::NotActivated
        | InstructionResult::InvalidFEOpcode => "invalid opcode",
        InstructionResult::InvalidJump => "invalid jump destination",
        InstructionResult::StackUnderflow => "stack underflow",
        InstructionResult::StackOverflow => "stack limit reached 1024",
        InstructionResult::OutOfOffset => "return data out of bounds",
        InstructionResult::OutOfFunds => "insufficient balance for transfer",
        InstructionResult::CallTooDeep => "max call depth exceeded",
        InstructionResult::CreateCollision => "contract address collision",
        InstructionResult::CreateContractSizeLimit => "max code size exceeded",
        InstructionResult::CreateInitCodeSizeLimit => "max initcode size exceeded",
        InstructionResult::CreateContractStartingWithEF => "invalid code: must not begin with 0xef",
        InstructionResult::StateChangeDuringStaticCall
        | InstructionResult::CallNotAllowedInsideStatic => "write protection",
        other => return format!("execution failed: {other:?}"),
    };
    text.to_owned()
}

/// Message of an execution that did not succeed.
pub(crate) fn end_text(end: InstructionResult, output: &[u8]) -> String {
    if end == InstructionResult::Revert { revert_text(output) } else { halt_text(end) }
}

/// Message of a revert.
pub(crate) fn revert_text(output: &[u8]) -> String {
    let reason = revert_reason(output).map(|reason| format!(": {reason}"));
    format!("execution reverted{}", reason.unwrap_or_default())
}

/// Reason in revert data: the text of `Error(string)`, the meaning of `Panic(uint256)`, otherwise the data itself; `None` without data.
pub(crate) fn revert_reason(output: &[u8]) -> Option<String> {
    if output.is_empty() {
        return None;
    }
    if let Ok(revert) = Revert::abi_decode(output) {
        return Some(revert.reason);
    }
    if let Ok(panic) = Panic::abi_decode(output) {
        return Some(match panic.kind() {
            Some(PanicKind::Generic) | None => format!("panic: 0x{:x}", panic.code),
            Some(kind) => format!("panic: {kind} (0x{:x})", panic.code),
        });
    }
    // Texts without the ABI wrapping exist too (old compilers, hand-written code).
    if let Ok(text) = std::str::from_utf8(output)
        && text.chars().all(|c| !c.is_control())
    {
        return Some(text.to_owned());
    }
    Some(format!("custom error {}", hex::encode_prefixed(&output[..output.len().min(4)])))
}

/// Text of a rejection: geth's where geth has the case, so that clients recognise it.
pub(crate) fn invalid_transaction_text(error: &InvalidTransaction) -> String {
    use InvalidTransaction as I;
    match error {
        I::NonceTooLow { tx, state } => {
            format!("nonce too low: next nonce {state}, tx nonce {tx}")
        }
        I::NonceTooHigh { tx, state } => {
            format!("nonce too high: next nonce {state}, tx nonce {tx}")
        }
        I::NonceOverflowInTransaction => "nonce has max value".to_owned(),
        I::LackOfFundForMaxFee { fee, balance } => {
            format!("insufficient funds for gas * price + value: have {balance} want {fee}")
        }
        I::OverflowPaymentInTransaction => {
            "gas uint64 overflow: fee or value overflows 256 bits".to_owned()
        }
        I::BaseFeeGreaterThanMaxFee | I::GasPriceLessThanBasefee => {
            "max fee per gas less than block base fee".to_owned()
        }
        I::PriorityFeeGreaterThanMaxFee => {
            "max priority fee per gas higher than max fee per gas".to_owned()
        }
        I::CallGasCostMoreThanGasLimit
        | I::OutOfGasDuringValidation
        | I::EIP7623IntrinsicGasIsTooLow => "intrinsic gas too low".to_owned(),
        I::OutOfNativeResourcesDuringValidation => {
            "intrinsic gas too low: out of native resources during validation".to_owned()
        }
        I::CallerGasLimitMoreThanBlock
        | I::CallerGasLimitMoreThanTxLimit
        | I::CallerGasLimitTooHigh
        | I::BlockGasLimitReached => "exceeds block gas limit".to_owned(),
        I::RejectCallerWithCode => "sender not an eoa".to_owned(),
        I::CreateInitCodeSizeLimit => "max initcode size exceeded".to_owned(),
        I::InvalidChainId => "invalid chain id".to_owned(),
        I::AuthListIsEmpty => "EIP-7702 transaction with empty auth list".to_owned(),
        other => format!("invalid transaction: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_eips::BlockHashOrNumber;
    use jsonrpsee::types::ErrorObject;

    fn object(error: impl Into<ErrorObject<'static>>) -> (i32, String, Option<String>) {
        let object = error.into();
        let data = object.data().map(|data| data.get().to_owned());
        (object.code(), object.message().to_owned(), data)
    }

    #[test]
    fn codes() {
        let revert = Bytes::from(Revert::from("too poor").abi_encode());
        let (code, message, data) = object(EthApiError::Reverted(revert.clone()));
        assert_eq!((code, message.as_str()), (3, "execution reverted: too poor"));
        assert_eq!(data, Some(format!("\"{revert}\"")));
        assert_eq!(
            object(EthApiError::Reverted(Bytes::new())),
            (3, "execution reverted".into(), None)
        );
        let table: Vec<(EthApiError, i32, &str)> = vec![
            (EthApiError::BlockNotFound(BlockId::number(7)), -32001, "block not found: 0x7"),
            (
                ProviderError::BlockNotFound(BlockHashOrNumber::Number(7)).into(),
                -32001,
                "block not found: 7",
            ),
            (
                ProviderError::StateNotAvailable { number: 3, first: 5, last: 9 }.into(),
                4444,
                "historical block 3 is not available",
            ),
            (EthApiError::invalid_params("bad"), -32602, "bad"),
            (
                EthApiError::FailedToDecodeSignedTransaction,
                -32602,
                "failed to decode signed transaction",
            ),
            (EthApiError::InvalidTransactionSignature, -32602, "invalid transaction signature"),
            (EthApiError::Pool("already known".into()), -32000, "already known"),
            (EthApiError::TxPoolOverflow, -32003, "txpool is full"),
            (EthApiError::NoSigner, -32000, "node has no signer accounts"),
            (EthApiError::Unsupported("no"), -32004, "no"),
            (
                EthApiError::InvalidTransaction(InvalidTransaction::NonceTooLow {
                    tx: 1,
                    state: 2,
                }),
                -32000,
                "nonce too low: next nonce 2, tx nonce 1",
            ),
        ];
        for (error, code, message) in table {
            assert_eq!(object(error), (code, message.to_owned(), None));
        }
    }

    #[test]
    fn timeout_carries_the_hash() {
        let hash = B256::repeat_byte(7);
        let error = EthApiError::TransactionConfirmationTimeout {
            hash,
            duration: Duration::from_millis(2500),
        };
        let (code, message, data) = object(error);
        assert_eq!(code, 4);
        assert!(message.contains("2500ms"), "{message}");
        assert_eq!(data, Some(format!("\"{hash}\"")));
    }

    #[test]
    fn internal_causes_are_not_returned() {
        let secret = ProviderError::Database { database: "state", message: "/root/secret".into() };
        assert_eq!(object(EthApiError::from(secret)), (-32603, "internal error".into(), None));
        assert_eq!(
            object(EthApiError::internal("/root/secret")),
            (-32603, "internal error".into(), None)
        );
    }

    #[test]
    fn filter_codes() {
        assert_eq!(object(EthFilterError::FilterNotFound(FilterId::Num(1))).0, -32000);
        assert_eq!(object(EthFilterError::InvalidBlockRange).0, -32602);
        let (code, message, _) = object(EthFilterError::QueryExceedsMaxResults {
            max_logs: 20,
            from_block: 1,
            to_block: 4,
        });
        assert_eq!(code, -32602);
        assert_eq!(message, "query exceeds max results 20, retry with the range 1-4");
    }

    #[test]
    fn reasons() {
        let panic = Panic { code: U256::from(0x11) }.abi_encode();
        let reason = revert_reason(&panic).unwrap();
        assert!(reason.contains("0x11"), "{reason}");
        assert_eq!(revert_reason(&[]), None);
        assert_eq!(revert_reason(b"plain"), Some("plain".into()));
        assert_eq!(
            revert_reason(&[0xde, 0xad, 0xbe, 0xef, 0xff]),
            Some("custom error 0xdeadbeef".into())
        );
    }
}
