//! Pubdata in blobs, and nowhere: what the commits carry to L1, and the refusal of a mode that does not fit the chain there.

use crate::{
    harness::{DEADLINE, L1, Node, RICH_KEY, repository, wait_for},
    refusal::{assert_says, failing},
};
use alloy_consensus::Transaction;
use alloy_eips::BlockNumberOrTag;
use alloy_network::{EthereumWallet, TransactionBuilder};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_provider::{DynProvider, Provider, ProviderBuilder};
use alloy_rpc_types_eth::{Filter, TransactionRequest};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolCall, SolEvent, sol};
use zkos_l1::contracts::{IZkChain, decode_commit_calldata};
use zkos_primitives::{
    CommitBatchInfo, DaCommitmentScheme,
    blobs::{Blob, CommittedBlobs, decode_blobs},
    pubdata::BlockPubdata,
};

const SOMEBODY: Address = Address::repeat_byte(0x66);
/// Pricing modes of the chain contract.
const ROLLUP: u8 = 0;
const VALIDIUM: u8 = 1;

sol! {
    struct Call {
        address target;
        uint256 value;
        bytes data;
    }

    function multicall(Call[] calls, bool requireSuccess) external payable;
    function setPubdataPricingMode(uint8 mode) external;
    function setDAValidatorPair(address l1DAValidator, uint8 scheme) external;
}

/// The shipped deployment.
pub struct Deployment(serde_json::Value);

impl Deployment {
    pub fn load() -> Self {
        let text = std::fs::read_to_string(repository().join("etc/l1/deployment.json")).unwrap();
        Self(serde_json::from_str(&text).unwrap())
    }

    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(|value| value.as_str()).unwrap()
    }

    pub fn contract(&self, name: &str) -> Address {
        self.text(&format!("/contracts/{name}")).parse().unwrap()
    }
}

/// A client of the owner of all contracts on L1.
pub fn governor(l1: &L1) -> DynProvider {
    let key: PrivateKeySigner = Deployment::load().text("/governor/private_key").parse().unwrap();
    ProviderBuilder::new()
        .wallet(EthereumWallet::from(key))
        .connect_http(l1.url().parse().unwrap())
        .erased()
}

/// An L1 on which the chain publishes its data with this validator. Nothing is committed yet.
async fn l1_with(pricing: u8, validator: &str, scheme: DaCommitmentScheme) -> L1 {
    let l1 = L1::start().await;
    let set_pricing = setPubdataPricingModeCall { mode: pricing }.abi_encode();
    set(&l1, vec![set_pricing, da_validator(validator, scheme)]).await;
    l1
}

fn da_validator(validator: &str, scheme: DaCommitmentScheme) -> Vec<u8> {
    let l1_da_validator = Deployment::load().contract(validator);
    setDAValidatorPairCall { l1DAValidator: l1_da_validator, scheme: scheme.into() }.abi_encode()
}

/// Calls the chain's contract as its admin.
async fn set(l1: &L1, calls: Vec<Vec<u8>>) {
    let deployment = Deployment::load();
    let diamond = deployment.contract("diamond_proxy");
    let call = |data: Vec<u8>| Call { target: diamond, value: U256::ZERO, data: data.into() };
    let calls = calls.into_iter().map(call).collect();
    let multicall = multicallCall { calls, requireSuccess: true };
    let request = TransactionRequest::default()
        .with_to(deployment.contract("chain_admin"))
        .with_input(multicall.abi_encode());
    let pending = governor(l1).send_transaction(request).await.unwrap();
    assert!(pending.with_timeout(Some(DEADLINE)).get_receipt().await.unwrap().status());
}

/// A commit as L1 has it.
struct Commit {
    batch: CommitBatchInfo,
    hash: B256,
    ty: u8,
    versioned_hashes: Vec<B256>,
    calldata: Bytes,
}

/// All commits so far, by batch.
async fn commits(l1: &L1) -> Vec<Commit> {
    let diamond = Deployment::load().contract("diamond_proxy");
    let provider = l1.provider();
    let filter = Filter::new()
        .address(diamond)
        .event_signature(IZkChain::BlockCommit::SIGNATURE_HASH)
        .from_block(0);
    let mut commits = Vec::new();
    for log in provider.get_logs(&filter).await.unwrap() {
        let hash = log.transaction_hash.unwrap();
        let tx = provider.get_transaction_by_hash(hash).await.unwrap().unwrap();
        let (_, batch) = decode_commit_calldata(tx.input(), diamond).unwrap();
        commits.push(Commit {
            batch,
            hash,
            ty: tx.inner.tx_type().into(),
            versioned_hashes: tx.blob_versioned_hashes().unwrap_or_default().to_vec(),
            calldata: tx.input().clone(),
        });
    }
    assert!(!commits.is_empty());
    let numbers: Vec<u64> = commits.iter().map(|commit| commit.batch.batch_number).collect();
    assert_eq!(numbers, (1..=commits.len() as u64).collect::<Vec<_>>());
    commits
}

/// Every commit carries blobs from which the blocks of its batch can be read.
async fn assert_blobs_hold_the_blocks(l1: &L1, node: &Node) {
    for Commit { batch, hash, ty, versioned_hashes, .. } in commits(l1).await {
        assert_eq!((ty, batch.da_commitment_scheme), (3, DaCommitmentScheme::BlobsZksyncOs));
        assert!(batch.operator_da_input.iter().all(|byte| *byte == 0));
        assert_eq!(batch.operator_da_input.len(), 32 * versioned_hashes.len());
        assert_eq!(batch.da_commitment, keccak256(versioned_hashes.concat()));

        let published: Vec<Bytes> = l1
            .provider()
            .raw_request("anvil_getBlobsByTransactionHash".into(), [hash])
            .await
            .unwrap();
        let published: Vec<Blob> = published.iter().map(|blob| Blob::from_slice(blob)).collect();
        let pubdata = decode_blobs(&published).unwrap();
        assert_eq!(CommittedBlobs::new(&pubdata).unwrap().versioned_hashes(), versioned_hashes);
        let blocks = BlockPubdata::decode_batch(&pubdata).unwrap();
        let numbers = batch.first_block_number..=batch.last_block_number;
        assert_eq!(blocks.len() as u64, numbers.clone().count() as u64);
        for (number, block) in numbers.zip(blocks) {
            let on_l2 =
                node.provider().get_block_by_number(number.into()).await.unwrap().unwrap().header;
            assert_eq!((block.block_hash, block.timestamp), (on_l2.hash, on_l2.timestamp));
        }
    }
}

/// Makes a deposit on L1 for somebody and waits until L2 has it.
async fn deposit(l1: &L1, node: &Node) {
    let before = node.provider().get_balance(SOMEBODY).await.unwrap();
    let status = crate::harness::zkos()
        .args(["deposit", "--amount=5", &format!("--to={SOMEBODY}")])
        .args([&format!("--l1.rpc-url={}", l1.url()), &format!("--private-key={RICH_KEY}")])
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let provider = node.provider();
    wait_for("the deposit", || async {
        (provider.get_balance(SOMEBODY).await.ok()? > before).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_carry_the_pubdata_and_survive_a_restart() {
    let l1 = l1_with(ROLLUP, "blobs_da_validator", DaCommitmentScheme::BlobsZksyncOs).await;
    // Without proofs nothing is executed: the restart finds batches that are committed only.
    let mut first =
        Node::start(&l1, &["--l1-sender.pubdata-mode=blobs", "--prover.fake-snark.enabled=false"])
            .await;
    first.wait_funded().await;
    deposit(&l1, &first).await;
    let (_, block) = first.transfer(SOMEBODY, 100).await;
    let provider = first.provider();
    wait_for("the commit", || async {
        let safe = provider.get_block_by_number(BlockNumberOrTag::Safe).await.ok()??;
        (safe.header.number >= block).then_some(())
    })
    .await;
    assert_eq!(first.block(BlockNumberOrTag::Finalized).await, 0);
    assert_blobs_hold_the_blocks(&l1, &first).await;
    first.kill().await;

    // The mode is learnt from L1 this time, and the other form of proofs is sent.
    let mut second = Node::new(&l1, &["--l1.blob-sidecar=eip4844"]);
    second.datadir = first.datadir.clone();
    second.launch().await;
    second.wait_finalized(block).await;
    let (_, block) = second.transfer(SOMEBODY, 100).await;
    second.wait_finalized(block).await;
    assert_blobs_hold_the_blocks(&l1, &second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mode_switched_while_batches_are_in_flight_holds_for_the_next_ones() {
    let l1 = L1::start().await;
    // Without proofs nothing is executed: all batches stay in flight.
    let mut first = Node::start(&l1, &["--prover.fake-snark.enabled=false"]).await;
    first.wait_funded().await;
    let (_, block) = first.transfer(SOMEBODY, 100).await;
    let provider = first.provider();
    wait_for("the commit", || async {
        let safe = provider.get_block_by_number(BlockNumberOrTag::Safe).await.ok()??;
        (safe.header.number >= block).then_some(())
    })
    .await;
    assert!(first.terminate().await.success());
    let before = commits(&l1).await.len();
    set(&l1, vec![da_validator("blobs_da_validator", DaCommitmentScheme::BlobsZksyncOs)]).await;

    let mut second = Node::new(&l1, &[]);
    second.datadir = first.datadir.clone();
    second.launch().await;
    let (_, later) = second.transfer(SOMEBODY, 100).await;
    second.wait_finalized(later).await;
    let commits = commits(&l1).await;
    assert!(commits.len() > before);
    for (index, commit) in commits.iter().enumerate() {
        let scheme = if index < before {
            DaCommitmentScheme::BlobsAndPubdataKeccak256
        } else {
            DaCommitmentScheme::BlobsZksyncOs
        };
        assert_eq!(commit.batch.da_commitment_scheme, scheme, "batch {}", index + 1);
        // Its input can be made, and gives what L1 has.
        let mut verify = crate::harness::zkos();
        verify
            .args(["verify-batch", &format!("--rpc={}", second.url())])
            .args([&format!("--batch={}", index + 1), &format!("--l1.rpc-url={}", l1.url())]);
        let output = verify.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validium_publishes_nothing() {
    let l1 = l1_with(VALIDIUM, "validium_da_validator", DaCommitmentScheme::EmptyNoDa).await;
    let node = Node::start(&l1, &["--l1-sender.pubdata-mode=validium"]).await;
    node.wait_funded().await;
    deposit(&l1, &node).await;
    let (_, block) = node.transfer(SOMEBODY, 100).await;
    node.wait_finalized(block).await;

    let hashes = node.block_hashes().await;
    for Commit { batch, ty, versioned_hashes, calldata, .. } in commits(&l1).await {
        assert_eq!((ty, versioned_hashes.len()), (2, 0));
        assert_eq!(batch.da_commitment_scheme, DaCommitmentScheme::EmptyNoDa);
        assert_eq!(batch.da_commitment, B256::ZERO);
        assert_eq!(batch.operator_da_input.as_ref(), [0u8; 32]);
        // Pubdata begins with the hash of a block.
        let range = batch.first_block_number as usize..=batch.last_block_number as usize;
        for hash in &hashes[range] {
            assert!(!calldata.windows(32).any(|window| window == hash.as_slice()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mode_that_does_not_fit_the_chain_is_refused() {
    let l1 = L1::start().await;
    let node = Node::new(&l1, &["--l1-sender.pubdata-mode=blobs"]);
    assert_says(
        &failing(node.command()),
        &["blobs", "expects calldata", "--l1-sender.pubdata-mode"],
    );

    // More than L1 takes in calldata, and known before the first batch.
    let node = Node::new(&l1, &["--sequencer.block-pubdata-limit-bytes=126977"]);
    assert_says(&failing(node.command()), &["block-pubdata-limit-bytes", "126976", "lower it"]);

    let l1 = l1_with(VALIDIUM, "validium_da_validator", DaCommitmentScheme::EmptyNoDa).await;
    let node = Node::new(&l1, &["--l1-sender.pubdata-mode=calldata"]);
    assert_says(
        &failing(node.command()),
        &["calldata", "expects validium", "--l1-sender.pubdata-mode"],
    );

    // The two settings on L1 contradict each other.
    let l1 = l1_with(VALIDIUM, "blobs_da_validator", DaCommitmentScheme::BlobsZksyncOs).await;
    let node = Node::new(&l1, &[]);
    assert_says(
        &failing(node.command()),
        &["validium", "scheme 4", "setPubdataPricingMode", "setDAValidatorPair"],
    );
}
