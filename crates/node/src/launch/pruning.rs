//! Keeps pruning behind the execution extensions: an extension that stops is backfilled from the state of the last block it has finished.

use tokio::sync::watch;
use zkos_exex::SlowestExEx;
use zkos_node_core::StageHandle;
use zkos_storage::{BlockchainProvider, PruneHold, PruneStatus};

/// Name of the stage.
pub(super) const STAGE: &str = "prune";

/// Keeps all state until the extensions say what they need.
pub(super) fn hold_all(provider: &BlockchainProvider) {
    let holder = "execution extensions, which are being started".to_owned();
    provider.hold_pruning(Some(PruneHold { holder, from: None }));
}

/// Passes on what the slowest extension needs, and shows in the status what pruning waits for. What was kept last stays kept when the extensions end.
pub(super) async fn follow_extensions(
    provider: BlockchainProvider,
    mut slowest: watch::Receiver<Option<SlowestExEx>>,
    stage: StageHandle,
) -> eyre::Result<()> {
    let mut status = provider.prune_status();
    provider.hold_pruning(slowest.borrow_and_update().as_ref().map(hold_of));
    let mut extensions_live = true;
    loop {
        report(&stage, &status.borrow_and_update());
        tokio::select! {
            changed = slowest.changed(), if extensions_live => {
                extensions_live = changed.is_ok();
                provider.hold_pruning(slowest.borrow_and_update().as_ref().map(hold_of));
            }
            // The provider that is held here keeps it open.
            changed = status.changed() => changed?,
        }
    }
}

fn hold_of(slowest: &SlowestExEx) -> PruneHold {
    // Its next block is executed on the state of the finished one.
    PruneHold {
        holder: format!("execution extension {}", slowest.id),
        from: slowest.finished.map(|block| block.number),
    }
}

fn report(stage: &StageHandle, status: &PruneStatus) {
    stage.set_head(status.first);
    stage.set_queue(status.target.saturating_sub(status.first));
    match &status.held_by {
        Some(PruneHold { holder, from: Some(from) }) => {
            stage.waiting(format!("{holder}, which has finished block {from}"));
        }
        Some(PruneHold { holder, from: None }) => {
            stage.waiting(format!("{holder}, which has not reported a finished block"));
        }
        None => stage.idle(),
    }
}
