//! Fourth, sixth and seventh stage: commit, prove, execute.

use crate::{
    batch::SealedBatch,
    metrics::BatcherMetrics,
    priority_tree::PriorityTree,
    settlement::{Command, Operation, SettlementLayer},
};
use alloy_primitives::BlockNumber;
use eyre::{WrapErr, bail, eyre};
use futures::{StreamExt, stream};
use tokio::sync::mpsc;
use tracing::info;
use zkos_l1::contracts::{
    PriorityOpsBatchInfo, commit_calldata, execute_calldata, fake_proof, prove_calldata,
};
use zkos_node_core::StageHandle;
use zkos_primitives::StoredBatchInfo;

/// Commits every batch above `committed` and compares what L1 then keeps with what we computed. Up to `in_flight` commits wait for L1 at once; batches leave in order.
pub(crate) async fn commit<L: SettlementLayer>(
    layer: &L,
    committed: u64,
    in_flight: usize,
    batches: mpsc::Receiver<SealedBatch>,
    out: mpsc::Sender<SealedBatch>,
    stage: StageHandle,
) -> eyre::Result<()> {
    let metrics = BatcherMetrics::default();
    stage.set_head(committed);
    stage.waiting("batches");
    let input = stream::unfold(batches, |mut batches| async move {
        batches.recv().await.map(|batch| (batch, batches))
    });
    let stage_ref = &stage;
    let mut done = Box::pin(
        input
            .map(|batch| async move {
                if batch.number() > committed {
                    stage_ref
                        .waiting(format!("L1 to include the commit of batch {}", batch.number()));
                    commit_one(layer, &batch).await?;
                }
                eyre::Ok(batch.without_sidecar())
            })
            .buffered(in_flight.max(1)),
    );
    while let Some(batch) = done.next().await {
        let batch = batch?;
        let number = batch.number();
        metrics.committed_batch.set(number as f64);
        stage.set_head(number);
        out.send(batch).await.map_err(|_| eyre!("SNARK stage has ended"))?;
        stage.waiting("batches");
    }
    Ok(())
}

async fn commit_one<L: SettlementLayer>(layer: &L, batch: &SealedBatch) -> eyre::Result<()> {
    let number = batch.number();
    let calldata = commit_calldata(layer.diamond(), batch.previous(), batch.commit());
    let command = Command {
        operation: Operation::Commit,
        from: number,
        to: number,
        calldata,
        sidecar: batch.sidecar().cloned(),
    };
    let tx = layer.execute(command).await?;
    let on_l1 = layer.stored_batch_hash(number).await?;
    let ours = batch.stored().hash();
    if on_l1 != ours {
        bail!(
            "batch {number} committed by L1 transaction {tx:?} contradicts ours: L1 keeps {on_l1}, we computed {ours} from {:?}",
            batch.stored()
        );
    }
    info!(target: "batcher", batch = number, ?tx, "committed batch");
    Ok(())
}

/// Proves groups of batches that are not proved yet.
pub(crate) async fn prove<L: SettlementLayer>(
    layer: &L,
    proved: u64,
    mut groups: mpsc::Receiver<Vec<SealedBatch>>,
    out: mpsc::Sender<Vec<SealedBatch>>,
    stage: StageHandle,
) -> eyre::Result<()> {
    let metrics = BatcherMetrics::default();
    stage.set_head(proved);
    stage.waiting("batches");
    while let Some(group) = groups.recv().await {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let (from, to) = (first.number(), last.number());
        if from > proved {
            let previous = first.previous();
            let stored: Vec<StoredBatchInfo> = group.iter().map(|batch| *batch.stored()).collect();
            let proof = fake_proof(previous, &stored)
                .ok_or_else(|| eyre!("no public input for batches {from} to {to}"))?;
            let calldata = prove_calldata(layer.diamond(), previous, &stored, &proof)?;
            stage.waiting(format!("L1 to include the proof of batches {from} to {to}"));
            let command =
                Command { operation: Operation::Prove, from, to, calldata, sidecar: None };
            let tx = layer.execute(command).await?;
            info!(target: "batcher", from, to, ?tx, "proved batches");
        }
        metrics.proved_batch.set(to as f64);
        stage.set_head(to);
        out.send(group).await.map_err(|_| eyre!("execute stage has ended"))?;
        stage.waiting("batches");
    }
    Ok(())
}

/// Executes proved batches and reports the last block that is settled.
pub(crate) async fn execute<L: SettlementLayer>(
    layer: &L,
    mut priority_tree: PriorityTree,
    mut groups: mpsc::Receiver<Vec<SealedBatch>>,
    mut settled: impl FnMut(BlockNumber) + Send,
    stage: StageHandle,
) -> eyre::Result<()> {
    let metrics = BatcherMetrics::default();
    stage.waiting("batches");
    while let Some(group) = groups.recv().await {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let (from, to) = (first.number(), last.number());
        let mut priority_ops = Vec::with_capacity(group.len());
        for batch in &group {
            let hashes = batch.priority_hashes();
            hashes.iter().for_each(|hash| priority_tree.push(*hash));
            let proof = priority_tree
                .prove(hashes.len())
                .wrap_err_with(|| format!("priority tree of batch {}", batch.number()))?;
            priority_tree.trim(hashes.len())?;
            priority_ops.push(PriorityOpsBatchInfo {
                leftPath: proof.left_path,
                rightPath: proof.right_path,
                itemHashes: proof.item_hashes,
            });
        }
        let stored: Vec<StoredBatchInfo> = group.iter().map(|batch| *batch.stored()).collect();
        let calldata = execute_calldata(layer.diamond(), &stored, &priority_ops)?;
        stage.waiting(format!("L1 to include the execution of batches {from} to {to}"));
        let command = Command { operation: Operation::Execute, from, to, calldata, sidecar: None };
        let tx = layer.execute(command).await?;
        for batch in &group {
            metrics.settlement_seconds.record(batch.sealed_at().elapsed());
        }
        info!(target: "batcher", from, to, ?tx, next_priority_id = priority_tree.start(), "executed batches");
        metrics.executed_batch.set(to as f64);
        stage.set_head(to);
        settled(last.blocks().1);
        stage.waiting("batches");
    }
    Ok(())
}
