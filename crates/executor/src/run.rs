//! The official interface between node and VM: [`RunBlock`] and [`SimulateTx`].

use crate::{
    ExecutionError, FlatState, StateView, ZkEvmConfig, block::BlockExecutor, trace::InterfaceTracer,
};
use zkos_primitives::BlockOutput;
use zksync_os_interface::{
    error::InvalidTransaction,
    tracing::{AnyTracer, AnyTxValidator, NopTracer, NopValidator},
    traits::{
        AnyBlockContext, EncodedTx, FriProofSidecarSource, NextTxResponse, PreimageSource,
        ReadStorage, RunBlock, SimulateTx, TxResultCallback, TxSource,
    },
    types::{ExecutionOutput, ExecutionResult, TxOutput, TxProcessingOutputOwned},
};

/// The executor behind the official interface. Without state: everything is an argument.
#[derive(Debug, Clone, Copy, Default)]
pub struct ZkExecutor;

fn callback_output(output: &TxOutput) -> TxProcessingOutputOwned {
    let (status, bytes) = match &output.execution_result {
        ExecutionResult::Success(
            ExecutionOutput::Call(bytes) | ExecutionOutput::Create(bytes, _),
        ) => (true, bytes),
        ExecutionResult::Revert(bytes) => (false, bytes),
    };
    TxProcessingOutputOwned {
        status,
        output: bytes.clone(),
        contract_address: output.contract_address,
        gas_used: output.gas_used,
        gas_refunded: output.gas_refunded,
        computational_native_used: output.computational_native_used,
        native_used: output.native_used,
        pubdata_used: output.pubdata_used,
        l1_tx_operator_decision: output.l1_tx_operator_decision,
    }
}

impl RunBlock for ZkExecutor {
    type Config = ZkEvmConfig;
    type Error = ExecutionError;
    type BlockOutput = BlockOutput;

    fn run_block<
        Storage: ReadStorage,
        PreimgSrc: PreimageSource,
        TrSrc: TxSource,
        FriSidecar: FriProofSidecarSource,
        TrCallback: TxResultCallback,
        Tracer: AnyTracer,
        Validator: AnyTxValidator,
        BlockContext: AnyBlockContext,
    >(
        &self,
        config: Self::Config,
        block_context: BlockContext,
        storage: Storage,
        preimage_source: PreimgSrc,
        mut tx_source: TrSrc,
        _fri_proof_sidecar: FriSidecar,
        mut tx_result_callback: TrCallback,
        tracer: &mut Tracer,
        validator: &mut Validator,
    ) -> Result<Self::BlockOutput, Self::Error> {
        let state = FlatState::new(storage, preimage_source);
        let mut executor = config.executor_for(&block_context, state, false)?;
        while let NextTxResponse::Tx(tx) = tx_source.get_next_tx() {
            let result = run_one(&mut executor, &tx, tracer, validator)?;
            tx_result_callback.tx_executed(result.map(callback_output));
        }
        executor.finish()
    }
}

impl SimulateTx for ZkExecutor {
    type Config = ZkEvmConfig;
    type Error = ExecutionError;

    fn simulate_tx<
        Storage: ReadStorage,
        PreimgSrc: PreimageSource,
        Tracer: AnyTracer,
        Validator: AnyTxValidator,
        BlockContext: AnyBlockContext,
    >(
        &self,
        config: Self::Config,
        transaction: EncodedTx,
        block_context: BlockContext,
        storage: Storage,
        preimage_source: PreimgSrc,
        tracer: &mut Tracer,
        validator: &mut Validator,
    ) -> Result<Result<TxOutput, InvalidTransaction>, Self::Error> {
        let state = FlatState::new(storage, preimage_source);
        let mut executor = config.executor_for(&block_context, state, true)?;
        let result = run_one(&mut executor, &transaction, tracer, validator)?;
        Ok(result.cloned())
    }
}

fn run_one<'a, S: StateView, T: AnyTracer, V: AnyTxValidator>(
    executor: &'a mut BlockExecutor<S>,
    tx: &EncodedTx,
    tracer: &mut T,
    validator: &mut V,
) -> Result<Result<&'a TxOutput, InvalidTransaction>, ExecutionError> {
    // A tracer and a validator that do nothing would still cost a call per instruction.
    if is_type::<T, NopTracer>() && is_type::<V, NopValidator>() {
        return executor.execute_encoded(tx);
    }
    let mut tracer = InterfaceTracer::new(tracer.as_evm(), validator.as_evm());
    executor.execute_encoded_with(tx, &mut tracer)
}

/// Whether two types are the same, without asking for `'static`.
fn is_type<A, B>() -> bool {
    core::any::type_name::<A>() == core::any::type_name::<B>()
}
