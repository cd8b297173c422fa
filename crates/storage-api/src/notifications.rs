use crate::Chain;
use std::sync::Arc;
use tokio::sync::{broadcast, watch};

/// A change of the canonical chain as readers see it.
#[derive(Debug, Clone)]
pub enum CanonStateNotification {
    /// Blocks were appended.
    Commit {
        /// The new blocks.
        new: Arc<Chain>,
    },
    /// Blocks were replaced.
    Reorg {
        /// The blocks that are no longer canonical.
        old: Arc<Chain>,
        /// The blocks in their place.
        new: Arc<Chain>,
    },
}

impl CanonStateNotification {
    /// The blocks that are canonical now.
    pub fn committed(&self) -> &Arc<Chain> {
        match self {
            Self::Commit { new } | Self::Reorg { new, .. } => new,
        }
    }
}

/// Broadcast of canonical changes. A receiver that lags loses notifications and must resync from the provider.
#[auto_impl::auto_impl(&, Arc)]
pub trait CanonStateSubscriptions {
    /// A new receiver that sees every later notification.
    fn subscribe_to_canonical_state(&self) -> broadcast::Receiver<CanonStateNotification>;
}

/// Watches over the heads that settlement moves, and over durability.
#[auto_impl::auto_impl(&, Arc)]
pub trait ForkChoiceSubscriptions {
    /// Last block of the last batch committed on L1.
    fn safe_block_watch(&self) -> watch::Receiver<u64>;
    /// Last block of the last batch executed on L1.
    fn finalized_block_watch(&self) -> watch::Receiver<u64>;
    /// Canonical head.
    fn canonical_head_watch(&self) -> watch::Receiver<u64>;
}
