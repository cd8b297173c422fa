//! Asks, and measures.

use super::{
    Manifest, RunArgs,
    cpu::cpu_time,
    holder,
    prepare::{Sender, balance_of, body},
};
use crate::{http::Target, report::Latencies, rpc::Rpc};
use alloy_primitives::{Bytes, TxKind, U256};
use eyre::{Result, WrapErr, ensure, eyre};
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Part of the time of a measurement that passes before it begins.
const WARM_UP: f64 = 0.2;
/// How far into an answer its kind is told.
const HEAD: usize = 64;
const TRANSFER_GAS: u64 = 60_000;

/// Figures of one method.
#[derive(Debug, Serialize)]
struct Row {
    method: &'static str,
    connections: usize,
    requests_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// CPU time of the node per request, microseconds, if its process is known.
    node_cpu_us: Option<f64>,
    /// Bytes of the first answer.
    answer_bytes: usize,
    /// Entries of the first answer, if it is a list.
    answer_entries: Option<usize>,
}

/// A method, and the requests that each connection sends again and again.
#[derive(Debug)]
struct Question {
    method: &'static str,
    bodies: Vec<Vec<u8>>,
    /// Whether an answer is one that was hoped for.
    accept: fn(&Value) -> bool,
}

impl Question {
    fn new(
        method: &'static str,
        params: impl IntoIterator<Item = Value>,
        accept: fn(&Value) -> bool,
    ) -> Self {
        let bodies = params.into_iter().map(|params| body(method, &params)).collect();
        Self { method, bodies, accept }
    }
}

fn questions(manifest: &Manifest) -> Result<Vec<Question>> {
    let token = manifest.token.ok_or_else(|| eyre!("the manifest names no token"))?;
    let (first, last) = manifest.logs.ok_or_else(|| eyre!("the manifest names no logs"))?;
    ensure!(!manifest.transactions.is_empty(), "the manifest names no transactions");
    let filter = json!([{
        "address": token,
        "fromBlock": format!("0x{first:x}"),
        "toBlock": format!("0x{last:x}"),
    }]);
    let holders = || (0..256).map(holder);
    Ok(vec![
        Question::new("eth_chainId", [json!([])], Value::is_string),
        Question::new(
            "eth_getBalance",
            holders().map(|account| json!([account, "latest"])),
            Value::is_string,
        ),
        Question::new(
            "eth_getTransactionReceipt",
            manifest.transactions.iter().map(|hash| json!([hash])),
            Value::is_object,
        ),
        Question::new(
            "eth_call",
            holders().map(|account| json!([{"to": token, "data": balance_of(account)}, "latest"])),
            |result| result.as_str().is_some_and(|balance| balance.len() == 66),
        ),
        Question::new("eth_getLogs", [filter], |result| {
            result.as_array().is_some_and(|logs| !logs.is_empty())
        }),
    ])
}

/// Prints one line of JSON.
pub(super) async fn run(args: &RunArgs) -> Result<()> {
    let target = Target::new(&args.node.rpc_url)?;
    let manifest = Manifest::load(&args.node.manifest)?;
    let duration = Duration::from_millis(args.duration);
    let mut rows = Vec::new();
    for question in questions(&manifest)? {
        let question = Arc::new(question);
        for &connections in &args.connections {
            let row = measure(&target, &question, connections, duration, args.node_pid).await;
            rows.push(row.wrap_err(question.method)?);
        }
    }
    rows.push(send_to_receipt(&target, args).await.wrap_err("eth_sendRawTransactionSync")?);
    println!("{}", serde_json::to_string(&rows)?);
    Ok(())
}

async fn measure(
    target: &Target,
    question: &Arc<Question>,
    connections: usize,
    duration: Duration,
    node_pid: Option<u32>,
) -> Result<Row> {
    ensure!(connections > 0, "no connections");
    // Parsed once; the answers that are counted are only looked at.
    let mut connection = target.connect().await?;
    let first: Value = serde_json::from_slice(connection.post(&question.bodies[0]).await?)?;
    ensure!((question.accept)(&first["result"]), "unexpected answer {first}");
    let answer_bytes = first.to_string().len();
    let answer_entries = first["result"].as_array().map(Vec::len);

    let node_cpu = || node_pid.map(cpu_time).transpose();
    let cpu_before = node_cpu()?;
    let started = Instant::now() + duration.mul_f64(WARM_UP);
    let deadline = started + duration;
    let mut tasks = Vec::new();
    for index in 0..connections {
        let (target, question) = (target.clone(), question.clone());
        tasks.push(tokio::spawn(async move {
            let mut connection = target.connect().await?;
            let (mut latencies, mut asked) = (Latencies::default(), 0u64);
            // Each connection begins at another place.
            let mut next = index * question.bodies.len() / connections;
            loop {
                let sent = Instant::now();
                if sent >= deadline {
                    return Ok::<_, eyre::Report>((latencies, asked));
                }
                let answer = connection.post(&question.bodies[next]).await?;
                let head = &answer[..answer.len().min(HEAD)];
                let good = head.windows(8).any(|part| part == b"\"result\"");
                ensure!(good, "refused: {}", String::from_utf8_lossy(answer));
                next = (next + 1) % question.bodies.len();
                asked += 1;
                if sent >= started {
                    latencies.record(sent.elapsed());
                }
            }
        }));
    }
    let (mut latencies, mut asked) = (Latencies::default(), 0);
    for task in tasks {
        let (of_task, asked_by_task) = task.await??;
        latencies.merge(of_task);
        asked += asked_by_task;
    }
    let node_cpu_us = cpu_before
        .zip(node_cpu()?)
        .map(|(before, after)| after.saturating_sub(before).as_secs_f64() * 1e6 / asked as f64);
    let count = latencies.len();
    ensure!(count > 0, "nothing was answered in time");
    let [p50_ms, p99_ms] = latencies.percentiles([50, 99]);
    Ok(Row {
        method: question.method,
        connections,
        requests_per_s: count as f64 / duration.as_secs_f64(),
        p50_ms,
        p99_ms,
        node_cpu_us,
        answer_bytes,
        answer_entries,
    })
}

/// Transactions one after the other, on a node that does nothing else.
async fn send_to_receipt(target: &Target, args: &RunArgs) -> Result<Row> {
    let mut rpc = Rpc::connect(target).await?;
    let mut sender = Sender::new(&mut rpc, &args.node).await?;
    let mut connection = target.connect().await?;
    let mut latencies = Latencies::default();
    let (started, mut answer_bytes) = (Instant::now(), 0);
    for number in 0..args.sends {
        let to = TxKind::Call(holder(number));
        let raw = sender.sign(to, U256::from(1), Bytes::new(), TRANSFER_GAS)?;
        let body = body("eth_sendRawTransactionSync", &json!([raw]));
        let sent = Instant::now();
        let answer = connection.post(&body).await?;
        latencies.record(sent.elapsed());
        let answer: Value = serde_json::from_slice(answer)?;
        ensure!(answer["result"]["status"] == "0x1", "no receipt, but {answer}");
        answer_bytes = answer.to_string().len();
    }
    let requests_per_s = args.sends as f64 / started.elapsed().as_secs_f64();
    let [p50_ms, p99_ms] = latencies.percentiles([50, 99]);
    Ok(Row {
        method: "eth_sendRawTransactionSync",
        connections: 1,
        requests_per_s,
        p50_ms,
        p99_ms,
        node_cpu_us: None,
        answer_bytes,
        answer_entries: None,
    })
}
