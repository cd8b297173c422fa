use crate::RecoveredZkBlock;
use zkos_primitives::{
    PROTOCOL_VERSIONS, ProtocolVersion, ReplayRecord, ZkBlock, ZkBlockBody, ZkChainSpec,
};

/// Block 0: the genesis header without transactions.
pub fn genesis_block(spec: &ZkChainSpec) -> RecoveredZkBlock {
    let state = spec.genesis_state();
    let block = ZkBlock::new(
        state.header.clone(),
        ZkBlockBody { transactions: Vec::new(), ommers: Vec::new(), withdrawals: None },
    );
    RecoveredZkBlock::new(block, Vec::new(), state.block_hash)
}

/// Record 0 of the write-ahead log. Block 0 is not executed: its output hash is zero, and its protocol version is the first one with the execution version of
/// the genesis file (what L1 says about the version counts from block 1).
pub fn genesis_record(spec: &ZkChainSpec) -> ReplayRecord {
    let execution_version = spec.genesis_execution_version();
    let protocol_version = PROTOCOL_VERSIONS
        .iter()
        .find(|known| known.execution_version == execution_version)
        .map_or(ProtocolVersion::V30_0, |known| known.version);
    ReplayRecord {
        block_context: spec.genesis().block_context(spec.chain_id(), execution_version),
        node_version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol_version,
        block_hash: spec.genesis_state().block_hash,
        ..Default::default()
    }
}
