use crate::{
    EthApi, RpcNodeCore,
    api::TxPoolApiServer,
    types::{RpcTransaction, rpc_transaction},
};
use alloy_consensus::Transaction;
use alloy_primitives::Address;
use alloy_rpc_types_txpool::{
    TxpoolContent, TxpoolContentFrom, TxpoolInspect, TxpoolInspectSummary, TxpoolStatus,
};
use jsonrpsee::core::{RpcResult, async_trait};
use std::{collections::BTreeMap, fmt};
use zkos_pool::TransactionPool;
use zkos_primitives::RecoveredTx;

/// `txpool_` over a node.
pub struct TxPoolApi<N: RpcNodeCore> {
    eth: EthApi<N>,
}

impl<N: RpcNodeCore> Clone for TxPoolApi<N> {
    fn clone(&self) -> Self {
        Self { eth: self.eth.clone() }
    }
}

impl<N: RpcNodeCore> fmt::Debug for TxPoolApi<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TxPoolApi").finish_non_exhaustive()
    }
}

type BySender<T> = BTreeMap<Address, BTreeMap<String, T>>;

impl<N: RpcNodeCore> TxPoolApi<N> {
    /// `txpool_` over the pool that `eth_` submits to.
    pub const fn new(eth: EthApi<N>) -> Self {
        Self { eth }
    }

    /// Transactions of all senders or of one, by sender and nonce: pending, then queued.
    async fn collect<T, F>(
        &self,
        from: Option<Address>,
        convert: F,
    ) -> RpcResult<(BySender<T>, BySender<T>)>
    where
        T: Send + 'static,
        F: Fn(RecoveredTx) -> T + Send + 'static,
    {
        let collected = self.eth.spawn_read(move |eth| {
            let all = eth.pool().all_transactions();
            let group = |transactions: Vec<RecoveredTx>| {
                let mut by_sender = BySender::<T>::new();
                for tx in transactions {
                    let (sender, nonce) = (tx.signer(), tx.nonce().to_string());
                    by_sender.entry(sender).or_default().insert(nonce, convert(tx));
                }
                by_sender
            };
            let wanted = |sender| from.is_none_or(|from| from == sender);
            let pending = all.pending.iter().filter(|tx| wanted(tx.sender()));
            let queued = all.queued.iter().filter(|tx| wanted(tx.sender()));
            Ok::<_, crate::EthApiError>((
                group(pending.map(|tx| tx.to_consensus()).collect()),
                group(queued.map(|tx| tx.to_consensus()).collect()),
            ))
        });
        Ok(collected.await?)
    }
}

fn summary(tx: RecoveredTx) -> TxpoolInspectSummary {
    TxpoolInspectSummary {
        to: tx.to(),
        value: tx.value(),
        gas: tx.gas_limit(),
        gas_price: tx.max_fee_per_gas(),
    }
}

fn object(tx: RecoveredTx) -> RpcTransaction {
    rpc_transaction(tx, None)
}

#[async_trait]
impl<N: RpcNodeCore> TxPoolApiServer for TxPoolApi<N> {
    async fn txpool_status(&self) -> RpcResult<TxpoolStatus> {
        let size = self.eth.pool().pool_size();
        Ok(TxpoolStatus {
            pending: size.pending as u64,
            queued: (size.basefee + size.queued) as u64,
        })
    }

    async fn txpool_inspect(&self) -> RpcResult<TxpoolInspect> {
        let (pending, queued) = self.collect(None, summary).await?;
        Ok(TxpoolInspect { pending, queued })
    }

    async fn txpool_content_from(
        &self,
        from: Address,
    ) -> RpcResult<TxpoolContentFrom<RpcTransaction>> {
        let (mut pending, mut queued) = self.collect(Some(from), object).await?;
        Ok(TxpoolContentFrom {
            pending: pending.remove(&from).unwrap_or_default(),
            queued: queued.remove(&from).unwrap_or_default(),
        })
    }

    async fn txpool_content(&self) -> RpcResult<TxpoolContent<RpcTransaction>> {
        let (pending, queued) = self.collect(None, object).await?;
        Ok(TxpoolContent { pending, queued })
    }
}
