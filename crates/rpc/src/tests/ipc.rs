//! The Unix socket, spoken to as geth's clients do.

use super::*;
use crate::{RpcServerError, RpcServerHandle};
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
};

const CHAIN_ID_CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;

/// A folder that is removed at the end. Short, as paths of sockets must be.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("zkos-ipc-{}", crate::server::random_id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("node.ipc")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn args(path: &Path) -> RpcServerArgs {
    RpcServerArgs {
        http_addr: "127.0.0.1".parse().unwrap(),
        http_port: 0,
        ipc_path: Some(path.to_owned()),
        max_request_size: 1,
        max_batch_entries: 2,
        ..Default::default()
    }
}

async fn start(node: &TestNode, path: &Path) -> Result<RpcServerHandle, RpcServerError> {
    build(node, args(path)).start().await
}

/// A connection that reads line by line.
struct Client(BufReader<UnixStream>);

impl Client {
    async fn connect(path: &Path) -> Self {
        Self(BufReader::new(UnixStream::connect(path).await.unwrap()))
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next answer; `None` at the end of the connection.
    async fn receive(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = tokio::time::timeout(Duration::from_secs(10), self.0.read_line(&mut line));
        let read = read.await.expect("no answer").unwrap();
        (read > 0).then(|| serde_json::from_str(&line).unwrap())
    }

    async fn ask(&mut self, text: &str) -> Value {
        self.send(text).await;
        self.receive().await.unwrap()
    }
}

#[tokio::test]
async fn calls_batches_and_subscriptions() {
    let (node, _tasks) = test_node();
    let folder = Folder::new();
    // What the network may not ask, the operator of the machine may.
    let args = RpcServerArgs { http_api: "net".parse().unwrap(), ..args(&folder.socket()) };
    let handle = build(&node, args).start().await.unwrap();
    let mut client = Client::connect(&folder.socket()).await;
    assert_eq!(
        client.ask(CHAIN_ID_CALL).await,
        json!({"jsonrpc": "2.0", "id": 1, "result": "0x10e"})
    );
    let modules = client.ask(r#"{"jsonrpc":"2.0","id":2,"method":"rpc_modules"}"#).await;
    assert!(modules["result"]["debug"].is_string(), "{modules}");

    // Several requests in one write, with nothing or anything between them, and one in two writes.
    client.send(&format!("{CHAIN_ID_CALL}{CHAIN_ID_CALL}\n\n [{CHAIN_ID_CALL}]")).await;
    let mut answers = [client.receive().await, client.receive().await, client.receive().await];
    answers.sort_by_key(|answer| answer.as_ref().is_some_and(Value::is_array));
    assert_eq!(answers[0].as_ref().unwrap()["result"], "0x10e");
    assert_eq!(answers[2].as_ref().unwrap()[0]["result"], "0x10e");
    let (head, tail) = CHAIN_ID_CALL.split_at(20);
    client.send(head).await;
    assert_eq!(client.ask(tail).await["result"], "0x10e");

    let subscribe = r#"{"jsonrpc":"2.0","id":3,"method":"eth_subscribe","params":["newHeads"]}"#;
    let id = client.ask(subscribe).await["result"].take();
    assert_eq!(id.as_str().unwrap().len(), 34, "{id}");
    let block = node.commit_empty();
    let notification = client.receive().await.unwrap();
    assert_eq!(notification["method"], "eth_subscription");
    assert_eq!(notification["params"]["subscription"], id);
    assert_eq!(notification["params"]["result"]["hash"], json!(block.hash()));
    let unsubscribe =
        format!(r#"{{"jsonrpc":"2.0","id":4,"method":"eth_unsubscribe","params":[{id}]}}"#);
    assert_eq!(client.ask(&unsubscribe).await["result"], true);
    // A notification of the client has no answer.
    client.send(r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#).await;
    assert_eq!(client.ask(CHAIN_ID_CALL).await["id"], 1);
    handle.stop();
    handle.stopped().await;
}

#[tokio::test]
async fn bad_requests_have_their_codes() {
    let (node, _tasks) = test_node();
    let folder = Folder::new();
    let handle = start(&node, &folder.socket()).await.unwrap();
    let mut client = Client::connect(&folder.socket()).await;
    for (text, code) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_no"}"#.to_owned(), -32601),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":[5]}"#.to_owned(), -32602),
        (r#"{"id":1,"method":5}"#.to_owned(), -32600),
        (r#"{"id":}"#.to_owned(), -32700),
        ("[1,]".to_owned(), -32700),
        (format!("[{CHAIN_ID_CALL},{CHAIN_ID_CALL},{CHAIN_ID_CALL}]"), -32010),
        ("[]".to_owned(), -32600),
    ] {
        assert_eq!(client.ask(&text).await["error"]["code"], code, "{text}");
    }
    let mixed = client.ask(&format!("[{CHAIN_ID_CALL},{{\"id\":7}}]")).await;
    assert_eq!(
        (&mixed[0]["result"], &mixed[1]["error"]["code"]),
        (&json!("0x10e"), &json!(-32600))
    );
    assert_eq!(client.ask(CHAIN_ID_CALL).await["result"], "0x10e");

    // After what is not JSON nobody knows where the next request begins.
    assert_eq!(client.ask("GET / HTTP/1.1\r\n\r\n").await["error"]["code"], -32700);
    assert_eq!(client.receive().await, None);
    let mut client = Client::connect(&folder.socket()).await;
    let huge = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"web3_sha3","params":["0x{}"]}}"#,
        "00".repeat(600_000)
    );
    // The rest is refused while it is written.
    let _ = client.0.write_all(huge.as_bytes()).await;
    assert_eq!(client.receive().await.unwrap()["error"]["code"], -32007);
    handle.stop();
    handle.stopped().await;
}

#[tokio::test]
async fn who_has_said_everything_is_still_answered() {
    let (node, _tasks) = test_node();
    let folder = Folder::new();
    let handle = start(&node, &folder.socket()).await.unwrap();
    let mut stream = UnixStream::connect(folder.socket()).await.unwrap();
    stream.write_all(CHAIN_ID_CALL.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("\"0x10e\"}\n"), "{answer}");
    handle.stop();
    handle.stopped().await;
}

#[tokio::test]
async fn the_socket_is_there_while_the_server_is() {
    let (node, _tasks) = test_node();
    let folder = Folder::new();
    let path = folder.socket();
    let handle = start(&node, &path).await.unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Another node does not take it away.
    let error = start(&node, &path).await.unwrap_err();
    assert!(matches!(&error, RpcServerError::IpcInUse(at) if *at == path), "{error}");
    let mut client = Client::connect(&path).await;
    assert_eq!(client.ask(CHAIN_ID_CALL).await["result"], "0x10e");
    handle.stop();
    handle.stopped().await;
    assert_eq!(client.receive().await, None);
    assert!(!path.exists());

    // Left behind by a node that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let handle = start(&node, &path).await.unwrap();
    assert_eq!(Client::connect(&path).await.ask(CHAIN_ID_CALL).await["result"], "0x10e");
    // What somebody else put in its place stays.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "mine").unwrap();
    handle.stop();
    handle.stopped().await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");

    let error = start(&node, &path).await.unwrap_err();
    assert!(matches!(error, RpcServerError::IpcNoSocket(_)), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    let nowhere = folder.0.join("nowhere").join("node.ipc");
    let error = start(&node, &nowhere).await.unwrap_err();
    assert!(matches!(error, RpcServerError::Ipc { .. }), "{error}");
}
