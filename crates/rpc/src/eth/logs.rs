//! Log queries over stored blocks.

use super::{
    EthApi,
    log_cache::{BlockLogs, Known},
};
use crate::{EthApiError, EthFilterError, RpcNodeCore, types::matching_logs};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};
use std::{ops::RangeInclusive, sync::Arc};
use zkos_storage_api::{BlockIdReader, HeaderProvider};

/// What to do when more logs match than one answer may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overflow {
    /// Refuse and suggest a range that fits.
    Fail,
    /// Stop after the last block that fits.
    Stop,
}

/// Logs found, and how far the search came.
#[derive(Debug)]
pub(super) struct FoundLogs {
    pub(super) logs: Vec<Log>,
    /// Last block whose logs are included.
    pub(super) last_block: u64,
}

impl<N: RpcNodeCore> EthApi<N> {
    /// Answers `eth_getLogs`. Blocks.
    pub fn logs_for_filter(&self, filter: &Filter) -> Result<Vec<Log>, EthFilterError> {
        match filter.block_option {
            FilterBlockOption::AtBlockHash(hash) => {
                let id = BlockId::hash(hash);
                let found = self.resolve(id)?;
                let (number, _) = found.ok_or(EthApiError::BlockNotFound(id))?;
                let mut logs = Vec::new();
                if let Some(block) = self.candidate_logs(filter, number)? {
                    block.collect(filter, &mut logs);
                }
                Ok(logs)
            }
            FilterBlockOption::Range { from_block, to_block } => {
                let Some(range) = self.resolve_range(from_block, to_block)? else {
                    return Ok(Vec::new());
                };
                Ok(self.logs_in_range(filter, range, Overflow::Fail)?.logs)
            }
        }
    }

    /// Existing blocks of a range that a caller asked for. The upper end may lie above the head. `None` when no block of it exists.
    pub(super) fn resolve_range(
        &self,
        from: Option<BlockNumberOrTag>,
        to: Option<BlockNumberOrTag>,
    ) -> Result<Option<RangeInclusive<u64>>, EthFilterError> {
        let head = self.head_number()?;
        let from = self.range_bound(from, head)?;
        let to = self.range_bound(to, head)?;
        if from > to {
            return Err(EthFilterError::InvalidBlockRange);
        }
        // Only blocks that exist cost anything.
        let limit = self.config().max_blocks_per_filter;
        if to.min(head).saturating_sub(from) > limit {
            return Err(EthFilterError::QueryExceedsMaxBlocks(limit));
        }
        Ok((from <= head).then(|| from..=to.min(head)))
    }

    fn range_bound(
        &self,
        bound: Option<BlockNumberOrTag>,
        head: u64,
    ) -> Result<u64, EthFilterError> {
        Ok(match bound.unwrap_or_default() {
            BlockNumberOrTag::Number(number) => number,
            tag => self.provider().convert_block_number(tag)?.unwrap_or(head),
        })
    }

    /// Logs of a range of existing blocks. The limit on the number of logs holds for more than one block only: one block can always be asked for.
    pub(super) fn logs_in_range(
        &self,
        filter: &Filter,
        range: RangeInclusive<u64>,
        overflow: Overflow,
    ) -> Result<FoundLogs, EthFilterError> {
        let (first, last) = (*range.start(), *range.end());
        let max_logs = self.config().max_logs_per_response;
        let mut logs = Vec::new();
        for number in range {
            let Some(block) = self.candidate_logs(filter, number)? else { continue };
            let before = logs.len();
            block.collect(filter, &mut logs);
            if logs.len() > max_logs && first != last {
                // One block always fits, so the first one does.
                let to_block = if number == first { first } else { number - 1 };
                match overflow {
                    Overflow::Fail => {
                        return Err(EthFilterError::QueryExceedsMaxResults {
                            max_logs,
                            from_block: first,
                            to_block,
                        });
                    }
                    Overflow::Stop => {
                        if number != first {
                            logs.truncate(before);
                        }
                        return Ok(FoundLogs { logs, last_block: to_block });
                    }
                }
            }
        }
        Ok(FoundLogs { logs, last_block: last })
    }

    /// Logs of a canonical block, unless its bloom says that none matches.
    fn candidate_logs(
        &self,
        filter: &Filter,
        number: u64,
    ) -> Result<Option<Arc<BlockLogs>>, EthFilterError> {
        let cache = &self.inner.log_cache;
        let hash = match cache.get(number, filter) {
            Known::Excluded => return Ok(None),
            Known::Logs(logs) => return Ok(Some(logs)),
            Known::Candidate(hash) => hash,
            Known::Nothing => {
                let Some(header) = self.provider().sealed_header(number.into())? else {
                    return Ok(None);
                };
                cache.insert_bloom(number, header.hash(), &header.logs_bloom);
                if header.logs_bloom.is_zero() || !filter.matches_bloom(header.logs_bloom) {
                    return Ok(None);
                }
                header.hash()
            }
        };
        let found = self.cache().peek_block_and_receipts(hash).map_err(EthApiError::from)?;
        let Some(found) = found else { return Ok(None) };
        let mut logs = Vec::new();
        matching_logs(&found.block, &found.receipts, false, |_| true, &mut logs);
        let logs = Arc::new(BlockLogs::new(logs));
        cache.insert_logs(number, logs.clone());
        Ok(Some(logs))
    }
}
