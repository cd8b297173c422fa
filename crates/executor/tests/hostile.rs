//! Input made to break the executor gives a result or a typed error, with bounded memory.

mod common;

use alloy_consensus::TxEip1559;
use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use alloy_rlp::Encodable;
use common::{CHAIN_ID, CONTRACT, Memory, SENDER, context, transaction};
use zkos_executor::{AbortReason, ExecutionError, MAX_BLOCK_GAS_LIMIT, ZkEvmConfig};
use zkos_primitives::{BlockContext, CanonicalTransaction};
use zksync_os_interface::{error::InvalidTransaction, traits::EncodedTx, types::TxOutput};

type Outcome = Result<Result<TxOutput, InvalidTransaction>, ExecutionError>;

fn run_encoded(context: BlockContext, state: Memory, tx: &EncodedTx) -> Outcome {
    let mut executor = ZkEvmConfig::new().block_executor(context, state)?;
    Ok(executor.execute_encoded(tx)?.cloned())
}

/// Calls the contract with much gas, which is cheap here.
fn run_code(code: &[u8], gas_limit: u64) -> TxOutput {
    let context = BlockContext {
        gas_limit: MAX_BLOCK_GAS_LIMIT,
        eip1559_basefee: U256::from(1_000),
        pubdata_price: U256::ZERO,
        ..context()
    };
    let state = Memory::new(code).with_balance(SENDER, U256::MAX >> 1);
    let tx = transaction(TxEip1559 { gas_limit, to: TxKind::Call(CONTRACT), ..Default::default() });
    let mut executor = ZkEvmConfig::new().block_executor(context, state).unwrap();
    executor.execute_transaction(&tx, SENDER).unwrap().unwrap().clone()
}

/// Fields of a raw transaction of type 2; the signature is not looked at.
struct Raw {
    nonce: u64,
    priority_fee: U256,
    max_fee: U256,
    gas_limit: u64,
    to: Option<Address>,
    value: U256,
    input: Bytes,
    access_list: AccessList,
    authorizations: Option<Vec<SignedAuthorization>>,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            nonce: 0,
            priority_fee: U256::ZERO,
            max_fee: U256::from(10_000),
            gas_limit: 1_000_000,
            to: Some(CONTRACT),
            value: U256::ZERO,
            input: Bytes::new(),
            access_list: AccessList::default(),
            authorizations: None,
        }
    }
}

impl Raw {
    fn encode(&self) -> EncodedTx {
        let mut payload = Vec::new();
        CHAIN_ID.encode(&mut payload);
        self.nonce.encode(&mut payload);
        self.priority_fee.encode(&mut payload);
        self.max_fee.encode(&mut payload);
        self.gas_limit.encode(&mut payload);
        match self.to {
            Some(to) => to.encode(&mut payload),
            None => payload.push(0x80),
        }
        self.value.encode(&mut payload);
        self.input.encode(&mut payload);
        self.access_list.encode(&mut payload);
        if let Some(list) = &self.authorizations {
            list.encode(&mut payload);
        }
        payload.extend_from_slice(&[0x80, 0x01, 0x01]);
        let mut raw = vec![if self.authorizations.is_some() { 4 } else { 2 }];
        alloy_rlp::Header { list: true, payload_length: payload.len() }.encode(&mut raw);
        raw.extend_from_slice(&payload);
        EncodedTx::Rlp(raw, SENDER)
    }

    fn run(&self) -> Outcome {
        run_encoded(context(), Memory::new(&[]), &self.encode())
    }

    fn invalid(&self) -> InvalidTransaction {
        self.run().unwrap().unwrap_err()
    }
}

macro_rules! assert_invalid {
    ($raw:expr, $pattern:pat) => {
        let error = $raw.invalid();
        assert!(matches!(error, $pattern), "{error:?}");
    };
}

#[test]
fn calls_nest_to_1024_frames_below_the_first() {
    // Returns one more than what a call of itself returned.
    let code = hex!("60205f5f5f5f305af1505f516001015f5260205ff3");
    let output = run_code(&code, 1 << 46);
    assert!(output.is_success());
    // The frame that may not open another one returns one.
    assert_eq!(U256::from_be_slice(output.as_returned_bytes()), U256::from(1_025));
}

#[test]
fn memory_grows_to_the_shared_buffer_and_no_further() {
    let store = |at: u64| [&hex!("600167")[..], &at.to_be_bytes(), &hex!("52")].concat();
    assert!(run_code(&store((1 << 27) - 64), 1 << 46).is_success());
    for at in [(1 << 27) - 32, 1 << 31, u64::from(u32::MAX), 1 << 40, u64::MAX] {
        let output = run_code(&store(at), 1 << 46);
        assert!(!output.is_success() && output.as_returned_bytes().is_empty(), "at {at}");
    }
    // PUSH32 ff..ff as offset, as length, as both, of everything that takes a range.
    let max = [&[0x7f][..], &[0xff; 32]].concat();
    for opcode in [0x20, 0xa0, 0xf3, 0xfd, 0x51, 0x37, 0x39, 0x3e, 0x5e, 0xf0, 0xf5, 0x3c] {
        let all = [max.repeat(4), vec![opcode]].concat();
        assert!(!run_code(&all, 1 << 46).is_success(), "{opcode:#x}");
    }
    for opcode in [0xf1, 0xf2, 0xf4, 0xfa] {
        let all = [max.repeat(7), vec![opcode]].concat();
        assert!(!run_code(&all, 1 << 46).is_success(), "{opcode:#x}");
    }
}

#[test]
fn giant_return_data_ends_the_transaction() {
    // Without calldata: calls itself five times with a byte of it. With: returns 64 MiB less 64 bytes.
    let mut code = Vec::new();
    // CALLDATASIZE PUSH1 give JUMPI
    code.extend([0x36, 0x60, 0, 0x57]);
    for _ in 0..5 {
        // CALL(gas, self, 0, 0, 1, 0, 0) POP
        code.extend(hex!("5f5f60015f5f305af150"));
    }
    code.push(0x00);
    code[2] = code.len() as u8;
    // JUMPDEST PUSH4 2^26-64 PUSH0 RETURN
    code.extend(hex!("5b6303ffffc05ff3"));
    let output = run_code(&code, 1 << 46);
    assert!(!output.is_success());
    assert_eq!(output.gas_used, 1 << 46, "all gas is gone");
}

#[test]
fn absurd_gas_and_fees_are_refused() {
    let at_most = context().gas_limit;
    assert_invalid!(
        Raw { gas_limit: u64::MAX, ..Raw::default() },
        InvalidTransaction::CallerGasLimitMoreThanBlock
    );
    assert_invalid!(
        Raw { gas_limit: at_most + 1, ..Raw::default() },
        InvalidTransaction::CallerGasLimitMoreThanBlock
    );
    assert_invalid!(
        Raw { gas_limit: 0, ..Raw::default() },
        InvalidTransaction::OutOfNativeResourcesDuringValidation
    );
    assert_invalid!(
        Raw { gas_limit: 20_999, ..Raw::default() },
        InvalidTransaction::OutOfGasDuringValidation
    );
    assert_invalid!(
        Raw { max_fee: U256::MAX, ..Raw::default() },
        InvalidTransaction::OverflowPaymentInTransaction
    );
    assert_invalid!(
        Raw { max_fee: U256::MAX, priority_fee: U256::MAX, ..Raw::default() },
        InvalidTransaction::OverflowPaymentInTransaction
    );
    assert_invalid!(
        Raw { priority_fee: U256::MAX, ..Raw::default() },
        InvalidTransaction::PriorityFeeGreaterThanMaxFee
    );
    assert_invalid!(
        Raw { max_fee: U256::ZERO, ..Raw::default() },
        InvalidTransaction::BaseFeeGreaterThanMaxFee
    );
    assert_invalid!(
        Raw { value: U256::MAX, ..Raw::default() },
        InvalidTransaction::OverflowPaymentInTransaction
    );
    assert_invalid!(
        Raw { value: U256::MAX >> 1, ..Raw::default() },
        InvalidTransaction::LackOfFundForMaxFee { .. }
    );
    assert_invalid!(
        Raw { nonce: u64::MAX, ..Raw::default() },
        InvalidTransaction::NonceTooHigh { .. }
    );
}

#[test]
fn the_last_nonce_cannot_be_used() {
    let mut state = Memory::new(&[]);
    state.accounts.get_mut(&SENDER).unwrap().nonce = u64::MAX;
    let tx = Raw { nonce: u64::MAX, ..Raw::default() }.encode();
    let error = run_encoded(context(), state, &tx).unwrap().unwrap_err();
    assert!(matches!(error, InvalidTransaction::NonceOverflowInTransaction), "{error:?}");
}

#[test]
fn absurd_contexts_are_typed_errors() {
    let run = |context| run_encoded(context, Memory::new(&[]), &Raw::default().encode());
    let error = run(BlockContext { gas_limit: MAX_BLOCK_GAS_LIMIT + 1, ..context() });
    assert!(matches!(error, Err(ExecutionError::InvalidContext { .. })), "{error:?}");
    let error = run(BlockContext { eip1559_basefee: U256::MAX, ..context() });
    assert!(matches!(error, Err(ExecutionError::InvalidContext { .. })), "{error:?}");
    let error = run(BlockContext { execution_version: 4, ..context() });
    assert!(
        matches!(error, Err(ExecutionError::UnknownExecutionVersion { execution_version: 4, .. })),
        "{error:?}"
    );
    let abort = |context| match run(context) {
        Err(ExecutionError::Transaction { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        abort(BlockContext { native_price: U256::ZERO, ..context() }),
        AbortReason::ZeroNativePrice
    );
    assert_eq!(
        abort(BlockContext { pubdata_price: U256::MAX, ..context() }),
        AbortReason::NativeOverflow
    );
    let cheap = Raw { gas_limit: 100_000, ..Raw::default() }.encode();
    let dear = BlockContext { native_price: U256::MAX, ..context() };
    let dear = run_encoded(dear, Memory::new(&[]), &cheap);
    assert!(
        matches!(dear, Ok(Err(InvalidTransaction::OutOfNativeResourcesDuringValidation))),
        "{dear:?}"
    );
}

#[test]
fn nested_values_beyond_any_balance_fail_in_place() {
    // CALL, CALLCODE and CREATE with 2^256 - 1 wei: each pushes zero and execution goes on.
    let max = [&[0x7f][..], &[0xff; 32]].concat();
    for opcode in [0xf1u8, 0xf2] {
        // out, in, value, address, gas, CALL; the result is returned.
        let tail = [vec![0x30, 0x5a, opcode], hex!("5f5260205ff3").to_vec()].concat();
        let output = run_code(&[vec![0x5f; 4], max.clone(), tail].concat(), 1 << 30);
        assert!(output.is_success());
        assert_eq!(output.as_returned_bytes(), [0; 32], "{opcode:#x}");
    }
    let tail = [&[0xf0][..], &hex!("5f5260205ff3")].concat();
    let output = run_code(&[vec![0x5f; 2], max, tail].concat(), 1 << 30);
    assert!(output.is_success());
    assert_eq!(output.as_returned_bytes(), [0; 32]);
}

#[test]
fn huge_lists_are_refused_before_they_cost_anything() {
    let item = AccessListItem { address: CONTRACT, storage_keys: vec![B256::ZERO; 100] };
    let access_list = AccessList(vec![item; 2_000]);
    assert_invalid!(
        Raw { access_list, ..Raw::default() },
        InvalidTransaction::OutOfGasDuringValidation
    );
    let authorization = Authorization { chain_id: U256::ZERO, address: CONTRACT, nonce: 0 };
    let signed = SignedAuthorization::new_unchecked(authorization, 0, U256::ONE, U256::ONE);
    assert_invalid!(
        Raw { authorizations: Some(vec![signed; 50_000]), ..Raw::default() },
        InvalidTransaction::OutOfGasDuringValidation
    );
    assert_invalid!(
        Raw { authorizations: Some(Vec::new()), ..Raw::default() },
        InvalidTransaction::AuthListIsEmpty
    );
}

#[test]
fn long_calldata_is_refused() {
    assert_invalid!(
        Raw { input: vec![1; 1 << 20].into(), ..Raw::default() },
        InvalidTransaction::OutOfGasDuringValidation
    );
    assert_invalid!(
        Raw { input: vec![1; (1 << 23) + 1].into(), gas_limit: 90_000_000, ..Raw::default() },
        InvalidTransaction::InvalidEncoding | InvalidTransaction::InvalidStructure
    );
    assert_invalid!(
        Raw { to: None, input: vec![0; 49_153].into(), ..Raw::default() },
        InvalidTransaction::CreateInitCodeSizeLimit
    );
}

#[test]
fn lengths_that_promise_more_than_there_is_allocate_nothing() {
    for raw in [
        // A list, and a string in it, of 4 GiB.
        hex!("02fbffffffff").to_vec(),
        hex!("02c6820000bbffffffff").to_vec(),
        // A length of eight bytes.
        hex!("02ffffffffffffffffff").to_vec(),
        hex!("f8ff").to_vec(),
        hex!("02f8").to_vec(),
    ] {
        let tx = EncodedTx::Rlp(raw.clone(), SENDER);
        let error = run_encoded(context(), Memory::new(&[]), &tx).unwrap().unwrap_err();
        assert!(
            matches!(
                error,
                InvalidTransaction::InvalidStructure | InvalidTransaction::InvalidEncoding
            ),
            "{raw:?}: {error:?}"
        );
    }
    // The length of the first tail of an L1 transaction.
    let good = l1_transaction(|_| {}).abi_encode();
    for value in [U256::MAX, U256::from(u64::MAX), U256::from(1u64 << 40)] {
        let mut bytes = good.clone();
        bytes[19 * 32..20 * 32].copy_from_slice(&value.to_be_bytes::<32>());
        let tx = EncodedTx::Abi(bytes);
        let error = run_encoded(context(), Memory::new(&[]), &tx).unwrap().unwrap_err();
        assert!(matches!(error, InvalidTransaction::InvalidEncoding), "{error:?}");
    }
}

fn l1_transaction(change: impl FnOnce(&mut CanonicalTransaction)) -> CanonicalTransaction {
    let mut tx = CanonicalTransaction {
        tx_type: U256::from(0x7f),
        from: U256::from_be_slice(SENDER.as_slice()),
        to: U256::from_be_slice(CONTRACT.as_slice()),
        gas_limit: U256::from(1_000_000),
        gas_per_pubdata_byte_limit: U256::from(800),
        max_fee_per_gas: U256::from(1_000),
        max_priority_fee_per_gas: U256::ZERO,
        paymaster: U256::ZERO,
        nonce: U256::ZERO,
        value: U256::ZERO,
        reserved: [U256::from(10u64.pow(10)), U256::ZERO, U256::ZERO, U256::ZERO],
        data: Bytes::new(),
        signature: Bytes::new(),
        factory_deps: Vec::new(),
        paymaster_input: Bytes::new(),
        reserved_dynamic: Bytes::new(),
    };
    change(&mut tx);
    tx
}

#[test]
fn absurd_l1_transactions_abort_with_a_reason() {
    let run = |change: fn(&mut CanonicalTransaction)| {
        let tx = EncodedTx::Abi(l1_transaction(change).abi_encode());
        run_encoded(context(), Memory::new(&[]), &tx)
    };
    assert!(run(|_| {}).unwrap().unwrap().is_success());
    let abort = |change| match run(change) {
        Err(ExecutionError::Transaction { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(abort(|tx| tx.value = U256::MAX), AbortReason::FeeOverflow);
    assert_eq!(abort(|tx| tx.max_fee_per_gas = U256::MAX), AbortReason::NativeOverflow);
    assert_eq!(abort(|tx| tx.gas_limit = U256::from(u64::MAX)), AbortReason::GasOverflow);
    assert_eq!(abort(|tx| tx.reserved[0] = U256::ZERO), AbortReason::DepositTooLow);
    assert_eq!(abort(|tx| tx.reserved[1] = U256::MAX), AbortReason::RefundRecipientTooLarge);
    // The sender's balance and the minted value together exceed 2^256 - 1.
    assert!(matches!(
        abort(|tx| {
            tx.value = U256::MAX - U256::from(10u64.pow(10));
            tx.reserved[0] = U256::MAX;
        }),
        AbortReason::BalanceOverflow(_)
    ));
    let invalid = run(|tx| tx.gas_limit = U256::MAX).unwrap().unwrap_err();
    assert!(matches!(invalid, InvalidTransaction::InvalidEncoding), "{invalid:?}");
}
