//! The sending accounts: derivation, funding, signing.

use crate::{Prepared, rpc::Rpc};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex, keccak256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use eyre::{Result, WrapErr, ensure};
use std::{collections::VecDeque, sync::Arc, thread, time::Duration};

/// How often the balances are asked for while the funding is under way.
const FUNDING_POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Wei that each transfer moves.
const TRANSFER_VALUE: u64 = 1;

/// What transactions pay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fees {
    gas_limit: u64,
    max_fee: u128,
    priority_fee: u128,
}

impl Fees {
    /// Asks the node. The fee cap leaves room for a base fee that rises during the run.
    pub(crate) async fn from_node(rpc: &mut Rpc, accounts: &Accounts) -> Result<Self> {
        let max_fee = rpc.gas_price().await?.saturating_mul(4).max(1);
        let priority_fee = rpc.priority_fee().await?.min(max_fee);
        // The first accounts do not exist yet: to make one costs the most.
        let to = accounts.addresses[0];
        let gas = rpc.estimate_transfer(accounts.rich.address(), to).await?;
        Ok(Self { gas_limit: gas.saturating_mul(3) / 2, max_fee, priority_fee })
    }

    fn cost(&self) -> U256 {
        U256::from(self.gas_limit) * U256::from(self.max_fee) + U256::from(TRANSFER_VALUE)
    }
}

/// All accounts of a run.
#[derive(Debug)]
pub(crate) struct Accounts {
    rich: PrivateKeySigner,
    signers: Arc<Vec<PrivateKeySigner>>,
    addresses: Vec<Address>,
    nonces: Vec<u64>,
    chain_id: u64,
}

impl Accounts {
    /// Derives the sending accounts from the rich key, so that a second run finds them funded.
    pub(crate) fn derive(rich_key: B256, count: u64, chain_id: u64) -> Result<Self> {
        let rich = PrivateKeySigner::from_bytes(&rich_key).wrap_err("the rich key is no key")?;
        let mut signers = Vec::new();
        for index in 0..count {
            let mut seed = rich_key.to_vec();
            seed.extend_from_slice(b"zkos-load");
            seed.extend_from_slice(&index.to_be_bytes());
            signers.push(PrivateKeySigner::from_bytes(&keccak256(seed))?);
        }
        let addresses = signers.iter().map(PrivateKeySigner::address).collect();
        Ok(Self { rich, signers: Arc::new(signers), addresses, nonces: Vec::new(), chain_id })
    }

    /// Gives every account what its transfers may cost, and waits until it is there.
    pub(crate) async fn fund(&self, rpc: &mut Rpc, fees: &Fees, per_account: u64) -> Result<()> {
        let needed = fees.cost().saturating_mul(U256::from(per_account));
        let balances = rpc.balances(&self.addresses).await?;
        let poor: Vec<_> = self
            .addresses
            .iter()
            .zip(&balances)
            .filter(|(_, balance)| **balance < needed)
            .map(|(address, balance)| (*address, needed - balance))
            .collect();
        if poor.is_empty() {
            return Ok(());
        }
        let rich = self.rich.address();
        let total = poor.iter().fold(U256::ZERO, |sum, (_, amount)| sum.saturating_add(*amount));
        let fee = fees.cost().saturating_mul(U256::from(poor.len()));
        let balance = rpc.balances(&[rich]).await?[0];
        let wanted = total.saturating_add(fee);
        ensure!(balance >= wanted, "{rich} has {balance} wei, funding needs {wanted}");
        let first_nonce = rpc.nonces(&[rich]).await?[0];
        let raw = poor
            .iter()
            .zip(first_nonce..)
            .map(|((to, amount), nonce)| {
                sign_transfer(&self.rich, self.chain_id, nonce, *to, *amount, fees)
            })
            .collect::<Result<Vec<_>>>()?;
        rpc.send_raw(&raw).await?;
        let end = first_nonce + raw.len() as u64;
        while rpc.nonces(&[rich]).await?[0] < end {
            tokio::time::sleep(FUNDING_POLL_INTERVAL).await;
        }
        let balances = rpc.balances(&self.addresses).await?;
        ensure!(balances.iter().all(|balance| *balance >= needed), "funding transfers failed");
        Ok(())
    }

    /// Reads the nonces from which the accounts go on.
    pub(crate) async fn load_nonces(&mut self, rpc: &mut Rpc) -> Result<()> {
        self.nonces = rpc.nonces(&self.addresses).await?;
        Ok(())
    }

    /// Number of transfers of this run that are included.
    pub(crate) async fn included(&self, rpc: &mut Rpc) -> Result<u64> {
        let nonces = rpc.nonces(&self.addresses).await?;
        Ok(nonces.iter().zip(&self.nonces).map(|(now, before)| now.saturating_sub(*before)).sum())
    }

    /// Signs `count` transfers, evenly over the accounts, and makes the queue of each connection. An account belongs to one connection, which sends its transfers in order.
    pub(crate) async fn sign(
        &self,
        fees: &Fees,
        count: u64,
        connections: usize,
        batch: usize,
    ) -> Result<Vec<VecDeque<Prepared>>> {
        let accounts = self.signers.len() as u64;
        let mut work = Vec::new();
        for connection in 0..connections {
            let signers = self.signers.clone();
            let nonces = self.nonces.clone();
            let (fees, chain_id) = (*fees, self.chain_id);
            work.push(move || {
                let mut raw = Vec::new();
                for round in 0..count.div_ceil(accounts) {
                    for account in (connection as u64..accounts).step_by(connections) {
                        if round * accounts + account >= count {
                            break;
                        }
                        let index = account as usize;
                        // Around the ring of senders: every receiver exists already.
                        let to = signers[(index + 1) % signers.len()].address();
                        let value = U256::from(TRANSFER_VALUE);
                        let nonce = nonces[index] + round;
                        raw.push(sign_transfer(
                            &signers[index],
                            chain_id,
                            nonce,
                            to,
                            value,
                            &fees,
                        )?);
                    }
                }
                Ok::<_, eyre::Report>(raw.chunks(batch).map(prepare).collect())
            });
        }
        let threads: Vec<_> = work.into_iter().map(thread::spawn).collect();
        let join = move || {
            threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| eyre::eyre!("signing panicked"))?)
                .collect()
        };
        tokio::task::spawn_blocking(join).await?
    }
}

fn sign_transfer(
    signer: &PrivateKeySigner,
    chain_id: u64,
    nonce: u64,
    to: Address,
    value: U256,
    fees: &Fees,
) -> Result<Bytes> {
    let tx = TxEip1559 {
        chain_id,
        nonce,
        gas_limit: fees.gas_limit,
        max_fee_per_gas: fees.max_fee,
        max_priority_fee_per_gas: fees.priority_fee,
        to: TxKind::Call(to),
        value,
        ..Default::default()
    };
    let signature = signer.sign_hash_sync(&tx.signature_hash())?;
    Ok(TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into())
}

/// Body of a request with one transaction, or with several as a batch.
fn prepare(raw: &[Bytes]) -> Prepared {
    let call = |(id, raw): (usize, &Bytes)| {
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_sendRawTransaction","params":["{}"]}}"#,
            hex::encode_prefixed(raw)
        )
    };
    let calls: Vec<_> = raw.iter().enumerate().map(call).collect();
    let body = match calls.as_slice() {
        [single] => single.clone(),
        several => format!("[{}]", several.join(",")),
    };
    Prepared { body: body.into_bytes(), transactions: raw.len() as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{Transaction, transaction::SignerRecoverable};
    use alloy_eips::Decodable2718;

    #[tokio::test]
    async fn transfers_are_spread_evenly_and_in_order() {
        let mut accounts = Accounts::derive(B256::repeat_byte(0x11), 5, 270).unwrap();
        accounts.nonces = vec![0, 10, 20, 30, 40];
        let fees = Fees { gas_limit: 21_000, max_fee: 5, priority_fee: 1 };
        let queues = accounts.sign(&fees, 12, 2, 2).await.unwrap();
        assert_eq!(queues.len(), 2);
        let mut seen: Vec<Vec<u64>> = vec![Vec::new(); 5];
        for queue in queues {
            for prepared in queue {
                let body: serde_json::Value = serde_json::from_slice(&prepared.body).unwrap();
                let calls = body.as_array().cloned().unwrap_or_else(|| vec![body]);
                assert_eq!(calls.len() as u64, prepared.transactions);
                for call in calls {
                    let raw: Bytes = serde_json::from_value(call["params"][0].clone()).unwrap();
                    let tx = TxEnvelope::decode_2718_exact(&raw).unwrap();
                    let sender = tx.recover_signer().unwrap();
                    let index = accounts.addresses.iter().position(|a| *a == sender).unwrap();
                    assert_eq!(tx.chain_id(), Some(270));
                    seen[index].push(tx.nonce());
                }
            }
        }
        let expected: [&[u64]; 5] = [&[0, 1, 2], &[10, 11, 12], &[20, 21], &[30, 31], &[40, 41]];
        assert_eq!(seen, expected);
    }
}
