//! Merges the layers into arguments for clap, which then validates all of them alike, and remembers where each value came from.

use super::{env, file, zkstack};
use clap::{ArgMatches, Command, parser::ValueSource};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file can't be read.
    #[error("can't read configuration file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not parse.
    #[error("configuration file {} is malformed: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        message: String,
    },
    /// A file has a key that no option has.
    #[error("unknown key `{key}` in configuration file {}{}", path.display(), hint(suggestion.as_deref()))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key, joined with dots.
        key: String,
        /// The closest known key.
        suggestion: Option<String>,
    },
    /// A variable holds no `host:port`.
    #[error("environment variable {name}: `{value}` is not an address of the form host:port")]
    Address {
        /// The variable.
        name: String,
        /// Its value.
        value: String,
    },
}

fn hint(suggestion: Option<&str>) -> String {
    suggestion.map(|key| format!(" (did you mean `{key}`?)")).unwrap_or_default()
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Flag,
    /// This environment variable.
    Env(String),
    /// This TOML file.
    File(PathBuf),
    /// This zkstack directory.
    ZkStack(PathBuf),
    /// The default.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Env(name) => write!(f, "env {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::ZkStack(path) => write!(f, "zkstack {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One option as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveValue {
    /// The flag without dashes.
    pub key: String,
    /// Its value; secrets are redacted; `None` when unset.
    pub value: Option<String>,
    /// Where it came from.
    pub source: Source,
}

/// The layers below the command line.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    env: BTreeMap<String, (String, String)>,
    file: Option<PathBuf>,
    zkstack: Option<PathBuf>,
    /// Keys that the file may have although the command at hand has no such option.
    known: BTreeSet<String>,
    used: BTreeMap<String, Source>,
}

impl Layers {
    /// Layers over the given variables (name, value), a TOML file and a zkstack directory. The file is also named by `ZKOS_CONFIG`, the directory by
    /// `general_zkstack_cli_config_dir`.
    pub fn new(
        vars: impl IntoIterator<Item = (String, String)>,
        file: Option<PathBuf>,
        zkstack: Option<PathBuf>,
    ) -> Self {
        let env: BTreeMap<_, _> = vars
            .into_iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), (name, value)))
            .collect();
        let path_of = |name: &str| env.get(name).map(|(_, value)| PathBuf::from(value));
        let file = file.or_else(|| path_of("zkos_config"));
        let zkstack = zkstack.or_else(|| path_of("general_zkstack_cli_config_dir"));
        Self { env, file, zkstack, known: BTreeSet::new(), used: BTreeMap::new() }
    }

    /// Lets the file have the options of another command too, so that one file serves several commands.
    #[must_use]
    pub fn with_known_options(mut self, command: &Command) -> Self {
        let flags = command.get_arguments().filter_map(|arg| arg.get_long());
        self.known.extend(flags.map(ToOwned::to_owned));
        self
    }

    /// Arguments (`--flag=value`) for every option of `command` that the command line left open and a layer sets.
    ///
    /// # Errors
    /// Unreadable or malformed files, unknown keys.
    pub fn arguments(
        &mut self,
        command: &Command,
        matches: &ArgMatches,
    ) -> Result<Vec<OsString>, ConfigError> {
        let flags: BTreeMap<&str, &str> = command
            .get_arguments()
            .filter_map(|arg| Some((arg.get_long()?, arg.get_id().as_str())))
            .collect();
        let mut values: BTreeMap<String, (String, Source)> = BTreeMap::new();
        if let Some(dir) = &self.zkstack {
            for (key, value) in zkstack::read(dir)? {
                values.insert(key, (value, Source::ZkStack(dir.clone())));
            }
        }
        if let Some(path) = &self.file {
            for (key, value) in file::read(path)? {
                if !flags.contains_key(key.as_str()) && !self.known.contains(&key) {
                    let known = flags.keys().copied().chain(self.known.iter().map(String::as_str));
                    return Err(unknown_key(path, key, known));
                }
                values.insert(key, (value, Source::File(path.clone())));
            }
        }
        for (name, addr_flag, port_flag) in env::SPLIT_ADDRESSES {
            if let Some((name, value)) = self.env.get(*name) {
                let (host, port) = value.rsplit_once(':').ok_or_else(|| ConfigError::Address {
                    name: name.clone(),
                    value: value.clone(),
                })?;
                let host = host.trim_matches(['[', ']']);
                let source = Source::Env(name.clone());
                values.insert((*addr_flag).to_owned(), (host.to_owned(), source.clone()));
                values.insert((*port_flag).to_owned(), (port.to_owned(), source));
            }
        }
        for flag in flags.keys() {
            let found = env::env_names(flag).into_iter().find_map(|name| self.env.get(&name));
            if let Some((name, value)) = found.filter(|(_, value)| !value.is_empty()) {
                values.insert((*flag).to_owned(), (value.clone(), Source::Env(name.clone())));
            }
        }
        let mut arguments = Vec::new();
        for (flag, (value, source)) in values {
            let Some(id) = flags.get(flag.as_str()) else { continue };
            if matches.value_source(id) == Some(ValueSource::CommandLine) {
                continue;
            }
            arguments.push(format!("--{flag}={value}").into());
            self.used.insert(flag, source);
        }
        Ok(arguments)
    }

    /// Variables that look like options of this node but are read by none.
    pub fn suspicious_variables(&self, command: &Command) -> Vec<String> {
        let known: Vec<String> = command
            .get_arguments()
            .filter_map(|arg| arg.get_long())
            .flat_map(env::env_names)
            .collect();
        self.env
            .iter()
            .filter(|(name, _)| env::is_suspicious(name, |name| known.iter().any(|k| k == name)))
            .map(|(_, (name, _))| name.clone())
            .collect()
    }

    /// Every option of `command` with its value in `matches`, by flag.
    pub fn effective(&self, command: &Command, matches: &ArgMatches) -> Vec<EffectiveValue> {
        let mut values: Vec<_> = command
            .get_arguments()
            .filter_map(|arg| {
                let key = arg.get_long()?;
                let id = arg.get_id().as_str();
                if matches.try_contains_id(id).is_err() {
                    return None;
                }
                let raw = matches.get_raw(id).map(|values| {
                    let texts: Vec<_> =
                        values.map(|value| value.to_string_lossy().into_owned()).collect();
                    texts.join(",")
                });
                let source = match matches.value_source(id) {
                    None | Some(ValueSource::DefaultValue) => Source::Default,
                    _ => self.used.get(key).cloned().unwrap_or(Source::Flag),
                };
                let value = raw.map(|value| redact(key, value));
                Some(EffectiveValue { key: key.to_owned(), value, source })
            })
            .collect();
        values.sort_by(|a, b| a.key.cmp(&b.key));
        values
    }
}

fn redact(key: &str, value: String) -> String {
    if key.ends_with("-key") {
        return "<redacted>".to_owned();
    }
    if key.ends_with("-url") {
        return value
            .parse::<crate::args::SensitiveUrl>()
            .map_or_else(|_| "<redacted>".to_owned(), |url| url.to_string());
    }
    value
}

fn unknown_key<'a>(path: &Path, key: String, known: impl Iterator<Item = &'a str>) -> ConfigError {
    let last = key.rsplit('.').next().unwrap_or_default().to_owned();
    let suggestion = known
        .filter(|candidate| candidate.rsplit('.').next() == Some(last.as_str()))
        .min_by_key(|candidate| candidate.len())
        .map(ToOwned::to_owned);
    ConfigError::UnknownKey { path: path.to_owned(), key, suggestion }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeConfig;
    use clap::{Args, FromArgMatches};

    fn resolve(
        argv: &[&str],
        vars: &[(&str, &str)],
        toml: Option<&str>,
    ) -> Result<(NodeConfig, Vec<EffectiveValue>, Vec<String>), String> {
        let dir = tempfile::tempdir().unwrap();
        let file = toml.map(|text| {
            let path = dir.path().join("zkos.toml");
            std::fs::write(&path, text).unwrap();
            path
        });
        let command = NodeConfig::augment_args(Command::new("node"));
        let argv: Vec<OsString> =
            std::iter::once("node".into()).chain(argv.iter().map(Into::into)).collect();
        let first = command.clone().try_get_matches_from(&argv).map_err(|e| e.to_string())?;
        let vars = vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let mut layers = Layers::new(vars, file, None);
        let extra = layers.arguments(&command, &first).map_err(|e| e.to_string())?;
        let argv: Vec<OsString> = argv.into_iter().chain(extra).collect();
        let matches = command.clone().try_get_matches_from(argv).map_err(|e| e.to_string())?;
        let config = NodeConfig::from_arg_matches(&matches).map_err(|e| e.to_string())?;
        let suspicious = layers.suspicious_variables(&command);
        Ok((config, layers.effective(&command, &matches), suspicious))
    }

    fn source_of(values: &[EffectiveValue], key: &str) -> (Option<String>, String) {
        let value = values.iter().find(|value| value.key == key).unwrap();
        (value.value.clone(), value.source.to_string())
    }

    #[test]
    fn precedence_is_flag_env_file_default() {
        let toml = "[sequencer]\nblock-time = \"1s\"\nblock_gas_limit = 7\n[http]\nport = 1\n";
        let vars = [("SEQUENCER_BLOCK_TIME", "2s"), ("rpc_address", "127.0.0.1:2")];
        let (config, values, _) = resolve(&["--http.port=3"], &vars, Some(toml)).unwrap();
        assert_eq!(config.rpc.http_port, 3);
        assert_eq!(config.rpc.http_addr.to_string(), "127.0.0.1");
        assert_eq!(config.sequencer.block_time.as_secs(), 2);
        assert_eq!(config.sequencer.block_gas_limit, 7);
        assert_eq!(source_of(&values, "http.port").1, "flag");
        assert_eq!(source_of(&values, "sequencer.block-time").1, "env SEQUENCER_BLOCK_TIME");
        assert!(source_of(&values, "sequencer.block-gas-limit").1.starts_with("file "));
        assert_eq!(source_of(&values, "chain.id"), (Some("270".into()), "default".into()));
    }

    #[test]
    fn one_name_may_set_two_options() {
        let vars = [("prover_api_fake_provers_enabled", "false")];
        let (config, _, _) = resolve(&[], &vars, None).unwrap();
        assert!(!config.prover.fake_fri_enabled && !config.prover.fake_snark_enabled);
    }

    #[test]
    fn unknown_key_in_file_is_an_error_with_a_hint() {
        let error = resolve(&[], &[], Some("[builder]\nblock-time = \"1s\"\n")).unwrap_err();
        assert!(error.contains("unknown key `builder.block-time`"), "{error}");
        assert!(error.contains("did you mean `sequencer.block-time`?"), "{error}");
    }

    #[test]
    fn bad_values_name_the_option() {
        let error = resolve(&[], &[("sequencer_block_time", "soon")], None).unwrap_err();
        assert!(error.contains("--sequencer.block-time"), "{error}");
        let error = resolve(&[], &[("rpc_address", "3050")], None).unwrap_err();
        assert!(error.contains("rpc_address") && error.contains("host:port"), "{error}");
        assert!(resolve(&[], &[], Some("[http\n")).unwrap_err().contains("malformed"));
    }

    #[test]
    fn secrets_are_redacted_and_strangers_reported() {
        let key = "11".repeat(32);
        let vars = [
            ("l1_sender_operator_commit_pk", key.as_str()),
            ("general_l1_rpc_url", "https://host/v2/secret"),
            ("sequencer_blok_time", "1s"),
            ("PATH", "/bin"),
        ];
        let (_, values, suspicious) = resolve(&[], &vars, None).unwrap();
        assert!(!format!("{values:?}").contains(&key));
        assert_eq!(source_of(&values, "l1.rpc-url").0.as_deref(), Some("https://host/<redacted>"));
        assert_eq!(suspicious, ["sequencer_blok_time"]);
    }

    #[test]
    fn zkstack_directory_sets_what_it_knows() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("configs")).unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("ZkStack.yaml", "chain_id: 6565\n");
        let key = "22".repeat(32);
        write("configs/wallets.yaml", &format!("operator:\n  private_key: \"0x{key}\"\n"));
        write(
            "configs/contracts.yaml",
            "ecosystem_contracts:\n  bridgehub_proxy_addr: \"0x1111111111111111111111111111111111111111\"\n",
        );
        write("configs/general.yaml", "api:\n  web3_json_rpc:\n    http_port: 3070\n");
        let command = NodeConfig::augment_args(Command::new("node"));
        let first = command.clone().get_matches_from(["node"]);
        let mut layers = Layers::new([], None, Some(dir.path().to_owned()));
        let extra = layers.arguments(&command, &first).unwrap();
        let argv = std::iter::once(OsString::from("node")).chain(extra);
        let config = NodeConfig::from_arg_matches(&command.get_matches_from(argv)).unwrap();
        assert_eq!((config.chain.chain_id, config.rpc.http_port), (6565, 3070));
        assert!(config.l1_sender.operator_commit_key.is_some());
        assert_eq!(config.datadir.datadir, dir.path().join("db"));
    }
}
