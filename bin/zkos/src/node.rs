//! `zkos node`: the one builder chain, with settlement installed through its public surface.

use crate::{
    batches::Batches,
    db::control,
    dev::DevL1,
    local_chain,
    settlement::{self, Discovered, Senders},
    upgrades::Upgrades,
};
use alloy_primitives::Address;
use eyre::{WrapErr, bail};
use std::{sync::Arc, time::Duration};
use tracing::{info, warn};
use zkos_batcher::{BatchInputs, BatcherApiServer, BatcherInput, batcher, recover};
use zkos_l1::{
    Confirmations, GenesisUpgrade, L1Watcher, L1WatcherConfig, L1WatcherHandle, WatcherError,
    discovery::read_counters,
};
use zkos_node::{CliContext, NodeBuilder, RpcAddOns, ZkNode, ZkNodeBuilder};
use zkos_node_core::{
    FullNodeComponents, L1Transaction, L1TxSender, NodeConfig, StageHandle, TaskExecutor,
};
use zkos_otterscan::{AddressIndex, OtterscanApi, OtterscanServer, otterscan};
use zkos_primitives::{ProtocolVersion, ZkTxEnvelope};
use zkos_rpc::{BatchHeads, RpcShared};
use zkos_storage::StorageOptions;
use zkos_storage_api::{BlockNumReader, ForkChoiceWriter};

/// How long transactions of an earlier process may stay unmined before the start is given up.
const IN_FLIGHT_TIMEOUT: Duration = Duration::from_secs(120);
/// L1 transactions that may wait between watcher and engine.
const WATCHER_QUEUE: usize = 256;
/// Pause before an L1 that can't be reached is asked again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Adds what a program installs besides. Boxed, so that the node is compiled once and not again in each such program.
pub(crate) type Extend = Box<dyn FnOnce(ZkNodeBuilder) -> ZkNodeBuilder>;

pub(crate) async fn run(
    ctx: CliContext,
    mut config: NodeConfig,
    extend: Extend,
) -> eyre::Result<()> {
    let mut dev_l1 = None;
    if config.dev.dev {
        let l1 = DevL1::start(&config).await?;
        config.l1.rpc_url = l1.url().parse().map_err(eyre::Report::msg)?;
        dev_l1 = Some(l1);
    }
    let launched = launch(&ctx, config, extend).await;
    let result = match (launched, &mut dev_l1) {
        (Err(error), _) => Err(error),
        (Ok(exit), None) => exit.await,
        (Ok(exit), Some(l1)) => tokio::select! {
            result = exit => result,
            error = l1.ended() => Err(error),
        },
    };
    if let Some(l1) = dev_l1 {
        l1.stop().await;
    }
    result
}

async fn launch(
    ctx: &CliContext,
    config: NodeConfig,
    extend: Extend,
) -> eyre::Result<zkos_node::NodeExitFuture> {
    let executor = ctx.task_executor.clone();
    let chain = config.chain.load_spec(Some(local_chain::GENESIS))?;
    let discovered = settlement::discover_l1(&config, &chain).await?;
    let mode = settlement::pubdata_mode(&config, &discovered.state)?;
    let senders = if config.batcher.enabled {
        Some(settlement::create_senders(&config, &discovered, mode).await?)
    } else {
        warn!(target: "zkos::cli", "batching is disabled: nothing will settle");
        None
    };
    let Discovered { provider, mut state, genesis_upgrade, genesis_batch, bytecode_supplier } =
        discovered;
    let bridgehub = state.contracts.bridgehub;
    let contracts = state.contracts;
    let protocol_version = state.protocol_version;
    let upgrade_floor = genesis_upgrade.l1_block;

    let shared = RpcShared::default();
    shared.set_bridgehub(bridgehub);
    if let Some(supplier) = bytecode_supplier {
        shared.set_bytecode_supplier(supplier);
    }
    let batching = senders.is_some();
    let batcher_provider = provider.clone();
    let batcher_executor = executor.clone();
    let inputs = BatchInputs::default();
    let served_inputs = inputs.clone();
    let batches = Arc::new(Batches::new(inputs.clone(), genesis_batch));
    if batching {
        shared.set_batches(batches.clone());
        shared.set_state_prover(batches.clone());
    }
    let keeps_addresses = config.otterscan.index;
    let addresses = AddressIndex::default();
    let served_addresses = addresses.clone();
    let watcher_config = L1WatcherConfig {
        poll_interval: config.l1.poll_interval,
        max_block_span: config.l1.max_blocks_to_process,
        confirmations: Confirmations::Blocks(config.l1.confirmations),
        queue_capacity: WATCHER_QUEUE,
    };

    let storage_options = StorageOptions {
        state_history_blocks: config.prune.state_history_blocks,
        ..StorageOptions::default()
    };

    let handle = NodeBuilder::new(config)
        .with_storage_options(storage_options)
        .with_chain_spec(chain)
        .with_protocol_version(protocol_version)
        .with_launch_context(executor.clone())
        .node(ZkNode)
        .map_add_ons(|add_ons: RpcAddOns<_>| add_ons.with_shared(shared))
        .extend_rpc_modules(move |ctx| {
            if batching {
                ctx.modules.merge_if_module_configured("zks", served_inputs.into_rpc())?;
            }
            let ots = OtterscanApi::new(ctx.eth.clone(), served_addresses);
            ctx.modules.merge_configured(ots.into_rpc())?;
            Ok(())
        })
        .install_exex_if(keeps_addresses, "otterscan", move |ctx| async move {
            let index = ctx.provider().open_ots_index()?;
            otterscan(ctx, index, addresses).await
        })
        .install_exex_if(batching, "batcher", move |ctx| async move {
            let Some(Senders { layer, tasks }) = senders else { bail!("no senders") };
            for (name, task) in tasks {
                batcher_executor.spawn_critical_task(name, async move { Ok(task.run().await?) });
            }
            // What an earlier process sent may still be mined; counters mean something only afterwards.
            for sender in [&layer.commit, &layer.prove, &layer.execute] {
                tokio::time::timeout(IN_FLIGHT_TIMEOUT, sender.wait_idle()).await.wrap_err_with(|| {
                    format!(
                        "transactions of {} have been in flight on L1 for {IN_FLIGHT_TIMEOUT:?}; wait until they are mined, or raise the fee caps",
                        sender.address()
                    )
                })??;
            }
            state.counters =
                read_counters(&batcher_provider, contracts.diamond, alloy_rpc_types_eth::BlockId::latest()).await?;
            let recovered =
                recover(&batcher_provider, &state, None, genesis_batch, upgrade_floor).await?;
            let tree_store = Box::new(ctx.provider().tree_store());
            let input = BatcherInput { layer: layer.into(), recovered, mode, tree_store, inputs };
            batcher(ctx, input).await
        })
        .on_node_started(move |node| {
            let stage = node.stages().register("l1-watcher");
            let head = node.recovered_head.clone();
            let watcher = WatcherTask {
                provider,
                contracts,
                config: watcher_config,
                next_priority_id: head.next_l1_priority_id,
                genesis_upgrade: (head.number == 0).then_some(genesis_upgrade),
                engine: node.l1_transactions().clone(),
                protocol_version: protocol_version.max(head.protocol_version),
                upgrade_floor,
                bytecode_supplier,
                stage,
            };
            let fork_choice = node.provider().clone();
            control::spawn(&executor, node.config().data_dir().root(), node.provider().clone());
            spawn_watcher(&executor, watcher, fork_choice, batches);
            Ok(())
        })
        .apply(extend)
        .launch()
        .await?;
    let chain_head = handle.node.provider().best_block_number()?;
    info!(
        target: "zkos::cli", rpc = %handle.node.add_ons_handle.server.local_addr(), head = chain_head, %bridgehub,
        protocol = %protocol_version, pubdata = %mode, "zkos is running"
    );
    Ok(handle.node_exit_future)
}

struct WatcherTask {
    provider: zkos_l1::L1Provider,
    contracts: zkos_l1::L1Contracts,
    config: L1WatcherConfig,
    next_priority_id: u64,
    genesis_upgrade: Option<GenesisUpgrade>,
    engine: L1TxSender,
    /// Version of the chain: what L1 runs, or the head if it is ahead of L1.
    protocol_version: ProtocolVersion,
    /// L1 block before which no upgrade was announced.
    upgrade_floor: u64,
    /// Where bytecodes of upgrades are published.
    bytecode_supplier: Option<Address>,
    stage: StageHandle,
}

fn spawn_watcher(
    executor: &TaskExecutor,
    task: WatcherTask,
    fork_choice: impl ForkChoiceWriter + BlockNumReader + 'static,
    batches: Arc<Batches>,
) {
    executor.spawn_critical_task("l1-watcher", async move {
        let WatcherTask {
            provider,
            contracts,
            config,
            next_priority_id,
            genesis_upgrade,
            engine,
            protocol_version,
            upgrade_floor,
            bytecode_supplier,
            stage,
        } = task;
        let upgrades = Upgrades {
            provider: provider.clone(),
            contracts,
            current: protocol_version,
            floor: upgrade_floor,
            bytecode_supplier,
            engine: engine.clone(),
        };
        stage.waiting("L1");
        let (watcher, handle) = loop {
            match L1Watcher::new(provider.clone(), contracts, next_priority_id, config).await {
                Ok(created) => break created,
                Err(error) if error.is_fatal() => return Err(error.into()),
                Err(error) => {
                    warn!(target: "zkos::cli", %error, "can't start watching L1, trying again");
                    stage.waiting(format!("L1: {error}"));
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        };
        let L1WatcherHandle {
            mut priority_txs, mut finality, mut status, upgrades: announced, ..
        } = handle;
        let forward = async {
            if let Some(upgrade) = genesis_upgrade {
                let tx = L1Transaction {
                    tx: ZkTxEnvelope::Upgrade(upgrade.tx),
                    force_preimages: upgrade.force_preimages,
                };
                engine
                    .send(tx)
                    .await
                    .map_err(|_| eyre::eyre!("the engine takes no more L1 transactions"))?;
            }
            while let Some(tx) = priority_txs.recv().await {
                let tx = L1Transaction { tx: tx.into_envelope(), force_preimages: Vec::new() };
                engine
                    .send(tx)
                    .await
                    .map_err(|_| eyre::eyre!("the engine takes no more L1 transactions"))?;
            }
            eyre::Ok(())
        };
        let follow = async {
            loop {
                let now = *finality.borrow_and_update();
                fork_choice.set_safe_block(now.committed.last_block);
                fork_choice.set_finalized_block(now.executed.last_block);
                batches.set_heads(BatchHeads {
                    committed: now.committed.batch,
                    proved: now.proved.batch,
                    executed: now.executed.batch,
                });
                if finality.changed().await.is_err() {
                    return eyre::Ok(());
                }
            }
        };
        let report = async {
            loop {
                let now = status.borrow_and_update().clone();
                stage.set_head(now.scanned);
                match now.last_error {
                    Some(error) => stage.waiting(format!("L1: {error}")),
                    None => stage.idle(),
                }
                if status.changed().await.is_err() {
                    return eyre::Ok(());
                }
            }
        };
        let run = async { watcher.run().await.map_err(|error: WatcherError| error.into()) };
        tokio::try_join!(run, forward, follow, report, upgrades.follow(announced))?;
        Ok(())
    });
}
