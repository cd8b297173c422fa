//! The server itself, spoken to over a socket.

use super::*;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(super) async fn post(address: SocketAddr, body: &str) -> (u16, String) {
    let request = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\norigin: http://a.example\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap();
    let response = String::from_utf8(response).unwrap();
    let status = response[9..12].parse().unwrap();
    (status, response)
}

fn body(response: &str) -> Value {
    serde_json::from_str(response.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn protocol_errors_and_limits() {
    let (node, _tasks) = test_node();
    let args = RpcServerArgs {
        http_addr: "127.0.0.1".parse().unwrap(),
        http_port: 0,
        max_request_size: 1,
        max_batch_entries: 2,
        http_corsdomain: "http://a.example".to_owned(),
        ..Default::default()
    };
    let handle = build(&node, args.clone()).start().await.unwrap();
    let address = handle.local_addr();

    let (status, response) =
        post(address, r#"{"jsonrpc":"2.0","id":7,"method":"eth_chainId"}"#).await;
    assert_eq!(
        (status, body(&response)),
        (200, json!({"jsonrpc": "2.0", "id": 7, "result": "0x10e"}))
    );
    assert!(response.to_lowercase().contains("access-control-allow-origin: http://a.example"));

    let code = |response: &str| body(response)["error"]["code"].as_i64().unwrap();
    assert_eq!(code(&post(address, "{nonsense").await.1), -32700);
    assert_eq!(code(&post(address, r#"{"id":1,"method":5}"#).await.1), -32600);
    assert_eq!(
        code(&post(address, r#"{"jsonrpc":"2.0","id":1,"method":"eth_no"}"#).await.1),
        -32601
    );
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"net_version"}"#;
    let batch =
        post(address, &format!("[{call},{{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"eth_no\"}}]"))
            .await
            .1;
    assert_eq!(body(&batch)[0]["result"], "270");
    assert_eq!(body(&batch)[1]["error"]["code"], -32601);
    assert_eq!(code(&post(address, &format!("[{call},{call},{call}]")).await.1), -32010);
    let huge = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"web3_sha3","params":["0x{}"]}}"#,
        "00".repeat(600_000)
    );
    assert_eq!(post(address, &huge).await.0, 413);

    // The port is taken.
    let taken = RpcServerArgs { http_port: address.port(), ..args };
    let error = build(&node, taken).start().await.unwrap_err();
    assert!(error.to_string().contains("can't listen for rpc"), "{error}");

    handle.stop();
    handle.stopped().await;
    assert!(TcpStream::connect(address).await.is_err());
}

/// Sends a frame, masked as clients must.
pub(super) async fn send_raw_frame(stream: &mut TcpStream, kind: u8, payload: &[u8]) {
    let mut frame = vec![0x80 | kind];
    match payload.len() {
        len @ 0..=125 => frame.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    let mask = [1u8, 2, 3, 4];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.into_iter().cycle()).map(|(byte, mask)| byte ^ mask));
    stream.write_all(&frame).await.unwrap();
}

/// Sends a text frame.
pub(super) async fn send_frame(stream: &mut TcpStream, text: &str) {
    send_raw_frame(stream, 1, text.as_bytes()).await;
}

/// Opens a WebSocket; an error when the server has no place for it.
pub(super) async fn try_open_websocket(address: SocketAddr) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    let upgrade = "GET / HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).await?;
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\n") {
        response.push(stream.read_u8().await?);
    }
    match response.starts_with(b"HTTP/1.1 101") {
        true => Ok(stream),
        false => Err(std::io::Error::other(String::from_utf8_lossy(&response).into_owned())),
    }
}

/// Opens a WebSocket.
pub(super) async fn open_websocket(address: SocketAddr) -> TcpStream {
    try_open_websocket(address).await.unwrap()
}

/// Reads the next text frame; pings before it are left unanswered.
pub(super) async fn read_frame(stream: &mut TcpStream) -> Value {
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head).await.unwrap();
        let len = match head[1] {
            126 => usize::from(stream.read_u16().await.unwrap()),
            127 => stream.read_u64().await.unwrap() as usize,
            len => usize::from(len),
        };
        let mut payload = vec![0; len];
        stream.read_exact(&mut payload).await.unwrap();
        match head[0] {
            0x89 => {}
            0x81 => return serde_json::from_slice(&payload).unwrap(),
            other => panic!("frame of kind {other:x}"),
        }
    }
}

#[tokio::test]
async fn websocket_on_the_same_port() {
    let (node, _tasks) = test_node();
    let args = RpcServerArgs {
        http_addr: "127.0.0.1".parse().unwrap(),
        http_port: 0,
        ..Default::default()
    };
    let handle = build(&node, args).start().await.unwrap();
    let mut stream = open_websocket(handle.local_addr()).await;
    send_frame(&mut stream, r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#).await;
    assert_eq!(read_frame(&mut stream).await["result"], "0x10e");
    let subscribe = r#"{"jsonrpc":"2.0","id":2,"method":"eth_subscribe","params":["newHeads"]}"#;
    send_frame(&mut stream, subscribe).await;
    let id = read_frame(&mut stream).await["result"].take();
    assert_eq!(id.as_str().unwrap().len(), 34, "{id}");
    let block = node.commit_empty();
    let notification = read_frame(&mut stream).await;
    assert_eq!(notification["method"], "eth_subscription");
    assert_eq!(notification["params"]["subscription"], id);
    assert_eq!(notification["params"]["result"]["hash"], json!(block.hash()));
    let unsubscribe =
        format!(r#"{{"jsonrpc":"2.0","id":3,"method":"eth_unsubscribe","params":[{id}]}}"#);
    send_frame(&mut stream, &unsubscribe).await;
    assert_eq!(read_frame(&mut stream).await["result"], true);
    handle.stop();
    handle.stopped().await;
}
