//! Tests of the whole pool over an in-memory chain state.

use crate::*;
use alloy_consensus::{
    SignableTransaction, Transaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy,
    transaction::SignerRecoverable,
};
use alloy_eips::{BlockId, eip7702::Authorization};
use alloy_primitives::{Address, B256, Bytes, Signature, TxHash, TxKind, U256, map::AddressMap};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use futures::executor::block_on;
use parking_lot::RwLock;
use proptest::prelude::*;
use std::{sync::Arc, time::Instant};
use zkos_primitives::{AccountProperties, RecoveredTx, TxL1Priority, ZkTxEnvelope};
use zkos_storage_api::{
    ProviderError, ProviderResult, StateProvider, StateProviderBox, StateProviderFactory,
};

const CHAIN_ID: u64 = 270;
const GAS_LIMIT: u64 = 21_000;

/// Accounts and nothing else.
#[derive(Debug, Clone, Default)]
struct Accounts {
    accounts: Arc<RwLock<AddressMap<AccountProperties>>>,
    broken: Arc<std::sync::atomic::AtomicBool>,
}

impl Accounts {
    fn set(&self, address: Address, nonce: u64, balance: u128) {
        let account = AccountProperties::new_eoa(nonce, U256::from(balance));
        self.accounts.write().insert(address, account);
    }
}

struct View(Accounts);

impl StateProvider for View {
    fn block_number(&self) -> u64 {
        0
    }
    fn read(&self, _key: B256) -> ProviderResult<Option<B256>> {
        Ok(None)
    }
    fn account(&self, address: Address) -> ProviderResult<Option<AccountProperties>> {
        Ok(self.0.accounts.read().get(&address).copied())
    }
    fn preimage(&self, _hash: B256) -> ProviderResult<Option<Bytes>> {
        Ok(None)
    }
}

impl StateProviderFactory for Accounts {
    fn latest(&self) -> ProviderResult<StateProviderBox> {
        self.pending()
    }
    fn pending(&self) -> ProviderResult<StateProviderBox> {
        if self.broken.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(ProviderError::WriterStopped("disk full".into()));
        }
        Ok(Box::new(View(self.clone())))
    }
    fn history_by_block_number(&self, _number: u64) -> ProviderResult<StateProviderBox> {
        self.pending()
    }
    fn state_by_block_id(&self, _id: BlockId) -> ProviderResult<StateProviderBox> {
        self.pending()
    }
}

type TestPool = ZkTransactionPool<Accounts>;

fn pool_with(config: PoolConfig) -> (TestPool, Accounts) {
    let accounts = Accounts::default();
    let validator = ZkTransactionValidatorBuilder::new(CHAIN_ID)
        .block_gas_limit(100_000_000)
        .build(accounts.clone());
    (Pool::new(validator, CoinbaseTipOrdering::default(), config), accounts)
}

fn pool() -> (TestPool, Accounts) {
    pool_with(PoolConfig::default())
}

fn sender(n: u8) -> Address {
    Address::with_last_byte(n)
}

fn fake_signature(salt: u64) -> Signature {
    Signature::new(U256::from(salt) + U256::ONE, U256::from(2), false)
}

/// A transfer without a real signature: the pool trusts recovered senders.
fn tx(from: Address, nonce: u64, max_fee: u128, tip: u128) -> ZkPooledTransaction {
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: GAS_LIMIT,
        max_fee_per_gas: max_fee,
        max_priority_fee_per_gas: tip,
        to: TxKind::Call(from),
        ..Default::default()
    };
    recovered(
        alloy_consensus::EthereumTxEnvelope::Eip1559(tx.into_signed(fake_signature(nonce))),
        from,
    )
}

fn recovered(
    tx: alloy_consensus::EthereumTxEnvelope<TxEip4844>,
    from: Address,
) -> ZkPooledTransaction {
    PoolTransaction::from_recovered(RecoveredTx::new_unchecked(tx.into(), from))
}

fn add(pool: &TestPool, tx: ZkPooledTransaction) -> PoolResult<AddedTransactionOutcome> {
    let result = block_on(pool.add_transaction(TransactionOrigin::External, tx));
    pool.assert_invariants();
    result
}

fn order(pool: &TestPool) -> Vec<(Address, u64)> {
    pool.best_transactions().map(|tx| (tx.sender(), tx.nonce())).collect()
}

fn with_base_fee(pool: &TestPool, base_fee: u64) {
    pool.set_block_info(BlockInfo { pending_basefee: base_fee, ..pool.block_info() });
    pool.assert_invariants();
}

fn block(pool: &TestPool, mined: &[TxHash], accounts: &[(Address, u64, u128)]) {
    pool.on_canonical_state_change(CanonicalStateUpdate {
        block_info: pool.block_info(),
        changed_accounts: accounts
            .iter()
            .map(|(address, nonce, balance)| ChangedAccount {
                address: *address,
                nonce: *nonce,
                balance: U256::from(*balance),
            })
            .collect(),
        mined_transactions: mined.to_vec(),
        reset_accounts: false,
    });
    pool.assert_invariants();
}

const RICH: u128 = 10u128.pow(18);

#[test]
fn gaps_are_queued_and_closed() {
    let (pool, accounts) = pool();
    let a = sender(1);
    accounts.set(a, 5, RICH);
    assert_eq!(add(&pool, tx(a, 7, 10, 1)).unwrap().sub_pool, SubPool::Queued);
    assert_eq!(add(&pool, tx(a, 6, 10, 1)).unwrap().sub_pool, SubPool::Queued);
    assert_eq!(order(&pool), []);
    let mut pending = pool.pending_transactions_listener();
    let outcome = add(&pool, tx(a, 5, 10, 1)).unwrap();
    assert!(outcome.is_pending());
    assert_eq!(order(&pool), [(a, 5), (a, 6), (a, 7)]);
    // Promoted in the order of nonces, each reported once.
    let reported: Vec<_> = std::iter::from_fn(|| pending.try_recv().ok()).collect();
    let expected: Vec<_> = pool.get_transactions_by_sender(a).iter().map(|tx| *tx.hash()).collect();
    assert_eq!(reported, expected);
    assert_eq!(reported[0], outcome.hash);

    assert_eq!(pool.get_highest_consecutive_transaction_by_sender(a, 5).unwrap().nonce(), 7);
    assert!(pool.get_highest_consecutive_transaction_by_sender(a, 8).is_none());
    pool.remove_transactions(vec![reported[1]]);
    pool.assert_invariants();
    assert_eq!(order(&pool), [(a, 5)]);
    assert_eq!(pool.get_highest_consecutive_transaction_by_sender(a, 5).unwrap().nonce(), 5);
    assert_eq!(pool.pool_size(), PoolSize { pending: 1, queued: 1, total: 2, ..pool.pool_size() });
}

#[test]
fn best_follows_tip_then_nonce_then_arrival() {
    let (pool, accounts) = pool();
    let (a, b, c) = (sender(1), sender(2), sender(3));
    for address in [a, b, c] {
        accounts.set(address, 0, RICH);
    }
    with_base_fee(&pool, 10);
    add(&pool, tx(a, 0, 100, 1)).unwrap();
    add(&pool, tx(a, 1, 100, 50)).unwrap();
    add(&pool, tx(b, 0, 100, 5)).unwrap();
    // Capped: 12 - 10 = 2.
    add(&pool, tx(c, 0, 12, 12)).unwrap();
    add(&pool, tx(b, 1, 100, 1)).unwrap();
    assert_eq!(order(&pool), [(b, 0), (c, 0), (a, 0), (a, 1), (b, 1)]);
}

#[test]
fn base_fee_moves_transactions() {
    let (pool, accounts) = pool();
    let a = sender(1);
    accounts.set(a, 0, RICH);
    with_base_fee(&pool, 20);
    assert_eq!(add(&pool, tx(a, 0, 10, 1)).unwrap().sub_pool, SubPool::BaseFee);
    assert_eq!(add(&pool, tx(a, 1, 30, 1)).unwrap().sub_pool, SubPool::Queued);
    let mut events =
        pool.transaction_event_listener(*pool.get_transactions_by_sender(a)[1].hash()).unwrap();
    with_base_fee(&pool, 10);
    assert_eq!(order(&pool), [(a, 0), (a, 1)]);
    assert_eq!(block_on(events.recv()), Some(TransactionEvent::Pending));
    with_base_fee(&pool, 11);
    assert_eq!(order(&pool), []);
    assert_eq!(block_on(events.recv()), Some(TransactionEvent::Queued));
    let size = pool.pool_size();
    assert_eq!((size.pending, size.basefee, size.queued), (0, 1, 1));
}

#[test]
fn cumulative_cost_must_be_covered() {
    let (pool, accounts) = pool();
    let a = sender(1);
    let cost = u128::from(GAS_LIMIT) * 10;
    accounts.set(a, 0, cost * 2);
    assert!(add(&pool, tx(a, 0, 10, 1)).unwrap().is_pending());
    assert!(add(&pool, tx(a, 1, 10, 1)).unwrap().is_pending());
    assert_eq!(add(&pool, tx(a, 2, 10, 1)).unwrap().sub_pool, SubPool::Queued);
    // More money: all can go; less: only the first. The first entry does not change in either case.
    block(&pool, &[], &[(a, 0, cost * 3)]);
    assert_eq!(order(&pool).len(), 3);
    block(&pool, &[], &[(a, 0, cost)]);
    assert_eq!(order(&pool).len(), 1);
}

#[test]
fn replacement_needs_a_bump_of_fee_and_tip() {
    let (pool, accounts) = pool();
    let a = sender(1);
    accounts.set(a, 0, RICH);
    let old = add(&pool, tx(a, 0, 1000, 100)).unwrap().hash;
    add(&pool, tx(a, 1, 1000, 100)).unwrap();
    let mut events = pool.transaction_event_listener(old).unwrap();
    for (fee, tip) in [(1099, 110), (1100, 109), (1000, 101)] {
        let error = add(&pool, tx(a, 0, fee, tip)).unwrap_err();
        assert_eq!(error.to_string(), "replacement transaction underpriced");
    }
    let new = add(&pool, tx(a, 0, 1100, 110)).unwrap();
    assert!(new.is_pending());
    assert_eq!(block_on(events.recv()), Some(TransactionEvent::Replaced(new.hash)));
    assert_eq!(block_on(events.recv()), None);
    assert!(pool.get(&old).is_none());
    assert_eq!(order(&pool), [(a, 0), (a, 1)]);
    assert_eq!(add(&pool, tx(a, 0, 1100, 110)).unwrap_err().to_string(), "already known");
}

#[test]
fn mined_transactions_leave_and_stale_ones_with_them() {
    let (pool, accounts) = pool();
    let a = sender(1);
    accounts.set(a, 0, RICH);
    let hashes: Vec<_> =
        (0..4).map(|nonce| add(&pool, tx(a, nonce, 10, 1)).unwrap().hash).collect();
    let mut mined = pool.transaction_event_listener(hashes[0]).unwrap();
    let mut stale = pool.transaction_event_listener(hashes[1]).unwrap();
    // Nonce 1 was used by a transaction that the pool does not know.
    block(&pool, &hashes[..1], &[(a, 2, RICH)]);
    assert_eq!(block_on(mined.recv()), Some(TransactionEvent::Mined(B256::ZERO)));
    assert_eq!(block_on(stale.recv()), Some(TransactionEvent::Discarded));
    assert_eq!(order(&pool), [(a, 2), (a, 3)]);
    // An account that the update does not name.
    block(&pool, &hashes[2..3], &[]);
    assert_eq!(order(&pool), [(a, 3)]);
    // An older update does not bring nonces back.
    block(&pool, &[], &[(a, 1, RICH)]);
    assert_eq!(order(&pool), [(a, 3)]);
    block(&pool, &hashes[3..], &[(a, 4, RICH)]);
    assert!(pool.unique_senders().is_empty());
}

#[test]
fn late_insertion_is_corrected_by_recent_blocks() {
    let (pool, accounts) = pool();
    let a = sender(1);
    // The validator saw nonce 0, then a block with the transaction passed.
    accounts.set(a, 0, RICH);
    block(&pool, &[], &[(a, 1, RICH)]);
    let error = add(&pool, tx(a, 0, 10, 1)).unwrap_err();
    assert_eq!(error.to_string(), "nonce too low: next nonce 1, tx nonce 0");
    assert!(pool.unique_senders().is_empty());
    assert!(add(&pool, tx(a, 1, 10, 1)).unwrap().is_pending());
}

#[test]
fn reset_accounts_brings_nonces_back() {
    let (pool, accounts) = pool();
    let a = sender(1);
    accounts.set(a, 3, RICH);
    add(&pool, tx(a, 3, 10, 1)).unwrap();
    pool.on_canonical_state_change(CanonicalStateUpdate {
        changed_accounts: vec![ChangedAccount { address: a, nonce: 2, balance: U256::from(RICH) }],
        reset_accounts: true,
        ..Default::default()
    });
    pool.assert_invariants();
    assert_eq!(order(&pool), []);
    accounts.set(a, 2, RICH);
    add(&pool, tx(a, 2, 10, 1)).unwrap();
    assert_eq!(order(&pool), [(a, 2), (a, 3)]);
}

#[test]
fn limits_throw_out_the_cheapest() {
    let config = PoolConfig {
        pending_limit: SubPoolLimit::new(2, usize::MAX),
        queued_limit: SubPoolLimit::new(1, usize::MAX),
        max_account_slots: 3,
        ..Default::default()
    };
    let (pool, accounts) = pool_with(config);
    for n in 1..=9 {
        accounts.set(sender(n), 0, RICH);
    }
    let cheap = add(&pool, tx(sender(1), 0, 10, 1)).unwrap().hash;
    let mut events = pool.transaction_event_listener(cheap).unwrap();
    add(&pool, tx(sender(2), 0, 20, 1)).unwrap();
    assert_eq!(add(&pool, tx(sender(3), 0, 10, 1)).unwrap_err().to_string(), "txpool is full");
    add(&pool, tx(sender(3), 0, 30, 1)).unwrap();
    assert_eq!(block_on(events.recv()), Some(TransactionEvent::Discarded));
    assert_eq!(order(&pool).len(), 2);
    // Queued: the newcomer with the higher fee wins.
    add(&pool, tx(sender(4), 1, 10, 1)).unwrap();
    add(&pool, tx(sender(5), 1, 11, 1)).unwrap();
    assert!(pool.get_transactions_by_sender(sender(4)).is_empty());
    assert_eq!(pool.pool_size().total, 3);
}

#[test]
fn bytes_are_limited_too() {
    let (probe, accounts) = pool();
    accounts.set(sender(1), 0, RICH);
    add(&probe, tx(sender(1), 0, 10, 1)).unwrap();
    let one = probe.pool_size().pending_size;
    let config =
        PoolConfig { pending_limit: SubPoolLimit::new(100, 2 * one), ..Default::default() };
    let (pool, accounts) = pool_with(config);
    for n in 1..=3 {
        accounts.set(sender(n), 0, RICH);
        let _ = add(&pool, tx(sender(n), 0, 10 * u128::from(n), 1));
    }
    assert_eq!(order(&pool).len(), 2);
    assert!(pool.get_transactions_by_sender(sender(1)).is_empty());
}

#[test]
fn slots_of_a_sender_are_limited_unless_local() {
    let config = PoolConfig { max_account_slots: 2, ..Default::default() };
    let (pool, accounts) = pool_with(config);
    let a = sender(1);
    accounts.set(a, 0, RICH);
    add(&pool, tx(a, 0, 10, 1)).unwrap();
    add(&pool, tx(a, 1, 10, 1)).unwrap();
    let error = add(&pool, tx(a, 2, 10, 1)).unwrap_err();
    assert!(matches!(error.kind, PoolErrorKind::SpammerExceededCapacity(address) if address == a));
    assert!(error.is_temporary());
    // A replacement takes no slot, and the operator has as many as he likes.
    add(&pool, tx(a, 1, 20, 2)).unwrap();
    block_on(pool.add_transaction(TransactionOrigin::Local, tx(a, 2, 10, 1))).unwrap();
    assert_eq!(order(&pool).len(), 3);
}

#[test]
fn best_is_live() {
    let (pool, accounts) = pool();
    let (a, b, c) = (sender(1), sender(2), sender(3));
    for address in [a, b, c] {
        accounts.set(address, 0, RICH);
    }
    add(&pool, tx(a, 0, 10, 1)).unwrap();
    let mut best = pool.best_transactions();
    let mut next = || best.next().map(|tx| (tx.sender(), tx.nonce()));
    assert_eq!(next(), Some((a, 0)));
    assert_eq!(next(), None);
    // New senders, the successor of a yielded transaction, and one with a better tip.
    add(&pool, tx(b, 0, 10, 1)).unwrap();
    add(&pool, tx(a, 1, 10, 1)).unwrap();
    add(&pool, tx(c, 0, 10, 5)).unwrap();
    assert_eq!(next(), Some((c, 0)));
    // Removed before it was yielded.
    let gone = *pool.get_transactions_by_sender(b)[0].hash();
    pool.remove_transactions(vec![gone]);
    assert_eq!(next(), Some((a, 1)));
    assert_eq!(next(), None);
    // Back again with another fee.
    add(&pool, tx(b, 0, 11, 2)).unwrap();
    assert_eq!(next(), Some((b, 0)));
    // Replacing a yielded transaction does not yield its nonce twice.
    add(&pool, tx(b, 0, 20, 4)).unwrap();
    assert_eq!(next(), None);
    // Blocks pass; the iterator goes on with what is left.
    block(&pool, &[*pool.get_transactions_by_sender(a)[0].hash()], &[(a, 1, RICH)]);
    add(&pool, tx(a, 2, 10, 1)).unwrap();
    assert_eq!(next(), Some((a, 2)));
    block(&pool, &[], &[(c, 3, RICH)]);
    accounts.set(c, 3, RICH);
    add(&pool, tx(c, 3, 10, 1)).unwrap();
    assert_eq!(next(), Some((c, 3)));
    assert_eq!(next(), None);
}

#[test]
fn best_skips_senders_marked_invalid() {
    let (pool, accounts) = pool();
    let (a, b) = (sender(1), sender(2));
    accounts.set(a, 0, RICH);
    accounts.set(b, 0, RICH);
    for nonce in 0..3 {
        add(&pool, tx(a, nonce, 10, 5)).unwrap();
        add(&pool, tx(b, nonce, 10, 1)).unwrap();
    }
    let mut best = pool.best_transactions();
    let first = best.next().unwrap();
    assert_eq!(first.sender(), a);
    best.mark_invalid(&first, &InvalidPoolTransactionError::NonceMax);
    assert_eq!(best.by_ref().map(|tx| tx.sender()).collect::<Vec<_>>(), [b, b, b]);
    best.no_updates();
    add(&pool, tx(b, 3, 10, 1)).unwrap();
    assert!(best.next().is_none());
}

#[test]
fn best_survives_a_long_pause() {
    let (pool, accounts) = pool();
    let a = sender(1);
    accounts.set(a, 0, u128::MAX);
    let mut best = pool.best_transactions();
    assert!(best.next().is_none());
    let txs = (0..18_000).map(|nonce| tx(a, nonce, 10, 1)).collect();
    let results = block_on(pool.add_transactions(TransactionOrigin::External, txs));
    assert!(results.iter().all(Result::is_ok));
    pool.assert_invariants();
    assert_eq!(best.map(|tx| tx.nonce()).collect::<Vec<_>>(), (0..18_000).collect::<Vec<_>>());
}

#[test]
fn best_at_another_base_fee() {
    let (pool, accounts) = pool();
    for n in 1..=2 {
        accounts.set(sender(n), 0, RICH);
    }
    add(&pool, tx(sender(1), 0, 10, 5)).unwrap();
    add(&pool, tx(sender(2), 0, 30, 1)).unwrap();
    let at = |base_fee| -> Vec<_> {
        let attributes = BestTransactionsAttributes::base_fee(base_fee);
        pool.best_transactions_with_attributes(attributes).map(|tx| tx.sender()).collect()
    };
    assert_eq!(at(0), [sender(1), sender(2)]);
    assert_eq!(at(10), [sender(2), sender(1)]);
    assert_eq!(at(11), [sender(2)]);
}

#[test]
fn new_transactions_are_announced() {
    let (pool, accounts) = pool();
    let a = sender(1);
    accounts.set(a, 0, RICH);
    let mut new = pool.new_transactions_listener();
    let hash = add(&pool, tx(a, 1, 10, 1)).unwrap().hash;
    let event = new.try_recv().unwrap();
    assert_eq!((event.sub_pool, *event.transaction.hash()), (SubPool::Queued, hash));
    drop(new);
    add(&pool, tx(a, 0, 10, 1)).unwrap();
    assert!(pool.transaction_event_listener(TxHash::ZERO).is_none());
}

#[test]
fn slow_listeners_lose_messages_and_nobody_waits() {
    let config = PoolConfig { listener_buffer: 2, ..Default::default() };
    let (pool, accounts) = pool_with(config);
    let a = sender(1);
    accounts.set(a, 0, RICH);
    let mut pending = pool.pending_transactions_listener();
    for nonce in 0..5 {
        add(&pool, tx(a, nonce, 10, 1)).unwrap();
    }
    assert_eq!(std::iter::from_fn(|| pending.try_recv().ok()).count(), 2);
}

#[test]
fn stale_parked_transactions_are_evicted() {
    let (pool, accounts) = pool();
    let a = sender(1);
    accounts.set(a, 0, RICH);
    add(&pool, tx(a, 0, 10, 1)).unwrap();
    add(&pool, tx(a, 2, 10, 1)).unwrap();
    assert_eq!(pool.evict_stale(Instant::now() - std::time::Duration::from_secs(60)), 0);
    assert_eq!(pool.evict_stale(Instant::now() + std::time::Duration::from_secs(1)), 1);
    assert_eq!(order(&pool), [(a, 0)]);
}

fn refusal(change: impl FnOnce(&mut TxEip1559)) -> String {
    let (pool, accounts) = pool();
    let a = sender(1);
    accounts.set(a, 5, RICH);
    let mut tx = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce: 5,
        gas_limit: 100_000,
        max_fee_per_gas: 10,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(a),
        ..Default::default()
    };
    change(&mut tx);
    let tx = alloy_consensus::EthereumTxEnvelope::Eip1559(tx.into_signed(fake_signature(0)));
    match add(&pool, recovered(tx, a)) {
        Ok(_) => "accepted".into(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn refusals_and_their_texts() {
    assert_eq!(refusal(|_| {}), "accepted");
    assert_eq!(refusal(|tx| tx.chain_id = 1), "invalid chain id for signer: have 1 want 270");
    assert_eq!(refusal(|tx| tx.nonce = 4), "nonce too low: next nonce 5, tx nonce 4");
    assert_eq!(refusal(|tx| tx.nonce = u64::MAX), "nonce has max value");
    assert_eq!(
        refusal(|tx| tx.gas_limit = 20_999),
        "intrinsic gas too low: have 20999, want 21000"
    );
    assert_eq!(
        refusal(|tx| tx.gas_limit = 100_000_001),
        "exceeds block gas limit: tx gas limit 100000001, block gas limit 100000000"
    );
    assert_eq!(
        refusal(|tx| tx.max_priority_fee_per_gas = 11),
        "max priority fee per gas higher than max fee per gas: maxPriorityFeePerGas 11, maxFeePerGas 10"
    );
    assert_eq!(
        refusal(|tx| tx.value = U256::from(RICH)),
        "insufficient funds for gas * price + value: have 1000000000000000000 want 1000000000001000000"
    );
    assert_eq!(
        refusal(|tx| tx.value = U256::MAX),
        "insufficient funds for gas * price + value: cost overflows"
    );
    assert_eq!(
        refusal(|tx| {
            tx.to = TxKind::Create;
            tx.gas_limit = 10_000_000;
            tx.input = vec![0; 49_153].into();
        }),
        "max initcode size exceeded: code size 49153, limit 49152"
    );
    assert!(refusal(|tx| tx.input = vec![0; 200_000].into()).starts_with("oversized data"));
}

#[test]
fn types_that_users_cannot_send() {
    let (pool, accounts) = pool();
    let a = sender(1);
    accounts.set(a, 0, RICH);
    let l1 = TxL1Priority { from: a, gas_limit: 100_000, ..Default::default() };
    let l1 = RecoveredTx::new_unchecked(ZkTxEnvelope::from(l1), a);
    let blob = TxEip4844 { chain_id: CHAIN_ID, gas_limit: 100_000, ..Default::default() };
    let blob = alloy_consensus::EthereumTxEnvelope::Eip4844(blob.into_signed(fake_signature(0)));
    for tx in [PoolTransaction::from_recovered(l1), recovered(blob, a)] {
        assert_eq!(add(&pool, tx).unwrap_err().to_string(), "transaction type not supported");
    }
    let empty = TxEip7702 { chain_id: CHAIN_ID, gas_limit: 100_000, ..Default::default() };
    let empty = alloy_consensus::EthereumTxEnvelope::Eip7702(empty.into_signed(fake_signature(0)));
    assert_eq!(
        add(&pool, recovered(empty, a)).unwrap_err().to_string(),
        "EIP-7702 transaction with empty auth list"
    );
    let high_s = Signature::new(U256::ONE, U256::MAX >> 1, false);
    let legacy = TxLegacy { gas_limit: 100_000, gas_price: 1, ..Default::default() };
    let legacy = alloy_consensus::EthereumTxEnvelope::Legacy(legacy.into_signed(high_s));
    assert_eq!(
        add(&pool, recovered(legacy, a)).unwrap_err().to_string(),
        "invalid transaction v, r, s values"
    );
}

#[test]
fn contracts_cannot_send_but_delegated_accounts_can() {
    let (pool, accounts) = pool();
    let (contract, delegated, empty) = (sender(1), sender(2), sender(3));
    let account = |set: &dyn Fn(&mut AccountProperties)| {
        let mut account = AccountProperties::new_eoa(0, U256::from(RICH));
        set(&mut account);
        account
    };
    accounts.accounts.write().extend([
        (contract, account(&|account| drop(account.set_deployed_code(&[0])))),
        (delegated, account(&|account| drop(account.set_delegation(contract)))),
        (empty, account(&|account| drop(account.set_deployed_code(&[])))),
    ]);
    let error = add(&pool, tx(contract, 0, 10, 1)).unwrap_err();
    assert_eq!(error.to_string(), format!("sender not an eoa: address {contract}"));
    assert!(add(&pool, tx(delegated, 0, 10, 1)).is_ok());
    assert!(add(&pool, tx(empty, 0, 10, 1)).is_ok());
}

#[test]
fn unreadable_state_is_not_the_transactions_fault() {
    let (pool, accounts) = pool();
    accounts.broken.store(true, std::sync::atomic::Ordering::Relaxed);
    let error = add(&pool, tx(sender(1), 0, 10, 1)).unwrap_err();
    assert!(matches!(error.kind, PoolErrorKind::Other(_)));
    assert!(error.to_string().contains("disk full"));
}

#[test]
fn own_rules_are_asked_last() {
    let accounts = Accounts::default();
    let banned = sender(9);
    accounts.set(banned, 0, RICH);
    let validator = ZkTransactionValidatorBuilder::new(CHAIN_ID)
        .minimum_fee_cap(7)
        .with_check(Arc::new(move |tx, _| {
            if tx.sender() == banned {
                return Err(InvalidPoolTransactionError::Policy("barred".into()));
            }
            Ok(())
        }))
        .build(accounts);
    let pool: TestPool = Pool::new(validator, Default::default(), PoolConfig::default());
    assert_eq!(
        add(&pool, tx(banned, 0, 6, 1)).unwrap_err().to_string(),
        "transaction underpriced: maxFeePerGas 6, minimum needed 7"
    );
    assert_eq!(
        add(&pool, tx(banned, 0, 7, 1)).unwrap_err().to_string(),
        "transaction rejected by policy: barred"
    );
}

#[test]
fn intrinsic_gas_by_the_rules_of_cancun() {
    let create = TxEip2930 { to: TxKind::Create, input: vec![1; 33].into(), ..Default::default() };
    assert_eq!(intrinsic_gas(&create), 21_000 + 33 * 16 + 32_000 + 4);
    let mut call = TxEip2930 {
        to: TxKind::Call(sender(1)),
        input: vec![0, 1, 0].into(),
        ..Default::default()
    };
    call.access_list = alloy_eips::eip2930::AccessList(vec![
        alloy_eips::eip2930::AccessListItem {
            address: sender(1),
            storage_keys: vec![B256::ZERO; 2],
        },
        Default::default(),
    ]);
    assert_eq!(intrinsic_gas(&call), 21_000 + 24 + 2 * 2_400 + 2 * 1_900);
    let authorization = Authorization { chain_id: U256::ZERO, address: sender(1), nonce: 0 }
        .into_signed(fake_signature(0));
    let delegate = TxEip7702 { authorization_list: vec![authorization; 2], ..Default::default() };
    assert_eq!(intrinsic_gas(&delegate), 71_000);
}

fn signed_tx(signer: &PrivateKeySigner, nonce: u64) -> RecoveredTx {
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: GAS_LIMIT,
        max_fee_per_gas: 10,
        to: TxKind::Call(sender(1)),
        ..Default::default()
    };
    let signature = signer.sign_hash_sync(&tx.signature_hash()).unwrap();
    let tx: ZkTxEnvelope =
        alloy_consensus::EthereumTxEnvelope::Eip1559(tx.into_signed(signature)).into();
    assert_eq!(tx.recover_signer().unwrap(), signer.address());
    RecoveredTx::new_unchecked(tx, signer.address())
}

#[test]
fn backup_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("txpool-transactions-backup.rlp");
    let signer = PrivateKeySigner::from_slice(&[0x11; 32]).unwrap();
    let (old, accounts) = pool();
    accounts.set(signer.address(), 0, RICH);
    assert_eq!(load_backup(&path).unwrap().len(), 0);
    for (nonce, origin) in [
        (1, TransactionOrigin::External),
        (0, TransactionOrigin::Local),
        (2, TransactionOrigin::External),
    ] {
        block_on(old.add_consensus_transaction(signed_tx(&signer, nonce), origin)).unwrap();
    }
    assert_eq!(save_backup(&old, &path).unwrap(), 3);

    let (new, accounts) = pool();
    accounts.set(signer.address(), 1, RICH);
    // Nonce 0 was mined meanwhile.
    assert_eq!(block_on(restore_backup(&new, &path)).unwrap(), (2, 3));
    assert_eq!(order(&new), [(signer.address(), 1), (signer.address(), 2)]);

    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(load_backup(&path), Err(BackupError::Malformed { .. })));
    std::fs::write(&path, b"x").unwrap();
    assert!(matches!(load_backup(&path), Err(BackupError::Malformed { .. })));
}

mod chain {
    //! Maintenance over the in-memory provider.

    use super::*;
    use std::{future::Future, time::Duration};
    use tokio::{sync::oneshot, task::JoinHandle, time::timeout};
    use zkos_primitives::{Genesis, ZkChainSpec};
    use zkos_storage_api::{
        BlockWriter,
        test_utils::{ChainBuilder, MemoryProvider, TestBlock, test_transfer},
    };

    type ChainPool = ZkTransactionPool<MemoryProvider>;

    struct Setup {
        provider: MemoryProvider,
        chain: ChainBuilder,
        pool: ChainPool,
    }

    fn setup() -> Setup {
        let spec = ZkChainSpec::new(CHAIN_ID, Genesis::default()).unwrap();
        let provider = MemoryProvider::new(&spec);
        let validator = ZkTransactionValidatorBuilder::new(CHAIN_ID).build(provider.clone());
        let pool = Pool::new(validator, Default::default(), PoolConfig::default());
        Setup { provider, chain: ChainBuilder::new(&spec), pool }
    }

    impl Setup {
        fn maintain(&self, config: MaintainPoolConfig) -> (oneshot::Sender<()>, JoinHandle<()>) {
            let (stop, stopped) = oneshot::channel();
            let stopped = async move { drop(stopped.await) };
            let future = maintain_transaction_pool(
                self.provider.clone(),
                self.pool.clone(),
                config,
                stopped,
            );
            (stop, tokio::spawn(future))
        }

        /// Appends a block and makes it canonical.
        fn block(&mut self, transactions: Vec<RecoveredTx>, accounts: Vec<(Address, u64)>) {
            let accounts = accounts
                .into_iter()
                .map(|(address, nonce)| {
                    (address, AccountProperties::new_eoa(nonce, U256::from(RICH)))
                })
                .collect();
            let block =
                self.chain.next_block(TestBlock { transactions, accounts, ..Default::default() });
            let number = block.number();
            self.provider.append(block).unwrap();
            self.provider.set_canonical_head(number).unwrap();
        }

        async fn add(&self, tx: RecoveredTx) -> PoolResult<AddedTransactionOutcome> {
            self.pool.add_consensus_transaction(tx, TransactionOrigin::External).await
        }

        /// Waits until the pool has seen a block.
        async fn seen(&self, number: u64) {
            let seen = || self.pool.block_info().last_seen_block_number == number;
            within(async {
                while !seen() {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
    }

    async fn within<T>(future: impl Future<Output = T>) -> T {
        timeout(Duration::from_secs(20), future).await.unwrap()
    }

    #[tokio::test]
    async fn blocks_take_transactions_out_and_move_the_others() {
        let (a, b) = (sender(1), sender(2));
        let mut setup = setup();
        let (_stop, _task) = setup.maintain(MaintainPoolConfig::default());
        setup.seen(0).await;
        setup.block(vec![], vec![(a, 0), (b, 0)]);
        setup.seen(1).await;
        for nonce in 0..3 {
            setup.add(test_transfer(a, nonce)).await.unwrap();
        }
        setup.add(test_transfer(b, 1)).await.unwrap();
        assert_eq!(setup.pool.pool_size().pending, 3);
        assert_eq!(setup.pool.block_info().pending_basefee, 100_000_000);
        let hash = *test_transfer(a, 0).inner().hash();
        let mut events = setup.pool.transaction_event_listener(hash).unwrap();
        // Nonce 0 of b is used by a transaction that never was in this pool.
        let included = vec![test_transfer(a, 0), test_transfer(b, 0)];
        setup.block(included, vec![(a, 1), (b, 1)]);
        assert!(matches!(within(events.recv()).await, Some(TransactionEvent::Mined(_))));
        setup.seen(2).await;
        assert_eq!(setup.pool.pool_size().pending, 3);
        assert_eq!(setup.pool.pool_size().queued, 0);
        setup.pool.assert_invariants();
    }

    #[tokio::test]
    async fn lost_notifications_lead_to_a_new_reading() {
        let a = sender(1);
        let mut setup = setup();
        let (_stop, task) = setup.maintain(MaintainPoolConfig::default());
        setup.block(vec![], vec![(a, 0)]);
        setup.seen(1).await;
        for nonce in 0..5 {
            setup.add(test_transfer(a, nonce)).await.unwrap();
        }
        // More blocks than the broadcast holds, while the maintenance does not run.
        setup.block(vec![test_transfer(a, 0), test_transfer(a, 1)], vec![(a, 2)]);
        for _ in 0..5_000 {
            setup.block(vec![], vec![]);
        }
        setup.seen(5_002).await;
        assert!(!task.is_finished());
        assert_eq!(setup.pool.pool_size().total, 3);
        setup.pool.assert_invariants();
        // It goes on as before.
        setup.block(vec![test_transfer(a, 2)], vec![(a, 3)]);
        setup.seen(5_003).await;
        assert_eq!(setup.pool.pool_size().total, 2);
    }

    #[tokio::test]
    async fn backup_is_written_at_shutdown_and_restored_at_start() {
        let folder = tempfile::tempdir().unwrap();
        let config = MaintainPoolConfig {
            backup_path: Some(folder.path().join("backup")),
            backup_interval: Duration::from_secs(3600),
            ..Default::default()
        };
        let signer = PrivateKeySigner::from_slice(&[0x11; 32]).unwrap();
        let first = setup();
        first
            .provider
            .set_account(signer.address(), AccountProperties::new_eoa(0, U256::from(RICH)));
        let (stop, task) = first.maintain(config.clone());
        first.add(signed_tx(&signer, 0)).await.unwrap();
        stop.send(()).unwrap();
        within(task).await.unwrap();

        let second = setup();
        second
            .provider
            .set_account(signer.address(), AccountProperties::new_eoa(0, U256::from(RICH)));
        second.pool.set_block_info(BlockInfo {
            block_gas_limit: 30_000_000,
            pending_basefee: 7,
            ..Default::default()
        });
        let (stop, task) = second.maintain(config);
        stop.send(()).unwrap();
        within(task).await.unwrap();
        assert_eq!(second.pool.pool_size().pending, 1);
        // What the builder of the pool said about fees is kept.
        assert_eq!(second.pool.block_info().pending_basefee, 7);
    }
}

#[derive(Debug, Clone)]
enum Op {
    Add { sender: u8, nonce: u64, fee: u128, tip: u128, local: bool },
    Remove { index: usize },
    Block { sender: u8, nonce: u64, balance: u8, mine: usize, base_fee: u64 },
    Reset { sender: u8, nonce: u64, balance: u8 },
    Next,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1u8..5, 0u64..8, 1u128..40, 0u128..10, any::<bool>())
            .prop_map(|(sender, nonce, fee, tip, local)| Op::Add { sender, nonce, fee, tip: tip.min(fee), local }),
        1 => any::<usize>().prop_map(|index| Op::Remove { index }),
        2 => (1u8..5, 0u64..6, any::<u8>(), 0usize..4, 0u64..30)
            .prop_map(|(sender, nonce, balance, mine, base_fee)| Op::Block { sender, nonce, balance, mine, base_fee }),
        1 => (1u8..5, 0u64..6, any::<u8>())
            .prop_map(|(sender, nonce, balance)| Op::Reset { sender, nonce, balance }),
        2 => Just(Op::Next),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    /// Whatever happens, all parts of the pool agree, and best yields exactly the pending transactions in a valid order.
    #[test]
    fn pool_stays_consistent(ops in proptest::collection::vec(op(), 1..60)) {
        let config = PoolConfig {
            pending_limit: SubPoolLimit::new(9, usize::MAX),
            basefee_limit: SubPoolLimit::new(5, usize::MAX),
            queued_limit: SubPoolLimit::new(6, usize::MAX),
            max_account_slots: 6,
            ..Default::default()
        };
        let (pool, accounts) = pool_with(config);
        let unit = u128::from(GAS_LIMIT);
        for n in 1..5 {
            accounts.set(sender(n), 0, unit * 120);
        }
        let mut live = pool.best_transactions();
        let mut yielded = AddressMap::<u64>::default();
        for op in ops {
            match op {
                Op::Add { sender: from, nonce, fee, tip, local } => {
                    let origin = if local { TransactionOrigin::Local } else { TransactionOrigin::External };
                    let _ = block_on(pool.add_transaction(origin, tx(sender(from), nonce, fee, tip)));
                }
                Op::Remove { index } => {
                    let mut hashes = pool.all_transaction_hashes();
                    hashes.sort_unstable();
                    if !hashes.is_empty() {
                        pool.remove_transactions(vec![hashes[index % hashes.len()]]);
                    }
                }
                Op::Block { sender: from, nonce, balance, mine, base_fee } => {
                    let mined: Vec<_> = pool.best_transactions().take(mine).map(|tx| *tx.hash()).collect();
                    let balance = unit * u128::from(balance);
                    accounts.set(sender(from), nonce, balance);
                    pool.on_canonical_state_change(CanonicalStateUpdate {
                        block_info: BlockInfo { pending_basefee: base_fee, ..pool.block_info() },
                        changed_accounts: vec![ChangedAccount { address: sender(from), nonce, balance: U256::from(balance) }],
                        mined_transactions: mined,
                        reset_accounts: false,
                    });
                }
                Op::Reset { sender: from, nonce, balance } => {
                    let balance = unit * u128::from(balance);
                    accounts.set(sender(from), nonce, balance);
                    pool.on_canonical_state_change(CanonicalStateUpdate {
                        block_info: pool.block_info(),
                        changed_accounts: vec![ChangedAccount { address: sender(from), nonce, balance: U256::from(balance) }],
                        mined_transactions: vec![],
                        reset_accounts: true,
                    });
                }
                Op::Next => {
                    if let Some(tx) = live.next() {
                        // Nonces of a sender only rise, and what is yielded is pending.
                        let last = yielded.insert(tx.sender(), tx.nonce());
                        prop_assert!(last.is_none_or(|last| last < tx.nonce()));
                        prop_assert!(pool.pending_transactions().iter().any(|pending| pending.hash() == tx.hash()));
                    }
                }
            }
            pool.assert_invariants();
            let size = pool.pool_size();
            prop_assert!(size.pending <= 9 && size.basefee <= 5 && size.queued <= 6);
        }
        let best: Vec<_> = pool.best_transactions().collect();
        prop_assert_eq!(best.len(), pool.pool_size().pending);
        let mut next = AddressMap::<u64>::default();
        let mut last_tip = AddressMap::<u128>::default();
        for tx in &best {
            if let Some(expected) = next.insert(tx.sender(), tx.nonce() + 1) {
                prop_assert_eq!(tx.nonce(), expected);
            }
            last_tip.insert(tx.sender(), tx.transaction.effective_tip_per_gas(0).unwrap());
        }
    }
}
