//! From a call request to a transaction that can be simulated.

use crate::{EthApiError, EthResult};
use alloy_consensus::{
    EthereumTxEnvelope, SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy,
};
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};
use alloy_rpc_types_eth::TransactionRequest;
use zkos_primitives::{
    BlockContext, L1_PRIORITY_TX_TYPE_ID, RecoveredTx, TxL1Priority, UPGRADE_TX_TYPE_ID,
    ZkTxEnvelope,
};

/// Gas per pubdata byte that L1 demands of priority transactions.
const L1_GAS_PER_PUBDATA: u64 = 800;
/// EIP-4844 transaction type.
const BLOB_TX_TYPE_ID: u8 = 3;

/// What a request pays for gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallFees {
    /// Nothing was said: the call is free and sees a base fee of zero.
    None,
    /// Price of a legacy (or L1) transaction, wei per gas.
    Legacy(u128),
    /// EIP-1559 fees, wei per gas.
    Dynamic {
        /// Fee cap.
        max_fee: u128,
        /// Tip cap.
        max_priority_fee: u128,
    },
}

impl CallFees {
    /// Checks the fee fields of a request as geth does. A fee cap of zero counts as not given.
    pub(super) fn new(request: &TransactionRequest, base_fee: u128) -> EthResult<Self> {
        let bad = |message: &str| Err(EthApiError::invalid_params(message));
        let max_fee = request.max_fee_per_gas.filter(|fee| *fee > 0);
        match (request.gas_price, max_fee, request.max_priority_fee_per_gas) {
            (Some(_), fee, tip) if fee.is_some() || tip.is_some_and(|tip| tip > 0) => {
                bad("both `gasPrice` and (`maxFeePerGas` or `maxPriorityFeePerGas`) specified")
            }
            (Some(0), ..) => Ok(Self::None),
            (Some(price), ..) => Ok(Self::Legacy(price)),
            (None, None, None | Some(0)) => Ok(Self::None),
            (None, None, Some(tip)) => {
                let max_fee = base_fee.checked_add(tip);
                let Some(max_fee) = max_fee else {
                    return bad("`maxPriorityFeePerGas` is too high");
                };
                Ok(Self::Dynamic { max_fee, max_priority_fee: tip })
            }
            (None, Some(max_fee), tip) => {
                let max_priority_fee = tip.unwrap_or_default();
                if max_priority_fee > max_fee {
                    return bad("`maxPriorityFeePerGas` higher than `maxFeePerGas`");
                }
                if max_fee < base_fee {
                    return bad("`maxFeePerGas` less than `block.baseFee`");
                }
                Ok(Self::Dynamic { max_fee, max_priority_fee })
            }
        }
    }

    /// Most that is paid per gas, wei.
    pub(super) const fn max_fee(self) -> u128 {
        match self {
            Self::None => 0,
            Self::Legacy(price) => price,
            Self::Dynamic { max_fee, .. } => max_fee,
        }
    }
}

/// A checked request that can be turned into transactions with different gas limits.
#[derive(Debug, Clone)]
pub(super) struct CallRequest {
    request: TransactionRequest,
    input: Bytes,
    from: Address,
    fees: CallFees,
    chain_id: u64,
    /// Nonce of the sender.
    nonce: u64,
}

impl CallRequest {
    /// Checks a request. `nonce` gives the sender's nonce in the state that the call sees.
    pub(super) fn new(
        request: TransactionRequest,
        context: &BlockContext,
        nonce: impl FnOnce(Address) -> EthResult<u64>,
    ) -> EthResult<Self> {
        let bad = |message: &str| Err(EthApiError::invalid_params(message));
        match request.transaction_type {
            Some(UPGRADE_TX_TYPE_ID) => return bad("upgrade transactions cannot be estimated"),
            Some(BLOB_TX_TYPE_ID) => return bad("EIP-4844 transactions are not supported"),
            Some(0 | 1 | 2 | 4 | L1_PRIORITY_TX_TYPE_ID) | None => {}
            Some(other) => {
                return bad(&format!("transaction type 0x{other:x} is not supported"));
            }
        }
        if request.blob_versioned_hashes.is_some()
            || request.max_fee_per_blob_gas.is_some()
            || request.sidecar.is_some()
        {
            return bad("EIP-4844 transactions are not supported");
        }
        let input = request
            .input
            .unique_input()
            .map_err(|error| EthApiError::invalid_params(error.to_string()))?
            .cloned()
            .unwrap_or_default();
        let is_l1 = request.transaction_type == Some(L1_PRIORITY_TX_TYPE_ID);
        if is_l1 && !matches!(request.to, Some(TxKind::Call(_))) {
            return bad("l1 transactions need `to`");
        }
        if request.authorization_list.is_some() && !matches!(request.to, Some(TxKind::Call(_))) {
            return bad("EIP-7702 transactions need `to`");
        }
        // An L1 transaction pays its price whatever the base fee is.
        let base_fee = if is_l1 { 0 } else { context.eip1559_basefee.saturating_to() };
        let fees = CallFees::new(&request, base_fee)?;
        let from = request.from.unwrap_or_default();
        let nonce = match request.nonce {
            Some(nonce) => nonce,
            None => nonce(from)?,
        };
        let chain_id = request.chain_id.unwrap_or(context.chain_id);
        Ok(Self { request, input, from, fees, chain_id, nonce })
    }

    /// Sender.
    pub(super) const fn from(&self) -> Address {
        self.from
    }

    /// Value, wei.
    pub(super) fn value(&self) -> U256 {
        self.request.value.unwrap_or_default()
    }

    /// Gas limit that the caller asks for.
    pub(super) const fn gas(&self) -> Option<u64> {
        self.request.gas
    }

    /// Fees.
    pub(super) const fn fees(&self) -> CallFees {
        self.fees
    }

    /// Whether an L1 priority transaction is asked for.
    pub(super) fn is_l1(&self) -> bool {
        self.request.transaction_type == Some(L1_PRIORITY_TX_TYPE_ID)
    }

    /// Whether the sender pays for gas out of its balance.
    pub(super) fn pays_from_balance(&self) -> bool {
        !self.is_l1() && self.fees.max_fee() > 0
    }

    /// Gas that a balance pays for, after the value. Unbounded when the sender does not pay.
    ///
    /// # Errors
    /// When the balance does not even cover the value.
    pub(super) fn gas_allowance(&self, balance: U256) -> EthResult<u64> {
        if !self.pays_from_balance() {
            return Ok(u64::MAX);
        }
        let value = self.value();
        let Some(left) = balance.checked_sub(value) else {
            return Err(EthApiError::InsufficientFunds { cost: value, balance });
        };
        Ok((left / U256::from(self.fees.max_fee())).saturating_to())
    }

    /// Access list.
    pub(super) fn access_list(&self) -> Option<AccessList> {
        self.request.access_list.clone()
    }

    /// Replaces the access list.
    pub(super) fn set_access_list(&mut self, list: AccessList) {
        self.request.access_list = Some(list);
    }

    /// The transaction with a gas limit. Its signature is a dummy of full length, because the length of a transaction is part of its cost.
    pub(super) fn transaction(&self, gas_limit: u64) -> RecoveredTx {
        let word = U256::from_be_bytes([0x11; 32]);
        self.transaction_signed(gas_limit, Signature::new(word, word, false))
    }

    /// The transaction with a gas limit and a signature of zeros.
    pub(super) fn unsigned_transaction(&self, gas_limit: u64) -> RecoveredTx {
        self.transaction_signed(gas_limit, Signature::new(U256::ZERO, U256::ZERO, false))
    }

    fn transaction_signed(&self, gas_limit: u64, signature: Signature) -> RecoveredTx {
        let request = &self.request;
        let (chain_id, nonce, value) = (self.chain_id, self.nonce, self.value());
        let input = self.input.clone();
        let to = request.to.unwrap_or(TxKind::Create);
        let access_list = request.access_list.clone();
        if self.is_l1() {
            let price = self.fees.max_fee();
            let to = to.to().copied().unwrap_or_default();
            let fee = U256::from(price).saturating_mul(U256::from(gas_limit));
            let tx = TxL1Priority {
                from: self.from,
                to,
                gas_limit,
                gas_per_pubdata_byte_limit: L1_GAS_PER_PUBDATA,
                max_fee_per_gas: price,
                max_priority_fee_per_gas: 0,
                nonce: 0,
                value,
                to_mint: value.saturating_add(fee),
                refund_recipient: self.from,
                input,
                factory_deps: Vec::new(),
            };
            return RecoveredTx::new_unchecked(tx.into(), self.from);
        }
        let (max_fee_per_gas, max_priority_fee_per_gas) = match self.fees {
            CallFees::None => (0, 0),
            CallFees::Legacy(price) => (price, price),
            CallFees::Dynamic { max_fee, max_priority_fee } => (max_fee, max_priority_fee),
        };
        let legacy_price = match self.fees {
            CallFees::Legacy(price) => Some(price),
            CallFees::None if request.transaction_type.is_some_and(|ty| ty < 2) => Some(0),
            _ => request.gas_price,
        };
        let envelope: EthereumTxEnvelope<TxEip4844> =
            if let (Some(list), Some(to)) = (&request.authorization_list, to.to()) {
                sign(
                    TxEip7702 {
                        chain_id,
                        nonce,
                        gas_limit,
                        max_fee_per_gas,
                        max_priority_fee_per_gas,
                        to: *to,
                        value,
                        access_list: access_list.unwrap_or_default(),
                        authorization_list: list.clone(),
                        input,
                    },
                    signature,
                )
            } else {
                match (legacy_price, access_list) {
                    (Some(gas_price), None) if request.transaction_type != Some(1) => sign(
                        TxLegacy {
                            chain_id: Some(chain_id),
                            nonce,
                            gas_price,
                            gas_limit,
                            to,
                            value,
                            input,
                        },
                        signature,
                    ),
                    (Some(gas_price), access_list) => sign(
                        TxEip2930 {
                            chain_id,
                            nonce,
                            gas_price,
                            gas_limit,
                            to,
                            value,
                            access_list: access_list.unwrap_or_default(),
                            input,
                        },
                        signature,
                    ),
                    (None, access_list) => sign(
                        TxEip1559 {
                            chain_id,
                            nonce,
                            gas_limit,
                            max_fee_per_gas,
                            max_priority_fee_per_gas,
                            to,
                            value,
                            access_list: access_list.unwrap_or_default(),
                            input,
                        },
                        signature,
                    ),
                }
            };
        RecoveredTx::new_unchecked(ZkTxEnvelope::Ethereum(envelope), self.from)
    }
}

fn sign<T>(tx: T, signature: Signature) -> EthereumTxEnvelope<TxEip4844>
where
    T: SignableTransaction<Signature>,
    EthereumTxEnvelope<TxEip4844>: From<alloy_consensus::Signed<T>>,
{
    tx.into_signed(signature).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{Transaction, Typed2718};
    use alloy_primitives::address;

    fn context() -> BlockContext {
        BlockContext {
            chain_id: 270,
            block_number: 5,
            eip1559_basefee: U256::from(100),
            gas_limit: 1_000_000,
            ..Default::default()
        }
    }

    fn fees(gas_price: Option<u128>, max: Option<u128>, tip: Option<u128>) -> EthResult<CallFees> {
        let request = TransactionRequest {
            gas_price,
            max_fee_per_gas: max,
            max_priority_fee_per_gas: tip,
            ..Default::default()
        };
        CallFees::new(&request, 100)
    }

    #[test]
    fn fee_rules() {
        assert_eq!(fees(None, None, None).unwrap(), CallFees::None);
        assert_eq!(fees(Some(0), None, None).unwrap(), CallFees::None);
        assert_eq!(fees(None, Some(0), Some(0)).unwrap(), CallFees::None);
        assert_eq!(fees(Some(7), None, None).unwrap(), CallFees::Legacy(7));
        assert_eq!(
            fees(None, Some(200), Some(3)).unwrap(),
            CallFees::Dynamic { max_fee: 200, max_priority_fee: 3 }
        );
        assert_eq!(
            fees(None, None, Some(3)).unwrap(),
            CallFees::Dynamic { max_fee: 103, max_priority_fee: 3 }
        );
        assert!(fees(None, Some(99), None).is_err());
        assert!(fees(None, Some(200), Some(201)).is_err());
        assert!(fees(Some(1), Some(200), None).is_err());
        assert!(fees(None, None, Some(u128::MAX)).is_err());
    }

    fn build(request: TransactionRequest) -> EthResult<RecoveredTx> {
        Ok(CallRequest::new(request, &context(), |_| Ok(9))?.transaction(50_000))
    }

    #[test]
    fn types() {
        let to = Some(TxKind::Call(address!("00000000000000000000000000000000000000aa")));
        let ty = |request: TransactionRequest| build(request).map(|tx| tx.ty());
        let base = TransactionRequest { to, ..Default::default() };
        assert_eq!(ty(base.clone()).unwrap(), 2);
        assert_eq!(ty(TransactionRequest { gas_price: Some(5), ..base.clone() }).unwrap(), 0);
        assert_eq!(
            ty(TransactionRequest {
                gas_price: Some(5),
                access_list: Some(Default::default()),
                ..base.clone()
            })
            .unwrap(),
            1
        );
        assert_eq!(
            ty(TransactionRequest { transaction_type: Some(0), ..base.clone() }).unwrap(),
            0
        );
        assert_eq!(
            ty(TransactionRequest { authorization_list: Some(vec![]), ..base.clone() }).unwrap(),
            4
        );
        for refused in [3, 0x7e, 0x71] {
            let request = TransactionRequest { transaction_type: Some(refused), ..base.clone() };
            assert!(ty(request).is_err(), "{refused:x}");
        }
        let create = build(TransactionRequest::default()).unwrap();
        assert!(create.is_create());
        assert_eq!((create.nonce(), create.gas_limit(), create.chain_id()), (9, 50_000, Some(270)));
    }

    #[test]
    fn l1_request() {
        let to = address!("00000000000000000000000000000000000000aa");
        let request = TransactionRequest {
            from: Some(to),
            to: Some(TxKind::Call(to)),
            transaction_type: Some(0x7f),
            gas_price: Some(7),
            value: Some(U256::from(5)),
            ..Default::default()
        };
        let tx = build(request).unwrap();
        let l1 = tx.inner().as_l1().unwrap();
        assert_eq!(l1.to_mint, U256::from(5 + 7 * 50_000));
        assert_eq!((l1.gas_per_pubdata_byte_limit, l1.refund_recipient), (800, to));
        assert!(
            build(TransactionRequest { transaction_type: Some(0x7f), ..Default::default() })
                .is_err()
        );
    }
}
