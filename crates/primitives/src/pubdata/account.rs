//! Change of an account record.

use super::{
    AccountProperties, PubdataError, Reader, VERSIONING_DELEGATED, ValueDiff, pad_and_artifacts,
};
use alloy_primitives::{B256, Bytes, U256};

const NONCE: u8 = 0x0c;
const BALANCE: u8 = 0x14;
const NONCE_AND_BALANCE: u8 = 0x1c;
const FULL: u8 = 0x04;
const FULL_WITHOUT_BYTECODE: u8 = 0x24;

/// How an account record changes; the first byte of the encoding tells which fields follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountDiff {
    /// Change of the nonce; none only if the code does not change either.
    pub nonce: Option<ValueDiff>,
    /// Change of the balance; none only if the code does not change either.
    pub balance: Option<ValueDiff>,
    /// New code, if versioning or any code field changes.
    pub code: Option<CodeDiff>,
}

/// New versioning and code of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeDiff {
    /// With the stored bytecode.
    Published {
        /// Versioning word.
        versioning: u64,
        /// Length of the code in bytes.
        unpadded_code_len: u32,
        /// Length of the artifacts in bytes.
        artifacts_len: u32,
        /// Code, padding and artifacts.
        bytecode: Bytes,
        /// Length of the code as `EXTCODESIZE` shows it.
        observable_len: u32,
    },
    /// With the hash of the bytecode only: it was force-deployed, L1 published it.
    HashOnly {
        /// Versioning word.
        versioning: u64,
        /// Blake2s of the stored bytecode.
        bytecode_hash: B256,
        /// Length of the code as `EXTCODESIZE` shows it.
        observable_len: u32,
    },
}

impl AccountDiff {
    /// Change from `old` to `new`. `bytecode` is the stored bytecode of `new`, or none if the last
    /// change of the code was a force deployment.
    pub fn new(old: &AccountProperties, new: &AccountProperties, bytecode: Option<&[u8]>) -> Self {
        let nonce = ValueDiff::new(U256::from(old.nonce), U256::from(new.nonce));
        let balance = ValueDiff::new(old.balance, new.balance);
        if !code_changes(old, new) {
            return Self {
                nonce: (old.nonce != new.nonce).then_some(nonce),
                balance: (old.balance != new.balance).then_some(balance),
                code: None,
            };
        }
        let code = match bytecode {
            Some(bytecode) => CodeDiff::Published {
                versioning: new.versioning,
                unpadded_code_len: new.unpadded_code_len,
                artifacts_len: new.artifacts_len,
                bytecode: Bytes::copy_from_slice(bytecode),
                observable_len: new.observable_bytecode_len,
            },
            None => CodeDiff::HashOnly {
                versioning: new.versioning,
                bytecode_hash: new.bytecode_hash,
                observable_len: new.observable_bytecode_len,
            },
        };
        Self { nonce: Some(nonce), balance: Some(balance), code: Some(code) }
    }

    /// Length in bytes that is charged for the change from `old` to `new`. For a force deployment
    /// it is four bytes more than what is written: the length of the artifacts counts.
    pub fn charged_length(
        old: &AccountProperties,
        new: &AccountProperties,
        publishes_bytecode: bool,
    ) -> usize {
        let nonce = || ValueDiff::new(U256::from(old.nonce), U256::from(new.nonce)).encoded_len();
        let balance = || ValueDiff::new(old.balance, new.balance).encoded_len();
        if code_changes(old, new) {
            let code = if publishes_bytecode { 4 + 4 + new.full_bytecode_len() } else { 32 + 4 };
            return 1 + 8 + nonce() + balance() + code + 4;
        }
        let mut len = 1;
        if old.nonce != new.nonce {
            len += nonce();
        }
        if old.balance != new.balance {
            len += balance();
        }
        len
    }

    /// Appends the encoding to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.push(match (&self.code, &self.nonce, &self.balance) {
            (Some(CodeDiff::Published { .. }), ..) => FULL,
            (Some(CodeDiff::HashOnly { .. }), ..) => FULL_WITHOUT_BYTECODE,
            (None, Some(_), None) => NONCE,
            (None, None, _) => BALANCE,
            (None, Some(_), Some(_)) => NONCE_AND_BALANCE,
        });
        if let Some(
            CodeDiff::Published { versioning, .. } | CodeDiff::HashOnly { versioning, .. },
        ) = &self.code
        {
            out.extend_from_slice(&versioning.to_be_bytes());
        }
        for diff in [&self.nonce, &self.balance].into_iter().flatten() {
            diff.encode_into(out);
        }
        match &self.code {
            None => {}
            Some(CodeDiff::Published {
                unpadded_code_len,
                artifacts_len,
                bytecode,
                observable_len,
                ..
            }) => {
                out.extend_from_slice(&unpadded_code_len.to_be_bytes());
                out.extend_from_slice(&artifacts_len.to_be_bytes());
                out.extend_from_slice(bytecode);
                out.extend_from_slice(&observable_len.to_be_bytes());
            }
            Some(CodeDiff::HashOnly { bytecode_hash, observable_len, .. }) => {
                out.extend_from_slice(bytecode_hash.as_slice());
                out.extend_from_slice(&observable_len.to_be_bytes());
            }
        }
    }

    pub(super) const fn is_metadata(byte: u8) -> bool {
        byte & 0b111 == 4
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, PubdataError> {
        let metadata = reader.byte()?;
        let with_code = matches!(metadata, FULL | FULL_WITHOUT_BYTECODE);
        let versioning =
            if with_code { u64::from_be_bytes(reader.array()?) } else { Default::default() };
        let nonce = matches!(metadata, NONCE | NONCE_AND_BALANCE) || with_code;
        let balance = matches!(metadata, BALANCE | NONCE_AND_BALANCE) || with_code;
        if !nonce && !balance {
            return Err(PubdataError::Metadata(metadata));
        }
        let nonce = nonce.then(|| ValueDiff::read(reader)).transpose()?;
        let balance = balance.then(|| ValueDiff::read(reader)).transpose()?;
        let code = match metadata {
            FULL => {
                let unpadded_code_len = reader.u32()?;
                let artifacts_len = reader.u32()?;
                let lengths =
                    AccountProperties { unpadded_code_len, artifacts_len, ..Default::default() };
                let bytecode = Bytes::copy_from_slice(reader.take(lengths.full_bytecode_len())?);
                let observable_len = reader.u32()?;
                let code = bytecode.get(..unpadded_code_len as usize).ok_or(PubdataError::Code)?;
                if observable_len != unpadded_code_len
                    || pad_and_artifacts(code).preimage != bytecode.as_ref()
                {
                    return Err(PubdataError::Code);
                }
                Some(CodeDiff::Published {
                    versioning,
                    unpadded_code_len,
                    artifacts_len,
                    bytecode,
                    observable_len,
                })
            }
            FULL_WITHOUT_BYTECODE => Some(CodeDiff::HashOnly {
                versioning,
                bytecode_hash: reader.hash()?,
                observable_len: reader.u32()?,
            }),
            _ => None,
        };
        Ok(Self { nonce, balance, code })
    }

    /// The record after the change. For force deployments the pubdata holds neither the length of
    /// the artifacts nor the observable hash (which the deployer gives freely): `resolve` finds
    /// them by bytecode hash.
    pub fn apply(
        &self,
        old: &AccountProperties,
        resolve: impl FnOnce(B256) -> Option<(u32, B256)>,
    ) -> Result<AccountProperties, PubdataError> {
        let mut new = *old;
        if let Some(diff) = &self.nonce {
            new.nonce = diff
                .apply(U256::from(old.nonce))?
                .try_into()
                .map_err(|_| PubdataError::Overflow)?;
        }
        if let Some(diff) = &self.balance {
            new.balance = diff.apply(old.balance)?;
        }
        match &self.code {
            None => {}
            // A cleared delegation: all code fields zero.
            Some(CodeDiff::Published { versioning: 0, unpadded_code_len: 0, .. }) => {
                new.clear_code();
            }
            Some(CodeDiff::Published { versioning, unpadded_code_len, bytecode, .. }) => {
                let code = bytecode.get(..*unpadded_code_len as usize).ok_or(PubdataError::Code)?;
                new.set_deployed_code(code);
                new.versioning = *versioning;
                if new.is_delegated() != (*versioning == VERSIONING_DELEGATED) {
                    return Err(PubdataError::Code);
                }
            }
            Some(CodeDiff::HashOnly { versioning, bytecode_hash, observable_len }) => {
                let (artifacts_len, observable_hash) =
                    resolve(*bytecode_hash).ok_or(PubdataError::Code)?;
                new = AccountProperties {
                    versioning: *versioning,
                    nonce: new.nonce,
                    balance: new.balance,
                    bytecode_hash: *bytecode_hash,
                    unpadded_code_len: *observable_len,
                    artifacts_len,
                    observable_bytecode_hash: observable_hash,
                    observable_bytecode_len: *observable_len,
                };
            }
        }
        Ok(new)
    }
}

fn code_changes(old: &AccountProperties, new: &AccountProperties) -> bool {
    let strip = |account: &AccountProperties| AccountProperties {
        nonce: 0,
        balance: U256::ZERO,
        ..*account
    };
    strip(old) != strip(new)
}
