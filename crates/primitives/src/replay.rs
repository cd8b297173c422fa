//! The replay record: what it takes to execute a block again, here or on another node.
//!
//! Binary form: one version byte, then an RLP list. Transactions are EIP-2718 byte strings. The
//! form has no checksum; storage and transport add their own.

use crate::{block::BlockContext, transaction::ZkTxEnvelope, version::ProtocolVersion};
use alloy_consensus::transaction::SignerRecoverable;
use alloy_eips::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bytes};
use alloy_rlp::{BufMut, Decodable, Encodable, Header};

/// Version byte of the binary form that [`ReplayRecord::encode`] writes.
pub const REPLAY_RECORD_VERSION: u8 = 1;

/// A block as input: context, transactions, and the hashes that executing it must give.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplayRecord {
    /// Context of the block.
    pub block_context: BlockContext,
    /// Id of the first priority transaction this block or a later one takes.
    pub starting_l1_priority_id: u64,
    /// Transactions of the block, in order.
    pub transactions: Vec<ZkTxEnvelope>,
    /// Senders of the transactions, recovered before. Trustworthy in our own storage only; a
    /// record from elsewhere must pass [`Self::verify_senders`].
    pub senders: Vec<Address>,
    /// Timestamp of the parent block in seconds.
    pub previous_block_timestamp: u64,
    /// Version of the node that produced the block.
    pub node_version: String,
    /// Protocol version of the block.
    pub protocol_version: ProtocolVersion,
    /// [`crate::block::BlockOutput::output_hash`] of the block.
    pub block_output_hash: B256,
    /// Hash of the block.
    pub block_hash: B256,
    /// Code offered to force deployments of this block: raw bytes under their Blake2s hash.
    pub force_preimages: Vec<(B256, Bytes)>,
}

/// Why bytes are not a replay record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayDecodeError {
    /// Nothing at all.
    #[error("replay record is empty")]
    Empty,
    /// Written by another version of the node.
    #[error("replay record has format version {0}, this node reads version 1")]
    Version(u8),
    /// Malformed RLP.
    #[error("replay record is malformed: {0}")]
    Rlp(#[from] alloy_rlp::Error),
    /// A transaction does not decode.
    #[error("transaction {index} of replay record is malformed: {error}")]
    Transaction {
        /// Position in the block.
        index: usize,
        /// What is wrong.
        error: String,
    },
    /// Not as many senders as transactions.
    #[error("replay record has {senders} senders for {transactions} transactions")]
    SenderCount {
        /// Number of senders.
        senders: usize,
        /// Number of transactions.
        transactions: usize,
    },
    /// A sender is not the one that signed.
    #[error("sender {found} of transaction {hash} in replay record is wrong")]
    Sender {
        /// Hash of the transaction.
        hash: B256,
        /// Sender in the record.
        found: Address,
    },
}

impl ReplayRecord {
    /// Number of the block.
    pub const fn block_number(&self) -> u64 {
        self.block_context.block_number
    }

    /// The binary form.
    pub fn encode(&self) -> Vec<u8> {
        let transactions: Vec<Bytes> =
            self.transactions.iter().map(|tx| tx.encoded_2718().into()).collect();
        let preimages: Vec<Preimage> = self
            .force_preimages
            .iter()
            .map(|(hash, bytes)| Preimage { hash: *hash, bytes: bytes.clone() })
            .collect();
        let payload_length = self.block_context.length()
            + self.starting_l1_priority_id.length()
            + transactions.length()
            + self.senders.length()
            + self.previous_block_timestamp.length()
            + self.node_version.length()
            + self.protocol_version.length()
            + self.block_output_hash.length()
            + self.block_hash.length()
            + preimages.length();
        let header = Header { list: true, payload_length };
        let mut out = Vec::with_capacity(1 + header.length_with_payload());
        out.put_u8(REPLAY_RECORD_VERSION);
        header.encode(&mut out);
        self.block_context.encode(&mut out);
        self.starting_l1_priority_id.encode(&mut out);
        transactions.encode(&mut out);
        self.senders.encode(&mut out);
        self.previous_block_timestamp.encode(&mut out);
        self.node_version.encode(&mut out);
        self.protocol_version.encode(&mut out);
        self.block_output_hash.encode(&mut out);
        self.block_hash.encode(&mut out);
        preimages.encode(&mut out);
        out
    }

    /// Reads the binary form; all bytes must be used.
    pub fn decode(bytes: &[u8]) -> Result<Self, ReplayDecodeError> {
        let (version, mut rest) = bytes.split_first().ok_or(ReplayDecodeError::Empty)?;
        if *version != REPLAY_RECORD_VERSION {
            return Err(ReplayDecodeError::Version(*version));
        }
        let mut payload = Header::decode_bytes(&mut rest, true)?;
        if !rest.is_empty() {
            return Err(alloy_rlp::Error::UnexpectedLength.into());
        }
        let fields = &mut payload;
        let block_context = Decodable::decode(fields)?;
        let starting_l1_priority_id = Decodable::decode(fields)?;
        let transactions = Vec::<Bytes>::decode(fields)?
            .iter()
            .enumerate()
            .map(|(index, bytes)| {
                ZkTxEnvelope::decode_2718_exact(bytes).map_err(|error| {
                    ReplayDecodeError::Transaction { index, error: error.to_string() }
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let senders = Vec::<Address>::decode(fields)?;
        let record = Self {
            block_context,
            starting_l1_priority_id,
            transactions,
            senders,
            previous_block_timestamp: Decodable::decode(fields)?,
            node_version: Decodable::decode(fields)?,
            protocol_version: Decodable::decode(fields)?,
            block_output_hash: Decodable::decode(fields)?,
            block_hash: Decodable::decode(fields)?,
            force_preimages: Vec::<Preimage>::decode(fields)?
                .into_iter()
                .map(|preimage| (preimage.hash, preimage.bytes))
                .collect(),
        };
        if !fields.is_empty() {
            return Err(alloy_rlp::Error::UnexpectedLength.into());
        }
        record.check_cheap_senders()?;
        Ok(record)
    }

    /// Checks everything about the senders that needs no signature recovery.
    fn check_cheap_senders(&self) -> Result<(), ReplayDecodeError> {
        if self.senders.len() != self.transactions.len() {
            return Err(ReplayDecodeError::SenderCount {
                senders: self.senders.len(),
                transactions: self.transactions.len(),
            });
        }
        for (tx, sender) in self.transactions.iter().zip(&self.senders) {
            if tx.l1_sender().is_some_and(|from| from != *sender) {
                return Err(ReplayDecodeError::Sender { hash: *tx.hash(), found: *sender });
            }
        }
        Ok(())
    }

    /// Recovers all signatures and compares the signers with `senders`.
    ///
    /// Signatures with a high `s` are accepted here: whether a transaction is valid is for the
    /// state transition to say.
    pub fn verify_senders(&self) -> Result<(), ReplayDecodeError> {
        self.check_cheap_senders()?;
        let mut buf = Vec::new();
        for (tx, sender) in self.transactions.iter().zip(&self.senders) {
            if tx.recover_unchecked_with_buf(&mut buf).ok() != Some(*sender) {
                return Err(ReplayDecodeError::Sender { hash: *tx.hash(), found: *sender });
            }
        }
        Ok(())
    }
}

#[derive(alloy_rlp::RlpEncodable, alloy_rlp::RlpDecodable)]
struct Preimage {
    hash: B256,
    bytes: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::tests::any_tx;
    use alloy_primitives::{U256, hex};
    use proptest::prelude::*;

    /// The published block: a priority transaction and a transfer.
    fn record() -> ReplayRecord {
        let transfer = hex!(
            "02f87482010e80830f4240840bebc200830186a094555555555555555555555555555555555555555588016345785d8a000080c080a0ebf2dc10fabbc103c2b81c92fd44820c524e201ef413825f6e55e903765fd7e8a00c970015060b21bb4b8d040ee0b1b025949e6c23d21d897b78a562c52a9d36d4"
        );
        let l1 = crate::TxL1Priority { from: Address::with_last_byte(3), ..Default::default() };
        let transactions = vec![l1.into(), ZkTxEnvelope::decode_2718_exact(&transfer).unwrap()];
        let senders = transactions.iter().map(|tx| tx.recover_signer().unwrap()).collect();
        ReplayRecord {
            block_context: BlockContext { block_number: 7, gas_limit: 5, ..Default::default() },
            starting_l1_priority_id: 1,
            transactions,
            senders,
            previous_block_timestamp: 9,
            node_version: "0.1.0".into(),
            protocol_version: ProtocolVersion::V30_2,
            block_output_hash: B256::with_last_byte(1),
            block_hash: B256::with_last_byte(2),
            force_preimages: vec![(B256::with_last_byte(3), Bytes::from_static(&[1, 2, 3]))],
        }
    }

    #[test]
    fn senders_are_checked() {
        let good = record();
        good.verify_senders().unwrap();

        let mut l1 = good.clone();
        l1.senders[0] = Address::ZERO;
        assert!(matches!(
            ReplayRecord::decode(&l1.encode()),
            Err(ReplayDecodeError::Sender { found: Address::ZERO, .. })
        ));
        let mut user = good.clone();
        user.senders[1] = Address::ZERO;
        assert_eq!(ReplayRecord::decode(&user.encode()).as_ref(), Ok(&user));
        assert!(matches!(user.verify_senders(), Err(ReplayDecodeError::Sender { .. })));
        let mut missing = good;
        missing.senders.pop();
        assert_eq!(
            ReplayRecord::decode(&missing.encode()),
            Err(ReplayDecodeError::SenderCount { senders: 1, transactions: 2 })
        );
    }

    #[test]
    fn decoding_is_strict() {
        let encoded = record().encode();
        for len in 0..encoded.len() {
            assert!(ReplayRecord::decode(&encoded[..len]).is_err(), "{len}");
        }
        let mut long = encoded.clone();
        long.push(0);
        assert!(ReplayRecord::decode(&long).is_err());
        let mut version = encoded;
        version[0] = 2;
        assert_eq!(ReplayRecord::decode(&version), Err(ReplayDecodeError::Version(2)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn binary_form_round_trips(txs in proptest::collection::vec(any_tx(), 0..5), known in 0u64..300,
                                   numbers in any::<[u64; 3]>(), preimage in proptest::collection::vec(any::<u8>(), 0..100),
                                   node_version in "[0-9a-z.+-]{0,20}") {
            let senders = txs.iter().map(|tx| tx.l1_sender().unwrap_or(Address::with_last_byte(1))).collect();
            let record = ReplayRecord {
                block_context: BlockContext {
                    block_number: numbers[0],
                    block_hashes: crate::BlockHashes::from_newest_first((1..=known).map(|n| B256::from(U256::from(n)))),
                    ..Default::default()
                },
                starting_l1_priority_id: numbers[1],
                transactions: txs,
                senders,
                previous_block_timestamp: numbers[2],
                node_version,
                force_preimages: vec![(B256::ZERO, preimage.into())],
                ..record()
            };
            prop_assert_eq!(ReplayRecord::decode(&record.encode()), Ok(record));
        }

        #[test]
        fn decoder_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut versioned = vec![REPLAY_RECORD_VERSION];
            versioned.extend(&bytes);
            let _ = ReplayRecord::decode(&versioned);
            let _ = ReplayRecord::decode(&bytes);
        }
    }
}
