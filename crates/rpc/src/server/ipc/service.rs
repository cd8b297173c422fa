use crate::server::{id::HexIdProvider, metrics::answer_batch};
use jsonrpsee::{
    BoundedSubscriptions, ConnectionId, Extensions, MethodCallback, MethodSink, Methods,
    SubscriptionState,
    core::{
        middleware::{Batch, BatchEntry, BatchEntryErr, Notification, RpcServiceT},
        server::{MethodResponse, helpers::prepare_error},
    },
    types::{
        ErrorCode, ErrorObjectOwned, Id, Params, Request,
        error::{reject_too_big_batch_request, reject_too_many_subscriptions},
    },
};
use serde_json::value::RawValue;

/// Calls the methods; the innermost service of a connection. (That of jsonrpsee's own server can't be made outside of it.)
#[derive(Debug, Clone)]
pub(in crate::server) struct MethodsService {
    pub(super) methods: Methods,
    pub(super) connection: ConnectionId,
    pub(super) subscriptions: BoundedSubscriptions,
    /// Where subscriptions send to.
    pub(super) sink: MethodSink,
    /// Bytes.
    pub(super) max_response: usize,
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
                let Some(subscription_permit) = self.subscriptions.acquire() else {
                    let error = reject_too_many_subscriptions(self.subscriptions.max());
                    return MethodResponse::error(id, error);
                };
                let state = SubscriptionState {
                    conn_id: self.connection,
                    id_provider: &HexIdProvider,
                    subscription_permit,
                };
                subscribe(id, params, self.sink.clone(), state, extensions).await
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

/// Answers one text: a call, a notification, or a batch of them.
pub(super) async fn answer<S>(
    service: &S,
    text: &[u8],
    max_batch: u32,
    extensions: &Extensions,
) -> MethodResponse
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            NotificationResponse = MethodResponse,
            BatchResponse = MethodResponse,
        > + Send
        + Sync,
{
    if text.first() != Some(&b'[') {
        return match entry(text, extensions) {
            Ok(BatchEntry::Call(request)) => service.call(request).await,
            Ok(BatchEntry::Notification(notification)) => service.notification(notification).await,
            Err((id, code)) => MethodResponse::error(id, ErrorObjectOwned::from(code)),
        };
    }
    let Ok(texts) = serde_json::from_slice::<Vec<&RawValue>>(text) else {
        return MethodResponse::error(Id::Null, ErrorObjectOwned::from(ErrorCode::ParseError));
    };
    if texts.len() > max_batch as usize {
        return MethodResponse::error(Id::Null, reject_too_big_batch_request(max_batch as usize));
    }
    let entries = texts.into_iter().map(|text| {
        entry(text.get().as_bytes(), extensions)
            .map_err(|(id, _)| BatchEntryErr::new(id, ErrorCode::InvalidRequest.into()))
    });
    service.batch(Batch::from(entries.collect())).await
}

fn entry<'a>(
    text: &'a [u8],
    extensions: &Extensions,
) -> Result<BatchEntry<'a>, (Id<'a>, ErrorCode)> {
    if let Ok(mut request) = serde_json::from_slice::<Request<'a>>(text) {
        request.extensions = extensions.clone();
        return Ok(BatchEntry::Call(request));
    }
    if let Ok(mut notification) = serde_json::from_slice::<Notification<'a>>(text) {
        notification.extensions = extensions.clone();
        return Ok(BatchEntry::Notification(notification));
    }
    Err(prepare_error(text))
}
