//! Reads what the `zkstack` tool writes for a chain: `ZkStack.yaml` and `configs/{wallets,contracts,general}.yaml`.

use super::ConfigError;
use serde_yaml_ng::Value;
use std::path::Path;

/// `(file, path of keys, flag)`.
const KEYS: &[(&str, &[&str], &str)] = &[
    ("ZkStack.yaml", &["chain_id"], "chain.id"),
    ("configs/wallets.yaml", &["operator", "private_key"], "l1-sender.operator-commit-key"),
    ("configs/wallets.yaml", &["prove_operator", "private_key"], "l1-sender.operator-prove-key"),
    (
        "configs/wallets.yaml",
        &["execute_operator", "private_key"],
        "l1-sender.operator-execute-key",
    ),
    (
        "configs/contracts.yaml",
        &["ecosystem_contracts", "bridgehub_proxy_addr"],
        "l1.bridgehub-address",
    ),
    ("configs/general.yaml", &["api", "prometheus", "listener_port"], "metrics.port"),
    ("configs/general.yaml", &["api", "web3_json_rpc", "http_port"], "http.port"),
];

pub(super) fn read(dir: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let mut values = vec![("datadir".to_owned(), dir.join("db").display().to_string())];
    for (file, keys, flag) in KEYS {
        let path = dir.join(file);
        let text = std::fs::read_to_string(&path)
            .map_err(|source| ConfigError::Read { path: path.clone(), source })?;
        let root: Value = serde_yaml_ng::from_str(&text).map_err(|error| ConfigError::Parse {
            path: path.clone(),
            message: error.to_string(),
        })?;
        let value = keys.iter().try_fold(&root, |value, key| value.get(*key));
        match value {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => values.push(((*flag).to_owned(), text.clone())),
            Some(Value::Number(number)) => values.push(((*flag).to_owned(), number.to_string())),
            Some(_) => {
                return Err(ConfigError::Parse {
                    path,
                    message: format!("`{}` is neither text nor a number", keys.join(".")),
                });
            }
        }
    }
    Ok(values)
}
