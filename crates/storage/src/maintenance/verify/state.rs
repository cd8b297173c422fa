use super::{Counter, OnProgress, VerifyReport, estimate};
use crate::{
    PREIMAGES_DATABASE, STATE_DATABASE,
    codec::{decode_word, unversioned},
    db::Database,
    state::{DATA, STORAGE, split_history_key, stored_first, stored_head},
};
use alloy_primitives::{B256, Keccak256, hex};
use zkos_primitives::blake2s;
use zkos_storage_api::ProviderResult;

/// Last values of a flat key: at the head and at or before a chosen block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyHistory {
    pub(super) key: B256,
    pub(super) latest: B256,
    /// Value at the chosen block, if the key was written by then.
    pub(super) at: Option<B256>,
}

/// Calls `visit` for every key of column `data` with its values at the head and at block `at`. `entry` is called with every key and block.
pub(super) fn for_each_key(
    values: &Database,
    at: u64,
    mut entry: impl FnMut(&[u8], &[u8], u64),
    mut visit: impl FnMut(KeyHistory) -> ProviderResult<()>,
) -> ProviderResult<()> {
    let mut current: Option<KeyHistory> = None;
    values.for_each(DATA, |found, value| {
        let (key, block) =
            split_history_key(found).ok_or_else(|| values.corrupt(found, "key has no 40 bytes"))?;
        let word = decode_word(values, found, value)?;
        entry(found, value, block);
        let key = B256::from_slice(key);
        let before = current.take_if(|current| current.key != key);
        if let Some(before) = before {
            visit(before)?;
        }
        let now = current.get_or_insert(KeyHistory { key, latest: word, at: None });
        now.latest = word;
        if block <= at {
            now.at = Some(word);
        }
        Ok(())
    })?;
    current.map_or(Ok(()), visit)
}

/// Compares the latest values with the newest ones of the history.
pub(super) fn verify_values(
    values: &Database,
    report: &mut VerifyReport,
    tell: &mut OnProgress<'_>,
) {
    report.state_block = report.check(STATE_DATABASE, stored_head(values)).flatten();
    report.first_state_block =
        report.check(STATE_DATABASE, stored_first(values)).unwrap_or_default();
    let Some(head) = report.state_block else {
        report.problem(STATE_DATABASE, "it names no last block");
        return;
    };
    let mut progress = Counter::new("values", estimate(values, &[DATA]), tell);
    let (mut state, mut history) = (Keccak256::new(), Keccak256::new());
    let (mut keys, mut entries) = (0u64, 0u64);
    let mut problems = Vec::new();
    let mut above = None;
    let mut latest = match values.raw_iterator(STORAGE) {
        Ok(iterator) => iterator,
        Err(error) => {
            report.problem(STATE_DATABASE, super::text(error));
            return;
        }
    };
    latest.seek_to_first();
    let result = for_each_key(
        values,
        head,
        |key, value, block| {
            entries += 1;
            progress.step();
            history.update(key);
            history.update(value);
            if block > head && above.is_none() {
                above = Some(format!("key 0x{} lies above the head {head}", hex::encode(key)));
            }
        },
        |expected| {
            keys += 1;
            // Both columns are sorted by key.
            while let Some((key, value)) = latest.item()
                && key <= expected.key.as_slice()
            {
                state.update(key);
                state.update(value);
                let word = decode_word(values, key, value)?;
                if key != expected.key.as_slice() {
                    problems.push(format!("key 0x{} has no history", hex::encode(key)));
                } else if word != expected.latest {
                    problems.push(format!(
                        "key {} is {word}, its newest value is {}",
                        expected.key, expected.latest
                    ));
                }
                let found = key == expected.key.as_slice();
                latest.next();
                if found {
                    return Ok(());
                }
            }
            problems.push(format!("key {} has a history but no latest value", expected.key));
            Ok(())
        },
    );
    report.check(STATE_DATABASE, result);
    while let Some((key, value)) = latest.item() {
        state.update(key);
        state.update(value);
        problems.push(format!("key 0x{} has no history", hex::encode(key)));
        latest.next();
    }
    report.check(STATE_DATABASE, latest.status().map_err(|error| values.error(&error)));
    for what in above.into_iter().chain(problems) {
        report.problem(STATE_DATABASE, what);
    }
    report.counts.push(("state keys", keys));
    report.counts.push(("state values", entries));
    report.digests.state = Some(state.finalize());
    report.digests.history = Some(history.finalize());
}

/// Compares every preimage with its hash.
pub(super) fn verify_preimages(
    preimages: &Database,
    report: &mut VerifyReport,
    tell: &mut OnProgress<'_>,
) {
    report.preimages_block = report.check(PREIMAGES_DATABASE, stored_head(preimages)).flatten();
    if report.preimages_block.is_none() {
        report.problem(PREIMAGES_DATABASE, "it names no last block");
    }
    let mut progress = Counter::new("preimages", estimate(preimages, &[STORAGE]), tell);
    let mut digest = Keccak256::new();
    let mut count = 0;
    let mut problems = Vec::new();
    let result = preimages.for_each(STORAGE, |key, value| {
        count += 1;
        progress.step();
        digest.update(key);
        digest.update(value);
        let bytes = unversioned(preimages, key, value)?;
        if blake2s(bytes).as_slice() != key {
            problems.push(format!("key 0x{}: the preimage has another hash", hex::encode(key)));
        }
        Ok(())
    });
    report.check(PREIMAGES_DATABASE, result);
    for what in problems {
        report.problem(PREIMAGES_DATABASE, what);
    }
    report.counts.push(("preimages", count));
    report.digests.preimages = Some(digest.finalize());
}
