//! Geth's tracers.

use super::{
    observer::{Observer, RecordedSteps},
    replay::Replay,
    session::{Session, TracedTx},
    state::PreState,
};
use crate::{EthApi, EthApiError, EthResult, RpcNodeCore};
use alloy_rpc_types_eth::TransactionInfo;
use alloy_rpc_types_trace::geth::{GethDebugTracerType, GethDebugTracingOptions, GethTrace};
use revm_inspectors::tracing::{DebugInspector, DebugInspectorError, TransactionContext};
use std::time::Duration;
use zkos_primitives::RecoveredTx;
use zksync_os_interface::{error::InvalidTransaction, types::TxOutput};

/// One of geth's tracers, usable for many transactions.
pub(crate) struct GethTracer(Kind);

enum Kind {
    BuiltIn(Box<Observer<DebugInspector>>),
    #[cfg(feature = "js-tracer")]
    Script(Box<super::js::JsTracer>),
}

impl GethTracer {
    /// The tracer that the options name, unless it is a script.
    fn built_in(options: GethDebugTracingOptions) -> EthResult<Self> {
        let timeout = options.timeout.as_deref().map(parse_timeout).transpose()?;
        let inspector = DebugInspector::new(options).map_err(|error| match error {
            DebugInspectorError::Database(never) => match never {},
            // The text may repeat the parameters.
            other => {
                let message = other.to_string();
                EthApiError::invalid_params(message.chars().take(200).collect::<String>())
            }
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
        let observer = Observer::new(inspector, recorded).with_timeout(timeout);
        Ok(Self(Kind::BuiltIn(Box::new(observer))))
    }

    /// Traces the next transaction of a block.
    pub(crate) fn trace_next(&mut self, replay: &mut Replay<'_>) -> EthResult<GethTrace> {
        match &mut self.0 {
            Kind::BuiltIn(observer) => {
                fuse(&mut observer.inner)?;
                replay.trace_next(observer.as_mut(), finish)
            }
            #[cfg(feature = "js-tracer")]
            Kind::Script(tracer) => tracer.trace_next(replay),
        }
    }

    /// Traces a transaction that is not part of a block.
    pub(crate) fn trace(
        &mut self,
        session: &mut Session<'_>,
        tx: &RecoveredTx,
    ) -> EthResult<Result<(TxOutput, GethTrace), InvalidTransaction>> {
        match &mut self.0 {
            Kind::BuiltIn(observer) => {
                fuse(&mut observer.inner)?;
                session.inspect(tx, observer.as_mut(), |inspector, traced, before| {
                    finish(inspector, TransactionInfo::default(), traced, before)
                })
            }
            #[cfg(feature = "js-tracer")]
            Kind::Script(tracer) => tracer.trace(session, tx),
        }
    }
}

impl<N: RpcNodeCore> EthApi<N> {
    /// Makes the tracer that the options name and runs `trace` with it where such tracers run.
    ///
    /// # Errors
    /// When there is no such tracer, or its configuration is wrong; and those of `trace`.
    pub(crate) async fn spawn_tracer<T: Send + 'static>(
        &self,
        options: GethDebugTracingOptions,
        trace: impl FnOnce(&Self, &mut GethTracer) -> EthResult<T> + Send + 'static,
    ) -> EthResult<T> {
        if let Some(GethDebugTracerType::JsTracer(source)) = &options.tracer {
            // Whatever is no known name arrives as a script. An empty one stands for the opcode logger.
            if source.chars().any(|c| !c.is_ascii_alphanumeric() && c != '_') {
                return self.spawn_script(options, trace).await;
            }
            if !source.is_empty() {
                let message = format!("tracer `{source:.40}` is not supported");
                return Err(EthApiError::invalid_params(message));
            }
        }
        self.spawn_trace(move |this| trace(this, &mut GethTracer::built_in(options)?)).await
    }

    #[cfg(feature = "js-tracer")]
    async fn spawn_script<T: Send + 'static>(
        &self,
        options: GethDebugTracingOptions,
        trace: impl FnOnce(&Self, &mut GethTracer) -> EthResult<T> + Send + 'static,
    ) -> EthResult<T> {
        if !self.config().js_tracer {
            let message =
                "JavaScript tracers are off, the operator turns them on by --rpc.js-tracer";
            return Err(EthApiError::Unsupported(message));
        }
        let script = super::js::Script::new(options)?;
        self.run_script(script, |this, tracer| {
            trace(this, &mut GethTracer(Kind::Script(Box::new(tracer))))
        })
        .await
    }

    #[cfg(not(feature = "js-tracer"))]
    async fn spawn_script<T>(
        &self,
        _: GethDebugTracingOptions,
        _: impl FnOnce(&Self, &mut GethTracer) -> EthResult<T>,
    ) -> EthResult<T> {
        Err(EthApiError::Unsupported("this node was built without JavaScript tracers"))
    }
}

fn fuse(inspector: &mut DebugInspector) -> EthResult<()> {
    inspector.fuse().map_err(|error: DebugInspectorError| EthApiError::internal(error))
}

/// A duration as Go writes it, such as `300ms` or `1m30s`.
pub(super) fn parse_timeout(text: &str) -> EthResult<Duration> {
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
