//! The shape of every method's answer, compared with the recorded one in the JSON files beside this module. A method that is served but has no sample here fails.
//!
//! `ZKOS_GOLDEN=record cargo nextest run -p zkos-rpc golden` records them anew; what changed is then in the diff.

mod samples;
mod shape;

use samples::samples;
use serde_json::Value;
use shape::Shape;
use std::{collections::BTreeMap, fs, path::PathBuf};

/// Shapes by method, for one namespace.
type Shapes = BTreeMap<String, Value>;

fn path(namespace: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/tests/golden");
    folder.join(format!("{namespace}.json"))
}

fn recorded(namespace: &str) -> Shapes {
    let path = path(namespace);
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; record it", path.display()));
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn answers_have_their_recorded_shapes() {
    let samples = samples().await;
    // By method; methods with several kinds of answers have one entry for each.
    let mut shapes = BTreeMap::<String, Shape>::new();
    for sample in &samples.answers {
        let new = match &sample.answer {
            Ok(value) => Shape::of(value),
            Err(code) => Shape::error(*code),
        };
        shapes.entry(sample.name()).or_default().merge(new);
    }
    let without: Vec<_> = samples
        .served
        .iter()
        .filter(|method| !samples.answers.iter().any(|sample| sample.method == **method))
        .collect();
    assert!(without.is_empty(), "served, but without a sample: {without:?}");

    let mut by_namespace = BTreeMap::<String, Shapes>::new();
    for (name, shape) in &shapes {
        let (namespace, _) = name.split_once('_').unwrap();
        let shapes = by_namespace.entry(namespace.to_owned()).or_default();
        shapes.insert(name.clone(), shape.to_json());
    }
    let text = serde_json::to_string(&by_namespace).unwrap();
    assert!(!text.contains("malformed hex"), "{text}");
    if std::env::var("ZKOS_GOLDEN").is_ok_and(|value| value == "record") {
        for (namespace, shapes) in &by_namespace {
            let text = serde_json::to_string_pretty(shapes).unwrap();
            fs::write(path(namespace), format!("{text}\n")).unwrap();
        }
        return;
    }
    let mut differences = Vec::new();
    for (namespace, shapes) in &by_namespace {
        let recorded = recorded(namespace);
        let names: std::collections::BTreeSet<_> = shapes.keys().chain(recorded.keys()).collect();
        for name in names {
            let (now, then) = (shapes.get(name), recorded.get(name));
            if now != then {
                differences.push(format!(
                    "{name}\n  recorded: {}\n  now:      {}",
                    show(then),
                    show(now)
                ));
            }
        }
    }
    assert!(
        differences.is_empty(),
        "{} shapes differ (ZKOS_GOLDEN=record records them anew):\n{}",
        differences.len(),
        differences.join("\n")
    );
}

fn show(shape: Option<&Value>) -> String {
    shape.map_or_else(|| "nothing".to_owned(), Value::to_string)
}

/// What Ethereum's clients read from a transaction and its receipt, whatever was recorded.
#[test]
fn recorded_shapes_have_what_clients_read() {
    let receipt = "blockHash blockNumber contractAddress cumulativeGasUsed effectiveGasPrice from gasUsed logs logsBloom status to transactionHash transactionIndex type l2ToL1Logs";
    let block = "baseFeePerGas difficulty extraData gasLimit gasUsed hash logsBloom miner mixHash nonce number parentHash receiptsRoot sha3Uncles size stateRoot timestamp transactions transactionsRoot uncles";
    for (name, expected) in
        [("eth_getTransactionReceipt", receipt), ("eth_getBlockByNumber", block)]
    {
        let Value::Object(recorded) = &recorded("eth")[name] else { panic!("{name}") };
        // Unknown ones are `null`.
        let forms = recorded["oneOf"].as_array().unwrap();
        assert!(forms.contains(&Value::from("null")), "{name}");
        let object = forms.iter().find_map(Value::as_object).unwrap();
        for field in expected.split_whitespace() {
            assert!(object.contains_key(field), "{name} lacks {field}");
        }
    }
    assert_eq!(recorded("txpool")["txpool_status"]["pending"], "quantity");
}
