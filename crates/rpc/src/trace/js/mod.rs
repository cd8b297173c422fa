//! Tracers that are JavaScript source.
//!
//! *How a script runs.* [`Script::new`] takes it out of the options of a request and checks what can be checked without running it. [`EthApi::run_script`] gives it a thread of its own, in which
//! the engine (boa, through revm-inspectors) lives and dies: its objects can't leave a thread, its parser recurses, and no other work waits for it. Within, each transaction is
//! traced by [`Callbacks`], which show the script the state before the instruction it looks at, and `guard.js` keeps the first error of a callback for the answer.
//!
//! *What bounds it.* The time of each transaction, read before each instruction and from outside of the thread; loops (200,000 rounds per call of a function) and
//! recursion (128 calls), by the engine; the length of the source. Not its memory, not the recursion of the engine itself (text of an array nested 100,000 times, which ends the process), and not the
//! time of a single callback, which nothing can interrupt: a script can nest loops or let regular expressions backtrack. The caller gets an answer in time even then, but the thread goes
//! on and keeps its place. Only a process of its own would bound all of it. So scripts are off unless the operator turns them on, and have places of their own, so that they can't take those of
//! other traces.

mod callbacks;
mod state;

use super::{
    geth::parse_timeout,
    observer::{Observer, RecordedSteps},
    replay::Replay,
    session::{Session, TracedTx},
    state::PreState,
};
use crate::{EthApi, EthApiError, EthResult, RpcNodeCore};
use alloy_rpc_types_trace::geth::{GethDebugTracingOptions, GethTrace};
use callbacks::Callbacks;
use revm::{context::result::ResultAndState, state::EvmState};
use revm_inspectors::tracing::{
    TransactionContext,
    js::{JsInspector, JsInspectorError, JsInspectorInterrupt},
};
use serde_json::Value;
use state::{AfterState, LiveState};
use std::{
    thread,
    time::{Duration, Instant},
};
use tokio::sync::{oneshot, watch};
use tracing::warn;
use zkos_primitives::RecoveredTx;
use zksync_os_interface::{error::InvalidTransaction, types::TxOutput};

/// Bytes of source. Real tracers have up to 20,000.
const MAX_SOURCE: usize = 32 * 1024;
/// Characters of an error that a script makes.
const MAX_MESSAGE: usize = 1000;
/// Time of a transaction when the caller names none; geth's.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// Stack of a script's thread. The parser takes up to 20 KB for each level of nesting; what is not used is only reserved.
const STACK: usize = 512 * 1024 * 1024;
/// See there.
const GUARD: &str = include_str!("guard.js");

/// A script that may run.
pub(super) struct Script {
    code: String,
    config: Value,
    timeout: Duration,
}

impl Script {
    /// The script that the options hold as their tracer.
    ///
    /// # Errors
    /// When it is too long, or the options are wrong.
    pub(super) fn new(options: GethDebugTracingOptions) -> EthResult<Self> {
        let GethDebugTracingOptions { tracer, tracer_config, timeout, .. } = options;
        let source = tracer.as_ref().map(|tracer| tracer.as_str()).unwrap_or_default();
        if source.len() > MAX_SOURCE {
            return Err(EthApiError::invalid_params(format!(
                "source of the tracer has {} bytes, more than {MAX_SOURCE}",
                source.len()
            )));
        }
        let timeout = timeout.as_deref().map(parse_timeout).transpose()?;
        Ok(Self {
            code: format!("{GUARD}({source}\n)"),
            config: tracer_config.into_json(),
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
        })
    }
}

/// A script, ready to trace one transaction after the other.
pub(super) struct JsTracer {
    inspector: JsInspector,
    timeout: Duration,
    /// When what runs now has to be over; `None` while the script does not run.
    deadline: watch::Sender<Option<Instant>>,
    used: bool,
}

impl JsTracer {
    fn new(
        script: Script,
        interrupt: JsInspectorInterrupt,
        deadline: watch::Sender<Option<Instant>>,
    ) -> EthResult<Self> {
        let Script { code, config, timeout } = script;
        let inspector = timed(timeout, &deadline, || {
            JsInspector::new(code, config).map_err(|error| EthApiError::invalid_params(text(error)))
        })?;
        let inspector = inspector.with_interrupt(interrupt);
        Ok(Self { inspector, timeout, deadline, used: false })
    }

    /// Traces the next transaction of a block.
    pub(super) fn trace_next(&mut self, replay: &mut Replay<'_>) -> EthResult<GethTrace> {
        let before = replay.before_next();
        self.run(before, |observer| {
            replay.trace_next(observer, |callbacks, info, traced, before| {
                let context = TransactionContext {
                    block_hash: info.block_hash,
                    tx_index: info.index.map(|index| index as usize),
                    tx_hash: info.hash,
                };
                finish(callbacks, context, traced, before)
            })
        })
    }

    /// Traces a transaction that is not part of a block.
    pub(super) fn trace(
        &mut self,
        session: &mut Session<'_>,
        tx: &RecoveredTx,
    ) -> EthResult<Result<(TxOutput, GethTrace), InvalidTransaction>> {
        let before = session.before_next();
        self.run(before, |observer| {
            session.inspect(tx, observer, |callbacks, traced, before| {
                finish(callbacks, TransactionContext::default(), traced, before)
            })
        })
    }

    fn run<'a, T>(
        &mut self,
        before: PreState<'a>,
        trace: impl FnOnce(&mut Observer<Callbacks<'_, 'a>>) -> EthResult<T>,
    ) -> EthResult<T> {
        let Self { inspector, timeout, deadline, used } = self;
        timed(*timeout, deadline, || {
            if std::mem::replace(used, true) {
                inspector.fuse().map_err(failed)?;
            }
            let callbacks = Callbacks::new(inspector, LiveState::new(before));
            let mut observer = Observer::new(callbacks, RecordedSteps::default())
                .with_timeout(Some(*timeout))
                .with_slow_tracer();
            trace(&mut observer)
        })
    }
}

/// Runs a part of a script and looks at the clock when it is over.
fn timed<T>(
    timeout: Duration,
    deadline: &watch::Sender<Option<Instant>>,
    run: impl FnOnce() -> EthResult<T>,
) -> EthResult<T> {
    let end = Instant::now().checked_add(timeout);
    deadline.send_replace(end);
    let result = run();
    deadline.send_replace(None);
    if end.is_some_and(|end| Instant::now() >= end) {
        return Err(EthApiError::TraceTimeout);
    }
    result
}

fn finish(
    callbacks: &mut Callbacks<'_, '_>,
    context: TransactionContext,
    traced: &TracedTx,
    before: &PreState<'_>,
) -> EthResult<GethTrace> {
    if let Some(error) = callbacks.state().failed.take() {
        return Err(EthApiError::internal(error));
    }
    let after = AfterState { before, state: &traced.result.state };
    let result = ResultAndState::new(traced.result.result.clone(), EvmState::default());
    callbacks.inspector.set_transaction_context(context);
    let answer = callbacks.inspector.json_result(result, &traced.tx, &traced.block, &after);
    // As the guard makes it.
    let mut answer = answer.map_err(failed)?;
    match answer.get("failure").and_then(Value::as_str) {
        Some(failure) => Err(EthApiError::JsTracer(bounded(failure))),
        None => Ok(GethTrace::JS(answer.get_mut("value").map(Value::take).unwrap_or_default())),
    }
}

fn failed(error: JsInspectorError) -> EthApiError {
    EthApiError::JsTracer(text(error))
}

/// What happened, without the places in the guard where it did.
fn text(error: JsInspectorError) -> String {
    let message = error.to_string();
    let line = message.lines().next().unwrap_or_default();
    bounded(line.split(" (unknown at ").next().unwrap_or_default())
}

fn bounded(message: &str) -> String {
    message.chars().take(MAX_MESSAGE).collect()
}

impl<N: RpcNodeCore> EthApi<N> {
    /// Runs a script in a thread of its own.
    pub(super) async fn run_script<T: Send + 'static>(
        &self,
        script: Script,
        trace: impl FnOnce(&Self, JsTracer) -> EthResult<T> + Send + 'static,
    ) -> EthResult<T> {
        let place = self.script_place().await?;
        let interrupt = JsInspectorInterrupt::new();
        // When nobody waits for the result any more the script ends with its running callback.
        let _end = interrupt.drop_guard();
        let (deadline, mut watched) = watch::channel(None);
        let (sender, mut result) = oneshot::channel();
        let this = self.clone();
        let run = move || {
            let _place = place;
            let traced =
                JsTracer::new(script, interrupt, deadline).and_then(|tracer| trace(&this, tracer));
            let _ = sender.send(traced);
        };
        let builder = thread::Builder::new().name("js-tracer".to_owned()).stack_size(STACK);
        builder.spawn(run).map_err(EthApiError::internal)?;
        loop {
            let deadline = *watched.borrow_and_update();
            tokio::select! {
                biased;
                traced = &mut result => return traced.unwrap_or_else(|_| Err(panicked())),
                changed = watched.changed() => if changed.is_err() {
                    return result.await.unwrap_or_else(|_| Err(panicked()));
                },
                () = reached(deadline) => {
                    warn!(target: "rpc", "a JavaScript tracer does not end in time and keeps its thread");
                    return Err(EthApiError::TraceTimeout);
                }
            }
        }
    }
}

fn panicked() -> EthApiError {
    EthApiError::internal("the thread of a JavaScript tracer panicked")
}

async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
