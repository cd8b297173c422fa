//! Proofs for L1: of a log of a transaction, and of state.

use super::{
    ZksApi,
    types::{
        L1VerificationData, L2ToL1LogProof, StateCommitmentPreimage, StateProof, StorageProof,
    },
};
use crate::{EthApi, EthApiError, RpcNodeCore, ZksApiError};
use alloy_primitives::{Address, B256, Bytes, U64};
use zkos_primitives::{
    L2ToL1Log, block_hashes_blake, flat_storage_key, log_tree::log_proof, state_commitment,
};
use zkos_storage_api::{
    ReplayRecordReader, StateProvider, StateProviderFactory, TransactionsProvider,
};

/// Slots in one request for proofs.
const MAX_PROOF_KEYS: usize = 1024;

impl<N: RpcNodeCore> ZksApi<N> {
    /// Answers `zks_getL2ToL1LogProof`; `None` when the transaction is unknown.
    ///
    /// # Errors
    /// While L1 does not accept the proof yet, and when the transaction has no such log.
    pub async fn l2_to_l1_log_proof(
        &self,
        hash: B256,
        index: usize,
    ) -> Result<Option<L2ToL1LogProof>, ZksApiError> {
        self.eth.spawn_call(move |eth| log_proof_of(eth, hash, index)).await
    }

    /// Answers `zks_getProof`; `None` when the batch, or the tree at its end, is unknown.
    ///
    /// # Errors
    /// When too many slots are asked for, or the node has no tree.
    pub async fn state_proof(
        &self,
        address: Address,
        keys: Vec<B256>,
        batch: u64,
    ) -> Result<Option<StateProof>, ZksApiError> {
        if keys.len() > MAX_PROOF_KEYS {
            return Err(EthApiError::invalid_params(format!(
                "too many keys: {}, at most {MAX_PROOF_KEYS}",
                keys.len()
            ))
            .into());
        }
        self.eth.spawn_call(move |eth| state_proof_of(eth, address, keys, batch)).await
    }

    /// Answers `zks_getAccountPreimage`: the encoded account record in the state after a batch.
    pub async fn account_preimage(
        &self,
        address: Address,
        batch: u64,
    ) -> Result<Option<Bytes>, ZksApiError> {
        self.eth
            .spawn_read(move |eth| {
                let Some(batch) = eth.shared().batches()?.batch(batch)? else { return Ok(None) };
                let state = eth.provider().history_by_block_number(batch.last_block);
                let account = state.and_then(|state| state.account(address));
                let account = account.map_err(EthApiError::from)?;
                Ok(account.map(|account| Bytes::copy_from_slice(&account.encode())))
            })
            .await
    }
}

fn log_proof_of<N: RpcNodeCore>(
    eth: &EthApi<N>,
    hash: B256,
    index: usize,
) -> Result<Option<L2ToL1LogProof>, ZksApiError> {
    let found = eth.provider().transaction_by_hash_with_meta(hash).map_err(EthApiError::from)?;
    let Some((_, meta)) = found else { return Ok(None) };
    let batches = eth.shared().batches()?;
    let batch = batches.batch_of_block(meta.block_number)?.ok_or(ZksApiError::NotBatched)?;
    let number = batch.stored.batch_number;
    if number > batches.heads().executed {
        return Err(ZksApiError::NotExecuted);
    }
    let mut logs: Vec<L2ToL1Log> = Vec::new();
    let mut position = None;
    for block in batch.first_block..=batch.last_block {
        let found = eth.block_and_receipts(block.into())?;
        let found = found.ok_or(EthApiError::BlockNotFound(block.into()))?;
        for (place, receipt) in found.receipts.iter().enumerate() {
            if block == meta.block_number && place as u64 == meta.index {
                let count = receipt.l2_to_l1_logs.len();
                if index >= count {
                    return Err(ZksApiError::NoSuchLog { index, count });
                }
                position = Some(logs.len() + index);
            }
            logs.extend(receipt.l2_to_l1_logs.iter().copied());
        }
    }
    let position = position
        .ok_or_else(|| EthApiError::internal(format_args!("receipt of {hash} is missing")))?;
    let proof = log_proof(&logs, position).map_err(EthApiError::internal)?;
    if proof.root != batch.stored.l2_logs_tree_root {
        return Err(EthApiError::internal(format_args!(
            "logs of batch {number} have root {}, L1 knows {}",
            proof.root, batch.stored.l2_logs_tree_root
        ))
        .into());
    }
    Ok(Some(L2ToL1LogProof::new(number, proof)))
}

fn state_proof_of<N: RpcNodeCore>(
    eth: &EthApi<N>,
    address: Address,
    keys: Vec<B256>,
    number: u64,
) -> Result<Option<StateProof>, ZksApiError> {
    let Some(batch) = eth.shared().batches()?.batch(number)? else { return Ok(None) };
    let prover = eth.shared().state_prover()?;
    let block = batch.last_block;
    let record = eth.provider().replay_record(block).map_err(EthApiError::from)?;
    let Some(record) = record else { return Ok(None) };
    let flat: Vec<B256> = keys.iter().map(|key| flat_storage_key(address, *key)).collect();
    let Some(proven) = prover.prove(block, &flat)? else { return Ok(None) };
    let context = &record.block_context;
    let hashes = block_hashes_blake(&context.block_hashes, record.block_hash);
    let (root, leaves) = (proven.tree.root, proven.tree.leaf_count);
    let commitment = state_commitment(root, leaves, block, hashes, context.timestamp);
    if commitment != batch.stored.state_commitment {
        return Err(EthApiError::internal(format_args!(
            "state commitment after batch {number} is {commitment}, L1 knows {}",
            batch.stored.state_commitment
        ))
        .into());
    }
    let proofs = keys.into_iter().zip(proven.proofs);
    Ok(Some(StateProof {
        address,
        state_commitment_preimage: StateCommitmentPreimage {
            next_free_slot: U64::from(leaves),
            block_number: U64::from(block),
            last_256_block_hashes_blake: hashes,
            last_block_timestamp: U64::from(context.timestamp),
        },
        storage_proofs: proofs.map(|(key, proof)| StorageProof { key, proof }).collect(),
        l1_verification_data: L1VerificationData::from(&batch.stored),
    }))
}
