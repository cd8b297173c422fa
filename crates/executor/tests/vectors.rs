//! Recorded results of the official VM: every field of every record must be equal.
//!
//! The files are read in place from `$ZKOS_VECTORS`, by default `../shared/vectors` beside the workspace. Where the
//! folder is missing the tests say so and pass, unless `CI=true`.

#[path = "../examples/run_vectors/compare.rs"]
mod compare;
#[path = "../examples/run_vectors/record.rs"]
mod record;
#[path = "../examples/run_vectors/traits.rs"]
mod traits;

use rayon::prelude::*;
use std::path::PathBuf;

fn file(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("ZKOS_VECTORS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors")),
        PathBuf::from,
    );
    let path = folder.join(name);
    if path.is_file() {
        return Some(path);
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{} is missing, set ZKOS_VECTORS",
        path.display()
    );
    eprintln!("skipped: {} is missing", path.display());
    None
}

/// Runs all records of a file through the official interface, the streaming one and alloy-evm's traits.
fn check(name: &str, heavy: bool, least: usize) {
    let Some(path) = file(name) else { return };
    let records = record::read(&path).unwrap();
    assert!(records.len() >= least, "{} records in {name}", records.len());
    // Unoptimised builds run a sample.
    let step = if cfg!(debug_assertions) && !heavy { records.len().div_ceil(200) } else { 1 };
    let selected: Vec<_> =
        records.iter().filter(|record| record.is_heavy() == heavy).step_by(step).collect();
    let failures: Vec<String> = selected
        .par_iter()
        .flat_map_iter(|record| {
            let interface = compare::run(record).err();
            let streaming = compare::run_decoded(record, false).err();
            let traits = traits::run(record, false).err();
            let lent = traits::run(record, true).err();
            interface
                .into_iter()
                .chain(streaming)
                .chain(traits)
                .chain(lent)
                .map(|difference| format!("[{}] {}: {difference}", record.category(), record.name))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} records differ, the first: {}",
        failures.len(),
        selected.len(),
        failures[0]
    );
    let decoded = selected
        .iter()
        .filter(|record| compare::run_decoded(record, false).is_ok_and(|decoded| decoded))
        .count();
    assert!(heavy || decoded * 2 > selected.len(), "{decoded} records through the streaming path");
}

#[test]
fn hand_made_scenarios() {
    check("state-transition.json", false, 100);
}

#[test]
fn generated_scenarios() {
    check("stf-corpus.jsonl.gz", false, 600);
}

#[test]
fn converted_state_tests() {
    check("gst-corpus.jsonl.gz", false, 5_000);
}

/// Attaching an inspector changes nothing.
#[test]
fn inspected_scenarios() {
    let Some(path) = file("state-transition.json") else { return };
    for record in record::read(&path).unwrap() {
        let difference = compare::run_decoded(&record, true).err();
        assert!(difference.is_none(), "{}: {}", record.name, difference.unwrap());
    }
}

/// Much gas or memory: minutes without optimisation.
#[test]
#[ignore = "heavy: run with --release"]
fn heavy_scenarios() {
    check("stf-corpus.jsonl.gz", true, 600);
}
