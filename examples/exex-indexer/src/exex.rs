//! The extension: notifications in, finished heights out.

use crate::index::Index;
use eyre::WrapErr;
use std::{future::Future, path::PathBuf};
use tracing::{debug, info};
use zkos_exex::ExExContext;
use zkos_node_core::FullNodeComponents;

/// Opens the index and asks for all blocks after its last one. An error here keeps the node from starting.
pub(crate) async fn init<Node: FullNodeComponents>(
    mut ctx: ExExContext<Node>,
    file: Option<PathBuf>,
) -> eyre::Result<impl Future<Output = eyre::Result<()>> + Send + 'static>
where
    Node::Provider: Unpin,
{
    let file = file.unwrap_or_else(|| ctx.config.data_dir().root().join("erc20.sqlite"));
    let what = format!("ERC-20 index {}", file.display());
    let genesis = ctx.chain_spec().genesis_state().block_hash;
    let (index, head) = ctx
        .task_executor()
        .spawn_blocking(move || {
            let mut index = Index::open(&file, genesis)?;
            let head = index.head()?;
            eyre::Ok((index, head))
        })
        .await?
        .wrap_err_with(|| what.clone())?;
    info!(target: "exex::erc20", index = what, block = head.number, "index opened");
    // Without this the stream would begin with the next new block.
    ctx.notifications.set_with_head(head.into());
    ctx.send_finished_height(head);
    Ok(follow(ctx, index, what))
}

/// Runs until the node stops.
async fn follow<Node: FullNodeComponents>(
    mut ctx: ExExContext<Node>,
    mut index: Index,
    what: String,
) -> eyre::Result<()>
where
    Node::Provider: Unpin,
{
    while let Some(notification) = ctx.notifications.recv().await {
        let notification = notification.wrap_err_with(|| {
            format!("{what} can't follow the chain; delete the file to index it from genesis again")
        })?;
        // Waits for the disk. Dropped at shutdown, this loop leaves a transaction that still commits.
        let (used, result) = ctx
            .task_executor()
            .spawn_blocking(move || {
                let result = index.apply(&notification);
                (index, result)
            })
            .await?;
        index = used;
        let head = result.wrap_err_with(|| what.clone())?;
        debug!(target: "exex::erc20", block = head.number, "indexed");
        // Only now: a block that is reported is never delivered again.
        ctx.send_finished_height(head);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::IndexError;
    use alloy_primitives::B256;
    use std::{path::Path, time::Duration};
    use zkos_exex::{
        ExExError,
        test_utils::{TestExExHandle, TestNode, test_exex_context},
    };

    /// Runs the extension over a context until it has finished a block.
    async fn run_to(
        ctx: ExExContext<TestNode>,
        node: &mut TestExExHandle,
        file: &Path,
        block: u64,
    ) -> eyre::Result<()> {
        let running = init(ctx, Some(file.to_owned())).await?;
        tokio::time::timeout(Duration::from_secs(20), async {
            tokio::select! {
                ended = running => ended.and_then(|()| Err(eyre::eyre!("ended"))),
                height = node.wait_for_finished_height(block) => height.map(|_| ()),
            }
        })
        .await?
    }

    #[tokio::test]
    async fn blocks_from_before_the_start_are_fetched_from_any_height_on() {
        let dir = tempfile::tempdir().unwrap();
        // A first run over some blocks, then a second context over the same chain.
        for seen in [0, 1, 5, 19, 20] {
            let file = dir.path().join(format!("{seen}.sqlite"));
            let (ctx, mut node) = test_exex_context();
            for _ in 0..seen {
                node.next_l1_block().unwrap();
            }
            run_to(ctx, &mut node, &file, seen).await.unwrap();

            let (ctx, mut node) = test_exex_context();
            let blocks: Vec<_> = (0..20).map(|_| node.next_l1_block().unwrap()).collect();
            run_to(ctx, &mut node, &file, 20).await.unwrap();
            let genesis = test_exex_context().0.head.hash;
            let mut index = Index::open(&file, genesis).unwrap();
            assert_eq!(index.head().unwrap(), blocks[19].num_hash());
        }
    }

    #[tokio::test]
    async fn an_index_of_blocks_that_are_not_canonical_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("erc20.sqlite");
        let (ctx, mut node) = test_exex_context();
        for _ in 0..3 {
            node.next_l1_block().unwrap();
        }
        run_to(ctx, &mut node, &file, 3).await.unwrap();

        // The same genesis, other blocks.
        let (ctx, mut node) = test_exex_context();
        for _ in 0..3 {
            node.next_block(Vec::new()).unwrap();
        }
        let error = run_to(ctx, &mut node, &file, 4).await.unwrap_err();
        assert!(
            matches!(
                error.downcast_ref::<ExExError>(),
                Some(ExExError::HeadNotCanonical { head, .. }) if head.number == 3
            ),
            "{error:?}"
        );
        let text = format!("{error:#}");
        assert!(text.contains("erc20.sqlite") && text.contains("delete the file"), "{text}");
    }

    #[tokio::test]
    async fn a_foreign_file_keeps_the_node_from_starting() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("erc20.sqlite");
        std::fs::write(&file, "not a database, but long enough to be read as a header".repeat(9))
            .unwrap();
        let (ctx, _node) = test_exex_context();
        let error = format!("{:#}", init(ctx, Some(file.clone())).await.err().unwrap());
        assert!(error.contains("erc20.sqlite") && error.contains("not a database"), "{error}");

        std::fs::remove_file(&file).unwrap();
        drop(Index::open(&file, B256::repeat_byte(1)).unwrap());
        let (ctx, _node) = test_exex_context();
        let error = init(ctx, Some(file)).await.err().unwrap();
        assert!(
            matches!(error.downcast_ref::<IndexError>(), Some(IndexError::OtherChain { .. })),
            "{error:?}"
        );
    }
}
