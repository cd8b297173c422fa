//! One status structure for all stages: how far each is, how full its queue is, and what it waits for.

use parking_lot::Mutex;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// What a stage is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "state", content = "reason")]
pub enum StageState {
    /// Nothing to do.
    Idle,
    /// Working.
    Processing,
    /// Waiting for something else; the text says for what.
    Waiting(String),
}

/// Snapshot of one stage.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StageStatus {
    /// Name, e.g. `engine`, `tree`, `batcher/commit`.
    pub name: String,
    /// Last block or batch that left the stage; the unit is the stage's.
    pub head: u64,
    /// Items in its input queue.
    pub queue: u64,
    /// What it is doing.
    #[serde(flatten)]
    pub state: StageState,
    /// Milliseconds in this state.
    pub state_age_ms: u64,
    /// Milliseconds since the head moved; `None` when it never did.
    pub head_age_ms: Option<u64>,
    /// Unix seconds at which the snapshot was taken.
    pub timestamp: u64,
}

#[derive(Debug)]
struct Stage {
    head: u64,
    queue: u64,
    state: StageState,
    state_since: Instant,
    head_since: Option<Instant>,
}

/// All stages of a node. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct StageRegistry {
    stages: Arc<Mutex<BTreeMap<String, Arc<Mutex<Stage>>>>>,
}

impl StageRegistry {
    /// Registers a stage, or returns a further handle to it.
    pub fn register(&self, name: impl Into<String>) -> StageHandle {
        let name = name.into();
        let stage = self
            .stages
            .lock()
            .entry(name.clone())
            .or_insert_with(|| {
                Arc::new(Mutex::new(Stage {
                    head: 0,
                    queue: 0,
                    state: StageState::Idle,
                    state_since: Instant::now(),
                    head_since: None,
                }))
            })
            .clone();
        let head_gauge = metrics::gauge!("stage_head", "stage" => name.clone());
        let queue_gauge = metrics::gauge!("stage_queue", "stage" => name.clone());
        let waiting_gauge = metrics::gauge!("stage_waiting", "stage" => name);
        StageHandle { stage, head_gauge, queue_gauge, waiting_gauge }
    }

    /// Snapshot of all stages, by name.
    pub fn snapshot(&self) -> Vec<StageStatus> {
        let now = Instant::now();
        let timestamp =
            SystemTime::now().duration_since(UNIX_EPOCH).map(|d| d.as_secs()).unwrap_or_default();
        let millis = |since: Instant| now.saturating_duration_since(since).as_millis() as u64;
        self.stages
            .lock()
            .iter()
            .map(|(name, stage)| {
                let stage = stage.lock();
                StageStatus {
                    name: name.clone(),
                    head: stage.head,
                    queue: stage.queue,
                    state: stage.state.clone(),
                    state_age_ms: millis(stage.state_since),
                    head_age_ms: stage.head_since.map(millis),
                    timestamp,
                }
            })
            .collect()
    }
}

/// A stage's own handle, with which it reports.
#[derive(Clone)]
pub struct StageHandle {
    stage: Arc<Mutex<Stage>>,
    head_gauge: metrics::Gauge,
    queue_gauge: metrics::Gauge,
    waiting_gauge: metrics::Gauge,
}

impl std::fmt::Debug for StageHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.stage.lock().fmt(f)
    }
}

impl StageHandle {
    /// Sets the last block or batch that left the stage.
    pub fn set_head(&self, head: u64) {
        let mut stage = self.stage.lock();
        stage.head = head;
        stage.head_since = Some(Instant::now());
        self.head_gauge.set(head as f64);
    }

    /// Sets the length of the input queue.
    pub fn set_queue(&self, queue: u64) {
        self.stage.lock().queue = queue;
        self.queue_gauge.set(queue as f64);
    }

    /// Nothing to do.
    pub fn idle(&self) {
        self.set_state(StageState::Idle);
    }

    /// Working.
    pub fn processing(&self) {
        self.set_state(StageState::Processing);
    }

    /// Waiting for something else.
    pub fn waiting(&self, reason: impl Into<String>) {
        self.set_state(StageState::Waiting(reason.into()));
    }

    fn set_state(&self, state: StageState) {
        let mut stage = self.stage.lock();
        if stage.state != state {
            self.waiting_gauge.set(f64::from(u8::from(matches!(state, StageState::Waiting(_)))));
            stage.state = state;
            stage.state_since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_shows_head_queue_and_reason() {
        let registry = StageRegistry::default();
        let handle = registry.register("tree");
        handle.set_head(7);
        handle.set_queue(3);
        handle.waiting("prover input of batch 2");
        let snapshot = registry.snapshot();
        assert_eq!(snapshot.len(), 1);
        assert_eq!((snapshot[0].head, snapshot[0].queue), (7, 3));
        assert_eq!(snapshot[0].state, StageState::Waiting("prover input of batch 2".into()));
        let json = serde_json::to_value(&snapshot[0]).unwrap();
        assert_eq!(json["state"], "waiting");
        assert_eq!(json["reason"], "prover input of batch 2");
    }

    #[test]
    fn registering_twice_gives_the_same_stage() {
        let registry = StageRegistry::default();
        registry.register("engine").set_head(1);
        registry.register("engine").processing();
        let snapshot = registry.snapshot();
        assert_eq!((snapshot.len(), snapshot[0].head), (1, 1));
        assert_eq!(snapshot[0].state, StageState::Processing);
    }
}
