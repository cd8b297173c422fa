//! Shapes that `alloy-rpc-types-trace` does not have.

use alloy_primitives::Bloom;
use alloy_rpc_types_trace::otterscan::{
    OtsReceipt, OtsTransactionReceipt, TransactionsWithReceipts,
};
use serde::{Serialize, Serializer, ser::Error};
use serde_json::Value;
use zkos_rpc::types::{RpcHeader, RpcReceipt, RpcTransaction};

/// Part of an address's history.
pub type SearchPage = TransactionsWithReceipts<RpcTransaction>;

/// A header whose `logsBloom` is written as `null`: Otterscan does not read it, and it is half of the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtsHeader(pub RpcHeader);

impl Serialize for OtsHeader {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut header = serde_json::to_value(&self.0).map_err(S::Error::custom)?;
        if let Some(bloom) = header.get_mut("logsBloom") {
            *bloom = Value::Null;
        }
        header.serialize(serializer)
    }
}

/// Whether a receipt carries what Otterscan reads on the pages of addresses only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logs {
    Keep,
    Drop,
}

/// Receipt with the time of its block, seconds.
pub(crate) fn ots_receipt(
    receipt: RpcReceipt,
    timestamp: u64,
    logs: Logs,
) -> OtsTransactionReceipt {
    let receipt = receipt.map_inner(|fields| {
        let (logs, logs_bloom): (Option<Vec<_>>, Option<Bloom>) = match logs {
            Logs::Keep => (Some(fields.logs), Some(fields.logs_bloom)),
            Logs::Drop => (None, None),
        };
        OtsReceipt {
            status: fields.status,
            cumulative_gas_used: fields.cumulative_gas_used,
            logs,
            logs_bloom,
            r#type: fields.tx_type,
        }
    });
    OtsTransactionReceipt { receipt, timestamp: Some(timestamp) }
}
