//! Seam for observers of execution: revm inspectors, and the tracers and validators of the official interface.

mod inspector;
mod interface;

pub(crate) use inspector::InspectorTracer;
pub use inspector::TraceContext;
pub(crate) use interface::InterfaceTracer;

use crate::{
    tx::VmTx,
    vm::{CallKind, CallRequest, CallResult, Vm},
};
use alloy_primitives::{Address, Bytes, U256};
use core::{cell::RefCell, ops::Range};
use revm::{
    bytecode::Bytecode,
    interpreter::{CallInput, InstructionResult, Interpreter},
};
use zksync_os_interface::error::InvalidTransaction;

/// A frame as an observer sees it.
#[derive(Debug, Clone)]
pub(crate) struct FrameInfo {
    pub(crate) kind: CallKind,
    pub(crate) is_static: bool,
    pub(crate) caller: Address,
    pub(crate) callers_caller: Address,
    pub(crate) callee: Address,
    pub(crate) value: U256,
    pub(crate) gas: u64,
    pub(crate) input: Bytes,
    pub(crate) return_range: Range<usize>,
    pub(crate) code: Bytecode,
}

impl FrameInfo {
    pub(crate) fn new(
        request: &CallRequest,
        gas: u64,
        memory: &RefCell<Vec<u8>>,
        code: &Bytecode,
    ) -> Self {
        let input = match &request.input {
            CallInput::Bytes(bytes) => bytes.clone(),
            CallInput::SharedBuffer(range) => {
                memory.borrow().get(range.clone()).map(Bytes::copy_from_slice).unwrap_or_default()
            }
        };
        Self {
            kind: request.kind,
            is_static: request.is_static,
            caller: request.caller,
            callers_caller: request.callers_caller,
            callee: request.callee,
            value: request.value,
            gas,
            input,
            return_range: request.return_range.clone(),
            code: code.clone(),
        }
    }
}

/// Observer of the frame loop. Observers cannot change the result of a transaction, only veto it.
pub(crate) trait Tracer<S> {
    /// False removes every call to the observer at compile time.
    const ENABLED: bool = true;

    /// A decoded transaction is about to be processed.
    fn begin_tx(&mut self, _tx: &VmTx<'_>) -> Result<(), InvalidTransaction> {
        Ok(())
    }
    /// The transaction was processed and can be included.
    fn finish_tx(&mut self, _tx: &VmTx<'_>) -> Result<(), InvalidTransaction> {
        Ok(())
    }

    /// A frame (also one that ends at once) begins at `depth`.
    fn frame_start(&mut self, vm: &mut Vm<S>, depth: usize, info: &FrameInfo);
    /// The interpreter of the frame is ready.
    fn initialize(&mut self, vm: &mut Vm<S>, interpreter: &mut Interpreter);
    /// An instruction is about to run.
    fn step(&mut self, vm: &mut Vm<S>, interpreter: &mut Interpreter);
    /// An instruction ran.
    fn step_end(
        &mut self,
        vm: &mut Vm<S>,
        interpreter: &mut Interpreter,
        result: Result<(), InstructionResult>,
    );
    /// The frame ended.
    fn frame_end(&mut self, vm: &mut Vm<S>, depth: usize, info: &FrameInfo, result: &CallResult);
}

/// No observer.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NoTracer;

impl<S> Tracer<S> for NoTracer {
    const ENABLED: bool = false;

    fn frame_start(&mut self, _: &mut Vm<S>, _: usize, _: &FrameInfo) {}
    fn initialize(&mut self, _: &mut Vm<S>, _: &mut Interpreter) {}
    fn step(&mut self, _: &mut Vm<S>, _: &mut Interpreter) {}
    fn step_end(&mut self, _: &mut Vm<S>, _: &mut Interpreter, _: Result<(), InstructionResult>) {}
    fn frame_end(&mut self, _: &mut Vm<S>, _: usize, _: &FrameInfo, _: &CallResult) {}
}
