//! Host of the interpreter: environment, journal and what an instruction leaves for the frame loop.

use crate::{
    env::BlockEnv,
    error::{Halt, StateError},
    journal::Journal,
    state::StateView,
};
use alloy_primitives::{Address, Bytes, U256};
use core::ops::Range;
use revm::interpreter::{CallInput, InstructionResult};

/// How a frame is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallKind {
    /// CALL or a transaction.
    Call,
    /// CALLCODE.
    CallCode,
    /// DELEGATECALL.
    DelegateCall,
    /// STATICCALL.
    StaticCall,
    /// CREATE, CREATE2 or a creation transaction; the flag tells CREATE2.
    Create(Option<U256>),
}

impl CallKind {
    pub(crate) const fn is_create(self) -> bool {
        matches!(self, Self::Create(_))
    }
}

/// A call or creation that an instruction (or a transaction) asks for.
#[derive(Debug)]
pub(crate) struct CallRequest {
    pub(crate) kind: CallKind,
    pub(crate) is_static: bool,
    /// Account whose code asks.
    pub(crate) caller: Address,
    /// Account that called the asking frame (DELEGATECALL keeps it).
    pub(crate) callers_caller: Address,
    /// Account whose code is to run; the new address for a creation.
    pub(crate) callee: Address,
    pub(crate) value: U256,
    /// Gas the caller wants to pass at most.
    pub(crate) gas: u64,
    /// Calldata, or initialisation code.
    pub(crate) input: CallInput,
    /// Where the caller wants the return data.
    pub(crate) return_range: Range<usize>,
}

/// Transaction values visible to instructions.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TxEnv {
    pub(crate) origin: Address,
    pub(crate) gas_price: U256,
}

/// Host of the interpreter.
#[derive(Debug)]
pub(crate) struct Vm<S> {
    pub(crate) env: BlockEnv,
    pub(crate) tx: TxEnv,
    pub(crate) journal: Journal<S>,
    /// Set by CALL and CREATE together with `InstructionResult::Suspend`.
    pub(crate) request: Option<CallRequest>,
    /// Memory range that RETURN or REVERT named.
    pub(crate) output: Range<usize>,
    /// Set together with `InstructionResult::FatalExternalError`.
    pub(crate) halt: Option<Halt>,
    /// The running frame executes initialisation code.
    pub(crate) in_constructor: bool,
    /// Amount, and source, of the last SELFDESTRUCT (for inspectors).
    pub(crate) last_selfdestruct: Option<(Address, Address, U256)>,
}

impl<S> Vm<S> {
    pub(crate) const fn new(env: BlockEnv, journal: Journal<S>) -> Self {
        Self {
            env,
            tx: TxEnv { origin: Address::ZERO, gas_price: U256::ZERO },
            journal,
            request: None,
            output: 0..0,
            halt: None,
            in_constructor: false,
            last_selfdestruct: None,
        }
    }

    /// Maps a halt to the instruction result that ends the frame, keeping what does not fit in it.
    #[cold]
    pub(crate) fn fail(&mut self, halt: Halt) -> InstructionResult {
        match halt {
            Halt::OutOfGas => InstructionResult::OutOfGas,
            other => {
                self.halt = Some(other);
                InstructionResult::FatalExternalError
            }
        }
    }
}

impl<S: StateView> Vm<S> {
    /// BLOCKHASH: zero unless `number` is one of the 256 predecessors.
    pub(crate) fn block_hash(&mut self, number: u64) -> Result<U256, StateError> {
        let Some(age @ 1..=256) = self.env.number.checked_sub(number) else {
            return Ok(U256::ZERO);
        };
        match &self.env.block_hashes {
            Some(hashes) => Ok(hashes[256 - age as usize]),
            None => Ok(self.journal.state.block_hash(number)?.unwrap_or_default().into()),
        }
    }
}

/// Outcome of a frame or hook, seen from its caller.
#[derive(Debug, Clone)]
pub(crate) struct CallResult {
    pub(crate) result: InstructionResult,
    /// Gas given back to the caller.
    pub(crate) gas_left: u64,
    pub(crate) output: Bytes,
}

impl CallResult {
    pub(crate) const fn failed(result: InstructionResult, gas_left: u64) -> Self {
        Self { result, gas_left, output: Bytes::new() }
    }

    pub(crate) const fn success(gas_left: u64, output: Bytes) -> Self {
        Self { result: InstructionResult::Return, gas_left, output }
    }

    pub(crate) const fn is_ok(&self) -> bool {
        self.result.is_ok()
    }
}
