//! Protocol upgrades after genesis: what is announced, and what it consists of.
//!
//! An upgrade is registered at the chain type manager as a diamond cut, whose initialisation call holds everything else: the new version and,
//! for a change of the minor version, the L2 transaction that starts the first block of that version. The chain's admin announces from when
//! on blocks may have the new version, and applies the cut on L1 once no batch of the old version is left to be committed.

use crate::{
    bytecodes::fetch_bytecodes,
    contracts::{DiamondCutData, IChainAdmin, IChainTypeManager, IUpgrade, IZkChain},
    discovery::L1Contracts,
    logs::{LogScanError, all_logs},
    provider::{CallError, L1Provider},
    watcher::ScheduledUpgrade,
};
use alloy_primitives::{Address, B256, Bytes, Sealable, Sealed, keccak256};
use alloy_rpc_types_eth::{Filter, Log};
use alloy_sol_types::{SolCall, SolEvent, SolValue};
use alloy_transport::TransportError;
use std::collections::BTreeMap;
use tracing::debug;
use zkos_primitives::{
    CanonicalTransaction, ProtocolVersion, TxUpgrade, transaction::CanonicalTxError,
};

/// An upgrade with all that blocks need to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolUpgrade {
    /// Version to switch to.
    pub version: ProtocolVersion,
    /// Earliest L2 block timestamp with the new version, seconds.
    pub timestamp: u64,
    /// First transaction of the first block with the new version; none if only the patch version changes.
    pub tx: Option<Sealed<TxUpgrade>>,
    /// Code that the transaction deploys and that must be known before it is executed, keyed by its blake2s hash.
    pub force_preimages: Vec<(B256, Bytes)>,
}

/// Why an upgrade can't be read from L1.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// The version was announced, but not registered.
    #[error(
        "chain type manager {ctm} has no upgrade data for protocol version {version}: it must be registered there before the chain's admin announces it"
    )]
    NotRegistered {
        /// Chain type manager asked.
        ctm: Address,
        /// Announced version.
        version: ProtocolVersion,
    },
    /// None of the registered cuts is the one that L1 would apply.
    #[error(
        "upgrade from {from} to {version}: chain type manager {ctm} expects cut {on_l1}, none of its events has it"
    )]
    OtherCut {
        /// Chain type manager asked.
        ctm: Address,
        /// Version of the chain.
        from: ProtocolVersion,
        /// Announced version.
        version: ProtocolVersion,
        /// Hash on L1; zero if there is no upgrade from this version.
        on_l1: B256,
    },
    /// The cut does not decode, or does not initialise anything that is known.
    #[error("upgrade to {version} is malformed: {reason}")]
    Malformed {
        /// Announced version.
        version: ProtocolVersion,
        /// What is wrong.
        reason: String,
    },
    /// The transaction breaks a rule of upgrade transactions.
    #[error("transaction of the upgrade to {version} is invalid: {source}")]
    Transaction {
        /// Announced version.
        version: ProtocolVersion,
        /// Broken rule.
        source: CanonicalTxError,
    },
    /// The transaction deploys code, and nobody knows where it is published.
    #[error(
        "the upgrade to {version} deploys {count} bytecodes, and the chain type manager names no bytecode supplier: set --l1.bytecode-supplier-address"
    )]
    NoBytecodeSupplier {
        /// Announced version.
        version: ProtocolVersion,
        /// Number of bytecodes.
        count: usize,
    },
    /// Code that the transaction deploys was not published.
    #[error(
        "the upgrade to {version} deploys bytecodes that bytecode supplier {supplier} has not published: {missing:?}"
    )]
    MissingBytecodes {
        /// Announced version.
        version: ProtocolVersion,
        /// Contract asked.
        supplier: Address,
        /// Their blake2s hashes.
        missing: Vec<B256>,
    },
    /// A contract call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Logs could not be read.
    #[error(transparent)]
    Logs(#[from] LogScanError),
    /// L1 could not be asked.
    #[error("l1 request failed: {0}")]
    Rpc(#[from] TransportError),
}

impl UpgradeError {
    /// Whether asking again later can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Call(error) => error.is_transient(),
            Self::Logs(error) => error.is_transient(),
            Self::Rpc(error) => crate::provider::is_transient(error),
            _ => false,
        }
    }
}

/// The next upgrade that the chain's admin has announced so far: of the versions above `current` the lowest, with the time named last.
///
/// `floor` is an L1 block before which nothing was announced. Reads old logs only if a newer version exists at all.
pub async fn find_scheduled_upgrade(
    provider: &L1Provider,
    contracts: &L1Contracts,
    current: ProtocolVersion,
    floor: u64,
) -> Result<Option<ScheduledUpgrade>, UpgradeError> {
    let newest =
        provider.call_latest(contracts.ctm, &IChainTypeManager::protocolVersionCall {}).await?;
    if newest <= current.pack() {
        return Ok(None);
    }
    let filter = Filter::new()
        .address(contracts.chain_admin)
        .event_signature(IChainAdmin::UpdateUpgradeTimestamp::SIGNATURE_HASH);
    let logs = all_logs::<UpgradeError>(provider, &filter, floor).await?;
    Ok(next_scheduled(&logs, current))
}

fn next_scheduled(logs: &[Log], current: ProtocolVersion) -> Option<ScheduledUpgrade> {
    let mut announced = BTreeMap::new();
    for log in logs {
        let Ok(event) = IChainAdmin::UpdateUpgradeTimestamp::decode_log_data(log.data()) else {
            continue;
        };
        if let Ok(version) = ProtocolVersion::unpack(event.protocolVersion)
            && version > current
        {
            // "Never" is announced as the largest number.
            announced.insert(version, u64::try_from(event.upgradeTimestamp).unwrap_or(u64::MAX));
        }
    }
    announced.into_iter().next().map(|(version, timestamp)| ScheduledUpgrade { version, timestamp })
}

/// Fetches an announced upgrade of a chain whose version is `from`, with the code that it deploys, and checks it against what L1 would apply.
///
/// `supplier` is the contract that code is published in, `floor` an L1 block before which nothing was registered.
pub async fn fetch_upgrade(
    provider: &L1Provider,
    contracts: &L1Contracts,
    supplier: Option<Address>,
    from: ProtocolVersion,
    scheduled: ScheduledUpgrade,
    floor: u64,
) -> Result<ProtocolUpgrade, UpgradeError> {
    let ScheduledUpgrade { version, timestamp } = scheduled;
    let ctm = contracts.ctm;
    let filter = Filter::new()
        .address(ctm)
        .event_signature(IChainTypeManager::NewUpgradeCutData::SIGNATURE_HASH)
        .topic1(B256::from(version.pack()));
    let logs = all_logs::<UpgradeError>(provider, &filter, floor).await?;
    if logs.is_empty() {
        return Err(UpgradeError::NotRegistered { ctm, version });
    }
    let on_l1 = provider
        .call_latest(ctm, &IChainTypeManager::upgradeCutHashCall { oldVersion: from.pack() })
        .await?;
    // The last one first: a version may have been registered again with another cut.
    let cut = logs
        .iter()
        .rev()
        .filter_map(|log| {
            IChainTypeManager::NewUpgradeCutData::decode_log_data(log.data())
                .inspect_err(|error| {
                    debug!(target: "zkos::l1", %version, err = %error, "upgrade data is malformed");
                })
                .ok()
        })
        .map(|event| event.diamondCutData)
        .find(|cut| keccak256(cut.abi_encode()) == on_l1)
        .ok_or(UpgradeError::OtherCut { ctm, from, version, on_l1 })?;
    let mut upgrade = decode_cut(&cut, from, version, timestamp)?;
    if let Some(tx) = upgrade.tx.as_ref().filter(|tx| !tx.factory_deps.is_empty()) {
        let count = tx.factory_deps.len();
        let supplier = supplier.ok_or(UpgradeError::NoBytecodeSupplier { version, count })?;
        let found = fetch_bytecodes::<UpgradeError>(provider, supplier, &tx.factory_deps).await?;
        let missing: Vec<B256> =
            tx.factory_deps.iter().filter(|hash| !found.contains_key(*hash)).copied().collect();
        if !missing.is_empty() {
            return Err(UpgradeError::MissingBytecodes { version, supplier, missing });
        }
        upgrade.force_preimages = found.into_iter().collect();
    }
    Ok(upgrade)
}

/// Hashes of the upgrade transactions of all upgrades that L1 has applied to a chain so far, the genesis upgrade's included, oldest first.
///
/// `floor` is an L1 block before which the chain did not exist.
pub async fn applied_upgrade_txs<E>(
    provider: &L1Provider,
    diamond: Address,
    floor: u64,
) -> Result<Vec<B256>, E>
where
    E: From<LogScanError> + From<TransportError>,
{
    let filter =
        Filter::new().address(diamond).event_signature(IZkChain::UpgradeComplete::SIGNATURE_HASH);
    let logs = all_logs::<E>(provider, &filter, floor).await?;
    // A patch has no transaction.
    let hashes = logs.iter().filter_map(|log| log.topics().get(2)).filter(|hash| !hash.is_zero());
    Ok(hashes.copied().collect())
}

/// Reads the upgrade out of the initialisation call of its cut.
fn decode_cut(
    cut: &DiamondCutData,
    from: ProtocolVersion,
    version: ProtocolVersion,
    timestamp: u64,
) -> Result<ProtocolUpgrade, UpgradeError> {
    let malformed = |reason: String| UpgradeError::Malformed { version, reason };
    let call = IUpgrade::upgradeCall::abi_decode(&cut.initCalldata)
        .map_err(|error| malformed(error.to_string()))?;
    let proposed = call.proposed;
    if proposed.newProtocolVersion != version.pack() {
        return Err(malformed(format!("its data is of version {}", proposed.newProtocolVersion)));
    }
    let patch_only = (version.major, version.minor) == (from.major, from.minor);
    let tx = if proposed.l2ProtocolUpgradeTx.txType.is_zero() {
        None
    } else if patch_only {
        return Err(malformed("a patch can't carry a transaction".to_owned()));
    } else {
        let tx = TxUpgrade::try_from(CanonicalTransaction::from(proposed.l2ProtocolUpgradeTx))
            .map_err(|source| UpgradeError::Transaction { version, source })?;
        if tx.nonce != u64::from(version.minor) {
            return Err(malformed(format!("its transaction has nonce {}", tx.nonce)));
        }
        Some(tx.seal_slow())
    };
    // L1 refuses to apply the cut before this time, whatever the admin announced.
    let earliest = u64::try_from(proposed.upgradeTimestamp).unwrap_or(u64::MAX);
    let timestamp = timestamp.max(earliest);
    Ok(ProtocolUpgrade { version, timestamp, tx, force_preimages: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::{L2CanonicalTransaction, ProposedUpgrade};
    use alloy_primitives::{LogData, U256, address};

    const V31: ProtocolVersion = ProtocolVersion::new(31, 0);

    fn upgrade_tx(minor: u64) -> TxUpgrade {
        TxUpgrade {
            from: address!("0000000000000000000000000000000000008007"),
            to: address!("000000000000000000000000000000000000800f"),
            gas_limit: 72_000_000,
            gas_per_pubdata_byte_limit: 800,
            nonce: minor,
            input: Bytes::from_static(b"upgrade"),
            ..Default::default()
        }
    }

    fn proposed(version: ProtocolVersion, tx: Option<TxUpgrade>) -> ProposedUpgrade {
        ProposedUpgrade {
            l2ProtocolUpgradeTx: tx.map_or_else(L2CanonicalTransaction::default, |tx| {
                L2CanonicalTransaction::from(CanonicalTransaction::from(&tx))
            }),
            newProtocolVersion: version.pack(),
            ..Default::default()
        }
    }

    fn cut(proposed: ProposedUpgrade) -> DiamondCutData {
        DiamondCutData {
            facetCuts: Vec::new(),
            initAddress: Address::repeat_byte(1),
            initCalldata: IUpgrade::upgradeCall { proposed }.abi_encode().into(),
        }
    }

    #[test]
    fn a_minor_upgrade_brings_its_transaction_and_a_patch_none() {
        let tx = upgrade_tx(31);
        let found =
            decode_cut(&cut(proposed(V31, Some(tx.clone()))), ProtocolVersion::V30_2, V31, 7)
                .unwrap();
        assert_eq!((found.version, found.timestamp), (V31, 7));
        assert_eq!(found.tx.as_ref().map(|tx| tx.seal()), Some(tx.canonical_hash()));

        let mut patch = proposed(ProtocolVersion::V30_2, None);
        patch.upgradeTimestamp = U256::from(9);
        let found =
            decode_cut(&cut(patch), ProtocolVersion::V30_1, ProtocolVersion::V30_2, 7).unwrap();
        assert_eq!((found.timestamp, found.tx), (9, None));
    }

    #[test]
    fn contradictory_upgrades_are_refused() {
        let decode = |proposed, version| {
            decode_cut(&cut(proposed), ProtocolVersion::V30_1, version, 7).unwrap_err().to_string()
        };
        let error = decode(proposed(V31, None), ProtocolVersion::new(32, 0));
        assert!(error.contains("its data is of version"), "{error}");
        let error = decode(proposed(V31, Some(upgrade_tx(30))), V31);
        assert!(error.contains("nonce 30"), "{error}");
        let v30_2 = ProtocolVersion::V30_2;
        let error = decode(proposed(v30_2, Some(upgrade_tx(30))), v30_2);
        assert!(error.contains("patch"), "{error}");
        let mut wrong_type = proposed(V31, Some(upgrade_tx(31)));
        wrong_type.l2ProtocolUpgradeTx.txType = U256::from(127);
        let error = decode(wrong_type, V31);
        assert!(error.contains("transaction of the upgrade"), "{error}");
        let mut other = cut(proposed(V31, None));
        other.initCalldata = Bytes::from_static(&[1, 2, 3, 4]);
        assert!(matches!(
            decode_cut(&other, ProtocolVersion::V30_1, V31, 7),
            Err(UpgradeError::Malformed { .. })
        ));
    }

    #[test]
    fn the_lowest_newer_version_is_next_with_its_last_time() {
        let announce = |version: ProtocolVersion, timestamp: u64| Log {
            inner: alloy_primitives::Log {
                address: Address::ZERO,
                data: IChainAdmin::UpdateUpgradeTimestamp {
                    protocolVersion: version.pack(),
                    upgradeTimestamp: U256::from(timestamp),
                }
                .encode_log_data(),
            },
            ..Default::default()
        };
        let v32 = ProtocolVersion::new(32, 0);
        let mut logs = vec![
            announce(ProtocolVersion::V30_2, 1),
            announce(v32, 2),
            announce(V31, 3),
            announce(V31, 4),
        ];
        logs.push(Log {
            inner: alloy_primitives::Log { address: Address::ZERO, data: LogData::default() },
            ..Default::default()
        });
        let next = |current| next_scheduled(&logs, current);
        assert_eq!(
            next(ProtocolVersion::V30_2),
            Some(ScheduledUpgrade { version: V31, timestamp: 4 })
        );
        assert_eq!(next(V31), Some(ScheduledUpgrade { version: v32, timestamp: 2 }));
        assert_eq!(next(v32), None);
    }
}
