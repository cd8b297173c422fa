use parking_lot::{Condvar, Mutex};
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};
use zkos_primitives::ReplayRecord;
use zkos_storage_api::{ProviderError, ProviderResult};

/// How the background threads are to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They go on.
    Run,
    /// They end when everything is written.
    Drain,
    /// They end at once: what is not written is left to the next start.
    Abandon,
}

/// Progress of the two background threads, and the queue of the first one.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Last appended block.
    pub(crate) tip: u64,
    /// Last block in the log, synced.
    pub(crate) durable: u64,
    /// Last block in the derived databases.
    pub(crate) flushed: u64,
    /// Records that the log has not taken yet, ascending. Bounded by the back-pressure of `append`.
    pub(crate) queue: VecDeque<Arc<ReplayRecord>>,
    /// Transactions in blocks that are not flushed.
    pub(crate) unflushed_transactions: usize,
    pub(crate) mode: Mode,
    /// Why writing has stopped.
    pub(crate) stopped: Option<String>,
}

/// Where the engine's thread and the two background threads meet.
#[derive(Debug)]
pub(crate) struct Pipeline {
    progress: Mutex<Progress>,
    /// Signalled on any change of progress; there are four waiters at most.
    changed: Condvar,
}

impl Pipeline {
    pub(crate) fn new(tip: u64, durable: u64) -> Self {
        let progress = Progress {
            tip,
            durable,
            flushed: tip,
            queue: VecDeque::new(),
            unflushed_transactions: 0,
            mode: Mode::Run,
            stopped: None,
        };
        Self { progress: Mutex::new(progress), changed: Condvar::new() }
    }

    /// Reads progress.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Progress) -> T) -> T {
        read(&self.progress.lock())
    }

    /// Changes progress and wakes whoever waits.
    pub(crate) fn update<T>(&self, update: impl FnOnce(&mut Progress) -> T) -> T {
        let result = update(&mut self.progress.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until `ready` gives a value.
    pub(crate) fn wait<T>(&self, mut ready: impl FnMut(&mut Progress) -> Option<T>) -> T {
        let mut progress = self.progress.lock();
        loop {
            if let Some(value) = ready(&mut progress) {
                drop(progress);
                self.changed.notify_all();
                return value;
            }
            self.changed.wait(&mut progress);
        }
    }

    /// Waits until `ready` or until the time is over.
    pub(crate) fn wait_for(&self, time: Duration, mut ready: impl FnMut(&Progress) -> bool) {
        let deadline = Instant::now() + time;
        let mut progress = self.progress.lock();
        while !ready(&progress) {
            if self.changed.wait_until(&mut progress, deadline).timed_out() {
                return;
            }
        }
    }

    /// Waits like [`Self::wait`]; gives the reason when writing stops meanwhile.
    pub(crate) fn wait_running<T>(
        &self,
        mut ready: impl FnMut(&mut Progress) -> Option<T>,
    ) -> ProviderResult<T> {
        self.wait(|progress| match &progress.stopped {
            Some(reason) => Some(Err(ProviderError::WriterStopped(reason.clone()))),
            None => ready(progress).map(Ok),
        })
    }

    /// Stops writing for good. The first reason stays.
    pub(crate) fn stop(&self, reason: impl Into<String>) {
        self.update(|progress| {
            if progress.stopped.is_none() {
                progress.stopped = Some(reason.into());
            }
        });
    }

    /// Error if writing has stopped.
    pub(crate) fn check(&self) -> ProviderResult<()> {
        self.read(|progress| match &progress.stopped {
            Some(reason) => Err(ProviderError::WriterStopped(reason.clone())),
            None => Ok(()),
        })
    }
}
