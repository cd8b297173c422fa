//! `docs/rpc.md` against the methods that are registered.

use super::*;
use crate::server::SHORT;
use std::collections::BTreeSet;

const DOCS: &str = include_str!("../../../../docs/rpc.md");
/// Namespaces of plug-ins, checked where those are.
const OTHERS: [&str; 2] = ["ots", "erigon"];
/// Methods that plug-ins add to the namespaces of this crate.
const ADDED: [&str; 1] = ["zks_getBatchInput"];

/// Methods of the table `Methods`, with their status.
fn documented() -> Vec<(String, &'static str)> {
    let (_, table) = DOCS.split_once("## Methods").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let mut methods = Vec::new();
    for row in table.lines() {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [namespace, status, names] = cells[..] else { continue };
        let Some(namespace) = namespace.strip_prefix('`').and_then(|n| n.strip_suffix('`')) else {
            continue;
        };
        // What stands in brackets is no method.
        let outside = names.split('(').map(|part| part.rsplit(')').next().unwrap());
        for name in outside.flat_map(|part| part.split('`').skip(1).step_by(2)) {
            methods.push((format!("{namespace}_{name}"), status));
        }
    }
    methods
}

#[tokio::test]
async fn the_list_of_methods_is_that_of_the_node() {
    let documented = documented();
    let names: BTreeSet<_> = documented.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), documented.len(), "a method stands there twice");
    let rpc = TestRpc::new();
    let served: BTreeSet<_> = rpc.methods.method_names().collect();
    let missing: Vec<_> = served.difference(&names).collect();
    assert!(missing.is_empty(), "served, but not in docs/rpc.md: {missing:?}");
    let own = |name: &&&str| {
        let namespace = name.split('_').next().unwrap();
        !OTHERS.contains(&namespace) && !ADDED.contains(*name)
    };
    let gone: Vec<_> = names.difference(&served).filter(own).collect();
    assert!(gone.is_empty(), "in docs/rpc.md, but not served: {gone:?}");
    let unknown: Vec<_> = SHORT.iter().filter(|name| !served.contains(*name)).collect();
    assert!(unknown.is_empty(), "taken for short, but not served: {unknown:?}");
    // The status of those that are refused, whatever their parameters are.
    for (name, status) in &documented {
        if *status != "refused" {
            continue;
        }
        let params = match name.as_str() {
            "eth_getAccount" => json!([COINBASE]),
            "eth_getProof" => json!([COINBASE, [], "latest"]),
            "eth_submitHashrate" => json!(["0x0", B256::ZERO]),
            "eth_submitWork" => json!(["0x0000000000000000", B256::ZERO, B256::ZERO]),
            "eth_sendTransaction" | "eth_signTransaction" => json!([{}]),
            "eth_sign" | "eth_signTypedData" => json!([COINBASE, "0x"]),
            _ => json!([]),
        };
        let (code, message, _) = rpc.err(name, params).await;
        assert!(code == -32004 || code == -32000, "{name}: {code} {message}");
    }
}
