//! A batch through commit, prove and execute, as the batcher will drive it; what can be learnt of it afterwards; its revert.

use crate::{
    harness::{Anvil, sender_config, watcher_config, within},
    upgrade::{Governor, upgrade_tx},
};
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, keccak256};
use std::time::SystemTime;
use zkos_l1::{
    BatchPoint, L1Provider, L1Sender, L1State, L1TxRequest, L1Watcher, SendError,
    applied_upgrade_txs,
    batches::{BatchError, UpgradeTxs, relearn_batch, stored_batch_hash},
    contracts::{
        ISettlementErrors, PriorityOpsBatchInfo, commit_calldata, execute_calldata, fake_proof,
        prove_calldata, revert_calldata,
    },
    fetch_genesis_upgrade,
};
use zkos_primitives::{CommitBatchInfo, DaCommitmentScheme, StoredBatchInfo, batch::da_commitment};

/// A batch without priority transactions; L1 can't tell that its state is made up.
fn batch(state: &L1State, number: u64) -> CommitBatchInfo {
    // L1 refuses old batches and far future ones; anvil's clock is the machine's.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let scheme = DaCommitmentScheme::try_from(state.da_commitment_scheme).unwrap();
    let (commitment, input) = da_commitment(scheme, b"pubdata").unwrap();
    CommitBatchInfo {
        batch_number: number,
        new_state_commitment: keccak256(number.to_be_bytes()),
        number_of_layer1_txs: 0,
        priority_operations_hash: KECCAK256_EMPTY,
        dependency_roots_rolling_hash: B256::ZERO,
        l2_logs_tree_root: keccak256("logs"),
        da_commitment_scheme: scheme,
        da_commitment: commitment,
        first_block_timestamp: now,
        first_block_number: number * 10 - 9,
        last_block_timestamp: now,
        last_block_number: number * 10,
        chain_id: state.l2_chain_id,
        operator_da_input: input,
    }
}

struct Operators {
    timelock: Address,
    diamond: Address,
    commit: L1Sender,
    prove: L1Sender,
    execute: L1Sender,
}

impl Operators {
    async fn start(anvil: &Anvil, provider: &L1Provider, state: &L1State) -> Self {
        let mut senders = Vec::new();
        for role in ["commit", "prove", "execute"] {
            let signer = anvil.deployment.signer(&format!("/operators/{role}"));
            let (sender, task) =
                L1Sender::new(provider.clone(), signer, sender_config()).await.unwrap();
            tokio::spawn(task.run());
            senders.push(sender);
        }
        let [commit, prove, execute] = <[L1Sender; 3]>::try_from(senders).unwrap();
        Self {
            timelock: state.contracts.validator_timelock,
            diamond: state.contracts.diamond,
            commit,
            prove,
            execute,
        }
    }

    fn commit(&self, previous: &StoredBatchInfo, batch: &CommitBatchInfo) -> L1TxRequest {
        L1TxRequest::call("commit", self.timelock, commit_calldata(self.diamond, previous, batch))
    }

    async fn prove(
        &self,
        previous: &StoredBatchInfo,
        batches: &[StoredBatchInfo],
    ) -> Result<(), SendError> {
        let proof = fake_proof(previous, batches).unwrap();
        let calldata = prove_calldata(self.diamond, previous, batches, &proof).unwrap();
        let pending = self.prove.send(L1TxRequest::call("prove", self.timelock, calldata)).await?;
        pending.receipt().await.map(|_| ())
    }

    async fn execute(&self, batches: &[StoredBatchInfo]) -> Result<(), SendError> {
        let ops = vec![PriorityOpsBatchInfo::default(); batches.len()];
        let calldata = execute_calldata(self.diamond, batches, &ops).unwrap();
        let pending =
            self.execute.send(L1TxRequest::call("execute", self.timelock, calldata)).await?;
        pending.receipt().await.map(|_| ())
    }
}

#[tokio::test]
async fn batches_are_committed_proved_executed_and_relearnt() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let provider = anvil.provider().await;
    let state = anvil.discover(&provider).await;
    let diamond = state.contracts.diamond;
    let upgrade = fetch_genesis_upgrade(&provider, diamond).await.unwrap().tx.seal();
    let (watcher, handle) = L1Watcher::new(
        provider.clone(),
        state.contracts,
        state.total_priority_txs,
        watcher_config(),
    )
    .await
    .unwrap();
    let watching = tokio::spawn(watcher.run());
    let operators = Operators::start(&anvil, &provider, &state).await;
    let mut finality = handle.finality.clone();

    // Batch 1 holds the genesis upgrade, the others follow; all in flight at once.
    let genesis = anvil.deployment.genesis_batch();
    let mut previous = genesis;
    let mut stored = Vec::new();
    let mut pending = Vec::new();
    for number in 1..=3 {
        let info = batch(&state, number);
        pending.push(operators.commit.send(operators.commit(&previous, &info)).await.unwrap());
        previous = info.stored(if number == 1 { upgrade } else { B256::ZERO });
        stored.push(previous);
    }
    for tx in pending {
        within("commit", tx.receipt()).await.unwrap();
    }
    for info in &stored {
        assert_eq!(
            stored_batch_hash(&provider, diamond, info.batch_number).await.unwrap(),
            info.hash()
        );
    }
    let committed =
        within("committed", finality.wait_for(|f| f.committed.batch == 3)).await.unwrap().committed;
    assert_eq!(committed, BatchPoint { batch: 3, last_block: 30 });
    let events = handle.batches.range(..);
    assert_eq!(events.len(), 3);
    assert!(events.iter().zip(&stored).all(|(event, info)| event.matches(info)));
    assert_eq!(handle.batches.by_block(11).unwrap().number, 2);

    // A commit on the wrong batch is refused before it costs anything, with the contract's reason.
    let wrong = batch(&state, 4);
    let error = operators.commit.send(operators.commit(&genesis, &wrong)).await.unwrap_err();
    let SendError::WouldRevert { reason, .. } = &error else { panic!("{error}") };
    assert!(reason.is::<ISettlementErrors::BatchHashMismatch>(), "{error}");

    // An unproved batch can't be executed; a proof of one and a proof of two batches.
    let error = operators.execute(&stored[..1]).await.unwrap_err();
    assert!(error.to_string().contains("CantExecuteUnprovenBatches"), "{error}");
    operators.prove(&genesis, &stored[..1]).await.unwrap();
    operators.prove(&stored[0], &stored[1..]).await.unwrap();
    operators.execute(&stored[..1]).await.unwrap();
    let seen =
        *within("executed", finality.wait_for(|f| f.executed.batch == 1 && f.proved.batch == 3))
            .await
            .unwrap();
    assert_eq!((seen.executed.last_block, seen.proved.last_block), (10, 30));

    // Another machine learns everything from L1: finality, ranges, and the batches themselves.
    let (_fresh, fresh) = L1Watcher::new(
        provider.clone(),
        state.contracts,
        state.total_priority_txs,
        watcher_config(),
    )
    .await
    .unwrap();
    let now = *fresh.finality.borrow();
    assert_eq!(
        (now.committed, now.proved, now.executed),
        (seen.committed, seen.proved, seen.executed)
    );
    let given = [upgrade];
    let (given, applied) = (UpgradeTxs::Known(&given), UpgradeTxs::AppliedSince(0));
    for (known, info, upgrades) in [
        (None, &stored[0], given),
        (None, &stored[0], applied),
        (Some(&fresh.batches), &stored[1], given),
        (None, &stored[2], applied),
    ] {
        let found = relearn_batch(&provider, &state.contracts, known, info.batch_number, upgrades)
            .await
            .unwrap();
        assert_eq!(found.stored, *info);
        assert_eq!(found.commit.last_block_number, info.batch_number * 10);
        assert_eq!(
            found.upgrade_tx_hash,
            if info.batch_number == 1 { upgrade } else { B256::ZERO }
        );
    }
    let error = relearn_batch(&provider, &state.contracts, None, 1, UpgradeTxs::Known(&[]))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("contradicts l1"), "{error}");
    assert!(!watching.is_finished());
    watching.abort();
}

#[tokio::test]
async fn reverted_batches_take_finality_back() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let provider = anvil.provider().await;
    let state = anvil.discover(&provider).await;
    let upgrade =
        fetch_genesis_upgrade(&provider, state.contracts.diamond).await.unwrap().tx.seal();
    let (watcher, handle) = L1Watcher::new(
        provider.clone(),
        state.contracts,
        state.total_priority_txs,
        watcher_config(),
    )
    .await
    .unwrap();
    tokio::spawn(watcher.run());
    let operators = Operators::start(&anvil, &provider, &state).await;
    let mut finality = handle.finality.clone();
    let mut previous = anvil.deployment.genesis_batch();
    for number in 1..=2 {
        let info = batch(&state, number);
        operators
            .commit
            .send(operators.commit(&previous, &info))
            .await
            .unwrap()
            .receipt()
            .await
            .unwrap();
        if number == 1 {
            previous = info.stored(upgrade);
        }
    }
    within("committed", finality.wait_for(|f| f.committed.batch == 2)).await.unwrap();

    // Which of the operators may revert is the deployment's choice: take one that may, else there is nothing to test.
    let request =
        L1TxRequest::call("revert", operators.timelock, revert_calldata(operators.diamond, 1));
    let mut reverted = false;
    for sender in [&operators.commit, &operators.prove, &operators.execute] {
        match sender.send(request.clone()).await {
            Ok(pending) => {
                pending.receipt().await.unwrap();
                reverted = true;
                break;
            }
            Err(error) => assert!(error.to_string().contains("RoleAccessDenied"), "{error}"),
        }
    }
    if !reverted {
        println!("no operator of the shipped state may revert batches");
        return;
    }
    within(
        "reverted",
        finality.wait_for(|f| f.committed == BatchPoint { batch: 1, last_block: 10 }),
    )
    .await
    .unwrap();
    assert_eq!(handle.batches.get(2), None);

    // Another batch 2: the last commit counts, also for who comes later.
    let mut again = batch(&state, 2);
    again.last_block_number = 15;
    operators
        .commit
        .send(operators.commit(&previous, &again))
        .await
        .unwrap()
        .receipt()
        .await
        .unwrap();
    within(
        "recommitted",
        finality.wait_for(|f| f.committed == BatchPoint { batch: 2, last_block: 15 }),
    )
    .await
    .unwrap();
    let found = relearn_batch(&provider, &state.contracts, None, 2, UpgradeTxs::AppliedSince(0))
        .await
        .unwrap();
    assert_eq!(found.commit, again);
}

#[tokio::test]
async fn a_batch_with_a_later_upgrade_is_relearnt() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let provider = anvil.provider().await;
    let state = anvil.discover(&provider).await;
    let diamond = state.contracts.diamond;
    let genesis_upgrade = fetch_genesis_upgrade(&provider, diamond).await.unwrap();
    let floor = genesis_upgrade.l1_block;
    let first_hash = genesis_upgrade.tx.seal();
    let applied =
        async || applied_upgrade_txs::<BatchError>(&provider, diamond, floor).await.unwrap();
    assert_eq!(applied().await, [first_hash]);

    // An upgrade can be applied when the one before it is done with.
    let operators = Operators::start(&anvil, &provider, &state).await;
    let commit = async |previous: &StoredBatchInfo, info: &CommitBatchInfo| {
        let pending = operators.commit.send(operators.commit(previous, info)).await.unwrap();
        within("commit", pending.receipt()).await.unwrap();
    };
    let genesis = anvil.deployment.genesis_batch();
    let info = batch(&state, 1);
    commit(&genesis, &info).await;
    let first = info.stored(first_hash);
    operators.prove(&genesis, &[first]).await.unwrap();
    operators.execute(&[first]).await.unwrap();

    let governor = Governor::new(&anvil, &provider).await;
    let tx = upgrade_tx(b"upgrade");
    let cut = governor.register(&anvil, state.protocol_version, &tx).await;
    governor.apply(diamond, state.protocol_version, cut).await;
    let second_hash = tx.canonical_hash();
    assert_eq!(applied().await, [first_hash, second_hash]);

    let info = batch(&state, 2);
    commit(&first, &info).await;
    let second = info.stored(second_hash);
    assert_eq!(stored_batch_hash(&provider, diamond, 2).await.unwrap(), second.hash());
    let known = [first_hash];
    let learn = async |batch, upgrades| {
        relearn_batch(&provider, &state.contracts, None, batch, upgrades).await
    };
    // The genesis upgrade is not the only one there is.
    let error = learn(2, UpgradeTxs::Known(&known)).await.unwrap_err();
    assert!(matches!(error, BatchError::Contradiction { batch: 2, .. }), "{error}");
    for (number, stored, hash) in [(1, first, first_hash), (2, second, second_hash)] {
        let found = learn(number, UpgradeTxs::AppliedSince(floor)).await.unwrap();
        assert_eq!((found.stored, found.upgrade_tx_hash), (stored, hash));
    }
}
