//! L2->L1 logs.

use crate::addresses::{BOOTLOADER_FORMAL_ADDRESS, L1_MESSENGER_ADDRESS};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use serde::{Deserialize, Serialize};
use zksync_os_interface::types as interface;

/// Length of an encoded log in bytes.
pub const L2_TO_L1_LOG_LEN: usize = 88;

/// A log that the batch commits to and that can be proven on L1.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Default,
    RlpEncodable,
    RlpDecodable,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub struct L2ToL1Log {
    /// Always 0.
    #[serde(rename = "shardId", with = "alloy_serde::quantity")]
    pub l2_shard_id: u8,
    /// Always true.
    pub is_service: bool,
    /// Index of the transaction among the included ones of its block.
    #[serde(rename = "transactionIndex", with = "alloy_serde::quantity")]
    pub tx_number_in_block: u16,
    /// L1 messenger for messages, bootloader for results of transactions from L1.
    pub sender: Address,
    /// Sender of the message, or hash of the transaction.
    pub key: B256,
    /// Keccak-256 of the message, or 1 for success and 0 for failure.
    pub value: B256,
}

/// Error of [`L2ToL1Log::decode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogDecodeError {
    /// Wrong number of bytes.
    #[error("l2 to l1 log has {0} bytes instead of 88")]
    Length(usize),
    /// The service flag is neither 0 nor 1.
    #[error("l2 to l1 log has service flag {0}")]
    ServiceFlag(u8),
}

impl L2ToL1Log {
    /// Log of a message sent by `sender` through the L1 messenger.
    pub fn message(tx_number_in_block: u16, sender: Address, message: &[u8]) -> Self {
        Self {
            l2_shard_id: 0,
            is_service: true,
            tx_number_in_block,
            sender: L1_MESSENGER_ADDRESS,
            key: sender.into_word(),
            value: keccak256(message),
        }
    }

    /// Log of the result of a priority or upgrade transaction.
    pub fn l1_tx_result(tx_number_in_block: u16, tx_hash: B256, success: bool) -> Self {
        Self {
            l2_shard_id: 0,
            is_service: true,
            tx_number_in_block,
            sender: BOOTLOADER_FORMAL_ADDRESS,
            key: tx_hash,
            value: B256::with_last_byte(u8::from(success)),
        }
    }

    /// True for a log that stands for a message, whose body goes into the pubdata.
    pub fn is_message(&self) -> bool {
        self.sender == L1_MESSENGER_ADDRESS
    }

    /// The 88-byte encoding.
    pub fn encode(&self) -> [u8; L2_TO_L1_LOG_LEN] {
        let mut out = [0u8; L2_TO_L1_LOG_LEN];
        out[0] = self.l2_shard_id;
        out[1] = u8::from(self.is_service);
        out[2..4].copy_from_slice(&self.tx_number_in_block.to_be_bytes());
        out[4..24].copy_from_slice(self.sender.as_slice());
        out[24..56].copy_from_slice(self.key.as_slice());
        out[56..88].copy_from_slice(self.value.as_slice());
        out
    }

    /// Reads the 88-byte encoding.
    pub fn decode(bytes: &[u8]) -> Result<Self, LogDecodeError> {
        if bytes.len() != L2_TO_L1_LOG_LEN {
            return Err(LogDecodeError::Length(bytes.len()));
        }
        Ok(Self {
            l2_shard_id: bytes[0],
            is_service: match bytes[1] {
                0 => false,
                1 => true,
                other => return Err(LogDecodeError::ServiceFlag(other)),
            },
            tx_number_in_block: u16::from_be_bytes([bytes[2], bytes[3]]),
            sender: Address::from_slice(&bytes[4..24]),
            key: B256::from_slice(&bytes[24..56]),
            value: B256::from_slice(&bytes[56..88]),
        })
    }

    /// Leaf of the log in the log tree.
    pub fn leaf(&self) -> B256 {
        keccak256(self.encode())
    }
}

impl From<interface::L2ToL1Log> for L2ToL1Log {
    fn from(log: interface::L2ToL1Log) -> Self {
        Self {
            l2_shard_id: log.l2_shard_id,
            is_service: log.is_service,
            tx_number_in_block: log.tx_number_in_block,
            sender: log.sender,
            key: log.key,
            value: log.value,
        }
    }
}

impl From<L2ToL1Log> for interface::L2ToL1Log {
    fn from(log: L2ToL1Log) -> Self {
        Self {
            l2_shard_id: log.l2_shard_id,
            is_service: log.is_service,
            tx_number_in_block: log.tx_number_in_block,
            sender: log.sender,
            key: log.key,
            value: log.value,
        }
    }
}

/// A log with the message it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct L2ToL1LogWithPreimage {
    /// The log.
    pub log: L2ToL1Log,
    /// Body of the message; none for results of transactions from L1.
    pub preimage: Option<Bytes>,
}

impl From<interface::L2ToL1LogWithPreimage> for L2ToL1LogWithPreimage {
    fn from(value: interface::L2ToL1LogWithPreimage) -> Self {
        Self { log: value.log.into(), preimage: value.preimage.map(Bytes::from) }
    }
}

impl From<L2ToL1LogWithPreimage> for interface::L2ToL1LogWithPreimage {
    fn from(value: L2ToL1LogWithPreimage) -> Self {
        Self { log: value.log.into(), preimage: value.preimage.map(Vec::from) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{b256, hex};
    use proptest::prelude::*;

    #[test]
    fn known_leaves() {
        let result = L2ToL1Log::l1_tx_result(
            0,
            b256!("4164624346d4c915977debf68dbd721f8ae86b964080925aecf6911dd47a6ece"),
            true,
        );
        assert_eq!(
            result.leaf(),
            b256!("88e93d359b90907fb8ce7fb6eb89f7630f9758252c5cb4ddd2a550cc3fecc6cc")
        );
        let message = L2ToL1Log::message(
            2,
            crate::addresses::BASE_TOKEN_ADDRESS,
            &hex!(
                "6c0960f936615cf349d7f6344891b1e7ca7c72883f5dc0490000000000000000000000000000000000000000000000000000000000000064"
            ),
        );
        assert_eq!(
            message.encode(),
            hex!(
                "000100020000000000000000000000000000000000008008000000000000000000000000000000000000000000000000000000000000800aab21c3b3bff711a65a5188a1b0d1ea07d1b889399b6619b757c3ff31eeb453da"
            )
        );
        assert_eq!(
            message.leaf(),
            b256!("52e38eb1d082e549efdf22d2f50faacf5fea771427633f64d74c0f89acec94d8")
        );
        assert!(message.is_message() && !result.is_message());
    }

    #[test]
    fn decode_is_strict() {
        let mut bytes = L2ToL1Log::default().encode();
        assert_eq!(L2ToL1Log::decode(&bytes[..87]), Err(LogDecodeError::Length(87)));
        bytes[1] = 2;
        assert_eq!(L2ToL1Log::decode(&bytes), Err(LogDecodeError::ServiceFlag(2)));
    }

    #[test]
    fn json_is_camel_case_with_quantities() {
        let json = serde_json::to_value(L2ToL1Log::l1_tx_result(3, B256::ZERO, true)).unwrap();
        assert_eq!(json["shardId"], "0x0");
        assert_eq!(json["isService"], true);
        assert_eq!(json["transactionIndex"], "0x3");
        let back: L2ToL1Log = serde_json::from_value(json).unwrap();
        assert_eq!(back, L2ToL1Log::l1_tx_result(3, B256::ZERO, true));
    }

    proptest! {
        #[test]
        fn encoding_round_trips(shard in any::<u8>(), service in any::<bool>(), tx in any::<u16>(),
                                sender in any::<[u8; 20]>(), key in any::<[u8; 32]>(), value in any::<[u8; 32]>()) {
            let log = L2ToL1Log {
                l2_shard_id: shard, is_service: service, tx_number_in_block: tx,
                sender: sender.into(), key: key.into(), value: value.into(),
            };
            prop_assert_eq!(L2ToL1Log::decode(&log.encode()), Ok(log));
            let interface: interface::L2ToL1Log = log.into();
            prop_assert_eq!(L2ToL1Log::from(interface), log);
        }
    }
}
