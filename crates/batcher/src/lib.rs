//! Batching and settlement, as an execution extension.
//!
//! *What it is for.* It follows the canonical chain, keeps the state Merkle tree, groups blocks into batches, and commits, proves and executes them on L1.
//!
//! *What it must not do.* It writes no blocks and keeps nothing that could not be learnt again from L1 and the write-ahead log: a machine that never batched can take over.
//! It is installed through the node builder's public surface like any other extension.
//!
//! *How a block moves through it.*
//!
//! ```text
//! notifications -> state tree -> sealer -> FRI -> commit -> SNARK -> prove -> execute -> finished height
//! ```
//!
//! Every arrow is a bounded queue. When L1 stops, queues fill from the right, until the sealer, the tree and at last block production wait; each stage says in its status
//! what it waits for. Batches leave every stage in order. After a restart the batches that L1 knows are cut again at the same blocks, must give the same hashes, and pass
//! through the stages that they have behind them.
#![cfg_attr(not(test), warn(unused_crate_dependencies))]

mod batch;
mod inputs;
mod l1_layer;
mod metrics;
mod priority_tree;
mod provers;
mod recovery;
mod sealer;
mod settle;
mod settlement;
mod tree_stage;

#[cfg(test)]
mod tests;

pub use batch::{
    BatchBlock, BatchLimits, BatchTotals, SealError, SealReason, SealedBatch, seal, seal_for_commit,
};
pub use inputs::{
    BatchIndex, BatchInputError, BatchInputResponse, BatchInputs, BatcherApiServer, KnownBatchInfo,
};
pub use l1_layer::L1Settlement;
pub use priority_tree::{PriorityRangeProof, PriorityTree, UnknownPriorityTransactions};
pub use recovery::{Recovered, priority_tree, recover};
pub use sealer::KnownBatch;
pub use settlement::{Command, Operation, SettlementError, SettlementLayer};
pub use tree_stage::SharedTree;

use alloy_primitives::BlockNumber;
use eyre::WrapErr;
use sealer::{Sealer, SealerConfig};
use std::{future::Future, sync::Arc};
use tokio::sync::{mpsc, watch};
use tracing::info;
use zkos_exex::{ExExContext, ExExHead};
use zkos_node_core::FullNodeComponents;
use zkos_primitives::PubdataMode;
use zkos_storage_api::{BlockHashReader, BlockNumReader, ReplayRecordReader};
use zkos_tree::{TreeOptions, TreeStore};

/// Batches in the queue before each stage after the sealer; the queue before the first of them is configurable.
const STAGE_QUEUE: usize = 4;
/// Blocks between tree and sealer.
const BLOCK_QUEUE: usize = 64;

/// What the extension is given besides its context.
#[derive(Debug)]
pub struct BatcherInput<L> {
    /// Where batches settle.
    pub layer: Arc<L>,
    /// Where settlement stands.
    pub recovered: Recovered,
    /// How pubdata is published.
    pub mode: PubdataMode,
    /// Persistence of the state tree.
    pub tree_store: Box<dyn TreeStore>,
    /// Serves inputs of batches once the extension runs.
    pub inputs: BatchInputs,
}

/// The extension: initialises, then returns the future that runs as long as the node.
///
/// # Errors
/// When the tree does not fit the chain, or the log misses blocks that are settled.
pub async fn batcher<N: FullNodeComponents, L: SettlementLayer>(
    mut ctx: ExExContext<N>,
    input: BatcherInput<L>,
) -> eyre::Result<impl Future<Output = eyre::Result<()>> + Send + 'static>
where
    N::Provider: Unpin,
{
    let BatcherInput { layer, recovered, mode, tree_store, inputs } = input;
    let provider = ctx.provider().clone();
    let durable = provider.durable_block_number();
    let last_committed_block =
        recovered.committed.last().map_or(recovered.executed_block, |batch| batch.last_block);
    if last_committed_block > durable {
        eyre::bail!(
            "L1 has batches up to block {last_committed_block}, but the write-ahead log ends with block {durable}: this data directory lost settled blocks or is of an older copy; \
             restore it from the node that settled them"
        );
    }
    let (executed, executed_block) = (recovered.executed, recovered.executed_block);
    let tree_log = provider.clone();
    let executed_priority_txs = recovered.executed_priority_txs;
    let genesis: Vec<_> = ctx.chain_spec().genesis_state().entries.clone();
    let tree_options =
        TreeOptions { cache_bytes: ctx.config.tree.cache_bytes(), ..TreeOptions::default() };
    let (tree, priority) = tokio::task::spawn_blocking(move || {
        let tree = tree_stage::open_tree(tree_store, tree_options, &genesis, durable)?;
        let priority = priority_tree(&tree_log, executed_priority_txs)?;
        eyre::Ok((tree, priority))
    })
    .await
    .wrap_err("initialisation of the batcher panicked")??;

    let start = tree
        .latest_version()
        .unwrap_or_default()
        .min(executed_block)
        .min(provider.best_block_number()?);
    let hash = provider
        .block_hash(start)?
        .ok_or_else(|| eyre::eyre!("block {start} is not in the database"))?;
    ctx.notifications.set_with_head(ExExHead { block: (start, hash).into() });
    // Nothing before it is needed, also as long as no batch has been executed since the start.
    ctx.send_finished_height((start, hash).into());
    info!(
        target: "batcher",
        executed = executed.batch_number, proved = recovered.last_proved, committed = recovered.last_committed(),
        tree = tree.latest_version(), from_block = start + 1, ?mode, "batcher starts"
    );

    let config = ctx.config.clone();
    let stages = ctx.stages().clone();
    let sealer_config = SealerConfig {
        chain_id: ctx.chain_spec().chain_id(),
        mode,
        sidecar_form: layer.sidecar_form(),
        limits: BatchLimits {
            blocks: config.batcher.blocks_per_batch_limit,
            transactions: config.batcher.tx_per_batch_limit,
            pubdata: config.sequencer.block_pubdata_limit_bytes,
        },
        timeout: config.batcher.batch_timeout,
    };
    let committed = recovered.last_committed();
    let proved = recovered.last_proved;
    let sealer = Sealer::new(sealer_config, executed, executed_block, recovered.committed)
        .with_index(inputs.index().clone());
    let tree: SharedTree = Arc::new(parking_lot::RwLock::new(tree));
    let shared = tree.clone();
    ctx.task_executor()
        .spawn_critical_with_graceful_shutdown_signal("state-tree-checkpoint", |shutdown| {
            tree_stage::checkpoint_at_shutdown(shared, shutdown)
        });
    let ExExContext { notifications, events, .. } = ctx;
    inputs.provide(provider.clone(), tree.clone(), layer.clone());
    let history = config.batcher.input_history_blocks;

    Ok(async move {
        let (block_tx, block_rx) = mpsc::channel(BLOCK_QUEUE);
        let (sealed_tx, sealed_rx) = mpsc::channel(config.batcher.max_unsettled_batches.max(1));
        let (fri_tx, fri_rx) = mpsc::channel(STAGE_QUEUE);
        let (committed_tx, committed_rx) = mpsc::channel(STAGE_QUEUE);
        let (snark_tx, snark_rx) = mpsc::channel(STAGE_QUEUE);
        let (proved_tx, proved_rx) = mpsc::channel(STAGE_QUEUE);
        let (keep_tx, keep_rx) = watch::channel(executed_block.saturating_sub(history));
        let settled = move |block: BlockNumber| {
            keep_tx.send_replace(block.saturating_sub(history));
            // The hash was known when the block was batched; a canonical block does not vanish.
            if let Ok(Some(hash)) = provider.block_hash(block) {
                events.send(zkos_exex::ExExEvent::FinishedHeight((block, hash).into()));
            }
        };
        let layer = &*layer;
        tokio::try_join!(
            tree_stage::run(
                notifications,
                tree,
                keep_rx,
                durable,
                block_tx,
                stages.register("batcher/1-tree")
            ),
            sealer.run(block_rx, sealed_tx, stages.register("batcher/2-sealer")),
            provers::fake_fri(
                config.prover.clone(),
                committed,
                sealed_rx,
                fri_tx,
                stages.register("batcher/3-fri")
            ),
            settle::commit(
                layer,
                committed,
                config.l1_sender.command_limit,
                fri_rx,
                committed_tx,
                stages.register("batcher/4-commit")
            ),
            provers::fake_snark(
                config.prover.clone(),
                proved,
                committed_rx,
                snark_tx,
                stages.register("batcher/5-snark")
            ),
            settle::prove(layer, proved, snark_rx, proved_tx, stages.register("batcher/6-prove")),
            settle::execute(
                layer,
                priority,
                proved_rx,
                settled,
                stages.register("batcher/7-execute")
            ),
        )?;
        Ok(())
    })
}
