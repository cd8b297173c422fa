//! What L2 proves to L1: a withdrawal of the base token to its payment, and values of storage against the hash that L1 keeps of a batch.

use crate::{
    data_availability::{Deployment, governor},
    harness::{DEADLINE, L1, Node, RICH, RICH_KEY, wait_for},
    rpc::quantity,
};
use alloy_network::{ReceiptResponse, TransactionBuilder};
use alloy_primitives::{Address, B256, Bytes, U256, address, bytes, keccak256};
use alloy_provider::{DynProvider, Provider};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_sol_types::{SolCall, SolEvent, sol};
use serde_json::{Value, json};
use zkos_primitives::{AccountProperties, StoredBatchInfo, flat_storage_key, state_commitment};
use zkos_tree::KeyProof;

/// Base token of L2, and the place of its withdrawals.
const BASE_TOKEN: Address = address!("000000000000000000000000000000000000800a");
/// Where L2 contracts leave messages for L1.
const L1_MESSENGER: Address = address!("0000000000000000000000000000000000008008");
/// Where the hashes of account records are, in slots named after the accounts.
const ACCOUNT_STORAGE: Address = address!("0000000000000000000000000000000000008003");
const CHAIN_ID: u64 = 270;

sol! {
    function withdraw(address receiver) external payable;
    event L1MessageSent(address indexed sender, bytes32 indexed hash, bytes message);

    struct FinalizeL1DepositParams {
        uint256 chainId;
        uint256 l2BatchNumber;
        uint256 l2MessageIndex;
        address l2Sender;
        uint16 l2TxNumberInBatch;
        bytes message;
        bytes32[] merkleProof;
    }
    function finalizeDeposit(FinalizeL1DepositParams params) external;
    function isWithdrawalFinalized(uint256 chainId, uint256 batch, uint256 index) external view returns (bool);

    struct L2Message {
        uint16 txNumberInBatch;
        address sender;
        bytes data;
    }
    function proveL2MessageInclusion(uint256 chainId, uint256 batch, uint256 index, L2Message message, bytes32[] proof) external view returns (bool);

    function storedBatchHash(uint256 batch) external view returns (bytes32);
}

async fn call<C: SolCall>(
    provider: &DynProvider,
    to: Address,
    call: C,
) -> Result<C::Return, String> {
    let request = TransactionRequest::default().with_to(to).with_input(call.abi_encode());
    let output = provider.call(request).await.map_err(|error| error.to_string())?;
    C::abi_decode_returns(&output).map_err(|error| error.to_string())
}

async fn ask(node: &Node, method: &'static str, params: Value) -> Result<Value, String> {
    let answer = node.provider().raw_request(method.into(), params).await;
    answer.map_err(|error| error.to_string())
}

fn field<T: serde::de::DeserializeOwned>(value: &Value, name: &str) -> T {
    serde_json::from_value(value[name].clone())
        .unwrap_or_else(|error| panic!("{name} of {value}: {error}"))
}

/// Sends from the rich account of L2 and gives the receipt as it was answered.
async fn send(node: &Node, request: TransactionRequest) -> Value {
    let pending = node.wallet(RICH_KEY).send_transaction(request).await.unwrap();
    let receipt = pending.with_timeout(Some(DEADLINE)).get_receipt().await.unwrap();
    assert!(receipt.status(), "{receipt:?}");
    ask(node, "eth_getTransactionReceipt", json!([receipt.transaction_hash()])).await.unwrap()
}

/// Withdraws to somebody on L1; gives the receipt.
async fn withdraw(node: &Node, receiver: Address, value: U256) -> Value {
    let request = TransactionRequest::default()
        .with_to(BASE_TOKEN)
        .with_value(value)
        .with_input(withdrawCall { receiver }.abi_encode());
    send(node, request).await
}

/// What the nullifier of L1 is to be told about the only withdrawal of a transaction.
async fn finalization(node: &Node, receipt: &Value) -> FinalizeL1DepositParams {
    let sent = receipt["logs"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|log| field::<Address>(log, "address") == L1_MESSENGER)
        .find(|log| log["topics"][0] == json!(L1MessageSent::SIGNATURE_HASH))
        .expect("a message was sent");
    let data: Bytes = field(sent, "data");
    let message = L1MessageSent::abi_decode_data(&data).unwrap().0;
    let l2_to_l1 = &receipt["l2ToL1Logs"][0];
    assert_eq!(field::<Address>(l2_to_l1, "sender"), L1_MESSENGER);
    assert_eq!(field::<B256>(l2_to_l1, "key"), BASE_TOKEN.into_word());
    assert_eq!(field::<B256>(l2_to_l1, "value"), keccak256(&message));
    let hash = &receipt["transactionHash"];
    let proof = ask(node, "zks_getL2ToL1LogProof", json!([hash, 0])).await.unwrap();
    FinalizeL1DepositParams {
        chainId: U256::from(CHAIN_ID),
        l2BatchNumber: U256::from(proof["batchNumber"].as_u64().unwrap()),
        l2MessageIndex: U256::from(proof["id"].as_u64().unwrap()),
        l2Sender: BASE_TOKEN,
        l2TxNumberInBatch: quantity(&receipt["transactionIndex"]).try_into().unwrap(),
        message,
        merkleProof: field(&proof, "proof"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawals_are_paid_on_l1_once() {
    let l1 = L1::start().await;
    let node = Node::start(&l1, &[]).await;
    node.wait_funded().await;
    let receivers = [Address::repeat_byte(0x61), Address::repeat_byte(0x62)];
    let amounts = [U256::from(1_000_000_007), U256::from(3)];
    let before = node.provider().get_balance(RICH).await.unwrap();
    let mut receipts = Vec::new();
    for (receiver, amount) in receivers.into_iter().zip(amounts) {
        receipts.push(withdraw(&node, receiver, amount).await);
    }
    let after = node.provider().get_balance(RICH).await.unwrap();
    // The account collects the fees, too.
    assert!(after <= before - amounts[0] - amounts[1], "{before} {after}");

    // Not before L1 has executed the batch, whatever the node knows by then.
    if let Err(error) =
        ask(&node, "zks_getL2ToL1LogProof", json!([receipts[0]["transactionHash"]])).await
    {
        assert!(error.contains("yet"), "{error}");
    }
    node.wait_finalized(quantity(&receipts[1]["blockNumber"])).await;

    let deployment = Deployment::load();
    let (bridgehub, nullifier) =
        (deployment.contract("bridgehub"), deployment.contract("nullifier"));
    let on_l1 = governor(&l1);
    for ((receipt, receiver), amount) in receipts.iter().zip(receivers).zip(amounts) {
        let params = finalization(&node, receipt).await;
        // The proof alone, and the same proof for what was not said.
        let prove = |data: Bytes, index: U256| proveL2MessageInclusionCall {
            chainId: params.chainId,
            batch: params.l2BatchNumber,
            index,
            message: L2Message {
                txNumberInBatch: params.l2TxNumberInBatch,
                sender: BASE_TOKEN,
                data,
            },
            proof: params.merkleProof.clone(),
        };
        let told = prove(params.message.clone(), params.l2MessageIndex);
        assert!(call(&on_l1, bridgehub, told).await.unwrap());
        let mut larger = params.message.to_vec();
        *larger.last_mut().unwrap() ^= 1;
        let claimed = prove(larger.into(), params.l2MessageIndex);
        assert_ne!(call(&on_l1, bridgehub, claimed).await, Ok(true));
        let elsewhere = prove(params.message.clone(), params.l2MessageIndex + U256::ONE);
        assert_ne!(call(&on_l1, bridgehub, elsewhere).await, Ok(true));

        let finalized = isWithdrawalFinalizedCall {
            chainId: params.chainId,
            batch: params.l2BatchNumber,
            index: params.l2MessageIndex,
        };
        assert!(!call(&on_l1, nullifier, finalized.clone()).await.unwrap());
        let finalize = finalizeDepositCall { params }.abi_encode();
        let request = TransactionRequest::default().with_to(nullifier).with_input(finalize);
        let pending = on_l1.send_transaction(request.clone()).await.unwrap();
        assert!(pending.with_timeout(Some(DEADLINE)).get_receipt().await.unwrap().status());
        assert_eq!(on_l1.get_balance(receiver).await.unwrap(), amount);
        assert!(call(&on_l1, nullifier, finalized).await.unwrap());
        // Paid once.
        assert!(on_l1.call(request).await.is_err());
        assert_eq!(on_l1.get_balance(receiver).await.unwrap(), amount);
    }
}

/// Stores the first word of the input in slot 0.
const STORE: Bytes = bytes!("60058060095f395ff35f355f5500");

/// Batch of a block, once L1 has executed it.
async fn executed_batch(node: &Node, block: u64) -> u64 {
    node.wait_finalized(block).await;
    wait_for("the batch", || async {
        let batch = ask(node, "zks_getBatchByBlockNumber", json!([block])).await.ok()?;
        batch["number"].as_u64()
    })
    .await
}

/// Verifies a slot as somebody does who trusts L1 alone; gives its value.
async fn proven(l1: &L1, node: &Node, account: Address, slot: B256, batch: u64) -> Option<B256> {
    let proof = ask(node, "zks_getProof", json!([account, [slot], batch])).await.unwrap();
    assert_eq!(field::<Address>(&proof, "address"), account);
    let entry = &proof["storageProofs"][0];
    assert_eq!(field::<B256>(entry, "key"), slot);
    let key_proof: KeyProof = field(entry, "proof");
    let root = key_proof.recover_root(&flat_storage_key(account, slot)).unwrap();
    let preimage = &proof["stateCommitmentPreimage"];
    let claimed = &proof["l1VerificationData"];
    let stored = StoredBatchInfo {
        batch_number: claimed["batchNumber"].as_u64().unwrap(),
        state_commitment: state_commitment(
            root,
            quantity(&preimage["nextFreeSlot"]),
            quantity(&preimage["blockNumber"]),
            field(preimage, "last256BlockHashesBlake"),
            quantity(&preimage["lastBlockTimestamp"]),
        ),
        number_of_layer1_txs: claimed["numberOfLayer1Txs"].as_u64().unwrap(),
        priority_operations_hash: field(claimed, "priorityOperationsHash"),
        dependency_roots_rolling_hash: field(claimed, "dependencyRootsRollingHash"),
        l2_logs_tree_root: field(claimed, "l2ToL1LogsRootHash"),
        commitment: field(claimed, "commitment"),
    };
    assert_eq!(stored.batch_number, batch);
    let diamond = Deployment::load().contract("diamond_proxy");
    let asked = storedBatchHashCall { batch: U256::from(batch) };
    let kept = call(&l1.provider(), diamond, asked).await.unwrap();
    assert_eq!(kept, stored.hash(), "batch {batch} on L1 is another");
    key_proof.value()
}

#[tokio::test(flavor = "multi_thread")]
async fn state_proofs_lead_to_the_hash_that_l1_keeps() {
    let l1 = L1::start().await;
    let node = Node::start(&l1, &[]).await;
    node.wait_funded().await;
    let deployed = send(&node, TransactionRequest::default().with_deploy_code(STORE)).await;
    let contract: Address = field(&deployed, "contractAddress");
    // In a batch before the first write.
    let before = executed_batch(&node, quantity(&deployed["blockNumber"])).await;
    let mut written = Vec::new();
    for value in [7_u64, 8] {
        let word = B256::from(U256::from(value));
        let request = TransactionRequest::default().with_to(contract).with_input(Bytes::from(word));
        let receipt = send(&node, request).await;
        written.push((executed_batch(&node, quantity(&receipt["blockNumber"])).await, word));
    }
    assert_eq!(proven(&l1, &node, contract, B256::ZERO, before).await, None);
    for (batch, word) in written {
        assert_eq!(proven(&l1, &node, contract, B256::ZERO, batch).await, Some(word));
        assert_eq!(proven(&l1, &node, contract, B256::with_last_byte(1), batch).await, None);
        // The record of the account, and in it the balance.
        let record: Bytes = serde_json::from_value(
            ask(&node, "zks_getAccountPreimage", json!([RICH, batch])).await.unwrap(),
        )
        .unwrap();
        let hash = proven(&l1, &node, ACCOUNT_STORAGE, RICH.into_word(), batch).await.unwrap();
        let record = AccountProperties::decode(&record).unwrap();
        assert_eq!(record.compute_hash(), hash);
        let details = ask(&node, "zks_getL1BatchDetails", json!([batch])).await.unwrap();
        let block = details["lastBlock"].as_u64().unwrap();
        let balance = node.provider().get_balance(RICH).number(block).await.unwrap();
        assert_eq!(record.balance, balance);
    }
}
