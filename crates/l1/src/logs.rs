//! Reading logs in spans that the L1 node accepts.

use crate::provider::{L1Provider, is_transient};
use alloy_provider::Provider;
use alloy_rpc_types_eth::{BlockNumberOrTag, Filter, Log};
use alloy_transport::TransportError;

/// Largest span of one request in a long scan.
const MAX_SPAN: u64 = 10_000;

/// Why logs could not be read.
#[derive(Debug, thiserror::Error)]
#[error("reading l1 logs of blocks {from}..={to} failed: {source}")]
pub struct LogScanError {
    /// First block asked for.
    pub from: u64,
    /// Last block asked for.
    pub to: u64,
    /// Transport or RPC error.
    pub source: TransportError,
}

impl LogScanError {
    /// Whether the node refused the span (or the number of results) and a smaller one may be accepted.
    pub fn is_range_limit(&self) -> bool {
        let Some(payload) = self.source.as_error_resp() else { return false };
        let message = payload.message.to_ascii_lowercase();
        // Asking for less at once does not help against a limit on requests per time.
        if payload.code == 429
            || ["rate limit", "too many requests", "per second"]
                .iter()
                .any(|word| message.contains(word))
        {
            return false;
        }
        let limit =
            ["range", "too many", "too large", "limit", "exceed", "more than", "response size"];
        payload.code == -32005
            || payload.code == -32602
            || limit.iter().any(|word| message.contains(word))
    }

    /// Whether asking again later can help.
    pub fn is_transient(&self) -> bool {
        is_transient(&self.source)
    }
}

/// Logs of `from..=to` matching `filter`, in order, reorged ones left out. One request.
pub(crate) async fn get_logs(
    provider: &L1Provider,
    filter: &Filter,
    from: u64,
    to: u64,
) -> Result<Vec<Log>, LogScanError> {
    let filter = filter.clone().from_block(from).to_block(to);
    let mut logs = provider.inner().get_logs(&filter).await.map_err(|source| LogScanError {
        from,
        to,
        source,
    })?;
    logs.retain(|log| !log.removed);
    logs.sort_by_key(|log| (log.block_number, log.log_index));
    Ok(logs)
}

/// Walks from `head` down to `floor` in spans until `done` says so of a span's logs, and returns these logs (empty if never).
///
/// The span is halved when the node refuses it.
pub(crate) async fn scan_backwards(
    provider: &L1Provider,
    filter: &Filter,
    head: u64,
    floor: u64,
    mut done: impl FnMut(&[Log]) -> bool,
) -> Result<Vec<Log>, LogScanError> {
    let mut span = MAX_SPAN;
    let mut to = head;
    loop {
        let from = to.saturating_sub(span - 1).max(floor);
        match get_logs(provider, filter, from, to).await {
            Ok(logs) if done(&logs) => return Ok(logs),
            Ok(_) if from <= floor => return Ok(Vec::new()),
            Ok(_) => to = from - 1,
            Err(error) if error.is_range_limit() && span > 1 => span /= 2,
            Err(error) => return Err(error),
        }
    }
}

/// All logs from `floor` to the head, in order; in chunks where the node does not give them at once.
pub(crate) async fn all_logs<E>(
    provider: &L1Provider,
    filter: &Filter,
    floor: u64,
) -> Result<Vec<Log>, E>
where
    E: From<LogScanError> + From<TransportError>,
{
    let head = provider.block(BlockNumberOrTag::Latest).await?.map_or(0, |block| block.number);
    match get_logs(provider, filter, floor, head).await {
        Ok(found) => Ok(found),
        Err(error) if error.is_range_limit() => {
            let mut found: Vec<Log> = Vec::new();
            scan_backwards(provider, filter, head, floor, |chunk| {
                found.splice(0..0, chunk.iter().cloned());
                false
            })
            .await?;
            Ok(found)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_json_rpc::ErrorPayload;

    #[test]
    fn refused_spans_are_told_from_refused_requests() {
        let answer = |code, message: &'static str| LogScanError {
            from: 0,
            to: 9,
            source: TransportError::ErrorResp(ErrorPayload {
                code,
                message: message.into(),
                data: None,
            }),
        };
        assert!(answer(-32000, "block range is too wide").is_range_limit());
        assert!(answer(-32005, "query returned more than 10000 results").is_range_limit());
        assert!(!answer(-32005, "rate limit exceeded").is_range_limit());
        assert!(!answer(-32603, "internal error").is_range_limit());
    }
}
