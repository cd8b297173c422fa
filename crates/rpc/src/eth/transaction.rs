//! Transactions and their receipts: getters and submission.

use super::{EthApi, MAX_SYNC_TIMEOUT};
use crate::{
    EthApiError, EthResult, RpcNodeCore,
    types::{RpcReceipt, RpcTransaction, block_transaction, rpc_receipt, rpc_transaction},
};
use alloy_consensus::transaction::SignerRecoverable;
use alloy_eips::{BlockId, Decodable2718, Encodable2718, eip2718::EIP4844_TX_TYPE_ID};
use alloy_primitives::{Address, B256, Bytes};
use std::time::Duration;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use zkos_pool::{PoolError, PoolErrorKind, TransactionOrigin, TransactionPool};
use zkos_primitives::{RecoveredTx, ZkTxEnvelope};
use zkos_storage_api::{
    CanonStateNotification, CanonStateSubscriptions, TransactionMeta, TransactionsProvider,
};

/// Decodes a transaction that a user submits and recovers its signer. Transactions from L1 and blob transactions are refused.
pub(crate) fn recover_raw_transaction(bytes: &Bytes) -> EthResult<RecoveredTx> {
    if bytes.first() == Some(&EIP4844_TX_TYPE_ID) {
        return Err(EthApiError::invalid_params("EIP-4844 transactions are not supported"));
    }
    let tx = ZkTxEnvelope::decode_2718_exact(bytes)
        .map_err(|_| EthApiError::FailedToDecodeSignedTransaction)?;
    if tx.is_from_l1() {
        return Err(EthApiError::FailedToDecodeSignedTransaction);
    }
    let signer = tx.recover_signer().map_err(|_| EthApiError::InvalidTransactionSignature)?;
    Ok(RecoveredTx::new_unchecked(tx, signer))
}

impl<N: RpcNodeCore> EthApi<N> {
    /// Included transaction with its place.
    fn included(&self, hash: B256) -> EthResult<Option<(RecoveredTx, TransactionMeta)>> {
        Ok(self.provider().transaction_by_hash_with_meta(hash)?)
    }

    /// Transaction in the pool.
    fn pooled(&self, hash: &B256) -> Option<RecoveredTx> {
        self.pool().get(hash).map(|tx| tx.to_consensus())
    }

    /// Transaction object of an included or pooled transaction.
    pub async fn transaction_by_hash(&self, hash: B256) -> EthResult<Option<RpcTransaction>> {
        self.read(move |this| {
            // The pool forgets a transaction after its block is visible, so this order has no gap.
            if let Some(tx) = this.pooled(&hash) {
                return Ok(Some(match this.included(hash)? {
                    Some((tx, meta)) => rpc_transaction(tx, Some(&meta)),
                    None => rpc_transaction(tx, None),
                }));
            }
            Ok(this.included(hash)?.map(|(tx, meta)| rpc_transaction(tx, Some(&meta))))
        })
        .await
    }

    /// EIP-2718 form of an included or pooled transaction.
    pub async fn raw_transaction_by_hash(&self, hash: B256) -> EthResult<Option<Bytes>> {
        self.read(move |this| {
            let tx = match this.pooled(&hash) {
                Some(tx) => Some(tx),
                None => this.included(hash)?.map(|(tx, _)| tx),
            };
            Ok(tx.map(|tx| tx.encoded_2718().into()))
        })
        .await
    }

    /// Transaction object by place.
    pub async fn transaction_by_block_and_index(
        &self,
        id: BlockId,
        index: usize,
    ) -> EthResult<Option<RpcTransaction>> {
        self.read(move |this| {
            Ok(this.block(id)?.and_then(|block| block_transaction(&block, index)))
        })
        .await
    }

    /// EIP-2718 form of a transaction by place.
    pub async fn raw_transaction_by_block_and_index(
        &self,
        id: BlockId,
        index: usize,
    ) -> EthResult<Option<Bytes>> {
        self.read(move |this| {
            let block = this.block(id)?;
            let tx = block.as_ref().and_then(|block| block.body().transactions.get(index));
            Ok(tx.map(|tx| tx.encoded_2718().into()))
        })
        .await
    }

    /// Included L2 transaction of a sender.
    pub async fn transaction_by_sender_and_nonce(
        &self,
        sender: Address,
        nonce: u64,
    ) -> EthResult<Option<RpcTransaction>> {
        self.read(move |this| {
            let hash = this.provider().transaction_hash_by_sender_and_nonce(sender, nonce)?;
            let Some(hash) = hash else { return Ok(None) };
            Ok(this.included(hash)?.map(|(tx, meta)| rpc_transaction(tx, Some(&meta))))
        })
        .await
    }

    /// Receipt object of an included transaction.
    pub async fn transaction_receipt(&self, hash: B256) -> EthResult<Option<RpcReceipt>> {
        self.read(move |this| this.transaction_receipt_blocking(hash)).await
    }

    fn transaction_receipt_blocking(&self, hash: B256) -> EthResult<Option<RpcReceipt>> {
        let Some((_, meta)) = self.included(hash)? else { return Ok(None) };
        let found = self.cache().block_and_receipts(meta.block_hash)?;
        Ok(found.and_then(|found| rpc_receipt(&found.block, &found.receipts, meta.index as usize)))
    }

    /// Admits a signed transaction to the pool.
    pub async fn send_raw_transaction(&self, bytes: &Bytes) -> EthResult<B256> {
        // Recovery takes some 40 us: less than a hop to another thread under load.
        let tx = recover_raw_transaction(bytes)?;
        let hash = *tx.inner().hash();
        let admitted = self.pool().add_consensus_transaction(tx, TransactionOrigin::External).await;
        admitted.map(|_| hash).map_err(pool_error)
    }

    /// Admits a signed transaction and waits for its receipt (EIP-7966).
    pub async fn send_raw_transaction_sync(
        &self,
        bytes: &Bytes,
        timeout: Option<Duration>,
    ) -> EthResult<RpcReceipt> {
        let duration = timeout
            .unwrap_or_else(|| self.config().send_raw_transaction_sync_timeout)
            .min(MAX_SYNC_TIMEOUT);
        // Before the submission, or the block could pass unseen.
        let notifications = self.provider().subscribe_to_canonical_state();
        let hash = self.send_raw_transaction(bytes).await?;
        let receipt = self.wait_for_receipt(hash, notifications);
        tokio::time::timeout(duration, receipt)
            .await
            .map_err(|_| EthApiError::TransactionConfirmationTimeout { hash, duration })?
    }

    async fn wait_for_receipt(
        &self,
        hash: B256,
        mut notifications: Receiver<CanonStateNotification>,
    ) -> EthResult<RpcReceipt> {
        loop {
            match notifications.recv().await {
                Ok(notification) => {
                    for executed in notification.committed().blocks() {
                        let transactions = &executed.block.body().transactions;
                        if let Some(index) = transactions.iter().position(|tx| *tx.hash() == hash)
                            && let Some(receipt) =
                                rpc_receipt(&executed.block, &executed.receipts, index)
                        {
                            return Ok(receipt);
                        }
                    }
                }
                Err(RecvError::Lagged(_)) => {
                    if let Some(receipt) = self.transaction_receipt(hash).await? {
                        return Ok(receipt);
                    }
                }
                Err(RecvError::Closed) => {
                    return Err(EthApiError::internal("canonical notifications ended"));
                }
            }
        }
    }
}

fn pool_error(error: PoolError) -> EthApiError {
    match error.kind {
        PoolErrorKind::DiscardedOnInsert => EthApiError::TxPoolOverflow,
        PoolErrorKind::Other(cause) => EthApiError::Internal(cause.to_string()),
        kind => EthApiError::Pool(kind.to_string()),
    }
}
