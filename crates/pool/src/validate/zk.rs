//! The stock validator.

use super::{TransactionValidationOutcome, TransactionValidator};
use crate::{
    BlockInfo, InvalidPoolTransactionError as Invalid, PoolTransaction, TransactionOrigin,
    ZkPooledTransaction,
};
use alloy_consensus::Transaction;
use alloy_primitives::U256;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use zkos_primitives::bytecode::MAX_INITCODE_SIZE;
use zkos_storage_api::{ProviderError, StateProvider, StateProviderFactory};

/// Gas of any transaction.
const TX_GAS: u64 = 21_000;
/// Gas on top of a transaction that creates a contract.
const CREATE_GAS: u64 = 32_000;
/// Gas per 32-byte word of init code (EIP-3860).
const INITCODE_WORD_GAS: u64 = 2;
/// Gas per zero and other byte of calldata.
const ZERO_BYTE_GAS: u64 = 4;
const NON_ZERO_BYTE_GAS: u64 = 16;
/// Gas per address and slot of an access list.
const ACCESS_LIST_ADDRESS_GAS: u64 = 2_400;
const ACCESS_LIST_SLOT_GAS: u64 = 1_900;
/// Gas per authorization (EIP-7702).
const AUTHORIZATION_GAS: u64 = 25_000;

/// Half the order of secp256k1: signatures with a larger `s` are malleable (EIP-2).
const SECP256K1N_HALF: U256 = U256::from_limbs([
    0xdfe92f46681b20a0,
    0x5d576e7357a4501d,
    0xffffffffffffffff,
    0x7fffffffffffffff,
]);

/// Gas that a transaction costs before it runs, by the rules of Cancun: without the calldata floor of EIP-7623, which the chain does not have.
pub fn intrinsic_gas(tx: &impl Transaction) -> u64 {
    let input = tx.input();
    let zeros = input.iter().filter(|byte| **byte == 0).count() as u64;
    let mut gas = TX_GAS
        + ZERO_BYTE_GAS * zeros
        + NON_ZERO_BYTE_GAS * (input.len() as u64 - zeros)
        + AUTHORIZATION_GAS * tx.authorization_list().map_or(0, |list| list.len() as u64);
    if let Some(list) = tx.access_list() {
        gas += ACCESS_LIST_ADDRESS_GAS * list.len() as u64
            + ACCESS_LIST_SLOT_GAS * list.storage_keys_count() as u64;
    }
    if tx.is_create() {
        gas += CREATE_GAS + INITCODE_WORD_GAS * (input.len() as u64).div_ceil(32);
    }
    gas
}

/// A further rule that needs no state, for example that the gas limit pays for the native resource, or a list of barred signers.
pub type StatelessCheck =
    Arc<dyn Fn(&ZkPooledTransaction, TransactionOrigin) -> Result<(), Invalid> + Send + Sync>;

/// Checks transactions of types 0, 1, 2 and 4 against the rules of Cancun and the newest state.
pub struct ZkTransactionValidator<P> {
    provider: P,
    chain_id: u64,
    max_tx_input_bytes: usize,
    minimum_fee_cap: u128,
    block_gas_limit: AtomicU64,
    checks: Vec<StatelessCheck>,
}

impl<P> fmt::Debug for ZkTransactionValidator<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZkTransactionValidator")
            .field("chain_id", &self.chain_id)
            .field("max_tx_input_bytes", &self.max_tx_input_bytes)
            .field("minimum_fee_cap", &self.minimum_fee_cap)
            .field("block_gas_limit", &self.block_gas_limit)
            .field("checks", &self.checks.len())
            .finish_non_exhaustive()
    }
}

/// Builds a [`ZkTransactionValidator`].
pub struct ZkTransactionValidatorBuilder {
    chain_id: u64,
    max_tx_input_bytes: usize,
    minimum_fee_cap: u128,
    block_gas_limit: u64,
    checks: Vec<StatelessCheck>,
}

impl fmt::Debug for ZkTransactionValidatorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZkTransactionValidatorBuilder")
            .field("chain_id", &self.chain_id)
            .finish_non_exhaustive()
    }
}

impl ZkTransactionValidatorBuilder {
    /// A validator of the chain, with a limit of 128 KiB per transaction and none of the block.
    pub fn new(chain_id: u64) -> Self {
        Self {
            chain_id,
            max_tx_input_bytes: 128 * 1024,
            minimum_fee_cap: 0,
            block_gas_limit: u64::MAX,
            checks: Vec::new(),
        }
    }

    /// Sets the largest encoded transaction in bytes.
    pub const fn max_tx_input_bytes(mut self, bytes: usize) -> Self {
        self.max_tx_input_bytes = bytes;
        self
    }

    /// Sets the least fee cap in wei per gas.
    pub const fn minimum_fee_cap(mut self, wei: u128) -> Self {
        self.minimum_fee_cap = wei;
        self
    }

    /// Sets the gas limit of a block; updates of the pool's block info change it.
    pub const fn block_gas_limit(mut self, gas: u64) -> Self {
        self.block_gas_limit = gas;
        self
    }

    /// Adds a rule that needs no state; rules run in the order in which they were added, after the static ones.
    pub fn with_check(mut self, check: StatelessCheck) -> Self {
        self.checks.push(check);
        self
    }

    /// Builds the validator over a provider.
    pub fn build<P>(self, provider: P) -> ZkTransactionValidator<P> {
        ZkTransactionValidator {
            provider,
            chain_id: self.chain_id,
            max_tx_input_bytes: self.max_tx_input_bytes,
            minimum_fee_cap: self.minimum_fee_cap,
            block_gas_limit: AtomicU64::new(self.block_gas_limit),
            checks: self.checks,
        }
    }
}

impl<P> ZkTransactionValidator<P> {
    /// Checks everything that needs no state.
    pub fn validate_stateless(
        &self,
        origin: TransactionOrigin,
        tx: &ZkPooledTransaction,
    ) -> Result<(), Invalid> {
        let envelope = tx.transaction().as_ethereum().ok_or(Invalid::TxTypeNotSupported)?;
        if envelope.is_eip4844() {
            return Err(Invalid::TxTypeNotSupported);
        }
        let size = tx.encoded_length();
        if size > self.max_tx_input_bytes {
            return Err(Invalid::OversizedData { size, limit: self.max_tx_input_bytes });
        }
        if let Some(have) = tx.chain_id().filter(|id| *id != self.chain_id) {
            return Err(Invalid::ChainIdMismatch { have, want: self.chain_id });
        }
        if envelope.signature().s() > SECP256K1N_HALF {
            return Err(Invalid::MalleableSignature);
        }
        if tx.authorization_list().is_some_and(<[_]>::is_empty) {
            return Err(Invalid::EmptyAuthorizationList);
        }
        if tx.is_create() && tx.input().len() > MAX_INITCODE_SIZE {
            return Err(Invalid::ExceedsMaxInitCodeSize {
                size: tx.input().len(),
                limit: MAX_INITCODE_SIZE,
            });
        }
        let block = self.block_gas_limit.load(Ordering::Relaxed);
        if tx.gas_limit() > block {
            return Err(Invalid::ExceedsGasLimit { tx: tx.gas_limit(), block });
        }
        let fee_cap = tx.max_fee_per_gas();
        let tip = tx.max_priority_fee_per_gas().unwrap_or(0);
        if tip > fee_cap {
            return Err(Invalid::TipAboveFeeCap { tip, fee_cap });
        }
        if fee_cap < self.minimum_fee_cap {
            return Err(Invalid::Underpriced { fee_cap, minimum: self.minimum_fee_cap });
        }
        let want = intrinsic_gas(tx);
        if tx.gas_limit() < want {
            return Err(Invalid::IntrinsicGasTooLow { have: tx.gas_limit(), want });
        }
        if tx.nonce() == u64::MAX {
            return Err(Invalid::NonceMax);
        }
        let fee = U256::from(fee_cap) * U256::from(tx.gas_limit());
        if fee.checked_add(tx.value()).is_none() {
            return Err(Invalid::CostOverflow);
        }
        self.checks.iter().try_for_each(|check| check(tx, origin))
    }

    fn validate_state(
        tx: ZkPooledTransaction,
        state: &dyn StateProvider,
    ) -> TransactionValidationOutcome<ZkPooledTransaction> {
        let account = match state.account(tx.sender()) {
            Ok(account) => account.unwrap_or_default(),
            Err(error) => {
                return TransactionValidationOutcome::Error(*tx.hash(), Box::new(error));
            }
        };
        let invalid = if account.is_contract() {
            Some(Invalid::SenderNotEoa(tx.sender()))
        } else if tx.nonce() < account.nonce {
            Some(Invalid::NonceTooLow { tx: tx.nonce(), state: account.nonce })
        } else if *tx.cost() > account.balance {
            Some(Invalid::InsufficientFunds { balance: account.balance, cost: *tx.cost() })
        } else {
            None
        };
        match invalid {
            Some(invalid) => TransactionValidationOutcome::Invalid(tx, invalid),
            None => TransactionValidationOutcome::Valid {
                transaction: tx,
                balance: account.balance,
                state_nonce: account.nonce,
            },
        }
    }
}

impl<P: StateProviderFactory> ZkTransactionValidator<P> {
    /// Checks transactions against one state, which is opened only if one of them passes the static rules.
    fn validate(
        &self,
        origin: TransactionOrigin,
        transactions: impl IntoIterator<Item = ZkPooledTransaction>,
    ) -> Vec<TransactionValidationOutcome<ZkPooledTransaction>> {
        let mut state: Option<Result<_, ProviderError>> = None;
        transactions
            .into_iter()
            .map(|tx| {
                if let Err(invalid) = self.validate_stateless(origin, &tx) {
                    return TransactionValidationOutcome::Invalid(tx, invalid);
                }
                // The last appended block, not the canonical head: its nonces are taken already.
                match state.get_or_insert_with(|| self.provider.pending()) {
                    Ok(state) => Self::validate_state(tx, &**state),
                    Err(error) => {
                        TransactionValidationOutcome::Error(*tx.hash(), Box::new(error.clone()))
                    }
                }
            })
            .collect()
    }
}

impl<P: StateProviderFactory + Send + Sync + 'static> TransactionValidator
    for ZkTransactionValidator<P>
{
    type Transaction = ZkPooledTransaction;

    async fn validate_transaction(
        &self,
        origin: TransactionOrigin,
        transaction: ZkPooledTransaction,
    ) -> TransactionValidationOutcome<ZkPooledTransaction> {
        let hash = *transaction.hash();
        self.validate(origin, [transaction]).pop().unwrap_or_else(|| {
            TransactionValidationOutcome::Error(hash, "validator gave no outcome".into())
        })
    }

    async fn validate_transactions(
        &self,
        origin: TransactionOrigin,
        transactions: Vec<ZkPooledTransaction>,
    ) -> Vec<TransactionValidationOutcome<ZkPooledTransaction>> {
        self.validate(origin, transactions)
    }

    fn on_new_head_block(&self, info: &BlockInfo) {
        // Zero means that nobody has said yet.
        if info.block_gas_limit != 0 {
            self.block_gas_limit.store(info.block_gas_limit, Ordering::Relaxed);
        }
    }
}
