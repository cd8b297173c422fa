//! Both forms of blob proofs, and a node that takes only one of them.

use crate::harness::{Anvil, sender_config, within};
use alloy_consensus::{TxEip4844Variant, TxEnvelope};
use alloy_eips::Decodable2718;
use alloy_primitives::{Address, Bytes};
use alloy_provider::Provider;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use zkos_l1::{
    L1Provider, L1ProviderConfig, L1Sender, L1SenderConfig, L1TxRequest, SendError,
    sender::detect_sidecar_form,
};
use zkos_primitives::blobs::{CommittedBlobs, SidecarForm};

fn request(form: SidecarForm, byte: u8) -> L1TxRequest {
    let sidecar = CommittedBlobs::new(&[byte; 100]).unwrap().into_sidecar(form).unwrap();
    L1TxRequest {
        sidecar: Some(Arc::new(sidecar)),
        ..L1TxRequest::call("commit", Address::repeat_byte(0x22), Bytes::new())
    }
}

async fn start(anvil: &Anvil, provider: &L1Provider, config: L1SenderConfig) -> L1Sender {
    let signer = anvil.deployment.signer("/operators/commit");
    let (sender, task) = L1Sender::new(provider.clone(), signer, config).await.unwrap();
    tokio::spawn(task.run());
    sender
}

#[tokio::test]
async fn the_fork_decides_and_anvil_takes_both_forms() {
    for (hardfork, expected) in [("prague", SidecarForm::Eip4844), ("osaka", SidecarForm::Eip7594)]
    {
        let Some(anvil) = Anvil::start(&["--hardfork", hardfork]).await else { return };
        let provider = anvil.provider().await;
        assert_eq!(detect_sidecar_form(&provider).await, expected, "{hardfork}");
        let sender = start(&anvil, &provider, sender_config()).await;
        for form in [expected, expected.other()] {
            let pending = within("send", sender.send(request(form, 1))).await.unwrap();
            let receipt = within("receipt", pending.receipt()).await.unwrap();
            assert_eq!(receipt.blob_gas_used, Some(1 << 17), "{hardfork} {form}");
        }
    }
}

#[tokio::test]
async fn a_refused_form_is_replaced_by_the_other_once_and_for_all() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let only_cells = Proxy::start(anvil.port, Some(SidecarForm::Eip7594)).await;
    let provider = only_cells.provider(&anvil).await;
    let sender = start(&anvil, &provider, sender_config()).await;
    for byte in 1..=2 {
        let pending =
            within("send", sender.send(request(SidecarForm::Eip4844, byte))).await.unwrap();
        let receipt = within("receipt", pending.receipt()).await.unwrap();
        assert_eq!(receipt.blob_gas_used, Some(1 << 17));
    }
    // One refusal; the second transaction goes out right at once.
    assert_eq!(
        only_cells.seen(),
        [SidecarForm::Eip4844, SidecarForm::Eip7594, SidecarForm::Eip7594]
    );
}

#[tokio::test]
async fn a_forced_form_is_the_only_one_sent() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let only_cells = Proxy::start(anvil.port, Some(SidecarForm::Eip7594)).await;
    let provider = only_cells.provider(&anvil).await;
    let config = L1SenderConfig { sidecar_form: Some(SidecarForm::Eip4844), ..sender_config() };
    let sender = start(&anvil, &provider, config).await;
    // Even what was made in the other form.
    let error = within("send", sender.send(request(SidecarForm::Eip7594, 1))).await.unwrap_err();
    assert!(matches!(error, SendError::Rejected { .. }), "{error}");
    assert!(error.to_string().contains("after osaka"), "{error}");
    assert_eq!(only_cells.seen(), [SidecarForm::Eip4844]);
}

#[tokio::test]
async fn a_node_that_refuses_both_forms_is_not_asked_for_ever() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let refuses_all = Proxy::start(anvil.port, None).await;
    let provider = refuses_all.provider(&anvil).await;
    let sender = start(&anvil, &provider, sender_config()).await;
    let error = within("send", sender.send(request(SidecarForm::Eip4844, 1))).await.unwrap_err();
    assert!(matches!(error, SendError::Rejected { .. }), "{error}");
    assert_eq!(refuses_all.seen(), [SidecarForm::Eip4844, SidecarForm::Eip7594]);
    assert_eq!(provider.inner().get_transaction_count(sender.address()).await.unwrap(), 0);
}

/// A node that takes one form of blob proofs only, or none; all else is anvil's answer.
struct Proxy {
    port: u16,
    seen: Arc<Mutex<Vec<SidecarForm>>>,
}

impl Proxy {
    async fn start(anvil: u16, takes: Option<SidecarForm>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<SidecarForm>>> = Arc::default();
        let forms = seen.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, anvil, takes, forms.clone()));
            }
        });
        Self { port, seen }
    }

    async fn provider(&self, anvil: &Anvil) -> L1Provider {
        let url = format!("http://127.0.0.1:{}", self.port).parse().unwrap();
        let config = L1ProviderConfig { url, ..anvil.config() };
        L1Provider::connect(config).await.unwrap()
    }

    fn seen(&self) -> Vec<SidecarForm> {
        self.seen.lock().unwrap().clone()
    }
}

/// One request per connection.
async fn serve(
    mut client: TcpStream,
    anvil: u16,
    takes: Option<SidecarForm>,
    seen: Arc<Mutex<Vec<SidecarForm>>>,
) {
    let Some(body) = read_body(&mut client).await else { return };
    let call: Value = serde_json::from_slice(&body).unwrap();
    let form = (call["method"] == "eth_sendRawTransaction").then(|| {
        let raw: Bytes = call["params"][0].as_str().unwrap().parse().unwrap();
        form_of(&raw)
    });
    if let Some(form) = form {
        seen.lock().unwrap().push(form);
        if takes != Some(form) {
            let message = match form {
                SidecarForm::Eip4844 => "unexpected eip-4844 sidecar after osaka",
                SidecarForm::Eip7594 => "unexpected eip-7594 sidecar before osaka",
            };
            let error = json!({ "code": -32003, "message": message });
            let answer = json!({ "jsonrpc": "2.0", "id": call["id"], "error": error }).to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                answer.len()
            );
            let _ = client.write_all(format!("{head}{answer}").as_bytes()).await;
            return;
        }
    }
    let Ok(mut node) = TcpStream::connect(("127.0.0.1", anvil)).await else { return };
    let head = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let _ = node.write_all(head.as_bytes()).await;
    let _ = node.write_all(&body).await;
    let _ = tokio::io::copy(&mut node, &mut client).await;
}

async fn read_body(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"))?;
            let length: usize = length.trim().parse().ok()?;
            if bytes.len() >= end + 4 + length {
                return Some(bytes.split_off(end + 4));
            }
        }
        if client.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn form_of(raw: &[u8]) -> SidecarForm {
    let tx = TxEnvelope::decode_2718_exact(raw).unwrap();
    match tx.as_eip4844().unwrap().tx() {
        TxEip4844Variant::TxEip4844WithSidecar(tx) => SidecarForm::of(&tx.sidecar),
        TxEip4844Variant::TxEip4844(_) => panic!("a broadcast carries the blobs"),
    }
}
