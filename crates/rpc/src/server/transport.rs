//! Which namespaces each transport serves.

use super::methods::Calls;
use super::modules::namespace;
use http::Extensions;
use jsonrpsee::{
    core::{
        middleware::{Batch, Notification, RpcServiceT},
        server::MethodResponse,
    },
    types::{ErrorCode, ErrorObjectOwned, Request},
};
use std::sync::Arc;
use zkos_node_core::args::RpcModuleSelection;

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Http,
    Ws,
    Ipc,
}

/// The user's choice for each transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TransportSelection {
    pub(super) http: RpcModuleSelection,
    pub(super) ws: RpcModuleSelection,
    pub(super) ipc: RpcModuleSelection,
}

impl TransportSelection {
    /// Whether any transport serves a namespace.
    pub(super) fn contains(&self, namespace: &str) -> bool {
        [&self.http, &self.ws, &self.ipc].iter().any(|selection| selection.contains(namespace))
    }

    /// Whether the transport of a request serves a namespace. A request of unknown origin was made by the node itself.
    pub(super) fn serves(&self, extensions: &Extensions, namespace: &str) -> bool {
        // Tells what there is, and is there itself wherever anything is.
        if namespace == "rpc" {
            return true;
        }
        match extensions.get::<Transport>() {
            Some(Transport::Http) => self.http.contains(namespace),
            Some(Transport::Ws) => self.ws.contains(namespace),
            Some(Transport::Ipc) => self.ipc.contains(namespace),
            None => self.contains(namespace),
        }
    }
}

/// Answers `method not found` for methods that the transport of a request does not serve.
#[derive(Debug, Clone)]
pub(super) struct TransportLayer {
    // Every request makes clones of it.
    selection: Arc<TransportSelection>,
}

impl TransportLayer {
    /// A layer for what the user chose.
    pub(super) fn new(selection: TransportSelection) -> Self {
        Self { selection: Arc::new(selection) }
    }

    /// Why a request is not served.
    fn refusal(&self, request: &Request<'_>) -> Option<ErrorObjectOwned> {
        let served = self.selection.serves(request.extensions(), namespace(request.method_name()));
        (!served).then(|| ErrorCode::MethodNotFound.into())
    }
}

impl<S> tower::Layer<S> for TransportLayer {
    type Service = TransportService<S>;

    fn layer(&self, service: S) -> TransportService<S> {
        TransportService { service, layer: self.clone() }
    }
}

/// Service of [`TransportLayer`].
#[derive(Debug, Clone)]
pub(super) struct TransportService<S> {
    service: S,
    layer: TransportLayer,
}

impl<S> RpcServiceT for TransportService<S>
where
    S: Calls,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let refusal = self.layer.refusal(&request);
        let service = self.service.clone();
        async move {
            match refusal {
                Some(error) => MethodResponse::error(request.id, error),
                None => service.call(request).await,
            }
        }
    }

    // Entries of a batch come one by one from the layer above.
    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let service = self.service.clone();
        async move { service.batch(batch).await }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        let service = self.service.clone();
        async move { service.notification(notification).await }
    }
}
