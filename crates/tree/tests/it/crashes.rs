//! Machines that stop, disks that refuse or lie.

use crate::{WHOLE, naive::NaiveTree};
use alloy_primitives::B256;
use std::sync::Arc;
use zkos_tree::{
    CrashStore, Damage, DamageCause, FsStore, MerkleTree, Opened, Survival, TreeError, TreeOptions,
    TreeOutput,
};

type Tree = MerkleTree<Arc<CrashStore>>;
type Entries = Vec<(B256, B256)>;

/// Checkpoints after every few versions, and room for a few pages only.
const SMALL: TreeOptions = TreeOptions {
    cache_bytes: 8 << 10,
    checkpoint_log_bytes: 6 << 10,
    background_checkpoints: false,
};

/// The same with checkpoints in the background. What happens between what is up to the machine.
const BACKGROUND: TreeOptions = TreeOptions { background_checkpoints: true, ..SMALL };

fn word(number: u64) -> B256 {
    crate::blake2s(number.to_le_bytes())
}

/// Thirty writes, four of them to keys that other versions write as well; the last version is small,
/// so that it leaves most pages as they are.
fn entries(version: u64) -> Entries {
    (0..if version == LAST { 2 } else { 30 })
        .map(|n| {
            let key = if n < 4 { (version * 5 + n * 3) % 17 } else { 1000 + version * 100 + n };
            (word(key), word(version * 31 + n))
        })
        .collect()
}

/// What happens to the trees of these tests.
#[derive(Clone, Copy, Debug)]
enum Step {
    Extend(u64),
    /// Three versions in one update.
    Burst(u64),
    Truncate(u64),
    RetainFrom(u64),
    Checkpoint,
}

const HISTORY: &[Step] = &[
    Step::Extend(0),
    Step::Extend(1),
    Step::Burst(2),
    Step::Extend(5),
    Step::Extend(6),
    Step::Checkpoint,
    Step::Extend(7),
    Step::Truncate(6),
    Step::Extend(7),
    Step::RetainFrom(4),
    Step::Burst(8),
    Step::Extend(11),
    Step::Truncate(5),
    Step::Extend(6),
    Step::Burst(7),
    Step::Checkpoint,
    Step::RetainFrom(8),
    Step::Extend(10),
];
const LAST: u64 = 10;

fn run(tree: &mut Tree, step: Step) -> Result<(), TreeError> {
    match step {
        Step::Extend(version) => tree.extend(version, &entries(version)).map(drop),
        Step::Burst(first) => {
            let versions: Vec<Entries> = (first..first + 3).map(entries).collect();
            tree.extend_batch(first, &versions).map(drop)
        }
        Step::Truncate(version) => tree.truncate(version).map(drop),
        Step::RetainFrom(version) => tree.retain_from(version),
        Step::Checkpoint => tree.checkpoint(),
    }
}

fn open(store: &Arc<CrashStore>) -> Result<Tree, TreeError> {
    MerkleTree::open_with(store.clone(), SMALL)
}

/// Output of every version, by the naive tree. The entries of a version are always the same, so
/// truncations do not matter.
fn outputs() -> Vec<TreeOutput> {
    let mut model = NaiveTree::new();
    (0..=12)
        .map(|version| {
            model.extend(&entries(version));
            model.output()
        })
        .collect()
}

/// Everything that the tree has is right, and the rest can be added.
fn check(mut tree: Tree, outputs: &[TreeOutput], what: &dyn std::fmt::Debug) {
    if let Some(latest) = tree.latest_version() {
        assert_eq!(tree.latest(), Some(outputs[latest as usize]), "{what:?}");
        tree.verify().unwrap_or_else(|error| panic!("{what:?}: {error}"));
        for version in tree.oldest_version().expect("there is a latest")..=latest {
            let view = tree.view(version).unwrap_or_else(|error| panic!("{what:?}: {error}"));
            assert_eq!(view.output(), outputs[version as usize], "{what:?}");
        }
    }
    let next = tree.latest_version().map_or(0, |latest| latest + 1);
    for version in next..=LAST {
        tree.extend(version, &entries(version)).unwrap_or_else(|error| panic!("{what:?}: {error}"));
    }
    let latest = tree.latest_version().expect("just added");
    assert_eq!(tree.latest(), Some(outputs[latest as usize]), "{what:?}");
}

fn history() -> Arc<CrashStore> {
    let store = Arc::new(CrashStore::new());
    let mut tree = open(&store).expect("an empty store opens");
    for step in HISTORY {
        run(&mut tree, *step).expect("valid step");
    }
    store
}

#[test]
fn a_small_cache_changes_nothing() {
    let outputs = outputs();
    let store = Arc::new(CrashStore::new());
    let mut tree = open(&store).expect("an empty store opens");
    for step in HISTORY {
        run(&mut tree, *step).expect("valid step");
        let latest = tree.latest_version().expect("genesis is first");
        assert_eq!(tree.latest(), Some(outputs[latest as usize]), "{step:?}");
        check(open(&Arc::new(store.fork())).expect(WHOLE), &outputs, step);
    }
    assert!(tree.usage().cached_pages_bytes <= 32 << 10, "{:?}", tree.usage());
    check(tree, &outputs, &"end");
}

/// After a stop at any operation the tree holds a version that it had, whole, and goes on.
#[test]
fn stops_between_any_two_operations() {
    stop_everywhere(SMALL);
}

#[test]
fn stops_while_a_checkpoint_is_under_way() {
    for _ in 0..3 {
        stop_everywhere(BACKGROUND);
    }
}

fn stop_everywhere(options: TreeOptions) {
    let outputs = outputs();
    let total = history().operations();
    assert!(total > 80, "{total} operations are too few to be a test");
    for stop in 1..=total {
        let store = Arc::new(CrashStore::new());
        store.stop_at(stop);
        let (mut before, mut at) = (None, None);
        if let Ok(mut tree) = MerkleTree::open_with(store.clone(), options) {
            for step in HISTORY {
                before = tree.latest_version();
                at = Some(*step);
                if run(&mut tree, *step).is_err() {
                    break;
                }
                before = tree.latest_version();
            }
        }
        // How many operations there are in all depends on when checkpoints end.
        assert!(store.stopped() || options.background_checkpoints, "operation {stop} of {total}");
        let survivals = [Survival::All, Survival::Nothing]
            .into_iter()
            .chain((0..4).map(|seed| Survival::Some(stop * 100 + seed)));
        for survival in survivals {
            let what = (stop, at, survival);
            let tree = open(&Arc::new(store.restart(survival)))
                .unwrap_or_else(|error| panic!("{what:?}: {error}"));
            if survival == Survival::All {
                // What was finished stays when only the process ends.
                let latest = tree.latest_version();
                let finished = match at {
                    Some(Step::Truncate(to)) => before == latest || latest == Some(to),
                    _ => latest >= before,
                };
                assert!(finished, "{what:?}: {latest:?} after {before:?}");
            }
            check(tree, &outputs, &what);
        }
    }
}

/// Opens a store after somebody changed a file: the tree is right, as far as it goes, or says where
/// the damage is and begins anew.
fn open_damaged(store: CrashStore, outputs: &[TreeOutput], what: &dyn std::fmt::Debug) -> bool {
    let store = Arc::new(store);
    let opened = open(&Arc::new(store.fork()));
    match opened.and_then(|tree| tree.verify().map(|()| tree)) {
        Ok(tree) => {
            check(tree, outputs, what);
            false
        }
        Err(TreeError::Damaged(damage)) => {
            assert!(!damage.file.is_empty());
            let Opened { tree, rebuild } =
                MerkleTree::open_or_reset(store.clone(), SMALL, &mut |_, _| {}).expect("resets");
            let tree = match rebuild {
                Some(rebuild) => {
                    assert_eq!((rebuild.from, rebuild.damage), (0, damage));
                    tree
                }
                // In what is only read when it is asked for.
                None => {
                    assert!(damage.file.starts_with("log-"), "{damage}");
                    drop(tree);
                    MerkleTree::reset(&store).expect("resets");
                    open(&store).expect("empty")
                }
            };
            assert_eq!(tree.latest_version(), None);
            check(tree, outputs, what);
            true
        }
        Err(error) => panic!("{what:?}: {error}"),
    }
}

const FILES: [&str; 4] = ["manifest", "leaves", "nodes", "versions"];

fn files(store: &CrashStore) -> Vec<String> {
    let others = zkos_tree::TreeStore::files(store).expect("the machine runs");
    let others =
        others.into_iter().filter(|name| name.starts_with("log-") || name.starts_with("keys-"));
    let files: Vec<_> = FILES.iter().map(|name| (*name).to_owned()).chain(others).collect();
    assert!(["log-", "keys-"].iter().all(|start| files.iter().any(|name| name.starts_with(start))));
    files
}

#[test]
fn flipped_bytes_never_give_a_wrong_root() {
    let outputs = outputs();
    let store = history();
    for file in files(&store) {
        let bytes = store.content(&file).expect("the tree has it");
        let mut damaged = 0;
        for position in (0..bytes.len()).step_by(bytes.len() / 60 + 1) {
            let fork = store.fork();
            let mut flipped = bytes.clone();
            flipped[position] ^= 0x20;
            fork.set_content(&file, flipped);
            damaged += u32::from(open_damaged(fork, &outputs, &(&file, position)));
        }
        if ["leaves", "nodes"].contains(&file.as_str()) {
            assert!(damaged > 10, "{file}: only {damaged} flips were noticed");
        }
    }
}

/// The key index follows from the leaves: where it is damaged, nothing else is given up.
#[test]
fn a_damaged_key_index_is_made_anew() {
    let outputs = outputs();
    let store = history();
    let name = files(&store).into_iter().find(|name| name.starts_with("keys-")).expect("one");
    let bytes = store.content(&name).expect("the tree has it");
    let mut damages: Vec<Option<Vec<u8>>> = vec![None, Some(Vec::new())];
    for position in (0..bytes.len()).step_by(101) {
        let mut flipped = bytes.clone();
        flipped[position] ^= 4;
        damages.extend([Some(flipped), Some(bytes[..position].to_vec())]);
    }
    for damaged in damages {
        let fork = Arc::new(store.fork());
        match damaged {
            Some(bytes) => fork.set_content(&name, bytes),
            None => zkos_tree::TreeStore::remove_file(&*fork, &name).expect("the machine runs"),
        }
        let tree = open(&fork).expect("the leaves are whole");
        assert_eq!(tree.index_damage().map(|damage| &damage.file), Some(&name));
        assert_eq!(tree.latest(), Some(outputs[LAST as usize]));
        drop(tree);
        let tree = open(&fork).expect(WHOLE);
        assert_eq!(tree.index_damage(), None);
        check(tree, &outputs, &"made anew");
    }
}

#[test]
fn a_condemned_tree_is_not_opened_again() {
    let outputs = outputs();
    let store = history();
    let mut tree = open(&store).expect(WHOLE);
    let found = Damage::new("versions", 240, DamageCause::Checksum);
    tree.condemn(&found).expect("the machine runs");
    assert!(matches!(tree.extend(LAST + 1, &[]), Err(TreeError::Halted)));
    drop(tree);
    match open(&store) {
        Err(TreeError::Damaged(Damage { cause: DamageCause::Condemned(text), .. })) => {
            assert_eq!(text, found.to_string());
        }
        other => panic!("{:?}", other.map(|tree| tree.latest())),
    }
    let opened = MerkleTree::open_or_reset(store.clone(), SMALL, &mut |_, _| {}).expect("resets");
    assert!(opened.rebuild.is_some());
    check(opened.tree, &outputs, &"begun anew");
    assert_eq!(open(&store).expect(WHOLE).latest_version(), Some(LAST));
}

#[test]
fn updates_go_on_while_a_checkpoint_is_written() {
    let mut model = NaiveTree::new();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = || FsStore::open(dir.path()).expect("a directory");
    let mut tree = MerkleTree::open_with(store(), BACKGROUND).expect("an empty directory opens");
    let mut checkpoints = 0;
    for version in 0..150 {
        // From version 100 on only known keys are written.
        let written: Entries = entries(version % 100)
            .into_iter()
            .map(|(key, value)| (key, value ^ word(version)))
            .collect();
        model.extend(&written);
        assert_eq!(tree.extend(version, &written).expect("valid entries"), model.output());
        if version % 13 == 12 {
            let back = tree.view(version - 3).expect("history is kept").output();
            assert_eq!(tree.output(version - 3).expect("known"), back);
        }
        if version % 50 == 49 {
            let latest = tree.latest();
            tree.verify().expect(WHOLE);
            checkpoints += tree.times().checkpoints;
            drop(tree);
            tree = MerkleTree::open_with(store(), BACKGROUND).expect(WHOLE);
            assert_eq!((tree.latest(), tree.index_damage()), (latest, None));
            tree.verify().expect(WHOLE);
        }
    }
    assert!(checkpoints > 10, "{checkpoints}");
}

#[test]
fn cut_and_missing_files_never_give_a_wrong_root() {
    let outputs = outputs();
    let store = history();
    for file in files(&store) {
        let bytes = store.content(&file).expect("the tree has it");
        for size in (0..bytes.len()).step_by(bytes.len() / 25 + 1) {
            let fork = store.fork();
            fork.set_content(&file, bytes[..size].to_vec());
            open_damaged(fork, &outputs, &(&file, size));
        }
        let fork = store.fork();
        zkos_tree::TreeStore::remove_file(&fork, &file).expect("the machine runs");
        open_damaged(fork, &outputs, &(&file, "removed"));
    }
}

#[test]
fn damage_is_named() {
    let store = history();
    let damage_of = |file: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let fork = Arc::new(store.fork());
        let mut bytes = fork.content(file).expect("the tree has it");
        change(&mut bytes);
        fork.set_content(file, bytes);
        match open(&fork) {
            Err(TreeError::Damaged(Damage { file, offset, cause })) => (file, offset, cause),
            other => panic!("{file}: {:?}", other.map(|tree| tree.latest())),
        }
    };
    let page = 16 * 72;
    let flip = |at: usize| move |bytes: &mut Vec<u8>| bytes[at] ^= 1;
    assert_eq!(
        damage_of("leaves", &flip(3 * page + 5)),
        ("leaves".to_owned(), 3 * page as u64, DamageCause::PageHash)
    );
    let (file, offset, cause) = damage_of("nodes", &flip(2 * 32));
    assert_eq!((file.as_str(), offset, cause), ("leaves", 2 * page as u64, DamageCause::PageHash));
    assert_eq!(
        damage_of("leaves", &|bytes| bytes.truncate(100)),
        ("leaves".to_owned(), 100, DamageCause::Truncated)
    );
    assert_eq!(
        damage_of("nodes", &|bytes| bytes.truncate(33)),
        ("nodes".to_owned(), 33, DamageCause::Truncated)
    );
    assert_eq!(
        damage_of("versions", &|bytes| bytes.truncate(81)),
        ("versions".to_owned(), 81, DamageCause::Truncated)
    );
}

#[test]
fn a_damaged_version_record_is_found() {
    let damaged = |store: &CrashStore| {
        let mut bytes = store.content("versions").expect("the tree has it");
        bytes[3 * 80 + 20] ^= 1;
        store.set_content("versions", bytes);
    };
    let store = history();
    let tree = open(&store).expect(WHOLE);
    damaged(&store);
    assert_eq!(tree.output(4).expect(WHOLE), outputs()[4]);
    let fork = Arc::new(store.fork());
    for error in [tree.output(3).map(drop), tree.verify(), open(&fork).map(drop)] {
        match error {
            Err(TreeError::Damaged(damage)) => assert_eq!(
                (damage.file.as_str(), damage.offset, damage.cause),
                ("versions", 240, DamageCause::Checksum)
            ),
            other => panic!("{other:?}"),
        }
    }
}

/// Pages that change behind the tree's back are found when they are read, and before they can get
/// into a root.
#[test]
fn damage_while_the_tree_is_open() {
    let store = history();
    let mut tree = open(&store).expect(WHOLE);
    tree.checkpoint().expect("the machine runs");
    let latest = tree.latest_version().expect("there are versions");
    let mut bytes = store.content("leaves").expect("the tree has it");
    for byte in bytes.iter_mut().step_by(16 * 72) {
        *byte ^= 1;
    }
    store.set_content("leaves", bytes);
    assert!(matches!(tree.verify(), Err(TreeError::Damaged(_))));
    let output = tree.latest();
    let mut refused = 0;
    for number in 0..40 {
        match tree.extend(latest + 1, &[(word(9000 + number), B256::ZERO)]) {
            Ok(_) => assert_eq!(tree.truncate(latest).ok(), output),
            Err(TreeError::Damaged(damage)) => {
                assert_eq!((damage.file.as_str(), damage.cause), ("leaves", DamageCause::PageHash));
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
        assert_eq!(tree.latest(), output);
    }
    assert!(refused > 10, "{refused}");
}

#[test]
fn a_full_disk_leaves_the_tree_as_it_was() {
    let outputs = outputs();
    let store = Arc::new(CrashStore::new());
    let mut tree = MerkleTree::open(store.clone()).expect("an empty store opens");
    for version in 0..3 {
        tree.extend(version, &entries(version)).expect("valid entries");
    }
    store.stop_at(1);
    for attempt in 0..2 {
        let error = tree.extend(3, &entries(3)).expect_err("the disk refuses");
        // The second time there is no telling what the first one left.
        assert!(
            matches!((attempt, &error), (0, TreeError::Io { .. }) | (1, TreeError::Halted)),
            "{error}"
        );
        assert_eq!(tree.latest(), Some(outputs[2]));
        assert_eq!(tree.view(1).map(|view| view.output()).ok(), None, "the disk is gone");
        assert_eq!(tree.view(2).expect(WHOLE).output(), outputs[2]);
    }
    assert!(matches!(tree.truncate(1), Err(TreeError::Halted)));
    assert!(matches!(tree.retain_from(1), Err(TreeError::Halted)));
    check(open(&Arc::new(store.restart(Survival::All))).expect(WHOLE), &outputs, &"restart");
}

#[test]
fn files_of_a_directory() {
    let outputs = outputs();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let open = || {
        let store = FsStore::open(dir.path().join("tree")).expect("a directory");
        MerkleTree::open_with(store, SMALL)
    };
    let mut tree = open().expect("an empty directory opens");
    for version in 0..=6 {
        tree.extend(version, &entries(version)).expect("valid entries");
    }
    drop(tree);
    let mut tree = open().expect(WHOLE);
    tree.verify().expect(WHOLE);
    assert_eq!(tree.latest(), Some(outputs[6]));
    tree.retain_from(6).expect("known");
    for version in 7..=LAST {
        tree.extend(version, &entries(version)).expect("valid entries");
    }
    tree.retain_from(LAST).expect("known");
    tree.checkpoint().expect("the disk has room");
    let logs = std::fs::read_dir(tree.store().path()).expect("the directory");
    let logs = logs.filter(|entry| {
        entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("log-"))
    });
    assert_eq!(logs.count(), 1, "no version before the last one is kept");

    std::fs::write(dir.path().join("tree/manifest"), [0; 5000]).expect("the disk has room");
    std::fs::write(dir.path().join("tree/notes"), "not the tree's").expect("the disk has room");
    assert!(matches!(open(), Err(TreeError::Damaged(_))));
    let store = FsStore::open(dir.path().join("tree")).expect("a directory");
    let opened =
        MerkleTree::open_or_reset(store, SMALL, &mut |_, _| {}).expect("the disk has room");
    assert_eq!(opened.rebuild.expect("it was damaged").damage.file, "manifest");
    assert_eq!(opened.tree.latest(), None);
    assert!(dir.path().join("tree/notes").exists());
}
