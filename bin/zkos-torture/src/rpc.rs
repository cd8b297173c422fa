use alloy_primitives::{Address, B256, U64, U256};
use eyre::{Result, WrapErr, bail, ensure};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;

/// Calls in one batch.
const BATCH: usize = 200;
/// How long a call may take on a loaded machine. A killed node refuses at once.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A few JSON-RPC methods over HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Rpc {
    client: reqwest::Client,
    url: String,
}

/// Where a transaction was included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) number: u64,
    pub(crate) hash: B256,
}

impl Rpc {
    pub(crate) fn new(port: u16) -> Result<Self> {
        let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        Ok(Self { client, url: format!("http://127.0.0.1:{port}") })
    }

    async fn post(&self, body: &Value) -> Result<Value> {
        Ok(self.client.post(&self.url).json(body).send().await?.json().await?)
    }

    /// Calls a method with many parameter lists. Each answer is a result, or the node's error as text.
    pub(crate) async fn many(
        &self,
        method: &str,
        params: &[Value],
    ) -> Result<Vec<Result<Value, String>>> {
        let mut results = Vec::with_capacity(params.len());
        for chunk in params.chunks(BATCH) {
            let requests: Vec<_> = chunk
                .iter()
                .enumerate()
                .map(|(id, params)| {
                    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
                })
                .collect();
            let answer = self.post(&Value::Array(requests)).await?;
            let Some(answers) = answer.as_array() else { bail!("{method}: {answer}") };
            ensure!(answers.len() == chunk.len(), "{method}: {} answers", answers.len());
            let mut ordered = vec![Err("not answered".to_owned()); chunk.len()];
            for answer in answers {
                let slot = answer["id"].as_u64().and_then(|id| ordered.get_mut(id as usize));
                let Some(slot) = slot else { bail!("{method}: {answer}") };
                *slot = match answer.get("error") {
                    Some(error) => Err(error["message"].as_str().unwrap_or_default().to_owned()),
                    None => Ok(answer["result"].clone()),
                };
            }
            results.extend(ordered);
        }
        Ok(results)
    }

    async fn values<T: DeserializeOwned>(&self, method: &str, params: &[Value]) -> Result<Vec<T>> {
        self.many(method, params)
            .await?
            .into_iter()
            .map(|answer| {
                let value = answer.map_err(|error| eyre::eyre!("{method}: {error}"))?;
                serde_json::from_value(value).wrap_err_with(|| method.to_owned())
            })
            .collect()
    }

    async fn value<T: DeserializeOwned>(&self, method: &str, params: Value) -> Result<T> {
        let mut values = self.values(method, &[params]).await?;
        values.pop().ok_or_else(|| eyre::eyre!("{method} was not answered"))
    }

    pub(crate) async fn block_number(&self) -> Result<u64> {
        Ok(self.value::<U64>("eth_blockNumber", json!([])).await?.to())
    }

    pub(crate) async fn chain_id(&self) -> Result<u64> {
        Ok(self.value::<U64>("eth_chainId", json!([])).await?.to())
    }

    pub(crate) async fn gas_price(&self) -> Result<u128> {
        Ok(self.value::<U256>("eth_gasPrice", json!([])).await?.saturating_to())
    }

    pub(crate) async fn balance(&self, address: Address) -> Result<U256> {
        self.value("eth_getBalance", json!([address, "latest"])).await
    }

    pub(crate) async fn nonces(&self, addresses: &[Address], tag: &str) -> Result<Vec<u64>> {
        let params: Vec<_> = addresses.iter().map(|address| json!([address, tag])).collect();
        let nonces: Vec<U64> = self.values("eth_getTransactionCount", &params).await?;
        Ok(nonces.into_iter().map(|nonce| nonce.to()).collect())
    }

    /// Where transactions were included; `None` for what has no receipt.
    pub(crate) async fn receipts(&self, hashes: &[B256]) -> Result<Vec<Option<Place>>> {
        let params: Vec<_> = hashes.iter().map(|hash| json!([hash])).collect();
        let receipts: Vec<Value> = self.values("eth_getTransactionReceipt", &params).await?;
        receipts.iter().map(|receipt| place(receipt, "blockNumber", "blockHash")).collect()
    }

    /// Hashes of blocks; `None` for what is not there.
    pub(crate) async fn block_hashes(&self, numbers: &[u64]) -> Result<Vec<Option<B256>>> {
        let params: Vec<_> =
            numbers.iter().map(|number| json!([U64::from(*number), false])).collect();
        let blocks: Vec<Value> = self.values("eth_getBlockByNumber", &params).await?;
        blocks
            .iter()
            .map(|block| Ok(place(block, "number", "hash")?.map(|place| place.hash)))
            .collect()
    }
}

fn place(value: &Value, number: &str, hash: &str) -> Result<Option<Place>> {
    if value.is_null() {
        return Ok(None);
    }
    let number: U64 = serde_json::from_value(value[number].clone()).wrap_err("block number")?;
    let hash = serde_json::from_value(value[hash].clone()).wrap_err("block hash")?;
    Ok(Some(Place { number: number.to(), hash }))
}
