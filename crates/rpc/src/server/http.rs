//! Calls over HTTP, answered by one service that is made once. (jsonrpsee's own server makes one for each request.)

use super::methods::Calls;
use ::http::Request;
use hyper::body::Incoming;
use jsonrpsee::{
    core::BoxError,
    server::{BatchRequestConfig, HttpResponse, http::call_with_service},
};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tower::Service;

/// Answers HTTP requests: each a call, a notification, or a batch of them.
#[derive(Debug, Clone)]
pub(super) struct HttpCalls<S> {
    /// What answers calls.
    pub(super) service: S,
    /// Bound of batches.
    pub(super) batch: BatchRequestConfig,
    /// Largest body of a request, bytes.
    pub(super) max_request: u32,
}

impl<S> Service<Request<Incoming>> for HttpCalls<S>
where
    S: Calls,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let Self { service, batch, max_request } = self.clone();
        Box::pin(async move { Ok(call_with_service(request, batch, max_request, service).await) })
    }
}
