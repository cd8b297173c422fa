//! Pages of an address's history.

use crate::{
    OtterscanApi, OtterscanError,
    types::{Logs, SearchPage, ots_receipt},
};
use alloy_eips::BlockId;
use alloy_primitives::{Address, BlockNumber};
use std::sync::Arc;
use zkos_rpc::{
    EthApi, EthApiError, RpcNodeCore,
    types::{block_transaction, rpc_receipt},
};
use zkos_storage::{OtsIndex, TxPlace};
use zkos_storage_api::BlockNumReader;

/// Transactions that one page may ask for. Otterscan asks for 25.
pub const MAX_PAGE_SIZE: usize = 1_000;

/// Where a page lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Before the block.
    Before,
    /// After it.
    After,
}

/// What a page holds, newest first, and where it lies in the history.
struct Found {
    places: Vec<TxPlace>,
    /// Nothing is newer.
    first_page: bool,
    /// Nothing is older.
    last_page: bool,
}

pub(crate) fn check_page_size(size: usize) -> Result<usize, OtterscanError> {
    if (1..=MAX_PAGE_SIZE).contains(&size) { Ok(size) } else { Err(OtterscanError::PageSize(size)) }
}

fn find(
    index: &OtsIndex,
    address: Address,
    block: BlockNumber,
    direction: Direction,
    size: usize,
    head: BlockNumber,
) -> Result<Found, OtterscanError> {
    // As long as the index is filled nobody knows what comes after a page of old blocks.
    let complete = index.head().number >= head;
    let any = |direction| -> Result<bool, OtterscanError> {
        let page = match direction {
            Direction::Before => index.before(address, block.saturating_add(1), 1)?,
            Direction::After => index.after(address, block.saturating_sub(1), 1)?,
        };
        Ok(!page.places.is_empty())
    };
    Ok(match direction {
        Direction::Before => {
            let before = if block == 0 { BlockNumber::MAX } else { block };
            let page = index.before(address, before, size)?;
            let first_page = block == 0 || (complete && !any(Direction::After)?);
            Found { places: page.places, first_page, last_page: !page.more }
        }
        Direction::After => {
            let page = index.after(address, block, size)?;
            let mut places = page.places;
            places.reverse();
            let last_page = block == 0 || !any(Direction::Before)?;
            Found { places, first_page: !page.more, last_page }
        }
    })
}

impl<N: RpcNodeCore> OtterscanApi<N> {
    /// A page of the history of an address. Block 0 is the end from which the direction starts.
    pub async fn search(
        &self,
        address: Address,
        block: BlockNumber,
        direction: Direction,
        size: usize,
    ) -> Result<SearchPage, OtterscanError> {
        let size = check_page_size(size)?;
        let head = self.eth().provider().best_block_number()?;
        let needed = match direction {
            Direction::Before if block > 0 => head.min(block - 1),
            Direction::Before | Direction::After => head,
        };
        let index: Arc<OtsIndex> = self.index().at(needed).await?.clone();
        self.eth()
            .spawn_read(move |eth| {
                let found = find(&index, address, block, direction, size, head)?;
                page(eth, found)
            })
            .await
    }
}

/// Transactions and receipts of a page.
fn page<N: RpcNodeCore>(eth: &EthApi<N>, found: Found) -> Result<SearchPage, OtterscanError> {
    let Found { places, first_page, last_page } = found;
    let mut page = SearchPage {
        txs: Vec::with_capacity(places.len()),
        receipts: Vec::with_capacity(places.len()),
        first_page,
        last_page,
    };
    for of_block in places.chunk_by(|a, b| a.block == b.block) {
        let Some(number) = of_block.first().map(|place| place.block) else { continue };
        let id = BlockId::number(number);
        let block = eth.block_and_receipts(id)?.ok_or(EthApiError::BlockNotFound(id))?;
        for place in of_block {
            let index = place.index as usize;
            let tx = block_transaction(&block.block, index);
            let receipt = rpc_receipt(&block.block, &block.receipts, index);
            let (Some(tx), Some(receipt)) = (tx, receipt) else {
                return Err(EthApiError::internal(format_args!(
                    "transaction {index} of block {number} is in the index but not in the block"
                ))
                .into());
            };
            page.txs.push(tx);
            page.receipts.push(ots_receipt(receipt, block.block.header().timestamp, Logs::Keep));
        }
    }
    Ok(page)
}
