//! Input of any kind gives a result or a typed error, and observers change nothing.

use alloy_consensus::{Signed, TxEip1559};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use proptest::prelude::*;
use revm_inspectors::tracing::{TracingInspector, TracingInspectorConfig};
use zkos_executor::{StateError, StateView, ZkEvmConfig};
use zkos_primitives::{AccountProperties, BlockContext, TxL1Priority, TxUpgrade, ZkTxEnvelope};
use zksync_os_interface::traits::EncodedTx;

const SENDER: Address = Address::repeat_byte(0x11);
const CONTRACT: Address = Address::repeat_byte(0x22);

/// A funded sender and one contract.
struct OneContract {
    account: AccountProperties,
    preimage: Bytes,
}

impl OneContract {
    fn new(code: &[u8]) -> Self {
        let mut account = AccountProperties::new_eoa(1, U256::from(1_000));
        let stored = account.set_deployed_code(code);
        Self { account, preimage: stored.preimage.into() }
    }
}

impl StateView for OneContract {
    fn account(&mut self, address: Address) -> Result<Option<AccountProperties>, StateError> {
        Ok(match address {
            SENDER => Some(AccountProperties::new_eoa(0, U256::from(10u64.pow(18)))),
            CONTRACT => Some(self.account),
            _ => None,
        })
    }
    fn storage(&mut self, _: Address, key: U256) -> Result<Option<U256>, StateError> {
        Ok((key < U256::from(4)).then_some(key))
    }
    fn preimage(&mut self, hash: B256) -> Result<Option<Bytes>, StateError> {
        Ok((hash == self.account.bytecode_hash).then(|| self.preimage.clone()))
    }
}

fn context() -> BlockContext {
    BlockContext {
        chain_id: 270,
        block_number: 7,
        timestamp: 1_700_000_000,
        eip1559_basefee: U256::from(1_000),
        pubdata_price: U256::from(10),
        native_price: U256::from(1),
        coinbase: Address::repeat_byte(0xcb),
        gas_limit: 100_000_000,
        pubdata_limit: 100_000_000,
        execution_version: 5,
        ..Default::default()
    }
}

fn transaction(to: TxKind, gas_limit: u64, input: Vec<u8>) -> ZkTxEnvelope {
    let tx = TxEip1559 {
        chain_id: 270,
        gas_limit,
        max_fee_per_gas: 10_000,
        to,
        value: U256::from(3),
        input: input.into(),
        ..Default::default()
    };
    let signature = Signature::new(U256::from(1), U256::from(1), false);
    let signed = Signed::new_unchecked(tx, signature, B256::repeat_byte(9));
    let envelope: alloy_consensus::EthereumTxEnvelope<alloy_consensus::TxEip4844> = signed.into();
    envelope.into()
}

/// Result of one transaction, given decoded and in the encoding of the official interface.
fn both_ways(tx: &ZkTxEnvelope, sender: Address) -> [String; 2] {
    let config = ZkEvmConfig::new();
    let mut decoded = config.block_executor(context(), OneContract::new(&[])).unwrap();
    let mut encoded = config.block_executor(context(), OneContract::new(&[])).unwrap();
    let form = tx.encode_for_vm(sender);
    [
        format!("{:?}", decoded.execute_transaction(tx, sender).map(|result| result.cloned())),
        format!("{:?}", encoded.execute_encoded(&form).map(|result| result.cloned())),
    ]
}

#[test]
fn wide_pubdata_limit_of_l1_is_refused_in_both_forms() {
    for (limit, refused) in [(u64::from(u32::MAX), false), (1 << 32, true), (u64::MAX, true)] {
        let priority = TxL1Priority {
            from: SENDER,
            to: CONTRACT,
            gas_limit: 100_000,
            gas_per_pubdata_byte_limit: limit,
            ..Default::default()
        };
        let upgrade = TxUpgrade {
            from: SENDER,
            to: CONTRACT,
            gas_limit: 100_000,
            gas_per_pubdata_byte_limit: limit,
            ..Default::default()
        };
        for tx in [ZkTxEnvelope::from(priority), upgrade.into()] {
            let [decoded, encoded] = both_ways(&tx, SENDER);
            assert_eq!(decoded, encoded);
            assert_eq!(decoded == "Ok(Err(InvalidEncoding))", refused, "{limit}: {decoded}");
        }
    }
}

#[test]
fn over_long_transactions_are_refused_in_both_forms() {
    const LONGEST: usize = 1 << 23;
    let empty = transaction(TxKind::Call(CONTRACT), 1, vec![0; LONGEST - 1_000]);
    let rest = LONGEST - empty.encode_for_vm(SENDER).len();
    for (extra, refused) in [(0, false), (1, true)] {
        let input = vec![0; LONGEST - 1_000 + rest + extra];
        let tx = transaction(TxKind::Call(CONTRACT), 1, input);
        assert_eq!(tx.encode_for_vm(SENDER).len(), LONGEST + extra);
        let [decoded, encoded] = both_ways(&tx, SENDER);
        assert_eq!(decoded, encoded);
        assert_eq!(decoded == "Ok(Err(InvalidEncoding))", refused, "{decoded}");
    }
}

/// Opcodes with a bias to pushes of small numbers, so that programs get somewhere.
fn program() -> impl Strategy<Value = Vec<u8>> {
    let chunk = prop_oneof![
        4 => any::<u8>().prop_map(|n| vec![0x60, n]),
        1 => Just(vec![0x73]).prop_flat_map(|mut push| {
            push.extend_from_slice(CONTRACT.as_slice());
            Just(push)
        }),
        4 => any::<u8>().prop_map(|op| vec![op]),
        1 => prop_oneof![Just(0xf0u8), Just(0xf1), Just(0xf2), Just(0xf4), Just(0xf5), Just(0xfa), Just(0xff)]
            .prop_map(|op| vec![op]),
    ];
    proptest::collection::vec(chunk, 1..80).prop_map(|chunks| chunks.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn random_programs_end_the_same_with_an_inspector(
        code in program(),
        input in proptest::collection::vec(any::<u8>(), 0..64),
        gas in 21_000u64..2_000_000,
        create in any::<bool>(),
    ) {
        let (to, input) = if create { (TxKind::Create, code.clone()) } else { (TxKind::Call(CONTRACT), input) };
        let tx = transaction(to, gas, input);
        let config = ZkEvmConfig::new();
        let mut plain = config.block_executor(context(), OneContract::new(&code)).unwrap();
        let mut traced = config.block_executor(context(), OneContract::new(&code)).unwrap();
        let mut inspector = TracingInspector::new(TracingInspectorConfig::all());
        let left = plain.execute_transaction(&tx, SENDER).unwrap().map(|output| format!("{output:?}"));
        let right = traced
            .inspect_transaction(&tx, SENDER, &mut inspector)
            .unwrap()
            .map(|output| format!("{output:?}"));
        prop_assert_eq!(format!("{:?}", left), format!("{:?}", right));
        let (left, right) = (plain.finish().unwrap(), traced.finish().unwrap());
        prop_assert_eq!(left.block_hash, right.block_hash);
        prop_assert_eq!(left.output_hash(), right.output_hash());
        prop_assert!(left.header.gas_used <= gas);
        // Fees move, they are neither made nor lost (unless an account was destroyed). A transaction that was refused changed nothing.
        if !code.contains(&0xff) && left.included().next().is_some() {
            let total: U256 = left.account_diffs.iter().map(|diff| diff.balance).sum();
            let touched = left.account_diffs.iter().any(|diff| diff.address == CONTRACT);
            let mut expected = U256::from(10u64.pow(18));
            if touched {
                expected += U256::from(1_000);
            }
            prop_assert_eq!(total, expected);
        }
    }

    #[test]
    fn random_bytes_are_rejected_without_a_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
        kind in prop_oneof![Just(None), Just(Some(1u8)), Just(Some(2)), Just(Some(4)), Just(Some(0xf8))],
        abi in any::<bool>(),
    ) {
        if let (Some(kind), Some(first)) = (kind, bytes.first_mut()) {
            *first = kind;
        }
        let empty = bytes.is_empty();
        let tx = if abi { EncodedTx::Abi(bytes) } else { EncodedTx::Rlp(bytes, SENDER) };
        let config = ZkEvmConfig::new().with_signature_verification(true);
        let mut executor = config.block_executor(context(), OneContract::new(&[])).unwrap();
        match executor.execute_encoded(&tx) {
            Ok(result) => prop_assert!(result.is_err()),
            Err(_) => prop_assert!(empty),
        }
    }
}
