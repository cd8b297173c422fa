//! One run out of several, and of entries in memory.

use super::{
    Entry, Layer, SortedKeys,
    run::{Cursor, Run, RunRecord, Writer},
};
use crate::{TreeError, TreeStore};
use rayon::prelude::*;
use std::sync::Arc;

/// Runs and entries that become one run.
#[derive(Debug)]
pub(crate) struct Merge {
    number: u64,
    kept: Vec<RunRecord>,
    sources: Vec<Layer>,
    entries: Arc<SortedKeys>,
    leaf_count: u64,
}

/// What has become of them.
#[derive(Debug)]
pub(crate) struct Merged {
    run: Option<Run>,
}

impl Merged {
    pub(super) fn into_run(self) -> Option<Run> {
        self.run
    }
}

impl Merge {
    pub(super) fn new(
        number: u64,
        kept: &[Layer],
        sources: &[Layer],
        entries: Arc<SortedKeys>,
        leaf_count: u64,
    ) -> Self {
        let kept = kept.iter().map(Layer::record).collect();
        Self { number, kept, sources: sources.to_vec(), entries, leaf_count }
    }

    /// Writes and syncs the run.
    pub(crate) fn write(&self, store: &impl TreeStore) -> Result<Merged, TreeError> {
        if self.sources.is_empty() && self.entries.len() == 0 {
            return Ok(Merged { run: None });
        }
        let first = self.kept.last().map_or(0, |kept| kept.limit);
        let mut writer = Writer::new(store, self.number, first, self.leaf_count)?;
        sorted_groups(&self.sources, [(&*self.entries, self.leaf_count)], |group| {
            group.iter().try_for_each(|entry| writer.push(*entry))
        })?;
        Ok(Merged { run: Some(writer.finish()?) })
    }

    /// All runs, for the manifest.
    pub(crate) fn records(&self, merged: &Merged) -> Vec<RunRecord> {
        self.kept.iter().copied().chain(merged.run.as_ref().map(Run::record)).collect()
    }
}

/// Makes a run of the entries of the leaves from `first` on.
pub(super) fn sort(
    store: &impl TreeStore,
    number: u64,
    first: u64,
    mut entries: Vec<Entry>,
) -> Result<Run, TreeError> {
    entries.par_sort_unstable();
    let mut writer = Writer::new(store, number, first, first + entries.len() as u64)?;
    entries.into_iter().try_for_each(|entry| writer.push(entry))?;
    writer.finish()
}

enum Source<'a> {
    Run(Cursor<'a>),
    Memory(Box<dyn Iterator<Item = Entry> + 'a>),
}

impl Source<'_> {
    fn next(&mut self) -> Result<Option<Entry>, TreeError> {
        match self {
            Self::Run(cursor) => cursor.next(),
            Self::Memory(entries) => Ok(entries.next()),
        }
    }
}

/// Calls `visit` with all entries of layers and of entries in memory (with an index below the number
/// beside them), ascending by prefix; those that share one together.
pub(super) fn sorted_groups<'a>(
    layers: &'a [Layer],
    memory: impl IntoIterator<Item = (&'a SortedKeys, u64)>,
    mut visit: impl FnMut(&[Entry]) -> Result<(), TreeError>,
) -> Result<(), TreeError> {
    let runs = layers.iter().map(|layer| Source::Run(Cursor::new(&layer.run, layer.limit)));
    let memory = memory.into_iter().map(|(entries, limit)| {
        Source::Memory(Box::new(entries.iter().filter(move |entry| entry.index < limit)))
    });
    let mut heads = Vec::new();
    for mut source in runs.chain(memory) {
        if let Some(entry) = source.next()? {
            heads.push((entry, source));
        }
    }
    let mut group: Vec<Entry> = Vec::new();
    // There are never more than a few sources.
    while let Some(at) = (0..heads.len()).min_by_key(|at| heads[*at].0) {
        let (head, source) = &mut heads[at];
        if group.first().is_some_and(|first| first.prefix != head.prefix) {
            visit(&group)?;
            group.clear();
        }
        group.push(*head);
        match source.next()? {
            Some(entry) => *head = entry,
            None => drop(heads.swap_remove(at)),
        }
    }
    if group.is_empty() { Ok(()) } else { visit(&group) }
}
