//! Runs a record through the official interface and finds the first difference.

use crate::record::{Record, Tx};
use alloy_consensus::transaction::Recovered;
use alloy_eips::Decodable2718;
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use revm_inspectors::tracing::{TracingInspector, TracingInspectorConfig};
use serde_json::{Value, json};
use std::{cell::RefCell, collections::HashMap, fmt, rc::Rc};
use zkos_executor::{FlatState, ZkEvmConfig, ZkExecutor};
use zkos_primitives::{
    BlockOutput, CanonicalTransaction, L1_PRIORITY_TX_TYPE_ID, TxL1Priority, TxUpgrade,
    ZkTxEnvelope,
};
use zksync_os_interface::{
    error::InvalidTransaction,
    tracing::{NopTracer, NopValidator},
    traits::{
        EncodedTx, NoFriProofSidecar, PreimageSource, ReadStorage, RunBlock, SimulateTx,
        TxListSource, TxResultCallback,
    },
    types::{TxOutput, TxProcessingOutputOwned},
};

/// First field in which the result differs from the record.
#[derive(Debug)]
pub(crate) struct Difference {
    path: String,
    expected: String,
    actual: String,
}

impl Difference {
    pub(crate) fn unexpected(error: &dyn std::error::Error) -> Self {
        Self { path: "fatal".into(), expected: "a result".into(), actual: error.to_string() }
    }

    /// The field without positions.
    #[allow(dead_code)]
    pub(crate) fn kind(&self) -> String {
        self.path
            .split('.')
            .filter(|part| part.parse::<usize>().is_err())
            .collect::<Vec<_>>()
            .join(".")
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} expected {} got {}", self.path, self.expected, self.actual)
    }
}

struct Storage(HashMap<B256, B256>);

impl ReadStorage for Storage {
    fn read(&mut self, key: B256) -> Option<B256> {
        self.0.get(&key).copied()
    }
}

struct Preimages(HashMap<B256, Bytes>);

impl PreimageSource for Preimages {
    fn get_preimage(&mut self, hash: B256) -> Option<Vec<u8>> {
        self.0.get(&hash).map(|bytes| bytes.to_vec())
    }
}

#[derive(Clone, Default)]
struct Count(Rc<RefCell<usize>>);

impl TxResultCallback for Count {
    fn tx_executed(&mut self, _: Result<TxProcessingOutputOwned, InvalidTransaction>) {
        *self.0.borrow_mut() += 1;
    }
}

/// Executes a record; `Err` names the first difference.
pub(crate) fn run(record: &Record) -> Result<(), Difference> {
    let storage = Storage(record.storage.clone());
    let preimages = Preimages(record.preimages.clone());
    let context = record.ctx.block_context();
    let config = ZkEvmConfig::new().with_signature_verification(record.verify_signatures);
    let mut txs: Vec<EncodedTx> = record
        .txs
        .iter()
        .map(|tx| match tx.kind.as_str() {
            "rlp" => EncodedTx::Rlp(tx.raw.to_vec(), tx.signer.unwrap_or_default()),
            _ => EncodedTx::Abi(tx.raw.to_vec()),
        })
        .collect();
    let mut tracer = NopTracer;
    let mut validator = NopValidator;
    let actual = if record.simulate {
        let tx = txs.remove(0);
        ZkExecutor
            .simulate_tx(config, tx, context, storage, preimages, &mut tracer, &mut validator)
            .map(|result| json!({ "sim": tx_result(&result) }))
    } else {
        let count = txs.len();
        let source = TxListSource { transactions: txs.into() };
        let callback = Count::default();
        ZkExecutor
            .run_block(
                config,
                context,
                storage,
                preimages,
                source,
                NoFriProofSidecar,
                callback.clone(),
                &mut tracer,
                &mut validator,
            )
            .map(|output| {
                assert_eq!(*callback.0.borrow(), count, "one callback per transaction");
                block(&output)
            })
    };
    let actual = match actual {
        Ok(actual) => actual,
        Err(error) if record.expect.get("fatal").is_none() => {
            return Err(Difference::unexpected(&error));
        }
        Err(_) => json!({ "fatal": true }),
    };
    differ(&mut String::new(), &record.expect, &actual)
}

/// The record's transactions, if all of them decode.
#[allow(dead_code)]
pub(crate) fn decoded(record: &Record) -> Option<Vec<Recovered<ZkTxEnvelope>>> {
    let decode = |tx: &Tx| {
        let envelope = if tx.kind == "rlp" {
            ZkTxEnvelope::decode_2718_exact(&tx.raw).ok()
        } else {
            CanonicalTransaction::abi_decode(&tx.raw).ok().and_then(l1_envelope)
        };
        Some(Recovered::new_unchecked(envelope?, tx.signer.unwrap_or_default()))
    };
    record.txs.iter().map(decode).collect()
}

/// Executes the record through the streaming interface with decoded transactions, if all of them decode;
/// `Ok(false)` if they do not. `inspect` attaches a tracing inspector, which must not change anything.
#[allow(dead_code)]
pub(crate) fn run_decoded(record: &Record, inspect: bool) -> Result<bool, Difference> {
    let Some(mut txs) = decoded(record) else { return Ok(false) };
    let config = ZkEvmConfig::new().with_signature_verification(record.verify_signatures);
    let state =
        FlatState::new(Storage(record.storage.clone()), Preimages(record.preimages.clone()));
    let context = record.ctx.block_context();
    let actual = if record.simulate {
        let Some(tx) = txs.pop() else { return Ok(false) };
        let mut inspector = TracingInspector::new(TracingInspectorConfig::all());
        let result = if inspect {
            config.simulate_with_inspector(&context, &tx, state, &mut inspector)
        } else {
            config.simulate(&context, &tx, state)
        };
        let result = result.map(|result| result.map(|simulated| simulated.output));
        result.map(|result| json!({ "sim": tx_result(&result) }))
    } else {
        config.block_executor(context, state).and_then(|mut executor| {
            for tx in &txs {
                let (tx, signer) = (tx.inner(), tx.signer());
                let _ = if inspect {
                    let mut inspector = TracingInspector::new(TracingInspectorConfig::all());
                    executor.inspect_transaction(tx, signer, &mut inspector)?.map(drop)
                } else {
                    executor.execute_transaction(tx, signer)?.map(drop)
                };
            }
            executor.finish().map(|output| block(&output))
        })
    };
    let actual = actual.unwrap_or_else(|_| json!({ "fatal": true }));
    differ(&mut String::new(), &record.expect, &actual).map(|()| true)
}

fn l1_envelope(tx: CanonicalTransaction) -> Option<ZkTxEnvelope> {
    if tx.tx_type == U256::from(L1_PRIORITY_TX_TYPE_ID) {
        TxL1Priority::try_from(tx).ok().map(Into::into)
    } else {
        TxUpgrade::try_from(tx).ok().map(Into::into)
    }
}

fn bytes(data: impl AsRef<[u8]>) -> Value {
    Value::String(hex::encode_prefixed(data))
}

fn address(address: Address) -> Value {
    bytes(address)
}

pub(crate) fn tx_result(result: &Result<TxOutput, InvalidTransaction>) -> Value {
    let output = match result {
        Ok(output) => output,
        Err(error) => return json!({ "invalid": format!("{error:?}") }),
    };
    json!({
        "status": output.is_success(),
        "output": bytes(output.as_returned_bytes()),
        "gas_used": output.gas_used,
        "gas_refunded": output.gas_refunded,
        "computational_native_used": output.computational_native_used,
        "native_used": output.native_used,
        "pubdata_used": output.pubdata_used,
        "contract_address": output.contract_address.map(address),
        "logs": output.logs.iter().map(|log| json!({
            "address": address(log.address),
            "topics": log.topics().iter().map(bytes).collect::<Vec<_>>(),
            "data": bytes(&log.data.data),
        })).collect::<Vec<_>>(),
        "l2_to_l1_logs": output.l2_to_l1_logs.iter().map(|log| json!({
            "tx": log.log.tx_number_in_block,
            "sender": address(log.log.sender),
            "key": bytes(log.log.key),
            "value": bytes(log.log.value),
            "preimage": log.preimage.as_ref().map(bytes),
        })).collect::<Vec<_>>(),
    })
}

pub(crate) fn block(output: &BlockOutput) -> Value {
    json!({
        "txs": output.tx_results.iter().map(tx_result).collect::<Vec<_>>(),
        "header_hash": bytes(output.block_hash),
        "parent_hash": bytes(output.header.parent_hash),
        "tx_root": bytes(output.header.transactions_root),
        "mix_hash": bytes(output.header.mix_hash),
        "gas_used": output.header.gas_used,
        "native": output.computational_native_used,
        "pubdata": bytes(&output.pubdata),
        "writes": output.storage_writes.iter().map(|write| json!({
            "account": address(write.account),
            "slot": bytes(write.account_key),
            "key": bytes(write.key),
            "value": bytes(write.value),
        })).collect::<Vec<_>>(),
        "diffs": output.account_diffs.iter().map(|diff| json!({
            "address": address(diff.address),
            "nonce": diff.nonce,
            "balance": diff.balance.to_string(),
            "bytecode_hash": bytes(diff.bytecode_hash),
        })).collect::<Vec<_>>(),
        "preimages": output.published_preimages.iter().map(|(hash, data)| json!({
            "hash": bytes(hash),
            "data": bytes(data),
        })).collect::<Vec<_>>(),
    })
}

/// Order in which fields are compared: causes before consequences.
const ORDER: [&str; 8] = [
    "txs",
    "invalid",
    "status",
    "output",
    "computational_native_used",
    "gas_used",
    "writes",
    "diffs",
];

pub(crate) fn differ(
    path: &mut String,
    expected: &Value,
    actual: &Value,
) -> Result<(), Difference> {
    let here = |path: &str| Difference {
        path: path.to_owned(),
        expected: shorten(expected),
        actual: shorten(actual),
    };
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            let mut keys: Vec<&String> = expected.keys().chain(actual.keys()).collect();
            keys.sort_by_key(|key| {
                (ORDER.iter().position(|first| first == key).unwrap_or(ORDER.len()), *key)
            });
            keys.dedup();
            for key in keys {
                let len = path.len();
                if len != 0 {
                    path.push('.');
                }
                path.push_str(key);
                differ(
                    path,
                    expected.get(key).unwrap_or(&Value::Null),
                    actual.get(key).unwrap_or(&Value::Null),
                )?;
                path.truncate(len);
            }
            Ok(())
        }
        (Value::Array(left), Value::Array(right)) => {
            for (i, (expected, actual)) in left.iter().zip(right).enumerate() {
                let len = path.len();
                path.push_str(&format!(".{i}"));
                differ(path, expected, actual)?;
                path.truncate(len);
            }
            if left.len() == right.len() { Ok(()) } else { Err(here(path)) }
        }
        (Value::String(left), Value::String(right)) => {
            let same = left == right
                || left.starts_with("0x") && left.eq_ignore_ascii_case(right)
                || path.ends_with("invalid") && same_variant(left, right);
            if same { Ok(()) } else { Err(here(path)) }
        }
        _ if expected == actual => Ok(()),
        _ => Err(here(path)),
    }
}

/// Rejections are written in Rust's debug form; addresses in it may be in another case.
fn same_variant(expected: &str, actual: &str) -> bool {
    expected.eq_ignore_ascii_case(actual)
}

fn shorten(value: &Value) -> String {
    let text = value.to_string();
    if text.len() > 600 { format!("{}.. ({} bytes)", &text[..600], text.len()) } else { text }
}
