//! Gas price and fee history.

use super::{EthApi, cache::BlockAndReceipts};
use crate::{EthApiError, EthResult, RpcNodeCore};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::U256;
use alloy_rpc_types_eth::FeeHistory;
use zkos_storage_api::{BlockIdReader, HeaderProvider};

/// Blocks in one answer of `eth_feeHistory`; more are cut off as in geth.
const MAX_FEE_HISTORY_BLOCKS: u64 = 1024;
/// Percentiles in one request, as in geth.
const MAX_REWARD_PERCENTILES: usize = 100;

impl<N: RpcNodeCore> EthApi<N> {
    /// Base fee of the head, wei per gas. The order of inclusion does not depend on tips as long as blocks are not full.
    pub async fn gas_price(&self) -> EthResult<u64> {
        self.read(|this| {
            let head = this.head_number()?;
            let header = this.provider().sealed_header(head.into())?;
            let header = header.ok_or(EthApiError::BlockNotFound(BlockId::latest()))?;
            Ok(header.base_fee_per_gas.unwrap_or_default())
        })
        .await
    }

    /// Blob base fee in the context of the head, wei.
    pub async fn blob_base_fee(&self) -> EthResult<U256> {
        self.read(|this| Ok(this.context_at(BlockId::latest())?.blob_fee)).await
    }

    /// Address that collects fees.
    pub async fn coinbase(&self) -> EthResult<alloy_primitives::Address> {
        self.read(|this| Ok(this.context_at(BlockId::latest())?.coinbase)).await
    }

    /// Fees of up to `count` blocks that end with `newest`.
    pub async fn fee_history(
        &self,
        count: u64,
        newest: BlockNumberOrTag,
        percentiles: Option<Vec<f64>>,
    ) -> EthResult<FeeHistory> {
        let percentiles = percentiles.unwrap_or_default();
        if percentiles.len() > MAX_REWARD_PERCENTILES
            || percentiles.iter().any(|p| !(0.0..=100.0).contains(p))
            || !percentiles.is_sorted()
        {
            return Err(EthApiError::invalid_params("invalid reward percentiles"));
        }
        if count == 0 {
            return Ok(FeeHistory::default());
        }
        self.spawn_read(move |this| this.fee_history_blocking(count, newest, &percentiles)).await
    }

    fn fee_history_blocking(
        &self,
        count: u64,
        newest: BlockNumberOrTag,
        percentiles: &[f64],
    ) -> EthResult<FeeHistory> {
        let newest_number = self
            .provider()
            .convert_block_number(newest)?
            .ok_or(EthApiError::BlockNotFound(newest.into()))?;
        let count = count.min(MAX_FEE_HISTORY_BLOCKS).min(newest_number + 1);
        let oldest = newest_number + 1 - count;
        let mut history = FeeHistory { oldest_block: oldest, ..Default::default() };
        let mut rewards = Vec::new();
        for number in oldest..=newest_number {
            let header = self
                .provider()
                .sealed_header(number.into())?
                .ok_or(EthApiError::BlockNotFound(number.into()))?;
            let base_fee = header.base_fee_per_gas.unwrap_or_default();
            history.base_fee_per_gas.push(base_fee.into());
            history.base_fee_per_blob_gas.push(0);
            history.blob_gas_used_ratio.push(0.0);
            history.gas_used_ratio.push(if header.gas_limit == 0 {
                0.0
            } else {
                header.gas_used as f64 / header.gas_limit as f64
            });
            if !percentiles.is_empty() {
                let found = self
                    .cache()
                    .block_and_receipts(header.hash())?
                    .ok_or(EthApiError::BlockNotFound(number.into()))?;
                rewards.push(block_rewards(&found, base_fee, percentiles));
            }
        }
        // The base fee of the next block: known when the block exists, otherwise expected to stay.
        let next = self.provider().sealed_header((newest_number + 1).into())?;
        let next = next.and_then(|header| header.base_fee_per_gas).map(u128::from);
        history.base_fee_per_gas.extend(next.or_else(|| history.base_fee_per_gas.last().copied()));
        history.base_fee_per_blob_gas.push(0);
        history.reward = (!percentiles.is_empty()).then_some(rewards);
        Ok(history)
    }
}

/// Tips at percentiles of the gas used, as geth computes them. Transactions from L1 are left out: they come first whatever they pay, so that their price, which was fixed on L1,
/// would only make wallets pay too much.
fn block_rewards(found: &BlockAndReceipts, base_fee: u64, percentiles: &[f64]) -> Vec<u128> {
    let mut gas_before = 0;
    let mut transactions: Vec<(u128, u64)> = found
        .block
        .body()
        .transactions
        .iter()
        .zip(found.receipts.iter())
        .filter_map(|(tx, receipt)| {
            let gas = receipt.cumulative_gas_used.saturating_sub(gas_before);
            gas_before = receipt.cumulative_gas_used;
            let tip = tx.effective_gas_price(base_fee).saturating_sub(base_fee.into());
            (!tx.is_from_l1()).then_some((tip, gas))
        })
        .collect();
    transactions.sort_unstable_by_key(|(tip, _)| *tip);
    let total = transactions.iter().map(|(_, gas)| gas).sum::<u64>();
    let mut transactions = transactions.into_iter();
    let Some((mut tip, mut gas_sum)) = transactions.next() else {
        return vec![0; percentiles.len()];
    };
    percentiles
        .iter()
        .map(|percentile| {
            let threshold = (total as f64 * percentile / 100.0) as u64;
            while gas_sum < threshold
                && let Some((next_tip, gas)) = transactions.next()
            {
                tip = next_tip;
                gas_sum += gas;
            }
            tip
        })
        .collect()
}
