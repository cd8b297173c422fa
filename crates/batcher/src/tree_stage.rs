//! First stage: keeps the state tree in step with the canonical chain.

use crate::{batch::BatchBlock, metrics::BatcherMetrics};
use alloy_primitives::{B256, BlockNumber};
use eyre::{WrapErr, eyre};
use std::{sync::Arc, time::Instant};
use tokio::sync::{mpsc, watch};
use tracing::warn;
use zkos_exex::{BackfillProvider, ExExNotification, ExExNotifications};
use zkos_node_core::StageHandle;
use zkos_storage_api::{Chain, ExecutedBlock};
use zkos_tree::{MerkleTree, Opened, TreeOptions, TreeOutput, TreeStore};

/// The tree, shared with whoever proves from it.
pub type SharedTree = Arc<parking_lot::RwLock<MerkleTree<Box<dyn TreeStore>>>>;

/// Opens the tree and gives it version 0 from the genesis entries. A tree that has it already must have the same.
pub(crate) fn open_tree(
    store: Box<dyn TreeStore>,
    genesis: &[(B256, B256)],
    head: BlockNumber,
) -> eyre::Result<MerkleTree<Box<dyn TreeStore>>> {
    let Opened { mut tree, rebuild } = MerkleTree::open_or_reset(store, TreeOptions::default())
        .wrap_err("can't open the state tree")?;
    if let Some(rebuild) = rebuild {
        metrics::counter!("batcher_tree_rebuilds_total").increment(1);
        warn!(target: "batcher", damage = %rebuild.damage, "state tree is damaged and is built again from the blocks");
    }
    tree.extend(0, genesis).wrap_err("state tree does not begin with this chain's genesis")?;
    if let Some(latest) = tree.latest_version()
        && latest > head
    {
        // The log lost blocks that were never durable; the tree is only derived from it.
        tree.truncate(head)
            .wrap_err_with(|| format!("can't roll the state tree back to block {head}"))?;
    }
    Ok(tree)
}

/// Runs until the node stops. `keep_from` is the oldest block whose version is still needed.
pub(crate) async fn run<P: BackfillProvider>(
    mut notifications: ExExNotifications<P>,
    tree: SharedTree,
    keep_from: watch::Receiver<BlockNumber>,
    out: mpsc::Sender<BatchBlock>,
    stage: StageHandle,
) -> eyre::Result<()> {
    let metrics = BatcherMetrics::default();
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
        stage.processing();
        let started = Instant::now();
        let keep = *keep_from.borrow();
        let shared = tree.clone();
        let chain = new.clone();
        let outputs = tokio::task::spawn_blocking(move || apply(&shared, &chain, keep))
            .await
            .wrap_err("state tree update panicked")??;
        metrics.tree_update_seconds.record(started.elapsed());
        metrics.tree_block.set(new.tip().number() as f64);
        stage.set_head(new.tip().number());
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

fn extend(
    tree: &mut MerkleTree<Box<dyn TreeStore>>,
    block: &ExecutedBlock,
) -> eyre::Result<TreeOutput> {
    let entries: Vec<(B256, B256)> =
        block.output.storage_writes.iter().map(|write| (write.key, write.value)).collect();
    tree.extend(block.number(), &entries)
        .wrap_err_with(|| format!("block {} does not fit the state tree", block.number()))
}
