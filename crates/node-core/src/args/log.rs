use clap::{Args, ValueEnum};
use std::fmt;

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Terminal,
    /// One JSON object per line.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminal => "terminal",
            Self::Json => "json",
        })
    }
}

/// Logging.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Logging")]
pub struct LogArgs {
    /// Form of log lines
    #[arg(id = "log.format", long = "log.format", value_name = "FORMAT", default_value_t = LogFormat::Terminal, ignore_case = true)]
    pub format: LogFormat,
    /// Filter, e.g. `info,engine=debug`; the environment variable RUST_LOG wins
    #[arg(id = "log.filter", long = "log.filter", value_name = "FILTER", default_value = "info")]
    pub filter: String,
    /// Colour on a terminal
    #[arg(id = "log.color", long = "log.color", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub color: bool,
}

impl Default for LogArgs {
    fn default() -> Self {
        Self { format: LogFormat::Terminal, filter: "info".to_owned(), color: true }
    }
}
