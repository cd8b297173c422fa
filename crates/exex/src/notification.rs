//! reth: `exex/types/src/notification.rs` and `head.rs`. What the node tells an extension.

use alloy_eips::BlockNumHash;
use std::sync::Arc;
use zkos_storage_api::{CanonStateNotification, Chain};

/// A change of the canonical chain, with everything that execution gave. Cheap to clone.
#[derive(Debug, Clone)]
pub enum ExExNotification {
    /// Blocks were appended.
    ChainCommitted {
        /// The new blocks.
        new: Arc<Chain>,
    },
    /// Blocks were replaced.
    ChainReorged {
        /// The blocks that are no longer canonical.
        old: Arc<Chain>,
        /// The blocks in their place.
        new: Arc<Chain>,
    },
    /// Blocks were taken back.
    ChainReverted {
        /// The blocks that are no longer canonical.
        old: Arc<Chain>,
    },
}

impl ExExNotification {
    /// The blocks that became canonical, if any.
    pub fn committed_chain(&self) -> Option<Arc<Chain>> {
        match self {
            Self::ChainCommitted { new } | Self::ChainReorged { new, .. } => Some(new.clone()),
            Self::ChainReverted { .. } => None,
        }
    }

    /// The blocks that ceased to be canonical, if any.
    pub fn reverted_chain(&self) -> Option<Arc<Chain>> {
        match self {
            Self::ChainReorged { old, .. } | Self::ChainReverted { old } => Some(old.clone()),
            Self::ChainCommitted { .. } => None,
        }
    }

    /// The notification that undoes this one.
    pub fn into_inverted(self) -> Self {
        match self {
            Self::ChainCommitted { new } => Self::ChainReverted { old: new },
            Self::ChainReverted { old } => Self::ChainCommitted { new: old },
            Self::ChainReorged { old, new } => Self::ChainReorged { old: new, new: old },
        }
    }
}

impl From<Chain> for ExExNotification {
    fn from(chain: Chain) -> Self {
        Self::ChainCommitted { new: Arc::new(chain) }
    }
}

impl From<CanonStateNotification> for ExExNotification {
    fn from(notification: CanonStateNotification) -> Self {
        match notification {
            CanonStateNotification::Commit { new } => Self::ChainCommitted { new },
            CanonStateNotification::Reorg { old, new } => Self::ChainReorged { old, new },
        }
    }
}

/// The last block that an extension has handled; notifications start after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExExHead {
    /// Number and hash of the block.
    pub block: BlockNumHash,
}

impl From<BlockNumHash> for ExExHead {
    fn from(block: BlockNumHash) -> Self {
        Self { block }
    }
}
