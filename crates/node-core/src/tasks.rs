//! reth: `reth-tasks`. Named tasks; the early end of a critical one stops the node in order.

use futures::FutureExt;
use std::{future::Future, panic::AssertUnwindSafe, time::Duration};
use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error};

/// Why a critical task brought the node down.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// It panicked.
    #[error("task {name} panicked: {message}")]
    Panicked {
        /// Name of the task.
        name: String,
        /// Panic message.
        message: String,
    },
    /// It returned an error.
    #[error("task {name} failed: {message}")]
    Failed {
        /// Name of the task.
        name: String,
        /// The error with its causes.
        message: String,
    },
    /// It returned although the node is not shutting down.
    #[error("task {name} ended early")]
    EndedEarly {
        /// Name of the task.
        name: String,
    },
}

/// Owns the shutdown signal; resolves when a critical task ends.
#[derive(Debug)]
pub struct TaskManager {
    executor: TaskExecutor,
    ended: mpsc::UnboundedReceiver<TaskError>,
}

impl TaskManager {
    /// A manager on a runtime.
    pub fn new(handle: Handle) -> Self {
        // One message per task that ends, so the number of tasks bounds the channel.
        let (sender, ended) = mpsc::unbounded_channel();
        let executor = TaskExecutor {
            handle,
            shutdown: CancellationToken::new(),
            guards: TaskTracker::new(),
            ended: sender,
        };
        Self { executor, ended }
    }

    /// A manager on the runtime of the caller.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn current() -> Self {
        Self::new(Handle::current())
    }

    /// A handle that spawns.
    pub fn executor(&self) -> TaskExecutor {
        self.executor.clone()
    }

    /// Waits for the first critical task that ends while the node runs. Cancel-safe.
    pub async fn wait(&mut self) -> TaskError {
        match self.ended.recv().await {
            Some(error) => error,
            // The manager itself holds a sender, so the channel can't close.
            None => std::future::pending().await,
        }
    }

    /// Fires the shutdown signal and waits until every graceful task has finished, at most `timeout`. Returns whether all of them did.
    pub async fn graceful_shutdown(self, timeout: Duration) -> bool {
        self.executor.initiate_graceful_shutdown();
        self.executor.guards.close();
        tokio::time::timeout(timeout, self.executor.guards.wait()).await.is_ok()
    }
}

/// Spawns named tasks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TaskExecutor {
    handle: Handle,
    shutdown: CancellationToken,
    guards: TaskTracker,
    ended: mpsc::UnboundedSender<TaskError>,
}

/// Resolves when shutdown begins. The task that holds it is waited for.
#[derive(Debug, Clone)]
pub struct GracefulShutdown(CancellationToken);

impl GracefulShutdown {
    /// Waits for the begin of the shutdown. Cancel-safe.
    pub async fn signalled(&self) {
        self.0.cancelled().await;
    }

    /// Whether shutdown has begun.
    pub fn is_signalled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// A signal that never fires, for tests.
    pub fn never() -> Self {
        Self(CancellationToken::new())
    }
}

impl TaskExecutor {
    /// The runtime.
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// A signal to poll for the begin of the shutdown.
    pub fn on_shutdown_signal(&self) -> GracefulShutdown {
        GracefulShutdown(self.shutdown.clone())
    }

    /// Begins the shutdown.
    pub fn initiate_graceful_shutdown(&self) {
        self.shutdown.cancel();
    }

    /// Spawns a task whose end means nothing. Dropped at shutdown.
    pub fn spawn_task(
        &self,
        name: &'static str,
        fut: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let shutdown = self.shutdown.clone();
        debug!(target: "tasks", name, "task spawned");
        self.handle.spawn(async move {
            tokio::select! {
                () = fut => {}
                () = shutdown.cancelled() => {}
            }
        })
    }

    /// Spawns a task that must run as long as the node. At shutdown it is dropped at its current await point, so it has to be cancel-safe.
    // reth: a critical task may return early without anybody noticing; here that stops the node.
    pub fn spawn_critical_task(
        &self,
        name: impl Into<String>,
        fut: impl Future<Output = eyre::Result<()>> + Send + 'static,
    ) -> JoinHandle<()> {
        let name = name.into();
        let this = self.clone();
        debug!(target: "tasks", name, "critical task spawned");
        self.handle.spawn(async move {
            let guarded = AssertUnwindSafe(fut).catch_unwind();
            tokio::select! {
                result = guarded => this.report(name, result),
                () = this.shutdown.cancelled() => {}
            }
        })
    }

    /// Spawns a critical task that gets the shutdown signal and is waited for.
    pub fn spawn_critical_with_graceful_shutdown_signal<F>(
        &self,
        name: impl Into<String>,
        f: impl FnOnce(GracefulShutdown) -> F,
    ) -> JoinHandle<()>
    where
        F: Future<Output = eyre::Result<()>> + Send + 'static,
    {
        let name = name.into();
        let this = self.clone();
        let fut = f(self.on_shutdown_signal());
        debug!(target: "tasks", name, "critical task with graceful shutdown spawned");
        self.handle.spawn(self.guards.track_future(async move {
            let result = AssertUnwindSafe(fut).catch_unwind().await;
            this.report(name, result);
        }))
    }

    /// Runs a critical, blocking function on a thread of its own, named after it. It must poll the signal; it is waited for.
    ///
    /// # Errors
    /// When the thread can't be started.
    pub fn spawn_critical_os_thread(
        &self,
        name: &'static str,
        f: impl FnOnce(GracefulShutdown) -> eyre::Result<()> + Send + 'static,
    ) -> std::io::Result<()> {
        let this = self.clone();
        let guard = self.guards.token();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _guard = guard;
            let signal = this.on_shutdown_signal();
            let result = std::panic::catch_unwind(AssertUnwindSafe(|| f(signal)));
            this.report(name.to_owned(), result);
        })?;
        Ok(())
    }

    /// Runs a blocking function on the blocking pool.
    pub fn spawn_blocking<T: Send + 'static>(
        &self,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        self.handle.spawn_blocking(f)
    }

    fn report(&self, name: String, result: std::thread::Result<eyre::Result<()>>) {
        let shutting_down = self.shutdown.is_cancelled();
        let error = match result {
            Ok(Ok(())) if shutting_down => return,
            Ok(Ok(())) => TaskError::EndedEarly { name },
            Ok(Err(error)) => TaskError::Failed { name, message: format!("{error:#}") },
            Err(panic) => TaskError::Panicked { name, message: panic_message(&panic) },
        };
        error!(target: "tasks", %error, shutting_down, "critical task ended");
        // Fails only after the manager is gone, when nobody is left to act on it.
        let _ = self.ended.send(error);
    }
}

fn panic_message(panic: &Box<dyn std::any::Any + Send>) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
        .unwrap_or_else(|| "unknown panic".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn early_end_and_panic_and_error_are_reported_by_name() {
        let mut manager = TaskManager::current();
        let executor = manager.executor();
        executor.spawn_critical_task("quick", async { Ok(()) });
        assert!(matches!(manager.wait().await, TaskError::EndedEarly { name } if name == "quick"));
        executor.spawn_critical_task("bad", async { eyre::bail!("no disk") });
        let error = manager.wait().await.to_string();
        assert_eq!(error, "task bad failed: no disk");
        executor.spawn_critical_task("worse", async { panic!("boom") });
        assert_eq!(manager.wait().await.to_string(), "task worse panicked: boom");
    }

    #[tokio::test]
    async fn graceful_tasks_are_waited_for() {
        let manager = TaskManager::current();
        let flag = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let set = flag.clone();
        manager.executor().spawn_critical_with_graceful_shutdown_signal(
            "flush",
            |signal| async move {
                signal.signalled().await;
                tokio::task::yield_now().await;
                set.store(true, std::sync::atomic::Ordering::SeqCst);
                Ok(())
            },
        );
        assert!(manager.graceful_shutdown(Duration::from_secs(5)).await);
        assert!(flag.load(std::sync::atomic::Ordering::SeqCst));
    }
}
