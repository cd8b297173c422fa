//! Errors in the form of alloy-evm.

use crate::{ExecutionError, StateError};
use alloy_evm::InvalidTxError;
use core::fmt;
use revm::context::{
    DBErrorMarker,
    result::{AnyError, EVMError, InvalidTransaction as RevmInvalidTransaction},
};
use zksync_os_interface::error::InvalidTransaction;

impl DBErrorMarker for StateError {}

/// Rejection of a transaction, with revm's name for it where revm has one.
#[derive(Debug, Clone)]
pub struct ZkInvalidTransaction(Box<Names>);

#[derive(Debug, Clone)]
struct Names {
    error: InvalidTransaction,
    revm: Option<RevmInvalidTransaction>,
}

impl ZkInvalidTransaction {
    /// The protocol's rejection.
    pub fn inner(&self) -> &InvalidTransaction {
        &self.0.error
    }

    /// The protocol's rejection.
    pub fn into_inner(self) -> InvalidTransaction {
        self.0.error
    }
}

impl From<InvalidTransaction> for ZkInvalidTransaction {
    fn from(error: InvalidTransaction) -> Self {
        use InvalidTransaction as Z;
        use RevmInvalidTransaction as R;
        let revm = match &error {
            Z::PriorityFeeGreaterThanMaxFee => Some(R::PriorityFeeGreaterThanMaxFee),
            Z::BaseFeeGreaterThanMaxFee | Z::GasPriceLessThanBasefee => {
                Some(R::GasPriceLessThanBasefee)
            }
            Z::CallerGasLimitMoreThanBlock => Some(R::CallerGasLimitMoreThanBlock),
            Z::RejectCallerWithCode => Some(R::RejectCallerWithCode),
            Z::LackOfFundForMaxFee { fee, balance } => {
                Some(R::LackOfFundForMaxFee { fee: Box::new(*fee), balance: Box::new(*balance) })
            }
            Z::OverflowPaymentInTransaction => Some(R::OverflowPaymentInTransaction),
            Z::NonceOverflowInTransaction => Some(R::NonceOverflowInTransaction),
            Z::NonceTooHigh { tx, state } => Some(R::NonceTooHigh { tx: *tx, state: *state }),
            Z::NonceTooLow { tx, state } => Some(R::NonceTooLow { tx: *tx, state: *state }),
            Z::CreateInitCodeSizeLimit => Some(R::CreateInitCodeSizeLimit),
            Z::InvalidChainId => Some(R::InvalidChainId),
            Z::AuthListIsEmpty => Some(R::EmptyAuthorizationList),
            _ => None,
        };
        Self(Box::new(Names { error, revm }))
    }
}

impl fmt::Display for ZkInvalidTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.error.fmt(f)
    }
}

impl core::error::Error for ZkInvalidTransaction {}

impl InvalidTxError for ZkInvalidTransaction {
    fn as_invalid_tx_err(&self) -> Option<&RevmInvalidTransaction> {
        self.0.revm.as_ref()
    }
}

/// Error of a transaction: a rejection, a failure of the database, or no result at all.
pub type ZkEvmError<E> = EVMError<E, ZkInvalidTransaction>;

pub(super) fn rejection<E>(error: InvalidTransaction) -> ZkEvmError<E> {
    EVMError::Transaction(error.into())
}

/// An execution error; one that came from the database is given back as it was.
pub(super) fn fatal<E: core::error::Error + Send + Sync + 'static>(
    error: ExecutionError,
) -> ZkEvmError<E> {
    match error {
        ExecutionError::State(StateError::Backend(error)) => match error.downcast::<E>() {
            Ok(error) => EVMError::Database(*error),
            Err(error) => EVMError::CustomAny(AnyError::new(StateError::Backend(error))),
        },
        other => EVMError::CustomAny(AnyError::new(other)),
    }
}
