//! Threads that serve connections, each with a runtime of its own.
//!
//! A connection stays on its thread: what comes in is answered where it was received, without waking another thread and without being stolen by one. (On a runtime of many
//! threads every request costs such a wake-up, which is much of what a short one takes.) The price is that whoever keeps a thread keeps all of its connections waiting, so
//! only short methods run here; see [`super::short`].

use std::{io, sync::Arc, thread};
use tokio::{runtime, sync::oneshot};

/// Threads that serve connections. They end when this is dropped, and with them what still runs on them.
#[derive(Debug)]
pub(super) struct ConnectionThreads(Vec<ConnectionThread>);

#[derive(Debug)]
struct ConnectionThread {
    runtime: runtime::Handle,
    /// One clone per connection.
    connections: Arc<()>,
    /// Ends the thread when it is dropped.
    _end: oneshot::Sender<()>,
}

impl ConnectionThreads {
    /// Starts so many threads, at least one.
    ///
    /// # Errors
    /// When the system gives no thread or no selector.
    pub(super) fn start(count: usize) -> io::Result<Self> {
        (0..count.max(1)).map(ConnectionThread::start).collect::<io::Result<_>>().map(Self)
    }

    /// A seat on the thread that has the fewest connections. `None` without threads.
    pub(super) fn seat(&self) -> Option<Seat> {
        let load = |thread: &&ConnectionThread| Arc::strong_count(&thread.connections);
        let ConnectionThread { runtime, connections, .. } = self.0.iter().min_by_key(load)?;
        Some(Seat { runtime: runtime.clone(), _connection: connections.clone() })
    }
}

/// A connection's seat on a thread.
#[derive(Debug)]
pub(super) struct Seat {
    /// Runtime of the thread.
    pub(super) runtime: runtime::Handle,
    _connection: Arc<()>,
}

impl ConnectionThread {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        let serve = move || {
            // An error says that the sender is gone, which is the signal.
            let _ = runtime.block_on(ended);
        };
        thread::Builder::new().name(format!("zkos-rpc-{number}")).spawn(serve)?;
        Ok(Self { runtime: handle, connections: Arc::new(()), _end: end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_go_where_there_are_fewest() {
        let threads = ConnectionThreads::start(2).unwrap();
        let id = |seat: &Seat| seat.runtime.id();
        let [first, second, third] = [(); 3].map(|()| threads.seat().unwrap());
        assert_ne!(id(&first), id(&second));
        assert_eq!(id(&first), id(&third));
        let freed = id(&second);
        drop(second);
        assert_eq!(id(&threads.seat().unwrap()), freed);
    }

    #[tokio::test]
    async fn what_runs_ends_with_the_threads() {
        let threads = ConnectionThreads::start(1).unwrap();
        let seat = threads.seat().unwrap();
        let name = seat.runtime.spawn(async { thread::current().name().map(str::to_owned) });
        assert_eq!(name.await.unwrap().as_deref(), Some("zkos-rpc-0"));
        let endless = seat.runtime.spawn(std::future::pending::<()>());
        drop(threads);
        assert!(endless.await.unwrap_err().is_cancelled());
    }
}
