//! Logs of the settlement contracts -> typed events.

use super::types::{CommittedBatch, L1PriorityTx};
use crate::contracts::{IChainAdmin, IZkChain};
use alloy_primitives::{Address, B256, Sealable, U256};
use alloy_rpc_types_eth::{Filter, Log};
use alloy_sol_types::SolEvent;
use zkos_primitives::{CanonicalTransaction, TxL1Priority, transaction::CanonicalTxError};

/// Why an event can't be what it claims to be. The contract is not the one we know, or the L1 node lies: nothing to be retried.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The event does not decode.
    #[error("l1 log {index} of block {block} is malformed: {source}")]
    Malformed {
        /// L1 block.
        block: u64,
        /// Index of the log in its block.
        index: u64,
        /// Decoder's message.
        source: alloy_sol_types::Error,
    },
    /// A number is out of range.
    #[error("l1 log {index} of block {block} has a number out of range: {value}")]
    OutOfRange {
        /// L1 block.
        block: u64,
        /// Index of the log in its block.
        index: u64,
        /// The number.
        value: U256,
    },
    /// The priority transaction breaks a rule that the L1 contract enforces.
    #[error("priority transaction {id} is invalid: {source}")]
    Transaction {
        /// Priority id.
        id: U256,
        /// Broken rule.
        source: CanonicalTxError,
    },
    /// The hash in the event is not the hash of the transaction in the event.
    #[error("priority transaction {id} has hash {computed}, l1 says {on_l1}")]
    Hash {
        /// Priority id.
        id: u64,
        /// Hash we computed.
        computed: B256,
        /// Hash in the event.
        on_l1: B256,
    },
    /// The id in the event is not the nonce of the transaction in the event.
    #[error("priority transaction {id} has nonce {nonce}")]
    Nonce {
        /// Id in the event.
        id: U256,
        /// Nonce of the transaction.
        nonce: u64,
    },
    /// A commit without the event that gives its block range.
    #[error(
        "commit of batch {batch} in l1 block {block} has no block range event: protocol versions below 30 can't be followed"
    )]
    NoRange {
        /// Batch number.
        batch: u64,
        /// L1 block.
        block: u64,
    },
}

/// One event of interest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Priority(L1PriorityTx),
    Committed(CommittedBatch),
    Verified { batch: u64 },
    Executed { batch: u64 },
    Reverted { committed: u64, verified: u64, executed: u64 },
    UpgradeTimestamp { version: U256, timestamp: u64 },
}

/// Topics of the priority queue.
pub(super) const PRIORITY_TOPICS: &[B256] = &[IZkChain::NewPriorityRequest::SIGNATURE_HASH];

/// Topics of batches and upgrades.
pub(super) const BATCH_TOPICS: &[B256] = &[
    IZkChain::ReportCommittedBatchRangeZKsyncOS::SIGNATURE_HASH,
    IZkChain::BlockCommit::SIGNATURE_HASH,
    IZkChain::BlocksVerification::SIGNATURE_HASH,
    IZkChain::BlockExecution::SIGNATURE_HASH,
    IZkChain::BlocksRevert::SIGNATURE_HASH,
    IChainAdmin::UpdateUpgradeTimestamp::SIGNATURE_HASH,
];

/// Filter for the wanted groups of topics.
pub(super) fn filter(diamond: Address, admin: Address, priority: bool, batches: bool) -> Filter {
    let mut topics = Vec::new();
    let mut addresses = vec![diamond];
    if priority {
        topics.extend_from_slice(PRIORITY_TOPICS);
    }
    if batches {
        topics.extend_from_slice(BATCH_TOPICS);
        addresses.push(admin);
    }
    Filter::new().address(addresses).event_signature(topics)
}

/// Decodes logs in order. Logs of others with the same topics are skipped.
pub(super) fn decode(
    logs: &[Log],
    diamond: Address,
    admin: Address,
) -> Result<Vec<Event>, EventError> {
    let mut events = Vec::with_capacity(logs.len());
    let mut range: Option<IZkChain::ReportCommittedBatchRangeZKsyncOS> = None;
    for log in logs {
        let position = Position {
            block: log.block_number.unwrap_or_default(),
            index: log.log_index.unwrap_or_default(),
        };
        let Some(topic) = log.topic0() else { continue };
        let from_diamond = log.address() == diamond;
        let event = if from_diamond && *topic == IZkChain::NewPriorityRequest::SIGNATURE_HASH {
            Event::Priority(priority(position.decode(log)?, position.block)?)
        } else if from_diamond
            && *topic == IZkChain::ReportCommittedBatchRangeZKsyncOS::SIGNATURE_HASH
        {
            range = Some(position.decode(log)?);
            continue;
        } else if from_diamond && *topic == IZkChain::BlockCommit::SIGNATURE_HASH {
            let commit: IZkChain::BlockCommit = position.decode(log)?;
            let number = position.fit(commit.batchNumber)?;
            let range = range
                .take()
                .filter(|range| range.batchNumber == number)
                .ok_or(EventError::NoRange { batch: number, block: position.block })?;
            Event::Committed(CommittedBatch {
                number,
                first_block: range.firstBlockNumber,
                last_block: range.lastBlockNumber,
                state_commitment: commit.batchHash,
                commitment: commit.commitment,
                l1_block: position.block,
                l1_tx: log.transaction_hash.unwrap_or_default(),
            })
        } else if from_diamond && *topic == IZkChain::BlocksVerification::SIGNATURE_HASH {
            let event: IZkChain::BlocksVerification = position.decode(log)?;
            Event::Verified { batch: position.fit(event.currentLastVerifiedBatch)? }
        } else if from_diamond && *topic == IZkChain::BlockExecution::SIGNATURE_HASH {
            let event: IZkChain::BlockExecution = position.decode(log)?;
            Event::Executed { batch: position.fit(event.batchNumber)? }
        } else if from_diamond && *topic == IZkChain::BlocksRevert::SIGNATURE_HASH {
            let event: IZkChain::BlocksRevert = position.decode(log)?;
            Event::Reverted {
                committed: position.fit(event.totalBatchesCommitted)?,
                verified: position.fit(event.totalBatchesVerified)?,
                executed: position.fit(event.totalBatchesExecuted)?,
            }
        } else if log.address() == admin
            && *topic == IChainAdmin::UpdateUpgradeTimestamp::SIGNATURE_HASH
        {
            let event: IChainAdmin::UpdateUpgradeTimestamp = position.decode(log)?;
            // "Never" is announced as the largest number.
            let timestamp = u64::try_from(event.upgradeTimestamp).unwrap_or(u64::MAX);
            Event::UpgradeTimestamp { version: event.protocolVersion, timestamp }
        } else {
            continue;
        };
        events.push(event);
    }
    Ok(events)
}

fn priority(
    event: IZkChain::NewPriorityRequest,
    l1_block: u64,
) -> Result<L1PriorityTx, EventError> {
    let tx = TxL1Priority::try_from(CanonicalTransaction::from(event.transaction))
        .map_err(|source| EventError::Transaction { id: event.txId, source })?;
    if U256::from(tx.nonce) != event.txId {
        return Err(EventError::Nonce { id: event.txId, nonce: tx.nonce });
    }
    let id = tx.nonce;
    let tx = tx.seal_slow();
    if tx.seal() != event.txHash {
        return Err(EventError::Hash { id, computed: tx.seal(), on_l1: event.txHash });
    }
    Ok(L1PriorityTx { id, tx, l1_block })
}

#[derive(Clone, Copy)]
struct Position {
    block: u64,
    index: u64,
}

impl Position {
    fn decode<E: SolEvent>(self, log: &Log) -> Result<E, EventError> {
        E::decode_log_data(log.data()).map_err(|source| EventError::Malformed {
            block: self.block,
            index: self.index,
            source,
        })
    }

    fn fit(self, value: U256) -> Result<u64, EventError> {
        u64::try_from(value).map_err(|_| EventError::OutOfRange {
            block: self.block,
            index: self.index,
            value,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::contracts::L2CanonicalTransaction;
    use alloy_primitives::{Bytes, LogData, address, b256};
    use proptest::prelude::*;

    const DIAMOND: Address = address!("00000000000000000000000000000000000000d1");
    const ADMIN: Address = address!("00000000000000000000000000000000000000ad");

    pub(in crate::watcher) fn log(address: Address, data: LogData, block: u64, index: u64) -> Log {
        Log {
            inner: alloy_primitives::Log { address, data },
            block_number: Some(block),
            log_index: Some(index),
            transaction_hash: Some(B256::repeat_byte(0x77)),
            ..Default::default()
        }
    }

    pub(in crate::watcher) fn request(tx: &TxL1Priority) -> IZkChain::NewPriorityRequest {
        IZkChain::NewPriorityRequest {
            txId: U256::from(tx.nonce),
            txHash: tx.canonical_hash(),
            expirationTimestamp: 0,
            transaction: L2CanonicalTransaction::from(CanonicalTransaction::from(tx)),
            factoryDeps: vec![],
        }
    }

    /// A deposit whose hash was observed on a public network, except for the nonce of the request.
    fn real_deposit() -> TxL1Priority {
        let user = address!("357fe6c9f85dc429596577cf2e7a191f60b6865b");
        TxL1Priority {
            from: user,
            to: user,
            gas_limit: 0x493e0,
            gas_per_pubdata_byte_limit: 800,
            max_fee_per_gas: 0xee6fcf4,
            nonce: 1,
            value: U256::from(0x32),
            to_mint: U256::from(0x4b08a6610e32u64),
            refund_recipient: user,
            ..Default::default()
        }
    }

    #[test]
    fn a_real_deposit_is_decoded_with_its_hash() {
        let logs = [log(DIAMOND, request(&real_deposit()).encode_log_data(), 7, 0)];
        let events = decode(&logs, DIAMOND, ADMIN).unwrap();
        let [Event::Priority(tx)] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((tx.id, tx.l1_block), (1, 7));
        assert_eq!(
            tx.tx.seal(),
            b256!("4164624346d4c915977debf68dbd721f8ae86b964080925aecf6911dd47a6ece")
        );
    }

    #[test]
    fn a_commit_carries_its_range() {
        let range = IZkChain::ReportCommittedBatchRangeZKsyncOS {
            batchNumber: 3,
            firstBlockNumber: 5,
            lastBlockNumber: 9,
        };
        let commit = IZkChain::BlockCommit {
            batchNumber: U256::from(3),
            batchHash: B256::repeat_byte(1),
            commitment: B256::repeat_byte(2),
        };
        let logs = [
            log(DIAMOND, range.encode_log_data(), 1, 0),
            log(DIAMOND, commit.encode_log_data(), 1, 1),
        ];
        let events = decode(&logs, DIAMOND, ADMIN).unwrap();
        let [Event::Committed(batch)] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((batch.number, batch.first_block, batch.last_block), (3, 5, 9));
        assert_eq!(batch.commitment, B256::repeat_byte(2));
        assert!(matches!(
            decode(&logs[1..], DIAMOND, ADMIN),
            Err(EventError::NoRange { batch: 3, .. })
        ));
        // The same events of a stranger mean nothing.
        assert!(
            decode(&[log(ADMIN, range.encode_log_data(), 1, 0)], DIAMOND, ADMIN)
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn tampered_requests_are_refused() {
        let cases: [(fn(&mut IZkChain::NewPriorityRequest), &str); 6] = [
            (|e| e.txHash = B256::ZERO, "has hash"),
            (|e| e.txId = U256::from(2), "has nonce"),
            (|e| e.transaction.txType = U256::from(255), "type"),
            (|e| e.transaction.signature = Bytes::from_static(b"x"), "signature"),
            (|e| e.transaction.reserved[3] = U256::ONE, "reserved"),
            (|e| e.transaction.from = U256::MAX, "range"),
        ];
        for (change, text) in cases {
            let mut event = request(&real_deposit());
            change(&mut event);
            let error = decode(&[log(DIAMOND, event.encode_log_data(), 1, 0)], DIAMOND, ADMIN)
                .unwrap_err()
                .to_string();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn garbage_data_is_an_error_and_no_panic() {
        let mut data = request(&real_deposit()).encode_log_data();
        data.data = data.data.slice(..data.data.len() - 40);
        assert!(matches!(
            decode(&[log(DIAMOND, data, 1, 0)], DIAMOND, ADMIN),
            Err(EventError::Malformed { .. })
        ));
    }

    proptest! {
        #[test]
        fn requests_round_trip(
            from: [u8; 20], to: [u8; 20], gas_limit: u64, fee: u128, nonce: u64, value: [u8; 32], mint: [u8; 32], refund: [u8; 20],
            input: Vec<u8>, deps: Vec<[u8; 32]>,
        ) {
            let tx = TxL1Priority {
                from: from.into(),
                to: to.into(),
                gas_limit,
                gas_per_pubdata_byte_limit: 800,
                max_fee_per_gas: fee,
                max_priority_fee_per_gas: 0,
                nonce,
                value: U256::from_be_bytes(value),
                to_mint: U256::from_be_bytes(mint),
                refund_recipient: refund.into(),
                input: input.into(),
                factory_deps: deps.into_iter().map(B256::from).collect(),
            };
            let events = decode(&[log(DIAMOND, request(&tx).encode_log_data(), 1, 0)], DIAMOND, ADMIN).unwrap();
            prop_assert!(matches!(&events[..], [Event::Priority(found)] if *found.tx.inner() == tx));
        }
    }
}
