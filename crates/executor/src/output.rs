//! What a finished block leaves: header, writes, preimages, pubdata.

use crate::{
    ExecutionError, StateError, StateView,
    block::{BlockTotals, TxResult},
    env::BlockEnv,
    journal::{AccountEntry, Journal, SlotEntry},
};
use alloy_primitives::{Address, B256, Bloom, Bytes};
use std::collections::BTreeMap;
use zkos_primitives::{
    ACCOUNT_PROPERTIES_STORAGE_ADDRESS, BlockOutput, Header, L2ToL1Log,
    account_properties_flat_key, account_properties_slot, block_write_order, flat_storage_key,
    header::{empty_header, header_hash},
    pubdata::{AccountDiff, BlockPubdata, StateDiff, ValueDiff},
};
use zksync_os_interface::types::{
    AccountDiff as ChangedAccount, L2ToL1LogWithPreimage, StorageWrite,
};

enum Change<'a> {
    Account(&'a AccountEntry),
    Slot(&'a SlotEntry),
}

/// Builds the output of a block.
pub(crate) fn seal<S: StateView>(
    env: &BlockEnv,
    journal: &mut Journal<S>,
    totals: BlockTotals,
    rolling_hash: B256,
    tx_results: Vec<TxResult>,
    logs: &[L2ToL1LogWithPreimage],
) -> Result<BlockOutput, ExecutionError> {
    let mut header = Header {
        parent_hash: env.parent_hash,
        beneficiary: env.coinbase,
        transactions_root: rolling_hash,
        number: env.number,
        gas_limit: env.gas_limit,
        gas_used: totals.gas_used,
        timestamp: env.timestamp,
        mix_hash: env.spec.prev_randao.into(),
        base_fee_per_gas: Some(u64::try_from(env.base_fee).unwrap_or(u64::MAX)),
        ..empty_header()
    };
    let block_hash = header_hash(&header);
    let mut bloom = Bloom::ZERO;
    for output in tx_results.iter().flatten() {
        for log in &output.logs {
            bloom.accrue_log(log);
        }
    }
    header.logs_bloom = bloom;

    let mut published: BTreeMap<B256, Bytes> = journal.preimages.drain(..).collect();
    publish_missing(journal, &mut published)?;

    let mut changes: Vec<((Address, B256), Change<'_>)> = journal
        .changed_accounts()
        .map(|entry| {
            let slot = account_properties_slot(entry.address);
            ((ACCOUNT_PROPERTIES_STORAGE_ADDRESS, slot), Change::Account(entry))
        })
        .chain(journal.changed_slots().map(|slot| {
            let address = journal.accounts[slot.account as usize].address;
            ((address, B256::from(slot.key)), Change::Slot(slot))
        }))
        .collect();
    changes.sort_by(|a, b| block_write_order(a.0, b.0));

    let mut storage_writes = Vec::with_capacity(changes.len());
    let mut account_diffs = Vec::new();
    let mut diffs = Vec::with_capacity(changes.len());
    let mut records = Vec::new();
    for ((account, account_key), change) in changes {
        let (key, value, diff) = match change {
            Change::Account(entry) => {
                let encoded = entry.current.encode();
                let hash = zkos_primitives::blake2s(encoded);
                account_diffs.push(ChangedAccount {
                    address: entry.address,
                    nonce: entry.current.nonce,
                    balance: entry.current.balance,
                    bytecode_hash: entry.current.bytecode_hash,
                });
                let bytecode = if entry.hide_bytecode {
                    None
                } else {
                    Some(
                        published
                            .get(&entry.current.bytecode_hash)
                            .map_or(&[][..], |preimage| preimage.as_ref()),
                    )
                };
                let diff = AccountDiff::new(&entry.initial, &entry.current, bytecode);
                records.push((hash, Bytes::copy_from_slice(&encoded)));
                (account_properties_flat_key(entry.address), hash, StateDiff::Account(diff))
            }
            Change::Slot(slot) => {
                let diff = StateDiff::Value(ValueDiff::new(slot.initial, slot.current));
                (flat_storage_key(account, account_key), B256::from(slot.current), diff)
            }
        };
        storage_writes.push(StorageWrite { key, value, account, account_key });
        diffs.push((key, diff));
    }
    published.extend(records);

    let pubdata = BlockPubdata {
        block_hash,
        timestamp: env.timestamp,
        diffs,
        logs: logs.iter().map(|log| L2ToL1Log::from(log.log.clone())).collect(),
        messages: logs
            .iter()
            .filter_map(|log| log.preimage.as_ref().map(|message| Bytes::copy_from_slice(message)))
            .collect(),
    };
    Ok(BlockOutput {
        header,
        block_hash,
        tx_results,
        storage_writes,
        account_diffs,
        published_preimages: published
            .into_iter()
            .map(|(hash, preimage)| (hash, preimage.to_vec()))
            .collect(),
        pubdata: pubdata.encode(),
        computational_native_used: totals.computational_native_used,
    })
}

/// Reads bytecodes that must appear in the pubdata but were not recorded in this block.
fn publish_missing<S: StateView>(
    journal: &mut Journal<S>,
    published: &mut BTreeMap<B256, Bytes>,
) -> Result<(), StateError> {
    let missing: Vec<B256> = journal
        .changed_accounts()
        .filter(|entry| {
            !entry.hide_bytecode
                && entry.current.unpadded_code_len != 0
                && entry.current.bytecode_hash != entry.initial.bytecode_hash
                && !published.contains_key(&entry.current.bytecode_hash)
        })
        .map(|entry| entry.current.bytecode_hash)
        .collect();
    for hash in missing {
        let preimage = journal.state.preimage(hash)?.ok_or(StateError::MissingBytecode { hash })?;
        published.insert(hash, preimage);
    }
    Ok(())
}
