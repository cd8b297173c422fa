//! Revert data -> something an operator can read.

use super::bindings::ISettlementErrors::ISettlementErrorsErrors;
use alloy_primitives::{Bytes, hex};
use alloy_sol_types::{Panic, Revert, SolError, SolInterface};
use core::fmt;

/// Decoded return data of a reverted call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevertReason {
    text: String,
    data: Bytes,
}

impl RevertReason {
    /// Decodes `data`: `Error(string)`, `Panic(uint256)`, an error of the settlement contracts, else the raw bytes.
    pub fn decode(data: Bytes) -> Self {
        let text = if data.is_empty() {
            "reverted without data (wrong contract, missing contract, or malformed calldata)"
                .to_owned()
        } else if let Ok(Revert { reason }) = Revert::abi_decode(&data) {
            format!("Error({reason:?})")
        } else if let Ok(panic) = Panic::abi_decode(&data) {
            format!("Panic({:#x})", panic.code)
        } else if let Ok(error) = ISettlementErrorsErrors::abi_decode(&data) {
            // The container enum and its only field have the same name: keep one of them.
            let text = format!("{error:?}");
            text.split_once('(')
                .map_or_else(|| text.clone(), |(_, inner)| inner.trim_end_matches(')').to_owned())
        } else {
            format!("unknown error {}", hex::encode_prefixed(&data))
        };
        Self { text, data }
    }

    /// First four bytes of the revert data, if there are any.
    pub fn selector(&self) -> Option<[u8; 4]> {
        self.data.get(..4).and_then(|s| s.try_into().ok())
    }

    /// Whether the call failed with the contract error `E`.
    pub fn is<E: SolError>(&self) -> bool {
        self.selector() == Some(E::SELECTOR)
    }

    /// Undecoded revert data.
    pub const fn data(&self) -> &Bytes {
        &self.data
    }
}

impl fmt::Display for RevertReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::ISettlementErrors;
    use alloy_primitives::{B256, U256};

    #[test]
    fn contract_errors_are_named_with_their_arguments() {
        let data = ISettlementErrors::BatchHashMismatch {
            expected: B256::repeat_byte(1),
            provided: B256::repeat_byte(2),
        }
        .abi_encode();
        let reason = RevertReason::decode(data.into());
        assert!(reason.is::<ISettlementErrors::BatchHashMismatch>());
        let text = reason.to_string();
        assert!(text.starts_with("BatchHashMismatch { expected: 0x0101"), "{text}");

        let reason = RevertReason::decode(ISettlementErrors::InvalidProof {}.abi_encode().into());
        assert!(reason.to_string().starts_with("InvalidProof"), "{reason}");
    }

    #[test]
    fn standard_and_unknown_reverts() {
        assert_eq!(
            RevertReason::decode(Revert::from("no").abi_encode().into()).to_string(),
            "Error(\"no\")"
        );
        assert_eq!(
            RevertReason::decode(Panic { code: U256::from(0x11) }.abi_encode().into()).to_string(),
            "Panic(0x11)"
        );
        assert_eq!(
            RevertReason::decode(Bytes::from_static(&[1, 2, 3, 4, 5])).to_string(),
            "unknown error 0x0102030405"
        );
        assert!(RevertReason::decode(Bytes::new()).to_string().contains("without data"));
    }
}
