//! Tracers and validators of the official interface.

use super::{FrameInfo, Tracer};
use crate::{
    StateView,
    tx::{TxKind, VmTx},
    vm::{CallKind, CallResult, Vm},
};
use alloy_primitives::{Address, B256, U256};
use core::cell::Ref;
use revm::{
    bytecode::opcode as op,
    interpreter::{
        CallInput, InstructionResult, Interpreter,
        interpreter_types::{Jumps, LegacyBytecode},
    },
};
use zksync_os_evm_errors::EvmError;
use zksync_os_interface::{
    error::InvalidTransaction,
    tracing::{
        BeginTxContext, CallModifier, CallResult as InterfaceCallResult, EvmFrameInterface,
        EvmRequest, EvmResources, EvmStackInterface, EvmTracer, TxValidator, ValidatedTxKind,
    },
};

/// Units of the interface's gas per EVM gas.
const ERGS_PER_GAS: u64 = 256;

/// Calls an [`EvmTracer`] and a [`TxValidator`] from the frame loop; each may be absent.
pub(crate) struct InterfaceTracer<'a, T, V> {
    pub(crate) tracer: Option<&'a mut T>,
    pub(crate) validator: Option<&'a mut V>,
    opcode: u8,
    operands: [U256; 2],
}

impl<'a, T, V> InterfaceTracer<'a, T, V> {
    pub(crate) const fn new(tracer: Option<&'a mut T>, validator: Option<&'a mut V>) -> Self {
        Self { tracer, validator, opcode: 0, operands: [U256::ZERO; 2] }
    }
}

fn resources(gas: u64, native: u64) -> EvmResources {
    EvmResources { ergs: gas.saturating_mul(ERGS_PER_GAS), native }
}

const fn modifier(info: &FrameInfo) -> CallModifier {
    match (info.kind, info.is_static) {
        (CallKind::Create(_), _) => CallModifier::Constructor,
        (CallKind::DelegateCall, false) => CallModifier::Delegate,
        (CallKind::DelegateCall, true) => CallModifier::DelegateStatic,
        (CallKind::CallCode, false) => CallModifier::EVMCallcode,
        (CallKind::CallCode, true) => CallModifier::EVMCallcodeStatic,
        (CallKind::StaticCall, _) | (CallKind::Call, true) => CallModifier::Static,
        (CallKind::Call, false) => CallModifier::NoModifier,
    }
}

struct Request<'a> {
    info: &'a FrameInfo,
    native: u64,
}

impl EvmRequest for Request<'_> {
    fn resources(&self) -> EvmResources {
        resources(self.info.gas, self.native)
    }
    fn caller(&self) -> Address {
        self.info.caller
    }
    fn callee(&self) -> Address {
        self.info.callee
    }
    fn modifier(&self) -> CallModifier {
        modifier(self.info)
    }
    fn input(&self) -> &[u8] {
        &self.info.input
    }
    fn nominal_token_value(&self) -> U256 {
        self.info.value
    }
}

struct StackView<'a>(&'a [U256]);

impl EvmStackInterface for StackView<'_> {
    fn to_slice(&self) -> &[U256] {
        self.0
    }
    fn len(&self) -> usize {
        self.0.len()
    }
    fn peek_n(&self, index: usize) -> Result<&U256, EvmError> {
        self.0.iter().nth_back(index).ok_or(EvmError::StackUnderflow)
    }
}

struct FrameView<'a> {
    interpreter: &'a Interpreter,
    stack: StackView<'a>,
    heap: Ref<'a, [u8]>,
    shared_calldata: Option<Ref<'a, [u8]>>,
    native: u64,
    refund: u32,
    is_constructor: bool,
}

impl<'a> FrameView<'a> {
    fn new<S: StateView>(vm: &Vm<S>, interpreter: &'a Interpreter) -> Self {
        let shared_calldata = match &interpreter.input.input {
            CallInput::SharedBuffer(range) => {
                Some(interpreter.memory.global_slice_range(range.clone()))
            }
            CallInput::Bytes(_) => None,
        };
        Self {
            interpreter,
            stack: StackView(interpreter.stack.data()),
            heap: interpreter.memory.context_memory(),
            shared_calldata,
            native: vm.journal.native.remaining(),
            refund: u32::try_from(vm.journal.refund).unwrap_or_default(),
            is_constructor: vm.in_constructor,
        }
    }
}

impl EvmFrameInterface for FrameView<'_> {
    fn instruction_pointer(&self) -> usize {
        self.interpreter.bytecode.pc()
    }
    fn resources(&self) -> EvmResources {
        resources(self.interpreter.gas.remaining(), self.native)
    }
    fn stack(&self) -> &impl EvmStackInterface {
        &self.stack
    }
    fn caller(&self) -> Address {
        self.interpreter.input.caller_address
    }
    fn address(&self) -> Address {
        self.interpreter.input.target_address
    }
    fn calldata(&self) -> &[u8] {
        match (&self.interpreter.input.input, &self.shared_calldata) {
            (CallInput::Bytes(bytes), _) => bytes,
            (_, Some(shared)) => shared,
            _ => &[],
        }
    }
    fn return_data(&self) -> &[u8] {
        &self.interpreter.return_data.0
    }
    fn heap(&self) -> &[u8] {
        &self.heap
    }
    fn bytecode(&self) -> &[u8] {
        self.interpreter.bytecode.bytecode_slice()
    }
    fn call_value(&self) -> &U256 {
        &self.interpreter.input.call_value
    }
    fn refund_counter(&self) -> u32 {
        self.refund
    }
    fn is_static(&self) -> bool {
        self.interpreter.runtime_flag.is_static
    }
    fn is_constructor(&self) -> bool {
        self.is_constructor
    }
}

/// The interface's name for a failure of an instruction; `None` for a normal end.
fn evm_error(result: InstructionResult, opcode: u8) -> Option<EvmError> {
    use InstructionResult as R;
    Some(match result {
        R::Stop | R::Return | R::SelfDestruct | R::Suspend | R::FatalExternalError => return None,
        R::Revert => EvmError::Revert,
        R::InvalidJump => EvmError::InvalidJump,
        R::OutOfOffset => EvmError::ReturnDataOutOfBounds,
        R::OpcodeNotFound | R::InvalidFEOpcode | R::NotActivated => EvmError::InvalidOpcode(opcode),
        R::StackUnderflow => EvmError::StackUnderflow,
        R::StackOverflow => EvmError::StackOverflow,
        R::CallNotAllowedInsideStatic => EvmError::CallNotAllowedInsideStatic,
        R::StateChangeDuringStaticCall => EvmError::StateChangeDuringStaticCall,
        R::MemoryOOG | R::MemoryLimitOOG => EvmError::MemoryLimitOOG,
        R::InvalidOperandOOG | R::ReentrancySentryOOG => EvmError::InvalidOperandOOG,
        R::CallTooDeep => EvmError::CallTooDeep,
        R::OutOfFunds | R::OverflowPayment => EvmError::InsufficientBalance,
        R::CreateCollision => EvmError::CreateCollision,
        R::NonceOverflow => EvmError::NonceOverflow,
        R::CreateContractSizeLimit => EvmError::CreateContractSizeLimit,
        R::CreateInitCodeSizeLimit => EvmError::CreateInitcodeSizeLimit,
        R::CreateContractStartingWithEF => EvmError::CreateContractStartingWithEF,
        _ => EvmError::OutOfGas,
    })
}

impl<S: StateView, T: EvmTracer, V: TxValidator> Tracer<S> for InterfaceTracer<'_, T, V> {
    fn begin_tx(&mut self, tx: &VmTx<'_>) -> Result<(), InvalidTransaction> {
        if let Some(tracer) = &mut self.tracer {
            tracer.begin_tx(&tx.input);
        }
        // Chains that filter priority transactions do not exist at this version.
        if tx.kind == TxKind::L2
            && let Some(validator) = &mut self.validator
        {
            validator.begin_tx(&BeginTxContext {
                kind: ValidatedTxKind::L2,
                from: tx.from,
                to: tx.to,
                value: tx.value,
                calldata: &tx.input,
                gas_limit: tx.gas_limit,
            })?;
        }
        Ok(())
    }

    fn finish_tx(&mut self, tx: &VmTx<'_>) -> Result<(), InvalidTransaction> {
        if let Some(tracer) = &mut self.tracer {
            tracer.finish_tx();
        }
        match &mut self.validator {
            Some(validator) if tx.kind == TxKind::L2 => validator.finish_tx(),
            _ => Ok(()),
        }
    }

    fn frame_start(&mut self, vm: &mut Vm<S>, _: usize, info: &FrameInfo) {
        if let Some(tracer) = &mut self.tracer {
            let native = vm.journal.native.remaining();
            tracer.on_new_execution_frame(Request { info, native });
        }
    }

    fn initialize(&mut self, _: &mut Vm<S>, _: &mut Interpreter) {}

    fn step(&mut self, vm: &mut Vm<S>, interpreter: &mut Interpreter) {
        let Some(tracer) = &mut self.tracer else { return };
        self.opcode = interpreter.bytecode.opcode();
        self.operands = [0, 1].map(|n| interpreter.stack.peek(n).unwrap_or_default());
        let view = FrameView::new(vm, interpreter);
        tracer.before_evm_interpreter_execution_step(self.opcode, view);
    }

    fn step_end(
        &mut self,
        vm: &mut Vm<S>,
        interpreter: &mut Interpreter,
        result: Result<(), InstructionResult>,
    ) {
        let Some(tracer) = &mut self.tracer else { return };
        let [first, second] = self.operands.map(B256::from);
        let address = interpreter.input.target_address;
        match (result, self.opcode) {
            (Ok(()), op::SLOAD | op::TLOAD) => {
                let value = B256::from(interpreter.stack.peek(0).unwrap_or_default());
                tracer.on_storage_read(self.opcode == op::TLOAD, address, first, value);
            }
            (Ok(()), op::SSTORE | op::TSTORE) => {
                tracer.on_storage_write(self.opcode == op::TSTORE, address, first, second);
            }
            (Ok(()), op::LOG0..=op::LOG4) => {
                if let Some(log) = vm.journal.logs.last() {
                    tracer.on_event(log.address, log.topics().to_vec(), &log.data.data);
                }
            }
            (Err(InstructionResult::Suspend), op::CREATE | op::CREATE2) => {
                tracer.on_create_request(self.opcode == op::CREATE2);
            }
            (Err(InstructionResult::SelfDestruct), _) => {
                if let Some((_, beneficiary, amount)) = vm.last_selfdestruct {
                    tracer.on_selfdestruct(beneficiary, amount, FrameView::new(vm, interpreter));
                }
            }
            _ => {}
        }
        let view = FrameView::new(vm, interpreter);
        tracer.after_evm_interpreter_execution_step(self.opcode, view);
        if let Err(result) = result
            && let Some(error) = evm_error(result, self.opcode)
        {
            tracer.on_opcode_error(&error, FrameView::new(vm, interpreter));
        }
    }

    fn frame_end(&mut self, vm: &mut Vm<S>, _: usize, info: &FrameInfo, result: &CallResult) {
        let Some(tracer) = &mut self.tracer else { return };
        if info.kind.is_create()
            && result.is_ok()
            && let Ok(id) = vm.journal.peek(info.callee)
        {
            let account = *vm.journal.account(id);
            let code = vm.journal.load_code(&account).unwrap_or_default();
            tracer.on_bytecode_change(
                info.callee,
                Some(code.original_byte_slice()),
                account.bytecode_hash,
                account.observable_bytecode_len,
            );
        }
        if matches!(
            result.result,
            InstructionResult::CallTooDeep
                | InstructionResult::OutOfFunds
                | InstructionResult::CreateCollision
                | InstructionResult::NonceOverflow
        ) && let Some(error) = evm_error(result.result, 0)
        {
            tracer.on_call_error(&error);
        }
        let returndata = &result.output;
        let outcome = if result.is_ok() {
            InterfaceCallResult::Successful { returndata }
        } else {
            InterfaceCallResult::Failed { returndata }
        };
        let left = resources(result.gas_left, vm.journal.native.remaining());
        tracer.after_execution_frame_completed(Some((left, outcome)));
    }
}
