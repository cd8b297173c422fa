//! What clients get wrong, over sockets: right codes, and a connection that stays usable where the protocol allows.

use super::{
    http::{open_websocket, post, read_frame, send_frame, send_raw_frame, try_open_websocket},
    *,
};
use crate::{
    RpcServer, RpcServerHandle,
    server::{FlowLimits, RpcModules},
};
use jsonrpsee::RpcModule;
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

fn args() -> RpcServerArgs {
    RpcServerArgs {
        http_addr: "127.0.0.1".parse().unwrap(),
        http_port: 0,
        max_request_size: 1,
        max_batch_entries: 10,
        max_blocks_per_filter: 3,
        ..Default::default()
    }
}

async fn start(node: &TestNode) -> RpcServerHandle {
    build(node, args()).start().await.unwrap()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("nothing came")
}

/// An HTTP connection that is kept.
struct Kept {
    stream: TcpStream,
}

impl Kept {
    async fn open(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap() }
    }

    async fn send(&mut self, body: &[u8]) {
        let head = format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    }

    /// Status and body of the next response.
    async fn receive(&mut self) -> (u16, Vec<u8>) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within(self.stream.read_u8()).await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap();
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        within(self.stream.read_exact(&mut body)).await.unwrap();
        (head[9..12].parse().unwrap(), body)
    }

    async fn ask(&mut self, body: &[u8]) -> Value {
        self.send(body).await;
        let (_, body) = self.receive().await;
        serde_json::from_slice(&body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&body)))
    }
}

fn request(method: &str, params: Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
}

const GOOD: &[u8] = br#"{"jsonrpc":"2.0","id":5,"method":"net_version","params":[]}"#;

/// Requests and the code of their answer; 0 for a result.
fn cases() -> Vec<(Vec<u8>, i64)> {
    let call = |method: &str, params: Value| request(method, params).into_bytes();
    let address = Address::repeat_byte(1);
    let range = |from: &str, to: &str| json!([{"fromBlock": from, "toBlock": to}]);
    vec![
        // Parameters of wrong types, missing ones; surplus ones are ignored.
        (call("eth_getBalance", json!([])), -32602),
        (call("eth_getBalance", json!(["0x12"])), -32602),
        (call("eth_getBalance", json!([5, "latest"])), -32602),
        (call("eth_getBalance", json!([address, "newest"])), -32602),
        (call("eth_getBalance", json!([address, {"blockHash": "0x1"}])), -32602),
        (call("eth_getBalance", json!([address, "latest", 1, 2, 3])), 0),
        (call("eth_getBalance", json!("text")), -32602),
        (call("eth_getTransactionByHash", json!(["0x01"])), -32602),
        (call("eth_getBlockByNumber", json!(["0x1", "yes"])), -32602),
        (call("eth_getBlockByNumber", json!(["-1", false])), -32602),
        (call("eth_getBlockByNumber", json!(["0x1ffffffffffffffff", false])), -32602),
        (call("eth_getStorageAt", json!([address, "0xzz"])), -32602),
        (call("eth_call", json!(["0x"])), -32602),
        (call("eth_call", json!([{"gas": -1}])), -32602),
        (call("eth_call", json!([{"gas": "0x10000000000000000"}])), -32602),
        (call("eth_feeHistory", json!(["many", "latest"])), -32602),
        (call("eth_sendRawTransaction", json!(["0x"])), -32602),
        (call("eth_sendRawTransaction", json!(["hello"])), -32602),
        (call("debug_traceTransaction", json!([B256::ZERO, {"tracer": 5}])), -32602),
        (call("trace_filter", json!([{"fromBlock": "x"}])), -32602),
        // Blocks that are not there.
        (call("eth_getBlockByNumber", json!(["0xffff", false])), 0),
        (call("eth_getBalance", json!([address, "0xffff"])), -32001),
        (call("eth_call", json!([{}, "0xffff"])), -32001),
        (call("eth_feeHistory", json!(["0x1", "0xffff"])), -32001),
        (call("debug_traceBlockByNumber", json!(["0xffff"])), -32001),
        // Ranges.
        (call("eth_getLogs", range("0x2", "0x1")), -32602),
        (call("eth_getLogs", range("0x0", "0xffffffffffffffff")), -32602),
        (call("eth_getLogs", range("0x5", "0xffffffffffffffff")), 0),
        (call("trace_filter", range("0x9", "0x1")), -32602),
        // Not JSON-RPC.
        (b"".to_vec(), -32700),
        (b"{".to_vec(), -32700),
        (b"nonsense".to_vec(), -32700),
        (b"\xff\xfe\x00".to_vec(), -32700),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_\xff\"}".to_vec(), -32700),
        // Without an id it is not even a request.
        (b"{}".to_vec(), -32700),
        (br#"{"id":1}"#.to_vec(), -32600),
        (b"[]".to_vec(), -32600),
        (br#"{"jsonrpc":"1.0","id":1,"method":"net_version"}"#.to_vec(), -32600),
        (br#"{"jsonrpc":"2.0","id":1,"method":7}"#.to_vec(), -32600),
        (call("eth_", json!([])), -32601),
        (call("", json!([])), -32601),
        // Nested deeper than anything is read.
        ("[".repeat(200_000).into_bytes(), -32700),
        (
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{}1{}]}}"#,
                "[".repeat(100_000),
                "]".repeat(100_000)
            )
            .into_bytes(),
            -32602,
        ),
        (format!("[{}]", ["1"; 11].join(",")).into_bytes(), -32010),
    ]
}

fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or_default()
}

/// What is wrong with an answer.
fn mismatch(request: &[u8], expected: i64, answer: &Value) -> Option<String> {
    let found = code(answer);
    // Whether a request with a broken string is one at all is a matter of taste.
    let broken = std::str::from_utf8(request).is_err() && [-32700, -32600].contains(&found);
    if found == expected || broken {
        return None;
    }
    let request = String::from_utf8_lossy(&request[..request.len().min(120)]);
    Some(format!("{request}: expected {expected}, got {answer}"))
}

#[tokio::test]
async fn http_connections_survive_bad_requests() {
    let (node, _tasks) = test_node();
    for _ in 0..6 {
        node.commit_empty();
    }
    let handle = start(&node).await;
    let mut connection = Kept::open(handle.local_addr()).await;
    let mut wrong = Vec::new();
    for (request, expected) in cases() {
        let answer = connection.ask(&request).await;
        wrong.extend(mismatch(&request, expected, &answer));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Bad entries do not spoil a batch.
    let batch = br#"[1, {"jsonrpc":"2.0","id":2,"method":"net_version"}, {"id":3}, {"jsonrpc":"2.0","id":4,"method":"eth_getCode"}]"#;
    let answer = connection.ask(batch).await;
    assert_eq!(code(&answer[0]), -32600);
    assert_eq!(answer[1]["result"], "270");
    assert_eq!((&answer[2]["id"], code(&answer[2])), (&json!(3), -32600));
    assert_eq!((&answer[3]["id"], code(&answer[3])), (&json!(4), -32602));
    // A notification has no answer but that of HTTP.
    connection.send(br#"{"jsonrpc":"2.0","method":"net_version"}"#).await;
    let (status, body) = connection.receive().await;
    assert!(status == 200 && (body.is_empty() || body == b"null"), "{status} {body:?}");
    assert_eq!(connection.ask(GOOD).await["result"], "270");
    // A subscription needs a connection that both sides can speak on.
    let answer = connection.ask(request("eth_subscribe", json!(["newHeads"])).as_bytes()).await;
    assert_eq!(code(&answer), -32601, "{answer}");
    handle.stop();
    handle.stopped().await;
}

#[tokio::test]
async fn http_rules() {
    let (node, _tasks) = test_node();
    let handle = start(&node).await;
    let address = handle.local_addr();
    let raw = async |head: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        within(stream.read_exact(&mut start)).await.unwrap();
        String::from_utf8_lossy(&start[9..]).into_owned()
    };
    let close = "host: localhost\r\nconnection: close\r\n";
    assert_eq!(raw(&format!("GET / HTTP/1.1\r\n{close}\r\n")).await, "405");
    assert_eq!(
        raw(&format!(
            "POST / HTTP/1.1\r\n{close}content-type: text/html\r\ncontent-length: 0\r\n\r\n"
        ))
        .await,
        "415"
    );
    assert_eq!(raw("no http at all\r\n\r\n").await, "400");
    assert_eq!(raw(&format!("POST / HTTP/1.1\r\n{close}content-length: x\r\n\r\n")).await, "400");
    let huge = request("web3_sha3", json!([format!("0x{}", "00".repeat(600_000))]));
    assert_eq!(post(address, &huge).await.0, 413);
    // Announced too large: refused before it is sent.
    assert_eq!(
        raw(&format!(
            "POST / HTTP/1.1\r\n{close}content-type: application/json\r\ncontent-length: 99999999\r\n\r\n"
        ))
        .await,
        "413"
    );
    // A client that closes its half after the request still gets its answer.
    let mut half = Kept::open(address).await;
    half.send(GOOD).await;
    half.stream.shutdown().await.unwrap();
    let (status, body) = half.receive().await;
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["result"], "270");
    // One that goes away in the middle of a request harms nobody.
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\ncontent-length: 40\r\n\r\n{").await.unwrap();
    drop(stream);
    assert_eq!(post(address, std::str::from_utf8(GOOD).unwrap()).await.0, 200);
    handle.stop();
    handle.stopped().await;
}

#[tokio::test]
async fn websockets_survive_bad_requests() {
    let (node, _tasks) = test_node();
    for _ in 0..6 {
        node.commit_empty();
    }
    let handle = start(&node).await;
    let mut stream = open_websocket(handle.local_addr()).await;
    let mut wrong = Vec::new();
    for (request, expected) in cases() {
        // As a binary frame, for not all of them are text.
        send_raw_frame(&mut stream, 2, &request).await;
        let answer = within(read_frame(&mut stream)).await;
        wrong.extend(mismatch(&request, expected, &answer));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for params in [json!([]), json!(["nonsense"]), json!(["logs", {"address": 5}])] {
        send_frame(&mut stream, &request("eth_subscribe", params)).await;
        assert_eq!(code(&within(read_frame(&mut stream)).await), -32602);
    }
    send_frame(&mut stream, &request("eth_unsubscribe", json!(["0x1"]))).await;
    assert_eq!(within(read_frame(&mut stream)).await["result"], false);
    let huge = request("web3_sha3", json!([format!("0x{}", "00".repeat(600_000))]));
    send_frame(&mut stream, &huge).await;
    assert_eq!(code(&within(read_frame(&mut stream)).await), -32007);
    send_raw_frame(&mut stream, 1, GOOD).await;
    assert_eq!(within(read_frame(&mut stream)).await["result"], "270");
    // Text that is not UTF-8 breaks the protocol: an error, or the end of the connection.
    send_raw_frame(&mut stream, 1, b"\xff\xff").await;
    let mut first = [0];
    let read = within(stream.read(&mut first)).await.unwrap_or_default();
    assert!(read == 0 || [0x81, 0x88, 0x89].contains(&first[0]), "{first:?}");
    handle.stop();
    handle.stopped().await;
}

/// A server with a method that answers a megabyte and counts how often it ran.
async fn start_with_big_answers(limits: FlowLimits) -> (RpcServerHandle, Arc<AtomicUsize>) {
    let ran = Arc::new(AtomicUsize::new(0));
    let mut module = RpcModule::new(ran.clone());
    module
        .register_method("test_big", |_, ran, _| {
            ran.fetch_add(1, Ordering::Relaxed);
            "x".repeat(1024 * 1024)
        })
        .unwrap();
    module.register_method("test_small", |_, _, _| 1).unwrap();
    let mut modules = RpcModules::new("test".parse().unwrap());
    modules.merge_configured(module).unwrap();
    (RpcServer::start_limited(&args(), modules, limits).await.unwrap(), ran)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_readers_cost_little() {
    const REQUESTS: usize = 200;
    let limits = FlowLimits { in_flight: 4, unsent: 4 * 1024 * 1024, ..Default::default() };
    let (handle, ran) = start_with_big_answers(limits).await;
    let mut slow = open_websocket(handle.local_addr()).await;
    for _ in 0..REQUESTS {
        send_frame(&mut slow, &request("test_big", json!([]))).await;
    }
    // Others are served meanwhile, as often as it takes to see the slow one stand still.
    let mut other = Kept::open(handle.local_addr()).await;
    let small = request("test_small", json!([]));
    let mut still = 0;
    let mut last = 0;
    within(async {
        while last == 0 || still < 500 {
            assert_eq!(other.ask(small.as_bytes()).await["result"], 1);
            let now = ran.load(Ordering::Relaxed);
            still = if now == last { still + 1 } else { 0 };
            last = now;
        }
    })
    .await;
    // What the sockets hold, what may be unsent, and what was running.
    assert!(last < REQUESTS / 2, "{last} answers were made for a client that reads none");
    for _ in 0..REQUESTS {
        let answer = within(read_frame(&mut slow)).await;
        assert_eq!(answer["result"].as_str().unwrap().len(), 1024 * 1024);
    }
    assert_eq!(ran.load(Ordering::Relaxed), REQUESTS);
    handle.stop();
    handle.stopped().await;
}

/// Comes again and again until there is a place.
async fn until_there_is_a_place(address: SocketAddr) {
    let head = GOOD.len();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {head}\r\n\r\n"
    );
    let request = [head.as_bytes(), GOOD].concat();
    within(async {
        loop {
            let mut next = Kept::open(address).await;
            // May find itself refused while the server has not seen the other end.
            let _ = next.stream.write_all(&request).await;
            let mut start = [0; 12];
            if next.stream.read_exact(&mut start).await.is_ok() && start.ends_with(b"200") {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn connections_are_limited() {
    let (node, _tasks) = test_node();
    let handle =
        build(&node, RpcServerArgs { max_connections: 1, ..args() }).start().await.unwrap();
    let address = handle.local_addr();
    let mut first = Kept::open(address).await;
    assert_eq!(first.ask(GOOD).await["result"], "270");
    assert_eq!(Kept::open(address).await.receive().await.0, 429);
    assert_eq!(first.ask(GOOD).await["result"], "270");
    drop(first);
    until_there_is_a_place(address).await;
    // A WebSocket has a place as long as it is open, too.
    let mut socket = within(async {
        loop {
            if let Ok(socket) = try_open_websocket(address).await {
                return socket;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    for _ in 0..3 {
        send_frame(&mut socket, std::str::from_utf8(GOOD).unwrap()).await;
        assert_eq!(within(read_frame(&mut socket)).await["result"], "270");
        assert_eq!(Kept::open(address).await.receive().await.0, 429);
    }
    drop(socket);
    until_there_is_a_place(address).await;
    handle.stop();
    handle.stopped().await;
}

#[tokio::test]
async fn transports_have_namespaces_of_their_own() {
    let (node, _tasks) = test_node();
    let split = RpcServerArgs {
        http_api: "eth,net".parse().unwrap(),
        ws_api: Some("net,debug".parse().unwrap()),
        ..args()
    };
    let handle = build(&node, split).start().await.unwrap();
    let mut http = Kept::open(handle.local_addr()).await;
    let mut ws = open_websocket(handle.local_addr()).await;
    for (method, over_http, over_ws) in [
        ("eth_chainId", true, false),
        ("net_version", true, true),
        ("debug_getBadBlocks", false, true),
    ] {
        let request = request(method, json!([]));
        let answer = http.ask(request.as_bytes()).await;
        assert_eq!(code(&answer), if over_http { 0 } else { -32601 }, "{method}");
        let batch = http.ask(format!("[{request}]").as_bytes()).await;
        assert_eq!(code(&batch[0]), if over_http { 0 } else { -32601 }, "{method}");
        send_frame(&mut ws, &request).await;
        let answer = within(read_frame(&mut ws)).await;
        assert_eq!(code(&answer), if over_ws { 0 } else { -32601 }, "{method}");
    }
    let modules = request("rpc_modules", json!([]));
    let served = http.ask(modules.as_bytes()).await["result"].take();
    assert_eq!(served, json!({"eth": "1.0", "net": "1.0", "rpc": "1.0"}));
    send_frame(&mut ws, &modules).await;
    let served = within(read_frame(&mut ws)).await["result"].take();
    assert_eq!(served, json!({"debug": "1.0", "net": "1.0", "rpc": "1.0"}));
    handle.stop();
    handle.stopped().await;
}
