//! Dumps of blocks that failed, for whoever has to find out why.

use crate::error::DumpPath;
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, Bytes, hex};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};
use tracing::error;
use zkos_node_core::execution::ReplayError;
use zkos_primitives::{BlockContext, BlockOutput, ZkTxEnvelope};

/// A block as far as it got.
#[derive(Debug)]
pub(crate) struct Dump<'a> {
    pub(crate) context: &'a BlockContext,
    pub(crate) transactions: &'a [ZkTxEnvelope],
    pub(crate) senders: &'a [Address],
    pub(crate) error: String,
    pub(crate) expected: Value,
    pub(crate) got: Value,
}

impl<'a> Dump<'a> {
    /// Dump of a block that could not be executed again.
    pub(crate) fn of_replay(failure: &'a ReplayError) -> Self {
        let record = failure.record();
        let got = match failure {
            ReplayError::Mismatch { output, .. } => output_json(output),
            _ => Value::Null,
        };
        Self {
            context: &record.block_context,
            transactions: &record.transactions,
            senders: &record.senders,
            error: failure.to_string(),
            expected: json!({
                "blockHash": record.block_hash,
                "blockOutputHash": record.block_output_hash,
                "nodeVersion": record.node_version,
                "protocolVersion": record.protocol_version,
            }),
            got,
        }
    }

    /// Writes `dump_{block}_{unix seconds}.json`. A failure is logged and otherwise ignored: the error that led here matters more.
    pub(crate) fn write(&self, dir: &Path) -> DumpPath {
        match self.try_write(dir) {
            Ok(path) => DumpPath(Some(path)),
            Err(error) => {
                error!(target: "engine", dir = %dir.display(), %error, "block dump could not be written");
                DumpPath(None)
            }
        }
    }

    fn try_write(&self, dir: &Path) -> std::io::Result<PathBuf> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
        let transactions: Vec<Value> = self
            .transactions
            .iter()
            .zip(self.senders)
            .map(|(tx, sender)| {
                json!({ "hash": tx.hash(), "from": sender, "raw": Bytes::from(tx.encoded_2718()) })
            })
            .collect();
        let dump = json!({
            "ctx": self.context,
            "txs": transactions,
            "error": self.error,
            "expected": self.expected,
            "got": self.got,
        });
        std::fs::create_dir_all(dir)?;
        let path = dir.join(format!("dump_{}_{seconds}.json", self.context.block_number));
        std::fs::write(&path, serde_json::to_vec_pretty(&dump)?)?;
        Ok(path)
    }
}

/// The parts of an output by which blocks are compared.
fn output_json(output: &BlockOutput) -> Value {
    let results: Vec<Value> = output
        .tx_results
        .iter()
        .map(|result| match result {
            Ok(output) => json!({
                "success": output.is_success(),
                "gasUsed": output.gas_used,
                "nativeUsed": output.native_used,
                "pubdataUsed": output.pubdata_used,
                "logs": output.logs.len(),
            }),
            Err(error) => json!({ "invalid": error.to_string() }),
        })
        .collect();
    let writes: Vec<Value> = output
        .storage_writes
        .iter()
        .map(|write| {
            json!({ "account": write.account, "slot": write.account_key, "value": write.value })
        })
        .collect();
    json!({
        "blockHash": output.block_hash,
        "blockOutputHash": output.output_hash(),
        "header": output.header,
        "results": results,
        "storageWrites": writes,
        "pubdata": hex::encode_prefixed(&output.pubdata),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use zkos_primitives::TxL1Priority;

    #[test]
    fn dump_holds_context_transactions_and_error() {
        let dir = tempfile::tempdir().unwrap();
        let context = BlockContext { block_number: 17, ..Default::default() };
        let tx = ZkTxEnvelope::from(TxL1Priority { nonce: 3, ..Default::default() });
        let hash = *tx.hash();
        let path = Dump {
            context: &context,
            transactions: &[tx],
            senders: &[Address::ZERO],
            error: "boom".to_owned(),
            expected: Value::Null,
            got: Value::Null,
        }
        .write(&dir.path().join("new"));
        let path = path.0.unwrap();
        assert!(path.file_name().unwrap().to_str().unwrap().starts_with("dump_17_"));
        let dump: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(dump["ctx"]["block_number"], 17);
        assert_eq!(dump["txs"][0]["hash"], hash.to_string());
        assert_eq!(dump["error"], "boom");
        let raw: Bytes = serde_json::from_value(dump["txs"][0]["raw"].clone()).unwrap();
        let decoded = <ZkTxEnvelope as alloy_eips::Decodable2718>::decode_2718_exact(&raw).unwrap();
        assert_eq!(*decoded.hash(), hash);
    }
}
