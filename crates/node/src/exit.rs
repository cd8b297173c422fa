//! reth: `node/core/src/exit.rs`.

use futures::future::BoxFuture;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use zkos_engine::EngineHandle;

/// Resolves when the engine has stopped: `Ok` at shutdown, an error otherwise (its cause is reported by the task that failed).
pub struct NodeExitFuture {
    inner: BoxFuture<'static, eyre::Result<()>>,
}

impl NodeExitFuture {
    pub(crate) fn new(engine: EngineHandle, shutdown: zkos_node_core::GracefulShutdown) -> Self {
        let inner = Box::pin(async move {
            engine.stopped().await;
            if shutdown.is_signalled() {
                Ok(())
            } else {
                Err(eyre::eyre!("the engine has stopped"))
            }
        });
        Self { inner }
    }
}

impl fmt::Debug for NodeExitFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeExitFuture")
    }
}

impl Future for NodeExitFuture {
    type Output = eyre::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.as_mut().poll(cx)
    }
}
