//! What became of the transactions in flight.

use super::{
    L1TxRequest, SendError,
    sending::Broadcast,
    task::{InFlight, L1SenderTask, REMEMBERED, SLOW_INTERVAL, to_ether},
};
use crate::{contracts::RevertReason, provider::revert_data};
use alloy_primitives::{Bytes, U256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::{BlockId, TransactionInput, TransactionReceipt, TransactionRequest};
use alloy_transport::TransportError;
use std::time::Instant;
use tracing::{debug, warn};

/// Polls in a row with a used nonce and no receipt after which the nonce counts as taken by somebody else.
const MISSING_RECEIPT_POLLS: u32 = 50;

impl L1SenderTask {
    pub(super) async fn poll(&mut self) -> Result<(), TransportError> {
        let slow = self.slow_due <= Instant::now();
        if slow {
            self.slow_due = Instant::now() + SLOW_INTERVAL;
            self.balance = self.provider.inner().get_balance(self.address()).await?;
        }
        if self.in_flight.is_empty() && !slow {
            return Ok(());
        }
        let latest = self
            .provider
            .inner()
            .get_transaction_count(self.address())
            .block_id(BlockId::latest())
            .await?;
        self.undo_reorged(latest).await;
        self.finish_mined(latest).await?;
        if let Some(oldest) = self.in_flight.front()
            && oldest.nonce >= latest
        {
            if oldest.sent_at.elapsed() >= self.config.resubmit_timeout {
                self.replace_oldest().await?;
            } else if slow {
                self.rebroadcast_forgotten().await?;
            }
        } else if self.queued.is_none() {
            self.waiting = None;
        }
        Ok(())
    }

    /// Transactions that were mined and are not any more go back in flight.
    async fn undo_reorged(&mut self, latest: u64) {
        while self.done.back().is_some_and(|tx| tx.nonce >= latest) {
            let Some(tx) = self.done.pop_back() else { return };
            warn!(target: "zkos::l1::sender", label = tx.label(), hash = %tx.hash(), nonce = tx.nonce, "l1 was reorganised, sending again");
            if !tx.raw.is_empty() {
                self.metrics.rebroadcasts_total.increment(1);
                let outcome = self.broadcast(&tx.raw).await;
                debug!(target: "zkos::l1::sender", nonce = tx.nonce, ?outcome, "sent again");
            }
            self.in_flight.push_front(InFlight {
                sent_at: Instant::now(),
                missing_receipt: 0,
                ..tx
            });
        }
    }

    /// Hands out receipts of mined transactions, in order.
    async fn finish_mined(&mut self, latest: u64) -> Result<(), TransportError> {
        while let Some(oldest) = self.in_flight.front()
            && oldest.nonce < latest
        {
            let mut receipt = None;
            for hash in oldest.attempts.iter().rev() {
                receipt = self.provider.inner().get_transaction_receipt(*hash).await?;
                if receipt.is_some() {
                    break;
                }
            }
            match receipt {
                Some(receipt) => {
                    if self.config.confirmations > 0 {
                        let head = self.provider.inner().get_block_number().await?;
                        if head
                            < receipt
                                .block_number
                                .unwrap_or(u64::MAX)
                                .saturating_add(self.config.confirmations)
                        {
                            return Ok(());
                        }
                    }
                    self.finish_oldest(receipt).await;
                }
                // A transaction of a previous process whose hash is not known: its nonce is used, that is all there is to learn.
                None if oldest.attempts.is_empty() => {
                    self.in_flight.pop_front();
                }
                None => {
                    let address = self.address();
                    let Some(oldest) = self.in_flight.front_mut() else { return Ok(()) };
                    oldest.missing_receipt += 1;
                    if oldest.missing_receipt < MISSING_RECEIPT_POLLS {
                        return Ok(());
                    }
                    let (nonce, label) = (oldest.nonce, oldest.label());
                    if let Some(reply) = oldest.reply.take() {
                        let _ = reply.send(Err(SendError::NonceTaken { label, address, nonce }));
                    }
                    warn!(target: "zkos::l1::sender", %address, label, nonce, "nonce was used by another transaction");
                    self.in_flight.pop_front();
                }
            }
        }
        Ok(())
    }

    async fn finish_oldest(&mut self, receipt: TransactionReceipt) {
        let Some(mut tx) = self.in_flight.pop_front() else { return };
        let fee = U256::from(receipt.gas_used) * U256::from(receipt.effective_gas_price);
        self.metrics.l1_transaction_fee_ether.record(to_ether(fee));
        self.metrics.gas_used.record(receipt.gas_used as f64);
        let (label, hash, block) =
            (tx.label(), receipt.transaction_hash, receipt.block_number.unwrap_or_default());
        let result = if receipt.status() {
            debug!(target: "zkos::l1::sender", label, %hash, block, gas_used = receipt.gas_used, "mined");
            Ok(Box::new(receipt))
        } else {
            self.metrics.reverts_total.increment(1);
            let reason = match &tx.request {
                Some(request) => self.revert_reason(request, block).await,
                None => None,
            };
            let error = SendError::Reverted {
                label,
                hash,
                block,
                reason,
                out_of_gas: receipt.gas_used >= tx.gas_limit,
            };
            warn!(target: "zkos::l1::sender", address = %self.address(), err = %error, "l1 transaction reverted");
            Err(error)
        };
        if let Some(reply) = tx.reply.take() {
            let _ = reply.send(result);
        }
        self.done.push_back(tx);
        if self.done.len() > REMEMBERED {
            self.done.pop_front();
        }
    }

    /// Repeats a reverted call: before its block, after its block, now. The first revert tells the reason (most likely).
    async fn revert_reason(&self, request: &L1TxRequest, block: u64) -> Option<RevertReason> {
        let call = TransactionRequest::default()
            .from(self.address())
            .to(request.to)
            .value(request.value)
            .input(TransactionInput::both(request.input.clone()));
        for block in
            [BlockId::number(block.saturating_sub(1)), BlockId::number(block), BlockId::latest()]
        {
            if let Err(error) = self.provider.inner().call(call.clone()).block(block).await
                && let Some(reason) = revert_data(&error)
            {
                return Some(reason);
            }
        }
        None
    }

    /// Sends the oldest transaction again with higher fees.
    async fn replace_oldest(&mut self) -> Result<(), TransportError> {
        let Some(oldest) = self.in_flight.front() else { return Ok(()) };
        let mut request = match &oldest.request {
            Some(request) => request.clone(),
            // Unknown blob transactions can't be replaced by anything we have.
            None if oldest.fees.blob_fee.is_some() => {
                self.waiting =
                    Some(format!("blob transaction {} of a previous process waits", oldest.hash()));
                return Ok(());
            }
            // An unknown transaction blocks the key: put an empty one in its place.
            None => L1TxRequest::call("cancel", self.address(), Bytes::new()),
        };
        if let Err(error) = self.adapt_sidecar(&mut request).await {
            self.waiting = Some(error.to_string());
            return Ok(());
        }
        let market = self.market(request.sidecar.is_some()).await?;
        let (nonce, gas_limit, old) = (oldest.nonce, oldest.gas_limit, oldest.fees);
        let Some(fees) = self.config.fee_caps.replacement(old, market) else {
            // Nothing to offer: make sure at least that the node has it.
            self.capped(request.label);
            if let Some(oldest) = self.in_flight.front_mut() {
                oldest.sent_at = Instant::now();
            }
            return self.rebroadcast_forgotten().await;
        };
        let (raw, hash) = match self.sign(&request, nonce, gas_limit, fees) {
            Ok(signed) => signed,
            Err(error) => {
                self.waiting = Some(error.to_string());
                return Ok(());
            }
        };
        let label = request.label;
        let outcome = self.broadcast(&raw).await;
        warn!(
            target: "zkos::l1::sender", label, nonce, old = %self.in_flight.front().map(InFlight::hash).unwrap_or_default(), new = %hash,
            max_fee = fees.max_fee, tip = fees.tip, ?outcome, "transaction is stuck, replacing it with higher fees"
        );
        if let Broadcast::WrongForm(message) = &outcome {
            self.learn_form(&request, message);
        }
        let Some(oldest) = self.in_flight.front_mut() else { return Ok(()) };
        match outcome {
            Broadcast::Accepted | Broadcast::Unknown(_) => {
                if oldest.request.is_some() {
                    oldest.request = Some(request);
                }
                oldest.attempts.push(hash);
                oldest.raw = raw;
                oldest.fees = fees;
                oldest.sent_at = Instant::now();
                self.metrics.replacements_total.increment(1);
                self.metrics.max_fee_per_gas.set(fees.max_fee as f64);
                self.metrics.max_priority_fee_per_gas.set(fees.tip as f64);
                self.waiting =
                    Some(format!("{label} was not mined in time, replaced with higher fees"));
            }
            // Raise further next time, whatever sits there.
            Broadcast::Underpriced | Broadcast::FeeTooLow(_) => oldest.fees = fees,
            // Mined in the meantime: the next poll sees it.
            Broadcast::NonceTooLow => {}
            Broadcast::InsufficientFunds(message)
            | Broadcast::WrongForm(message)
            | Broadcast::Rejected(message) => {
                oldest.sent_at = Instant::now();
                self.waiting = Some(format!("replacement of {label} refused: {message}"));
            }
        }
        Ok(())
    }

    /// Broadcasts again what the node does not know any more, unchanged.
    async fn rebroadcast_forgotten(&self) -> Result<(), TransportError> {
        let Some(oldest) = self.in_flight.front() else { return Ok(()) };
        if oldest.raw.is_empty()
            || self.provider.inner().get_transaction_by_hash(oldest.hash()).await?.is_some()
        {
            return Ok(());
        }
        warn!(
            target: "zkos::l1::sender", label = oldest.label(), hash = %oldest.hash(), nonce = oldest.nonce,
            "l1 node has forgotten the transaction, broadcasting again"
        );
        for tx in &self.in_flight {
            if !tx.raw.is_empty() {
                self.metrics.rebroadcasts_total.increment(1);
                let outcome = self.broadcast(&tx.raw).await;
                debug!(target: "zkos::l1::sender", nonce = tx.nonce, ?outcome, "broadcast again");
            }
        }
        Ok(())
    }
}
