//! Balances, nonces, code, slots.

use super::EthApi;
use crate::{EthApiError, EthResult, RpcNodeCore};
use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rpc_types_eth::AccountInfo;
use zkos_pool::TransactionPool;
use zkos_storage_api::{ProviderError, StateProvider, StateProviderBox, StateProviderFactory};

impl<N: RpcNodeCore> EthApi<N> {
    /// State after the block that an id names. `pending` is the state of the head: blocks that were executed but are not durable yet are not shown to callers.
    pub fn state_at(&self, id: Option<BlockId>) -> EthResult<StateProviderBox> {
        let id = id.unwrap_or_default();
        if id.is_latest() || id.is_pending() {
            return Ok(self.provider().latest()?);
        }
        match self.provider().state_by_block_id(id) {
            Err(ProviderError::BlockNotFound(_)) => Err(EthApiError::BlockNotFound(id)),
            other => Ok(other?),
        }
    }

    async fn read_state<T: Send + 'static>(
        &self,
        id: Option<BlockId>,
        read: impl Fn(StateProviderBox) -> Result<T, ProviderError> + Send + 'static,
    ) -> EthResult<T> {
        self.read(move |this| Ok(read(this.state_at(id)?)?)).await
    }

    /// Balance, wei.
    pub async fn balance(&self, address: Address, id: Option<BlockId>) -> EthResult<U256> {
        self.read_state(id, move |state| state.balance(address)).await
    }

    /// Code as `EXTCODECOPY` shows it.
    pub async fn code(&self, address: Address, id: Option<BlockId>) -> EthResult<Bytes> {
        self.read_state(id, move |state| state.code(address)).await
    }

    /// Value of a slot.
    pub async fn storage(
        &self,
        address: Address,
        slot: B256,
        id: Option<BlockId>,
    ) -> EthResult<B256> {
        self.read_state(id, move |state| state.storage(address, slot)).await
    }

    /// Balance, nonce and code.
    pub async fn account_info(&self, address: Address, id: BlockId) -> EthResult<AccountInfo> {
        self.read_state(Some(id), move |state| {
            let account = state.account(address)?.unwrap_or_default();
            let code = state.code(address)?;
            Ok(AccountInfo { balance: account.balance, nonce: account.nonce, code })
        })
        .await
    }

    /// Nonce after a block; with `pending`, the first nonce that neither the state nor a gapless run of pool transactions uses.
    pub async fn transaction_count(&self, address: Address, id: Option<BlockId>) -> EthResult<u64> {
        let on_chain = self.read_state(id, move |state| state.nonce(address)).await?;
        if !id.is_some_and(|id| id.is_pending()) {
            return Ok(on_chain);
        }
        let highest = self.pool().get_highest_consecutive_transaction_by_sender(address, on_chain);
        match highest {
            Some(tx) => tx.nonce().checked_add(1).ok_or_else(|| {
                EthApiError::InvalidTransaction(
                    zksync_os_interface::error::InvalidTransaction::NonceOverflowInTransaction,
                )
            }),
            None => Ok(on_chain),
        }
    }
}
