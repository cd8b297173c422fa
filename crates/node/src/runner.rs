//! reth: `cli/runner`. Runs a command until it ends, a critical task fails or a signal comes.

use std::{future::Future, time::Duration};
use tracing::{error, info, warn};
use zkos_node_core::{TaskError, TaskExecutor, TaskManager};

/// How long a failed command waits for the report of a failed task, which is the better error.
const TASK_REPORT_DELAY: Duration = Duration::from_millis(200);

/// What a command gets.
#[derive(Debug, Clone)]
pub struct CliContext {
    /// Where the command spawns its tasks.
    pub task_executor: TaskExecutor,
}

/// Settings of the runner.
#[derive(Debug, Clone, Copy)]
pub struct CliRunnerConfig {
    /// How long tasks may take to end after the signal.
    pub graceful_shutdown_timeout: Duration,
}

impl Default for CliRunnerConfig {
    fn default() -> Self {
        Self { graceful_shutdown_timeout: Duration::from_secs(30) }
    }
}

/// Owns the runtime.
#[derive(Debug)]
pub struct CliRunner {
    runtime: tokio::runtime::Runtime,
    config: CliRunnerConfig,
}

impl CliRunner {
    /// A runner on a new multi-threaded runtime.
    ///
    /// # Errors
    /// When the runtime can't be started.
    pub fn try_default_runtime() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("zkos-tokio")
            .build()?;
        Ok(Self { runtime, config: CliRunnerConfig::default() })
    }

    /// Sets the timeouts.
    #[must_use]
    pub const fn with_config(mut self, config: CliRunnerConfig) -> Self {
        self.config = config;
        self
    }

    /// Runs a command that needs no tasks.
    ///
    /// # Errors
    /// The command's.
    pub fn block_on<T>(&self, fut: impl Future<Output = eyre::Result<T>>) -> eyre::Result<T> {
        self.runtime.block_on(fut)
    }

    /// Runs a command until it ends, a critical task ends, or SIGINT or SIGTERM comes, then shuts all tasks down in order. A second signal ends the wait.
    ///
    /// # Errors
    /// The command's, or that of the task that ended.
    // reth: after an error the graceful shutdown is left out; here databases are flushed in any case.
    pub fn run_command_until_exit<F>(
        self,
        command: impl FnOnce(CliContext) -> F,
    ) -> eyre::Result<()>
    where
        F: Future<Output = eyre::Result<()>>,
    {
        let Self { runtime, config } = self;
        let mut manager = TaskManager::new(runtime.handle().clone());
        let context = CliContext { task_executor: manager.executor() };
        let result = runtime.block_on(async {
            let command = command(context);
            tokio::pin!(command);
            let result = tokio::select! {
                biased;
                signal = shutdown_signal() => signal.map(|name| info!(target: "cli", signal = name, "shutting down")),
                ended = manager.wait() => Err(ended.into()),
                result = &mut command => match result {
                    // The end of the engine is seen here too; the task that failed knows more, and says so in a moment.
                    Err(error) => match tokio::time::timeout(TASK_REPORT_DELAY, manager.wait()).await {
                        // A launch that is given up takes the tasks with it that were started already: they end because of the error.
                        Ok(TaskError::EndedEarly { .. }) | Err(_) => Err(error),
                        Ok(ended) => Err(ended.into()),
                    },
                    Ok(()) => Ok(()),
                },
            };
            if let Err(error) = &result {
                error!(target: "cli", error = format!("{error:#}"), "shutting down after a failure");
            }
            let timeout = config.graceful_shutdown_timeout;
            tokio::select! {
                done = manager.graceful_shutdown(timeout) => {
                    if !done {
                        warn!(target: "cli", ?timeout, "some tasks did not end in time");
                    }
                }
                _ = shutdown_signal() => warn!(target: "cli", "second signal, not waiting any longer"),
            }
            result
        });
        // Blocking work that is still running must not hold the process up.
        runtime.shutdown_timeout(Duration::from_secs(1));
        result
    }
}

/// Waits for SIGINT or SIGTERM and returns its name.
async fn shutdown_signal() -> eyre::Result<&'static str> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result.map(|()| "SIGINT").map_err(Into::into),
            _ = terminate.recv() => Ok("SIGTERM"),
        }
    }
    #[cfg(not(unix))]
    {
        tokio::signal::ctrl_c().await?;
        Ok("ctrl-c")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    #[test]
    fn a_failed_task_ends_the_command_after_graceful_tasks_are_done() {
        let flushed = Arc::new(AtomicBool::new(false));
        let set = flushed.clone();
        let result =
            CliRunner::try_default_runtime().unwrap().run_command_until_exit(|ctx| async move {
                ctx.task_executor.spawn_critical_with_graceful_shutdown_signal(
                    "flush",
                    |signal| async move {
                        signal.signalled().await;
                        set.store(true, Ordering::SeqCst);
                        Ok(())
                    },
                );
                ctx.task_executor.spawn_critical_task("watcher", async { eyre::bail!("no l1") });
                std::future::pending().await
            });
        assert_eq!(result.unwrap_err().to_string(), "task watcher failed: no l1");
        assert!(flushed.load(Ordering::SeqCst));
    }

    #[test]
    fn a_command_that_fails_is_not_blamed_on_tasks_that_end_with_it() {
        let result =
            CliRunner::try_default_runtime().unwrap().run_command_until_exit(|ctx| async move {
                let (input, mut output) = tokio::sync::mpsc::channel::<()>(1);
                ctx.task_executor.spawn_critical_task("follower", async move {
                    output.recv().await;
                    Ok(())
                });
                drop(input);
                eyre::bail!("can't open the index")
            });
        assert_eq!(result.unwrap_err().to_string(), "can't open the index");
    }

    #[test]
    fn a_command_that_ends_ends_the_process_cleanly() {
        let runner = CliRunner::try_default_runtime().unwrap();
        runner.run_command_until_exit(|_| async { Ok(()) }).unwrap();
    }
}
