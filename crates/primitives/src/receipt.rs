//! Receipts.

use crate::{log::L2ToL1Log, transaction::ZkTxType};
use alloy_consensus::{
    Eip658Value, Eip2718DecodableReceipt, Eip2718EncodableReceipt, InMemorySize, ReceiptWithBloom,
    RlpDecodableReceipt, RlpEncodableReceipt, TxReceipt, Typed2718,
};
use alloy_eips::eip2718::{Eip2718Error, Eip2718Result, IsTyped2718};
use alloy_primitives::{Bloom, Log};
use alloy_rlp::{BufMut, Decodable, Encodable, Header};
use serde::{Deserialize, Serialize};

/// Receipt of a transaction: the Ethereum receipt and the L2->L1 logs.
///
/// Encoded as EIP-2718 envelope with body
/// `rlp([status, cumulative_gas_used, bloom, logs, l2_to_l1_logs])`. The bloom covers the EVM logs
/// only.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ZkReceipt {
    /// Type of the transaction.
    #[serde(rename = "type")]
    pub tx_type: ZkTxType,
    /// True if the transaction succeeded.
    #[serde(rename = "status", with = "alloy_serde::quantity")]
    pub success: bool,
    /// Gas used in the block up to and including this transaction.
    #[serde(with = "alloy_serde::quantity")]
    pub cumulative_gas_used: u64,
    /// EVM logs.
    pub logs: Vec<Log>,
    /// Logs that can be proven on L1.
    #[serde(default)]
    pub l2_to_l1_logs: Vec<L2ToL1Log>,
}

impl ZkReceipt {
    fn fields_len(&self, bloom: &Bloom) -> usize {
        self.success.length()
            + self.cumulative_gas_used.length()
            + bloom.length()
            + self.logs.length()
            + self.l2_to_l1_logs.length()
    }

    fn rlp_header(&self, bloom: &Bloom) -> Header {
        Header { list: true, payload_length: self.fields_len(bloom) }
    }

    fn decode_body(
        buf: &mut &[u8],
        tx_type: ZkTxType,
    ) -> alloy_rlp::Result<ReceiptWithBloom<Self>> {
        let mut payload = Header::decode_bytes(buf, true)?;
        let fields = &mut payload;
        let success = Decodable::decode(fields)?;
        let cumulative_gas_used = Decodable::decode(fields)?;
        let logs_bloom = Decodable::decode(fields)?;
        let logs = Decodable::decode(fields)?;
        let l2_to_l1_logs = Decodable::decode(fields)?;
        if !fields.is_empty() {
            return Err(alloy_rlp::Error::UnexpectedLength);
        }
        Ok(ReceiptWithBloom {
            receipt: Self { tx_type, success, cumulative_gas_used, logs, l2_to_l1_logs },
            logs_bloom,
        })
    }
}

impl TxReceipt for ZkReceipt {
    type Log = Log;

    fn status_or_post_state(&self) -> Eip658Value {
        self.success.into()
    }

    fn status(&self) -> bool {
        self.success
    }

    fn bloom(&self) -> Bloom {
        alloy_primitives::logs_bloom(&self.logs)
    }

    fn cumulative_gas_used(&self) -> u64 {
        self.cumulative_gas_used
    }

    fn logs(&self) -> &[Log] {
        &self.logs
    }

    fn into_logs(self) -> Vec<Log> {
        self.logs
    }
}

impl Typed2718 for ZkReceipt {
    fn ty(&self) -> u8 {
        self.tx_type.ty()
    }
}

impl IsTyped2718 for ZkReceipt {
    fn is_type(type_id: u8) -> bool {
        <ZkTxType as IsTyped2718>::is_type(type_id)
    }
}

impl Eip2718EncodableReceipt for ZkReceipt {
    fn eip2718_encoded_length_with_bloom(&self, bloom: &Bloom) -> usize {
        usize::from(!self.tx_type.is_legacy()) + self.rlp_header(bloom).length_with_payload()
    }

    fn eip2718_encode_with_bloom(&self, bloom: &Bloom, out: &mut dyn BufMut) {
        if !self.tx_type.is_legacy() {
            out.put_u8(self.tx_type.ty());
        }
        self.rlp_header(bloom).encode(out);
        self.success.encode(out);
        self.cumulative_gas_used.encode(out);
        bloom.encode(out);
        self.logs.encode(out);
        self.l2_to_l1_logs.encode(out);
    }
}

impl Eip2718DecodableReceipt for ZkReceipt {
    fn typed_decode_with_bloom(ty: u8, buf: &mut &[u8]) -> Eip2718Result<ReceiptWithBloom<Self>> {
        // Legacy receipts carry no type byte, so a literal zero is not canonical.
        if ty == 0 {
            return Err(Eip2718Error::UnexpectedType(ty));
        }
        Ok(Self::decode_body(buf, ZkTxType::try_from(ty)?)?)
    }

    fn fallback_decode_with_bloom(buf: &mut &[u8]) -> Eip2718Result<ReceiptWithBloom<Self>> {
        Ok(Self::decode_body(buf, ZkTxType::default())?)
    }
}

impl RlpEncodableReceipt for ZkReceipt {
    fn rlp_encoded_length_with_bloom(&self, bloom: &Bloom) -> usize {
        let payload_length = self.eip2718_encoded_length_with_bloom(bloom);
        if self.tx_type.is_legacy() {
            payload_length
        } else {
            payload_length + Header { list: false, payload_length }.length()
        }
    }

    fn rlp_encode_with_bloom(&self, bloom: &Bloom, out: &mut dyn BufMut) {
        if !self.tx_type.is_legacy() {
            let payload_length = self.eip2718_encoded_length_with_bloom(bloom);
            Header { list: false, payload_length }.encode(out);
        }
        self.eip2718_encode_with_bloom(bloom, out);
    }
}

impl RlpDecodableReceipt for ZkReceipt {
    fn rlp_decode_with_bloom(buf: &mut &[u8]) -> alloy_rlp::Result<ReceiptWithBloom<Self>> {
        let mut peek = *buf;
        if Header::decode(&mut peek)?.list {
            return Self::decode_body(buf, ZkTxType::default());
        }
        let mut payload = Header::decode_bytes(buf, false)?;
        let ty = *payload.first().ok_or(alloy_rlp::Error::InputTooShort)?;
        payload = &payload[1..];
        let receipt = Self::typed_decode_with_bloom(ty, &mut payload)?;
        if !payload.is_empty() {
            return Err(alloy_rlp::Error::UnexpectedLength);
        }
        Ok(receipt)
    }
}

impl Encodable for ZkReceipt {
    fn encode(&self, out: &mut dyn BufMut) {
        self.rlp_encode_with_bloom(&self.bloom(), out);
    }

    fn length(&self) -> usize {
        // The length of a bloom does not depend on its bits.
        self.rlp_encoded_length_with_bloom(&Bloom::ZERO)
    }
}

impl Decodable for ZkReceipt {
    fn decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        Ok(Self::rlp_decode_with_bloom(buf)?.receipt)
    }
}

impl InMemorySize for ZkReceipt {
    fn size(&self) -> usize {
        core::mem::size_of::<Self>()
            + self.logs.iter().map(InMemorySize::size).sum::<usize>()
            + self.l2_to_l1_logs.len() * core::mem::size_of::<L2ToL1Log>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::TxType;
    use alloy_eips::{Decodable2718, Encodable2718};
    use alloy_primitives::{Address, B256, Bytes, LogData};
    use proptest::prelude::*;

    fn log() -> impl Strategy<Value = Log> {
        (
            any::<[u8; 20]>(),
            proptest::collection::vec(any::<[u8; 32]>(), 0..5),
            proptest::collection::vec(any::<u8>(), 0..80),
        )
            .prop_map(|(address, topics, data)| Log {
                address: Address::from(address),
                data: LogData::new_unchecked(
                    topics.into_iter().map(B256::from).collect(),
                    Bytes::from(data),
                ),
            })
    }

    fn tx_type() -> impl Strategy<Value = ZkTxType> {
        prop::sample::select(vec![
            ZkTxType::Ethereum(TxType::Legacy),
            ZkTxType::Ethereum(TxType::Eip2930),
            ZkTxType::Ethereum(TxType::Eip1559),
            ZkTxType::Ethereum(TxType::Eip7702),
            ZkTxType::Upgrade,
            ZkTxType::L1,
        ])
    }

    fn receipt() -> impl Strategy<Value = ZkReceipt> {
        (tx_type(), any::<bool>(), any::<u64>(), proptest::collection::vec(log(), 0..4), 0u16..4)
            .prop_map(|(tx_type, success, cumulative_gas_used, logs, messages)| ZkReceipt {
                tx_type,
                success,
                cumulative_gas_used,
                logs,
                l2_to_l1_logs: (0..messages)
                    .map(|i| L2ToL1Log::l1_tx_result(i, B256::with_last_byte(7), i % 2 == 0))
                    .collect(),
            })
    }

    proptest! {
        #[test]
        fn encodings_round_trip(receipt in receipt()) {
            let with_bloom = receipt.clone().into_with_bloom();
            let encoded = with_bloom.encoded_2718();
            prop_assert_eq!(encoded.len(), with_bloom.encode_2718_len());
            let decoded = ReceiptWithBloom::<ZkReceipt>::decode_2718_exact(&encoded).unwrap();
            prop_assert_eq!(&decoded, &with_bloom);

            let rlp = alloy_rlp::encode(&receipt);
            prop_assert_eq!(rlp.len(), receipt.length());
            prop_assert_eq!(&alloy_rlp::decode_exact::<ZkReceipt>(&rlp).unwrap(), &receipt);

            let json = serde_json::to_string(&receipt).unwrap();
            prop_assert_eq!(serde_json::from_str::<ZkReceipt>(&json).unwrap(), receipt);

            let mut long = encoded.clone();
            long.push(0);
            prop_assert!(ReceiptWithBloom::<ZkReceipt>::decode_2718_exact(&long).is_err());
            prop_assert!(ReceiptWithBloom::<ZkReceipt>::decode_2718_exact(&encoded[..encoded.len() - 1]).is_err());
        }
    }

    #[test]
    fn type_byte_leads_and_legacy_has_none() {
        let mut receipt = ZkReceipt { success: true, ..Default::default() };
        assert!(receipt.with_bloom_ref().encoded_2718()[0] >= 0xc0);
        receipt.tx_type = ZkTxType::L1;
        assert_eq!(receipt.with_bloom_ref().encoded_2718()[0], 0x7f);
        let mut zero_typed = receipt.with_bloom_ref().encoded_2718();
        zero_typed[0] = 0;
        assert!(ReceiptWithBloom::<ZkReceipt>::decode_2718_exact(&zero_typed).is_err());
    }
}
