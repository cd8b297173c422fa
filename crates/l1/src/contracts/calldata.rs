//! Calldata of the operators' calls to the validator timelock, there and back.
//!
//! Commit and prove data are encoded by `zkos-primitives`; this module adds execute data, the calls around them, and proofs.

use super::bindings::{IValidatorTimelock, InteropRoot, PriorityOpsBatchInfo, SolStoredBatchInfo};
use alloy_primitives::{Address, Bytes, U256, hex};
use alloy_sol_types::{SolCall, SolValue};
use zkos_primitives::{
    CommitBatchInfo, StoredBatchInfo,
    batch::{
        BatchCalldataError, aggregated_public_input, decode_commit_data, encode_commit_data,
        encode_prove_data,
    },
};

/// First byte of prove and execute data.
const ENCODING_VERSION: u8 = 1;
/// Type of a ZKsync OS PLONK proof in the first word of the proof.
const PROOF_TYPE_PLONK: u64 = 2;
/// Type of a mock proof, accepted by test verifiers only.
const PROOF_TYPE_MOCK: u64 = 3;
/// What a mock proof consists of, apart from the public input.
const MOCK_PROOF_MAGIC: u64 = 13;

/// Why calldata can't be made or understood.
#[derive(Debug, thiserror::Error)]
pub enum CalldataError {
    /// Nothing to prove or execute.
    #[error("no batches given")]
    NoBatches,
    /// Lists that belong together differ in length.
    #[error("{batches} batches with {priority_ops} lists of priority transactions")]
    Lengths {
        /// Number of batches.
        batches: usize,
        /// Number of lists.
        priority_ops: usize,
    },
    /// The call is not the expected one.
    #[error("call has selector {0}, which is not the expected one")]
    Selector(String),
    /// The call is for another chain.
    #[error("call is for chain {found} instead of {expected}")]
    OtherChain {
        /// Our diamond.
        expected: Address,
        /// Chain in the call.
        found: Address,
    },
    /// Batch numbers don't ascend one by one, or differ from the bounds of the call.
    #[error("batch numbers {numbers:?} do not match the bounds {from}..={to}")]
    Bounds {
        /// Numbers in the data.
        numbers: Vec<u64>,
        /// First number in the call.
        from: U256,
        /// Last number in the call.
        to: U256,
    },
    /// Commit data is malformed.
    #[error(transparent)]
    Commit(#[from] BatchCalldataError),
    /// Other data is malformed.
    #[error("calldata is malformed: {0}")]
    Malformed(String),
}

impl From<alloy_sol_types::Error> for CalldataError {
    fn from(error: alloy_sol_types::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// Commits `batch` after `previous`.
pub fn commit_calldata(
    diamond: Address,
    previous: &StoredBatchInfo,
    batch: &CommitBatchInfo,
) -> Bytes {
    let number = U256::from(batch.batch_number);
    IValidatorTimelock::commitBatchesSharedBridgeCall {
        chainAddress: diamond,
        processFrom: number,
        processTo: number,
        data: encode_commit_data(previous, batch).into(),
    }
    .abi_encode()
    .into()
}

/// Proves consecutive `batches` after `previous` with `proof` ([`fake_proof`] or [`real_proof`]).
pub fn prove_calldata(
    diamond: Address,
    previous: &StoredBatchInfo,
    batches: &[StoredBatchInfo],
    proof: &[U256],
) -> Result<Bytes, CalldataError> {
    let (from, to) = bounds(batches)?;
    Ok(IValidatorTimelock::proveBatchesSharedBridgeCall {
        chainAddress: diamond,
        processFrom: from,
        processTo: to,
        data: encode_prove_data(previous, batches, proof).into(),
    }
    .abi_encode()
    .into())
}

/// Executes consecutive proved `batches`; one range proof of priority transactions per batch, empty for a batch without any.
///
/// Interop roots are empty lists: protocol v30 chains of this node have none.
pub fn execute_calldata(
    diamond: Address,
    batches: &[StoredBatchInfo],
    priority_ops: &[PriorityOpsBatchInfo],
) -> Result<Bytes, CalldataError> {
    if batches.len() != priority_ops.len() {
        return Err(CalldataError::Lengths {
            batches: batches.len(),
            priority_ops: priority_ops.len(),
        });
    }
    let (from, to) = bounds(batches)?;
    let stored: Vec<_> = batches.iter().map(SolStoredBatchInfo::from).collect();
    let roots: Vec<Vec<InteropRoot>> = vec![Vec::new(); batches.len()];
    let mut data = vec![ENCODING_VERSION];
    data.extend((stored, priority_ops.to_vec(), roots).abi_encode_params());
    Ok(IValidatorTimelock::executeBatchesSharedBridgeCall {
        chainAddress: diamond,
        processFrom: from,
        processTo: to,
        data: data.into(),
    }
    .abi_encode()
    .into())
}

/// Reverts all committed batches above `new_last_batch`.
pub fn revert_calldata(diamond: Address, new_last_batch: u64) -> Bytes {
    IValidatorTimelock::revertBatchesSharedBridgeCall {
        chainAddress: diamond,
        newLastBatch: U256::from(new_last_batch),
    }
    .abi_encode()
    .into()
}

/// Reads a commit back: plain, or with validators' signatures.
pub fn decode_commit_calldata(
    calldata: &[u8],
    diamond: Address,
) -> Result<(StoredBatchInfo, CommitBatchInfo), CalldataError> {
    let (chain, from, to, data) = if is::<IValidatorTimelock::commitBatchesMultisigCall>(calldata) {
        let call = IValidatorTimelock::commitBatchesMultisigCall::abi_decode(calldata)?;
        (call.chainAddress, call.processFrom, call.processTo, call.data)
    } else {
        expect::<IValidatorTimelock::commitBatchesSharedBridgeCall>(calldata)?;
        let call = IValidatorTimelock::commitBatchesSharedBridgeCall::abi_decode(calldata)?;
        (call.chainAddress, call.processFrom, call.processTo, call.data)
    };
    own_chain(diamond, chain)?;
    let (previous, batch) = decode_commit_data(&data)?;
    check_bounds([batch.batch_number], from, to)?;
    Ok((previous, batch))
}

/// Reads a prove call back: the batch before, the proved ones, the proof.
pub fn decode_prove_calldata(
    calldata: &[u8],
    diamond: Address,
) -> Result<(StoredBatchInfo, Vec<StoredBatchInfo>, Vec<U256>), CalldataError> {
    expect::<IValidatorTimelock::proveBatchesSharedBridgeCall>(calldata)?;
    let call = IValidatorTimelock::proveBatchesSharedBridgeCall::abi_decode(calldata)?;
    own_chain(diamond, call.chainAddress)?;
    let params = versioned(&call.data)?;
    let (previous, batches, proof) =
        <(SolStoredBatchInfo, Vec<SolStoredBatchInfo>, Vec<U256>)>::abi_decode_params(params)?;
    let batches = batches.iter().map(StoredBatchInfo::try_from).collect::<Result<Vec<_>, _>>()?;
    check_bounds(batches.iter().map(|batch| batch.batch_number), call.processFrom, call.processTo)?;
    Ok((StoredBatchInfo::try_from(&previous)?, batches, proof))
}

/// Reads an execute call back: the batches and their range proofs.
pub fn decode_execute_calldata(
    calldata: &[u8],
    diamond: Address,
) -> Result<(Vec<StoredBatchInfo>, Vec<PriorityOpsBatchInfo>), CalldataError> {
    expect::<IValidatorTimelock::executeBatchesSharedBridgeCall>(calldata)?;
    let call = IValidatorTimelock::executeBatchesSharedBridgeCall::abi_decode(calldata)?;
    own_chain(diamond, call.chainAddress)?;
    let params = versioned(&call.data)?;
    let (batches, ops, _roots) = <(
        Vec<SolStoredBatchInfo>,
        Vec<PriorityOpsBatchInfo>,
        Vec<Vec<InteropRoot>>,
    )>::abi_decode_params(params)?;
    let batches = batches.iter().map(StoredBatchInfo::try_from).collect::<Result<Vec<_>, _>>()?;
    if batches.len() != ops.len() {
        return Err(CalldataError::Lengths { batches: batches.len(), priority_ops: ops.len() });
    }
    check_bounds(batches.iter().map(|batch| batch.batch_number), call.processFrom, call.processTo)?;
    Ok((batches, ops))
}

/// Proof that test verifiers accept for consecutive `batches` after `previous`; `None` without batches.
pub fn fake_proof(previous: &StoredBatchInfo, batches: &[StoredBatchInfo]) -> Option<Vec<U256>> {
    let input = aggregated_public_input(previous, batches)?;
    Some(vec![U256::from(PROOF_TYPE_MOCK), U256::ZERO, U256::from(MOCK_PROOF_MAGIC), input])
}

/// Proof array around the words of a SNARK, for the verifier registered under `verifier_version`.
pub fn real_proof(verifier_version: u32, snark: &[U256]) -> Vec<U256> {
    let mut proof = Vec::with_capacity(2 + snark.len());
    proof.push(U256::from(PROOF_TYPE_PLONK | u64::from(verifier_version) << 8));
    proof.push(U256::ZERO);
    proof.extend_from_slice(snark);
    proof
}

fn bounds(batches: &[StoredBatchInfo]) -> Result<(U256, U256), CalldataError> {
    let (Some(first), Some(last)) = (batches.first(), batches.last()) else {
        return Err(CalldataError::NoBatches);
    };
    let (from, to) = (U256::from(first.batch_number), U256::from(last.batch_number));
    check_bounds(batches.iter().map(|batch| batch.batch_number), from, to)?;
    Ok((from, to))
}

fn check_bounds(
    numbers: impl IntoIterator<Item = u64>,
    from: U256,
    to: U256,
) -> Result<(), CalldataError> {
    let numbers: Vec<u64> = numbers.into_iter().collect();
    let consecutive = numbers.windows(2).all(|pair| pair[0].checked_add(1) == Some(pair[1]));
    let matching = numbers.first().map(|n| U256::from(*n)) == Some(from)
        && numbers.last().map(|n| U256::from(*n)) == Some(to);
    if consecutive && matching { Ok(()) } else { Err(CalldataError::Bounds { numbers, from, to }) }
}

fn own_chain(expected: Address, found: Address) -> Result<(), CalldataError> {
    if expected == found { Ok(()) } else { Err(CalldataError::OtherChain { expected, found }) }
}

fn is<C: SolCall>(calldata: &[u8]) -> bool {
    calldata.get(..4) == Some(&C::SELECTOR)
}

fn expect<C: SolCall>(calldata: &[u8]) -> Result<(), CalldataError> {
    if is::<C>(calldata) {
        return Ok(());
    }
    Err(CalldataError::Selector(hex::encode_prefixed(calldata.get(..4).unwrap_or(calldata))))
}

fn versioned(data: &[u8]) -> Result<&[u8], CalldataError> {
    match data.split_first() {
        Some((&ENCODING_VERSION, params)) => Ok(params),
        other => Err(CalldataError::Malformed(format!(
            "encoding version {:?} instead of {ENCODING_VERSION}",
            other.map(|(v, _)| v)
        ))),
    }
}

#[cfg(test)]
#[path = "calldata_tests.rs"]
mod tests;
