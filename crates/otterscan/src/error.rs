use crate::MAX_PAGE_SIZE;
use jsonrpsee::types::{ErrorObjectOwned, error::INVALID_PARAMS_CODE};
use zkos_rpc::EthApiError;
use zkos_storage_api::ProviderError;

/// EIP-1474: method not supported.
const METHOD_NOT_SUPPORTED_CODE: i32 = -32004;
/// The request is well formed and may succeed later.
const UNAVAILABLE_CODE: i32 = -32000;

/// Errors of `ots_`.
#[derive(Debug, thiserror::Error)]
pub enum OtterscanError {
    /// The node keeps no index (-32004).
    #[error("this node keeps no index of addresses; start it with --otterscan.index")]
    NoIndex,
    /// The index has not come as far as the answer reaches (-32000).
    #[error("the index of addresses has reached block {indexed} of {head}, try again later")]
    IndexBehind {
        /// Last block in the index.
        indexed: u64,
        /// Block that the answer needs.
        head: u64,
    },
    /// A page of that size is not served (-32602).
    #[error("page size {0} is not between 1 and {MAX_PAGE_SIZE}")]
    PageSize(usize),
    /// As in `eth_`.
    #[error(transparent)]
    Eth(#[from] EthApiError),
}

impl From<ProviderError> for OtterscanError {
    fn from(error: ProviderError) -> Self {
        Self::Eth(error.into())
    }
}

impl From<OtterscanError> for ErrorObjectOwned {
    fn from(error: OtterscanError) -> Self {
        let code = match error {
            OtterscanError::Eth(error) => return error.into(),
            OtterscanError::NoIndex => METHOD_NOT_SUPPORTED_CODE,
            OtterscanError::IndexBehind { .. } => UNAVAILABLE_CODE,
            OtterscanError::PageSize(_) => INVALID_PARAMS_CODE,
        };
        Self::owned(code, error.to_string(), None::<()>)
    }
}
