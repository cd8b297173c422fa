//! `zkos db`: look at, check, copy and delete databases.

pub(crate) mod control;
mod print;

use crate::cli::FileArgs;
use clap::{Args, Subcommand, ValueEnum};
use eyre::{WrapErr, bail};
use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};
use zkos_node_core::{Progress, args::DatadirArgs};
use zkos_storage::{
    Measure, OTS_INDEX_DATABASE, PREIMAGES_DATABASE, REPOSITORY_DATABASE, STATE_DATABASE,
    StorageError, StorageStats, TREE_DATABASE, checkpoint_offline, rebuild, restore, verify,
};

// Global: the data directory may stand before or after the name of the tool.
#[derive(Debug, Args)]
#[command(mut_args(|arg| arg.global(true)))]
pub(crate) struct DbCommand {
    #[command(flatten)]
    pub(crate) datadir: DatadirArgs,
    #[command(flatten)]
    pub(crate) files: FileArgs,
    #[command(subcommand)]
    pub(crate) command: DbSubcommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DbSubcommand {
    /// Print keys and bytes of every column, in total and per block and transaction; a running node does not matter
    Stats(OutputArgs),
    /// Check all databases against themselves and each other; a running node does not matter, but its tree is left out
    Verify(OutputArgs),
    /// Delete derived databases of a stopped node; its next start fills them again from the block log
    Rebuild {
        /// What to delete
        #[arg(required = true)]
        databases: Vec<Derived>,
    },
    /// Delete the index of addresses of a stopped node; its next start with --otterscan.index fills it again while it runs
    RebuildIndex,
    /// Make a consistent copy of all databases, or go back to one
    #[command(subcommand)]
    Checkpoint(CheckpointCommand),
}

#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CheckpointCommand {
    /// Copy all databases to a new directory; a running node makes the copy itself and goes on
    Create {
        /// The copy; must not exist
        dir: PathBuf,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Put the databases of a copy into the data directory of a stopped node; the copy stays as it is
    Restore {
        /// The copy
        dir: PathBuf,
        /// Delete the databases that are in the data directory
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// Databases that can be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Derived {
    /// Values of all blocks
    State,
    /// Bytecodes and account records
    Preimages,
    /// Blocks, receipts, indexes
    Repository,
    /// The Merkle tree
    Tree,
}

impl Derived {
    const fn name(self) -> &'static str {
        match self {
            Self::State => STATE_DATABASE,
            Self::Preimages => PREIMAGES_DATABASE,
            Self::Repository => REPOSITORY_DATABASE,
            Self::Tree => TREE_DATABASE,
        }
    }
}

pub(crate) fn run(command: DbCommand) -> eyre::Result<()> {
    let DbCommand { datadir, files: _, command } = command;
    let path = datadir.datadir;
    if !path.is_dir() {
        bail!("there is no data directory {}; name it with --datadir", path.display());
    }
    match command {
        DbSubcommand::Stats(output) => {
            print::stats(&path, &StorageStats::read(&path)?, output.json)
        }
        DbSubcommand::Verify(output) => check(&path, output.json),
        DbSubcommand::Rebuild { databases } => {
            let names: Vec<_> = databases.into_iter().map(Derived::name).collect();
            let latest = rebuild(&path, &names)?;
            println!(
                "deleted {}; the next start of the node executes blocks 1 to {latest} of the block log again to refill {}",
                names.join(", "),
                if names.len() == 1 { "it" } else { "them" }
            );
            Ok(())
        }
        DbSubcommand::RebuildIndex => {
            let latest = rebuild(&path, &[OTS_INDEX_DATABASE])?;
            println!(
                "deleted {OTS_INDEX_DATABASE}; a node started with --otterscan.index fills it again from blocks 1 to {latest} while it runs"
            );
            Ok(())
        }
        DbSubcommand::Checkpoint(CheckpointCommand::Create { dir, output }) => {
            let to = std::path::absolute(&dir)
                .wrap_err_with(|| format!("can't use {}", dir.display()))?;
            let mut phases = Phases::new("making a checkpoint");
            let made = checkpoint_offline(&path, &to, &mut |measure| phases.set(measure));
            let manifest = match made {
                Err(error @ StorageError::Locked { .. }) => {
                    control::request_checkpoint(&path, &to, &mut phases)
                        .wrap_err_with(|| error.to_string())?
                }
                result => result?,
            };
            phases.finish();
            print::checkpoint("made", &to, &manifest, output.json)
        }
        DbSubcommand::Checkpoint(CheckpointCommand::Restore { dir, replace, output }) => {
            let mut phases = Phases::new("restoring a checkpoint");
            let manifest = restore(&dir, &path, replace, &mut |measure| phases.set(measure))?;
            phases.finish();
            print::checkpoint("restored", &dir, &manifest, output.json)
        }
    }
}

fn check(path: &Path, json: bool) -> eyre::Result<()> {
    let mut phases = Phases::new("checking the databases");
    let report = verify(path, &mut |measure| phases.set(measure))?;
    phases.finish();
    print::verify(&report, json)?;
    if !report.is_sound() {
        bail!("{} problems in {}", report.problem_count, path.display());
    }
    Ok(())
}

/// Long work that counts one thing after the other.
pub(crate) struct Phases {
    what: &'static str,
    /// What is counted, and how far it is.
    current: Option<(Cow<'static, str>, Progress)>,
}

impl Phases {
    pub(crate) const fn new(what: &'static str) -> Self {
        Self { what, current: None }
    }

    pub(crate) fn set(&mut self, Measure { what, done, of }: Measure) {
        self.set_unit(what.into(), done, of);
    }

    fn set_unit(&mut self, unit: Cow<'static, str>, done: u64, of: Option<u64>) {
        let (_, progress) = match &mut self.current {
            Some(current) if current.0 == unit => current,
            other => {
                if let Some((_, finished)) = other.take() {
                    finished.finish();
                }
                other.insert((unit.clone(), Progress::new(self.what, unit)))
            }
        };
        progress.set(done, of);
    }

    pub(crate) fn finish(self) {
        if let Some((_, progress)) = self.current {
            progress.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::{self, Command, NoArgs};
    use std::path::Path;

    fn datadir(argv: &[&str], vars: &[(&str, &str)]) -> std::path::PathBuf {
        let vars = vars.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        match cli::parse::<NoArgs>(argv.iter().map(Into::into), vars).unwrap().cli.command {
            Command::Db(db) => db.datadir.datadir,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_data_directory_may_stand_anywhere() {
        for argv in [
            &["zkos", "db", "--datadir=/x", "stats"][..],
            &["zkos", "db", "stats", "--datadir=/x"],
            &["zkos", "db", "checkpoint", "create", "/y", "--datadir", "/x"],
            &["zkos", "db", "rebuild", "state", "tree", "--datadir=/x"],
        ] {
            assert_eq!(datadir(argv, &[("general_rocks_db_path", "/z")]), Path::new("/x"));
        }
        let vars = [("general_rocks_db_path", "/z")];
        assert_eq!(datadir(&["zkos", "db", "verify"], &vars), Path::new("/z"));
        assert_eq!(datadir(&["zkos", "db", "verify"], &[]), Path::new("./db/node1"));
    }
}
