//! The Prometheus endpoint and the status endpoint.

use crate::{StageRegistry, TaskExecutor};
use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use eyre::WrapErr;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use std::{net::SocketAddr, sync::OnceLock, time::Duration};
use tokio::net::TcpListener;

/// How often histograms are compacted.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Installs the process-wide recorder, once, and returns its handle.
///
/// # Errors
/// When another recorder was installed before.
pub fn install_recorder() -> eyre::Result<PrometheusHandle> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)
        .map_err(|error| eyre::eyre!("can't install the metrics recorder: {error}"))?;
    metrics_process::Collector::default().describe();
    Ok(HANDLE.get_or_init(|| handle).clone())
}

/// Serves `/metrics`; returns the bound address.
///
/// # Errors
/// When the address can't be bound.
pub async fn serve_metrics(
    address: SocketAddr,
    recorder: PrometheusHandle,
    executor: &TaskExecutor,
) -> eyre::Result<SocketAddr> {
    let upkeep = recorder.clone();
    executor.spawn_task("metrics-upkeep", async move {
        let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            interval.tick().await;
            upkeep.run_upkeep();
        }
    });
    let render = |State(recorder): State<PrometheusHandle>| async move {
        metrics_process::Collector::default().collect();
        recorder.render()
    };
    let router =
        Router::new().route("/metrics", get(render)).route("/", get(render)).with_state(recorder);
    serve("metrics", "metrics.port", address, router, executor).await
}

#[derive(Debug, Clone)]
struct StatusState {
    stages: StageRegistry,
    executor: TaskExecutor,
}

/// Serves `/status/health` (503 once shutdown has begun) and `/status/pipeline`; returns the bound address.
///
/// # Errors
/// When the address can't be bound.
pub async fn serve_status(
    address: SocketAddr,
    stages: StageRegistry,
    executor: &TaskExecutor,
) -> eyre::Result<SocketAddr> {
    let state = StatusState { stages, executor: executor.clone() };
    let health = |State(state): State<StatusState>| async move {
        let healthy = !state.executor.on_shutdown_signal().is_signalled();
        let code = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (code, Json(json!({ "healthy": healthy }))).into_response()
    };
    let pipeline = |State(state): State<StatusState>| async move {
        Json(json!({ "components": state.stages.snapshot() }))
    };
    let router = Router::new()
        .route("/status/health", get(health))
        .route("/status/pipeline", get(pipeline))
        .with_state(state);
    serve("status", "status.address", address, router, executor).await
}

async fn serve(
    name: &'static str,
    flag: &str,
    address: SocketAddr,
    router: Router,
    executor: &TaskExecutor,
) -> eyre::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await.wrap_err_with(|| {
        format!("can't listen on {address} for {name}; choose another with --{flag}")
    })?;
    let bound = listener.local_addr()?;
    executor.spawn_critical_with_graceful_shutdown_signal(name, |signal| async move {
        let stop = async move { signal.signalled().await };
        axum::serve(listener, router).with_graceful_shutdown(stop).await?;
        Ok(())
    });
    Ok(bound)
}
