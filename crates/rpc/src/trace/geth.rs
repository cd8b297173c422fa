//! Geth's tracers.

use super::{
    observer::{Observer, RecordedSteps},
    replay::Replay,
    session::{Session, TracedTx},
    state::PreState,
};
use crate::{EthApiError, EthResult};
use alloy_rpc_types_eth::TransactionInfo;
use alloy_rpc_types_trace::geth::{GethDebugTracerType, GethDebugTracingOptions, GethTrace};
use revm_inspectors::tracing::{DebugInspector, DebugInspectorError, TransactionContext};
use std::time::Duration;
use zkos_primitives::RecoveredTx;
use zksync_os_interface::{error::InvalidTransaction, types::TxOutput};

/// One of geth's tracers, usable for many transactions.
pub(crate) struct GethTracer {
    observer: Observer<DebugInspector>,
}

impl GethTracer {
    /// The tracer that the options name.
    ///
    /// # Errors
    /// When there is no such tracer, or its configuration is wrong.
    pub(crate) fn new(options: GethDebugTracingOptions) -> EthResult<Self> {
        if let Some(GethDebugTracerType::JsTracer(name)) = &options.tracer
            && !name.is_empty()
        {
            // An unknown name can't be told from a program.
            let name: String = name.chars().take(40).collect();
            return Err(EthApiError::invalid_params(format!("tracer `{name}` is not supported")));
        }
        let timeout = options.timeout.as_deref().map(parse_timeout).transpose()?;
        let inspector = DebugInspector::new(options).map_err(|error| match error {
            DebugInspectorError::Database(never) => match never {},
            other => EthApiError::invalid_params(other.to_string()),
        })?;
        let recorded = match &inspector {
            DebugInspector::Default(_, config) => RecordedSteps {
                steps: true,
                stack: config.is_stack_enabled(),
                memory: config.is_memory_enabled(),
            },
            DebugInspector::Erc7562Tracer(..) | DebugInspector::Mux(..) => {
                RecordedSteps { steps: true, stack: true, memory: false }
            }
            _ => RecordedSteps::default(),
        };
        Ok(Self { observer: Observer::new(inspector, recorded).with_timeout(timeout) })
    }

    /// Traces the next transaction of a block.
    pub(crate) fn trace_next(&mut self, replay: &mut Replay<'_>) -> EthResult<GethTrace> {
        self.fuse()?;
        replay.trace_next(&mut self.observer, finish)
    }

    /// Traces a transaction that is not part of a block.
    pub(crate) fn trace(
        &mut self,
        session: &mut Session<'_>,
        tx: &RecoveredTx,
    ) -> EthResult<Result<(TxOutput, GethTrace), InvalidTransaction>> {
        self.fuse()?;
        session.inspect(tx, &mut self.observer, |inspector, traced, before| {
            finish(inspector, TransactionInfo::default(), traced, before)
        })
    }

    fn fuse(&mut self) -> EthResult<()> {
        self.observer
            .inner
            .fuse()
            .map_err(|error: DebugInspectorError| EthApiError::internal(error))
    }
}

/// A duration as Go writes it, such as `300ms` or `1m30s`.
fn parse_timeout(text: &str) -> EthResult<Duration> {
    humantime::parse_duration(text)
        .map_err(|error| EthApiError::invalid_params(format!("timeout `{text:.40}`: {error}")))
}

fn finish(
    inspector: &mut DebugInspector,
    info: TransactionInfo,
    traced: &TracedTx,
    before: &mut PreState<'_>,
) -> EthResult<GethTrace> {
    let context = TransactionContext {
        block_hash: info.block_hash,
        tx_index: info.index.map(|index| index as usize),
        tx_hash: info.hash,
    };
    inspector
        .get_result(Some(context), &traced.tx, &traced.block, &traced.result, before)
        .map_err(EthApiError::internal)
}
