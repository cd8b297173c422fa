//! Third and fifth stage: the fake provers. They prove nothing and take the time that real ones would.

use crate::{batch::SealedBatch, metrics::BatcherMetrics};
use eyre::eyre;
use futures::{StreamExt, stream};
use std::{collections::VecDeque, time::Instant};
use tokio::{sync::mpsc, time::sleep_until};
use zkos_node_core::{StageHandle, args::ProverArgs};

/// Lets every batch above `committed` wait until a fake FRI proof of it is there. Batches leave in order.
pub(crate) async fn fake_fri(
    config: ProverArgs,
    committed: u64,
    batches: mpsc::Receiver<SealedBatch>,
    out: mpsc::Sender<SealedBatch>,
    stage: StageHandle,
) -> eyre::Result<()> {
    let metrics = BatcherMetrics::default();
    stage.waiting("batches");
    let input = stream::unfold(batches, |mut batches| async move {
        batches.recv().await.map(|batch| (batch, batches))
    });
    let mut proved = Box::pin(
        input
            .map(|batch| {
                let config = &config;
                let stage = &stage;
                async move {
                    if batch.number() > committed {
                        if !config.fake_fri_enabled {
                            stage.waiting(format!(
                                "a FRI proof of batch {}; fake provers are disabled",
                                batch.number()
                            ));
                            std::future::pending::<()>().await;
                        }
                        stage.processing();
                        let ready = batch.sealed_at() + config.fake_fri_min_age;
                        sleep_until(ready.max(Instant::now()).into()).await;
                        tokio::time::sleep(config.fake_fri_compute_time).await;
                    }
                    batch
                }
            })
            .buffered(config.fake_fri_workers.max(1)),
    );
    while let Some(batch) = proved.next().await {
        let number = batch.number();
        metrics.fri_proved_batch.set(number as f64);
        stage.waiting("the commit stage");
        out.send(batch).await.map_err(|_| eyre!("commit stage has ended"))?;
        stage.set_head(number);
        stage.waiting("batches");
    }
    Ok(())
}

/// Groups committed batches above `proved` for one fake SNARK proof each: as soon as the oldest has reached its age, with all that are there, up to the limit.
pub(crate) async fn fake_snark(
    config: ProverArgs,
    proved: u64,
    mut batches: mpsc::Receiver<SealedBatch>,
    out: mpsc::Sender<Vec<SealedBatch>>,
    stage: StageHandle,
) -> eyre::Result<()> {
    let mut queue: VecDeque<SealedBatch> = VecDeque::new();
    stage.waiting("batches");
    loop {
        let due = queue.front().map(|batch| batch.sealed_at() + config.fake_snark_max_batch_age);
        let due = due.filter(|_| config.fake_snark_enabled);
        let room = queue.len() < config.max_fris_per_snark.max(1);
        tokio::select! {
            batch = batches.recv(), if room => {
                let Some(batch) = batch else { return Ok(()) };
                let number = batch.number();
                if number <= proved {
                    // Proved before the node started: only its execution is left.
                    out.send(vec![batch]).await.map_err(|_| eyre!("prove stage has ended"))?;
                    stage.set_head(number);
                    continue;
                }
                if config.fake_snark_enabled {
                    stage.processing();
                } else {
                    stage.waiting(format!("a SNARK proof from batch {number} on; fake provers are disabled"));
                }
                queue.push_back(batch);
            }
            () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {
                let group: Vec<_> = queue.drain(..).collect();
                let Some(last) = group.last().map(SealedBatch::number) else { continue };
                stage.waiting("the prove stage");
                out.send(group).await.map_err(|_| eyre!("prove stage has ended"))?;
                stage.set_head(last);
                stage.waiting("batches");
            }
            else => return Ok(()),
        }
        stage.set_queue(queue.len() as u64);
    }
}
