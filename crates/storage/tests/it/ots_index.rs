//! The index of addresses against a plain set.

use crate::{
    damage::files,
    helpers::{chain, commit, copy_dir, open, spec, spec_of, tempdir},
};
use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256};
use std::collections::BTreeSet;
use zkos_storage::{
    ContractCreation, OTS_INDEX_DATABASE, OtsIndex, OtsIndexBlock, OtsPage, StorageError,
    StorageOptions, StorageStats, TxPlace, rebuild, restore,
};
use zkos_storage_api::ProviderError;

/// Blocks of the chain, which touch 24 addresses: many entries for the first ones, few for the last ones.
const BLOCKS: u64 = 3_000;

fn address(n: u64) -> Address {
    Address::left_padding_from(&(0xa000 + n).to_be_bytes())
}

fn num_hash(number: u64) -> BlockNumHash {
    BlockNumHash::new(number, B256::left_padding_from(&number.to_be_bytes()))
}

/// Address n is in every (n² + 1)-th block, with up to 15 transactions there.
fn block(number: u64) -> OtsIndexBlock {
    let touched = (0..24)
        .filter(|n| number.is_multiple_of(n * n + 1))
        .flat_map(|n| (0..1 + (number + n) % 15).map(move |index| (address(n), index as u32)))
        .collect();
    OtsIndexBlock { block: num_hash(number), touched, created: Vec::new() }
}

type Model = BTreeSet<(Address, TxPlace)>;

fn model() -> Model {
    let blocks = (1..=BLOCKS).map(block);
    blocks
        .flat_map(|block| {
            let number = block.block.number;
            block
                .touched
                .into_iter()
                .map(move |(address, index)| (address, TxPlace { block: number, index }))
        })
        .collect()
}

/// What a page must hold, taken from all places in the direction of the search.
fn expected(places: impl Iterator<Item = TxPlace>, limit: usize) -> OtsPage {
    let mut page = OtsPage::default();
    for place in places {
        let full = page.places.len() >= limit;
        if full && page.places.last().map(|last| last.block) != Some(place.block) {
            page.more = true;
            break;
        }
        page.places.push(place);
    }
    page
}

fn of(model: &Model, wanted: Address) -> Vec<TxPlace> {
    model.iter().filter(|(address, _)| *address == wanted).map(|(_, place)| *place).collect()
}

#[test]
fn pages_in_both_directions_are_those_of_a_set() {
    let dir = tempdir();
    let index = OtsIndex::open(dir.path(), &spec(), &StorageOptions::small()).unwrap();
    for first in (1..=BLOCKS).step_by(100) {
        index.append(&(first..first + 100).map(block).collect::<Vec<_>>()).unwrap();
    }
    let model = model();
    assert!(model.len() > 40_000, "{} entries fit into memory", model.len());
    let check = |index: &OtsIndex| {
        // Between the touched addresses lie others that were not touched.
        for wanted in (0..26).map(address).chain([Address::ZERO, Address::repeat_byte(0xff)]) {
            let places = of(&model, wanted);
            for block in [0, 1, 2, 7, 99, 100, 101, 1_234, BLOCKS, BLOCKS + 1, u64::MAX] {
                for limit in [1, 2, 25, 1_000] {
                    let before = places.iter().rev().filter(|place| place.block < block).copied();
                    assert_eq!(
                        index.before(wanted, block, limit).unwrap(),
                        expected(before, limit)
                    );
                    let after = places.iter().filter(|place| place.block > block).copied();
                    assert_eq!(index.after(wanted, block, limit).unwrap(), expected(after, limit));
                }
            }
        }
    };
    check(&index);
    drop(index);
    // From tables and journals.
    let index = OtsIndex::open(dir.path(), &spec(), &StorageOptions::small()).unwrap();
    assert_eq!(index.head(), num_hash(BLOCKS));
    check(&index);
}

#[test]
fn paging_through_meets_every_entry_once() {
    let dir = tempdir();
    let index = OtsIndex::open(dir.path(), &spec(), &StorageOptions::small()).unwrap();
    index.append(&(1..=200).map(block).collect::<Vec<_>>()).unwrap();
    let all = index.after(address(1), 0, usize::MAX).unwrap();
    assert!(!all.more && all.places.len() > 500);
    let (mut down, mut up) = (Vec::new(), Vec::new());
    let mut before = u64::MAX;
    loop {
        let page = index.before(address(1), before, 25).unwrap();
        before = page.places.last().unwrap().block;
        down.extend(page.places);
        if !page.more {
            break;
        }
    }
    let mut after = 0;
    loop {
        let page = index.after(address(1), after, 25).unwrap();
        after = page.places.last().unwrap().block;
        up.extend(page.places);
        if !page.more {
            break;
        }
    }
    down.reverse();
    assert_eq!(down, all.places);
    assert_eq!(up, all.places);
}

/// Flipped bytes in every file: an error that names the index, a shorter index that is filled again, or the right places. Never others.
#[test]
fn flips_in_every_file_are_noticed_or_harmless() {
    let full = tempdir();
    let open_index =
        |path: &std::path::Path| OtsIndex::open(path, &spec(), &StorageOptions::small());
    // Tables from the first run, journals from the second one.
    for first in [1, 201] {
        let index = open_index(full.path()).unwrap();
        index.append(&(first..first + 200).map(block).collect::<Vec<_>>()).unwrap();
    }
    let read = |index: &OtsIndex| {
        (0..24).map(|n| index.after(address(n), 0, usize::MAX)).collect::<Result<Vec<_>, _>>()
    };
    let expected = read(&open_index(full.path()).unwrap()).unwrap();
    let mut noticed = 0;
    for file in files(&full.path().join(OTS_INDEX_DATABASE)) {
        let (good, name) = (std::fs::read(&file).unwrap(), file.file_name().unwrap());
        for position in [0, good.len() / 3, good.len() * 2 / 3, good.len().saturating_sub(1)] {
            if good.is_empty() {
                continue;
            }
            let dir = tempdir();
            copy_dir(full.path(), dir.path());
            let mut damaged = good.clone();
            damaged[position] ^= 0x04;
            std::fs::write(dir.path().join(OTS_INDEX_DATABASE).join(name), damaged).unwrap();
            let refilled = open_index(dir.path()).and_then(|index| {
                let head = index.head().number;
                assert!(head <= 400);
                noticed += usize::from(head < 400);
                index.append(&(head + 1..=400).map(block).collect::<Vec<_>>())?;
                Ok(read(&index)?)
            });
            match refilled {
                Ok(found) => assert_eq!(found, expected, "{name:?}: {position}"),
                Err(error) => {
                    noticed += 1;
                    let error = error.to_string();
                    assert!(error.contains(OTS_INDEX_DATABASE), "{name:?}: {position}: {error}");
                }
            }
        }
    }
    assert!(noticed > 4, "{noticed} flips were noticed");
}

#[test]
fn blocks_follow_each_other_and_the_last_creation_counts() {
    let dir = tempdir();
    let index = OtsIndex::open(dir.path(), &spec(), &StorageOptions::small()).unwrap();
    assert_eq!(index.head().number, 0);
    assert_eq!(index.head().hash, spec().genesis_state().block_hash);
    let creation = |number: u64, n: u32| ContractCreation {
        contract: address(7),
        creator: address(u64::from(n)),
        tx_hash: B256::repeat_byte(n as u8),
        place: TxPlace { block: number, index: n },
    };
    let mut created = block(1);
    created.created = vec![creation(1, 3), creation(1, 4)];
    let watched = index.watch_head();
    index.append(&[created]).unwrap();
    assert_eq!(*watched.borrow(), num_hash(1));
    assert_eq!(index.creator(address(7)).unwrap(), Some(creation(1, 4)));
    assert_eq!(index.creator(address(8)).unwrap(), None);

    index.append(&[]).unwrap();
    for number in [0, 1, 3] {
        match index.append(&[block(number)]) {
            Err(ProviderError::OutOfOrder { number: given, expected: 2 }) => {
                assert_eq!(given, number);
            }
            other => panic!("{other:?}"),
        }
    }
    // A run with a gap is not written at all.
    assert!(index.append(&[block(2), block(4)]).is_err());
    assert_eq!(index.head(), num_hash(1));
    assert!(index.after(address(0), 1, 1).unwrap().places.is_empty());
}

#[test]
fn an_index_of_another_chain_is_refused() {
    let dir = tempdir();
    drop(OtsIndex::open(dir.path(), &spec(), &StorageOptions::small()).unwrap());
    let other = spec_of(271, "0x6001");
    assert!(matches!(
        OtsIndex::open(dir.path(), &other, &StorageOptions::small()),
        Err(StorageError::ForeignChain { database: OTS_INDEX_DATABASE, .. })
    ));
}

#[test]
fn beside_the_other_databases() {
    let dir = tempdir();
    let (provider, _) = open(dir.path());
    commit(&provider, &chain(&spec(), 2));
    assert!(!dir.path().join(OTS_INDEX_DATABASE).exists(), "costs nothing when nobody asks");
    let index = provider.open_ots_index().unwrap();
    index.append(&[block(1), block(2)]).unwrap();
    let error = provider.open_ots_index().unwrap_err().to_string();
    assert!(error.contains("rebuild-index"), "{error}");
    let stats = StorageStats::read(dir.path()).unwrap();
    assert!(stats.databases.iter().any(|database| database.name == OTS_INDEX_DATABASE));
    drop(index);
    let copies = tempdir();
    let copy = copies.path().join("copy");
    let manifest = provider.checkpoint(&copy, &mut |_| {}).unwrap();
    assert!(manifest.files.iter().all(|file| !file.path.starts_with(OTS_INDEX_DATABASE)));
    provider.shutdown().unwrap();
    drop(provider);

    // It might know blocks that a restored log does not have.
    assert!(dir.path().join(OTS_INDEX_DATABASE).exists());
    restore(&copy, dir.path(), true, &mut |_| {}).unwrap();
    assert!(!dir.path().join(OTS_INDEX_DATABASE).exists());
    let (provider, _) = open(dir.path());
    provider.open_ots_index().unwrap();
    provider.shutdown().unwrap();
    drop(provider);
    assert_eq!(rebuild(dir.path(), &[OTS_INDEX_DATABASE]).unwrap(), 2);
    assert!(!dir.path().join(OTS_INDEX_DATABASE).exists());
    let (provider, _) = open(dir.path());
    assert_eq!(provider.open_ots_index().unwrap().head().number, 0);
}
