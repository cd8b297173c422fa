//! The few JSON-RPC methods that are used.

use crate::http::{Connection, Target};
use alloy_primitives::{Address, Bytes, U64, U128, U256};
use eyre::{Result, WrapErr, bail, ensure, eyre};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// Calls in one batch request.
const BATCH: usize = 200;

/// A connection for single and batched calls.
#[derive(Debug)]
pub(crate) struct Rpc {
    connection: Connection,
}

#[derive(Debug, Deserialize)]
struct Response {
    #[serde(default)]
    id: Value,
    result: Option<Value>,
    error: Option<RpcError>,
}

#[derive(Debug, Deserialize)]
struct RpcError {
    code: i64,
    message: String,
}

impl Response {
    fn into_result(self) -> Result<Value> {
        match (self.result, self.error) {
            (_, Some(error)) => bail!("{} (code {})", error.message, error.code),
            (Some(result), None) => Ok(result),
            (None, None) => Ok(Value::Null),
        }
    }
}

impl Rpc {
    /// Connects.
    pub(crate) async fn connect(target: &Target) -> Result<Self> {
        Ok(Self { connection: target.connect().await? })
    }

    /// Calls a method.
    pub(crate) async fn call<T: DeserializeOwned>(
        &mut self,
        method: &str,
        params: Value,
    ) -> Result<T> {
        let request = json!({"jsonrpc": "2.0", "id": 0, "method": method, "params": params});
        let response = self.connection.post(&serde_json::to_vec(&request)?).await?;
        let response: Response = serde_json::from_slice(response)
            .wrap_err_with(|| format!("answer to {method} is no JSON-RPC response"))?;
        let result = response.into_result().wrap_err_with(|| method.to_owned())?;
        serde_json::from_value(result).wrap_err_with(|| format!("result of {method}"))
    }

    /// Calls a method with many parameter lists; the results are in their order.
    pub(crate) async fn call_many<T: DeserializeOwned>(
        &mut self,
        method: &str,
        params: &[Value],
    ) -> Result<Vec<T>> {
        let mut results = Vec::with_capacity(params.len());
        for chunk in params.chunks(BATCH) {
            let requests: Vec<_> = chunk
                .iter()
                .enumerate()
                .map(|(id, params)| {
                    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
                })
                .collect();
            let response = self.connection.post(&serde_json::to_vec(&requests)?).await?;
            let responses: Vec<Response> = serde_json::from_slice(response)
                .wrap_err_with(|| format!("answer to a batch of {method}"))?;
            ensure!(responses.len() == chunk.len(), "batch answer of another length");
            let mut ordered: Vec<Option<T>> = chunk.iter().map(|_| None).collect();
            for response in responses {
                let id = response.id.as_u64().ok_or_else(|| eyre!("answer without id"))?;
                let result = response.into_result().wrap_err_with(|| method.to_owned())?;
                let slot = ordered.get_mut(id as usize).ok_or_else(|| eyre!("unknown id {id}"))?;
                *slot = Some(serde_json::from_value(result)?);
            }
            for result in ordered {
                results.push(result.ok_or_else(|| eyre!("a batch entry was not answered"))?);
            }
        }
        Ok(results)
    }

    /// Chain id.
    pub(crate) async fn chain_id(&mut self) -> Result<u64> {
        Ok(self.call::<U64>("eth_chainId", json!([])).await?.to())
    }

    /// Gas price, wei.
    pub(crate) async fn gas_price(&mut self) -> Result<u128> {
        Ok(self.call::<U128>("eth_gasPrice", json!([])).await?.to())
    }

    /// Tip that the node suggests, wei.
    pub(crate) async fn priority_fee(&mut self) -> Result<u128> {
        Ok(self.call::<U128>("eth_maxPriorityFeePerGas", json!([])).await?.to())
    }

    /// Gas of a transfer.
    pub(crate) async fn estimate_transfer(&mut self, from: Address, to: Address) -> Result<u64> {
        let request = json!([{"from": from, "to": to, "value": "0x1"}]);
        Ok(self.call::<U64>("eth_estimateGas", request).await?.to())
    }

    /// Nonces at `latest`.
    pub(crate) async fn nonces(&mut self, addresses: &[Address]) -> Result<Vec<u64>> {
        let params: Vec<_> = addresses.iter().map(|address| json!([address, "latest"])).collect();
        let nonces: Vec<U64> = self.call_many("eth_getTransactionCount", &params).await?;
        Ok(nonces.into_iter().map(|nonce| nonce.to()).collect())
    }

    /// Balances at `latest`, wei.
    pub(crate) async fn balances(&mut self, addresses: &[Address]) -> Result<Vec<U256>> {
        let params: Vec<_> = addresses.iter().map(|address| json!([address, "latest"])).collect();
        self.call_many("eth_getBalance", &params).await
    }

    /// Asks a development node to make a block now; other nodes do not know the method.
    pub(crate) async fn mine(&mut self) -> Result<()> {
        self.call::<Value>("evm_mine", json!([])).await.map(drop)
    }

    /// Submits signed transactions.
    pub(crate) async fn send_raw(&mut self, transactions: &[Bytes]) -> Result<()> {
        let params: Vec<_> = transactions.iter().map(|raw| json!([raw])).collect();
        let _: Vec<Value> = self.call_many("eth_sendRawTransaction", &params).await?;
        Ok(())
    }
}

/// Number of errors in an answer to one call or a batch, and the first message. The usual answer has none, which is found without parsing.
pub(crate) fn first_error(response: &[u8]) -> (u64, Option<String>) {
    const MARK: &[u8] = b"\"error\"";
    if !response.windows(MARK.len()).any(|window| window == MARK) {
        return (0, None);
    }
    let responses: Vec<Response> = match serde_json::from_slice::<Value>(response) {
        Ok(Value::Array(all)) => {
            all.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect()
        }
        Ok(one) => serde_json::from_value(one).ok().into_iter().collect(),
        Err(_) => return (1, Some(String::from_utf8_lossy(response).into_owned())),
    };
    let errors: Vec<_> = responses.into_iter().filter_map(|response| response.error).collect();
    (errors.len() as u64, errors.into_iter().next().map(|error| error.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_found() {
        assert_eq!(first_error(br#"{"jsonrpc":"2.0","id":0,"result":"0x1"}"#), (0, None));
        let one = br#"{"jsonrpc":"2.0","id":0,"error":{"code":-32000,"message":"nonce too low"}}"#;
        assert_eq!(first_error(one), (1, Some("nonce too low".into())));
        let two = br#"[{"id":0,"result":"0x1"},{"id":1,"error":{"code":1,"message":"a"}},{"id":2,"error":{"code":1,"message":"b"}}]"#;
        assert_eq!(first_error(two), (2, Some("a".into())));
        assert_eq!(first_error(b"\"error\" x").0, 1);
    }
}
