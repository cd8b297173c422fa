//! Flipped bytes and cut files of every kind: an error that names the database, or the right data. Never other data.

use crate::helpers::*;
use std::{
    fs,
    path::{Path, PathBuf},
};
use zkos_storage::{
    HEIGHT_FILE, Storage, StorageError, StorageOptions, TREE_DATABASE, WAL_DATABASE, verify,
};
use zkos_storage_api::{
    BlockReader, BlockWriter, ExecutedBlock, ProviderError, ProviderResult, ReceiptProvider,
    ReplayRecordReader, StateProviderFactory,
};

/// A directory with tables (from the first run) and journals (from the second one) in every database.
fn filled(path: &Path) -> Vec<ExecutedBlock> {
    let blocks = chain(&spec(), 24);
    let (provider, _) = open(path);
    commit(&provider, &blocks[..16]);
    provider.shutdown().unwrap();
    drop(provider);
    let (provider, _) = open(path);
    commit(&provider, &blocks[16..]);
    provider.shutdown().unwrap();
    blocks
}

/// Files with data.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // The engine's lock, its own log for humans.
        name != "LOCK" && !name.starts_with("LOG") && path.is_file()
    });
    files.sort();
    files
}

/// What became of a damaged directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// An error named the database.
    Refused,
    /// A derived database came back shorter, to be refilled.
    Shorter,
    /// Everything is as it was.
    Unharmed,
}

/// Opens the directory and reads everything. Panics when anything is read that was never written.
fn outcome(path: &Path, database: &str, blocks: &[ExecutedBlock]) -> Outcome {
    let named = |message: String| {
        assert!(message.contains(database), "the error does not name {database}: {message}");
        Outcome::Refused
    };
    let (provider, heads) = match Storage::open(path, &spec(), StorageOptions::small()) {
        Ok(opened) => opened,
        Err(StorageError::LogCut { found, durable, .. }) => {
            assert_eq!((database, durable), (WAL_DATABASE, 24));
            assert!(found < 24);
            return Outcome::Refused;
        }
        Err(error) => return named(error.to_string()),
    };
    assert_eq!(heads.wal, 24, "the log was cut without an error");
    let tip = heads.wal.min(heads.state).min(heads.repository);
    match read_all(&provider, blocks, tip) {
        Err(error) => named(error.to_string()),
        Ok(()) if tip == 24 => Outcome::Unharmed,
        Ok(()) => {
            // What is missing comes again.
            let refill = blocks[tip as usize..]
                .iter()
                .try_for_each(|block| provider.append(block.clone()))
                .and_then(|()| provider.flush())
                .and_then(|()| provider.set_canonical_head(24))
                .and_then(|()| read_all(&provider, blocks, 24));
            match refill {
                Ok(()) => Outcome::Shorter,
                Err(error) => named(error.to_string()),
            }
        }
    }
}

fn read_all(
    provider: &zkos_storage::BlockchainProvider,
    blocks: &[ExecutedBlock],
    tip: u64,
) -> ProviderResult<()> {
    for block in blocks {
        let number = block.number();
        let record = provider.replay_record(number)?.expect("a durable record is missing");
        assert_eq!(record, block.record);
        if number > tip {
            continue;
        }
        let found = provider.recovered_block(number.into())?.expect("a block is missing");
        assert_eq!(found.hash(), block.hash());
        assert_eq!(found.body().transactions, block.block.body().transactions);
        let receipts = provider.receipts_by_block(number.into())?.expect("receipts are missing");
        assert_eq!(receipts, block.receipts);
        let state = provider.history_by_block_number(number)?;
        assert_eq!(state.storage(CONTRACT, slot(0))?, slot(number));
        assert_eq!(state.storage(CONTRACT, slot(number))?, slot(number * 7));
        assert_eq!(state.nonce(sender(number))?, number + 1);
        for (hash, bytes) in &block.output.published_preimages {
            let found = state.preimage(*hash)?.ok_or_else(|| ProviderError::Corrupt {
                database: "preimages",
                key: hash.to_string(),
                reason: "missing".to_owned(),
            })?;
            assert_eq!(found.as_ref(), bytes.as_slice());
        }
    }
    Ok(())
}

#[test]
fn flips_in_every_file_are_noticed_or_harmless() {
    let full = tempdir();
    let blocks = filled(full.path());
    for database in [WAL_DATABASE, "state", "preimages", "repository"] {
        let mut kinds = std::collections::BTreeMap::<String, Vec<Outcome>>::new();
        for file in files(&full.path().join(database)) {
            let good = fs::read(&file).unwrap();
            if good.is_empty() {
                continue;
            }
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            let kind = name.split(['-', '.']).next_back().unwrap_or(&name).to_owned();
            let kind = if name.starts_with("MANIFEST") { "MANIFEST".to_owned() } else { kind };
            for position in [0, good.len() / 3, good.len() * 2 / 3, good.len() - 1] {
                let dir = tempdir();
                copy_dir(full.path(), dir.path());
                let mut damaged = good.clone();
                damaged[position] ^= 0x04;
                fs::write(dir.path().join(database).join(&name), damaged).unwrap();
                let outcome = outcome(dir.path(), database, &blocks);
                kinds.entry(kind.clone()).or_default().push(outcome);
            }
        }
        // Each kind of file that holds data: at least one of the flips was noticed.
        for kind in ["sst", "log", "MANIFEST", "CURRENT"] {
            let outcomes = &kinds[kind];
            assert!(
                outcomes.iter().any(|outcome| *outcome != Outcome::Unharmed),
                "{database}, {kind}: {outcomes:?}"
            );
        }
    }
}

#[test]
fn flips_in_the_small_files_are_noticed_or_harmless() {
    let full = tempdir();
    let blocks = filled(full.path());
    // A height that is not whole does not count, a tree of another chain is not opened.
    let marker = format!("{TREE_DATABASE}/chain");
    for (name, expected) in [(HEIGHT_FILE, Outcome::Unharmed), (&marker, Outcome::Refused)] {
        let good = fs::read(full.path().join(name)).unwrap();
        for position in (0..good.len()).step_by(3).chain([good.len() - 1]) {
            let dir = tempdir();
            copy_dir(full.path(), dir.path());
            let mut damaged = good.clone();
            damaged[position] ^= 0x10;
            fs::write(dir.path().join(name), damaged).unwrap();
            assert_eq!(outcome(dir.path(), TREE_DATABASE, &blocks), expected, "{name}: {position}");
        }
        for len in 0..good.len() {
            let dir = tempdir();
            copy_dir(full.path(), dir.path());
            fs::write(dir.path().join(name), &good[..len]).unwrap();
            let outcome = outcome(dir.path(), TREE_DATABASE, &blocks);
            assert_eq!(outcome, expected, "{name} cut to {len}");
        }
    }
}

#[test]
fn flips_in_the_journal_of_the_log_are_named_by_file_and_offset() {
    let full = tempdir();
    filled(full.path());
    let journal = wal_files(full.path(), "log").pop().unwrap();
    let good = fs::read(&journal).unwrap();
    let name = journal.file_name().unwrap();
    for position in (0..good.len()).step_by(good.len() / 40 + 1) {
        let dir = tempdir();
        copy_dir(full.path(), dir.path());
        let damaged_file = dir.path().join(WAL_DATABASE).join(name);
        let mut damaged = good.clone();
        damaged[position] ^= 0x80;
        fs::write(&damaged_file, &damaged).unwrap();
        let message = Storage::open(dir.path(), &spec(), StorageOptions::small())
            .map(|_| ())
            .unwrap_err()
            .to_string();
        let place = damaged_file.display().to_string();
        assert!(message.contains("offset ") && message.contains(&place), "{position}: {message}");
        // The refusal has changed nothing: the bytes can still be repaired.
        assert_eq!(fs::read(&damaged_file).unwrap(), damaged);
        fs::write(&damaged_file, &good).unwrap();
        assert_eq!(open(dir.path()).1.wal, 24);
    }
}

#[test]
fn a_torn_tail_is_no_damage_but_a_lost_durable_block_is() {
    let dir = tempdir();
    let blocks = chain(&spec(), 12);
    let gate = Gate::new();
    let (provider, _) = Storage::open(dir.path(), &spec(), gate.options()).unwrap();
    let journal_len = || {
        let journal = wal_files(dir.path(), "log").pop().unwrap();
        (fs::metadata(&journal).unwrap().len(), journal)
    };
    commit(&provider, &blocks[..8]);
    provider.flush().unwrap();
    let (before, _) = journal_len();
    // The disk takes block 9 and fails to sync: it was never called durable.
    gate.set(WAL_DATABASE, Pass::FailSync(std::io::ErrorKind::Other));
    provider.append(blocks[8].clone()).unwrap();
    wait_until("the writer to stop", || provider.append(blocks[9].clone()).is_err());
    assert_eq!(*provider.durable_block().borrow(), 8);
    let (after, journal) = journal_len();
    assert!(after > before);
    provider.abandon();
    drop(provider);

    let bytes = fs::read(&journal).unwrap();
    let name = journal.file_name().unwrap();
    let step = (after - before) as usize / 16 + 1;
    for len in (before as usize..=after as usize).step_by(step) {
        let torn = tempdir();
        copy_dir(dir.path(), torn.path());
        fs::write(torn.path().join(WAL_DATABASE).join(name), &bytes[..len]).unwrap();
        let (provider, heads) = open(torn.path());
        assert!(heads.wal == 8 || heads.wal == 9, "{}", heads.wal);
        commit(&provider, &blocks[heads.state.min(heads.repository) as usize..]);
        drop(provider);
        let report = verify(torn.path(), &mut |_| {}).unwrap();
        assert!(report.is_sound(), "{:#?}", report.problems);
    }
    for len in [before as usize - 1, before as usize / 2, 1, 0] {
        let torn = tempdir();
        copy_dir(dir.path(), torn.path());
        fs::write(torn.path().join(WAL_DATABASE).join(name), &bytes[..len]).unwrap();
        match Storage::open(torn.path(), &spec(), StorageOptions::small()) {
            Err(error @ StorageError::LogCut { durable: 8, .. }) => {
                assert!(error.to_string().contains(HEIGHT_FILE), "{error}");
            }
            other => panic!("a cut log was opened, {len} bytes: {other:?}"),
        }
        // The operator may decide to go on without.
        fs::remove_file(torn.path().join(HEIGHT_FILE)).unwrap();
        for derived in ["state", "preimages", "repository"] {
            fs::remove_dir_all(torn.path().join(derived)).unwrap();
        }
        assert!(open(torn.path()).1.wal < 8);
    }
}

#[test]
fn a_database_without_its_current_file_is_not_begun_anew() {
    let dir = tempdir();
    filled(dir.path());
    for database in [WAL_DATABASE, "state"] {
        let current = dir.path().join(database).join("CURRENT");
        let content = fs::read(&current).unwrap();
        fs::remove_file(&current).unwrap();
        match Storage::open(dir.path(), &spec(), StorageOptions::small()) {
            Err(error @ StorageError::Incomplete { .. }) => {
                assert!(error.to_string().contains(database), "{error}");
            }
            other => panic!("{database}: {other:?}"),
        }
        fs::write(&current, content).unwrap();
    }
    assert_eq!(open(dir.path()).1.wal, 24);
}

#[test]
fn verify_finds_flips_in_tables() {
    let full = tempdir();
    filled(full.path());
    assert!(verify(full.path(), &mut |_| {}).unwrap().is_sound());
    for database in [WAL_DATABASE, "state", "preimages", "repository"] {
        let mut found = 0;
        for file in files(&full.path().join(database)) {
            if file.extension().is_none_or(|extension| extension != "sst") {
                continue;
            }
            let dir = tempdir();
            copy_dir(full.path(), dir.path());
            let mut bytes = fs::read(&file).unwrap();
            bytes[10] ^= 1;
            let target = dir.path().join(database).join(file.file_name().unwrap());
            fs::write(&target, bytes).unwrap();
            let report = verify(dir.path(), &mut |_| {}).unwrap();
            let named = file.file_name().unwrap().to_string_lossy().into_owned();
            found += usize::from(
                report
                    .problems
                    .iter()
                    .any(|problem| problem.database == database && problem.what.contains(&named)),
            );
        }
        assert!(found > 0, "{database}: no flip was found and named");
    }
}
