//! The pipeline behind the state tree, against a settlement layer that checks what the contracts check.

use crate::{
    BatchBlock, BatchLimits, Command, KnownBatch, KnownBatchInfo, Operation, PriorityTree,
    SealedBatch, SettlementError, SettlementLayer,
    provers::{fake_fri, fake_snark},
    seal,
    sealer::{Sealer, SealerConfig},
    settle,
};
use alloy_primitives::{Address, B256, address, keccak256};
use parking_lot::Mutex;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::sync::mpsc;
use zkos_l1::contracts::{
    decode_commit_calldata, decode_execute_calldata, decode_prove_calldata, fake_proof,
};
use zkos_node_core::{StageRegistry, args::ProverArgs};
use zkos_primitives::{
    DaCommitmentScheme, Genesis, PubdataMode, RecoveredTx, StoredBatchInfo, TxL1Priority,
    TxUpgrade, ZkChainSpec, ZkTxEnvelope, blobs::SidecarForm, genesis::genesis_batch,
};
use zkos_storage_api::test_utils::{ChainBuilder, TestBlock, test_transfer};
use zkos_tree::TreeOutput;

const DIAMOND: Address = address!("00000000000000000000000000000000000000d1");
const DEADLINE: Duration = Duration::from_secs(20);

fn genesis() -> StoredBatchInfo {
    genesis_batch(B256::repeat_byte(1))
}

fn block(chain: &mut ChainBuilder, transactions: Vec<ZkTxEnvelope>) -> BatchBlock {
    let sender = Address::repeat_byte(9);
    let transactions =
        transactions.into_iter().map(|tx| RecoveredTx::new_unchecked(tx, sender)).collect();
    let executed = chain.next_block(TestBlock { transactions, ..Default::default() });
    let tree = TreeOutput {
        root: keccak256(executed.number().to_be_bytes()),
        leaf_count: executed.number() + 2,
    };
    BatchBlock { executed, tree }
}

fn chain() -> ChainBuilder {
    ChainBuilder::new(&ZkChainSpec::new(270, Genesis::default()).unwrap())
}

fn transfer(nonce: u64) -> ZkTxEnvelope {
    test_transfer(Address::repeat_byte(7), nonce).into_inner()
}

fn priority(id: u64) -> ZkTxEnvelope {
    TxL1Priority { nonce: id, gas_limit: 1_000_000, ..Default::default() }.into()
}

fn blocks(count: u64) -> Vec<BatchBlock> {
    let mut chain = chain();
    (0..count).map(|index| block(&mut chain, vec![transfer(index)])).collect()
}

const LIMITS: BatchLimits = BatchLimits { blocks: 3, transactions: 100, pubdata: 110_000 };

fn config(limits: BatchLimits) -> SealerConfig {
    SealerConfig {
        chain_id: 270,
        mode: PubdataMode::Calldata,
        sidecar_form: SidecarForm::Eip7594,
        limits,
        timeout: Duration::from_millis(50),
    }
}

/// Seals everything and gives the batches; an error ends it.
async fn sealed(
    sealer: Sealer,
    blocks: Vec<BatchBlock>,
    keep_open: bool,
) -> eyre::Result<Vec<SealedBatch>> {
    let (block_tx, block_rx) = mpsc::channel(64);
    let (out_tx, mut out_rx) = mpsc::channel(64);
    let count = blocks.len() as u64;
    for block in blocks {
        block_tx.send(block).await?;
    }
    let stage = StageRegistry::default().register("sealer");
    let last = count;
    let collect = async {
        let mut batches: Vec<SealedBatch> = Vec::new();
        while let Some(batch) = out_rx.recv().await {
            batches.push(batch);
            if keep_open && batches.last().is_some_and(|batch| batch.blocks().1 == last) {
                drop(block_tx);
                return batches;
            }
        }
        batches
    };
    let run = sealer.run(block_rx, out_tx, stage);
    if keep_open {
        let (run, batches) =
            tokio::time::timeout(DEADLINE, async { tokio::join!(run, collect) }).await?;
        run?;
        Ok(batches)
    } else {
        // The error is what the caller is after; no block ever closes the last batch.
        tokio::time::timeout(DEADLINE, async { tokio::select! { result = run => result.map(|()| Vec::new()), batches = collect => Ok(batches) } }).await?
    }
}

#[tokio::test]
async fn batches_are_cut_at_the_limit_and_by_time() {
    let sealer = Sealer::new(config(LIMITS), genesis(), 0, []);
    let batches = sealed(sealer, blocks(7), true).await.unwrap();
    let ranges: Vec<_> = batches.iter().map(SealedBatch::blocks).collect();
    assert_eq!(ranges, [(1, 3), (4, 6), (7, 7)]);
    assert_eq!(batches.iter().map(SealedBatch::number).collect::<Vec<_>>(), [1, 2, 3]);
    // Each begins where the one before ended.
    assert_eq!(batches[0].previous(), &genesis());
    assert_eq!(batches[1].previous(), batches[0].stored());
}

#[tokio::test]
async fn an_upgrade_starts_a_batch() {
    let mut chain = chain();
    let list = vec![
        block(&mut chain, vec![transfer(0)]),
        block(&mut chain, vec![TxUpgrade { nonce: 30, ..Default::default() }.into()]),
        block(&mut chain, vec![transfer(1)]),
    ];
    let sealer = Sealer::new(config(LIMITS), genesis(), 0, []);
    let batches = sealed(sealer, list, true).await.unwrap();
    let ranges: Vec<_> = batches.iter().map(SealedBatch::blocks).collect();
    assert_eq!(ranges, [(1, 1), (2, 3)]);
    // The commitment contains the upgrade's hash, the priority hash does not.
    assert_ne!(batches[1].stored(), &batches[1].commit().stored(B256::ZERO));
    assert_eq!(batches[1].commit().number_of_layer1_txs, 0);
}

#[tokio::test]
async fn settled_blocks_are_left_out_and_gaps_refused() {
    let all = blocks(5);
    let first = seal(genesis(), &all[..2], 270, PubdataMode::Calldata).unwrap();
    let sealer = Sealer::new(config(LIMITS), *first.stored(), 2, []);
    let batches = sealed(sealer, all.clone(), true).await.unwrap();
    assert_eq!(batches[0].blocks(), (3, 5));
    let sealer = Sealer::new(config(LIMITS), *first.stored(), 2, []);
    let error = sealed(sealer, all[3..].to_vec(), false).await.unwrap_err();
    assert_eq!(error.to_string(), "batcher got block 4 instead of 3");
}

#[tokio::test]
async fn committed_batches_are_cut_as_on_l1_and_must_agree() {
    let all = blocks(5);
    // More blocks than the limit allows now: what is committed stays as it is.
    let committed = seal(genesis(), &all[..4], 270, PubdataMode::Calldata).unwrap();
    let known = KnownBatch::committed(committed.commit(), *committed.stored()).unwrap();
    let sealer = Sealer::new(config(LIMITS), genesis(), 0, [known]);
    let batches = sealed(sealer, all.clone(), true).await.unwrap();
    assert_eq!(batches[0].stored(), committed.stored());
    assert_eq!(batches[1].blocks(), (5, 5));

    let mut other = known;
    other.stored.state_commitment = B256::repeat_byte(3);
    let sealer = Sealer::new(config(LIMITS), genesis(), 0, [other]);
    let error = sealed(sealer, all, false).await.unwrap_err().to_string();
    assert!(error.starts_with("batch 1 on L1 contradicts our blocks (1, 4)"), "{error}");
}

#[tokio::test]
async fn committed_batches_keep_the_mode_they_were_committed_with() {
    let all = blocks(5);
    let modes = [PubdataMode::Calldata, PubdataMode::Validium, PubdataMode::Blobs];
    for (before, now) in modes.into_iter().flat_map(|before| modes.map(|now| (before, now))) {
        let first = seal(genesis(), &all[..2], 270, before).unwrap();
        let known = KnownBatch::committed(first.commit(), *first.stored()).unwrap();
        assert_eq!((known.mode, known.last_block), (before, 2));
        let config = SealerConfig { mode: now, ..config(LIMITS) };
        let sealer = Sealer::new(config, genesis(), 0, [known]);
        let batches = sealed(sealer, all.clone(), true).await.unwrap();
        assert_eq!(batches[0].stored(), first.stored(), "{before} then {now}");
        // The next one is made as L1 wants it now.
        assert_eq!(batches[1].commit().da_commitment_scheme, now.scheme());
    }
    let mut unknown =
        seal(genesis(), &all[..2], 270, PubdataMode::Calldata).unwrap().commit().clone();
    unknown.da_commitment_scheme = DaCommitmentScheme::PubdataKeccak256;
    assert!(KnownBatch::committed(&unknown, genesis()).is_err());
}

/// Keeps what the contracts keep and checks what they check.
#[derive(Debug)]
struct StrictLayer {
    stored: Mutex<Vec<StoredBatchInfo>>,
    proved: Mutex<u64>,
    executed: Mutex<u64>,
    priority: Mutex<PriorityTree>,
    lies: AtomicBool,
}

impl StrictLayer {
    fn new(priority_hashes: &[B256]) -> Self {
        let mut priority = PriorityTree::default();
        priority_hashes.iter().for_each(|hash| priority.push(*hash));
        Self {
            stored: Mutex::new(vec![genesis()]),
            proved: Mutex::new(0),
            executed: Mutex::new(0),
            priority: Mutex::new(priority),
            lies: AtomicBool::new(false),
        }
    }
}

impl SettlementLayer for StrictLayer {
    fn diamond(&self) -> Address {
        DIAMOND
    }

    fn sidecar_form(&self) -> SidecarForm {
        SidecarForm::Eip7594
    }

    async fn execute(&self, command: Command) -> Result<Option<B256>, SettlementError> {
        let mut stored = self.stored.lock();
        match command.operation {
            Operation::Commit => {
                let (previous, commit) =
                    decode_commit_calldata(&command.calldata, DIAMOND).unwrap();
                assert_eq!(Some(&previous), stored.last());
                stored.push(commit.stored(B256::ZERO));
            }
            Operation::Prove => {
                let (previous, batches, proof) =
                    decode_prove_calldata(&command.calldata, DIAMOND).unwrap();
                let mut proved = self.proved.lock();
                let first = *proved as usize;
                assert_eq!(previous, stored[first]);
                assert_eq!(batches, stored[first + 1..=first + batches.len()]);
                assert_eq!(Some(proof), fake_proof(&previous, &batches));
                *proved += batches.len() as u64;
            }
            Operation::Execute => {
                let (batches, operations) =
                    decode_execute_calldata(&command.calldata, DIAMOND).unwrap();
                let mut executed = self.executed.lock();
                let first = *executed as usize;
                assert_eq!(batches, stored[first + 1..=first + batches.len()]);
                for (batch, operations) in batches.iter().zip(operations) {
                    let count = batch.number_of_layer1_txs as usize;
                    let mut tree = self.priority.lock();
                    let proof = tree.prove(count).unwrap();
                    assert_eq!(operations.itemHashes, proof.item_hashes);
                    assert_eq!(operations.leftPath, proof.left_path);
                    assert_eq!(operations.rightPath, proof.right_path);
                    tree.trim(count).unwrap();
                }
                *executed += batches.len() as u64;
                assert!(*executed <= *self.proved.lock(), "only proved batches may be executed");
            }
        }
        Ok(Some(keccak256(&command.calldata)))
    }

    async fn committed_batch(&self, _: u64) -> eyre::Result<Option<KnownBatchInfo>> {
        Ok(None)
    }

    async fn stored_batch_hash(&self, batch: u64) -> eyre::Result<B256> {
        if self.lies.load(Ordering::SeqCst) {
            return Ok(B256::repeat_byte(0xee));
        }
        Ok(self.stored.lock()[batch as usize].hash())
    }
}

fn quick_provers() -> ProverArgs {
    ProverArgs {
        fake_fri_min_age: Duration::ZERO,
        fake_fri_compute_time: Duration::from_millis(1),
        fake_snark_max_batch_age: Duration::from_millis(5),
        max_fris_per_snark: 3,
        ..Default::default()
    }
}

/// Runs all stages after the tree until `last` is settled or a stage fails.
async fn settle_all(layer: &StrictLayer, blocks: Vec<BatchBlock>, last: u64) -> eyre::Result<()> {
    let stages = StageRegistry::default();
    let (block_tx, block_rx) = mpsc::channel(64);
    for block in blocks {
        block_tx.send(block).await?;
    }
    let (sealed_tx, sealed_rx) = mpsc::channel(2);
    let (fri_tx, fri_rx) = mpsc::channel(2);
    let (committed_tx, committed_rx) = mpsc::channel(2);
    let (snark_tx, snark_rx) = mpsc::channel(2);
    let (proved_tx, proved_rx) = mpsc::channel(2);
    let (settled_tx, mut settled_rx) = mpsc::unbounded_channel();
    let sealer = Sealer::new(config(LIMITS), genesis(), 0, []);
    let run = async {
        tokio::try_join!(
            sealer.run(block_rx, sealed_tx, stages.register("sealer")),
            fake_fri(quick_provers(), 0, sealed_rx, fri_tx, stages.register("fri")),
            settle::commit(layer, 0, 4, fri_rx, committed_tx, stages.register("commit")),
            fake_snark(quick_provers(), 0, committed_rx, snark_tx, stages.register("snark")),
            settle::prove(layer, 0, snark_rx, proved_tx, stages.register("prove")),
            settle::execute(
                layer,
                PriorityTree::default(),
                proved_rx,
                move |block| {
                    let _ = settled_tx.send(block);
                },
                stages.register("execute"),
            ),
        )
        .map(|_| ())
    };
    let wait = async {
        while settled_rx.recv().await.is_some_and(|block| block < last) {}
        drop(block_tx);
    };
    tokio::time::timeout(DEADLINE, async {
        tokio::select! {
            result = run => result,
            () = wait => Ok(()),
        }
    })
    .await?
}

#[tokio::test]
async fn batches_settle_in_order_with_their_priority_transactions() {
    let mut chain = chain();
    let mut hashes = Vec::new();
    let mut list = Vec::new();
    for index in 0..12u64 {
        let mut transactions = Vec::new();
        // Some blocks bring none, some several.
        for _ in 0..index % 3 {
            let tx = priority(hashes.len() as u64);
            hashes.push(*tx.hash());
            transactions.push(tx);
        }
        transactions.push(transfer(index));
        list.push(block(&mut chain, transactions));
    }
    let layer = StrictLayer::new(&hashes);
    settle_all(&layer, list, 12).await.unwrap();
    assert_eq!((*layer.proved.lock(), *layer.executed.lock()), (4, 4));
    assert_eq!(layer.priority.lock().start(), hashes.len() as u64);
}

#[tokio::test]
async fn a_commit_that_l1_keeps_differently_stops_the_pipeline() {
    let layer = StrictLayer::new(&[]);
    layer.lies.store(true, Ordering::SeqCst);
    let error = settle_all(&layer, blocks(3), 3).await.unwrap_err().to_string();
    assert!(error.contains("contradicts ours: L1 keeps 0xeeee"), "{error}");
}

#[tokio::test]
async fn blobs_are_made_once_and_carried_by_the_commit() {
    let all = blocks(2);
    let blob_config = SealerConfig { mode: PubdataMode::Blobs, ..config(LIMITS) };
    let sealer = Sealer::new(blob_config, genesis(), 0, []);
    let batch = sealed(sealer, all.clone(), true).await.unwrap().remove(0);
    let sidecar = batch.sidecar().expect("a batch to be committed has its blobs");
    assert_eq!(SidecarForm::of(sidecar), SidecarForm::Eip7594);
    assert_eq!(zkos_primitives::blobs::decode_blobs(sidecar.blobs()).unwrap(), batch.pubdata());
    let hashes: Vec<B256> = sidecar.versioned_hashes().collect();
    assert_eq!(batch.commit().da_commitment, keccak256(hashes.concat()));

    // A batch that L1 has already is only compared.
    let known = KnownBatch::committed(batch.commit(), *batch.stored()).unwrap();
    let sealer = Sealer::new(blob_config, genesis(), 0, [known]);
    let again = sealed(sealer, all, true).await.unwrap().remove(0);
    assert_eq!((again.stored(), again.sidecar()), (batch.stored(), None));

    let layer = BlobLayer::default();
    let (in_tx, in_rx) = mpsc::channel(1);
    let (out_tx, mut out_rx) = mpsc::channel(1);
    in_tx.send(batch.clone()).await.unwrap();
    drop(in_tx);
    let stage = StageRegistry::default().register("commit");
    settle::commit(&layer, 0, 1, in_rx, out_tx, stage).await.unwrap();
    let committed = out_rx.recv().await.unwrap();
    assert_eq!((committed.number(), committed.sidecar()), (1, None));
    let sent = layer.sent.lock().take().expect("a commit");
    assert_eq!(sent.sidecar.as_ref(), batch.sidecar());
}

/// Takes one commit and believes it.
#[derive(Debug, Default)]
struct BlobLayer {
    sent: Mutex<Option<Command>>,
    stored: Mutex<B256>,
}

impl SettlementLayer for BlobLayer {
    fn diamond(&self) -> Address {
        DIAMOND
    }

    fn sidecar_form(&self) -> SidecarForm {
        SidecarForm::Eip7594
    }

    async fn execute(&self, command: Command) -> Result<Option<B256>, SettlementError> {
        let (_, commit) = decode_commit_calldata(&command.calldata, DIAMOND).unwrap();
        *self.stored.lock() = commit.stored(B256::ZERO).hash();
        *self.sent.lock() = Some(command);
        Ok(None)
    }

    async fn committed_batch(&self, _: u64) -> eyre::Result<Option<KnownBatchInfo>> {
        Ok(None)
    }

    async fn stored_batch_hash(&self, _: u64) -> eyre::Result<B256> {
        Ok(*self.stored.lock())
    }
}
