//! Transactions from outside: EIP-2718 and network forms, the params sequence of L1, the forms that the official
//! interface hands to the VM, JSON; and receipts, logs and account records, which travel beside them.

use crate::memory::bounded;
use alloy_consensus::{
    ReceiptWithBloom, Transaction,
    transaction::{Recovered, SignerRecoverable},
};
use alloy_eips::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use zkos_executor::{ExecutionError, StateError, StateView, TxResult, ZkEvmConfig};
use zkos_primitives::{
    AccountProperties, BlockContext, CanonicalTransaction, L2ToL1Log, TxL1Priority, TxUpgrade,
    ZkReceipt, ZkTxEnvelope,
};
use zksync_os_interface::traits::EncodedTx;

/// Memory per byte of binary input. The worst are entries of access and authorization lists in a growing vector.
const BINARY: usize = 48;
/// Memory per byte of JSON: a digit and a comma become a buffered value.
const JSON: usize = 256;

const SENDER: Address = Address::repeat_byte(0x11);

/// Gives the bytes to every decoder.
pub fn run(data: &[u8]) {
    envelope(data);
    network(data);
    params_sequence(data);
    vm_forms(data);
    json(data);
    receipt(data);
    records(data);
}

fn envelope(data: &[u8]) {
    let decoded = bounded(data.len(), BINARY, || {
        let mut rest = data;
        let lenient = ZkTxEnvelope::decode_2718(&mut rest);
        let exact = ZkTxEnvelope::decode_2718_exact(data);
        assert_eq!(exact.is_ok(), lenient.is_ok() && rest.is_empty());
        exact
    });
    let Ok(tx) = decoded else { return };
    // One transaction has one encoding, else it would have several hashes.
    assert_eq!(tx.encoded_2718(), data, "another encoding of {tx:?}");
    if !tx.is_from_l1() {
        assert_eq!(*tx.hash(), keccak256(data));
    }
    check(&tx);
}

fn network(data: &[u8]) {
    let Ok(tx) = bounded(data.len(), BINARY, || alloy_rlp::decode_exact::<ZkTxEnvelope>(data))
    else {
        return;
    };
    // Typed transactions are also taken without the string around them, and alloy does not compare the length that
    // this string names. Whoever needs the one encoding compares, as `debug_traceBlock` does.
    let mut bare = data;
    let string = alloy_rlp::Header::decode(&mut bare).is_ok_and(|header| !header.list);
    let encoded = tx.encoded_2718();
    assert!(encoded == data || (string && encoded == bare), "another encoding of {tx:?}");
    check(&tx);
}

/// What holds for every transaction however it came.
fn check(tx: &ZkTxEnvelope) {
    let encoded = tx.encoded_2718();
    assert_eq!(encoded.len(), tx.encode_2718_len());
    let again = ZkTxEnvelope::decode_2718_exact(&encoded).expect("own encoding");
    assert_eq!(again, *tx);
    assert_eq!(again.hash(), tx.hash());
    let network = alloy_rlp::encode(tx);
    assert_eq!(alloy_rlp::decode_exact::<ZkTxEnvelope>(&network).as_ref(), Ok(tx));

    let text = serde_json::to_string(tx).expect("every transaction has a json form");
    let read: ZkTxEnvelope = serde_json::from_str(&text).expect("own json form");
    assert_eq!(read, *tx, "{text}");

    let signer = tx.recover_signer_unchecked();
    if let Ok(strict) = tx.recover_signer() {
        assert_eq!(signer.as_ref().ok(), Some(&strict));
    }
    let signer = signer.unwrap_or(SENDER);
    if let Some(from) = tx.l1_sender() {
        assert_eq!(from, signer);
    }
    rpc_object(tx, signer);
    both_ways(tx, signer);
}

fn rpc_object(tx: &ZkTxEnvelope, signer: Address) {
    let object = alloy_rpc_types_eth::Transaction {
        inner: Recovered::new_unchecked(tx.clone(), signer),
        block_hash: Some(B256::with_last_byte(1)),
        block_number: Some(1),
        transaction_index: Some(0),
        effective_gas_price: Some(tx.effective_gas_price(7)),
        block_timestamp: None,
    };
    let text = serde_json::to_string(&object).expect("every transaction has an rpc form");
    let read: alloy_rpc_types_eth::Transaction<ZkTxEnvelope> =
        serde_json::from_str(&text).expect("own rpc form");
    assert_eq!(read.inner, object.inner, "{text}");
}

/// A state without any leaf.
struct Nothing;

impl StateView for Nothing {
    fn account(&mut self, _: Address) -> Result<Option<AccountProperties>, StateError> {
        Ok(None)
    }
    fn storage(&mut self, _: Address, _: U256) -> Result<Option<U256>, StateError> {
        Ok(None)
    }
    fn preimage(&mut self, _: B256) -> Result<Option<Bytes>, StateError> {
        Ok(None)
    }
}

/// A block without prices, so that a transaction of an empty account gets as far as execution.
fn context(chain_id: u64) -> BlockContext {
    BlockContext {
        chain_id,
        block_number: 1,
        native_price: U256::ONE,
        gas_limit: 2_000_000,
        pubdata_limit: 1_000_000,
        execution_version: 5,
        ..Default::default()
    }
}

/// Executes one transaction; the text tells everything about the result.
fn outcome(
    chain_id: u64,
    execute: impl FnOnce(&mut zkos_executor::BlockExecutor<Nothing>) -> Result<TxResult, ExecutionError>,
) -> String {
    let config = ZkEvmConfig::new().with_signature_verification(true);
    let mut executor = config.block_executor(context(chain_id), Nothing).expect("a valid context");
    match execute(&mut executor) {
        Ok(result) => {
            let output = executor.finish().expect("a complete state");
            format!("{result:?} {:?} {:?}", output.header, output.pubdata)
        }
        Err(error) => format!("{error:?}"),
    }
}

/// The node decodes a transaction once and executes the decoded form, the official interface decodes the bytes again:
/// both must come to the same result.
fn both_ways(tx: &ZkTxEnvelope, signer: Address) {
    // A sample of the transactions meets a block of another chain.
    let chain_id = tx.chain_id().filter(|_| tx.hash()[0] % 8 != 0).unwrap_or(270);
    let decoded =
        outcome(chain_id, |executor| Ok(executor.execute_transaction(tx, signer)?.cloned()));
    let form = tx.encode_for_vm(signer);
    let encoded = outcome(chain_id, |executor| Ok(executor.execute_encoded(&form)?.cloned()));
    assert_eq!(decoded, encoded, "{tx:?}");
}

fn params_sequence(data: &[u8]) {
    let decoded = bounded(data.len(), BINARY, || CanonicalTransaction::abi_decode(data));
    let Ok(canonical) = decoded else { return };
    assert_eq!(canonical.abi_encode(), data);
    assert_eq!(canonical.abi_encoded_len(), data.len());
    let hash = canonical.canonical_hash();
    let tx: ZkTxEnvelope = match TxL1Priority::try_from(canonical.clone()) {
        Ok(tx) => tx.into(),
        Err(_) => match TxUpgrade::try_from(canonical) {
            Ok(tx) => tx.into(),
            Err(_) => return,
        },
    };
    assert_eq!(*tx.hash(), hash);
    check(&tx);
}

/// Bytes that the node never saw decoded, as a caller of the official interface may give them.
fn vm_forms(data: &[u8]) {
    for form in [EncodedTx::Rlp(data.to_vec(), SENDER), EncodedTx::Abi(data.to_vec())] {
        let run = || outcome(270, |executor| Ok(executor.execute_encoded(&form)?.cloned()));
        assert_eq!(run(), run());
    }
}

fn json(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let decoded = bounded(data.len(), JSON, || serde_json::from_str::<ZkTxEnvelope>(text));
    if let Ok(tx) = decoded {
        if tx.is_from_l1() {
            check(&tx);
        } else {
            // The hash in the JSON form of a signed transaction is the sender's word; the bytes have their own.
            let bytes = tx.encoded_2718();
            check(&ZkTxEnvelope::decode_2718_exact(&bytes).expect("own encoding"));
        }
    }
    let object = bounded(data.len(), JSON, || {
        serde_json::from_str::<alloy_rpc_types_eth::Transaction<ZkTxEnvelope>>(text)
    });
    if let Ok(object) = object {
        serde_json::to_string(&object).expect("what was read can be written");
    }
    if let Ok(receipt) = bounded(data.len(), JSON, || serde_json::from_str::<ZkReceipt>(text)) {
        let again = serde_json::to_string(&receipt).expect("every receipt has a json form");
        assert_eq!(serde_json::from_str::<ZkReceipt>(&again).ok().as_ref(), Some(&receipt));
    }
}

fn receipt(data: &[u8]) {
    let decoded =
        bounded(data.len(), BINARY, || ReceiptWithBloom::<ZkReceipt>::decode_2718_exact(data));
    if let Ok(receipt) = decoded {
        assert_eq!(receipt.encoded_2718(), data);
        assert_eq!(receipt.encode_2718_len(), data.len());
    }
    if let Ok(receipt) = bounded(data.len(), BINARY, || alloy_rlp::decode_exact::<ZkReceipt>(data))
    {
        // The bloom is not kept but computed.
        let again = alloy_rlp::encode(&receipt);
        assert_eq!(again.len(), data.len());
        assert_eq!(alloy_rlp::decode_exact::<ZkReceipt>(&again), Ok(receipt));
    }
}

fn records(data: &[u8]) {
    if let Ok(log) = L2ToL1Log::decode(data) {
        assert_eq!(log.encode(), data);
    }
    if let Ok(log) = alloy_rlp::decode_exact::<L2ToL1Log>(data) {
        assert_eq!(alloy_rlp::encode(log), data);
    }
    if let Ok(account) = AccountProperties::decode(data) {
        assert_eq!(account.encode(), data);
    }
}
