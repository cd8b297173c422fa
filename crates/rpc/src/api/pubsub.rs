use alloy_rpc_types_eth::pubsub::{Params, SubscriptionKind};
use jsonrpsee::proc_macros::rpc;

/// Subscriptions of `eth_` (WebSocket only).
#[rpc(server, namespace = "eth")]
pub trait EthPubSubApi {
    /// `newHeads`, `logs`, `newPendingTransactions` or `syncing`.
    #[subscription(name = "subscribe" => "subscription", unsubscribe = "unsubscribe", item = serde_json::Value)]
    async fn subscribe(
        &self,
        kind: SubscriptionKind,
        params: Option<Params>,
    ) -> jsonrpsee::core::SubscriptionResult;
}
