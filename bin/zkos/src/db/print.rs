//! What `zkos db` prints.

use serde_json::{Value, json};
use std::path::Path;
use zkos_storage::{CheckpointManifest, StorageStats, VerifyReport};

fn print_json(value: &Value) -> eyre::Result<()> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}

fn per(bytes: u64, count: Option<u64>) -> String {
    match count {
        Some(count) if count > 0 => format!("{:.1}", bytes as f64 / count as f64),
        _ => "-".to_owned(),
    }
}

pub(super) fn stats(path: &Path, stats: &StorageStats, json: bool) -> eyre::Result<()> {
    let heads = stats.heads;
    let (blocks, transactions) = (stats.blocks(), stats.transactions());
    if json {
        let databases: Vec<Value> = stats
            .databases
            .iter()
            .map(|database| {
                let columns: Vec<Value> = database
                    .columns
                    .iter()
                    .map(|column| {
                        json!({
                            "name": column.name, "keys": column.estimated_keys,
                            "tableBytes": column.table_bytes, "liveBytes": column.live_bytes,
                            "memoryBytes": column.memory_bytes,
                        })
                    })
                    .collect();
                json!({"name": database.name, "fileBytes": database.file_bytes, "columns": columns})
            })
            .collect();
        let heads = heads.map(
            |heads| json!({"wal": heads.wal, "state": heads.state, "repository": heads.repository}),
        );
        return print_json(&json!({
            "path": path, "heads": heads, "blocks": blocks, "transactions": transactions,
            "databases": databases,
        }));
    }
    println!("{}", path.display());
    match heads {
        Some(heads) => println!(
            "last block: {} in the block log, {} in the state, {} in the repository",
            heads.wal, heads.state, heads.repository
        ),
        None => println!("last block: unknown, a database is missing or empty"),
    }
    println!(
        "{:<18} {:<28} {:>12} {:>14} {:>12} {:>12}",
        "database", "column", "keys", "bytes", "per tx", "per block"
    );
    let row = |database: &str, column: &str, keys: &str, bytes: u64| {
        println!(
            "{database:<18} {column:<28} {keys:>12} {bytes:>14} {:>12} {:>12}",
            per(bytes, transactions),
            per(bytes, blocks)
        );
    };
    let mut total = 0;
    for database in &stats.databases {
        for column in &database.columns {
            let bytes = column.table_bytes;
            if column.estimated_keys > 0 || bytes > 0 {
                row(database.name, &column.name, &column.estimated_keys.to_string(), bytes);
            }
        }
        row(database.name, "(all files)", "", database.file_bytes);
        total += database.file_bytes;
    }
    row("all", "(all files)", "", total);
    println!(
        "keys are estimates, exact after a compaction; bytes of a column are those of its tables, journals belong to all files"
    );
    Ok(())
}

pub(super) fn verify(report: &VerifyReport, json: bool) -> eyre::Result<()> {
    let tree = report.tree;
    if json {
        let problems: Vec<Value> = report
            .problems
            .iter()
            .map(|problem| json!({"database": problem.database, "what": problem.what}))
            .collect();
        let counts: serde_json::Map<String, Value> =
            report.counts.iter().map(|(name, count)| ((*name).to_owned(), json!(count))).collect();
        return print_json(&json!({
            "sound": report.is_sound(), "problemCount": report.problem_count, "problems": problems,
            "walBlock": report.wal_block, "stateBlock": report.state_block,
            "firstStateBlock": report.first_state_block, "preimagesBlock": report.preimages_block,
            "repositoryBlock": report.repository_block, "tree": tree, "counts": counts,
            "digests": {
                "state": report.digests.state, "history": report.digests.history,
                "preimages": report.digests.preimages, "repository": report.digests.repository,
            },
            "skipped": report.skipped,
        }));
    }
    let head = |head: Option<u64>| head.map_or_else(|| "-".to_owned(), |head| head.to_string());
    println!(
        "last block: {} in the block log, {} in the state, {} in the preimages, {} in the repository",
        head(report.wal_block),
        head(report.state_block),
        head(report.preimages_block),
        head(report.repository_block)
    );
    if report.first_state_block > 0 {
        println!("state of blocks before {} is pruned", report.first_state_block);
    }
    if let Some(tree) = tree {
        println!("tree: root {} at block {}, {} leaves", tree.root, tree.version, tree.leaf_count);
    }
    for (name, count) in &report.counts {
        println!("{count:>14} {name}");
    }
    for skipped in &report.skipped {
        println!("not checked: {skipped}");
    }
    for problem in &report.problems {
        println!("PROBLEM: {problem}");
    }
    if report.is_sound() {
        println!("no problem found");
    }
    Ok(())
}

pub(super) fn checkpoint(
    done: &str,
    path: &Path,
    manifest: &CheckpointManifest,
    json: bool,
) -> eyre::Result<()> {
    if json {
        return print_json(&serde_json::to_value(manifest)?);
    }
    println!("{done} checkpoint {}", path.display());
    println!("block {} ({}) of chain {}", manifest.block, manifest.block_hash, manifest.chain_id);
    if let Some(tree) = manifest.tree {
        println!("tree: root {} at block {}, {} leaves", tree.root, tree.version, tree.leaf_count);
    }
    println!("{} files, {} bytes", manifest.files.len(), manifest.bytes());
    Ok(())
}
