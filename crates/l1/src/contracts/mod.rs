//! The settlement contracts: interfaces, operator calldata, revert reasons.

mod bindings;
mod calldata;
mod convert;
mod revert;

pub use bindings::{
    DiamondCutData, FacetCut, IAssetRouter, IBridgehub, IBytecodesSupplier, IChainAdmin,
    IChainTypeManager, IMessageRoot, ISettlementErrors, IUpgrade, IValidatorTimelock, IVerifier,
    IZkChain, InteropRoot, L2CanonicalTransaction, L2TransactionRequestDirect,
    PriorityOpsBatchInfo, ProposedUpgrade, SolStoredBatchInfo,
};
pub use calldata::{
    CalldataError, commit_calldata, decode_commit_calldata, decode_execute_calldata,
    decode_prove_calldata, execute_calldata, fake_proof, prove_calldata, real_proof,
    revert_calldata,
};
pub use revert::RevertReason;
