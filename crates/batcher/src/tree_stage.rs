//! First stage: keeps the state tree in step with the canonical chain.

use crate::{batch::BatchBlock, metrics::BatcherMetrics};
use alloy_primitives::{B256, BlockNumber};
use eyre::{WrapErr, eyre};
use std::{sync::Arc, time::Instant};
use tokio::sync::{mpsc, watch};
use tracing::{debug, error, info, warn};
use zkos_exex::{BackfillProvider, ExExNotification, ExExNotifications};
use zkos_node_core::{GracefulShutdown, Progress, StageHandle};
use zkos_storage_api::{Chain, ExecutedBlock};
use zkos_tree::{MerkleTree, Opened, TreeError, TreeOptions, TreeOutput, TreeStore};

type Tree = MerkleTree<Box<dyn TreeStore>>;

/// The tree, shared with whoever proves from it.
pub type SharedTree = Arc<parking_lot::RwLock<Tree>>;

/// Opens the tree and gives it version 0 from the genesis entries. A tree that has it already must have the same.
pub(crate) fn open_tree(
    store: Box<dyn TreeStore>,
    options: TreeOptions,
    genesis: &[(B256, B256)],
    head: BlockNumber,
) -> eyre::Result<Tree> {
    let mut progress = Progress::new("checking the state tree", "leaves");
    let opened = MerkleTree::open_or_reset(store, options, &mut |done, of| progress.set(done, of));
    let Opened { mut tree, rebuild } = opened.wrap_err("can't open the state tree")?;
    progress.finish();
    if let Some(rebuild) = rebuild {
        metrics::counter!("batcher_tree_rebuilds_total").increment(1);
        warn!(target: "batcher", damage = %rebuild.damage, "state tree is damaged and is built again from the blocks");
    }
    if let Some(damage) = tree.index_damage() {
        warn!(target: "batcher", %damage, "key index of the state tree was damaged and has been made anew from the leaves");
    }
    tree.extend(0, genesis).wrap_err("state tree does not begin with this chain's genesis")?;
    if let Some(latest) = tree.latest_version()
        && latest > head
    {
        // The log lost blocks that were never durable; the tree is only derived from it.
        tree.truncate(head)
            .wrap_err_with(|| format!("can't roll the state tree back to block {head}"))?;
    }
    let (leaves, cached) =
        (tree.latest().map_or(0, |tree| tree.leaf_count), options.cached_leaves());
    if leaves > cached {
        info!(
            target: "batcher",
            leaves, cached,
            "the state tree is larger than its cache and slower than it could be; --tree.cache-size makes room, 120 MB for a million leaves"
        );
    }
    Ok(tree)
}

/// Brings the files up to date when the node stops, so that the next start has nothing to redo.
pub(crate) async fn checkpoint_at_shutdown(
    tree: SharedTree,
    shutdown: GracefulShutdown,
) -> eyre::Result<()> {
    shutdown.signalled().await;
    let started = Instant::now();
    let checkpoint = tokio::task::spawn_blocking(move || tree.write().checkpoint());
    match checkpoint.await.wrap_err("checkpoint of the state tree panicked")? {
        Ok(()) => debug!(target: "batcher", elapsed = ?started.elapsed(), "state tree closed"),
        // Nothing is lost: the next start redoes the log.
        Err(error) => {
            warn!(target: "batcher", %error, "can't write the state tree's files; the next start reads its log instead");
        }
    }
    Ok(())
}

/// Runs until the node stops. `keep_from` is the oldest block whose version is still needed, `known` the last block of the log at the start.
pub(crate) async fn run<P: BackfillProvider>(
    mut notifications: ExExNotifications<P>,
    tree: SharedTree,
    keep_from: watch::Receiver<BlockNumber>,
    known: BlockNumber,
    out: mpsc::Sender<BatchBlock>,
    stage: StageHandle,
) -> eyre::Result<()> {
    let metrics = BatcherMetrics::default();
    let mut catching_up = Some(Progress::new("building the state tree", "blocks"));
    if let Some(latest) = tree.read().latest_version() {
        metrics.tree_block.set(latest as f64);
        stage.set_head(latest);
        if let Some(progress) = &mut catching_up {
            progress.set(latest, known);
        }
    }
    stage.waiting("blocks");
    while let Some(notification) = notifications.recv().await {
        let new = match notification? {
            ExExNotification::ChainCommitted { new } => new,
            ExExNotification::ChainReorged { old, .. }
            | ExExNotification::ChainReverted { old } => {
                return Err(eyre!(
                    "blocks {:?} were reverted after they had been batched; restart the node to batch the chain as it is now",
                    old.range()
                ));
            }
        };
        if tree.read().is_behind_with_checkpoints() {
            stage.waiting("a checkpoint of the state tree");
        } else {
            stage.processing();
        }
        let started = Instant::now();
        let keep = *keep_from.borrow();
        let shared = tree.clone();
        let chain = new.clone();
        let outputs = tokio::task::spawn_blocking(move || apply(&shared, &chain, keep))
            .await
            .wrap_err("state tree update panicked")??;
        metrics.tree_update_seconds.record(started.elapsed());
        metrics.tree_block.set(new.tip().number() as f64);
        report(&metrics, &tree.read());
        stage.set_head(new.tip().number());
        if let Some(progress) = &mut catching_up {
            progress.set(new.tip().number(), known);
        }
        if new.tip().number() >= known
            && let Some(progress) = catching_up.take()
        {
            progress.finish();
        }
        stage.waiting("the batch sealer");
        for (block, tree) in new.blocks().iter().zip(outputs) {
            out.send(BatchBlock { executed: block.clone(), tree })
                .await
                .map_err(|_| eyre!("batch sealer has ended"))?;
        }
        stage.waiting("blocks");
    }
    Ok(())
}

fn report(metrics: &BatcherMetrics, tree: &Tree) {
    let (times, usage) = (tree.times(), tree.usage());
    metrics.tree_checkpoint_wait_seconds.set(times.wait.as_secs_f64());
    metrics.tree_checkpoints.set(times.checkpoints as f64);
    metrics.tree_cached_bytes.set(usage.cached_pages_bytes as f64);
    metrics.tree_unwritten_bytes.set(usage.unwritten_pages_bytes as f64);
    metrics.tree_key_index_bytes.set(usage.key_index_bytes as f64);
}

fn apply(
    tree: &SharedTree,
    chain: &Chain,
    keep_from: BlockNumber,
) -> eyre::Result<Vec<TreeOutput>> {
    let mut tree = tree.write();
    let outputs =
        chain.blocks().iter().map(|block| extend(&mut tree, block)).collect::<Result<_, _>>()?;
    // While the tree is being rebuilt it is behind what is settled.
    let keep_from = keep_from.min(chain.tip().number());
    if tree.oldest_version().is_some_and(|oldest| oldest < keep_from) {
        tree.retain_from(keep_from).wrap_err("can't prune the state tree")?;
    }
    Ok(outputs)
}

fn extend(tree: &mut Tree, block: &ExecutedBlock) -> eyre::Result<TreeOutput> {
    let entries: Vec<(B256, B256)> =
        block.output.storage_writes.iter().map(|write| (write.key, write.value)).collect();
    tree.extend(block.number(), &entries).map_err(|error| match error {
        TreeError::Damaged(damage) => damaged(tree, damage, block.number()),
        error => eyre::Report::new(error)
            .wrap_err(format!("block {} does not fit the state tree", block.number())),
    })
}

/// The disk gave something else than was written. Batches are made from the tree, so the node stops rather than go on beside the damage; the tree follows from the blocks, so the
/// next start builds it again.
fn damaged(tree: &mut Tree, damage: zkos_tree::Damage, block: BlockNumber) -> eyre::Report {
    metrics::counter!("batcher_tree_damages_total").increment(1);
    if let Err(error) = tree.condemn(&damage) {
        error!(target: "batcher", %error, "can't mark the state tree as damaged; run `zkos db rebuild tree` before the next start");
    }
    eyre::Report::new(TreeError::from(damage)).wrap_err(format!(
        "state tree is damaged, found at block {block}; nothing is lost: start the node again and it builds the tree anew from the block log (check the disk first)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use zkos_tree::FsStore;

    fn open(dir: &Path) -> Tree {
        let store = Box::new(FsStore::open(dir).unwrap());
        let options = TreeOptions { cache_bytes: 16 << 10, ..TreeOptions::default() };
        open_tree(store, options, &entries(0), 1000).unwrap()
    }

    fn entries(version: u64) -> Vec<(B256, B256)> {
        let word = |n: u64| alloy_primitives::keccak256(n.to_be_bytes());
        (0..500).map(|n| (word(version * 1000 + n), word(n))).collect()
    }

    #[test]
    fn damage_met_at_work_is_built_again_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let mut tree = open(dir.path());
        let output = tree.extend(1, &entries(1)).unwrap();
        tree.checkpoint().unwrap();
        let leaves = dir.path().join("leaves");
        let mut bytes = std::fs::read(&leaves).unwrap();
        bytes.iter_mut().for_each(|byte| *byte ^= 1);
        std::fs::write(&leaves, bytes).unwrap();
        let Err(TreeError::Damaged(damage)) = tree.extend(2, &entries(2)) else {
            panic!("damaged leaves were used");
        };
        let report = format!("{:#}", damaged(&mut tree, damage, 2));
        assert!(report.contains("found at block 2") && report.contains("leaves"), "{report}");
        drop(tree);
        let mut tree = open(dir.path());
        assert_eq!(tree.latest_version(), Some(0));
        assert_eq!(tree.extend(1, &entries(1)).unwrap(), output);
    }

    #[tokio::test]
    async fn an_orderly_end_leaves_nothing_to_redo() {
        let dir = tempfile::tempdir().unwrap();
        let tree: SharedTree = Arc::new(parking_lot::RwLock::new(open(dir.path())));
        tree.write().extend(1, &entries(1)).unwrap();
        let manager = zkos_node_core::TaskManager::current();
        manager.executor().spawn_critical_with_graceful_shutdown_signal("tree", |shutdown| {
            checkpoint_at_shutdown(tree.clone(), shutdown)
        });
        assert!(tree.read().usage().log_bytes > 0);
        assert!(manager.graceful_shutdown(std::time::Duration::from_secs(30)).await);
        assert_eq!(tree.read().usage().log_bytes, 0);
    }
}
