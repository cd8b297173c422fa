//! Processing of one transaction: validation, fees, execution, refunds.

mod authorization;
mod l1;
mod l2;

use crate::{
    StateView,
    error::{AbortReason, Fatal, Halt},
    frame::Runner,
    native::{MAX_NATIVE_COMPUTATIONAL, NativeMeter},
    trace::Tracer,
    tx::{TxKind, VmTx},
};
use alloy_primitives::{Address, Bytes, U256};
use revm::interpreter::InstructionResult;
use zksync_os_interface::error::InvalidTransaction;

/// How transactions are checked and priced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mode {
    /// Simulation: no nonce, code or signature check, fixed native price.
    pub(crate) simulate: bool,
    /// Verify signatures instead of trusting the given signer.
    pub(crate) verify_signatures: bool,
    /// Native of computation after which a run is given up with [`AbortReason::BeyondBound`].
    pub(crate) native_bound: Option<u64>,
}

impl Mode {
    fn meter(&self, limit: u64) -> NativeMeter {
        match self.native_bound {
            Some(bound) => NativeMeter::bounded(limit, bound),
            None => NativeMeter::new(limit),
        }
    }
}

/// Native per gas of simulations.
const SIMULATION_NATIVE_PER_GAS: u64 = 100;

/// Outcome of a processed transaction.
#[derive(Debug, Clone)]
pub(crate) struct Processed {
    pub(crate) success: bool,
    /// How the outermost frame ended, or why the protocol undid it.
    pub(crate) end: InstructionResult,
    pub(crate) output: Bytes,
    pub(crate) created: Option<Address>,
    pub(crate) gas_used: u64,
    pub(crate) gas_refunded: u64,
    pub(crate) computational_native_used: u64,
    pub(crate) native_used: u64,
    pub(crate) pubdata_used: u64,
}

/// Why a transaction has no outcome.
#[derive(Debug)]
pub(crate) enum Rejection {
    /// The transaction is not part of the block.
    Invalid(InvalidTransaction),
    /// The block is void.
    Fatal(Box<Fatal>),
}

impl From<InvalidTransaction> for Rejection {
    fn from(error: InvalidTransaction) -> Self {
        Self::Invalid(error)
    }
}

impl From<AbortReason> for Rejection {
    fn from(reason: AbortReason) -> Self {
        Self::Fatal(Box::new(Fatal::Abort(reason)))
    }
}

impl From<crate::error::StateError> for Rejection {
    fn from(error: crate::error::StateError) -> Self {
        Self::Fatal(Box::new(Fatal::State(error)))
    }
}

/// Halts before execution reject the transaction.
impl From<Halt> for Rejection {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::OutOfGas => Self::Invalid(InvalidTransaction::OutOfGasDuringValidation),
            Halt::OutOfNative => {
                Self::Invalid(InvalidTransaction::OutOfNativeResourcesDuringValidation)
            }
            Halt::Fatal(fatal) => Self::Fatal(fatal),
        }
    }
}

/// Native budget of a transaction.
#[derive(Debug, Clone, Copy)]
struct Budget {
    /// Native per gas; zero means that native is not limited.
    per_gas: u64,
    /// Native per pubdata byte.
    per_pubdata: u64,
    /// `gas_limit * per_gas`, saturated.
    total: u64,
    /// Part of the budget that computation may use, before any charge.
    main: u64,
    /// Part that can pay for pubdata only.
    withheld: u64,
}

impl Budget {
    /// Splits the budget after paying for the intrinsic pubdata; `None` if it cannot.
    fn new(
        gas_limit: u64,
        per_gas: u64,
        per_pubdata: u64,
        intrinsic_pubdata: u64,
    ) -> Result<(Self, bool), AbortReason> {
        let total = gas_limit.saturating_mul(per_gas);
        let limit = if per_gas == 0 { u64::MAX } else { total };
        let cost = per_pubdata.checked_mul(intrinsic_pubdata).ok_or(AbortReason::NativeOverflow)?;
        let (rest, enough) = match limit.checked_sub(cost) {
            Some(rest) => (rest, true),
            None => (0, false),
        };
        let main = rest.min(MAX_NATIVE_COMPUTATIONAL);
        Ok((Self { per_gas, per_pubdata, total, main, withheld: rest - main }, enough))
    }

    fn pubdata_cost(&self, bytes: u64) -> Result<u64, AbortReason> {
        self.per_pubdata.checked_mul(bytes).ok_or(AbortReason::NativeOverflow)
    }

    /// Gas used and EVM refund, with "delta gas": native beyond what gas paid for is charged as gas.
    fn settle(&self, gas_limit: u64, gas_left: u64, refund: i64, native_left: u64) -> Settled {
        let mut gas_used = gas_limit - gas_left.min(gas_limit);
        let refunded = u64::try_from(refund).unwrap_or(0).min(gas_used / 5);
        gas_used -= refunded;
        let native_used = self.total.saturating_sub(native_left);
        if let Some(native_gas) = native_used.checked_div(self.per_gas)
            && native_gas > gas_used
        {
            gas_used = native_gas;
        }
        Settled { gas_used, refunded, native_used }
    }
}

struct Settled {
    gas_used: u64,
    refunded: u64,
    native_used: u64,
}

/// Processes a transaction on the journal's current attempt. `included` counts transactions before it.
pub(crate) fn process<S: StateView, T: Tracer<S>>(
    runner: &mut Runner<S>,
    tx: &VmTx<'_>,
    mode: Mode,
    included: usize,
    tracer: &mut T,
) -> Result<Processed, Rejection> {
    match tx.kind {
        TxKind::L2 => l2::process(runner, tx, mode, tracer),
        TxKind::L1Priority => l1::process(runner, tx, mode, tracer),
        TxKind::Upgrade if included != 0 => Err(InvalidTransaction::UpgradeTxNotFirst.into()),
        TxKind::Upgrade => l1::process(runner, tx, mode, tracer),
    }
}

/// Credits an account outside of any metering.
fn pay<S: StateView>(runner: &mut Runner<S>, to: Address, amount: U256) -> Result<(), Rejection> {
    let journal = runner.journal();
    let id = journal.warm_free(to)?;
    journal.credit(id, amount)?;
    Ok(())
}
