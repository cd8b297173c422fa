//! The configuration reference, made from the argument groups themselves.

use super::{NodeConfig, env_names};
use clap::{Args, Command};
use std::fmt::Write;

/// All options as a Markdown document: flag, environment names, default, meaning. `docs/configuration.md` is this text.
pub fn reference() -> String {
    let command = NodeConfig::augment_args(Command::new("node"));
    let mut text = String::from(
        "# Configuration\n\n\
         Every option is a flag of `zkos node`, an environment variable (any of the names given, upper or lower case), and a key of the TOML file named with\n\
         `--config` (`--sequencer.block-time` is `block-time` in the table `[sequencer]`). A flag wins over a variable, a variable over the file, the file over a zkstack\n\
         directory, that over the default. Unknown keys in a file are an error. `zkos config` prints what is in force and where it came from; secrets are never printed.\n\n\
         `rpc_address=host:port` sets `--http.addr` and `--http.port` together.\n",
    );
    let mut heading = None;
    for arg in command.get_arguments() {
        let Some(flag) = arg.get_long() else { continue };
        let group = arg.get_help_heading();
        if group != heading {
            heading = group;
            let title = group.unwrap_or("Options");
            // Writing to a string can't fail.
            let _ = write!(
                text,
                "\n## {title}\n\n| Flag | Environment | Default | Meaning |\n|---|---|---|---|\n"
            );
        }
        let names: Vec<String> = env_names(flag).iter().map(|name| format!("`{name}`")).collect();
        let defaults: Vec<String> = arg
            .get_default_values()
            .iter()
            .map(|value| value.to_string_lossy().into_owned())
            .collect();
        let default =
            if defaults.is_empty() { String::new() } else { format!("`{}`", defaults.join(",")) };
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "| `--{flag}` | {} | {default} | {help} |", names.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE_DOCS=1` rewrites the file.
    #[test]
    fn document_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let expected = reference();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &expected).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            found == expected,
            "docs/configuration.md is out of date; run this test with UPDATE_DOCS=1"
        );
    }
}
