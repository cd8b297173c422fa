use super::*;
use crate::{db::DbEnv, options::StorageOptions};
use zkos_primitives::{Genesis, ZkChainSpec, flat_storage_key};
use zkos_storage_api::test_utils::{ChainBuilder, TestBlock};

fn store(dir: &Path, spec: &ZkChainSpec) -> StateStore {
    let options = StorageOptions::small();
    let marker = ChainMarker { chain_id: 270, genesis: B256::ZERO };
    StateStore::open(&DbEnv::new(&options), dir, &marker, spec.genesis_state(), &options).unwrap()
}

fn spec() -> ZkChainSpec {
    let genesis = Genesis::from_json(r#"{"initial_contracts":[]}"#).unwrap();
    ZkChainSpec::new(270, genesis).unwrap()
}

fn word(n: u8) -> B256 {
    B256::with_last_byte(n)
}

/// Every source of a value gives the same answer: overlay, cache, latest on disk, history on disk.
#[test]
fn sources_agree() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec();
    let state = store(dir.path(), &spec);
    let mut chain = ChainBuilder::new(&spec);
    let account = alloy_primitives::Address::repeat_byte(1);
    let key = flat_storage_key(account, word(0));
    let blocks: Vec<_> = (1..=3)
        .map(|n| {
            chain.next_block(TestBlock {
                storage: vec![(account, word(0), word(n))],
                ..Default::default()
            })
        })
        .collect();
    let check = |state: &StateStore, tip: u64| {
        for number in 0..=tip {
            let expected = (number > 0).then(|| word(number as u8));
            assert_eq!(state.read(key, number).unwrap(), expected, "block {number} of {tip}");
        }
    };
    state.insert(&blocks[0]);
    state.insert(&blocks[1]);
    check(&state, 2);
    state.flush(&blocks[..2]).unwrap();
    assert_eq!(state.overlay.slot(&key, 2), None);
    assert_eq!(state.slots.get(&key), Some(CachedSlot { since: 2, value: Some(word(2)) }));
    check(&state, 2);
    state.insert(&blocks[2]);
    check(&state, 3);
    state.flush(&blocks[2..]).unwrap();
    check(&state, 3);
    drop(state);

    let state = store(dir.path(), &spec);
    assert_eq!(state.head(), 3);
    assert_eq!(state.slots.get(&key), None);
    check(&state, 3);
    assert_eq!(state.slots.get(&key), Some(CachedSlot { since: 3, value: Some(word(3)) }));
    // Absence is cached too.
    let absent = flat_storage_key(account, word(9));
    assert_eq!(state.read(absent, 3).unwrap(), None);
    assert_eq!(state.slots.get(&absent), Some(CachedSlot { since: 3, value: None }));
    // Not below the block since which it holds.
    assert_eq!(state.read(absent, 2).unwrap(), None);
}

#[test]
fn damaged_values_are_errors_that_name_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec();
    let state = store(dir.path(), &spec);
    let key = B256::repeat_byte(7);
    let mut batch = WriteBatch::default();
    batch.put_cf(state.values.column(STORAGE).unwrap(), key, [1, 2, 3]);
    batch.put_cf(state.values.column(DATA).unwrap(), history_key(&key, 0), [9; 33]);
    state.values.write(batch, false).unwrap();
    let error = state.read(key, 0).unwrap_err().to_string();
    assert!(error.contains("state") && error.contains(&"07".repeat(32)), "{error}");
    state.flushing_to.store(1, Ordering::SeqCst);
    let error = state.read(key, 0).unwrap_err().to_string();
    assert!(error.contains("version 9"), "{error}");

    let mut batch = WriteBatch::default();
    batch.put_cf(state.preimages.column(STORAGE).unwrap(), key, versioned(&[0; 5]));
    state.preimages.write(batch, false).unwrap();
    assert!(state.account(key).unwrap_err().to_string().contains("124"));
}
