//! The command line and the layers below it.

use crate::db::DbCommand;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use eyre::WrapErr;
use std::{ffi::OsString, fmt, path::PathBuf};
use zkos_node_core::{
    NodeConfig,
    args::{ChainArgs, L1Args, SecretKey},
    config::{EffectiveValue, Layers},
};

/// No options besides the node's own. reth: `NoArgs`.
#[derive(Debug, Clone, Copy, Default, Args)]
#[non_exhaustive]
pub struct NoArgs;

/// A node for ZKsync OS chains
#[derive(Debug, Parser)]
#[command(name = "zkos", version, about)]
pub(crate) struct Cli<Ext: Args + fmt::Debug = NoArgs> {
    #[command(subcommand)]
    pub(crate) command: Command<Ext>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command<Ext: Args + fmt::Debug = NoArgs> {
    /// Run a node; the default when no command is given
    Node(Box<NodeCommand<Ext>>),
    /// Print the effective configuration of `node` and where each value came from
    Config(Box<NodeCommand<Ext>>),
    /// Look at, check, copy and delete databases
    Db(DbCommand),
    /// Deposit ether from L1 to L2
    Deposit(DepositCommand),
    /// Execute a batch again from its input alone, and compare it with what was claimed
    #[command(name = "verify-batch")]
    VerifyBatch(VerifyBatchCommand),
}

#[derive(Debug, Args)]
pub(crate) struct NodeCommand<Ext: Args + fmt::Debug = NoArgs> {
    #[command(flatten)]
    pub(crate) config: NodeConfig,
    #[command(flatten)]
    pub(crate) files: FileArgs,
    #[command(flatten)]
    pub(crate) ext: Ext,
}

/// Where else configuration comes from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Configuration files")]
pub(crate) struct FileArgs {
    /// TOML file with options; also named by the variable ZKOS_CONFIG
    #[arg(long = "config", value_name = "FILE")]
    pub(crate) config_file: Option<PathBuf>,
    /// Directory that zkstack wrote for the chain; also named by general_zkstack_cli_config_dir
    #[arg(long = "zkstack-dir", value_name = "DIR")]
    pub(crate) zkstack_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DepositCommand {
    /// Amount, wei
    #[arg(long, value_name = "WEI", default_value = "100000000000000000000")]
    pub(crate) amount: alloy_primitives::U256,
    /// Receives the amount on L2; default: the depositor
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) to: Option<alloy_primitives::Address>,
    /// Key of the depositor on L1; default: the rich account of the shipped local L1
    #[arg(long = "private-key", value_name = "KEY")]
    pub(crate) private_key: Option<SecretKey>,
    #[command(flatten)]
    pub(crate) chain: ChainArgs,
    #[command(flatten)]
    pub(crate) l1: L1Args,
    #[command(flatten)]
    pub(crate) files: FileArgs,
}

/// Where the batch comes from: a file that holds input and claim, or a node and L1.
#[derive(Debug, Args)]
pub(crate) struct VerifyBatchCommand {
    /// File with a batch's input and claim, as written by --save
    #[arg(value_name = "FILE", required_unless_present = "verify.rpc")]
    pub(crate) file: Option<PathBuf>,
    /// Node that gives the input; the claim is read from L1
    #[arg(
        id = "verify.rpc",
        long = "rpc",
        value_name = "URL",
        conflicts_with = "file",
        requires = "verify.batch"
    )]
    pub(crate) rpc: Option<url::Url>,
    /// Number of the batch
    #[arg(id = "verify.batch", long = "batch", value_name = "N", requires = "verify.rpc")]
    pub(crate) batch: Option<u64>,
    /// Write input and claim to a file
    #[arg(id = "verify.save", long = "save", value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) chain: ChainArgs,
    #[command(flatten)]
    pub(crate) l1: L1Args,
    #[command(flatten)]
    pub(crate) files: FileArgs,
}

/// A parsed command line with what `config` prints and what deserves a warning.
#[derive(Debug)]
pub(crate) struct Parsed<Ext: Args + fmt::Debug = NoArgs> {
    pub(crate) cli: Cli<Ext>,
    pub(crate) effective: Vec<EffectiveValue>,
    pub(crate) suspicious_variables: Vec<String>,
}

/// Parses arguments and merges environment and files below them. Ends the process for `--help`, `--version` and wrong usage, as clap does.
pub(crate) fn parse<Ext: Args + fmt::Debug>(
    argv: impl IntoIterator<Item = OsString>,
    vars: impl IntoIterator<Item = (String, String)>,
) -> eyre::Result<Parsed<Ext>> {
    let argv = with_default_command(argv.into_iter().collect());
    let command = Cli::<Ext>::command();
    let matches = command.clone().get_matches_from(&argv);
    let Some((name, sub_matches)) = matches.subcommand() else {
        // clap has already refused a command line without a command.
        eyre::bail!("no command given");
    };
    let sub_command =
        command.find_subcommand(name).ok_or_else(|| eyre::eyre!("unknown command {name}"))?;

    let files = FileArgs::from_arg_matches(sub_matches)?;
    // One file configures the node and all tools beside it.
    let mut layers = Layers::new(vars, files.config_file, files.zkstack_dir)
        .with_known_options(&NodeCommand::<Ext>::augment_args(clap::Command::new("node")));
    let extra = layers.arguments(sub_command, sub_matches).wrap_err("configuration")?;
    let position = argv.iter().position(|arg| arg == name).map_or(argv.len(), |index| index + 1);
    let merged: Vec<OsString> = argv[..position]
        .iter()
        .cloned()
        .chain(extra)
        .chain(argv[position..].iter().cloned())
        .collect();
    let matches = command.clone().get_matches_from(merged);
    let effective = matches
        .subcommand()
        .map(|(_, sub_matches)| layers.effective(sub_command, sub_matches))
        .unwrap_or_default();
    let suspicious_variables = layers.suspicious_variables(sub_command);
    Ok(Parsed { cli: Cli::from_arg_matches(&matches)?, effective, suspicious_variables })
}

/// `zkos` and `zkos --flag` mean `zkos node ..`.
fn with_default_command(mut argv: Vec<OsString>) -> Vec<OsString> {
    let general = ["-h", "--help", "-V", "--version", "help"];
    let first = argv.get(1).map(|arg| arg.to_string_lossy().into_owned());
    let is_flag =
        first.as_deref().is_none_or(|arg| arg.starts_with('-') && !general.contains(&arg));
    if is_flag {
        argv.insert(1.min(argv.len()), "node".into());
    }
    argv
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(argv: &[&str]) -> Parsed {
        parse(argv.iter().map(Into::into), []).unwrap()
    }

    #[test]
    fn node_is_the_default_command() {
        assert!(matches!(parsed(&["zkos"]).cli.command, Command::Node(_)));
        let Command::Node(node) = parsed(&["zkos", "--http.port=7"]).cli.command else { panic!() };
        assert_eq!(node.config.rpc.http_port, 7);
    }

    #[test]
    fn environment_reaches_every_command() {
        let vars = [("general_l1_rpc_url".to_owned(), "http://l1:1".to_owned())];
        let argv = ["zkos", "deposit", "--amount=5"].map(Into::into);
        let parsed = parse::<NoArgs>(argv, vars).unwrap();
        let Command::Deposit(deposit) = parsed.cli.command else { panic!() };
        assert_eq!(deposit.l1.rpc_url.to_string(), "http://l1:1");
        assert_eq!(deposit.amount.to_string(), "5");
    }

    #[test]
    fn every_command_takes_the_nodes_file_and_none_takes_unknown_keys() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("zkos.toml");
        let config = format!("--config={}", file.display());
        let node = ["zkos", "node", &config];
        let db = ["zkos", "db", &config, "stats"];
        let deposit = ["zkos", "deposit", &config];
        let with = |text: &str, argv: &[&str]| {
            std::fs::write(&file, text).unwrap();
            parse::<NoArgs>(argv.iter().map(Into::into), [])
        };
        let known = "datadir = \"/of/the/file\"\n[sequencer]\nblock-time = \"1s\"\n[l1]\nrpc-url = \"http://l1:1\"\n";
        for argv in [&node[..], &db, &deposit] {
            match with(known, argv).unwrap().cli.command {
                Command::Node(node) => assert_eq!(node.config.sequencer.block_time.as_secs(), 1),
                Command::Db(db) => assert_eq!(db.datadir.datadir, PathBuf::from("/of/the/file")),
                Command::Deposit(deposit) => {
                    assert_eq!(deposit.l1.rpc_url.to_string(), "http://l1:1");
                }
                other => panic!("{other:?}"),
            }
            let unknown = "[sequencer]\nblock-tiem = \"1s\"\n";
            let error = format!("{:#}", with(unknown, argv).unwrap_err());
            assert!(error.contains("unknown key `sequencer.block-tiem`"), "{error}");
        }
        // What only a tool has does not belong into the node's file.
        let error = format!("{:#}", with("amount = 5\n", &node).unwrap_err());
        assert!(error.contains("unknown key `amount`"), "{error}");
    }

    #[derive(Debug, Args)]
    struct IndexerArgs {
        #[arg(long = "indexer.size", default_value_t = 1)]
        size: u64,
    }

    #[test]
    fn options_of_a_plug_in_come_from_all_layers() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("zkos.toml");
        std::fs::write(&file, "[indexer]\nsize = 2\n").unwrap();
        let config = format!("--config={}", file.display());
        let size = |argv: &[&str], vars: &[(&str, &str)]| {
            let vars = vars.iter().map(|(name, value)| (name.to_string(), value.to_string()));
            let parsed = parse::<IndexerArgs>(argv.iter().map(Into::into), vars).unwrap();
            let Command::Node(node) = parsed.cli.command else { panic!() };
            node.ext.size
        };
        assert_eq!(size(&["zkos"], &[]), 1);
        assert_eq!(size(&["zkos", "node", &config], &[]), 2);
        let vars = [("ZKOS_INDEXER_SIZE", "3")];
        assert_eq!(size(&["zkos", "node", &config], &vars), 3);
        assert_eq!(size(&["zkos", "node", &config, "--indexer.size=4"], &vars), 4);
        // The tools beside such a node read the same file.
        assert!(parse::<IndexerArgs>(["zkos", "db", &config, "stats"].map(Into::into), []).is_ok());
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::<NoArgs>::command().debug_assert();
    }
}
