//! Connection to an L1 node: one type-erased HTTP provider with retries, and typed contract calls on it.
//!
//! Transient faults (rate limits, 5xx, internal errors, refused or dropped connections, time-outs) are retried a bounded number of times
//! with exponential back-off inside one request. What is still transient afterwards is reported as such ([`is_transient`]), and loops
//! that run for the node's life time retry it forever. The URL may carry an API key: it never appears in errors, logs or `Debug` output.

use crate::{contracts::RevertReason, metrics::L1ProviderMetrics};
use alloy_json_rpc::{RequestPacket, ResponsePacket};
use alloy_primitives::{Address, B256, BlockNumber};
use alloy_provider::{DynProvider, Provider, ProviderBuilder};
use alloy_rpc_client::ClientBuilder;
use alloy_rpc_types_eth::{BlockId, BlockNumberOrTag, TransactionInput, TransactionRequest};
use alloy_sol_types::SolCall;
use alloy_transport::{RpcError, TransportError, TransportErrorKind, TransportFut};
use core::fmt;
use std::{
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tower::{Layer, Service};
use tracing::{info, warn};
use zkos_node_core::args::SensitiveUrl;

/// How to reach the L1 node.
#[derive(Clone, Debug)]
pub struct L1ProviderConfig {
    /// HTTP(S) endpoint.
    pub url: SensitiveUrl,
    /// Time limit of one HTTP request.
    pub request_timeout: Duration,
    /// Attempts after the first one for a transient fault.
    pub max_retries: u32,
    /// First back-off; doubles up to [`Self::max_backoff`].
    pub initial_backoff: Duration,
    /// Upper bound of one back-off.
    pub max_backoff: Duration,
    /// How long [`L1Provider::connect`] keeps trying to reach the node; `None` waits forever.
    pub connect_timeout: Option<Duration>,
}

impl L1ProviderConfig {
    /// Defaults for `url`: 30 s per request, 5 retries from 100 ms to 3 s, one minute to connect.
    pub const fn new(url: SensitiveUrl) -> Self {
        Self {
            url,
            request_timeout: Duration::from_secs(30),
            max_retries: 5,
            initial_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(3),
            connect_timeout: Some(Duration::from_secs(60)),
        }
    }
}

/// Why no L1 node could be reached.
#[derive(Debug, thiserror::Error)]
pub enum L1ConnectError {
    /// Nothing answered in the allowed time.
    #[error(
        "l1 node at {url} can't be reached after {waited:?}: {source}; start it or set the l1 rpc url"
    )]
    Unreachable {
        /// Redacted endpoint.
        url: SensitiveUrl,
        /// Time spent trying.
        waited: Duration,
        /// Last error.
        source: TransportError,
    },
    /// Something answered, but not as an Ethereum node does.
    #[error(
        "l1 endpoint {url} does not answer as an ethereum node: {source}; check the l1 rpc url"
    )]
    NotAnEthereumNode {
        /// Redacted endpoint.
        url: SensitiveUrl,
        /// The answer.
        source: TransportError,
    },
}

/// Failure of a typed contract call.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The call was executed and reverted.
    #[error("{call} on {to} reverted: {reason}")]
    Reverted {
        /// Solidity signature of the call.
        call: &'static str,
        /// Called contract.
        to: Address,
        /// Decoded revert data.
        reason: RevertReason,
    },
    /// The return data does not have the expected type.
    #[error(
        "{call} on {to} returned {length} bytes that don't decode: {source}; is this the right contract?"
    )]
    Decode {
        /// Solidity signature of the call.
        call: &'static str,
        /// Called contract.
        to: Address,
        /// Length of the return data.
        length: usize,
        /// Decoder's message.
        source: Box<alloy_sol_types::Error>,
    },
    /// The node could not be asked.
    #[error("{call} on {to} failed: {source}")]
    Rpc {
        /// Solidity signature of the call.
        call: &'static str,
        /// Called contract.
        to: Address,
        /// Transport or RPC error.
        source: Box<TransportError>,
    },
}

impl CallError {
    /// Whether asking again later can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Rpc { source, .. } if is_transient(source))
    }
}

/// Number and hash of an L1 block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L1BlockRef {
    /// Block number.
    pub number: BlockNumber,
    /// Block hash.
    pub hash: B256,
    /// Hash of the parent.
    pub parent_hash: B256,
    /// Seconds since the epoch.
    pub timestamp: u64,
    /// Base fee, wei.
    pub base_fee: u128,
}

/// An L1 node. Cheap to clone.
#[derive(Clone)]
pub struct L1Provider {
    inner: DynProvider,
    url: SensitiveUrl,
    chain_id: u64,
}

impl fmt::Debug for L1Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("L1Provider")
            .field("url", &self.url)
            .field("chain_id", &self.chain_id)
            .finish_non_exhaustive()
    }
}

impl L1Provider {
    /// Connects and reads the chain id. Retries while the node can't be reached, up to the configured time.
    pub async fn connect(config: L1ProviderConfig) -> Result<Self, L1ConnectError> {
        let layer = RetryLayer { config: Arc::new(config.clone()), metrics: Arc::default() };
        let client = ClientBuilder::default().layer(layer).http(config.url.expose().clone());
        let inner =
            ProviderBuilder::new().disable_recommended_fillers().connect_client(client).erased();
        let url = config.url;
        let started = Instant::now();
        loop {
            let source = match inner.get_chain_id().await {
                Ok(chain_id) => {
                    info!(target: "zkos::l1", %url, chain_id, "connected to l1");
                    return Ok(Self { inner, url, chain_id });
                }
                Err(source) => source,
            };
            if !is_transient(&source) {
                return Err(L1ConnectError::NotAnEthereumNode { url, source });
            }
            let waited = started.elapsed();
            if config.connect_timeout.is_some_and(|limit| waited >= limit) {
                return Err(L1ConnectError::Unreachable { url, waited, source });
            }
            warn!(target: "zkos::l1", %url, ?waited, err = %source, "l1 node can't be reached yet, retrying");
            tokio::time::sleep(config.max_backoff.min(Duration::from_secs(1))).await;
        }
    }

    /// Chain id of L1, as it was at connection.
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// The endpoint; prints without secrets.
    pub const fn url(&self) -> &SensitiveUrl {
        &self.url
    }

    /// The alloy provider.
    pub const fn inner(&self) -> &DynProvider {
        &self.inner
    }

    /// `eth_call` of a typed function at `block`.
    pub async fn call<C: SolCall>(
        &self,
        to: Address,
        call: &C,
        block: BlockId,
    ) -> Result<C::Return, CallError> {
        let request = TransactionRequest::default()
            .to(to)
            .input(TransactionInput::both(call.abi_encode().into()));
        let data =
            self.inner.call(request).block(block).await.map_err(|source| {
                match revert_data(&source) {
                    Some(reason) => CallError::Reverted { call: C::SIGNATURE, to, reason },
                    None => CallError::Rpc { call: C::SIGNATURE, to, source: Box::new(source) },
                }
            })?;
        C::abi_decode_returns(&data).map_err(|source| CallError::Decode {
            call: C::SIGNATURE,
            to,
            length: data.len(),
            source: Box::new(source),
        })
    }

    /// `eth_call` of a typed function at the latest block.
    pub async fn call_latest<C: SolCall>(
        &self,
        to: Address,
        call: &C,
    ) -> Result<C::Return, CallError> {
        self.call(to, call, BlockId::latest()).await
    }

    /// Header data of a block; `None` if the node does not have it.
    pub async fn block(
        &self,
        block: BlockNumberOrTag,
    ) -> Result<Option<L1BlockRef>, TransportError> {
        let block = self.inner.get_block_by_number(block).await?;
        Ok(block.map(|b| L1BlockRef {
            number: b.header.number,
            hash: b.header.hash,
            parent_hash: b.header.parent_hash,
            timestamp: b.header.timestamp,
            base_fee: b.header.base_fee_per_gas.unwrap_or_default().into(),
        }))
    }
}

/// Revert data of an RPC error, when it is an execution revert.
pub fn revert_data(error: &TransportError) -> Option<RevertReason> {
    let payload = error.as_error_resp()?;
    if let Some(data) = payload.as_revert_data() {
        return Some(RevertReason::decode(data));
    }
    // geth and anvil use code 3 for reverts; a revert without data is reported by message only.
    (payload.code == 3 || payload.message.contains("execution reverted"))
        .then(|| RevertReason::decode(Default::default()))
}

/// Whether an error is a fault of the connection or of the node that may pass, and not an answer to the request.
pub fn is_transient(error: &TransportError) -> bool {
    match error {
        RpcError::Transport(kind) => match kind {
            TransportErrorKind::HttpError(http)
            | TransportErrorKind::HttpErrorWithRetryAfter { error: http, .. } => {
                matches!(http.status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
            }
            TransportErrorKind::NonRetryable(_) | TransportErrorKind::PubsubUnavailable => false,
            _ => true,
        },
        RpcError::ErrorResp(payload) => {
            let internal = payload.code == -32603 && payload.as_revert_data().is_none();
            internal
                || matches!(payload.code, -32005 | 429)
                || payload.message.contains("header not found")
        }
        RpcError::NullResp => true,
        // A cut-off answer of a proxy.
        RpcError::DeserError { .. } => false,
        _ => false,
    }
}

/// Tower layer: time-out, bounded retries with exponential back-off, scrubbed errors, metrics.
#[derive(Clone)]
struct RetryLayer {
    config: Arc<L1ProviderConfig>,
    metrics: Arc<L1ProviderMetrics>,
}

impl<S> Layer<S> for RetryLayer {
    type Service = RetryService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RetryService { inner, layer: self.clone() }
    }
}

#[derive(Clone)]
struct RetryService<S> {
    inner: S,
    layer: RetryLayer,
}

impl<S> Service<RequestPacket> for RetryService<S>
where
    S: Service<
            RequestPacket,
            Response = ResponsePacket,
            Error = TransportError,
            Future = TransportFut<'static>,
        > + Clone
        + Send
        + 'static,
{
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        // The service that was polled ready must be the one that is called.
        let fresh = self.inner.clone();
        let mut inner = core::mem::replace(&mut self.inner, fresh);
        let RetryLayer { config, metrics } = self.layer.clone();
        Box::pin(async move {
            let mut backoff = config.initial_backoff;
            let mut attempt = 0;
            loop {
                let started = Instant::now();
                let result =
                    match tokio::time::timeout(config.request_timeout, inner.call(request.clone()))
                        .await
                    {
                        Ok(result) => result,
                        Err(_) => Err(TransportErrorKind::custom_str(&format!(
                            "no answer within {:?}",
                            config.request_timeout
                        ))),
                    };
                metrics.requests_total.increment(1);
                metrics.request_duration_seconds.record(started.elapsed());
                let error = match &result {
                    Ok(response) => response
                        .as_error()
                        .map(|payload| TransportError::ErrorResp(payload.clone())),
                    Err(_) => None,
                };
                let error = match (error, &result) {
                    (Some(error), _) => is_transient(&error).then(|| error.to_string()),
                    (None, Err(error)) => is_transient(error).then(|| error.to_string()),
                    (None, Ok(_)) => None,
                };
                let Some(error) = error else { return result.map_err(|e| scrub(&config.url, e)) };
                metrics.transient_errors_total.increment(1);
                // Some nodes answer deterministic failures with the internal error code: don't dwell on an answer.
                let limit =
                    if result.is_ok() { config.max_retries.min(2) } else { config.max_retries };
                if attempt >= limit {
                    return result.map_err(|e| scrub(&config.url, e));
                }
                attempt += 1;
                tracing::debug!(target: "zkos::l1", url = %config.url, attempt, ?backoff, err = config.url.scrub(&error), "retrying l1 request");
                metrics.retries_total.increment(1);
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(config.max_backoff);
            }
        })
    }
}

/// Removes the URL from an error. The HTTP client's own error type prints it, and its causes hold what matters.
fn scrub(url: &SensitiveUrl, error: TransportError) -> TransportError {
    match error {
        RpcError::Transport(TransportErrorKind::Custom(source)) => {
            let mut text = source.to_string();
            let mut cause = source.source();
            while let Some(inner) = cause {
                text = format!("{text}: {inner}");
                cause = inner.source();
            }
            TransportErrorKind::custom_str(&url.scrub(&text))
        }
        RpcError::Transport(TransportErrorKind::HttpError(mut http)) => {
            http.body = url.scrub(&http.body);
            RpcError::Transport(TransportErrorKind::HttpError(http))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_json_rpc::ErrorPayload;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    #[test]
    fn transient_faults_are_told_from_answers() {
        assert!(is_transient(&TransportErrorKind::http_error(429, String::new())));
        assert!(is_transient(&TransportErrorKind::http_error(503, String::new())));
        assert!(!is_transient(&TransportErrorKind::http_error(401, String::new())));
        assert!(is_transient(&TransportErrorKind::custom_str("connection refused")));
        let payload = |code, message: &'static str| {
            TransportError::ErrorResp(ErrorPayload { code, message: message.into(), data: None })
        };
        assert!(is_transient(&payload(-32603, "internal error")));
        assert!(!is_transient(&payload(3, "execution reverted")));
        assert!(revert_data(&payload(3, "execution reverted")).is_some());
        assert!(revert_data(&payload(-32000, "nonce too low")).is_none());
    }

    fn quick(port: u16) -> L1ProviderConfig {
        L1ProviderConfig {
            initial_backoff: Duration::from_millis(1),
            max_backoff: Duration::from_millis(5),
            connect_timeout: Some(Duration::from_millis(50)),
            ..L1ProviderConfig::new(
                format!("http://127.0.0.1:{port}/secretsecret").parse().unwrap(),
            )
        }
    }

    /// A server that answers with the given raw HTTP responses, one per connection, then closes.
    async fn serve(responses: Vec<(u16, &'static str)>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            for (status, body) in responses {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut buf = vec![0; 4096];
                let _ = socket.read(&mut buf).await;
                let answer = format!(
                    "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        port
    }

    #[tokio::test]
    async fn faults_are_retried_until_an_answer_comes() {
        let port = serve(vec![
            (429, "slow down"),
            (503, ""),
            (200, r#"{"jsonrpc":"2.0","id":0,"error":{"code":-32603,"message":"internal"}}"#),
            (200, r#"{"jsonrpc":"2.0","id":0,"result":"0x7a69"}"#),
        ])
        .await;
        let provider = L1Provider::connect(quick(port)).await.unwrap();
        assert_eq!(provider.chain_id(), 31337);
    }

    #[tokio::test]
    async fn refused_connection_is_reported_without_the_url() {
        let port = serve(vec![]).await;
        // Wait until the listener is gone: its task ends at once.
        tokio::task::yield_now().await;
        let error = L1Provider::connect(quick(port)).await.unwrap_err();
        assert!(matches!(error, L1ConnectError::Unreachable { .. }), "{error}");
        let text = format!("{error} {error:?}");
        assert!(!text.contains("secretsecret"), "{text}");
        assert!(text.contains("start it or set the l1 rpc url"), "{text}");
    }

    #[tokio::test]
    async fn an_endpoint_of_another_kind_is_named() {
        let port = serve(vec![(404, "not here")]).await;
        let error = L1Provider::connect(quick(port)).await.unwrap_err();
        assert!(matches!(error, L1ConnectError::NotAnEthereumNode { .. }), "{error}");
    }
}
