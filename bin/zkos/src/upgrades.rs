//! Protocol upgrades after genesis: handed to the engine when their time has come. A version that this release can't execute stops the node in order, and not before it must.

use alloy_primitives::Address;
use eyre::{WrapErr, bail};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tracing::{info, warn};
use zkos_l1::{
    L1Contracts, L1Provider, ProtocolUpgrade, ScheduledUpgrade, UpgradeError, fetch_upgrade,
    find_scheduled_upgrade,
};
use zkos_node_core::{L1Transaction, L1TxSender};
use zkos_primitives::{PROTOCOL_VERSIONS, ProtocolVersion, ZkTxEnvelope};

/// Pause before an L1 that can't be reached is asked again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Longest uninterrupted wait: the clock may be set meanwhile.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// What is needed to follow upgrades.
#[derive(Debug)]
pub(crate) struct Upgrades {
    pub(crate) provider: L1Provider,
    pub(crate) contracts: L1Contracts,
    /// Version of the chain.
    pub(crate) current: ProtocolVersion,
    /// L1 block before which nothing was announced.
    pub(crate) floor: u64,
    /// Where bytecodes that upgrades deploy are published.
    pub(crate) bytecode_supplier: Option<Address>,
    pub(crate) engine: L1TxSender,
}

impl Upgrades {
    /// Runs until the watcher ends. `announced` changes whenever the chain's admin announces something.
    pub(crate) async fn follow(
        mut self,
        mut announced: watch::Receiver<Option<ScheduledUpgrade>>,
    ) -> eyre::Result<()> {
        loop {
            announced.mark_unchanged();
            let scheduled = self.find().await?;
            let due = async {
                match scheduled {
                    Some(scheduled) => self.wait_until_due(scheduled).await.map(Some),
                    None => std::future::pending().await,
                }
            };
            let upgrade = tokio::select! {
                upgrade = due => upgrade?,
                changed = announced.changed() => match changed {
                    Ok(()) => None,
                    Err(_) => return Ok(()),
                },
            };
            if let Some(upgrade) = upgrade {
                self.current = upgrade.version;
                self.hand_over(upgrade).await?;
            }
        }
    }

    async fn find(&self) -> eyre::Result<Option<ScheduledUpgrade>> {
        let Self { provider, contracts, current, floor, .. } = self;
        let found = loop {
            match find_scheduled_upgrade(provider, contracts, *current, *floor).await {
                Err(error) if error.is_transient() => pause(&error).await,
                result => {
                    break result.wrap_err("can't read announced protocol upgrades from L1")?;
                }
            }
        };
        if let Some(ScheduledUpgrade { version, timestamp }) = found {
            info!(target: "zkos::cli", %version, timestamp, "protocol upgrade is announced on L1");
            if version.spec().is_none() {
                warn!(
                    target: "zkos::cli", %version, timestamp,
                    "this release can't execute the announced protocol version and will stop when it is due: install a newer release before"
                );
            }
        }
        Ok(found)
    }

    /// The upgrade, once blocks may have its version.
    async fn wait_until_due(&self, scheduled: ScheduledUpgrade) -> eyre::Result<ProtocolUpgrade> {
        let ScheduledUpgrade { version, timestamp } = scheduled;
        until(timestamp).await;
        if version.spec().is_none() {
            let known: Vec<_> =
                PROTOCOL_VERSIONS.iter().map(|spec| spec.version.to_string()).collect();
            bail!(
                "protocol version {version} is due since unix time {timestamp}, and this release can execute {} only: install a newer release of the node; nothing is lost, it goes on from here",
                known.join(", ")
            );
        }
        let Self { provider, contracts, current, floor, bytecode_supplier, .. } = self;
        let upgrade = loop {
            let supplier = *bytecode_supplier;
            match fetch_upgrade(provider, contracts, supplier, *current, scheduled, *floor).await {
                Err(error) if error.is_transient() => pause(&error).await,
                result => {
                    break result.wrap_err_with(|| {
                        format!("can't read the upgrade to {version} from L1")
                    })?;
                }
            }
        };
        until(upgrade.timestamp).await;
        Ok(upgrade)
    }

    async fn hand_over(&self, upgrade: ProtocolUpgrade) -> eyre::Result<()> {
        let ProtocolUpgrade { version, tx, force_preimages, .. } = upgrade;
        let Some(tx) = tx else {
            info!(target: "zkos::cli", %version, "protocol upgrade without a transaction; blocks name the new version after the next start of the node");
            return Ok(());
        };
        info!(target: "zkos::cli", %version, tx = %tx.hash(), bytecodes = force_preimages.len(), "protocol upgrade begins");
        let tx = L1Transaction { tx: ZkTxEnvelope::Upgrade(tx), force_preimages };
        if self.engine.send(tx).await.is_err() {
            bail!("the engine takes no more L1 transactions");
        }
        Ok(())
    }
}

/// Before an L1 that can't be reached is asked again.
async fn pause(error: &UpgradeError) {
    warn!(target: "zkos::cli", %error, "can't read protocol upgrades from L1, trying again");
    tokio::time::sleep(RETRY_PAUSE).await;
}

/// Waits until the clock shows `timestamp`, seconds since 1970.
async fn until(timestamp: u64) {
    let due = Duration::from_secs(timestamp);
    loop {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        match due.checked_sub(now) {
            None | Some(Duration::ZERO) => return,
            Some(left) => tokio::time::sleep(left.min(MAX_WAIT)).await,
        }
    }
}
