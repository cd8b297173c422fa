//! A deterministic chain, and gates in the way of the writes.

use alloy_primitives::{Address, B256, U256};
use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};
use zkos_primitives::{AccountProperties, Genesis, ZkChainSpec};
use zkos_storage::{
    BlockchainProvider, Storage, StorageOptions, WAL_DATABASE, WriteHook, WriteStep,
};
use zkos_storage_api::{
    BlockWriter, ExecutedBlock, StorageHeads,
    test_utils::{ChainBuilder, TestBlock, test_transfer},
};

pub(crate) const CONTRACT: Address = Address::repeat_byte(0xc0);

pub(crate) fn spec() -> ZkChainSpec {
    spec_of(270, "0x6001")
}

pub(crate) fn spec_of(chain_id: u64, code: &str) -> ZkChainSpec {
    let json = format!(
        r#"{{"initial_contracts":[["{CONTRACT}","{code}"]],"additional_storage_raw":[["{}","{}"]]}}"#,
        B256::repeat_byte(0x77),
        B256::repeat_byte(0x78)
    );
    ZkChainSpec::new(chain_id, Genesis::from_json(&json).unwrap()).unwrap()
}

pub(crate) fn sender(n: u64) -> Address {
    Address::left_padding_from(&(0x1000 + n % 3).to_be_bytes())
}

pub(crate) fn slot(n: u64) -> B256 {
    B256::from(U256::from(n))
}

/// A directory in memory where the system has one: opening and closing databases is mostly waiting for syncs, which these tests don't measure.
pub(crate) fn tempdir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Blocks 1..=count: each sends from one of three senders, writes a slot that every block writes and one of its own, and publishes a bytecode.
pub(crate) fn chain(spec: &ZkChainSpec, count: u64) -> Vec<ExecutedBlock> {
    let mut builder = ChainBuilder::new(spec);
    (1..=count).map(|number| builder.next_block(contents(number))).collect()
}

pub(crate) fn contents(number: u64) -> TestBlock {
    TestBlock {
        transactions: vec![test_transfer(sender(number), number)],
        storage: vec![
            (CONTRACT, slot(0), slot(number)),
            (CONTRACT, slot(number), slot(number * 7)),
        ],
        accounts: vec![(
            sender(number),
            AccountProperties::new_eoa(number + 1, U256::from(number)),
        )],
        bytecodes: vec![number.to_be_bytes().repeat(5)],
        force_preimages: vec![number.to_be_bytes().repeat(3)],
        ..Default::default()
    }
}

pub(crate) fn open(path: &Path) -> (BlockchainProvider, StorageHeads) {
    Storage::open(path, &spec(), StorageOptions::small()).unwrap()
}

/// Appends blocks, waits until they are durable and makes them canonical.
pub(crate) fn commit(provider: &BlockchainProvider, blocks: &[ExecutedBlock]) {
    for block in blocks {
        provider.append(block.clone()).unwrap();
        wait_durable(provider, block.number());
        provider.set_canonical_head(block.number()).unwrap();
    }
}

pub(crate) fn wait_durable(provider: &BlockchainProvider, number: u64) {
    wait_until("a block to become durable", || *provider.durable_block().borrow() >= number);
}

pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What happens to writes of the databases that a [`Gate`] guards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    Open,
    Wait,
    Fail(io::ErrorKind),
    /// The data is taken, the sync after it fails.
    FailSync(io::ErrorKind),
}

/// A write hook that tests steer.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    state: Arc<(Mutex<BTreeMap<&'static str, Pass>>, Condvar)>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { state: Arc::default() }
    }

    pub(crate) fn set(&self, database: &'static str, pass: Pass) {
        self.state.0.lock().unwrap().insert(database, pass);
        self.state.1.notify_all();
    }

    /// All derived databases at once.
    pub(crate) fn set_derived(&self, pass: Pass) {
        for database in ["preimages", "state", "repository"] {
            self.set(database, pass);
        }
    }

    pub(crate) fn hook(&self) -> WriteHook {
        let gate = self.clone();
        Arc::new(move |database, step| {
            let (passes, changed) = &*gate.state;
            let mut passes = passes.lock().unwrap();
            loop {
                match passes.get(database).copied().unwrap_or(Pass::Open) {
                    Pass::Open => return Ok(()),
                    Pass::FailSync(kind) if step == WriteStep::Synced => return Err(kind.into()),
                    Pass::FailSync(_) => return Ok(()),
                    Pass::Fail(kind) => return Err(kind.into()),
                    Pass::Wait => passes = changed.wait(passes).unwrap(),
                }
            }
        })
    }

    pub(crate) fn options(&self) -> StorageOptions {
        StorageOptions { write_hook: Some(self.hook()), ..StorageOptions::small() }
    }
}

/// Copies a data directory as it is on disk now, which is what a crash leaves.
pub(crate) fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub(crate) fn wal_files(path: &Path, extension: &str) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(path.join(WAL_DATABASE))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}
