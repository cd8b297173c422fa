//! `eth_fillTransaction`.

use super::{EthApi, request::CallRequest};
use crate::{EthApiError, EthResult, RpcNodeCore};
use alloy_eips::{BlockId, Encodable2718};
use alloy_rpc_types_eth::{FillTransaction, TransactionRequest};
use zkos_primitives::ZkTxEnvelope;

impl<N: RpcNodeCore> EthApi<N> {
    /// Answers `eth_fillTransaction`: what is missing from a request (nonce, chain id, fees, gas) comes from the pool and the head. The result has a signature of zeros.
    pub async fn fill_transaction(
        &self,
        mut request: TransactionRequest,
    ) -> EthResult<FillTransaction<ZkTxEnvelope>> {
        let from = request.from.ok_or_else(|| EthApiError::invalid_params("`from` is missing"))?;
        let chain_id = self.node().chain_spec().chain_id();
        match request.chain_id {
            Some(given) if given != chain_id => {
                return Err(EthApiError::invalid_params(format!(
                    "chain id is {chain_id}, the request says {given}"
                )));
            }
            _ => request.chain_id = Some(chain_id),
        }
        if request.nonce.is_none() {
            request.nonce = Some(self.transaction_count(from, Some(BlockId::pending())).await?);
        }
        let legacy = request.gas_price.is_some() || matches!(request.transaction_type, Some(0 | 1));
        if legacy {
            if request.gas_price.is_none() {
                request.gas_price = Some(self.gas_price().await?.into());
            }
        } else {
            let tip = *request.max_priority_fee_per_gas.get_or_insert(0);
            if request.max_fee_per_gas.is_none() {
                // Twice the base fee outlives several blocks that each raise it.
                let base_fee = u128::from(self.gas_price().await?);
                request.max_fee_per_gas = Some(base_fee.saturating_mul(2).saturating_add(tip));
            }
        }
        let gas = match request.gas {
            Some(gas) => gas,
            None => self.estimate_gas(request.clone(), None, None, None).await?,
        };
        let filled = self
            .spawn_read(move |this| {
                let context = this.context_at(BlockId::latest())?;
                let nonce = request.nonce.unwrap_or_default();
                CallRequest::new(request, &context, |_| Ok(nonce))
            })
            .await?;
        if filled.is_l1() {
            return Err(EthApiError::invalid_params("transactions from L1 can't be sent here"));
        }
        let tx = filled.unsigned_transaction(gas).into_inner();
        Ok(FillTransaction { raw: tx.encoded_2718().into(), tx })
    }
}
