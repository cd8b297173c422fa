//! Runs files of recorded scenarios of the official VM and compares everything it recorded.
//!
//! `cargo run --release -p zkos-executor --example run_vectors -- FILE...` with `.json`, `.jsonl` or `.jsonl.gz`.
//! `--traits` runs them through alloy-evm's traits instead of the official interface.

mod compare;
mod record;
mod traits;

use rayon::prelude::*;
use std::{collections::BTreeMap, path::Path, process::ExitCode, time::Instant};

/// Failures printed in full.
const SHOWN: usize = 40;

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let through_traits = args.iter().position(|arg| arg == "--traits");
    if let Some(at) = through_traits {
        args.remove(at);
    }
    let only = args
        .iter()
        .position(|arg| arg == "--only")
        .map(|at| args.drain(at..=at + 1).nth(1).unwrap_or_default());
    if args.is_empty() {
        eprintln!("usage: run_vectors [--traits] [--only NAME] FILE...");
        return ExitCode::FAILURE;
    }
    let mut failed = 0usize;
    for file in &args {
        match run_file(Path::new(file), only.as_deref(), through_traits.is_some()) {
            Ok(failures) => failed += failures,
            Err(error) => {
                eprintln!("{file}: {error}");
                failed += 1;
            }
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_file(path: &Path, only: Option<&str>, through_traits: bool) -> Result<usize, String> {
    let records: Vec<_> = record::read(path)?
        .into_iter()
        .filter(|record| only.is_none_or(|only| record.name.contains(only)))
        .collect();
    let start = Instant::now();
    let run = |record| {
        if through_traits { traits::run(record, false).map(drop) } else { compare::run(record) }
    };
    let results: Vec<_> = records.par_iter().map(run).collect();
    let elapsed = start.elapsed();

    let mut categories: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut fields: BTreeMap<String, usize> = BTreeMap::new();
    let mut shown = 0;
    for (record, result) in records.iter().zip(&results) {
        let entry = categories.entry(record.category()).or_default();
        match result {
            Ok(()) => entry.0 += 1,
            Err(difference) => {
                entry.1 += 1;
                *fields.entry(difference.kind()).or_default() += 1;
                shown += 1;
                if shown <= SHOWN {
                    println!("FAIL [{}] {}: {difference}", record.category(), record.name);
                }
            }
        }
    }
    println!("{}:", path.display());
    for (category, (passed, failed)) in &categories {
        println!("  {category:<8} {passed} passed, {failed} failed");
    }
    for (field, count) in &fields {
        println!("  differing {field}: {count}");
    }
    let failed = categories.values().map(|(_, failed)| failed).sum();
    println!(
        "  {} scenarios, {failed} failed, {:.0} scenarios/s",
        records.len(),
        records.len() as f64 / elapsed.as_secs_f64()
    );
    Ok(failed)
}
