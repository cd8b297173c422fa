//! Makes a history to ask about.

use super::{Manifest, NodeArgs, PrepareArgs, holder};
use crate::{http::Target, rpc::Rpc};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U256, hex, keccak256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use eyre::{Result, WrapErr, ensure, eyre};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// Contracts of the client tests; the token is one of them.
const ARTIFACTS: &str = include_str!("../../../../tests/clients/contracts/artifacts.json");
/// How often a receipt is asked for.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// How often it is tried to get all transactions into one block.
const ATTEMPTS: usize = 5;
const TRANSFER_GAS: u64 = 60_000;
const DEPLOY_GAS: u64 = 3_000_000;

/// An account that sends, one transaction after the other.
#[derive(Debug)]
pub(super) struct Sender {
    signer: PrivateKeySigner,
    chain_id: u64,
    nonce: u64,
    max_fee: u128,
}

impl Sender {
    /// Asks the node for what it takes to sign.
    pub(super) async fn new(rpc: &mut Rpc, args: &NodeArgs) -> Result<Self> {
        let signer =
            PrivateKeySigner::from_bytes(&args.rich_key).wrap_err("the rich key is no key")?;
        let chain_id = rpc.chain_id().await?;
        let nonce = rpc.nonces(&[signer.address()]).await?[0];
        let max_fee = rpc.gas_price().await?.saturating_mul(4).max(1);
        Ok(Self { signer, chain_id, nonce, max_fee })
    }

    /// Signs the next transaction.
    pub(super) fn sign(
        &mut self,
        to: TxKind,
        value: U256,
        input: Bytes,
        gas_limit: u64,
    ) -> Result<Bytes> {
        let tx = TxEip1559 {
            chain_id: self.chain_id,
            nonce: self.nonce,
            gas_limit,
            max_fee_per_gas: self.max_fee,
            to,
            value,
            input,
            ..Default::default()
        };
        let signature = self.signer.sign_hash_sync(&tx.signature_hash())?;
        self.nonce += 1;
        Ok(TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into())
    }
}

/// Sends a transaction and waits until it is included; gives the receipt.
async fn included(rpc: &mut Rpc, raw: &Bytes) -> Result<Value> {
    let hash: B256 = rpc.call("eth_sendRawTransaction", json!([raw])).await?;
    receipt(rpc, hash).await
}

async fn receipt(rpc: &mut Rpc, hash: B256) -> Result<Value> {
    loop {
        let receipt: Value = rpc.call("eth_getTransactionReceipt", json!([hash])).await?;
        if !receipt.is_null() {
            ensure!(receipt["status"] == "0x1", "{hash} failed: {receipt}");
            return Ok(receipt);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn block_of(receipt: &Value) -> Result<u64> {
    let number: U64 = serde_json::from_value(receipt["blockNumber"].clone())?;
    Ok(number.to())
}

/// Makes what is asked for, and adds it to the manifest.
pub(super) async fn prepare(args: &PrepareArgs) -> Result<()> {
    let target = Target::new(&args.node.rpc_url)?;
    let mut rpc = Rpc::connect(&target).await?;
    let mut sender = Sender::new(&mut rpc, &args.node).await?;
    let path = &args.node.manifest;
    let mut manifest = if path.exists() { Manifest::load(path)? } else { Manifest::default() };
    if args.blocks > 0 {
        let token = deploy(&mut rpc, &mut sender).await.wrap_err("can't deploy the token")?;
        manifest.token = Some(token);
        manifest.logs = Some(blocks_with_logs(&mut rpc, &mut sender, token, args.blocks).await?);
    }
    if args.transactions > 0 {
        manifest.transactions = full_block(&mut rpc, &mut sender, args.transactions).await?;
    }
    manifest.save(path)
}

async fn deploy(rpc: &mut Rpc, sender: &mut Sender) -> Result<Address> {
    let artifacts: Value = serde_json::from_str(ARTIFACTS)?;
    let code: Bytes = serde_json::from_value(artifacts["Token"]["bytecode"].clone())?;
    let supply = U256::from(u128::MAX).to_be_bytes::<32>();
    let init = [code.as_ref(), &supply].concat().into();
    let raw = sender.sign(TxKind::Create, U256::ZERO, init, DEPLOY_GAS)?;
    let receipt = included(rpc, &raw).await?;
    Ok(serde_json::from_value(receipt["contractAddress"].clone())?)
}

/// Transfers of the token, each in a block of its own; gives the first and the last block. Blocks of other transactions may lie between them.
async fn blocks_with_logs(
    rpc: &mut Rpc,
    sender: &mut Sender,
    token: Address,
    count: u64,
) -> Result<(u64, u64)> {
    let (mut first, mut last) = (None, 0);
    for _ in 0..count {
        let selector = &keccak256("transfer(address,uint256)")[..4];
        let to = holder(sender.nonce).into_word();
        let input = [selector, to.as_slice(), &U256::from(1).to_be_bytes::<32>()].concat();
        let raw = sender.sign(TxKind::Call(token), U256::ZERO, input.into(), TRANSFER_GAS)?;
        last = block_of(&included(rpc, &raw).await?)?;
        first = first.or(Some(last));
    }
    Ok((first.unwrap_or(last), last))
}

/// A block with at least so many transactions.
async fn full_block(rpc: &mut Rpc, sender: &mut Sender, count: u64) -> Result<Vec<B256>> {
    // Development nodes make a block of each transaction unless they are told to wait.
    let waits = rpc.call::<Value>("evm_setAutomine", json!([false])).await.is_ok();
    let mut largest = Vec::new();
    for _ in 0..ATTEMPTS {
        // Some more, as the first ones may go into a block that is about to be closed.
        let wanted = if waits { count } else { count + count / 4 };
        // Calls that move nothing: what they publish counts towards the size of a block.
        let to = TxKind::Call(holder(0));
        let raw = (0..wanted)
            .map(|_| sender.sign(to, U256::ZERO, Bytes::new(), TRANSFER_GAS))
            .collect::<Result<Vec<_>>>()?;
        let hashes: Vec<B256> = raw.iter().map(keccak256).collect();
        rpc.send_raw(&raw).await?;
        if waits {
            rpc.mine().await?;
        }
        let mut blocks = BTreeMap::<u64, Vec<B256>>::new();
        for hash in hashes {
            blocks.entry(block_of(&receipt(rpc, hash).await?)?).or_default().push(hash);
        }
        largest = blocks.into_values().max_by_key(Vec::len).unwrap_or_default();
        if largest.len() as u64 >= count {
            break;
        }
    }
    if waits {
        rpc.call::<Value>("evm_setAutomine", json!([true])).await?;
    }
    if (largest.len() as u64) < count {
        return Err(eyre!(
            "no block took {count} transactions, at most {} of them; block time and gas limit decide",
            largest.len()
        ));
    }
    Ok(largest)
}

/// Body of a request.
pub(super) fn body(method: &str, params: &Value) -> Vec<u8> {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string().into_bytes()
}

/// Input that asks for the token of somebody.
pub(super) fn balance_of(account: Address) -> String {
    let selector = &keccak256("balanceOf(address)")[..4];
    hex::encode_prefixed([selector, account.into_word().as_slice()].concat())
}
