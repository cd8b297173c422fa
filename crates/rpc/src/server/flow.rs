//! Flow control of a connection, so that a client that asks fast and reads slowly costs a bounded amount of memory.
//!
//! A WebSocket client may send requests without waiting for answers. Three bounds hold it back instead of refusing: while too many of its requests run, its socket is
//! not read; while too many bytes of answers are unsent, its next request does not start; and a socket that takes or brings nothing for too long is closed.

use super::methods::Calls;
use jsonrpsee::{
    core::{
        middleware::{Batch, Notification, RpcServiceT},
        server::MethodResponse,
    },
    types::Request,
};
use parking_lot::Mutex;
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
    time::{Instant, Sleep},
};

/// Bounds of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlowLimits {
    /// Requests that run at once; a batch counts as one.
    pub(crate) in_flight: usize,
    /// Bytes of answers that wait to be sent before the next request starts.
    pub(crate) unsent: u64,
    /// How long a socket may take nothing while there is something to send.
    pub(crate) stall: Duration,
    /// How long an HTTP client may send nothing while nothing of it runs.
    pub(crate) idle: Duration,
}

impl Default for FlowLimits {
    fn default() -> Self {
        Self {
            in_flight: 256,
            unsent: 64 * 1024 * 1024,
            stall: Duration::from_secs(60),
            idle: Duration::from_secs(75),
        }
    }
}

/// State of one connection, shared by its socket and its requests.
#[derive(Debug)]
pub(super) struct Flow {
    limits: FlowLimits,
    in_flight: AtomicUsize,
    produced: AtomicU64,
    written: AtomicU64,
    upgraded: AtomicBool,
    // Woken whenever bytes were written.
    room: Notify,
    // The reader, while it is held back.
    reader: Mutex<Option<Waker>>,
}

impl Flow {
    /// A new connection.
    pub(super) fn new(limits: FlowLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            in_flight: AtomicUsize::new(0),
            produced: AtomicU64::new(0),
            written: AtomicU64::new(0),
            upgraded: AtomicBool::new(false),
            room: Notify::new(),
            reader: Mutex::new(None),
        })
    }

    /// The connection speaks WebSocket from now on: it may be idle, pings tell whether it lives.
    pub(super) fn set_upgraded(&self) {
        self.upgraded.store(true, Ordering::Relaxed);
    }

    /// Whether the connection speaks WebSocket.
    pub(super) fn is_upgraded(&self) -> bool {
        self.upgraded.load(Ordering::Relaxed)
    }

    fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        InFlight(self.clone())
    }

    fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) > 0
    }

    fn is_full(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) >= self.limits.in_flight
    }

    /// Bytes of answers that are not on the wire yet. Frames and notifications count as written but not as produced, so it is never too high.
    fn unsent(&self) -> u64 {
        let written = self.written.load(Ordering::Acquire);
        self.produced.load(Ordering::Acquire).saturating_sub(written)
    }

    fn has_room(&self) -> bool {
        self.unsent() < self.limits.unsent
    }

    async fn wait_for_room(&self) {
        while !self.has_room() {
            let mut room = std::pin::pin!(self.room.notified());
            // Before the check, or a write between the two would go unseen.
            room.as_mut().enable();
            if self.has_room() {
                return;
            }
            room.await;
        }
    }

    fn produce(&self, bytes: usize) {
        self.produced.fetch_add(bytes as u64, Ordering::AcqRel);
    }
}

/// A running request.
#[derive(Debug)]
struct InFlight(Arc<Flow>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
        if let Some(reader) = self.0.reader.lock().take() {
            reader.wake();
        }
    }
}

/// A socket under flow control, and what its connection holds as long as it is open, whatever it speaks.
#[derive(Debug)]
pub(super) struct FlowIo<S, P> {
    socket: S,
    flow: Arc<Flow>,
    _place: P,
    idle: Option<Idle>,
    stall: Option<Pin<Box<Sleep>>>,
}

/// Watches a client that sends nothing. Its timer is not set anew with each request, but when it fires too early.
#[derive(Debug)]
struct Idle {
    timer: Pin<Box<Sleep>>,
    /// Since when there is nothing to read and nothing runs; `None` while that is not so.
    since: Option<Instant>,
}

impl Idle {
    fn new(limit: Duration) -> Self {
        Self { timer: Box::pin(tokio::time::sleep(limit)), since: None }
    }

    /// Ends the wait when nothing has come for so long.
    fn poll(&mut self, limit: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        loop {
            std::task::ready!(self.timer.as_mut().poll(cx));
            if since.elapsed() >= limit {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(since + limit);
        }
    }
}

impl<S, P> FlowIo<S, P> {
    /// Puts a socket under the control of `flow`. `place` is dropped with it.
    pub(super) const fn new(socket: S, flow: Arc<Flow>, place: P) -> Self {
        Self { socket, flow, _place: place, idle: None, stall: None }
    }

    /// Ends the wait for a socket that does nothing for too long.
    fn poll_timer(
        timer: &mut Option<Pin<Box<Sleep>>>,
        limit: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<io::Error> {
        let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        timer.as_mut().poll(cx).map(|()| io::ErrorKind::TimedOut.into())
    }

    fn wrote(&mut self, result: &Poll<io::Result<usize>>) {
        if let Poll::Ready(result) = result {
            self.stall = None;
            if let Ok(bytes) = result {
                self.flow.written.fetch_add(*bytes as u64, Ordering::AcqRel);
                self.flow.room.notify_waiters();
            }
        }
    }
}

impl<S: AsyncRead + Unpin, P: Unpin> AsyncRead for FlowIo<S, P> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.flow.is_full() {
            *this.flow.reader.lock() = Some(cx.waker().clone());
            // A request may have ended before the waker stood there.
            if this.flow.is_full() {
                return Poll::Pending;
            }
        }
        match Pin::new(&mut this.socket).poll_read(cx, buf) {
            Poll::Pending if !this.flow.is_busy() && !this.flow.is_upgraded() => {
                let limit = this.flow.limits.idle;
                let idle = this.idle.get_or_insert_with(|| Idle::new(limit));
                idle.poll(limit, cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
            }
            result => {
                if let Some(idle) = &mut this.idle {
                    idle.since = None;
                }
                result
            }
        }
    }
}

impl<S: AsyncWrite + Unpin, P: Unpin> AsyncWrite for FlowIo<S, P> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let result = Pin::new(&mut this.socket).poll_write(cx, buf);
        this.wrote(&result);
        if result.is_pending() {
            return Self::poll_timer(&mut this.stall, this.flow.limits.stall, cx).map(Err);
        }
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let result = Pin::new(&mut this.socket).poll_write_vectored(cx, bufs);
        this.wrote(&result);
        if result.is_pending() {
            return Self::poll_timer(&mut this.stall, this.flow.limits.stall, cx).map(Err);
        }
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// Lets requests run as the [`Flow`] in their extensions allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct FlowLayer;

impl<S> tower::Layer<S> for FlowLayer {
    type Service = FlowService<S>;

    fn layer(&self, service: S) -> FlowService<S> {
        FlowService { service }
    }
}

/// Service of [`FlowLayer`].
#[derive(Debug, Clone)]
pub(super) struct FlowService<S> {
    service: S,
}

async fn run(
    flow: Option<Arc<Flow>>,
    request: impl Future<Output = MethodResponse> + Send,
) -> MethodResponse {
    let Some(flow) = flow else { return request.await };
    let _in_flight = flow.enter();
    flow.wait_for_room().await;
    let response = request.await;
    flow.produce(response.as_json().get().len());
    response
}

impl<S> RpcServiceT for FlowService<S>
where
    S: Calls,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let service = self.service.clone();
        let flow = request.extensions().get::<Arc<Flow>>().cloned();
        run(flow, async move { service.call(request).await })
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let service = self.service.clone();
        let flow = batch
            .iter()
            .filter_map(|entry| entry.as_ref().ok())
            .find_map(|entry| entry.extensions().get::<Arc<Flow>>().cloned());
        run(flow, async move { service.batch(batch).await })
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        let service = self.service.clone();
        async move { service.notification(notification).await }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const TIMEOUT: Duration = Duration::from_secs(5);

    fn limits() -> FlowLimits {
        FlowLimits {
            in_flight: 2,
            unsent: 10,
            stall: Duration::from_millis(20),
            idle: Duration::from_millis(20),
        }
    }

    #[tokio::test]
    async fn a_full_connection_is_not_read() {
        let flow = Flow::new(limits());
        let (mut client, server) = tokio::io::duplex(64);
        let mut server = FlowIo::new(server, flow.clone(), ());
        client.write_all(b"ab").await.unwrap();
        let first = flow.enter();
        assert_eq!(server.read_u8().await.unwrap(), b'a');
        let _second = flow.enter();
        let mut read = std::pin::pin!(server.read_u8());
        let mut context = Context::from_waker(Waker::noop());
        assert!(read.as_mut().poll(&mut context).is_pending());
        let waiting = tokio::spawn(async move {
            tokio::task::yield_now().await;
            drop(first);
        });
        assert_eq!(tokio::time::timeout(TIMEOUT, read).await.unwrap().unwrap(), b'b');
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn unsent_answers_hold_back_requests() {
        let flow = Flow::new(limits());
        let (mut client, server) = tokio::io::duplex(64);
        let mut server = FlowIo::new(server, flow.clone(), ());
        flow.wait_for_room().await;
        flow.produce(12);
        let mut room = std::pin::pin!(flow.wait_for_room());
        let mut context = Context::from_waker(Waker::noop());
        assert!(room.as_mut().poll(&mut context).is_pending());
        server.write_all(b"12").await.unwrap();
        assert!(room.as_mut().poll(&mut context).is_pending());
        server.write_all(b"3").await.unwrap();
        tokio::time::timeout(TIMEOUT, room).await.unwrap();
        let mut read = [0; 3];
        client.read_exact(&mut read).await.unwrap();
    }

    #[tokio::test]
    async fn dead_sockets_are_given_up() {
        let flow = Flow::new(limits());
        let (_client, server) = tokio::io::duplex(4);
        let mut server = FlowIo::new(server, flow.clone(), ());
        let error = tokio::time::timeout(TIMEOUT, server.write_all(&[0; 64])).await.unwrap();
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let error = tokio::time::timeout(TIMEOUT, server.read_u8()).await.unwrap();
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::TimedOut);
        // A WebSocket may be silent.
        flow.set_upgraded();
        let mut read = std::pin::pin!(server.read_u8());
        let mut context = Context::from_waker(Waker::noop());
        assert!(read.as_mut().poll(&mut context).is_pending());
    }
}
