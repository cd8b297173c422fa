//! Everything on the way from a transaction to its execution on L1.

use crate::{
    data_availability::Deployment,
    harness::{DEADLINE, L1, Node, RICH, RICH_KEY},
};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, Bytes, U256, address, bytes, keccak256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::{Filter, TransactionRequest};

const SOMEBODY: Address = address!("5A67EE02274D9Ec050d412b96fE810Be4D71e7A0");

#[tokio::test(flavor = "multi_thread")]
async fn deposits_and_transfers_reach_finalized() {
    let l1 = L1::start().await;
    let node = Node::start(&l1, &[]).await;
    node.wait_funded().await;
    let provider = node.provider();
    assert_eq!(provider.get_chain_id().await.unwrap(), 270);

    let before = provider.get_balance(SOMEBODY).await.unwrap();
    let (hash, block) = node.transfer(SOMEBODY, 100).await;
    assert_eq!(provider.get_balance(SOMEBODY).await.unwrap(), before + U256::from(100));
    node.wait_finalized(block).await;

    // Safe is never behind finalized, and every tag resolves.
    let finalized = node.block(BlockNumberOrTag::Finalized).await;
    let safe = node.block(BlockNumberOrTag::Safe).await;
    let latest = node.block(BlockNumberOrTag::Latest).await;
    assert!(block <= finalized && finalized <= safe && safe <= latest);
    assert_eq!(node.block(BlockNumberOrTag::Earliest).await, 0);

    // Block 1 holds the upgrade transaction of the genesis alone; deposits come next and succeed.
    let first = provider.get_block_by_number(1.into()).await.unwrap().unwrap();
    assert_eq!(first.transactions.len(), 1);
    let receipt: serde_json::Value = provider
        .raw_request(
            "eth_getTransactionReceipt".into(),
            [first.transactions.hashes().next().unwrap()],
        )
        .await
        .unwrap();
    assert_eq!((&receipt["type"], &receipt["status"]), (&"0x7e".into(), &"0x1".into()));
    let second = provider.get_block_by_number(2.into()).await.unwrap().unwrap();
    let receipt: serde_json::Value = provider
        .raw_request(
            "eth_getTransactionReceipt".into(),
            [second.transactions.hashes().next().unwrap()],
        )
        .await
        .unwrap();
    assert_eq!((&receipt["type"], &receipt["status"]), (&"0x7f".into(), &"0x1".into()));
    assert_eq!(receipt["l2ToL1Logs"][0]["key"], receipt["transactionHash"]);

    // The contracts on L1, as they were deployed there.
    for (method, name) in [
        ("zks_getBridgehubContract", "bridgehub"),
        ("zks_getBytecodeSupplierContract", "bytecodes_supplier"),
    ] {
        let address: Address = provider.raw_request(method.into(), ()).await.unwrap();
        assert_eq!(address, Deployment::load().contract(name), "{method}");
    }

    // The transfer is still what it was.
    let receipt = provider.get_transaction_receipt(hash).await.unwrap().unwrap();
    assert_eq!((receipt.block_number, receipt.gas_used), (Some(block), 21_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn contracts_deploy_answer_and_log() {
    let l1 = L1::start().await;
    let node = Node::start(&l1, &[]).await;
    node.wait_funded().await;
    let provider = node.provider();
    let wallet = node.wallet(RICH_KEY);

    // Stores the first word of its input in slot 0, logs it with topic 1, and returns what the slot held before.
    let runtime = bytes!("5f545f35805f555f52600160205fa15f5260205ff3");
    let init = init_code(&runtime);
    let request = TransactionRequest::default().with_deploy_code(init);
    let receipt = wallet
        .send_transaction(request)
        .await
        .unwrap()
        .with_timeout(Some(DEADLINE))
        .get_receipt()
        .await
        .unwrap();
    assert!(receipt.status());
    let contract = receipt.contract_address.unwrap();
    assert_eq!(provider.get_code_at(contract).await.unwrap(), runtime);
    let before = receipt.block_number.unwrap();

    let word = U256::from(42).to_be_bytes::<32>();
    let request =
        TransactionRequest::default().with_to(contract).with_input(Bytes::from(word.to_vec()));
    let receipt = wallet
        .send_transaction(request.clone())
        .await
        .unwrap()
        .with_timeout(Some(DEADLINE))
        .get_receipt()
        .await
        .unwrap();
    assert!(receipt.status());
    let block = receipt.block_number.unwrap();
    assert_eq!(provider.get_storage_at(contract, U256::ZERO).await.unwrap(), U256::from(42));

    // A call sees the new value at the head and the old one before.
    let read = request.from(RICH);
    let now = provider.call(read.clone()).await.unwrap();
    assert_eq!(U256::from_be_slice(&now), U256::from(42));
    let then = provider.call(read).block(BlockId::number(before)).await.unwrap();
    assert_eq!(U256::from_be_slice(&then), U256::ZERO);

    let filter = Filter::new().address(contract).from_block(0);
    let logs = provider.get_logs(&filter).await.unwrap();
    assert_eq!(logs.len(), 1);
    assert_eq!(logs[0].block_number, Some(block));
    assert_eq!(logs[0].transaction_hash, Some(receipt.transaction_hash));
    assert_eq!(logs[0].topics().len(), 1);
    node.wait_finalized(block).await;
    // The code is served by its hash's preimage; the account knows the right hash.
    assert_eq!(keccak256(provider.get_code_at(contract).await.unwrap()), keccak256(&runtime));
}

/// Init code that deploys `runtime`.
fn init_code(runtime: &Bytes) -> Bytes {
    let len = u8::try_from(runtime.len()).unwrap();
    let mut code = vec![0x60, len, 0x80, 0x60, 0x09, 0x5f, 0x39, 0x5f, 0xf3];
    code.extend_from_slice(runtime);
    code.into()
}
