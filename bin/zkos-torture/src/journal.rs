use crate::{
    rng::Rng,
    rpc::{Place, Rpc},
};
use alloy_primitives::{B256, map::HashMap};
use eyre::{Result, WrapErr};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

/// Older receipts that are looked at after every cycle, beside those of the last two.
const SAMPLE: usize = 200;

/// What the node has acknowledged: receipts, and with them blocks.
#[derive(Debug)]
pub(crate) struct Journal {
    file: BufWriter<File>,
    places: HashMap<B256, Place>,
    order: Vec<B256>,
    blocks: BTreeMap<u64, B256>,
    /// Where the entries of the last cycle but one begin, and those of the last.
    marks: [usize; 2],
    divergent: Vec<String>,
}

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) lost: Vec<String>,
    pub(crate) divergent: Vec<String>,
}

impl Journal {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file =
            File::create(path).wrap_err_with(|| format!("can't create {}", path.display()))?;
        Ok(Self {
            file: BufWriter::new(file),
            places: HashMap::default(),
            order: Vec::new(),
            blocks: BTreeMap::new(),
            marks: [0; 2],
            divergent: Vec::new(),
        })
    }

    /// Notes a receipt that the node has shown.
    pub(crate) fn note(&mut self, transaction: B256, place: Place) -> Result<()> {
        let Place { number, hash } = place;
        match self.places.insert(transaction, place) {
            None => {
                self.order.push(transaction);
                writeln!(self.file, "{transaction} {number} {hash}")?;
                self.file.flush()?;
            }
            Some(before) if before != place => self.divergent.push(format!(
                "transaction {transaction} was in block {} {}, now in {number} {hash}",
                before.number, before.hash
            )),
            Some(_) => {}
        }
        match self.blocks.insert(number, hash) {
            Some(before) if before != hash => {
                self.divergent.push(format!("block {number} was {before}, now {hash}"));
            }
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Begins a cycle.
    pub(crate) fn mark(&mut self) {
        self.marks = [self.marks[1], self.order.len()];
    }

    /// Highest block that was shown.
    pub(crate) fn head(&self) -> u64 {
        self.blocks.keys().next_back().copied().unwrap_or_default()
    }

    /// Transactions to look at after a cycle: the last ones and a sample of the older ones; or all.
    pub(crate) fn choose(&self, rng: &mut Rng, all: bool) -> Vec<(B256, Place)> {
        let recent = if all { 0 } else { self.marks[0] };
        let mut chosen: Vec<B256> = self.order[recent..].to_vec();
        if recent > 0 {
            chosen.extend(
                (0..SAMPLE.min(recent)).map(|_| self.order[rng.below(recent as u64) as usize]),
            );
        }
        chosen.iter().filter_map(|hash| Some((*hash, *self.places.get(hash)?))).collect()
    }

    /// What was found to differ while receipts came in.
    pub(crate) fn take_divergent(&mut self) -> Vec<String> {
        std::mem::take(&mut self.divergent)
    }
}

/// Asks the node again for what it had acknowledged.
pub(crate) async fn compare(rpc: &Rpc, expected: &[(B256, Place)]) -> Result<Difference> {
    let mut found = Difference::default();
    let hashes: Vec<B256> = expected.iter().map(|(hash, _)| *hash).collect();
    let places = rpc.receipts(&hashes).await?;
    for ((hash, expected), place) in expected.iter().zip(places) {
        let Place { number, hash: block } = expected;
        match place {
            None => found.lost.push(format!("transaction {hash} of block {number} {block}")),
            Some(place) if place != *expected => found.divergent.push(format!(
                "transaction {hash} was in block {number} {block}, now in {} {}",
                place.number, place.hash
            )),
            Some(_) => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_between_receipts_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::create(&path).unwrap();
        let word = B256::with_last_byte;
        let place = |number, hash| Place { number, hash: word(hash) };
        journal.note(word(1), place(5, 50)).unwrap();
        journal.note(word(1), place(5, 50)).unwrap();
        journal.mark();
        journal.note(word(2), place(5, 50)).unwrap();
        assert_eq!((journal.len(), journal.head()), (2, 5));
        assert_eq!(journal.take_divergent(), [""; 0]);
        journal.note(word(3), place(5, 51)).unwrap();
        journal.note(word(1), place(6, 60)).unwrap();
        assert_eq!(journal.take_divergent().len(), 2);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
        journal.mark();
        journal.mark();
        let chosen = journal.choose(&mut Rng::new(1), false);
        assert_eq!(chosen.len(), 3);
        assert_eq!(journal.choose(&mut Rng::new(1), true).len(), 3);
    }
}
