use super::methods::Calls;
use jsonrpsee::{
    core::{
        middleware::{Batch, BatchEntry, Notification, RpcServiceT},
        server::{BatchResponseBuilder, MethodResponse},
    },
    types::Request,
};
use metrics::{Counter, Histogram, counter, histogram};
use std::{collections::HashMap, sync::Arc, time::Instant};

/// Label of methods that do not exist, so that callers can't create series.
const UNKNOWN: &str = "unknown";

/// Measures every call: `rpc_request_duration_seconds` and `rpc_requests_total` by method, `rpc_errors_total` by method and code, also inside batches.
#[derive(Debug, Clone)]
pub struct RpcMetricsLayer {
    // Every HTTP request makes clones of it.
    inner: Arc<MetricsInner>,
}

#[derive(Debug)]
struct MetricsInner {
    methods: HashMap<&'static str, Arc<MethodMetrics>>,
    unknown: Arc<MethodMetrics>,
    max_response: usize,
}

#[derive(Debug)]
struct MethodMetrics {
    name: &'static str,
    duration: Histogram,
    requests: Counter,
}

impl MethodMetrics {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            duration: histogram!("rpc_request_duration_seconds", "method" => name),
            requests: counter!("rpc_requests_total", "method" => name),
        }
    }

    fn record(&self, started: Instant, response: &MethodResponse) {
        self.requests.increment(1);
        self.duration.record(started.elapsed().as_secs_f64());
        if let Some(code) = response.as_error_code() {
            let code = code.to_string();
            counter!("rpc_errors_total", "method" => self.name, "code" => code).increment(1);
        }
    }
}

impl RpcMetricsLayer {
    /// A layer for these methods. `max_response` bounds the answer to a batch, bytes.
    pub fn new(names: impl Iterator<Item = &'static str>, max_response: usize) -> Self {
        let inner = MetricsInner {
            methods: names.map(|name| (name, MethodMetrics::new(name).into())).collect(),
            unknown: MethodMetrics::new(UNKNOWN).into(),
            max_response,
        };
        Self { inner: Arc::new(inner) }
    }
}

impl<S> tower::Layer<S> for RpcMetricsLayer {
    type Service = RpcMetricsService<S>;

    fn layer(&self, service: S) -> Self::Service {
        RpcMetricsService { service, layer: self.clone() }
    }
}

/// Service of [`RpcMetricsLayer`].
#[derive(Debug, Clone)]
pub struct RpcMetricsService<S> {
    service: S,
    layer: RpcMetricsLayer,
}

impl<S> RpcServiceT for RpcMetricsService<S>
where
    S: Calls,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let service = self.service.clone();
        let MetricsInner { methods, unknown, .. } = &*self.layer.inner;
        let metrics = methods.get(request.method_name()).unwrap_or(unknown).clone();
        async move {
            let started = Instant::now();
            let response = service.call(request).await;
            metrics.record(started, &response);
            response
        }
    }

    // The service below answers batches without coming back here, so the entries are called one by one.
    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let this = self.clone();
        async move { answer_batch(&this, batch, this.layer.inner.max_response).await }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        let service = self.service.clone();
        async move { service.notification(notification).await }
    }
}

/// Answers the entries of a batch one by one. `max_response` bounds all answers together, bytes.
pub(super) async fn answer_batch<S>(
    service: &S,
    batch: Batch<'_>,
    max_response: usize,
) -> MethodResponse
where
    S: RpcServiceT<MethodResponse = MethodResponse, NotificationResponse = MethodResponse> + Sync,
{
    let mut responses = BatchResponseBuilder::new_with_limit(max_response);
    let mut got_notification = false;
    for entry in batch {
        let response = match entry {
            Ok(BatchEntry::Call(request)) => {
                // Entries that are answered at once would otherwise keep the thread for the whole batch.
                tokio::task::yield_now().await;
                service.call(request).await
            }
            Ok(BatchEntry::Notification(notification)) => {
                got_notification = true;
                service.notification(notification).await;
                continue;
            }
            Err(error) => {
                let (error, id) = error.into_parts();
                MethodResponse::error(id, error)
            }
        };
        if let Err(too_big) = responses.append(response) {
            return too_big;
        }
    }
    if responses.is_empty() && got_notification {
        return MethodResponse::notification();
    }
    MethodResponse::from_batch(responses.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonrpsee::{core::server::ResponsePayload, types::Id};
    use std::task::{Context, Poll, Waker};

    /// Answers at once.
    struct Echo;

    impl RpcServiceT for Echo {
        type MethodResponse = MethodResponse;
        type NotificationResponse = MethodResponse;
        type BatchResponse = MethodResponse;

        fn call<'a>(
            &self,
            request: Request<'a>,
        ) -> impl Future<Output = MethodResponse> + Send + 'a {
            let response = MethodResponse::response(request.id, ResponsePayload::success(7), 1024);
            std::future::ready(response)
        }

        fn batch<'a>(&self, _batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
            std::future::ready(MethodResponse::notification())
        }

        fn notification<'a>(
            &self,
            _notification: Notification<'a>,
        ) -> impl Future<Output = MethodResponse> + Send + 'a {
            std::future::ready(MethodResponse::notification())
        }
    }

    #[test]
    fn a_batch_gives_way_between_its_entries() {
        let request = |id| Ok(BatchEntry::Call(Request::borrowed("m", None, Id::Number(id))));
        let batch = Batch::from(vec![request(1), request(2)]);
        let mut answer = std::pin::pin!(answer_batch(&Echo, batch, 1024));
        let mut context = Context::from_waker(Waker::noop());
        assert!(answer.as_mut().poll(&mut context).is_pending());
        assert!(answer.as_mut().poll(&mut context).is_pending());
        let Poll::Ready(response) = answer.as_mut().poll(&mut context) else { panic!("waits") };
        assert_eq!(response.as_json().get().matches("\"result\":7").count(), 2);
    }
}
