//! Where ZKsync OS differs from Ethereum at the same level, and how a program shows that it got there.
//!
//! Not in the table, because the comparison takes them into account exactly: the coinbase takes the base fee too,
//! PREVRANDAO and BLOBBASEFEE are 1. Out of reach of the programs here: delta gas and out of native (native is
//! plentiful), delegated senders (EIP-7702 is not part of the level), system hooks, the shared heap of 128 MiB.

use alloy_primitives::{Address, U256};
use program_addresses::{ABSENT, MODEXP, P256};
use revm::{
    bytecode::opcode as op,
    context_interface::ContextTr,
    inspector::Inspector,
    interpreter::{
        CallInputs, CallOutcome, CallScheme, CreateInputs, CreateOutcome, InstructionResult,
        Interpreter, interpreter::EthInterpreter, interpreter_types::Jumps,
    },
    precompile::modexp::berlin_gas_calc,
};
use zkos_executor::MAX_NATIVE_COMPUTATIONAL;

mod program_addresses {
    use alloy_primitives::{Address, address};

    /// blake2f and point evaluation.
    pub(super) const ABSENT: [Address; 2] = [
        address!("0x0000000000000000000000000000000000000009"),
        address!("0x000000000000000000000000000000000000000a"),
    ];
    pub(super) const MODEXP: Address = address!("0x0000000000000000000000000000000000000005");
    pub(super) const P256: Address = address!("0x0000000000000000000000000000000000000100");
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    Status,
    Output,
    Gas,
    Logs,
    State,
}

/// A known difference.
pub(crate) struct Deviation {
    pub(crate) name: &'static str,
    /// Whether the program ran into it.
    pub(crate) applies: fn(&Watch) -> bool,
    /// What can differ then. A program can look at its gas and at results of calls, so these spread.
    pub(crate) fields: &'static [Field],
}

const ALL: &[Field] = &[Field::Status, Field::Output, Field::Gas, Field::Logs, Field::State];

/// The table.
pub(crate) const DEVIATIONS: &[Deviation] = &[
    Deviation {
        // The new account stays, its balance moves; revm destroys it.
        name: "SELFDESTRUCT by DELEGATECALL or CALLCODE out of a constructor",
        applies: |watch| watch.delegated_selfdestruct_in_constructor,
        fields: &[Field::State],
    },
    Deviation {
        // CREATE with too little balance: Ethereum does not touch the address, here it is warm afterwards.
        name: "derived address is warm after a failed CREATE",
        applies: |watch| watch.failed_create_precheck && watch.accessed_after_failed_create,
        fields: ALL,
    },
    Deviation {
        // Calls find an empty account.
        name: "precompiles 0x09 and 0x0a are absent",
        applies: |watch| watch.called_absent,
        fields: ALL,
    },
    Deviation {
        // Native is charged with the gas, before it is known that the gas does not suffice; it ends the
        // transaction. In Ethereum only the call fails.
        name: "modexp beyond the native of a transaction",
        applies: |watch| watch.modexp_out_of_native,
        fields: ALL,
    },
    Deviation {
        // Calls find P256VERIFY; the address is as cold as in Ethereum at this level.
        name: "P256VERIFY at 0x100",
        applies: |watch| watch.called_p256,
        fields: ALL,
    },
];

/// What a program did, as far as the table asks.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    delegated_selfdestruct_in_constructor: bool,
    failed_create_precheck: bool,
    accessed_after_failed_create: bool,
    called_absent: bool,
    called_p256: bool,
    modexp_out_of_native: bool,
    frames: Vec<Frame>,
}

/// Native that a modexp call asks for; zero if it fails before.
fn modexp_native(input: &[u8]) -> u64 {
    let word = |at: usize| {
        let mut word = [0u8; 32];
        let rest = input.get(at..).unwrap_or_default();
        let len = rest.len().min(32);
        word[..len].copy_from_slice(&rest[..len]);
        U256::from_be_bytes(word)
    };
    let length = |at| u64::try_from(word(at)).ok();
    let (Some(base), Some(exponent), Some(modulus)) = (length(0), length(32), length(64)) else {
        return 0;
    };
    if base == 0 && modulus == 0 {
        return 0;
    }
    let head_len = exponent.min(32) as usize;
    let head = usize::try_from(base).map_or(U256::ZERO, |base| word(base.saturating_add(96)));
    let head = head.checked_shr(256 - 8 * head_len).unwrap_or_default();
    let rounded = modulus.checked_next_multiple_of(32).unwrap_or(u64::MAX);
    berlin_gas_calc(base, exponent, rounded, &head).saturating_mul(300)
}

#[derive(Debug)]
struct Frame {
    /// Account whose storage the frame works on, none before it is known.
    target: Option<Address>,
    constructor: bool,
}

impl<CTX: ContextTr> Inspector<CTX, EthInterpreter> for Watch {
    fn initialize_interp(&mut self, interpreter: &mut Interpreter, _: &mut CTX) {
        if let Some(frame) = self.frames.last_mut() {
            frame.target = Some(interpreter.input.target_address);
        }
    }

    fn step(&mut self, interpreter: &mut Interpreter, _: &mut CTX) {
        match interpreter.bytecode.opcode() {
            op::SELFDESTRUCT => {
                let target = interpreter.input.target_address;
                let constructing = self
                    .frames
                    .iter()
                    .any(|frame| frame.constructor && frame.target == Some(target));
                let direct = self.frames.last().is_some_and(|frame| frame.constructor);
                self.delegated_selfdestruct_in_constructor |= constructing && !direct;
                self.accessed_after_failed_create |= self.failed_create_precheck;
            }
            op::BALANCE
            | op::EXTCODESIZE
            | op::EXTCODECOPY
            | op::EXTCODEHASH
            | op::CALL
            | op::CALLCODE
            | op::DELEGATECALL
            | op::STATICCALL => {
                self.accessed_after_failed_create |= self.failed_create_precheck;
            }
            _ => {}
        }
    }

    fn call(&mut self, context: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        if inputs.bytecode_address == MODEXP {
            let input = inputs.input.bytes(context);
            self.modexp_out_of_native |= modexp_native(&input) > MAX_NATIVE_COMPUTATIONAL;
        }
        self.called_absent |= ABSENT.contains(&inputs.bytecode_address);
        self.called_p256 |= inputs.bytecode_address == P256;
        let target = match inputs.scheme {
            CallScheme::DelegateCall | CallScheme::CallCode => Some(inputs.target_address),
            _ => None,
        };
        self.frames.push(Frame { target, constructor: false });
        None
    }

    fn call_end(&mut self, _: &mut CTX, _: &CallInputs, _: &mut CallOutcome) {
        self.frames.pop();
    }

    fn create(&mut self, _: &mut CTX, _: &mut CreateInputs) -> Option<CreateOutcome> {
        self.frames.push(Frame { target: None, constructor: true });
        None
    }

    fn create_end(&mut self, _: &mut CTX, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.frames.pop();
        self.failed_create_precheck |= matches!(
            outcome.result.result,
            InstructionResult::OutOfFunds
                | InstructionResult::NonceOverflow
                | InstructionResult::CallTooDeep
        );
    }

    fn selfdestruct(&mut self, _: Address, _: Address, _: U256) {}
}
