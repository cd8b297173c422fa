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

/// The extension that is furthest behind: what it has not handled must be kept for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowestExEx {
    /// Name under which it was installed.
    pub id: String,
    /// Last block that it has handled; `None` as long as it has not reported.
    pub finished: Option<BlockNumHash>,
}

/// Finished heights of all extensions of a node and their minimum.
#[derive(Debug)]
pub(crate) struct FinishedHeights {
    extensions: Mutex<Vec<SlowestExEx>>,
    lowest: watch::Sender<FinishedExExHeight>,
    slowest: watch::Sender<Option<SlowestExEx>>,
}

impl FinishedHeights {
    /// For that many extensions; each gets its name with its [`ExExEventSender`].
    pub(crate) fn new(extensions: usize) -> Arc<Self> {
        let initial = if extensions == 0 {
            FinishedExExHeight::NoExExs
        } else {
            FinishedExExHeight::NotReady
        };
        let unknown = SlowestExEx { id: "not installed yet".to_owned(), finished: None };
        Arc::new(Self {
            slowest: watch::Sender::new((extensions > 0).then(|| unknown.clone())),
            extensions: Mutex::new(vec![unknown; extensions]),
            lowest: watch::Sender::new(initial),
        })
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<FinishedExExHeight> {
        self.lowest.subscribe()
    }

    pub(crate) fn subscribe_slowest(&self) -> watch::Receiver<Option<SlowestExEx>> {
        self.slowest.subscribe()
    }

    fn update(&self, index: usize, update: impl FnOnce(&mut SlowestExEx)) {
        let mut extensions = self.extensions.lock();
        update(&mut extensions[index]);
        // Those that have not reported come first.
        let slowest =
            extensions.iter().min_by_key(|extension| extension.finished.map(|block| block.number));
        let lowest = match slowest.and_then(|slowest| slowest.finished) {
            Some(finished) => FinishedExExHeight::Height(finished.number),
            None => FinishedExExHeight::NotReady,
        };
        // Under the lock, so that two extensions can't publish their minima in the wrong order.
        self.lowest.send_if_modified(|current| {
            let changed = *current != lowest;
            *current = lowest;
            changed
        });
        self.slowest.send_if_modified(|current| {
            let changed = current.as_ref() != slowest;
            *current = slowest.cloned();
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
    pub(crate) fn new(heights: Arc<FinishedHeights>, index: usize, id: &str) -> Self {
        heights.update(index, |extension| extension.id = id.to_owned());
        Self { heights, own: watch::Sender::new(None), index }
    }

    /// Reports an event. Never blocks.
    pub fn send(&self, event: ExExEvent) {
        match event {
            ExExEvent::FinishedHeight(height) => {
                self.own.send_replace(Some(height));
                self.heights.update(self.index, |extension| extension.finished = Some(height));
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
        let (lowest, slowest) = (heights.subscribe(), heights.subscribe_slowest());
        let slowest = || {
            let slowest = slowest.borrow().clone().unwrap();
            (slowest.id, slowest.finished.map(|block| block.number))
        };
        let a = ExExEventSender::new(heights.clone(), 0, "a");
        let b = ExExEventSender::new(heights, 1, "b");
        assert_eq!(slowest(), ("a".to_owned(), None));
        a.send(at(7));
        assert_eq!(*lowest.borrow(), FinishedExExHeight::NotReady);
        assert_eq!(slowest(), ("b".to_owned(), None));
        b.send(at(5));
        assert_eq!(*lowest.borrow(), FinishedExExHeight::Height(5));
        assert_eq!(slowest(), ("b".to_owned(), Some(5)));
        b.send(at(9));
        assert_eq!(*lowest.borrow(), FinishedExExHeight::Height(7));
        a.send(at(3));
        assert_eq!(*lowest.borrow(), FinishedExExHeight::Height(3), "a reorg takes it back");
        assert_eq!(a.finished_height().borrow().map(|height| height.number), Some(3));
    }

    #[test]
    fn no_extensions_is_a_state_of_its_own() {
        let heights = FinishedHeights::new(0);
        assert_eq!(*heights.subscribe().borrow(), FinishedExExHeight::NoExExs);
        assert_eq!(*heights.subscribe_slowest().borrow(), None);
    }
}
