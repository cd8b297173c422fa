//! The transaction envelope of the chain.

use super::{
    json,
    l1::{TxL1Priority, TxUpgrade},
};
use alloy_consensus::{
    EthereumTxEnvelope, InMemorySize, Sealed, Transaction, TransactionEnvelope, TxEip4844,
    crypto::RecoveryError,
    transaction::{Recovered, SignerRecoverable, TxHashRef},
};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, TxHash};
use zksync_os_interface::traits::EncodedTx;

/// A transaction of any type the chain can hold.
///
/// Blob transactions (type 3) exist in the type, because the Ethereum envelope has them, but are
/// refused by the pool and by the state transition.
#[derive(Debug, Clone, TransactionEnvelope)]
#[envelope(tx_type_name = ZkTxType)]
pub enum ZkTxEnvelope {
    /// Signed transaction of a user.
    #[envelope(flatten)]
    Ethereum(EthereumTxEnvelope<TxEip4844>),
    /// Protocol upgrade.
    #[envelope(ty = 0x7e)]
    #[serde(with = "json")]
    Upgrade(Sealed<TxUpgrade>),
    /// L1->L2 priority transaction.
    #[envelope(ty = 0x7f)]
    #[serde(with = "json")]
    L1(Sealed<TxL1Priority>),
}

/// A transaction with its known sender.
pub type RecoveredTx = Recovered<ZkTxEnvelope>;

impl ZkTxEnvelope {
    /// Transaction hash. For transactions from L1 it is the canonical hash, not the hash of the
    /// EIP-2718 bytes.
    pub fn hash(&self) -> &B256 {
        match self {
            Self::Ethereum(tx) => tx.hash(),
            Self::Upgrade(tx) => tx.hash_ref(),
            Self::L1(tx) => tx.hash_ref(),
        }
    }

    /// True for priority and upgrade transactions.
    pub const fn is_from_l1(&self) -> bool {
        matches!(self, Self::L1(_) | Self::Upgrade(_))
    }

    /// The priority transaction, if it is one.
    pub const fn as_l1(&self) -> Option<&Sealed<TxL1Priority>> {
        match self {
            Self::L1(tx) => Some(tx),
            _ => None,
        }
    }

    /// The upgrade transaction, if it is one.
    pub const fn as_upgrade(&self) -> Option<&Sealed<TxUpgrade>> {
        match self {
            Self::Upgrade(tx) => Some(tx),
            _ => None,
        }
    }

    /// The user's transaction, if it is one.
    pub const fn as_ethereum(&self) -> Option<&EthereumTxEnvelope<TxEip4844>> {
        match self {
            Self::Ethereum(tx) => Some(tx),
            _ => None,
        }
    }

    /// Type of the transaction.
    pub fn tx_type(&self) -> ZkTxType {
        TransactionEnvelope::tx_type(self)
    }

    /// Sender without signature recovery, known for transactions from L1 only.
    pub const fn l1_sender(&self) -> Option<Address> {
        match self {
            Self::Ethereum(_) => None,
            Self::Upgrade(tx) => Some(tx.inner().from),
            Self::L1(tx) => Some(tx.inner().from),
        }
    }

    /// The form the VM reads: EIP-2718 bytes and signer for users' transactions, the ABI params
    /// sequence for transactions from L1.
    pub fn encode_for_vm(&self, signer: Address) -> EncodedTx {
        match self {
            Self::Ethereum(tx) => EncodedTx::Rlp(tx.encoded_2718(), signer),
            Self::Upgrade(tx) => EncodedTx::Abi(tx.abi_encode()),
            Self::L1(tx) => EncodedTx::Abi(tx.abi_encode()),
        }
    }

    /// Gas price paid in a block with base fee `base_fee`, in wei.
    pub fn effective_gas_price(&self, base_fee: u64) -> u128 {
        Transaction::effective_gas_price(self, Some(base_fee))
    }
}

impl TxHashRef for ZkTxEnvelope {
    fn tx_hash(&self) -> &TxHash {
        self.hash()
    }
}

impl SignerRecoverable for ZkTxEnvelope {
    fn recover_signer(&self) -> Result<Address, RecoveryError> {
        match self {
            Self::Ethereum(tx) => tx.recover_signer(),
            Self::Upgrade(tx) => tx.recover_signer(),
            Self::L1(tx) => tx.recover_signer(),
        }
    }

    fn recover_signer_unchecked(&self) -> Result<Address, RecoveryError> {
        match self {
            Self::Ethereum(tx) => tx.recover_signer_unchecked(),
            Self::Upgrade(tx) => tx.recover_signer_unchecked(),
            Self::L1(tx) => tx.recover_signer_unchecked(),
        }
    }

    fn recover_with_buf(&self, buf: &mut Vec<u8>) -> Result<Address, RecoveryError> {
        match self {
            Self::Ethereum(tx) => tx.recover_with_buf(buf),
            _ => self.recover_signer(),
        }
    }

    fn recover_unchecked_with_buf(&self, buf: &mut Vec<u8>) -> Result<Address, RecoveryError> {
        match self {
            Self::Ethereum(tx) => tx.recover_unchecked_with_buf(buf),
            _ => self.recover_signer_unchecked(),
        }
    }
}

impl InMemorySize for ZkTxEnvelope {
    fn size(&self) -> usize {
        match self {
            Self::Ethereum(tx) => InMemorySize::size(tx),
            Self::Upgrade(tx) => tx.inner().size() + 32,
            Self::L1(tx) => tx.inner().size() + 32,
        }
    }
}

impl InMemorySize for ZkTxType {
    fn size(&self) -> usize {
        core::mem::size_of::<Self>()
    }
}

impl From<EthereumTxEnvelope<TxEip4844>> for ZkTxEnvelope {
    fn from(tx: EthereumTxEnvelope<TxEip4844>) -> Self {
        Self::Ethereum(tx)
    }
}

impl From<TxL1Priority> for ZkTxEnvelope {
    fn from(tx: TxL1Priority) -> Self {
        Self::L1(Sealed::new(tx))
    }
}

impl From<TxUpgrade> for ZkTxEnvelope {
    fn from(tx: TxUpgrade) -> Self {
        Self::Upgrade(Sealed::new(tx))
    }
}

impl Default for ZkTxType {
    fn default() -> Self {
        Self::Ethereum(alloy_consensus::TxType::Legacy)
    }
}
