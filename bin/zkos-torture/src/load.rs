//! Transfers, and what the node says about them.

use crate::{journal::Journal, rpc::Rpc};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use eyre::{Result, bail, ensure};
use serde_json::json;
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// Transfers that an account has under way.
const WINDOW: u64 = 6;
/// How long a receipt may take before the nonce is asked for anew.
const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);
const GAS_LIMIT: u64 = 200_000;
/// What every account gets: enough for any number of transfers.
const FUNDS: u64 = 1_000_000_000_000_000_000;

/// The sending accounts.
#[derive(Debug, Clone)]
pub(crate) struct Accounts {
    signers: Arc<Vec<PrivateKeySigner>>,
    rich: PrivateKeySigner,
    chain_id: u64,
    max_fee: u128,
}

impl Accounts {
    pub(crate) async fn new(rpc: &Rpc, rich_key: &str, count: usize) -> Result<Self> {
        let rich: PrivateKeySigner = rich_key.parse()?;
        let signers = (0..count.max(2) as u64)
            .map(|index| {
                let seed = [rich.to_bytes().as_slice(), b"torture", &index.to_be_bytes()].concat();
                Ok(PrivateKeySigner::from_bytes(&keccak256(seed))?)
            })
            .collect::<Result<Vec<_>>>()?;
        let max_fee = rpc.gas_price().await?.saturating_mul(4).max(1);
        let chain_id = rpc.chain_id().await?;
        Ok(Self { signers: Arc::new(signers), rich, chain_id, max_fee })
    }

    pub(crate) fn addresses(&self) -> Vec<Address> {
        self.signers.iter().map(PrivateKeySigner::address).collect()
    }

    /// Gives every account funds and waits until they are there.
    pub(crate) async fn fund(&self, rpc: &Rpc) -> Result<()> {
        let rich = self.rich.address();
        let needed = U256::from(FUNDS) * U256::from(self.signers.len() as u64 + 1);
        // Deposits from L1 are the first blocks.
        crate::process::wait_for("the deposits of the rich account", || async {
            rpc.balance(rich).await.ok().filter(|balance| *balance > needed)
        })
        .await?;
        let first = rpc.nonces(&[rich], "pending").await?[0];
        let raw = self
            .addresses()
            .iter()
            .zip(first..)
            .map(|(to, nonce)| self.transfer(&self.rich, nonce, *to, U256::from(FUNDS)))
            .collect::<Result<Vec<_>>>()?;
        let params: Vec<_> = raw.iter().map(|(_, raw)| json!([raw])).collect();
        for answer in rpc.many("eth_sendRawTransaction", &params).await? {
            ensure!(answer.is_ok(), "funding was refused: {answer:?}");
        }
        let hashes: Vec<_> = raw.iter().map(|(hash, _)| *hash).collect();
        crate::process::wait_for("the funding", || async {
            let receipts = rpc.receipts(&hashes).await.ok()?;
            receipts.iter().all(Option::is_some).then_some(())
        })
        .await
    }

    fn transfer(
        &self,
        signer: &PrivateKeySigner,
        nonce: u64,
        to: Address,
        value: U256,
    ) -> Result<(B256, Bytes)> {
        let tx = TxEip1559 {
            chain_id: self.chain_id,
            nonce,
            gas_limit: GAS_LIMIT,
            max_fee_per_gas: self.max_fee,
            max_priority_fee_per_gas: 0,
            to: TxKind::Call(to),
            value,
            ..Default::default()
        };
        let signature = signer.sign_hash_sync(&tx.signature_hash())?;
        let envelope = TxEnvelope::from(tx.into_signed(signature));
        Ok((*envelope.hash(), envelope.encoded_2718().into()))
    }

    /// Lets every account send and note receipts until the returned set is dropped or the node is gone.
    pub(crate) fn send(&self, rpc: &Rpc, journal: &Arc<Mutex<Journal>>) -> JoinSet<Result<()>> {
        let mut tasks = JoinSet::new();
        for index in 0..self.signers.len() {
            let (this, rpc, journal) = (self.clone(), rpc.clone(), journal.clone());
            tasks.spawn(async move { this.send_from(index, &rpc, &journal).await });
        }
        tasks
    }

    /// The same nonce always makes the same transaction, so that one which the node kept over a restart is recognised.
    async fn send_from(&self, index: usize, rpc: &Rpc, journal: &Mutex<Journal>) -> Result<()> {
        let signer = &self.signers[index];
        let to = self.signers[(index + 1) % self.signers.len()].address();
        loop {
            let first = rpc.nonces(&[signer.address()], "latest").await?[0];
            let batch = (first..first + WINDOW)
                .map(|nonce| self.transfer(signer, nonce, to, U256::from(1)))
                .collect::<Result<Vec<_>>>()?;
            let params: Vec<_> = batch.iter().map(|(_, raw)| json!([raw])).collect();
            for answer in rpc.many("eth_sendRawTransaction", &params).await? {
                if let Err(message) = answer
                    && !is_known(&message)
                {
                    bail!("a transfer was refused: {message}");
                }
            }
            let mut waiting: Vec<B256> = batch.iter().map(|(hash, _)| *hash).collect();
            let started = Instant::now();
            while !waiting.is_empty() && started.elapsed() < PATIENCE {
                let places = rpc.receipts(&waiting).await?;
                let mut rest = Vec::new();
                {
                    let mut journal = journal.lock().unwrap_or_else(|error| error.into_inner());
                    for (hash, place) in waiting.iter().zip(places) {
                        match place {
                            Some(place) => journal.note(*hash, place)?,
                            None => rest.push(*hash),
                        }
                    }
                }
                waiting = rest;
                tokio::time::sleep(POLL).await;
            }
        }
    }
}

/// Answers to a transaction that the node has already.
fn is_known(message: &str) -> bool {
    let message = message.to_lowercase();
    ["already known", "already imported", "nonce too low", "replacement"]
        .iter()
        .any(|known| message.contains(known))
}
