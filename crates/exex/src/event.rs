//! reth: `exex/exex/src/event.rs` and `exex/types`. What an extension tells the node.

use alloy_eips::BlockNumHash;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::watch;

/// An event of an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExExEvent {
    /// Everything up to and including this block has been handled: it need not be delivered again. May go down after a reorg.
    FinishedHeight(BlockNumHash),
}

/// The lowest finished height over all extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishedExExHeight {
    /// No extension is installed.
    NoExExs,
    /// At least one extension has not reported yet.
    NotReady,
    /// Every extension has handled this block and all before it.
    Height(u64),
}

/// Finished heights of all extensions of a node and their minimum.
#[derive(Debug)]
pub(crate) struct FinishedHeights {
    heights: Mutex<Vec<Option<BlockNumHash>>>,
    lowest: watch::Sender<FinishedExExHeight>,
}

impl FinishedHeights {
    pub(crate) fn new(extensions: usize) -> Arc<Self> {
        let initial = if extensions == 0 {
            FinishedExExHeight::NoExExs
        } else {
            FinishedExExHeight::NotReady
        };
        Arc::new(Self {
            heights: Mutex::new(vec![None; extensions]),
            lowest: watch::Sender::new(initial),
        })
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<FinishedExExHeight> {
        self.lowest.subscribe()
    }

    fn set(&self, index: usize, height: BlockNumHash) {
        let mut heights = self.heights.lock();
        heights[index] = Some(height);
        let lowest = heights
            .iter()
            .try_fold(u64::MAX, |lowest, height| height.map(|height| lowest.min(height.number)));
        let lowest = lowest.map_or(FinishedExExHeight::NotReady, FinishedExExHeight::Height);
        // Under the lock, so that two extensions can't publish their minima in the wrong order.
        self.lowest.send_if_modified(|current| {
            let changed = *current != lowest;
            *current = lowest;
            changed
        });
    }
}

/// An extension's own end of the event channel.
// reth: an unbounded channel; only the last height matters, so it is kept in place and nothing can pile up.
#[derive(Debug, Clone)]
pub struct ExExEventSender {
    heights: Arc<FinishedHeights>,
    own: watch::Sender<Option<BlockNumHash>>,
    index: usize,
}

impl ExExEventSender {
    pub(crate) fn new(heights: Arc<FinishedHeights>, index: usize) -> Self {
        Self { heights, own: watch::Sender::new(None), index }
    }

    /// Reports an event. Never blocks.
    pub fn send(&self, event: ExExEvent) {
        match event {
            ExExEvent::FinishedHeight(height) => {
                self.own.send_replace(Some(height));
                self.heights.set(self.index, height);
            }
        }
    }

    /// The last finished height this extension reported.
    pub fn finished_height(&self) -> watch::Receiver<Option<BlockNumHash>> {
        self.own.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64) -> ExExEvent {
        ExExEvent::FinishedHeight(BlockNumHash { number, hash: Default::default() })
    }

    #[test]
    fn lowest_height_needs_every_extension() {
        let heights = FinishedHeights::new(2);
        let lowest = heights.subscribe();
        let (a, b) = (ExExEventSender::new(heights.clone(), 0), ExExEventSender::new(heights, 1));
        a.send(at(7));
        assert_eq!(*lowest.borrow(), FinishedExExHeight::NotReady);
        b.send(at(5));
        assert_eq!(*lowest.borrow(), FinishedExExHeight::Height(5));
        b.send(at(9));
        assert_eq!(*lowest.borrow(), FinishedExExHeight::Height(7));
        a.send(at(3));
        assert_eq!(*lowest.borrow(), FinishedExExHeight::Height(3), "a reorg takes it back");
        assert_eq!(a.finished_height().borrow().map(|height| height.number), Some(3));
    }

    #[test]
    fn no_extensions_is_a_state_of_its_own() {
        assert_eq!(*FinishedHeights::new(0).subscribe().borrow(), FinishedExExHeight::NoExExs);
    }
}
