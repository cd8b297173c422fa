//! JSON forms of blocks, transactions and receipts.

use alloy_consensus::{Transaction as _, Typed2718};
use alloy_primitives::{Address, B256, Bloom, U256};
use alloy_rpc_types_eth::{Block, BlockTransactions, Header, Log, Transaction, TransactionReceipt};
use reth_primitives_traits::{RecoveredBlock, SealedHeader};
use serde::{Deserialize, Serialize};
use zkos_primitives::{L2ToL1Log, RecoveredTx, ZkBlock, ZkReceipt, ZkTxEnvelope};
use zkos_storage_api::{RecoveredZkBlock, TransactionMeta};

/// Transaction object.
pub type RpcTransaction = Transaction<ZkTxEnvelope>;
/// Header object. Its `hash` is that of the header with an empty bloom.
pub type RpcHeader = Header;
/// Block object.
pub type RpcBlock = Block<RpcTransaction, RpcHeader>;
/// Receipt object.
pub type RpcReceipt = TransactionReceipt<ReceiptFields>;

/// What a receipt holds besides its place: the standard fields and the logs that can be proven on L1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptFields {
    /// EIP-2718 type of the transaction.
    #[serde(rename = "type", with = "alloy_serde::quantity")]
    pub tx_type: u8,
    /// True when the transaction succeeded.
    #[serde(with = "alloy_serde::quantity")]
    pub status: bool,
    /// Gas used in the block up to and including this transaction.
    #[serde(with = "alloy_serde::quantity")]
    pub cumulative_gas_used: u64,
    /// EVM logs; `logIndex` counts through the block.
    pub logs: Vec<Log>,
    /// Bloom of `logs`.
    pub logs_bloom: Bloom,
    /// Logs that can be proven on L1.
    #[serde(default)]
    pub l2_to_l1_logs: Vec<RpcL2ToL1Log>,
}

/// An L2->L1 log with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RpcL2ToL1Log {
    /// Hash of the block.
    pub block_hash: B256,
    /// Number of the block.
    #[serde(with = "alloy_serde::quantity")]
    pub block_number: u64,
    /// Timestamp of the block, seconds.
    #[serde(with = "alloy_serde::quantity")]
    pub block_timestamp: u64,
    /// Hash of the transaction.
    pub transaction_hash: B256,
    /// Index of the transaction in the block.
    #[serde(with = "alloy_serde::quantity")]
    pub transaction_index: u64,
    /// Index of the log among the L2->L1 logs of the block.
    #[serde(with = "alloy_serde::quantity")]
    pub log_index: u64,
    /// Index of the log among the L2->L1 logs of the transaction.
    #[serde(with = "alloy_serde::quantity")]
    pub transaction_log_index: u64,
    /// Always 0.
    #[serde(with = "alloy_serde::quantity")]
    pub shard_id: u8,
    /// Always true.
    pub is_service: bool,
    /// L1 messenger for messages, bootloader for results of transactions from L1.
    pub sender: Address,
    /// Sender of the message, or hash of the transaction.
    pub key: B256,
    /// Keccak-256 of the message, or 1 for success and 0 for failure.
    pub value: B256,
}

/// Header object of a sealed header.
pub fn rpc_header(header: SealedHeader, size: Option<usize>) -> RpcHeader {
    let (inner, hash) = header.split();
    Header { hash, inner, total_difficulty: None, size: size.map(U256::from) }
}

/// Block object with transaction hashes or whole transactions.
pub fn rpc_block(block: &RecoveredZkBlock, full: bool) -> RpcBlock {
    let header = rpc_header(block.clone_sealed_header(), Some(block.rlp_length()));
    let transactions = if full {
        let len = block.body().transactions.len();
        BlockTransactions::Full((0..len).filter_map(|i| block_transaction(block, i)).collect())
    } else {
        BlockTransactions::Hashes(block.body().transactions.iter().map(|tx| *tx.hash()).collect())
    };
    Block { header, uncles: Vec::new(), transactions, withdrawals: None }
}

/// Place of a transaction of a block.
pub fn transaction_meta(block: &RecoveredBlock<ZkBlock>, index: usize) -> Option<TransactionMeta> {
    let tx = block.body().transactions.get(index)?;
    Some(TransactionMeta {
        tx_hash: *tx.hash(),
        index: index as u64,
        block_hash: block.hash(),
        block_number: block.header().number,
        base_fee: block.header().base_fee_per_gas.unwrap_or_default(),
        timestamp: block.header().timestamp,
    })
}

/// Transaction of a block by index.
pub fn block_transaction(block: &RecoveredZkBlock, index: usize) -> Option<RpcTransaction> {
    let tx = block.recovered_transaction(index)?.cloned();
    Some(rpc_transaction(tx, Some(&transaction_meta(block, index)?)))
}

/// Transaction object; without a place it is a pooled one.
pub fn rpc_transaction(tx: RecoveredTx, meta: Option<&TransactionMeta>) -> RpcTransaction {
    let effective_gas_price = match meta {
        Some(meta) => tx.inner().effective_gas_price(meta.base_fee),
        None => tx.max_fee_per_gas(),
    };
    Transaction {
        inner: tx,
        block_hash: meta.map(|meta| meta.block_hash),
        block_number: meta.map(|meta| meta.block_number),
        transaction_index: meta.map(|meta| meta.index),
        effective_gas_price: Some(effective_gas_price),
        block_timestamp: meta.map(|meta| meta.timestamp),
    }
}

/// Receipt object of one transaction; `None` when the block has no transaction or receipt of this index.
pub fn rpc_receipt(
    block: &RecoveredZkBlock,
    receipts: &[ZkReceipt],
    index: usize,
) -> Option<RpcReceipt> {
    let mut counts = LogCounts::default();
    receipts.get(..index)?.iter().for_each(|receipt| counts.add(receipt));
    let previous = index.checked_sub(1).and_then(|i| receipts.get(i));
    receipt_at(block, receipts.get(index)?, previous, index, counts)
}

/// Receipt objects of a block.
pub fn rpc_block_receipts(block: &RecoveredZkBlock, receipts: &[ZkReceipt]) -> Vec<RpcReceipt> {
    let mut counts = LogCounts::default();
    let mut previous = None;
    let mut result = Vec::with_capacity(receipts.len());
    for (index, receipt) in receipts.iter().enumerate() {
        result.extend(receipt_at(block, receipt, previous, index, counts));
        counts.add(receipt);
        previous = Some(receipt);
    }
    result
}

/// Logs before a transaction in its block.
#[derive(Debug, Clone, Copy, Default)]
struct LogCounts {
    logs: u64,
    l2_to_l1_logs: u64,
}

impl LogCounts {
    fn add(&mut self, receipt: &ZkReceipt) {
        self.logs += receipt.logs.len() as u64;
        self.l2_to_l1_logs += receipt.l2_to_l1_logs.len() as u64;
    }
}

fn receipt_at(
    block: &RecoveredZkBlock,
    receipt: &ZkReceipt,
    previous: Option<&ZkReceipt>,
    index: usize,
    counts: LogCounts,
) -> Option<RpcReceipt> {
    let meta = transaction_meta(block, index)?;
    let tx = block.recovered_transaction(index)?;
    let from = tx.signer();
    let gas_before = previous.map(|receipt| receipt.cumulative_gas_used).unwrap_or_default();
    let logs: Vec<Log> = receipt
        .logs
        .iter()
        .enumerate()
        .map(|(i, log)| rpc_log(&meta, log.clone(), counts.logs + i as u64, false))
        .collect();
    let l2_to_l1_logs = receipt
        .l2_to_l1_logs
        .iter()
        .enumerate()
        .map(|(i, log)| rpc_l2_to_l1_log(&meta, log, counts.l2_to_l1_logs, i as u64))
        .collect();
    Some(TransactionReceipt {
        inner: ReceiptFields {
            tx_type: tx.ty(),
            status: receipt.success,
            cumulative_gas_used: receipt.cumulative_gas_used,
            logs_bloom: alloy_primitives::logs_bloom(&receipt.logs),
            logs,
            l2_to_l1_logs,
        },
        transaction_hash: meta.tx_hash,
        transaction_index: Some(meta.index),
        block_hash: Some(meta.block_hash),
        block_number: Some(meta.block_number),
        gas_used: receipt.cumulative_gas_used.saturating_sub(gas_before),
        effective_gas_price: ZkTxEnvelope::effective_gas_price(tx.inner(), meta.base_fee),
        blob_gas_used: None,
        blob_gas_price: None,
        from,
        to: tx.to(),
        contract_address: tx.is_create().then(|| from.create(tx.nonce())),
    })
}

/// Log object.
pub fn rpc_log(
    meta: &TransactionMeta,
    log: alloy_primitives::Log,
    log_index: u64,
    removed: bool,
) -> Log {
    Log {
        inner: log,
        block_hash: Some(meta.block_hash),
        block_number: Some(meta.block_number),
        block_timestamp: Some(meta.timestamp),
        transaction_hash: Some(meta.tx_hash),
        transaction_index: Some(meta.index),
        log_index: Some(log_index),
        removed,
    }
}

fn rpc_l2_to_l1_log(
    meta: &TransactionMeta,
    log: &L2ToL1Log,
    logs_before: u64,
    transaction_log_index: u64,
) -> RpcL2ToL1Log {
    RpcL2ToL1Log {
        block_hash: meta.block_hash,
        block_number: meta.block_number,
        block_timestamp: meta.timestamp,
        transaction_hash: meta.tx_hash,
        transaction_index: meta.index,
        log_index: logs_before + transaction_log_index,
        transaction_log_index,
        shard_id: log.l2_shard_id,
        is_service: log.is_service,
        sender: log.sender,
        key: log.key,
        value: log.value,
    }
}

/// Log objects of a block that a predicate accepts.
pub fn matching_logs(
    block: &RecoveredZkBlock,
    receipts: &[ZkReceipt],
    removed: bool,
    mut matches: impl FnMut(&alloy_primitives::Log) -> bool,
    out: &mut Vec<Log>,
) {
    let mut log_index = 0;
    for (index, receipt) in receipts.iter().enumerate() {
        let mut meta = None;
        for log in &receipt.logs {
            if matches(log) {
                if meta.is_none() {
                    meta = transaction_meta(block, index);
                }
                out.extend(
                    meta.as_ref().map(|meta| rpc_log(meta, log.clone(), log_index, removed)),
                );
            }
            log_index += 1;
        }
    }
}
