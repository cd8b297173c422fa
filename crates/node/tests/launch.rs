//! A node through the builder's public surface: hooks, extensions, RPC, restart, failure.

use alloy_eips::BlockNumHash;
use alloy_primitives::Address;
use eyre::{OptionExt, ensure};
use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use zkos_exex::ExExContext;
use zkos_node::{CliRunner, NodeBuilder, ZkNode};
use zkos_node_core::{FullNodeComponents, L1Transaction, NodeConfig, StageState};
use zkos_primitives::{Genesis, TxL1Priority, TxUpgrade, ZkChainSpec};
use zkos_storage::StorageOptions;
use zkos_storage_api::{
    BlockNumReader, ForkChoiceSubscriptions, ForkChoiceWriter, StateProviderFactory,
};

const DEADLINE: Duration = Duration::from_secs(30);

fn builder(datadir: &Path) -> NodeBuilder {
    let config = NodeConfig::default().with_datadir(datadir).with_unused_ports();
    let spec = ZkChainSpec::new(270, Genesis::default()).expect("an empty genesis is valid");
    NodeBuilder::new(config)
        .with_chain_spec(Arc::new(spec))
        .with_storage_options(StorageOptions::small())
}

fn upgrade() -> L1Transaction {
    let tx = TxUpgrade {
        from: Address::with_last_byte(7),
        to: Address::repeat_byte(0x11),
        gas_limit: 72_000_000,
        gas_per_pubdata_byte_limit: 800,
        nonce: 30,
        ..Default::default()
    };
    L1Transaction { tx: tx.into(), force_preimages: Vec::new() }
}

fn deposit(id: u64) -> L1Transaction {
    let tx = TxL1Priority {
        from: Address::repeat_byte(0x22),
        to: Address::repeat_byte(0x33),
        gas_limit: 300_000,
        gas_per_pubdata_byte_limit: 800,
        nonce: id,
        ..Default::default()
    };
    L1Transaction { tx: tx.into(), force_preimages: Vec::new() }
}

/// Waits until a block is canonical.
async fn canonical(node: &impl FullNodeComponents, number: u64) -> eyre::Result<()> {
    let mut head = node.provider().canonical_head_watch();
    tokio::time::timeout(DEADLINE, head.wait_for(|head| *head >= number)).await??;
    Ok(())
}

/// One call over HTTP; returns the body.
async fn call(address: std::net::SocketAddr, method: &str) -> eyre::Result<String> {
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":[]}}"#);
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    tokio::time::timeout(DEADLINE, stream.read_to_string(&mut response)).await??;
    let (_, body) = response.split_once("\r\n\r\n").ok_or_eyre("no body")?;
    Ok(body.to_owned())
}

type Log = Arc<Mutex<Vec<&'static str>>>;

fn note(log: &Log, what: &'static str) -> impl FnOnce() -> eyre::Result<()> + Send + 'static {
    let log = log.clone();
    move || {
        log.lock().map_err(|_| eyre::eyre!("poisoned"))?.push(what);
        Ok(())
    }
}

/// Runs a node with an extension that starts after block `head` of an earlier run, lets it reach `target`, and checks what the extension got.
fn run(
    datadir: &Path,
    head: Option<BlockNumHash>,
    l1: Vec<L1Transaction>,
    target: u64,
) -> eyre::Result<BlockNumHash> {
    let log = Log::default();
    let expected =
        ["component 1", "component 2", "exex", "extend 1", "extend 2", "rpc started", "started"];
    let (component_one, component_two) = (note(&log, "component 1"), note(&log, "component 2"));
    let (extend_one, extend_two) = (note(&log, "extend 1"), note(&log, "extend 2"));
    let (exex, rpc_started, started) =
        (note(&log, "exex"), note(&log, "rpc started"), note(&log, "started"));
    let (blocks, mut seen) = tokio::sync::mpsc::channel(16);
    let (result, reached) = std::sync::mpsc::channel();
    CliRunner::try_default_runtime()?.run_command_until_exit(|ctx| async move {
        let handle = builder(datadir)
            .with_launch_context(ctx.task_executor)
            .node(ZkNode)
            .on_component_initialized(move |_| component_one())
            .on_component_initialized(move |_| component_two())
            .install_exex("recorder", move |mut ctx: ExExContext<_>| async move {
                exex()?;
                ctx.notifications.set_with_head(head.unwrap_or(ctx.head).into());
                Ok(async move {
                    while let Some(notification) = ctx.notifications.recv().await {
                        if let Some(chain) = notification?.committed_chain() {
                            blocks.send(chain.range()).await?;
                            ctx.send_finished_height(chain.tip().num_hash());
                        }
                    }
                    std::future::pending().await
                })
            })
            .extend_rpc_modules(move |ctx| {
                let mut module = jsonrpsee::RpcModule::new(());
                module.register_method("test_hello", |_, _, _| "hello")?;
                ctx.modules.merge_if_module_configured("test", module)?;
                extend_one()
            })
            .extend_rpc_modules(move |_| extend_two())
            .on_rpc_started(move |_, _| rpc_started())
            .on_node_started(move |_| started())
            .launch()
            .await?;
        let node = &handle.node;
        for tx in l1 {
            node.l1_transactions().send(tx).await?;
        }
        canonical(&node.components, target).await?;
        let mut next = head.map_or(1, |head| head.number + 1);
        while next <= target {
            let range = tokio::time::timeout(DEADLINE, seen.recv()).await?.ok_or_eyre("closed")?;
            ensure!(*range.start() == next, "got {range:?}, expected {next}");
            next = range.end() + 1;
        }
        let address = node.add_ons_handle.server.local_addr();
        let number = call(address, "eth_blockNumber").await?;
        ensure!(number.contains(&format!(r#""result":"{target:#x}""#)), "{number}");
        let hello = call(address, "test_hello").await?;
        ensure!(hello.contains(r#""result":"hello""#), "{hello}");
        let log = std::mem::take(&mut *log.lock().map_err(|_| eyre::eyre!("poisoned"))?);
        ensure!(log == expected, "{log:?}");
        result.send(node.provider().chain_info()?.into())?;
        Ok(())
    })?;
    Ok(reached.recv()?)
}

#[test]
fn hooks_extension_rpc_and_restart_with_backfill() {
    let datadir = tempfile::tempdir().unwrap();
    let genesis = run(datadir.path(), None, vec![], 0).unwrap();
    let two = run(datadir.path(), None, vec![upgrade(), deposit(0)], 2).unwrap();
    // The extension was away for blocks 1 and 2; the watcher starts over.
    let four = vec![upgrade(), deposit(0), deposit(1)];
    let three = run(datadir.path(), Some(genesis), four, 3).unwrap();
    assert_eq!((genesis.number, two.number, three.number), (0, 2, 3));
    // Everything but the log is lost.
    for database in ["state", "preimages", "repository"] {
        std::fs::remove_dir_all(datadir.path().join(database)).unwrap();
    }
    let again = run(datadir.path(), Some(genesis), vec![], 3).unwrap();
    assert_eq!(again, three);
}

#[test]
fn an_extension_that_ends_takes_the_node_down_in_order() {
    let datadir = tempfile::tempdir().unwrap();
    let path = datadir.path().to_owned();
    let result =
        CliRunner::try_default_runtime().unwrap().run_command_until_exit(|ctx| async move {
            let handle = builder(&path)
                .with_launch_context(ctx.task_executor)
                .node(ZkNode)
                .install_exex("short", |_ctx: ExExContext<_>| async { Ok(async { Ok(()) }) })
                .launch()
                .await?;
            handle.wait_for_node_exit().await
        });
    assert_eq!(result.unwrap_err().to_string(), "task exex short ended early");
}

#[test]
fn state_that_an_extension_has_not_finished_is_not_pruned() {
    let datadir = tempfile::tempdir().unwrap();
    let path = datadir.path().to_owned();
    let (report, mut reports) = tokio::sync::mpsc::channel::<u64>(1);
    CliRunner::try_default_runtime()
        .unwrap()
        .run_command_until_exit(|ctx| async move {
            let options =
                StorageOptions { state_history_blocks: Some(2), ..StorageOptions::small() };
            let handle = builder(&path)
                .with_storage_options(options)
                .with_launch_context(ctx.task_executor)
                .node(ZkNode)
                .install_exex("quick", |mut ctx: ExExContext<_>| async move {
                    ctx.send_finished_height(ctx.head);
                    Ok(async move {
                        while let Some(notification) = ctx.notifications.recv().await {
                            if let Some(chain) = notification?.committed_chain() {
                                ctx.send_finished_height(chain.tip().num_hash());
                            }
                        }
                        std::future::pending().await
                    })
                })
                .install_exex("slow", |mut ctx: ExExContext<_>| async move {
                    Ok(async move {
                        loop {
                            tokio::select! {
                                Some(number) = reports.recv() => {
                                    ctx.send_finished_height((number, Default::default()).into());
                                }
                                Some(notification) = ctx.notifications.recv() => drop(notification?),
                            }
                        }
                    })
                })
                .launch()
                .await?;
            let node = &handle.node;
            node.l1_transactions().send(upgrade()).await?;
            for id in 0..11 {
                node.l1_transactions().send(deposit(id)).await?;
                canonical(&node.components, id + 2).await?;
            }
            node.provider().set_finalized_block(12);
            let mut status = node.provider().prune_status();
            let mut wait_for = async |first, holder: Option<&str>| {
                let reached = status.wait_for(|status| {
                    let by = status.held_by.as_ref().map(|hold| hold.holder.as_str());
                    (status.first, status.target, by) == (first, 10, holder)
                });
                tokio::time::timeout(DEADLINE, reached).await.map(drop)
            };
            let slow = Some("execution extension slow");
            wait_for(0, slow).await?;
            report.send(4).await?;
            wait_for(4, slow).await?;
            assert!(node.provider().history_by_block_number(4).is_ok());
            assert!(node.provider().history_by_block_number(3).is_err());
            let stage = || {
                let stages = node.stages().snapshot();
                stages.into_iter().find(|stage| stage.name == "prune").map(|stage| stage.state)
            };
            let waits = StageState::Waiting(
                "execution extension slow, which has finished block 4".to_owned(),
            );
            let deadline = tokio::time::Instant::now() + DEADLINE;
            while stage().as_ref() != Some(&waits) {
                ensure!(tokio::time::Instant::now() < deadline, "{:?}", stage());
                tokio::task::yield_now().await;
            }
            report.send(12).await?;
            wait_for(10, None).await?;
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_failing_hook_or_a_foreign_database_aborts_the_launch() {
    let datadir = tempfile::tempdir().unwrap();
    let path = datadir.path().to_owned();
    let result =
        CliRunner::try_default_runtime().unwrap().run_command_until_exit(|ctx| async move {
            let launch = builder(&path)
                .with_launch_context(ctx.task_executor)
                .node(ZkNode)
                .on_node_started(|_| eyre::bail!("no disk"))
                .launch();
            launch.await?.wait_for_node_exit().await
        });
    assert_eq!(format!("{:#}", result.unwrap_err()), "on_node_started hook failed: no disk");

    let path = datadir.path().to_owned();
    let result =
        CliRunner::try_default_runtime().unwrap().run_command_until_exit(|ctx| async move {
            let other = ZkChainSpec::new(271, Genesis::default())?;
            let launch = builder(&path)
                .with_chain_spec(Arc::new(other))
                .with_launch_context(ctx.task_executor)
                .node(ZkNode)
                .launch();
            launch.await?.wait_for_node_exit().await
        });
    let error = format!("{:#}", result.unwrap_err());
    assert!(error.starts_with("can't open the databases"), "{error}");
}
