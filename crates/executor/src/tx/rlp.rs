//! Strict RLP of L2 transactions.
//!
//! The rules are those of the VM, which are narrower than common decoders: canonical integers, lists that
//! are consumed exactly, fees up to 256 bits, and a distinction between unknown and malformed input.

use super::{SignatureData, TxKind, VmTx};
use alloy_eips::{
    eip2930::AccessListItem,
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use std::borrow::Cow;
use zksync_os_interface::error::InvalidTransaction;

/// Longest accepted transaction in bytes.
pub(super) const MAX_LEN: usize = 1 << 23;

/// Malformed input below the type byte.
#[derive(Debug, Clone, Copy)]
struct Malformed;

type Parse<T> = Result<T, Malformed>;

impl From<Malformed> for InvalidTransaction {
    fn from(_: Malformed) -> Self {
        Self::InvalidStructure
    }
}

/// Cursor over the items of a list.
#[derive(Debug, Clone, Copy)]
struct Items<'a> {
    rest: &'a [u8],
}

enum Item<'a> {
    Bytes(&'a [u8]),
    List(&'a [u8]),
}

impl<'a> Items<'a> {
    const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    fn split(&mut self, len: usize) -> Parse<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(len).ok_or(Malformed)?;
        self.rest = tail;
        Ok(head)
    }

    /// Length that follows a long-form prefix of `size` length bytes. Leading zeros in it are accepted.
    fn long_len(&mut self, size: usize) -> Parse<usize> {
        if size > 4 {
            return Err(Malformed);
        }
        let len = self.split(size)?.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
        if len < 56 { Err(Malformed) } else { Ok(len) }
    }

    fn next(&mut self) -> Parse<Item<'a>> {
        let (&prefix, tail) = self.rest.split_first().ok_or(Malformed)?;
        match prefix {
            0..0x80 => self.split(1).map(Item::Bytes),
            0x80..=0xb7 => {
                self.rest = tail;
                let bytes = self.split(usize::from(prefix - 0x80))?;
                if let [single] = bytes
                    && *single < 0x80
                {
                    return Err(Malformed);
                }
                Ok(Item::Bytes(bytes))
            }
            0xb8..=0xbf => {
                self.rest = tail;
                let len = self.long_len(usize::from(prefix - 0xb7))?;
                self.split(len).map(Item::Bytes)
            }
            0xc0..=0xf7 => {
                self.rest = tail;
                self.split(usize::from(prefix - 0xc0)).map(Item::List)
            }
            0xf8..=0xff => {
                self.rest = tail;
                let len = self.long_len(usize::from(prefix - 0xf7))?;
                self.split(len).map(Item::List)
            }
        }
    }

    fn bytes(&mut self) -> Parse<&'a [u8]> {
        match self.next()? {
            Item::Bytes(bytes) => Ok(bytes),
            Item::List(_) => Err(Malformed),
        }
    }

    fn list(&mut self) -> Parse<Self> {
        match self.next()? {
            Item::List(rest) => Ok(Self { rest }),
            Item::Bytes(_) => Err(Malformed),
        }
    }

    fn u256(&mut self) -> Parse<U256> {
        let bytes = self.bytes()?;
        if bytes.len() > 32 || bytes.first() == Some(&0) {
            return Err(Malformed);
        }
        Ok(U256::from_be_slice(bytes))
    }

    fn u64(&mut self) -> Parse<u64> {
        u64::try_from(self.u256()?).map_err(|_| Malformed)
    }

    fn bool(&mut self) -> Parse<bool> {
        match self.u64()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    fn address(&mut self) -> Parse<Address> {
        Address::try_from(self.bytes()?).map_err(|_| Malformed)
    }

    /// Empty for a creation.
    fn destination(&mut self) -> Parse<Option<Address>> {
        let bytes = self.bytes()?;
        if bytes.is_empty() {
            return Ok(None);
        }
        Address::try_from(bytes).map(Some).map_err(|_| Malformed)
    }

    const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    const fn end(&self) -> Parse<()> {
        if self.is_empty() { Ok(()) } else { Err(Malformed) }
    }

    fn access_list(&mut self) -> Parse<Vec<AccessListItem>> {
        let mut entries = self.list()?;
        let mut out = Vec::new();
        while !entries.is_empty() {
            let mut entry = entries.list()?;
            let address = entry.address()?;
            let mut keys = entry.list()?;
            entry.end()?;
            let mut storage_keys = Vec::new();
            while !keys.is_empty() {
                storage_keys.push(B256::try_from(keys.bytes()?).map_err(|_| Malformed)?);
            }
            out.push(AccessListItem { address, storage_keys });
        }
        Ok(out)
    }

    fn authorizations(&mut self) -> Parse<Vec<SignedAuthorization>> {
        let mut entries = self.list()?;
        let mut out = Vec::new();
        while !entries.is_empty() {
            let mut entry = entries.list()?;
            let inner = Authorization {
                chain_id: entry.u256()?,
                address: entry.address()?,
                nonce: entry.u64()?,
            };
            let y_parity = u8::try_from(entry.u64()?).map_err(|_| Malformed)?;
            let (r, s) = (entry.u256()?, entry.u256()?);
            entry.end()?;
            out.push(SignedAuthorization::new_unchecked(inner, y_parity, r, s));
        }
        Ok(out)
    }
}

fn list_header(payload_len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(9);
    alloy_rlp::Header { list: true, payload_length: payload_len }.encode(&mut out);
    out
}

/// Decodes a raw L2 transaction.
pub(super) fn decode(
    raw: &[u8],
    signer: Address,
    chain_id: u64,
    verify: bool,
) -> Result<VmTx<'static>, InvalidTransaction> {
    if raw.len() > MAX_LEN {
        return Err(InvalidTransaction::InvalidEncoding);
    }
    match raw.first() {
        Some(0) => Err(InvalidTransaction::InvalidStructure),
        // Bytes that cannot be a type are taken for a legacy transaction.
        Some(0x81..) => legacy(raw, signer, chain_id, verify),
        Some(kind @ (1 | 2 | 4)) => typed(raw, *kind, signer, chain_id, verify),
        _ => Err(InvalidTransaction::InvalidEncoding),
    }
}

fn base(raw: &[u8], signer: Address) -> VmTx<'static> {
    VmTx {
        kind: TxKind::L2,
        hash: keccak256(raw),
        hashed_len: raw.len(),
        from: signer,
        to: None,
        nonce: 0,
        gas_limit: 0,
        max_fee: U256::ZERO,
        max_priority_fee: U256::ZERO,
        value: U256::ZERO,
        input: Bytes::new(),
        access_list: Cow::Borrowed(&[]),
        authorizations: None,
        gas_per_pubdata: 0,
        deposit: U256::ZERO,
        refund_recipient: Address::ZERO,
        signature: None,
    }
}

fn legacy(
    raw: &[u8],
    signer: Address,
    chain_id: u64,
    verify: bool,
) -> Result<VmTx<'static>, InvalidTransaction> {
    let mut tx = base(raw, signer);
    let mut outer = Items::new(raw);
    let mut items = outer.list()?;
    outer.end()?;
    let start = items.rest;
    tx.nonce = items.u64()?;
    tx.max_fee = items.u256()?;
    tx.max_priority_fee = tx.max_fee;
    tx.gas_limit = items.u64()?;
    tx.to = items.destination()?;
    tx.value = items.u256()?;
    tx.input = Bytes::copy_from_slice(items.bytes()?);
    let unsigned = &start[..start.len() - items.rest.len()];
    let v = items.u256()?;
    let (r, s) = (items.u256()?, items.u256()?);
    items.end()?;

    let protected = U256::from(chain_id) * U256::from(2) + U256::from(35);
    let (odd_y, replay_protected) = if v == U256::from(27) || v == U256::from(28) {
        (v == U256::from(28), false)
    } else if v == protected || v == protected + U256::ONE {
        (v != protected, true)
    } else {
        return Err(InvalidTransaction::InvalidEncoding);
    };
    if !verify {
        return Ok(tx);
    }
    let mut payload = unsigned.to_vec();
    if replay_protected {
        alloy_rlp::Encodable::encode(&chain_id, &mut payload);
        payload.extend_from_slice(&[0x80, 0x80]);
    }
    let mut preimage = list_header(payload.len());
    preimage.extend_from_slice(&payload);
    tx.signature = Some(SignatureData { signing_hash: keccak256(&preimage), r, s, odd_y });
    Ok(tx)
}

fn typed(
    raw: &[u8],
    kind: u8,
    signer: Address,
    chain_id: u64,
    verify: bool,
) -> Result<VmTx<'static>, InvalidTransaction> {
    let mut tx = base(raw, signer);
    let mut outer = Items::new(&raw[1..]);
    let mut items = outer.list()?;
    outer.end()?;
    let start = items.rest;
    let tx_chain_id = items.u64()?;
    tx.nonce = items.u64()?;
    if kind == 1 {
        tx.max_fee = items.u256()?;
        tx.max_priority_fee = tx.max_fee;
    } else {
        tx.max_priority_fee = items.u256()?;
        tx.max_fee = items.u256()?;
    }
    tx.gas_limit = items.u64()?;
    tx.to = if kind == 4 { Some(items.address()?) } else { items.destination()? };
    tx.value = items.u256()?;
    tx.input = Bytes::copy_from_slice(items.bytes()?);
    tx.access_list = Cow::Owned(items.access_list()?);
    let authorizations = if kind == 4 { Some(items.authorizations()?) } else { None };
    let unsigned = &start[..start.len() - items.rest.len()];
    let odd_y = items.bool()?;
    let (r, s) = (items.u256()?, items.u256()?);
    items.end()?;

    if let Some(list) = authorizations {
        if list.is_empty() {
            return Err(InvalidTransaction::AuthListIsEmpty);
        }
        tx.authorizations = Some(Cow::Owned(list));
    }
    if tx_chain_id != chain_id {
        return Err(InvalidTransaction::InvalidChainId);
    }
    if !verify {
        return Ok(tx);
    }
    let mut preimage = vec![kind];
    preimage.extend_from_slice(&list_header(unsigned.len()));
    preimage.extend_from_slice(unsigned);
    tx.signature = Some(SignatureData { signing_hash: keccak256(&preimage), r, s, odd_y });
    Ok(tx)
}
