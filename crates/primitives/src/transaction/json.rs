//! JSON form of transactions that come from L1.
//!
//! The fields of the transaction with quantities as integers, its canonical hash, and a zero
//! signature, so that generic clients can read it. The sender is called `initiator`, because the
//! RPC object around it adds `from`.

use super::l1::TxFromL1;
use alloy_consensus::Sealed;
use alloy_primitives::{Address, B256, Bytes, U64, U128, U256};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct L1TxJson {
    initiator: Address,
    to: Address,
    gas: U64,
    gas_per_pubdata_byte_limit: U64,
    max_fee_per_gas: U128,
    #[serde(default)]
    max_priority_fee_per_gas: U128,
    nonce: U64,
    value: U256,
    to_mint: U256,
    refund_recipient: Address,
    input: Bytes,
    #[serde(default)]
    factory_deps: Vec<B256>,
    // Signature, always zero. Absent in input is as good; `r` and `s` are read as quantities and
    // written as words, because clients demand the full width.
    #[serde(default)]
    v: U64,
    #[serde(default, serialize_with = "as_word")]
    r: U256,
    #[serde(default, serialize_with = "as_word")]
    s: U256,
    #[serde(default)]
    y_parity: U64,
}

fn as_word<S: Serializer>(value: &U256, serializer: S) -> Result<S::Ok, S::Error> {
    B256::from(*value).serialize(serializer)
}

impl<const TYPE: u8> Serialize for TxFromL1<TYPE> {
    /// Writes everything but the hash, which the seal around the transaction adds.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        L1TxJson {
            initiator: self.from,
            to: self.to,
            gas: U64::from(self.gas_limit),
            gas_per_pubdata_byte_limit: U64::from(self.gas_per_pubdata_byte_limit),
            max_fee_per_gas: U128::from(self.max_fee_per_gas),
            max_priority_fee_per_gas: U128::from(self.max_priority_fee_per_gas),
            nonce: U64::from(self.nonce),
            value: self.value,
            to_mint: self.to_mint,
            refund_recipient: self.refund_recipient,
            input: self.input.clone(),
            factory_deps: self.factory_deps.clone(),
            v: U64::ZERO,
            r: U256::ZERO,
            s: U256::ZERO,
            y_parity: U64::ZERO,
        }
        .serialize(serializer)
    }
}

impl<'de, const TYPE: u8> Deserialize<'de> for TxFromL1<TYPE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = L1TxJson::deserialize(deserializer)?;
        if !json.v.is_zero() || !json.r.is_zero() || !json.s.is_zero() || !json.y_parity.is_zero() {
            return Err(D::Error::custom("l1 transaction with a signature"));
        }
        Ok(Self {
            from: json.initiator,
            to: json.to,
            gas_limit: json.gas.to(),
            gas_per_pubdata_byte_limit: json.gas_per_pubdata_byte_limit.to(),
            max_fee_per_gas: json.max_fee_per_gas.to(),
            max_priority_fee_per_gas: json.max_priority_fee_per_gas.to(),
            nonce: json.nonce.to(),
            value: json.value,
            to_mint: json.to_mint,
            refund_recipient: json.refund_recipient,
            input: json.input,
            factory_deps: json.factory_deps,
        })
    }
}

/// Writes the JSON form with the hash.
pub(super) fn serialize<S: Serializer, const TYPE: u8>(
    tx: &Sealed<TxFromL1<TYPE>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    tx.serialize(serializer)
}

/// Reads the JSON form; the hash in it must be that of the fields.
pub(super) fn deserialize<'de, D: Deserializer<'de>, const TYPE: u8>(
    deserializer: D,
) -> Result<Sealed<TxFromL1<TYPE>>, D::Error> {
    let tx = Sealed::<TxFromL1<TYPE>>::deserialize(deserializer)?;
    if tx.canonical_hash() != tx.hash() {
        return Err(D::Error::custom("hash of l1 transaction does not match its fields"));
    }
    Ok(tx)
}
