use super::{
    IpcConfig,
    answer::answer,
    frames::{FrameError, Frames},
};
use crate::server::{
    MAX_SUBSCRIPTIONS_PER_CONNECTION, MESSAGE_BUFFER_CAPACITY,
    flow::{Flow, FlowIo},
    methods::{Calls, MethodsService, Subscriptions},
    transport::Transport,
};
use jsonrpsee::{
    BoundedSubscriptions, ConnectionId, Extensions, MethodSink,
    core::server::MethodResponse,
    server::StopHandle,
    types::{ErrorCode, ErrorObject, Id, error::reject_too_big_request},
};
use serde_json::value::RawValue;
use std::{io, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter},
    sync::{mpsc, oneshot},
    task::JoinSet,
};

/// One connection.
#[derive(Debug)]
pub(super) struct IpcConnection {
    max_request: usize,
    max_batch: u32,
    /// Requests that run at once.
    max_running: usize,
    flow: Arc<Flow>,
    sink: MethodSink,
    messages: mpsc::Receiver<Box<RawValue>>,
    stop: StopHandle,
}

impl IpcConnection {
    /// A connection, and what calls methods for it.
    pub(super) fn new(
        config: &IpcConfig,
        number: usize,
        stop: StopHandle,
    ) -> (Self, MethodsService) {
        let (sender, messages) = mpsc::channel(MESSAGE_BUFFER_CAPACITY as usize);
        let sink = MethodSink::new_with_limit(sender, config.max_response);
        let service = MethodsService {
            methods: config.methods.clone(),
            connection: ConnectionId(number),
            subscriptions: Some(Subscriptions {
                places: BoundedSubscriptions::new(MAX_SUBSCRIPTIONS_PER_CONNECTION),
                sink: sink.clone(),
            }),
            max_response: config.max_response as usize,
        };
        let flow = Flow::new(config.limits);
        // A client on the same machine may be silent: when it is gone, the system says so.
        flow.set_upgraded();
        let connection = Self {
            max_request: config.max_request,
            max_batch: config.max_batch,
            max_running: config.limits.in_flight,
            flow,
            sink,
            messages,
            stop,
        };
        (connection, service)
    }

    /// Answers until the client has said everything, is gone, or the server is stopped; requests that run then are still answered.
    pub(super) async fn serve<S>(
        self,
        socket: impl AsyncRead + AsyncWrite + Unpin,
        service: S,
    ) -> Result<(), FrameError>
    where
        S: Calls,
    {
        let Self { max_request, max_batch, max_running, flow, sink, messages, stop } = self;
        let (reader, writer) = tokio::io::split(FlowIo::new(socket, flow.clone(), ()));
        let mut extensions = Extensions::new();
        extensions.insert(Transport::Ipc);
        extensions.insert(flow);
        let (finish, finished) = oneshot::channel();
        let mut writing = std::pin::pin!(write(writer, messages, finished));

        let reading = async move {
            let mut frames = Frames::new(reader, max_request);
            // Aborted when dropped: nobody is left to hear.
            let mut running = JoinSet::new();
            let mut stopped = std::pin::pin!(stop.shutdown());
            let end = loop {
                let next = tokio::select! {
                    () = &mut stopped => break Ok(()),
                    Some(_) = running.join_next() => continue,
                    next = frames.next(), if running.len() < max_running => next,
                };
                let error: ErrorObject<'_> = match next {
                    Ok(Some(text)) => {
                        let (service, sink) = (service.clone(), sink.clone());
                        let extensions = extensions.clone();
                        running.spawn(async move {
                            let response = answer(&service, &text, max_batch, &extensions).await;
                            send(&sink, response).await;
                        });
                        continue;
                    }
                    Ok(None) => break Ok(()),
                    Err(FrameError::TooLarge(max)) => {
                        reject_too_big_request(u32::try_from(max).unwrap_or(u32::MAX))
                    }
                    Err(FrameError::NotJson) => ErrorCode::ParseError.into(),
                    Err(error) => break Err(error),
                };
                // Where the next request begins is not known.
                let _ = sink.send_error(Id::Null, error).await;
                break Ok(());
            };
            if end.is_ok() {
                while running.join_next().await.is_some() {}
            }
            end
        };
        tokio::select! {
            // Nobody takes answers any more.
            written = &mut writing => Ok(written?),
            end = reading => {
                // What was answered goes out; subscriptions end here.
                let _ = finish.send(());
                let written = writing.await;
                end?;
                Ok(written?)
            }
        }
    }
}

/// Passes an answer on. Subscriptions have answered by themselves, notifications get no answer.
async fn send(sink: &MethodSink, response: MethodResponse) {
    if !response.is_method_call() && !response.is_batch() {
        return;
    }
    let success = response.is_success();
    let (json, told, _) = response.into_parts();
    if sink.send(json).await.is_ok()
        && let Some(told) = told
    {
        told.notify(success);
    }
}

/// Writes answers, each on a line, until `finished`; what waits then is still written.
async fn write(
    writer: impl AsyncWrite + Unpin,
    mut messages: mpsc::Receiver<Box<RawValue>>,
    mut finished: oneshot::Receiver<()>,
) -> io::Result<()> {
    let mut writer = BufWriter::new(writer);
    let mut open = true;
    loop {
        let message = tokio::select! {
            message = messages.recv() => message,
            _ = &mut finished, if open => {
                open = false;
                messages.close();
                continue;
            }
        };
        let Some(message) = message else { break };
        writer.write_all(message.get().as_bytes()).await?;
        writer.write_all(b"\n").await?;
        if messages.is_empty() {
            writer.flush().await?;
        }
    }
    writer.shutdown().await
}
