use super::{Counter, Measure, OnProgress, VerifyReport, state::for_each_key};
use crate::{
    TREE_DATABASE,
    db::{ChainMarker, Database},
    maintenance::checkpoint::TreeCommitment,
    tree::TreeDirectory,
};
use std::path::Path;
use zkos_tree::{MerkleTree, TreeStore};

/// Leaves that are no keys of the state: the two guards.
const GUARDS: u64 = 2;

/// Checks the tree of a directory whose lock is held.
pub(super) fn verify_stored(
    path: &Path,
    marker: &ChainMarker,
    values: &Database,
    report: &mut VerifyReport,
    tell: &mut OnProgress<'_>,
) {
    if !path.join(TREE_DATABASE).exists() {
        report.skipped.push(format!("{TREE_DATABASE}: there is none"));
        return;
    }
    match TreeDirectory::open(path, marker) {
        Ok(files) => verify_tree(files, values, report, tell),
        Err(error) => report.problem(TREE_DATABASE, error.to_string()),
    }
}

/// Hashes the whole tree anew, and compares the leaves with the state at its version.
fn verify_tree<S: TreeStore>(
    files: S,
    values: &Database,
    report: &mut VerifyReport,
    tell: &mut OnProgress<'_>,
) {
    let opened = MerkleTree::open(files).and_then(|tree| {
        tree.verify_with(&mut |leaves, of| {
            tell(Measure { what: "leaves hashed", done: leaves, of: Some(of) });
        })?;
        Ok(tree)
    });
    let tree = match opened {
        Ok(tree) => tree,
        Err(error) => {
            report.problem(TREE_DATABASE, error.to_string());
            return;
        }
    };
    if let Some(damage) = tree.index_damage() {
        report.problem(
            TREE_DATABASE,
            format!("{damage}; the key index has been made anew from the leaves, which are whole"),
        );
    }
    report.tree = tree.latest_version().zip(tree.latest()).map(|(version, output)| {
        TreeCommitment { version, root: output.root, leaf_count: output.leaf_count }
    });
    let Some(commitment) = report.tree else {
        report.skipped.push(format!("{TREE_DATABASE}: it is empty"));
        return;
    };
    let version = commitment.version;
    let readable = report.first_state_block..=report.state_block.unwrap_or_default();
    if !readable.contains(&version) {
        report.skipped.push(format!(
            "leaves of the tree: database state does not have block {version}, the version of the tree"
        ));
        return;
    }
    let mut progress = Counter::new("leaves compared", Some(commitment.leaf_count), tell);
    let mut keys = 0;
    let mut problems = Vec::new();
    let result = for_each_key(
        values,
        version,
        |_, _, _| {},
        |key| {
            let Some(expected) = key.at else { return Ok(()) };
            keys += 1;
            progress.step();
            let found = match tree.get(&key.key) {
                Ok(found) => found,
                Err(error) => {
                    problems.push(error.to_string());
                    return Ok(());
                }
            };
            if found != Some(expected) {
                let found = found.map_or_else(|| "no leaf".to_owned(), |value| value.to_string());
                problems.push(format!(
                    "key {} is {found} in the tree and {expected} in the state at block {version}",
                    key.key
                ));
            }
            Ok(())
        },
    );
    // What cannot be read of the state has been told when it was checked itself.
    if result.is_err() {
        report.skipped.push("leaves of the tree: database state cannot be read".to_owned());
        return;
    }
    for what in problems {
        report.problem(TREE_DATABASE, what);
    }
    if keys + GUARDS != commitment.leaf_count {
        report.problem(
            TREE_DATABASE,
            format!(
                "it has {} leaves, the state at block {version} has {keys} keys",
                commitment.leaf_count
            ),
        );
    }
    report.counts.push(("leaves", commitment.leaf_count));
}
