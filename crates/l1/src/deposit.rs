//! Deposits of ether from L1 to L2.

use crate::{
    contracts::{IBridgehub, IZkChain, L2TransactionRequestDirect},
    discovery::L1State,
    provider::{CallError, L1Provider},
    sender::{L1Sender, L1SenderConfig, L1TxRequest, SendError},
};
use alloy_primitives::{Address, B256, Bytes, U256, address};
use alloy_provider::Provider;
use alloy_rpc_types_eth::{BlockNumberOrTag, TransactionReceipt};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolCall, SolEvent};
use alloy_transport::TransportError;

/// Base token address that stands for ether.
const ETH: Address = address!("0000000000000000000000000000000000000001");
/// Gas limit of the L2 side of a plain deposit.
const L2_GAS_LIMIT: u64 = 500_000;
/// The only value the mailbox accepts.
const L2_GAS_PER_PUBDATA: u64 = 800;

/// A finished deposit, L1 side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// L1 transaction.
    pub l1_tx: B256,
    /// L1 block that mined it.
    pub l1_block: u64,
    /// Hash of the priority transaction on L2: wait for its receipt there.
    pub l2_tx: B256,
    /// Priority id.
    pub id: u64,
    /// What L2 execution may cost at most, wei; the unused part is refunded to the recipient on L2.
    pub l2_cost: U256,
}

/// Why a deposit failed.
#[derive(Debug, thiserror::Error)]
pub enum DepositError {
    /// The chain's base token is not ether.
    #[error(
        "base token of chain {chain_id} is {token}, not ether: such deposits are not supported here"
    )]
    BaseToken {
        /// Chain id.
        chain_id: u64,
        /// Its base token.
        token: Address,
    },
    /// The amount is absurd.
    #[error("amount {amount} wei is too large")]
    Amount {
        /// Amount asked for.
        amount: U256,
    },
    /// Too little ether on L1.
    #[error("{address} has {balance} wei on l1, the deposit needs {needed} wei and gas")]
    Balance {
        /// Depositor.
        address: Address,
        /// What it has.
        balance: U256,
        /// Amount and L2 cost.
        needed: U256,
    },
    /// Mined, but the diamond did not accept a request in it.
    #[error("l1 transaction {l1_tx} holds no priority request of diamond {diamond}")]
    NoRequest {
        /// L1 transaction.
        l1_tx: B256,
        /// The chain's diamond.
        diamond: Address,
    },
    /// The L1 transaction failed.
    #[error(transparent)]
    Send(#[from] SendError),
    /// A contract call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// L1 could not be asked.
    #[error("l1 request failed: {0}")]
    Rpc(#[from] TransportError),
}

/// Deposits `amount` wei to `recipient` on L2, paid by `signer`, and waits for the L1 receipt.
pub async fn deposit(
    provider: &L1Provider,
    state: &L1State,
    signer: PrivateKeySigner,
    recipient: Address,
    amount: U256,
    config: L1SenderConfig,
) -> Result<Deposit, DepositError> {
    if state.base_token != ETH {
        return Err(DepositError::BaseToken {
            chain_id: state.l2_chain_id,
            token: state.base_token,
        });
    }
    let address = signer.address();
    // Made before anything is asked of L1: it refuses public keys.
    let (sender, task) = L1Sender::new(provider.clone(), signer, config).await?;

    // The contract prices L2 gas by the effective gas price of the transaction that includes the request. Twice what the sender will
    // offer leaves room for replacements; what is not used comes back on L2.
    let base_fee =
        provider.block(BlockNumberOrTag::Latest).await?.map_or(0, |block| block.base_fee);
    let tip = provider.inner().get_max_priority_fee_per_gas().await?;
    let gas_price = U256::from(base_fee) * U256::from(4) + U256::from(tip) * U256::from(2);
    let l2_cost = provider
        .call_latest(
            state.contracts.bridgehub,
            &IBridgehub::l2TransactionBaseCostCall {
                chainId: U256::from(state.l2_chain_id),
                gasPrice: gas_price,
                l2GasLimit: U256::from(L2_GAS_LIMIT),
                l2GasPerPubdataByteLimit: U256::from(L2_GAS_PER_PUBDATA),
            },
        )
        .await?;
    let value = amount.checked_add(l2_cost).ok_or(DepositError::Amount { amount })?;
    let balance = provider.inner().get_balance(address).await?;
    if balance < value {
        return Err(DepositError::Balance { address, balance, needed: value });
    }
    let call = IBridgehub::requestL2TransactionDirectCall {
        request: L2TransactionRequestDirect {
            chainId: U256::from(state.l2_chain_id),
            mintValue: value,
            l2Contract: recipient,
            l2Value: amount,
            l2Calldata: Bytes::new(),
            l2GasLimit: U256::from(L2_GAS_LIMIT),
            l2GasPerPubdataByteLimit: U256::from(L2_GAS_PER_PUBDATA),
            factoryDeps: Vec::new(),
            refundRecipient: recipient,
        },
    };
    let request = L1TxRequest {
        value,
        ..L1TxRequest::call("deposit", state.contracts.bridgehub, call.abi_encode().into())
    };
    let flow = async { sender.send(request).await?.receipt().await };
    let receipt = tokio::select! {
        result = flow => result?,
        stopped = task.run() => {
            stopped?;
            return Err(SendError::Stopped { address }.into());
        }
    };
    let (id, l2_tx) =
        priority_request(&receipt, state.contracts.diamond).ok_or(DepositError::NoRequest {
            l1_tx: receipt.transaction_hash,
            diamond: state.contracts.diamond,
        })?;
    Ok(Deposit {
        l1_tx: receipt.transaction_hash,
        l1_block: receipt.block_number.unwrap_or_default(),
        l2_tx,
        id,
        l2_cost,
    })
}

fn priority_request(receipt: &TransactionReceipt, diamond: Address) -> Option<(u64, B256)> {
    receipt.logs().iter().filter(|log| log.address() == diamond).find_map(|log| {
        let event = IZkChain::NewPriorityRequest::decode_log_data(log.data()).ok()?;
        Some((u64::try_from(event.txId).ok()?, event.txHash))
    })
}
