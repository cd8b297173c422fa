//! Code that upgrades deploy, published in the logs of a contract on L1.
//!
//! An upgrade transaction lists the blake2s hashes of the code it needs. From protocol v31 on the supplier names code by that hash; before, by the hash of the older VM, which says
//! nothing of ours. So logs are only a way to find code: what counts is the hash of the code itself.

use crate::{
    contracts::{IBytecodesSupplier, IChainTypeManager},
    logs::{LogScanError, get_logs, scan_backwards},
    provider::{CallError, L1Provider},
};
use alloy_primitives::{Address, B256, Bytes};
use alloy_rpc_types_eth::{BlockNumberOrTag, Filter, Log};
use alloy_sol_types::SolEvent;
use alloy_transport::TransportError;
use std::collections::{BTreeMap, BTreeSet};
use zkos_primitives::blake2s;

/// The bytecode supplier that the chain type manager names; none before protocol v31, where it must be configured.
pub async fn find_bytecode_supplier(
    provider: &L1Provider,
    ctm: Address,
) -> Result<Option<Address>, CallError> {
    match provider.call_latest(ctm, &IChainTypeManager::L1_BYTECODES_SUPPLIERCall {}).await {
        Ok(address) => Ok(Some(address).filter(|address| !address.is_zero())),
        Err(CallError::Reverted { .. } | CallError::Decode { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Code by blake2s hash, as far as it was published. Reads back only until all of it is found.
pub(crate) async fn fetch_bytecodes<E>(
    provider: &L1Provider,
    supplier: Address,
    hashes: &[B256],
) -> Result<BTreeMap<B256, Bytes>, E>
where
    E: From<LogScanError> + From<TransportError>,
{
    let mut wanted: BTreeSet<B256> = hashes.iter().copied().collect();
    let mut found = BTreeMap::new();
    let head = provider.block(BlockNumberOrTag::Latest).await?.map_or(0, |block| block.number);
    let by_hash = Filter::new()
        .address(supplier)
        .event_signature(IBytecodesSupplier::EVMBytecodePublished::SIGNATURE_HASH)
        .topic1(hashes.to_vec());
    let all = Filter::new().address(supplier).event_signature(vec![
        IBytecodesSupplier::EVMBytecodePublished::SIGNATURE_HASH,
        IBytecodesSupplier::BytecodePublished::SIGNATURE_HASH,
    ]);
    for filter in [by_hash, all] {
        let mut take = |logs: &[Log]| {
            for code in logs.iter().filter_map(published) {
                let hash = blake2s(&code);
                if wanted.remove(&hash) {
                    found.insert(hash, code);
                }
            }
            wanted.is_empty()
        };
        match get_logs(provider, &filter, 0, head).await {
            Ok(logs) => {
                take(&logs);
            }
            Err(error) if error.is_range_limit() => {
                scan_backwards(provider, &filter, head, 0, &mut take).await?;
            }
            Err(error) => return Err(error.into()),
        }
        if wanted.is_empty() {
            break;
        }
    }
    Ok(found)
}

/// Code in a log, whatever hash it is filed under.
fn published(log: &Log) -> Option<Bytes> {
    let data = log.data();
    match IBytecodesSupplier::EVMBytecodePublished::decode_log_data(data) {
        Ok(event) => Some(event.bytecode),
        Err(_) => IBytecodesSupplier::BytecodePublished::decode_log_data(data)
            .ok()
            .map(|event| event.bytecode),
    }
}
