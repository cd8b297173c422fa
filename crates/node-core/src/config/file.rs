//! The TOML file. Tables are joined with dots: `[sequencer] block-time = "1s"` sets `--sequencer.block-time`; underscores stand for hyphens.

use super::ConfigError;
use std::path::Path;
use toml::{Table, Value};

pub(super) fn read(path: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Parse {
        path: path.to_owned(),
        message: error.to_string().trim().replace('\n', "; "),
    })?;
    let mut values = Vec::new();
    flatten(path, "", &table, &mut values)?;
    Ok(values)
}

fn flatten(
    path: &Path,
    prefix: &str,
    table: &Table,
    values: &mut Vec<(String, String)>,
) -> Result<(), ConfigError> {
    for (key, value) in table {
        let key = format!("{prefix}{}", key.replace('_', "-"));
        let text = match value {
            Value::Table(inner) => {
                flatten(path, &format!("{key}."), inner, values)?;
                continue;
            }
            Value::String(text) => text.clone(),
            Value::Array(items) => items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), ToOwned::to_owned))
                .collect::<Vec<_>>()
                .join(","),
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => value.to_string(),
            Value::Datetime(_) => {
                return Err(ConfigError::Parse {
                    path: path.to_owned(),
                    message: format!("`{key}` is a date, which no option takes"),
                });
            }
        };
        values.push((key, text));
    }
    Ok(())
}
