//! EVM precompiles with their native prices. The mathematics is revm's.

use super::HookCall;
use crate::{error::Halt, native::NativeMeter, spec::ExecutionSpec, vm::CallResult};
use alloy_primitives::{Address, Bytes, U256};
use revm::{
    interpreter::InstructionResult,
    precompile::{EthPrecompileResult, bn254, hash, identity, modexp, secp256k1, secp256r1},
};

/// Precompiles of any execution version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precompile {
    EcRecover,
    Sha256,
    Ripemd160,
    Identity,
    ModExp,
    Bn254Add,
    Bn254Mul,
    Bn254Pairing,
    P256Verify,
}

impl Precompile {
    pub(super) fn at(address: &Address, spec: &ExecutionSpec) -> Option<Self> {
        if address.0[..18].iter().any(|byte| *byte != 0) {
            return None;
        }
        let number = u16::from_be_bytes([address.0[18], address.0[19]]);
        spec.precompiles.iter().find(|(at, _)| *at == number).map(|(_, precompile)| *precompile)
    }
}

/// Native of a Merkle-Damgard hash with 64-byte blocks.
const fn block_hash_native(len: usize) -> u64 {
    let len = len as u64;
    let rounds = len / 64 + 1 + if len % 64 > 55 { 1 } else { 0 };
    1_600 + 4_200 * rounds
}

/// Largest gas amount that fits the internal unit; more fails before native is looked at.
const MAX_GAS: u64 = u64::MAX / 256;
/// Least gas of a modexp call.
const MODEXP_MIN_GAS: u64 = 200;
/// Least native a modexp call needs to be tried.
const MODEXP_MIN_NATIVE: u64 = 60_000;

pub(super) fn run(
    native: &mut NativeMeter,
    precompile: Precompile,
    call: &HookCall<'_>,
) -> Result<CallResult, Halt> {
    let input = call.input;
    let words = (input.len() as u64).div_ceil(32);
    // Gas and native known from the length alone.
    let (gas, price) = match precompile {
        Precompile::EcRecover => (3_000, crate::native::ECRECOVER),
        Precompile::Sha256 => (60 + 12 * words, block_hash_native(input.len())),
        Precompile::Ripemd160 => (600 + 120 * words, block_hash_native(input.len())),
        Precompile::Identity => (15 + 3 * words, 20 + 10 * input.len() as u64),
        Precompile::ModExp => return mod_exp(native, call),
        Precompile::Bn254Add => (150, 52_600),
        Precompile::Bn254Mul => (6_000, 764_000),
        Precompile::Bn254Pairing => {
            let pairs = input.len() as u64 / 192;
            (45_000 + 34_000 * pairs, 15_000_000 * (1 + pairs))
        }
        Precompile::P256Verify => (6_900, 784_000),
    };
    native.charge(price)?;
    if gas > call.gas {
        return Ok(burnt(InstructionResult::PrecompileOOG));
    }
    let result = match precompile {
        Precompile::EcRecover => secp256k1::ec_recover_run(input, gas),
        Precompile::Sha256 => hash::sha256_run(input, gas),
        Precompile::Ripemd160 => hash::ripemd160_run(input, gas),
        Precompile::Identity => identity::identity_run(input, gas),
        Precompile::Bn254Add => bn254::run_add(input, gas, gas),
        Precompile::Bn254Mul => bn254::run_mul(input, gas, gas),
        Precompile::Bn254Pairing => bn254::run_pair(input, 34_000, 45_000, gas),
        Precompile::P256Verify => secp256r1::p256_verify_osaka(input, gas),
        Precompile::ModExp => return mod_exp(native, call),
    };
    Ok(finish(result, call.gas, gas))
}

fn finish(result: EthPrecompileResult, limit: u64, gas: u64) -> CallResult {
    match result {
        Ok(output) => CallResult::success(limit.saturating_sub(gas), output.bytes),
        Err(_) => burnt(InstructionResult::PrecompileError),
    }
}

const fn burnt(result: InstructionResult) -> CallResult {
    CallResult::failed(result, 0)
}

/// A word of the header, zero-padded past the end of the input.
fn header_word(input: &[u8], index: usize) -> U256 {
    let mut word = [0u8; 32];
    if let Some(rest) = input.get(index * 32..) {
        let len = rest.len().min(32);
        word[..len].copy_from_slice(&rest[..len]);
    }
    U256::from_be_bytes(word)
}

fn mod_exp(native: &mut NativeMeter, call: &HookCall<'_>) -> Result<CallResult, Halt> {
    let input = call.input;
    if call.gas < MODEXP_MIN_GAS || native.remaining() < MODEXP_MIN_NATIVE {
        return Ok(burnt(InstructionResult::PrecompileOOG));
    }
    let length = |index| u64::try_from(header_word(input, index));
    let (Ok(base_len), Ok(mod_len)) = (length(0), length(2)) else {
        return Ok(burnt(InstructionResult::PrecompileError));
    };
    // Nothing to compute, however long the exponent claims to be.
    if base_len == 0 && mod_len == 0 {
        native.charge(MODEXP_MIN_NATIVE)?;
        return Ok(CallResult::success(call.gas - MODEXP_MIN_GAS, Bytes::new()));
    }
    let Ok(exp_len) = length(1) else {
        return Ok(burnt(InstructionResult::PrecompileError));
    };
    let exponent_head = {
        let mut head = [0u8; 32];
        let len = exp_len.min(32) as usize;
        let start = usize::try_from(base_len).ok().and_then(|len| len.checked_add(96));
        if let Some(rest) = start.and_then(|start| input.get(start..)) {
            let available = rest.len().min(len);
            head[32 - len..32 - len + available].copy_from_slice(&rest[..available]);
        }
        U256::from_be_bytes(head)
    };
    let gas = modexp::berlin_gas_calc(base_len, exp_len, mod_len, &exponent_head);
    if gas > MAX_GAS {
        return Ok(burnt(InstructionResult::PrecompileOOG));
    }
    let rounded = mod_len.checked_next_multiple_of(32).unwrap_or(u64::MAX);
    let native_gas = modexp::berlin_gas_calc(base_len, exp_len, rounded, &exponent_head);
    native.charge(native_gas.saturating_mul(300))?;
    if gas > call.gas {
        return Ok(burnt(InstructionResult::PrecompileOOG));
    }
    Ok(finish(modexp::berlin_run(input, gas), call.gas, gas))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::CallKind;

    fn modexp(lengths: [U256; 3]) -> (CallResult, u64) {
        let input = lengths.map(|length| length.to_be_bytes::<32>()).concat();
        let call = HookCall {
            kind: CallKind::Call,
            is_static: false,
            caller: Address::ZERO,
            value: U256::ZERO,
            input: &input,
            gas: 1_000,
        };
        let mut native = NativeMeter::new(1_000_000);
        let result = mod_exp(&mut native, &call).unwrap();
        (result, 1_000_000 - native.remaining())
    }

    #[test]
    fn modexp_of_nothing_ignores_the_length_of_the_exponent() {
        let (result, native) = modexp([U256::ZERO, U256::MAX, U256::ZERO]);
        assert!(result.is_ok() && result.output.is_empty());
        assert_eq!((result.gas_left, native), (800, 60_000));
    }

    #[test]
    fn modexp_with_a_length_out_of_range_burns_all_gas() {
        for lengths in [
            [U256::MAX, U256::ZERO, U256::ZERO],
            [U256::ZERO, U256::ZERO, U256::MAX],
            [U256::ONE, U256::MAX, U256::ZERO],
        ] {
            let (result, _) = modexp(lengths);
            assert_eq!((result.result, result.gas_left), (InstructionResult::PrecompileError, 0));
        }
    }
}
