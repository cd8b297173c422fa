//! What holds for every block.

use super::{tx::Item, world::World};
use alloy_consensus::Transaction;
use alloy_eips::Decodable2718;
use alloy_primitives::{B256, Bytes, U256, U512};
use std::collections::BTreeMap;
use zkos_executor::MAX_NATIVE_COMPUTATIONAL;
use zkos_primitives::{
    AccountProperties, BASE_TOKEN_ADDRESS, BlockContext, BlockOutput, CanonicalTransaction,
    L1_MESSENGER_ADDRESS, ZkTxEnvelope, account_properties_flat_key, blake2s, block_write_order,
    flat_storage_key, header_hash,
    pubdata::{BlockPubdata, StateDiff},
};
use zksync_os_interface::{traits::EncodedTx, types::TxOutput};

/// Checks the result of a block in which `destructions` contracts destroyed themselves.
pub(super) fn block(
    context: &BlockContext,
    world: &World,
    items: &[Item],
    output: &BlockOutput,
    destructions: usize,
) {
    assert_eq!(output.tx_results.len(), items.len());
    let included: Vec<(&Item, &TxOutput)> = items
        .iter()
        .zip(&output.tx_results)
        .filter_map(|(item, result)| Some((item, result.as_ref().ok()?)))
        .collect();
    totals(context, output, &included);
    preimages(output);
    writes(world, output);
    pubdata(world, output, &included);
    balances(world, output, &included, destructions);
}

/// Sums and limits.
fn totals(context: &BlockContext, output: &BlockOutput, included: &[(&Item, &TxOutput)]) {
    let mut gas = 0u64;
    let mut native = 0u64;
    let mut charged = 0u64;
    for (number, (item, result)) in included.iter().enumerate() {
        gas += result.gas_used;
        native += result.computational_native_used;
        charged += result.pubdata_used;
        if let Some(limit) = gas_limit(item) {
            assert!(result.gas_used <= limit, "{} gas of {limit}", result.gas_used);
            assert!(result.gas_refunded <= limit);
        }
        for log in &result.l2_to_l1_logs {
            assert_eq!(usize::from(log.log.tx_number_in_block), number);
        }
        assert_eq!(result.contract_address.is_some(), created(result));
    }
    assert_eq!(gas, output.header.gas_used);
    assert_eq!(native, output.computational_native_used);
    assert!(gas <= context.gas_limit);
    assert!(native <= MAX_NATIVE_COMPUTATIONAL);
    assert!(charged <= context.pubdata_limit);
    assert_eq!(output.block_hash, header_hash(&output.header));
    assert_eq!(output.header.gas_limit, context.gas_limit);
    assert_eq!(output.header.number, context.block_number);
    assert_eq!(output.header.parent_hash, context.block_hashes.parent());
}

fn created(result: &TxOutput) -> bool {
    use zksync_os_interface::types::{ExecutionOutput, ExecutionResult};
    matches!(&result.execution_result, ExecutionResult::Success(ExecutionOutput::Create(..)))
}

fn gas_limit(item: &Item) -> Option<u64> {
    match item {
        Item::Decoded(tx, _) => Some(tx.gas_limit()),
        Item::Encoded(EncodedTx::Rlp(bytes, _)) => {
            ZkTxEnvelope::decode_2718_exact(bytes).ok().map(|tx| tx.gas_limit())
        }
        Item::Encoded(EncodedTx::Abi(bytes)) => {
            CanonicalTransaction::abi_decode(bytes).ok()?.gas_limit.try_into().ok()
        }
    }
}

fn preimages(output: &BlockOutput) {
    assert!(output.published_preimages.is_sorted_by(|a, b| a.0 < b.0));
    for (hash, preimage) in &output.published_preimages {
        assert_eq!(*hash, blake2s(preimage));
    }
}

/// Order, keys and values of the writes.
fn writes(world: &World, output: &BlockOutput) {
    let place =
        |write: &zksync_os_interface::types::StorageWrite| (write.account, write.account_key);
    for pair in output.storage_writes.windows(2) {
        assert!(block_write_order(place(&pair[0]), place(&pair[1])).is_lt());
    }
    let records: BTreeMap<B256, &Vec<u8>> =
        output.published_preimages.iter().map(|(hash, bytes)| (*hash, bytes)).collect();
    for write in &output.storage_writes {
        assert_eq!(write.key, flat_storage_key(write.account, write.account_key));
    }
    let written: BTreeMap<B256, B256> =
        output.storage_writes.iter().map(|write| (write.key, write.value)).collect();
    for diff in &output.account_diffs {
        let hash = written[&account_properties_flat_key(diff.address)];
        let record = AccountProperties::decode(records[&hash]).expect("a record");
        assert_eq!(
            (record.nonce, record.balance, record.bytecode_hash),
            (diff.nonce, diff.balance, diff.bytecode_hash)
        );
        let before = world.record(&diff.address);
        assert_ne!(record, before);
        assert!(record.nonce >= before.nonce || record.is_trivial(), "a nonce went down");
    }
}

/// The pubdata alone leads from the state before to the state after.
fn pubdata(world: &World, output: &BlockOutput, included: &[(&Item, &TxOutput)]) {
    let mut rest = output.pubdata.as_slice();
    let decoded = BlockPubdata::decode(&mut rest).expect("own pubdata");
    assert!(rest.is_empty());
    assert_eq!(decoded.encode(), output.pubdata);
    assert_eq!(decoded.block_hash, output.block_hash);
    assert_eq!(decoded.timestamp, output.header.timestamp);

    let records: BTreeMap<B256, &Vec<u8>> =
        output.published_preimages.iter().map(|(hash, bytes)| (*hash, bytes)).collect();
    let changed: BTreeMap<B256, _> = output
        .account_diffs
        .iter()
        .map(|diff| (account_properties_flat_key(diff.address), diff.address))
        .collect();
    assert_eq!(decoded.diffs.len(), output.storage_writes.len());
    for ((key, diff), write) in decoded.diffs.iter().zip(&output.storage_writes) {
        assert_eq!(*key, write.key);
        match diff {
            StateDiff::Value(diff) => {
                let slot = (write.account, U256::from_be_bytes(write.account_key.0));
                let old = world.slots.get(&slot).copied().unwrap_or_default();
                assert_eq!(diff.apply(old), Ok(write.value.into()));
            }
            StateDiff::Account(diff) => {
                let old = world.record(&changed[key]);
                // Length of the artifacts and observable hash of a force deployment are not in the pubdata.
                let new = AccountProperties::decode(records[&write.value]).expect("a record");
                let resolve = |hash| {
                    assert_eq!(hash, new.bytecode_hash);
                    Some((new.artifacts_len, new.observable_bytecode_hash))
                };
                assert_eq!(diff.apply(&old, resolve), Ok(new));
            }
        }
    }

    let sent = included.iter().flat_map(|(_, result)| &result.l2_to_l1_logs);
    let logs: Vec<_> = sent.clone().map(|log| log.log.clone().into()).collect();
    assert_eq!(decoded.logs, logs);
    let messages: Vec<Bytes> =
        sent.filter_map(|log| log.preimage.clone()).map(Bytes::from).collect();
    assert_eq!(decoded.messages, messages);
}

/// Value comes from deposits and leaves by withdrawals, and is otherwise moved only.
fn balances(
    world: &World,
    output: &BlockOutput,
    included: &[(&Item, &TxOutput)],
    destructions: usize,
) {
    let mut expected = U512::ZERO;
    let mut found = U512::ZERO;
    for diff in &output.account_diffs {
        expected += U512::from(world.record(&diff.address).balance);
        found += U512::from(diff.balance);
    }
    for (item, result) in included {
        let deposit = match item {
            Item::Decoded(tx, _) => match tx.as_ref() {
                ZkTxEnvelope::L1(tx) => tx.to_mint,
                ZkTxEnvelope::Upgrade(tx) => tx.to_mint,
                ZkTxEnvelope::Ethereum(_) => U256::ZERO,
            },
            Item::Encoded(EncodedTx::Rlp(..)) => U256::ZERO,
            Item::Encoded(EncodedTx::Abi(bytes)) => {
                CanonicalTransaction::abi_decode(bytes).expect("it was included").reserved[0]
            }
        };
        expected += U512::from(deposit);
        for log in &result.l2_to_l1_logs {
            if log.log.sender == L1_MESSENGER_ADDRESS
                && log.log.key == BASE_TOKEN_ADDRESS.into_word()
            {
                // Selector, receiver, amount. The hook itself speaks, unless L1 sends in its name.
                let message = log.preimage.as_deref().unwrap_or_default();
                let Some(amount) = message.get(24..56) else { return };
                if sends_as_base_token(item) {
                    return;
                }
                found += U512::from(U256::from_be_slice(amount));
            }
        }
    }
    if destructions == 0 {
        assert_eq!(found, expected, "value was made or lost");
    } else {
        assert!(found <= expected, "value was made");
    }
}

fn sends_as_base_token(item: &Item) -> bool {
    match item {
        Item::Decoded(_, sender) => *sender == BASE_TOKEN_ADDRESS,
        Item::Encoded(EncodedTx::Rlp(_, sender)) => *sender == BASE_TOKEN_ADDRESS,
        Item::Encoded(EncodedTx::Abi(bytes)) => CanonicalTransaction::abi_decode(bytes)
            .is_ok_and(|tx| tx.from == U256::from_be_bytes(BASE_TOKEN_ADDRESS.into_word().0)),
    }
}
