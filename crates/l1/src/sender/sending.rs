//! Simulating, pricing, signing and broadcasting one request.

use super::{
    L1TxRequest, PendingL1Tx, SendError,
    blobs::is_form_refusal,
    fees::{Fees, Market},
    task::{InFlight, L1SenderTask},
};
use crate::provider::{is_transient, revert_data};
use alloy_consensus::{
    SignableTransaction, TxEip1559, TxEip4844, TxEip4844Variant, TxEip4844WithSidecar, TxEnvelope,
};
use alloy_eips::{BlockNumberOrTag, Encodable2718};
use alloy_primitives::{B256, Bytes, TxKind};
use alloy_provider::Provider;
use alloy_rpc_types_eth::{BlockId, TransactionInput, TransactionRequest};
use alloy_signer::SignerSync;
use alloy_transport::TransportError;
use std::time::Instant;
use tokio::sync::oneshot;
use tracing::{debug, info, warn};
use zkos_primitives::blobs::BlobTransactionSidecarVariant;

/// What a node said to a broadcast.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Broadcast {
    Accepted,
    Unknown(String),
    NonceTooLow,
    /// Something at this nonce offers more.
    Underpriced,
    /// The fees are below what the node takes at all.
    FeeTooLow(String),
    InsufficientFunds(String),
    /// The node wants blob proofs of the other form.
    WrongForm(String),
    Rejected(String),
}

impl L1SenderTask {
    /// Tries to send the queued request. Leaves it queued if that has to wait.
    pub(super) async fn start_queued(&mut self) -> Result<(), TransportError> {
        let Some(command) = &self.queued else { return Ok(()) };
        if command.accepted.is_closed() {
            // The caller went away before anything was sent.
            self.queued = None;
            return Ok(());
        }
        let form_refused = command.form_refused;
        let mut request = command.request.clone();
        if self.attach_to_adopted(&request) {
            return Ok(());
        }
        if let Err(error) = self.adapt_sidecar(&mut request).await {
            self.refuse(error);
            return Ok(());
        }
        // Kept, or new proofs would be made at every attempt.
        if let Some(command) = &mut self.queued {
            command.request.sidecar.clone_from(&request.sidecar);
        }
        let Some(fees) = self
            .config
            .fee_caps
            .suggest(self.market(request.sidecar.is_some()).await?, request.sidecar.is_some())
        else {
            self.capped(request.label);
            return Ok(());
        };
        let gas_limit = match self.gas_limit(&request, fees).await? {
            Ok(gas_limit) => gas_limit,
            Err(error) => {
                self.refuse(error);
                return Ok(());
            }
        };
        let nonce = self.next_nonce;
        let (raw, hash) = match self.sign(&request, nonce, gas_limit, fees) {
            Ok(signed) => signed,
            Err(error) => {
                self.refuse(error);
                return Ok(());
            }
        };
        let waiting = match self.broadcast(&raw).await {
            Broadcast::Accepted => None,
            // It may have arrived: keep it, and broadcast the same bytes again.
            Broadcast::Unknown(message) => {
                Some(format!("broadcast of {} uncertain: {message}", request.label))
            }
            Broadcast::NonceTooLow => {
                let (latest, pending) = self.nonces().await?;
                warn!(
                    target: "zkos::l1::sender", address = %self.address(), nonce, latest, pending,
                    "nonce was used already: does another process use this key?"
                );
                if self.in_flight.is_empty() {
                    self.next_nonce = pending.max(nonce.saturating_add(1));
                }
                return Ok(());
            }
            Broadcast::Underpriced => {
                // Something unknown sits at this nonce: adopt it.
                warn!(target: "zkos::l1::sender", address = %self.address(), nonce, "another transaction waits at this nonce");
                if self.in_flight.is_empty() {
                    self.adopt().await?;
                }
                self.waiting = Some(format!("an unknown transaction waits at nonce {nonce}"));
                return Ok(());
            }
            Broadcast::FeeTooLow(message) => {
                self.waiting =
                    Some(format!("fees offered for {} are too low: {message}", request.label));
                return Ok(());
            }
            Broadcast::InsufficientFunds(message) => {
                self.waiting = Some(format!(
                    "{} has too little ether for {}: {message}",
                    self.address(),
                    request.label
                ));
                debug!(target: "zkos::l1::sender", address = %self.address(), message, "insufficient funds");
                return Ok(());
            }
            // Once: a node that refuses both forms means something else.
            Broadcast::WrongForm(message)
                if !form_refused && self.learn_form(&request, &message) =>
            {
                if let Some(command) = &mut self.queued {
                    command.form_refused = true;
                }
                return Ok(());
            }
            Broadcast::WrongForm(message) | Broadcast::Rejected(message) => {
                self.refuse(SendError::Rejected { label: request.label, message });
                return Ok(());
            }
        };
        self.waiting = waiting;
        self.metrics.fee_capped.set(0);
        self.metrics.max_fee_per_gas.set(fees.max_fee as f64);
        self.metrics.max_priority_fee_per_gas.set(fees.tip as f64);
        debug!(
            target: "zkos::l1::sender", label = request.label, %hash, nonce, gas_limit, max_fee = fees.max_fee, tip = fees.tip, "sent"
        );
        let (reply, receipt) = oneshot::channel();
        self.next_nonce += 1;
        self.in_flight.push_back(InFlight {
            nonce,
            request: Some(request),
            gas_limit,
            fees,
            raw,
            attempts: vec![hash],
            sent_at: Instant::now(),
            missing_receipt: 0,
            reply: Some(reply),
        });
        self.accept(PendingL1Tx { hash, address: self.address(), receipt });
        Ok(())
    }

    fn accept(&mut self, pending: PendingL1Tx) {
        if let Some(command) = self.queued.take() {
            let _ = command.accepted.send(Ok(pending));
        }
    }

    fn refuse(&mut self, error: SendError) {
        self.waiting = None;
        if let Some(command) = self.queued.take() {
            warn!(target: "zkos::l1::sender", address = %self.address(), err = %error, "l1 transaction refused");
            let _ = command.accepted.send(Err(error));
        }
    }

    pub(super) fn capped(&mut self, label: &'static str) {
        self.metrics.fee_capped.set(1);
        let text = format!("fees of l1 are above the configured caps, {label} waits");
        if self.waiting.as_ref() != Some(&text) {
            warn!(target: "zkos::l1::sender", address = %self.address(), caps = ?self.config.fee_caps, "{text}");
        }
        self.waiting = Some(text);
    }

    /// If a previous process already sent the request, waits for that transaction.
    fn attach_to_adopted(&mut self, request: &L1TxRequest) -> bool {
        let address = self.address();
        let found = self.in_flight.iter_mut().find(|tx| {
            tx.reply.is_none()
                && tx.request.as_ref().is_some_and(|known| {
                    (known.to, &known.input, known.value)
                        == (request.to, &request.input, request.value)
                })
        });
        let Some(found) = found else { return false };
        info!(target: "zkos::l1::sender", %address, label = request.label, nonce = found.nonce, "request is in flight already");
        let (reply, receipt) = oneshot::channel();
        found.reply = Some(reply);
        found.request = Some(request.clone());
        let hash = found.hash();
        self.accept(PendingL1Tx { hash, address, receipt });
        true
    }

    pub(super) async fn market(&self, blobs: bool) -> Result<Market, TransportError> {
        let base_fee =
            self.provider.block(BlockNumberOrTag::Latest).await?.map_or(0, |block| block.base_fee);
        let tip = self.provider.inner().get_max_priority_fee_per_gas().await?;
        let blob_base_fee =
            if blobs { self.provider.inner().get_blob_base_fee().await? } else { 0 };
        Ok(Market { base_fee, tip, blob_base_fee })
    }

    /// Simulates the request. The outer error is the connection's, the inner one final.
    async fn gas_limit(
        &self,
        request: &L1TxRequest,
        fees: Fees,
    ) -> Result<Result<u64, SendError>, TransportError> {
        let mut call = TransactionRequest::default()
            .from(self.address())
            .to(request.to)
            .value(request.value)
            .input(TransactionInput::both(request.input.clone()));
        if let Some(sidecar) = &request.sidecar {
            call.blob_versioned_hashes = Some(sidecar.versioned_hashes().collect());
            call.max_fee_per_blob_gas = fees.blob_fee;
        }
        let error = match self.provider.inner().estimate_gas(call).block(BlockId::pending()).await {
            // Other transactions may change the state before this one is mined: leave room.
            Ok(gas) => return Ok(Ok((gas + gas / 3 + 20_000).min(self.config.max_gas_limit))),
            Err(error) => error,
        };
        // What depends on transactions in flight can't be simulated on nodes whose pending state lacks them.
        if !is_transient(&error) && !self.in_flight.is_empty() {
            debug!(target: "zkos::l1::sender", label = request.label, err = %error, "gas can't be estimated behind others in flight");
            return Ok(Ok(self.config.fallback_gas_limit.min(self.config.max_gas_limit)));
        }
        match revert_data(&error) {
            Some(reason) => Ok(Err(SendError::WouldRevert { label: request.label, reason })),
            None if is_transient(&error) => Err(error),
            None => {
                Ok(Err(SendError::Rejected { label: request.label, message: error.to_string() }))
            }
        }
    }

    pub(super) fn sign(
        &self,
        request: &L1TxRequest,
        nonce: u64,
        gas_limit: u64,
        fees: Fees,
    ) -> Result<(Bytes, B256), SendError> {
        let chain_id = self.provider.chain_id();
        let failed = |error: alloy_signer::Error| SendError::Signer {
            label: request.label,
            message: error.to_string(),
        };
        let envelope: TxEnvelope = match &request.sidecar {
            None => {
                let tx = TxEip1559 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: fees.max_fee,
                    max_priority_fee_per_gas: fees.tip,
                    to: TxKind::Call(request.to),
                    value: request.value,
                    access_list: Default::default(),
                    input: request.input.clone(),
                };
                let signature = self.signer.sign_hash_sync(&tx.signature_hash()).map_err(failed)?;
                tx.into_signed(signature).into()
            }
            Some(sidecar) => {
                let tx = TxEip4844 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: fees.max_fee,
                    max_priority_fee_per_gas: fees.tip,
                    to: request.to,
                    value: request.value,
                    access_list: Default::default(),
                    blob_versioned_hashes: sidecar.versioned_hashes().collect(),
                    max_fee_per_blob_gas: fees.blob_fee.unwrap_or_default(),
                    input: request.input.clone(),
                };
                let tx = TxEip4844Variant::TxEip4844WithSidecar(TxEip4844WithSidecar {
                    tx,
                    sidecar: BlobTransactionSidecarVariant::clone(sidecar),
                });
                let signature = self.signer.sign_hash_sync(&tx.signature_hash()).map_err(failed)?;
                tx.into_signed(signature).into()
            }
        };
        Ok((envelope.encoded_2718().into(), *envelope.tx_hash()))
    }

    pub(super) async fn broadcast(&self, raw: &Bytes) -> Broadcast {
        match self.provider.inner().send_raw_transaction(raw).await {
            Ok(_) => Broadcast::Accepted,
            Err(error) => classify(&error),
        }
    }
}

/// What a node's answer to a broadcast means. Nodes word it differently; the words of geth, reth, nethermind and anvil are known here.
fn classify(error: &TransportError) -> Broadcast {
    let Some(payload) = error.as_error_resp() else { return Broadcast::Unknown(error.to_string()) };
    let message = payload.message.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if has(&["already known", "already imported", "alreadyknown", "known transaction"]) {
        Broadcast::Accepted
    } else if has(&["nonce too low", "nonce is too low", "oldnonce", "invalid nonce"]) {
        Broadcast::NonceTooLow
    } else if has(&["insufficient funds", "insufficientfunds", "insufficient balance"]) {
        Broadcast::InsufficientFunds(payload.message.to_string())
    } else if has(&[
        "replacement transaction underpriced",
        "replacement underpriced",
        "could not replace",
    ]) {
        Broadcast::Underpriced
    } else if has(&[
        "underpriced",
        "less than block base fee",
        "fee too low",
        "feetoolow",
        "tip needed",
    ]) {
        Broadcast::FeeTooLow(payload.message.to_string())
    } else if is_form_refusal(&message) {
        Broadcast::WrongForm(payload.message.to_string())
    } else if is_transient(error)
        || has(&["txpool is full", "pool is full", "limit reached", "timeout", "timed out"])
    {
        Broadcast::Unknown(payload.message.to_string())
    } else {
        Broadcast::Rejected(payload.message.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_json_rpc::ErrorPayload;

    #[test]
    fn answers_to_broadcasts_are_understood() {
        let answer = |code, message: &'static str| {
            classify(&TransportError::ErrorResp(ErrorPayload {
                code,
                message: message.into(),
                data: None,
            }))
        };
        assert_eq!(answer(-32000, "already known"), Broadcast::Accepted);
        assert_eq!(answer(-32003, "transaction already imported"), Broadcast::Accepted);
        assert_eq!(
            answer(-32000, "nonce too low: next nonce 5, tx nonce 3"),
            Broadcast::NonceTooLow
        );
        assert_eq!(answer(-32000, "replacement transaction underpriced"), Broadcast::Underpriced);
        assert!(matches!(answer(-32000, "transaction underpriced"), Broadcast::FeeTooLow(_)));
        assert!(matches!(
            answer(-32003, "Insufficient funds for gas * price + value"),
            Broadcast::InsufficientFunds(_)
        ));
        assert!(matches!(answer(-32603, "internal error"), Broadcast::Unknown(_)));
        assert!(matches!(answer(-32000, "txpool is full"), Broadcast::Unknown(_)));
        assert!(matches!(answer(-32000, "intrinsic gas too low"), Broadcast::Rejected(_)));
        assert!(matches!(
            answer(-32003, "unexpected eip-4844 sidecar after osaka"),
            Broadcast::WrongForm(_)
        ));
        assert!(matches!(
            classify(&alloy_transport::TransportErrorKind::custom_str("refused")),
            Broadcast::Unknown(_)
        ));
    }
}
