//! Calling the methods.

use super::{id::HexIdProvider, metrics::answer_batch};
use jsonrpsee::{
    BoundedSubscriptions, ConnectionId, MethodCallback, MethodSink, Methods, SubscriptionState,
    core::{
        middleware::{Batch, Notification, RpcServiceT},
        server::MethodResponse,
    },
    types::{ErrorCode, ErrorObjectOwned, Params, Request, error::reject_too_many_subscriptions},
};
use serde_json::value::RawValue;

/// A service that answers calls, notifications and batches: [`MethodsService`], jsonrpsee's own, and every layer around them.
pub(super) trait Calls:
    RpcServiceT<
        MethodResponse = MethodResponse,
        NotificationResponse = MethodResponse,
        BatchResponse = MethodResponse,
    > + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Calls for S where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            NotificationResponse = MethodResponse,
            BatchResponse = MethodResponse,
        > + Clone
        + Send
        + Sync
        + 'static
{
}

/// Calls the methods; the innermost service of a connection. (That of jsonrpsee's own server can't be made outside of it.)
#[derive(Debug, Clone)]
pub(super) struct MethodsService {
    pub(super) methods: Methods,
    pub(super) connection: ConnectionId,
    /// `None` where there is no way for what subscriptions send.
    pub(super) subscriptions: Option<Subscriptions>,
    /// Bytes.
    pub(super) max_response: usize,
}

/// Subscriptions of a connection.
#[derive(Debug, Clone)]
pub(super) struct Subscriptions {
    pub(super) places: BoundedSubscriptions,
    /// Where they send to.
    pub(super) sink: MethodSink,
}

/// What HTTP clients hear (geth's words).
fn no_subscriptions() -> ErrorObjectOwned {
    let code = ErrorCode::MethodNotFound.code();
    ErrorObjectOwned::owned(code, "notifications not supported over HTTP", None::<()>)
}

impl MethodsService {
    async fn respond(self, request: Request<'_>) -> MethodResponse {
        let Request { id, method, params, extensions, .. } = request;
        let params = Params::new(params.as_deref().map(RawValue::get));
        match self.methods.method(&method) {
            Some(MethodCallback::Sync(call)) => call(id, params, self.max_response, extensions),
            Some(MethodCallback::Async(call)) => {
                let (id, params) = (id.into_owned(), params.into_owned());
                call(id, params, self.connection, self.max_response, extensions).await
            }
            Some(MethodCallback::Subscription(subscribe)) => {
                let Some(Subscriptions { places, sink }) = self.subscriptions else {
                    return MethodResponse::error(id, no_subscriptions());
                };
                let Some(subscription_permit) = places.acquire() else {
                    return MethodResponse::error(id, reject_too_many_subscriptions(places.max()));
                };
                let state = SubscriptionState {
                    conn_id: self.connection,
                    id_provider: &HexIdProvider,
                    subscription_permit,
                };
                subscribe(id, params, sink, state, extensions).await
            }
            Some(MethodCallback::Unsubscription(_)) if self.subscriptions.is_none() => {
                MethodResponse::error(id, no_subscriptions())
            }
            Some(MethodCallback::Unsubscription(unsubscribe)) => {
                unsubscribe(id, params, self.connection, self.max_response, extensions)
            }
            None => MethodResponse::error(id, ErrorObjectOwned::from(ErrorCode::MethodNotFound)),
        }
    }
}

impl RpcServiceT for MethodsService {
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.clone().respond(request)
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let this = self.clone();
        async move { answer_batch(&this, batch, this.max_response).await }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        // Nothing is done for a client that does not want to know of it.
        std::future::ready(MethodResponse::notification().with_extensions(notification.extensions))
    }
}
