//! The genesis upgrade: the first transaction of block 1, found on L1 and nowhere else.

use crate::{
    contracts::IZkChain,
    logs::{self, LogScanError},
    provider::L1Provider,
};
use alloy_primitives::{Address, B256, Bytes, Sealable, Sealed};
use alloy_rpc_types_eth::{BlockNumberOrTag, Filter};
use alloy_sol_types::SolEvent;
use alloy_transport::TransportError;
use zkos_primitives::{
    CanonicalTransaction, ProtocolVersion, TxUpgrade, blake2s, transaction::CanonicalTxError,
};

/// The genesis upgrade of a chain as L1 recorded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenesisUpgrade {
    /// The upgrade transaction (0x7e) with its canonical hash. First transaction of block 1.
    pub tx: Sealed<TxUpgrade>,
    /// Protocol version the chain was created with.
    pub protocol_version: ProtocolVersion,
    /// Raw code that must be known before block 1 is executed, keyed by its blake2s hash.
    pub force_preimages: Vec<(B256, Bytes)>,
    /// L1 block of the event: nothing of this chain happened before it.
    pub l1_block: u64,
}

/// Why the genesis upgrade could not be read.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// No event, so no chain creation in the logs of this L1.
    #[error(
        "diamond {diamond} has no genesis upgrade event: the l1 node has lost its logs (a local l1 needs a state file with logs) or is not fully synced"
    )]
    NotFound {
        /// Diamond asked.
        diamond: Address,
    },
    /// The event names another chain.
    #[error("genesis upgrade event of diamond {diamond} is for chain {found}")]
    OtherChain {
        /// Diamond asked.
        diamond: Address,
        /// Chain in the event.
        found: Address,
    },
    /// More than one event.
    #[error("diamond {diamond} has {count} genesis upgrade events instead of one")]
    Ambiguous {
        /// Diamond asked.
        diamond: Address,
        /// Number of events.
        count: usize,
    },
    /// The event does not decode.
    #[error("genesis upgrade event of diamond {diamond} is malformed: {source}")]
    Event {
        /// Diamond asked.
        diamond: Address,
        /// Decoder's message.
        source: alloy_sol_types::Error,
    },
    /// The transaction is not a valid upgrade transaction.
    #[error("genesis upgrade transaction of diamond {diamond} is invalid: {source}")]
    Transaction {
        /// Diamond asked.
        diamond: Address,
        /// What is wrong with it.
        source: CanonicalTxError,
    },
    /// The version in the event is not a protocol version, or does not fit the transaction.
    #[error(
        "genesis upgrade of diamond {diamond} has protocol version {version} and nonce {nonce}, which contradict"
    )]
    Version {
        /// Diamond asked.
        diamond: Address,
        /// Packed version.
        version: String,
        /// Nonce of the transaction (minor version).
        nonce: u64,
    },
    /// Logs could not be read.
    #[error(transparent)]
    Logs(#[from] LogScanError),
    /// L1 could not be asked.
    #[error("l1 request failed: {0}")]
    Rpc(#[from] TransportError),
}

/// Fetches the genesis upgrade of `diamond`: its transaction, with checked form and computed hash, and the code it needs.
pub async fn fetch_genesis_upgrade(
    provider: &L1Provider,
    diamond: Address,
) -> Result<GenesisUpgrade, GenesisError> {
    let head = provider.block(BlockNumberOrTag::Latest).await?.map_or(0, |b| b.number);
    let filter =
        Filter::new().address(diamond).event_signature(IZkChain::GenesisUpgrade::SIGNATURE_HASH);
    // The whole history at once where the node allows it, else backwards in chunks until the event is met.
    let found = match logs::get_logs(provider, &filter, 0, head).await {
        Ok(found) => found,
        Err(error) if error.is_range_limit() => {
            logs::scan_backwards(provider, &filter, head, 0, |logs| !logs.is_empty()).await?
        }
        Err(error) => return Err(error.into()),
    };
    let [log] = found.as_slice() else {
        return Err(if found.is_empty() {
            GenesisError::NotFound { diamond }
        } else {
            GenesisError::Ambiguous { diamond, count: found.len() }
        });
    };
    let event = IZkChain::GenesisUpgrade::decode_log_data(log.data())
        .map_err(|source| GenesisError::Event { diamond, source })?;
    let mut upgrade = decode(diamond, event)?;
    upgrade.l1_block = log.block_number.unwrap_or_default();
    Ok(upgrade)
}

fn decode(
    diamond: Address,
    event: IZkChain::GenesisUpgrade,
) -> Result<GenesisUpgrade, GenesisError> {
    if event.zkChain != diamond {
        return Err(GenesisError::OtherChain { diamond, found: event.zkChain });
    }
    let tx = TxUpgrade::try_from(CanonicalTransaction::from(event.l2Transaction))
        .map_err(|source| GenesisError::Transaction { diamond, source })?;
    let contradiction = || GenesisError::Version {
        diamond,
        version: event.protocolVersion.to_string(),
        nonce: tx.nonce,
    };
    let protocol_version =
        ProtocolVersion::unpack(event.protocolVersion).map_err(|_| contradiction())?;
    if u64::from(protocol_version.minor) != tx.nonce {
        return Err(contradiction());
    }
    let force_preimages =
        event.factoryDeps.into_iter().map(|code| (blake2s(&code), code)).collect();
    Ok(GenesisUpgrade { tx: tx.seal_slow(), protocol_version, force_preimages, l1_block: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::L2CanonicalTransaction;
    use alloy_primitives::{U256, address};

    const DIAMOND: Address = address!("00000000000000000000000000000000000000d1");

    fn event() -> IZkChain::GenesisUpgrade {
        let tx = TxUpgrade {
            from: address!("0000000000000000000000000000000000008007"),
            to: address!("000000000000000000000000000000000000800f"),
            gas_limit: 72_000_000,
            gas_per_pubdata_byte_limit: 800,
            nonce: 30,
            input: Bytes::from_static(b"upgrade"),
            ..Default::default()
        };
        IZkChain::GenesisUpgrade {
            zkChain: DIAMOND,
            l2Transaction: L2CanonicalTransaction::from(CanonicalTransaction::from(&tx)),
            protocolVersion: ProtocolVersion::V30_2.pack(),
            factoryDeps: vec![Bytes::from_static(&[0x60, 0x00])],
        }
    }

    #[test]
    fn the_event_gives_the_transaction_and_its_preimages() {
        let upgrade = decode(DIAMOND, event()).unwrap();
        assert_eq!(upgrade.protocol_version, ProtocolVersion::V30_2);
        assert_eq!(upgrade.tx.seal(), upgrade.tx.canonical_hash());
        assert_eq!(
            upgrade.force_preimages,
            vec![(blake2s([0x60, 0x00]), Bytes::from_static(&[0x60, 0x00]))]
        );
    }

    #[test]
    fn contradictory_events_are_refused() {
        let mut other = event();
        other.zkChain = Address::ZERO;
        assert!(matches!(decode(DIAMOND, other), Err(GenesisError::OtherChain { .. })));
        let mut version = event();
        version.protocolVersion = U256::from(29u64 << 32);
        assert!(matches!(decode(DIAMOND, version), Err(GenesisError::Version { .. })));
        let mut ty = event();
        ty.l2Transaction.txType = U256::from(127);
        assert!(matches!(decode(DIAMOND, ty), Err(GenesisError::Transaction { .. })));
    }
}
