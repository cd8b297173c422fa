//! State in memory and transactions for the tests.

#![allow(dead_code)]

use alloy_consensus::{EthereumTxEnvelope, Signed, TxEip1559, TxEip4844};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, map::HashMap};
use zkos_executor::{StateError, StateView};
use zkos_primitives::{AccountProperties, BlockContext, ZkTxEnvelope};

pub(crate) const CHAIN_ID: u64 = 270;
pub(crate) const SENDER: Address = Address::repeat_byte(0x11);
pub(crate) const CONTRACT: Address = Address::repeat_byte(0x22);
pub(crate) const COINBASE: Address = Address::repeat_byte(0xcb);

/// Accounts, slots and codes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    pub(crate) accounts: HashMap<Address, AccountProperties>,
    pub(crate) slots: HashMap<(Address, U256), U256>,
    pub(crate) preimages: HashMap<B256, Bytes>,
}

impl Memory {
    /// A funded sender, and a contract.
    pub(crate) fn new(code: &[u8]) -> Self {
        let mut memory = Self::default();
        let balance = U256::from(10u64.pow(18));
        memory.accounts.insert(SENDER, AccountProperties::new_eoa(0, balance));
        memory.with_code(CONTRACT, code)
    }

    pub(crate) fn with_code(mut self, address: Address, code: &[u8]) -> Self {
        let mut account = AccountProperties::new_eoa(1, U256::from(1_000));
        let stored = account.set_deployed_code(code);
        self.accounts.insert(address, account);
        self.preimages.insert(stored.bytecode_hash, stored.preimage.into());
        self
    }

    pub(crate) fn with_balance(mut self, address: Address, balance: U256) -> Self {
        self.accounts.entry(address).or_default().balance = balance;
        self
    }
}

impl StateView for Memory {
    fn account(&mut self, address: Address) -> Result<Option<AccountProperties>, StateError> {
        Ok(self.accounts.get(&address).copied())
    }
    fn storage(&mut self, address: Address, slot: U256) -> Result<Option<U256>, StateError> {
        Ok(self.slots.get(&(address, slot)).copied())
    }
    fn preimage(&mut self, hash: B256) -> Result<Option<Bytes>, StateError> {
        Ok(self.preimages.get(&hash).cloned())
    }
}

pub(crate) fn context() -> BlockContext {
    BlockContext {
        chain_id: CHAIN_ID,
        block_number: 7,
        timestamp: 1_700_000_000,
        eip1559_basefee: U256::from(1_000),
        pubdata_price: U256::from(10),
        native_price: U256::from(1),
        coinbase: COINBASE,
        gas_limit: 100_000_000,
        pubdata_limit: 100_000_000,
        execution_version: 5,
        ..Default::default()
    }
}

/// EIP-1559 transaction of the sender at a price of 10,000 wei.
pub(crate) fn transaction(tx: TxEip1559) -> ZkTxEnvelope {
    let gas_limit = if tx.gas_limit == 0 { 1_000_000 } else { tx.gas_limit };
    let tx = TxEip1559 { chain_id: CHAIN_ID, max_fee_per_gas: 10_000, gas_limit, ..tx };
    let signature = Signature::new(U256::from(1), U256::from(1), false);
    let hash = B256::from(U256::from(tx.nonce + 1));
    let envelope: EthereumTxEnvelope<TxEip4844> = Signed::new_unchecked(tx, signature, hash).into();
    envelope.into()
}

pub(crate) fn call(nonce: u64, to: Address, value: u64, input: impl Into<Bytes>) -> ZkTxEnvelope {
    transaction(TxEip1559 {
        nonce,
        to: TxKind::Call(to),
        value: U256::from(value),
        input: input.into(),
        ..Default::default()
    })
}

pub(crate) fn create(nonce: u64, init: impl Into<Bytes>) -> ZkTxEnvelope {
    transaction(TxEip1559 { nonce, to: TxKind::Create, input: init.into(), ..Default::default() })
}
