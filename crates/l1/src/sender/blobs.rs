//! Which form of blob proofs an L1 takes: asked at start, learnt from refusals later.

use super::{L1TxRequest, SendError, task::L1SenderTask};
use crate::provider::L1Provider;
use alloy_primitives::{Address, address};
use alloy_provider::Provider;
use serde_json::Value;
use std::sync::Arc;
use tracing::{info, warn};
use zkos_primitives::blobs::{SidecarForm, convert_sidecar};

/// Public networks on which the Osaka fork is active: mainnet, Sepolia, Hoodi.
const OSAKA_CHAIN_IDS: &[u64] = &[1, 11_155_111, 560_048];
/// Precompile that came with Osaka ([EIP-7951](https://eips.ethereum.org/EIPS/eip-7951)).
const P256VERIFY: Address = address!("0000000000000000000000000000000000000100");

/// The form of blob proofs that this L1 takes.
///
/// Known networks need no question. Others are asked for their fork by `eth_config` ([EIP-7910]); a node that does not offer it gets
/// EIP-4844 proofs on a local chain (an old development node) and EIP-7594 proofs elsewhere. A wrong guess costs one refused broadcast.
///
/// [EIP-7910]: https://eips.ethereum.org/EIPS/eip-7910
pub async fn detect_sidecar_form(provider: &L1Provider) -> SidecarForm {
    let chain_id = provider.chain_id();
    if OSAKA_CHAIN_IDS.contains(&chain_id) {
        return SidecarForm::Eip7594;
    }
    let no_params: [(); 0] = [];
    let config = provider.inner().raw_request::<_, Value>("eth_config".into(), no_params).await;
    let (form, source) = match config.as_ref().ok().and_then(form_of_config) {
        Some(form) => (form, "eth_config"),
        None if super::is_local_chain(chain_id) => (SidecarForm::Eip4844, "local chain"),
        None => (SidecarForm::Eip7594, "default"),
    };
    info!(target: "zkos::l1::sender", chain_id, %form, source, "form of blob proofs");
    form
}

/// Osaka is told by its precompile: the answer does not name forks.
fn form_of_config(config: &Value) -> Option<SidecarForm> {
    let precompiles = config.pointer("/current/precompiles")?.as_object()?;
    // Names lead to addresses; drafts of the EIP had it the other way round.
    let osaka = precompiles.iter().any(|(key, value)| {
        [Some(key.as_str()), value.as_str()]
            .into_iter()
            .flatten()
            .any(|text| text.parse::<Address>().is_ok_and(|address| address == P256VERIFY))
    });
    Some(if osaka { SidecarForm::Eip7594 } else { SidecarForm::Eip4844 })
}

/// Whether a node's words mean that it wants the other form of blob proofs. `message` is in lower case.
///
/// Nodes that know both forms say so; older ones can't even decode the form they don't know, or miscount the proofs.
pub(super) fn is_form_refusal(message: &str) -> bool {
    [
        // reth
        "sidecar after osaka",
        "sidecar before osaka",
        // geth
        "sidecar version",
        "blob proofs",
        // nethermind
        "invalidtxproofversion",
        // erigon
        "commitments and proofs must have equal number",
        // besu
        "kzgproof size",
        "number of proof groups",
        // decoders of older nodes
        "rlp:",
        "failed to decode",
        "rlp error",
    ]
    .iter()
    .any(|words| message.contains(words))
}

impl L1SenderTask {
    /// Gives the request proofs of the form that is sent now, if it has others.
    pub(super) async fn adapt_sidecar(&self, request: &mut L1TxRequest) -> Result<(), SendError> {
        let wanted = self.config.sidecar_form.or(self.learnt_form);
        let (Some(sidecar), Some(form)) = (&request.sidecar, wanted) else { return Ok(()) };
        if SidecarForm::of(sidecar) == form {
            return Ok(());
        }
        let old = sidecar.clone();
        let label = request.label;
        let failed = |message| SendError::Blobs { label, message };
        let new = tokio::task::spawn_blocking(move || convert_sidecar(&old, form))
            .await
            .map_err(|error| failed(error.to_string()))?
            .map_err(|error| failed(error.to_string()))?;
        request.sidecar = Some(Arc::new(new));
        Ok(())
    }

    /// After a refusal of the form of `request`: whether the other form may be tried, now and from now on.
    pub(super) fn learn_form(&mut self, request: &L1TxRequest, message: &str) -> bool {
        let (Some(sidecar), None) = (&request.sidecar, self.config.sidecar_form) else {
            return false;
        };
        let form = SidecarForm::of(sidecar).other();
        warn!(
            target: "zkos::l1::sender", label = request.label, answer = message, %form,
            "l1 node refuses the form of the blob proofs, sending the other one from now on"
        );
        self.learnt_form = Some(form);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_fork_is_told_by_its_precompile() {
        let config = |precompiles| json!({ "current": { "precompiles": precompiles } });
        let ecrec = "0x0000000000000000000000000000000000000001";
        let p256 = "0x0000000000000000000000000000000000000100";
        assert_eq!(form_of_config(&config(json!({ "ECREC": ecrec }))), Some(SidecarForm::Eip4844));
        for osaka in [json!({ "ECREC": ecrec, "P256VERIFY": p256 }), json!({ p256: "P256VERIFY" })]
        {
            assert_eq!(form_of_config(&config(osaka)), Some(SidecarForm::Eip7594));
        }
        for useless in [json!(null), json!({}), config(json!([p256])), json!({ "current": null })] {
            assert_eq!(form_of_config(&useless), None);
        }
    }

    #[test]
    fn refusals_of_the_form_are_told_from_others() {
        for message in [
            "unexpected eip-4844 sidecar after osaka",
            "unexpected eip-7594 sidecar before osaka",
            "sidecar format error: unexpected sidecar version, want: 1, got: 0",
            "sidecar format error: invalid number of 1 blob proofs expected 128",
            "invalidtxproofversion: version of network wrapper is not supported.",
            "rlp: input list has too many elements for types.blobtxwithblobs",
        ] {
            assert!(is_form_refusal(message), "{message}");
        }
        for message in [
            "max fee per blob gas too low",
            "intrinsic gas too low",
            "too many blobs in transaction",
        ] {
            assert!(!is_form_refusal(message), "{message}");
        }
    }
}
