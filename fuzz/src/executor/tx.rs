//! Transactions of the block.

use super::{
    program::{Input, Number, Place, Rare, Step, assemble, secret, user},
    world::{CHAIN_ID, Price},
};
use alloy_consensus::{
    EthereumTxEnvelope, SignableTransaction, Signed, TxEip1559, TxEip2930, TxEip4844, TxEip7702,
    TxLegacy, crypto::secp256k1::sign_message,
};
use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_primitives::{Address, B256, Signature, TxKind, U256};
use arbitrary::{Arbitrary, Unstructured};
use std::collections::HashMap;
use zkos_primitives::{TxL1Priority, TxUpgrade, ZkTxEnvelope};
use zksync_os_interface::traits::EncodedTx;

/// Recipe of a transaction.
#[derive(Debug, Clone, Arbitrary)]
pub enum Recipe {
    User(UserTx),
    FromL1(L1Tx),
    /// Bytes as they are.
    Bytes {
        abi: bool,
        bytes: Vec<u8>,
        signer: Place,
    },
}

/// A user's transaction.
#[derive(Debug, Clone, Arbitrary)]
pub struct UserTx {
    kind: u8,
    sender: u8,
    target: Target,
    nonce: Rare<u64>,
    chain: Rare<u8>,
    gas: GasLimit,
    max_fee: Price,
    priority_fee: Price,
    value: Rare<Number>,
    access: Vec<(Place, Vec<u8>)>,
    authorizations: Vec<Auth>,
    false_signature: Rare<[u8; 8]>,
}

#[derive(Debug, Clone, Arbitrary)]
enum Target {
    Call(Place, Input),
    Create(Vec<Step>),
}

#[derive(Debug, Clone, Copy, Arbitrary)]
struct Auth {
    authority: u8,
    target: Option<Place>,
    nonce: Option<u64>,
    chain: u8,
    false_signature: Option<[u8; 8]>,
}

/// A transaction of L1.
#[derive(Debug, Clone, Arbitrary)]
pub struct L1Tx {
    upgrade: bool,
    from: Place,
    to: Place,
    gas: GasLimit,
    gas_per_pubdata: u64,
    usual_pubdata: bool,
    fee: Price,
    value: Option<Number>,
    deposit: Deposit,
    refund_recipient: Place,
    nonce: u64,
    input: Input,
    factory_deps: u8,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Deposit {
    Exact,
    More(Number),
    Any(Number),
}

/// Gas limits that a loop cannot turn into minutes.
#[derive(Debug, Clone, Copy)]
enum GasLimit {
    Usual(u16),
    Small(u16),
    Zero,
    Max,
}

impl<'a> Arbitrary<'a> for GasLimit {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(match u.arbitrary::<u8>()? {
            0..=199 => Self::Usual(u.arbitrary()?),
            200..=239 => Self::Small(u.arbitrary()?),
            240..=247 => Self::Zero,
            248.. => Self::Max,
        })
    }
}

impl GasLimit {
    fn value(self) -> u64 {
        match self {
            Self::Usual(n) => 100_000 + u64::from(n) * 16,
            Self::Small(n) => n.into(),
            Self::Zero => 0,
            Self::Max => u64::MAX,
        }
    }
}

/// A transaction as it is given to the executor.
#[derive(Debug, Clone)]
pub enum Item {
    Decoded(Box<ZkTxEnvelope>, Address),
    Encoded(EncodedTx),
}

impl Item {
    /// The form of the official interface.
    pub fn encoded(&self) -> EncodedTx {
        match self {
            Self::Decoded(tx, sender) => tx.encode_for_vm(*sender),
            Self::Encoded(tx) => tx.clone(),
        }
    }
}

impl Recipe {
    /// Builds the transaction. `nonces` are those of the accounts now.
    pub fn build(&self, nonces: &HashMap<Address, u64>, codes: &[Vec<u8>]) -> Item {
        match self {
            Self::User(tx) => tx.build(nonces, codes),
            Self::FromL1(tx) => tx.build(codes),
            Self::Bytes { abi: true, bytes, .. } => Item::Encoded(EncodedTx::Abi(bytes.clone())),
            Self::Bytes { bytes, signer, .. } => {
                Item::Encoded(EncodedTx::Rlp(bytes.clone(), signer.address()))
            }
        }
    }
}

fn nonce_of(nonces: &HashMap<Address, u64>, address: Address) -> u64 {
    nonces.get(&address).copied().unwrap_or_default()
}

fn to_u128(value: U256) -> u128 {
    u128::try_from(value).unwrap_or(u128::MAX)
}

fn sign<T>(tx: T, sender: u8, false_signature: Option<[u8; 8]>) -> EthereumTxEnvelope<TxEip4844>
where
    T: SignableTransaction<Signature>,
    Signed<T>: Into<EthereumTxEnvelope<TxEip4844>>,
{
    let signature = match false_signature {
        Some(bytes) => false_one(bytes),
        None => sign_message(secret(sender), tx.signature_hash()).expect("a valid key"),
    };
    tx.into_signed(signature).into()
}

/// A signature of nobody known.
fn false_one(bytes: [u8; 8]) -> Signature {
    let seed = U256::from(u64::from_be_bytes(bytes));
    let s = if bytes[7] & 1 == 1 { seed << 192 } else { seed };
    Signature::new(seed, s, bytes[0] & 1 == 1)
}

impl UserTx {
    fn build(&self, nonces: &HashMap<Address, u64>, codes: &[Vec<u8>]) -> Item {
        let sender = user(self.sender);
        let nonce = self.nonce.0.unwrap_or_else(|| nonce_of(nonces, sender));
        let chain_id = self.chain.0.map_or(CHAIN_ID, u64::from);
        let gas_limit = self.gas.value();
        let (to, input) = match &self.target {
            Target::Call(to, input) => (TxKind::Call(to.address()), input.bytes(codes)),
            Target::Create(init) => (TxKind::Create, assemble(init, codes)),
        };
        let input = input.into();
        let max_fee_per_gas = to_u128(self.max_fee.value());
        let max_priority_fee_per_gas = to_u128(self.priority_fee.value());
        let gas_price = max_fee_per_gas;
        let value = self.value.0.map_or(U256::ZERO, Number::value);
        let access_list = self.access_list();
        let (user, wrong) = (self.sender, self.false_signature.0);
        let tx = match self.kind % 6 {
            0 => {
                let chain_id = (self.kind < 128).then_some(chain_id);
                let tx = TxLegacy { chain_id, nonce, gas_price, gas_limit, to, value, input };
                sign(tx, user, wrong)
            }
            1 => sign(
                TxEip2930 { chain_id, nonce, gas_price, gas_limit, to, value, input, access_list },
                user,
                wrong,
            ),
            2 | 3 => sign(
                TxEip1559 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to,
                    value,
                    access_list,
                    input,
                },
                user,
                wrong,
            ),
            4 => sign(
                TxEip7702 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to: to.to().copied().unwrap_or_default(),
                    value,
                    access_list,
                    input,
                    authorization_list: self.authorization_list(nonces, sender, nonce),
                },
                user,
                wrong,
            ),
            _ => sign(
                TxEip4844 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to: to.to().copied().unwrap_or_default(),
                    value,
                    access_list,
                    input,
                    blob_versioned_hashes: vec![B256::with_last_byte(1)],
                    max_fee_per_blob_gas: 1,
                },
                user,
                wrong,
            ),
        };
        Item::Decoded(Box::new(tx.into()), sender)
    }

    fn access_list(&self) -> AccessList {
        let entry = |(place, slots): &(Place, Vec<u8>)| AccessListItem {
            address: place.address(),
            storage_keys: slots
                .iter()
                .take(4)
                .map(|slot| match slot {
                    // Slots of the records are named by addresses.
                    128.. => user(*slot).into_word(),
                    small => B256::with_last_byte(small % 8),
                })
                .collect(),
        };
        AccessList(self.access.iter().take(4).map(entry).collect())
    }

    fn authorization_list(
        &self,
        nonces: &HashMap<Address, u64>,
        sender: Address,
        nonce: u64,
    ) -> Vec<SignedAuthorization> {
        let mut nonces = nonces.clone();
        nonces.insert(sender, nonce.wrapping_add(1));
        let mut list = Vec::new();
        for auth in self.authorizations.iter().take(4) {
            let authority = user(auth.authority);
            let expected = nonce_of(&nonces, authority);
            nonces.insert(authority, expected.wrapping_add(1));
            let inner = Authorization {
                chain_id: match auth.chain % 4 {
                    0 => U256::ZERO,
                    3 => U256::from(auth.chain),
                    _ => U256::from(CHAIN_ID),
                },
                address: auth.target.map_or(Address::ZERO, Place::address),
                nonce: auth.nonce.unwrap_or(expected),
            };
            list.push(match auth.false_signature {
                Some(bytes) => {
                    let signature = false_one(bytes);
                    let (r, s) = (signature.r(), signature.s());
                    SignedAuthorization::new_unchecked(inner, bytes[1], r, s)
                }
                None => {
                    let signature = sign_message(secret(auth.authority), inner.signature_hash())
                        .expect("a valid key");
                    inner.into_signed(signature)
                }
            });
        }
        list
    }
}

impl L1Tx {
    fn build(&self, codes: &[Vec<u8>]) -> Item {
        let gas_limit = self.gas.value();
        let max_fee_per_gas = to_u128(self.fee.value());
        let value = self.value.map_or(U256::ZERO, Number::value);
        let fee = U256::from(gas_limit) * U256::from(max_fee_per_gas);
        let needed = fee.saturating_add(value);
        let tx = TxL1Priority {
            from: self.from.address(),
            to: self.to.address(),
            gas_limit,
            gas_per_pubdata_byte_limit: if self.usual_pubdata { 800 } else { self.gas_per_pubdata },
            max_fee_per_gas,
            max_priority_fee_per_gas: 0,
            nonce: self.nonce,
            value,
            to_mint: match self.deposit {
                Deposit::Exact => needed,
                Deposit::More(more) => needed.saturating_add(more.value()),
                Deposit::Any(any) => any.value(),
            },
            refund_recipient: self.refund_recipient.address(),
            input: self.input.bytes(codes).into(),
            factory_deps: (0..self.factory_deps % 4).map(B256::with_last_byte).collect(),
        };
        let from = tx.from;
        let tx: ZkTxEnvelope = if self.upgrade {
            let TxL1Priority {
                from,
                to,
                gas_limit,
                gas_per_pubdata_byte_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                nonce,
                value,
                to_mint,
                refund_recipient,
                input,
                factory_deps,
            } = tx;
            TxUpgrade {
                from,
                to,
                gas_limit,
                gas_per_pubdata_byte_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                nonce,
                value,
                to_mint,
                refund_recipient,
                input,
                factory_deps,
            }
            .into()
        } else {
            tx.into()
        };
        Item::Decoded(Box::new(tx), from)
    }
}
