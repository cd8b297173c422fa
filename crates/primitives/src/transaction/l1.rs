//! Transactions that come from L1: priority transactions (0x7f) and protocol upgrades (0x7e).
//!
//! Both have the fields of the L1 contract's canonical transaction. Their hash is defined by that
//! contract over the ABI encoding, so it is **not** the Keccak of the EIP-2718 bytes: always take
//! it from [`alloy_consensus::transaction::TxHashRef`], never recompute it from raw bytes.

use super::abi::CanonicalTransaction;
use alloy_consensus::{
    InMemorySize, Transaction, Typed2718, crypto::RecoveryError, transaction::SignerRecoverable,
};
use alloy_eips::{
    Decodable2718, Encodable2718,
    eip2718::{Eip2718Error, Eip2718Result, IsTyped2718},
    eip2930::AccessList,
    eip7702::SignedAuthorization,
};
use alloy_primitives::{Address, B256, Bytes, Sealable, TxKind, U256, keccak256};
use alloy_rlp::{BufMut, Decodable, Encodable, Header};

/// EIP-2718 type of a protocol upgrade transaction.
pub const UPGRADE_TX_TYPE_ID: u8 = 0x7e;
/// EIP-2718 type of an L1->L2 priority transaction.
pub const L1_PRIORITY_TX_TYPE_ID: u8 = 0x7f;

/// L1->L2 priority transaction. Its nonce is the index in the priority queue.
pub type TxL1Priority = TxFromL1<L1_PRIORITY_TX_TYPE_ID>;
/// Protocol upgrade transaction. Its nonce is the minor protocol version.
pub type TxUpgrade = TxFromL1<UPGRADE_TX_TYPE_ID>;

/// A transaction that L1 forces upon the chain; `TYPE` is its EIP-2718 type byte.
///
/// It carries no signature: L1 vouches for `from`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct TxFromL1<const TYPE: u8> {
    /// Sender; aliased if it is a contract on L1.
    pub from: Address,
    /// Callee. Never a creation: the zero address is an ordinary callee.
    pub to: Address,
    /// Gas limit.
    pub gas_limit: u64,
    /// Gas charged per byte of pubdata.
    pub gas_per_pubdata_byte_limit: u64,
    /// Gas price in wei; used as it is, without regard to the base fee.
    pub max_fee_per_gas: u128,
    /// Ignored by the state transition; zero in everything L1 produces.
    pub max_priority_fee_per_gas: u128,
    /// Priority operation id, or minor protocol version of an upgrade.
    pub nonce: u64,
    /// Value of the call in wei.
    pub value: U256,
    /// Total deposit in wei: covers `value` and the fee; the rest goes to `refund_recipient`.
    pub to_mint: U256,
    /// Receives what is left of the deposit.
    pub refund_recipient: Address,
    /// Calldata.
    pub input: Bytes,
    /// Hashes of code offered for force deployments.
    pub factory_deps: Vec<B256>,
}

impl<const TYPE: u8> TxFromL1<TYPE> {
    /// The form handed to the VM ("params sequence"): the ABI encoding of the canonical
    /// transaction without the leading offset word.
    pub fn abi_encode(&self) -> Vec<u8> {
        CanonicalTransaction::from(self).abi_encode()
    }

    /// Canonical hash: Keccak-256 over the offset word 0x20 and [`Self::abi_encode`].
    pub fn canonical_hash(&self) -> B256 {
        CanonicalTransaction::from(self).canonical_hash()
    }

    /// Heuristic size in memory, in bytes.
    pub fn size(&self) -> usize {
        core::mem::size_of::<Self>() + self.input.len() + self.factory_deps.len() * 32
    }

    fn rlp_header(&self, hash: &B256) -> Header {
        Header { list: true, payload_length: self.rlp_fields_len(hash) }
    }

    fn rlp_fields_len(&self, hash: &B256) -> usize {
        hash.length()
            + self.from.length()
            + self.to.length()
            + self.gas_limit.length()
            + self.gas_per_pubdata_byte_limit.length()
            + self.max_fee_per_gas.length()
            + self.max_priority_fee_per_gas.length()
            + self.nonce.length()
            + self.value.length()
            + self.to_mint.length()
            + self.refund_recipient.length()
            + self.input.length()
            + self.factory_deps.length()
            // y parity, r, s: always zero
            + 3
    }

    fn rlp_encode(&self, hash: &B256, out: &mut dyn BufMut) {
        self.rlp_header(hash).encode(out);
        hash.encode(out);
        self.from.encode(out);
        self.to.encode(out);
        self.gas_limit.encode(out);
        self.gas_per_pubdata_byte_limit.encode(out);
        self.max_fee_per_gas.encode(out);
        self.max_priority_fee_per_gas.encode(out);
        self.nonce.encode(out);
        self.value.encode(out);
        self.to_mint.encode(out);
        self.refund_recipient.encode(out);
        self.input.encode(out);
        self.factory_deps.encode(out);
        for _ in 0..3 {
            0u8.encode(out);
        }
    }

    /// Decodes the RLP list and checks the hash in it against the fields.
    fn rlp_decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        let mut payload = Header::decode_bytes(buf, true)?;
        let fields = &mut payload;
        let hash = B256::decode(fields)?;
        let tx = Self {
            from: Decodable::decode(fields)?,
            to: Decodable::decode(fields)?,
            gas_limit: Decodable::decode(fields)?,
            gas_per_pubdata_byte_limit: Decodable::decode(fields)?,
            max_fee_per_gas: Decodable::decode(fields)?,
            max_priority_fee_per_gas: Decodable::decode(fields)?,
            nonce: Decodable::decode(fields)?,
            value: Decodable::decode(fields)?,
            to_mint: Decodable::decode(fields)?,
            refund_recipient: Decodable::decode(fields)?,
            input: Decodable::decode(fields)?,
            factory_deps: Decodable::decode(fields)?,
        };
        for _ in 0..3 {
            if u8::decode(fields)? != 0 {
                return Err(alloy_rlp::Error::Custom("l1 transaction with a signature"));
            }
        }
        if !fields.is_empty() {
            return Err(alloy_rlp::Error::UnexpectedLength);
        }
        if tx.canonical_hash() != hash {
            return Err(alloy_rlp::Error::Custom(
                "hash of l1 transaction does not match its fields",
            ));
        }
        Ok(tx)
    }
}

impl<const TYPE: u8> Typed2718 for TxFromL1<TYPE> {
    fn ty(&self) -> u8 {
        TYPE
    }
}

impl<const TYPE: u8> IsTyped2718 for TxFromL1<TYPE> {
    fn is_type(type_id: u8) -> bool {
        type_id == TYPE
    }
}

impl<const TYPE: u8> Encodable2718 for TxFromL1<TYPE> {
    fn encode_2718_len(&self) -> usize {
        // The length of the hash does not depend on its value.
        1 + self.rlp_header(&B256::ZERO).length_with_payload()
    }

    fn encode_2718(&self, out: &mut dyn BufMut) {
        out.put_u8(TYPE);
        self.rlp_encode(&self.canonical_hash(), out);
    }

    fn trie_hash(&self) -> B256 {
        self.canonical_hash()
    }
}

impl<const TYPE: u8> Decodable2718 for TxFromL1<TYPE> {
    fn typed_decode(ty: u8, buf: &mut &[u8]) -> Eip2718Result<Self> {
        if ty != TYPE {
            return Err(Eip2718Error::UnexpectedType(ty));
        }
        Ok(Self::rlp_decode(buf)?)
    }

    fn fallback_decode(_buf: &mut &[u8]) -> Eip2718Result<Self> {
        Err(Eip2718Error::UnexpectedType(0))
    }
}

impl<const TYPE: u8> Sealable for TxFromL1<TYPE> {
    fn hash_slow(&self) -> B256 {
        self.canonical_hash()
    }
}

impl<const TYPE: u8> Transaction for TxFromL1<TYPE> {
    fn chain_id(&self) -> Option<u64> {
        None
    }

    fn nonce(&self) -> u64 {
        self.nonce
    }

    fn gas_limit(&self) -> u64 {
        self.gas_limit
    }

    fn gas_price(&self) -> Option<u128> {
        None
    }

    fn max_fee_per_gas(&self) -> u128 {
        self.max_fee_per_gas
    }

    fn max_priority_fee_per_gas(&self) -> Option<u128> {
        Some(self.max_priority_fee_per_gas)
    }

    fn max_fee_per_blob_gas(&self) -> Option<u128> {
        None
    }

    fn priority_fee_or_price(&self) -> u128 {
        self.max_priority_fee_per_gas
    }

    /// The gas price is the maximal fee, whatever the base fee is.
    fn effective_gas_price(&self, _base_fee: Option<u64>) -> u128 {
        self.max_fee_per_gas
    }

    fn effective_tip_per_gas(&self, base_fee: u64) -> Option<u128> {
        self.max_fee_per_gas.checked_sub(u128::from(base_fee))
    }

    fn is_dynamic_fee(&self) -> bool {
        true
    }

    fn kind(&self) -> TxKind {
        TxKind::Call(self.to)
    }

    fn is_create(&self) -> bool {
        false
    }

    fn value(&self) -> U256 {
        self.value
    }

    fn input(&self) -> &Bytes {
        &self.input
    }

    fn access_list(&self) -> Option<&AccessList> {
        None
    }

    fn blob_versioned_hashes(&self) -> Option<&[B256]> {
        None
    }

    fn authorization_list(&self) -> Option<&[SignedAuthorization]> {
        None
    }
}

impl<const TYPE: u8> SignerRecoverable for TxFromL1<TYPE> {
    fn recover_signer(&self) -> Result<Address, RecoveryError> {
        Ok(self.from)
    }

    fn recover_signer_unchecked(&self) -> Result<Address, RecoveryError> {
        Ok(self.from)
    }
}

impl<const TYPE: u8> InMemorySize for TxFromL1<TYPE> {
    fn size(&self) -> usize {
        Self::size(self)
    }
}

/// Rolling hash over the hashes of the priority transactions of a batch, in order. It starts at
/// the Keccak of no bytes.
pub fn priority_operations_hash(hashes: impl IntoIterator<Item = B256>) -> B256 {
    hashes.into_iter().fold(alloy_primitives::KECCAK256_EMPTY, extend_rolling_hash)
}

/// One step of a rolling hash: `keccak(rolling || next)`.
pub fn extend_rolling_hash(rolling: B256, next: B256) -> B256 {
    let mut buf = [0u8; 64];
    buf[..32].copy_from_slice(rolling.as_slice());
    buf[32..].copy_from_slice(next.as_slice());
    keccak256(buf)
}
