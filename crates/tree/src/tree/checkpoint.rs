//! Checkpoints: the files are brought up to date while the tree goes on.
//!
//! At one moment the tree hands everything that is not in the files to a [`Job`], as it is then, and
//! lets the log go on in a new file. The job writes: the log before that moment, so that whatever
//! follows can be done again however far it comes; versions, pages, the nodes above them, the key
//! index; at last the manifest, by which the new state is the one to start from. Until then, a start
//! begins at the older manifest and finds every change since in the log.

use super::{MerkleTree, NODES_FILE};
use crate::{
    TreeError, TreeFile, TreeStore,
    hash::RawHash,
    index::{Merge, Merged, run_number},
    log::{self, LogFile},
    manifest::Manifest,
    pages::FrozenPages,
    versions::FrozenVersions,
};
use std::{
    mem,
    sync::Arc,
    thread::{Builder, JoinHandle},
    time::Instant,
};

/// What a checkpoint writes.
#[derive(Debug)]
pub(super) struct Job<S> {
    store: Arc<S>,
    log: Vec<LogFile>,
    versions: FrozenVersions,
    pages: FrozenPages,
    /// Nodes above the pages.
    nodes: Vec<(u64, RawHash)>,
    nodes_file: Arc<dyn TreeFile>,
    index: Merge,
    /// Lacks the runs of the index.
    manifest: Manifest,
    manifest_file: Arc<dyn TreeFile>,
    /// Files of the log that nobody needs afterwards.
    obsolete: Vec<u64>,
}

/// What a job leaves.
#[derive(Debug)]
pub(super) struct Written {
    manifest: Manifest,
    index: Merged,
}

/// Why a job failed.
#[derive(Debug)]
pub(super) struct Failed {
    error: TreeError,
    /// Nobody knows what is on disk.
    unclear: bool,
}

impl<S: TreeStore> Job<S> {
    fn run(&self) -> Result<Written, Failed> {
        let (manifest, index) = self.write_files().map_err(|error| {
            // After a failed sync nobody knows what is on disk, and the next one would not tell.
            let unclear = matches!(error, TreeError::Io { operation: "sync", .. });
            Failed { error, unclear }
        })?;
        // It may be on disk or not, so no other may follow.
        manifest.write(&*self.manifest_file).map_err(|error| Failed { error, unclear: true })?;
        self.clean_up(&manifest).map_err(|error| Failed { error, unclear: true })?;
        Ok(Written { manifest, index })
    }

    fn write_files(&self) -> Result<(Manifest, Merged), TreeError> {
        self.log.iter().try_for_each(LogFile::sync)?;
        self.versions.write()?;
        self.pages.write()?;
        self.write_nodes()?;
        let index = self.index.write(&*self.store)?;
        self.store.sync().map_err(TreeError::io("sync", ""))?;
        Ok((Manifest { runs: self.index.records(&index), ..self.manifest.clone() }, index))
    }

    fn write_nodes(&self) -> Result<(), TreeError> {
        for run in self.nodes.chunk_by(|(a, _), (b, _)| a + 1 == *b) {
            let bytes: Vec<RawHash> = run.iter().map(|(_, node)| *node).collect();
            self.nodes_file
                .write_all_at(bytes.as_flattened(), run[0].0 * 32)
                .map_err(TreeError::io("write", NODES_FILE))?;
        }
        self.nodes_file.sync().map_err(TreeError::io("sync", NODES_FILE))
    }

    /// Removes what the manifest no longer names.
    fn clean_up(&self, manifest: &Manifest) -> Result<(), TreeError> {
        for number in &self.obsolete {
            log::remove(&*self.store, *number)?;
        }
        remove_runs(&*self.store, manifest)
    }
}

/// Removes files of the index that the manifest does not name.
pub(super) fn remove_runs(store: &impl TreeStore, manifest: &Manifest) -> Result<(), TreeError> {
    for name in store.files().map_err(TreeError::io("list", ""))? {
        let number = run_number(&name);
        if number.is_some_and(|number| manifest.runs.iter().all(|run| run.number != number)) {
            store.remove_file(&name).map_err(TreeError::io("remove", &name))?;
        }
    }
    Ok(())
}

/// A job at work on a thread of its own; dropping it waits for its end, so that nobody else opens
/// the files meanwhile.
#[derive(Debug)]
pub(super) struct Running<S> {
    job: Arc<Job<S>>,
    thread: Option<JoinHandle<Result<Written, Failed>>>,
}

impl<S> Running<S> {
    fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl<S> Drop for Running<S> {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // What it has done is found at the next start.
            let _ = thread.join();
        }
    }
}

impl<S: TreeStore> MerkleTree<S> {
    /// Brings the files up to date and syncs everything. Happens by itself, in the background, when
    /// the log or the unwritten pages grow beyond what [`TreeOptions`](crate::TreeOptions) say; by
    /// hand it makes the next start quicker.
    pub fn checkpoint(&mut self) -> Result<(), TreeError> {
        self.end_checkpoint()?;
        self.writable()?;
        if self.log.sequence() == self.checkpoint.sequence {
            return Ok(());
        }
        let started = Instant::now();
        let job = self.freeze()?;
        let result = job.run();
        let result = self.finish(&job, result);
        self.times.checkpoint += started.elapsed();
        result
    }

    /// True if the next update will wait for the checkpoint that is being written, because so much
    /// has changed since it began that another one is due.
    pub fn is_behind_with_checkpoints(&self) -> bool {
        self.checkpoint_is_due() && self.running.as_ref().is_some_and(|job| !job.is_finished())
    }

    fn checkpoint_is_due(&self) -> bool {
        self.log.current_bytes() >= self.options.checkpoint_log_bytes
            || self.dense.pages.dirty_bytes() >= self.options.page_bytes() / 4 * 3
    }

    /// Ends and begins checkpoints, before an update.
    pub(super) fn follow_checkpoints(&mut self) -> Result<(), TreeError> {
        let due = self.checkpoint_is_due();
        if self.running.as_ref().is_some_and(|job| due || job.is_finished()) {
            self.end_checkpoint()?;
        }
        if !due {
            return Ok(());
        }
        if !self.options.background_checkpoints {
            return self.checkpoint();
        }
        let started = Instant::now();
        let job = Arc::new(self.freeze()?);
        let work = job.clone();
        match Builder::new().name("tree-checkpoint".to_owned()).spawn(move || work.run()) {
            Ok(thread) => self.running = Some(Running { job, thread: Some(thread) }),
            // No thread to be had: as if it was not asked for.
            Err(_) => {
                let result = job.run();
                self.finish(&job, result)?;
            }
        }
        self.times.checkpoint += started.elapsed();
        Ok(())
    }

    /// Waits for the checkpoint that is being written, if there is one.
    fn end_checkpoint(&mut self) -> Result<(), TreeError> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        let started = Instant::now();
        let waited = !running.is_finished();
        let result = running.thread.take().map(JoinHandle::join);
        if waited {
            self.times.wait += started.elapsed();
        }
        let started = Instant::now();
        // A panic is told by whoever handles panics; what is on disk is not known.
        let panicked = Err(Failed { error: TreeError::Halted, unclear: true });
        let result = self.finish(&running.job, result.and_then(Result::ok).unwrap_or(panicked));
        self.times.checkpoint += started.elapsed();
        result
    }

    /// Takes everything that is not in the files.
    fn freeze(&mut self) -> Result<Job<S>, TreeError> {
        let first_log_file = self.checkpoint.segment;
        let files = self.log.files_from(first_log_file);
        self.log.begin_segment(&*self.store)?;
        let pages = self.dense.pages.freeze();
        let all = self.dense.levels.page_nodes();
        let nodes = pages.numbers().map(|page| (page, all[page as usize])).collect();
        let segment = self.log.current_segment();
        let oldest = self.latest.map_or(0, |latest| latest.oldest);
        Ok(Job {
            store: self.store.clone(),
            log: files,
            versions: self.versions.freeze(),
            pages,
            nodes,
            nodes_file: self.nodes.clone(),
            index: self.dense.index.freeze(self.dense.leaf_count()),
            manifest: Manifest {
                generation: self.checkpoint.generation + 1,
                segment,
                sequence: self.log.sequence(),
                latest: self.latest,
                runs: Vec::new(),
            },
            manifest_file: self.manifest.clone(),
            obsolete: self.log.obsolete(segment, oldest),
        })
    }

    /// Takes note of how a job ended.
    fn finish(&mut self, job: &Job<S>, result: Result<Written, Failed>) -> Result<(), TreeError> {
        match result {
            Ok(Written { manifest, index }) => {
                self.checkpoint = manifest;
                self.versions.written();
                self.dense.pages.written();
                self.dense.index.merged(index);
                self.log.forget_segments(&job.obsolete);
                self.dense.trim();
                self.times.checkpoints += 1;
                Ok(())
            }
            Err(Failed { error, unclear }) => {
                self.halted |= unclear;
                self.versions.not_written();
                self.dense.pages.not_written(&job.pages);
                self.dense.index.not_merged();
                Err(error)
            }
        }
    }
}

impl<S> MerkleTree<S> {
    /// Waits for a checkpoint that is being written, for the end of the tree.
    pub(super) fn stop_checkpoint(&mut self) {
        drop(mem::take(&mut self.running));
    }
}
