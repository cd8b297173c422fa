//! Tracers and validators of the official interface.

use alloy_primitives::{Address, B256, U256, b256, hex};
use zkos_executor::{ZkEvmConfig, ZkExecutor};
use zkos_primitives::{AccountProperties, BlockContext, account_properties_flat_key};
use zksync_os_evm_errors::EvmError;
use zksync_os_interface::{
    error::InvalidTransaction,
    tracing::{
        AnyTracer, AnyTxValidator, BeginTxContext, CallResult, EvmFrameInterface, EvmRequest,
        EvmResources, EvmTracer, NopValidator, TxValidationResult, TxValidator,
    },
    traits::{EncodedTx, PreimageSource, ReadStorage, SimulateTx},
};

const SENDER: Address = Address::repeat_byte(0x11);
/// `sstore(7, calldatasize())`, then `log0`.
const CODE: [u8; 10] = hex!("366007555f5fa000005b");
const CONTRACT: Address = Address::repeat_byte(0x22);

fn contract() -> (AccountProperties, Vec<u8>) {
    let mut account = AccountProperties::new_eoa(1, U256::ZERO);
    let stored = account.set_deployed_code(&CODE);
    (account, stored.preimage)
}

struct State;

impl ReadStorage for State {
    fn read(&mut self, key: B256) -> Option<B256> {
        if key == account_properties_flat_key(CONTRACT) {
            return Some(contract().0.compute_hash());
        }
        (key == account_properties_flat_key(SENDER))
            .then(|| AccountProperties::new_eoa(0, U256::from(10u64.pow(18))).compute_hash())
    }
}

impl PreimageSource for State {
    fn get_preimage(&mut self, hash: B256) -> Option<Vec<u8>> {
        let (account, code) = contract();
        let sender = AccountProperties::new_eoa(0, U256::from(10u64.pow(18)));
        if hash == account.bytecode_hash {
            Some(code)
        } else if hash == account.compute_hash() {
            Some(account.encode().to_vec())
        } else {
            (hash == sender.compute_hash()).then(|| sender.encode().to_vec())
        }
    }
}

#[derive(Default)]
struct Recorder {
    frames: usize,
    ended: usize,
    steps: Vec<u8>,
    writes: Vec<(B256, B256)>,
    events: usize,
    errors: usize,
    txs: usize,
}

impl AnyTracer for Recorder {
    fn as_evm(&mut self) -> Option<&mut impl EvmTracer> {
        Some(self)
    }
}

impl EvmTracer for Recorder {
    fn on_new_execution_frame(&mut self, request: impl EvmRequest) {
        assert_eq!((request.caller(), request.callee()), (SENDER, CONTRACT));
        self.frames += 1;
    }
    fn after_execution_frame_completed(&mut self, result: Option<(EvmResources, CallResult<'_>)>) {
        assert!(matches!(result, Some((_, CallResult::Successful { .. }))));
        self.ended += 1;
    }
    fn on_storage_read(&mut self, _: bool, _: Address, _: B256, _: B256) {}
    fn on_storage_write(&mut self, transient: bool, address: Address, key: B256, value: B256) {
        assert!(!transient && address == CONTRACT);
        self.writes.push((key, value));
    }
    fn on_bytecode_change(&mut self, _: Address, _: Option<&[u8]>, _: B256, _: u32) {}
    fn on_event(&mut self, _: Address, _: Vec<B256>, _: &[u8]) {
        self.events += 1;
    }
    fn begin_tx(&mut self, _: &[u8]) {
        self.txs += 1;
    }
    fn finish_tx(&mut self) {
        self.txs += 1;
    }
    fn before_evm_interpreter_execution_step(&mut self, opcode: u8, state: impl EvmFrameInterface) {
        assert_eq!(state.bytecode()[state.instruction_pointer()], opcode);
        self.steps.push(opcode);
    }
    fn after_evm_interpreter_execution_step(&mut self, _: u8, _: impl EvmFrameInterface) {}
    fn on_opcode_error(&mut self, _: &EvmError, _: impl EvmFrameInterface) {
        self.errors += 1;
    }
    fn on_call_error(&mut self, _: &EvmError) {
        self.errors += 1;
    }
    fn on_selfdestruct(&mut self, _: Address, _: U256, _: impl EvmFrameInterface) {}
    fn on_create_request(&mut self, _: bool) {}
}

#[derive(Default)]
struct Veto;

impl AnyTxValidator for Veto {
    fn as_evm(&mut self) -> Option<&mut impl TxValidator> {
        Some(self)
    }
}

impl TxValidator for Veto {
    fn begin_tx(&mut self, context: &BeginTxContext<'_>) -> TxValidationResult {
        assert_eq!((context.from, context.to), (SENDER, Some(CONTRACT)));
        Err(InvalidTransaction::FilteredByValidator)
    }
}

fn transaction() -> EncodedTx {
    use alloy_rlp::Encodable;
    // chain id 270, nonce 0, fees 1, gas 100000, three bytes of calldata; the signature is not looked at.
    let mut payload = Vec::new();
    270u64.encode(&mut payload);
    0u64.encode(&mut payload);
    1u64.encode(&mut payload);
    1u64.encode(&mut payload);
    100_000u64.encode(&mut payload);
    CONTRACT.encode(&mut payload);
    0u64.encode(&mut payload);
    [1u8, 2, 3].as_slice().encode(&mut payload);
    payload.extend_from_slice(&[0xc0, 0x80, 0x01, 0x01]);
    let mut raw = vec![2];
    alloy_rlp::Header { list: true, payload_length: payload.len() }.encode(&mut raw);
    raw.extend_from_slice(&payload);
    EncodedTx::Rlp(raw, SENDER)
}

fn context() -> BlockContext {
    BlockContext {
        chain_id: 270,
        block_number: 1,
        native_price: U256::from(1),
        gas_limit: 1_000_000,
        pubdata_limit: 1_000_000,
        execution_version: 5,
        ..Default::default()
    }
}

#[test]
fn tracer_sees_frames_steps_writes_and_events() {
    let mut tracer = Recorder::default();
    let output = ZkExecutor
        .simulate_tx(
            ZkEvmConfig::new(),
            transaction(),
            context(),
            State,
            State,
            &mut tracer,
            &mut NopValidator,
        )
        .unwrap()
        .unwrap();
    assert!(output.is_success());
    assert_eq!((tracer.frames, tracer.ended, tracer.events, tracer.errors), (1, 1, 1, 0));
    assert_eq!(tracer.txs, 2);
    assert_eq!(tracer.steps, hex!("3660555f5fa000"));
    let key = b256!("0000000000000000000000000000000000000000000000000000000000000007");
    assert_eq!(tracer.writes, [(key, B256::with_last_byte(3))]);
}

#[test]
fn validator_can_refuse() {
    let error = ZkExecutor
        .simulate_tx(
            ZkEvmConfig::new(),
            transaction(),
            context(),
            State,
            State,
            &mut Recorder::default(),
            &mut Veto,
        )
        .unwrap()
        .unwrap_err();
    assert!(matches!(error, InvalidTransaction::FilteredByValidator));
}
