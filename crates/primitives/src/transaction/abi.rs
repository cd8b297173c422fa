//! ABI form of transactions that come from L1: the canonical transaction of the L1 contracts.
//!
//! The VM reads the "params sequence": nineteen head words followed by the five dynamic tails in
//! order, without the leading offset word of `abi.encode`. The decoder accepts only that layout.

use super::l1::TxFromL1;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};

/// Words in the head of the sequence.
const HEAD_WORDS: usize = 19;
/// Bytes in the head of the sequence, also the offset of the first tail.
const HEAD_LEN: usize = HEAD_WORDS * 32;

/// `L2CanonicalTransaction` of the L1 contracts with the words as they are on L1.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CanonicalTransaction {
    /// Transaction type: 0x7f or 0x7e.
    pub tx_type: U256,
    /// Sender as a number.
    pub from: U256,
    /// Callee as a number.
    pub to: U256,
    /// Gas limit.
    pub gas_limit: U256,
    /// Gas per byte of pubdata.
    pub gas_per_pubdata_byte_limit: U256,
    /// Gas price in wei.
    pub max_fee_per_gas: U256,
    /// Zero.
    pub max_priority_fee_per_gas: U256,
    /// Zero.
    pub paymaster: U256,
    /// Priority operation id or minor protocol version.
    pub nonce: U256,
    /// Value of the call in wei.
    pub value: U256,
    /// Deposit, refund recipient, and two zeros.
    pub reserved: [U256; 4],
    /// Calldata.
    pub data: Bytes,
    /// Empty.
    pub signature: Bytes,
    /// Hashes of code for force deployments.
    pub factory_deps: Vec<U256>,
    /// Empty.
    pub paymaster_input: Bytes,
    /// Empty.
    pub reserved_dynamic: Bytes,
}

/// Why bytes are not a params sequence, or a canonical transaction not one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalTxError {
    /// Fewer bytes than the layout needs.
    #[error("abi encoding of l1 transaction ends early at byte {0}")]
    TooShort(usize),
    /// Bytes after the last tail.
    #[error("abi encoding of l1 transaction has {0} bytes too many")]
    TrailingBytes(usize),
    /// A tail does not start where the previous one ended.
    #[error("abi encoding of l1 transaction has tail {index} at the wrong offset")]
    Offset {
        /// Which of the five tails.
        index: usize,
    },
    /// A byte string is not padded with zeros.
    #[error("abi encoding of l1 transaction has padding that is not zero")]
    Padding,
    /// The type is not the expected one.
    #[error("l1 transaction has type {found} instead of {expected:#x}")]
    Type {
        /// Type wanted.
        expected: u8,
        /// Type found.
        found: U256,
    },
    /// A value is wider than the field allows.
    #[error("field {0} of l1 transaction is out of range")]
    OutOfRange(&'static str),
    /// A field that must be zero or empty is not.
    #[error("field {0} of l1 transaction must be empty")]
    NotEmpty(&'static str),
}

impl CanonicalTransaction {
    /// The params sequence.
    pub fn abi_encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.abi_encoded_len());
        self.abi_encode_into(&mut out);
        out
    }

    /// Keccak-256 of `abi.encode` of the struct, i.e. of the offset word 0x20 and the sequence.
    pub fn canonical_hash(&self) -> B256 {
        let mut out = Vec::with_capacity(32 + self.abi_encoded_len());
        out.extend_from_slice(&U256::from(32).to_be_bytes::<32>());
        self.abi_encode_into(&mut out);
        keccak256(out)
    }

    /// Length of the params sequence in bytes.
    pub fn abi_encoded_len(&self) -> usize {
        let bytes = |data: &Bytes| 32 + data.len().next_multiple_of(32);
        HEAD_LEN
            + bytes(&self.data)
            + bytes(&self.signature)
            + 32 * (1 + self.factory_deps.len())
            + bytes(&self.paymaster_input)
            + bytes(&self.reserved_dynamic)
    }

    fn abi_encode_into(&self, out: &mut Vec<u8>) {
        fn word(out: &mut Vec<u8>, value: U256) {
            out.extend_from_slice(&value.to_be_bytes::<32>());
        }
        fn bytes_tail(out: &mut Vec<u8>, data: &Bytes) {
            word(out, U256::from(data.len()));
            out.extend_from_slice(data);
            out.resize(out.len() + data.len().next_multiple_of(32) - data.len(), 0);
        }
        let head = [
            self.tx_type,
            self.from,
            self.to,
            self.gas_limit,
            self.gas_per_pubdata_byte_limit,
            self.max_fee_per_gas,
            self.max_priority_fee_per_gas,
            self.paymaster,
            self.nonce,
            self.value,
        ];
        for value in head.into_iter().chain(self.reserved) {
            word(out, value);
        }
        let mut offset = HEAD_LEN;
        for tail_len in [
            32 + self.data.len().next_multiple_of(32),
            32 + self.signature.len().next_multiple_of(32),
            32 + 32 * self.factory_deps.len(),
            32 + self.paymaster_input.len().next_multiple_of(32),
            32 + self.reserved_dynamic.len().next_multiple_of(32),
        ] {
            word(out, U256::from(offset));
            offset += tail_len;
        }
        bytes_tail(out, &self.data);
        bytes_tail(out, &self.signature);
        word(out, U256::from(self.factory_deps.len()));
        for dep in &self.factory_deps {
            word(out, *dep);
        }
        bytes_tail(out, &self.paymaster_input);
        bytes_tail(out, &self.reserved_dynamic);
    }

    /// Reads a params sequence; the layout must be exactly that of [`Self::abi_encode`].
    pub fn abi_decode(bytes: &[u8]) -> Result<Self, CanonicalTxError> {
        let mut reader = Reader { bytes, pos: 0 };
        let mut head = [U256::ZERO; 14];
        for slot in &mut head {
            *slot = reader.word()?;
        }
        let mut offsets = [U256::ZERO; 5];
        for slot in &mut offsets {
            *slot = reader.word()?;
        }
        let data = reader.bytes_tail(offsets[0], 0)?;
        let signature = reader.bytes_tail(offsets[1], 1)?;
        reader.check_offset(offsets[2], 2)?;
        let count = reader.length(32)?;
        let factory_deps = (0..count).map(|_| reader.word()).collect::<Result<_, _>>()?;
        let paymaster_input = reader.bytes_tail(offsets[3], 3)?;
        let reserved_dynamic = reader.bytes_tail(offsets[4], 4)?;
        if reader.pos != bytes.len() {
            return Err(CanonicalTxError::TrailingBytes(bytes.len() - reader.pos));
        }
        Ok(Self {
            tx_type: head[0],
            from: head[1],
            to: head[2],
            gas_limit: head[3],
            gas_per_pubdata_byte_limit: head[4],
            max_fee_per_gas: head[5],
            max_priority_fee_per_gas: head[6],
            paymaster: head[7],
            nonce: head[8],
            value: head[9],
            reserved: [head[10], head[11], head[12], head[13]],
            data,
            signature,
            factory_deps,
            paymaster_input,
            reserved_dynamic,
        })
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    pos: usize,
}

impl Reader<'_> {
    fn take(&mut self, len: usize) -> Result<&[u8], CanonicalTxError> {
        let end = self.pos.checked_add(len).ok_or(CanonicalTxError::TooShort(self.bytes.len()))?;
        let slice =
            self.bytes.get(self.pos..end).ok_or(CanonicalTxError::TooShort(self.bytes.len()))?;
        self.pos = end;
        Ok(slice)
    }

    fn word(&mut self) -> Result<U256, CanonicalTxError> {
        Ok(U256::from_be_slice(self.take(32)?))
    }

    fn check_offset(&self, offset: U256, index: usize) -> Result<(), CanonicalTxError> {
        if offset == U256::from(self.pos) {
            Ok(())
        } else {
            Err(CanonicalTxError::Offset { index })
        }
    }

    /// Reads a length word and checks that so many elements can still follow.
    fn length(&mut self, element_len: usize) -> Result<usize, CanonicalTxError> {
        let too_short = CanonicalTxError::TooShort(self.bytes.len());
        let length = usize::try_from(self.word()?).map_err(|_| too_short)?;
        let needed = length.checked_mul(element_len).ok_or(too_short)?;
        if needed > self.bytes.len() - self.pos { Err(too_short) } else { Ok(length) }
    }

    fn bytes_tail(&mut self, offset: U256, index: usize) -> Result<Bytes, CanonicalTxError> {
        self.check_offset(offset, index)?;
        let len = self.length(1)?;
        let data = Bytes::copy_from_slice(self.take(len)?);
        if self.take(len.next_multiple_of(32) - len)?.iter().any(|byte| *byte != 0) {
            return Err(CanonicalTxError::Padding);
        }
        Ok(data)
    }
}

impl<const TYPE: u8> From<&TxFromL1<TYPE>> for CanonicalTransaction {
    fn from(tx: &TxFromL1<TYPE>) -> Self {
        Self {
            tx_type: U256::from(TYPE),
            from: address_to_word(tx.from),
            to: address_to_word(tx.to),
            gas_limit: U256::from(tx.gas_limit),
            gas_per_pubdata_byte_limit: U256::from(tx.gas_per_pubdata_byte_limit),
            max_fee_per_gas: U256::from(tx.max_fee_per_gas),
            max_priority_fee_per_gas: U256::from(tx.max_priority_fee_per_gas),
            paymaster: U256::ZERO,
            nonce: U256::from(tx.nonce),
            value: tx.value,
            reserved: [tx.to_mint, address_to_word(tx.refund_recipient), U256::ZERO, U256::ZERO],
            data: tx.input.clone(),
            signature: Bytes::new(),
            factory_deps: tx.factory_deps.iter().map(|hash| U256::from_be_bytes(hash.0)).collect(),
            paymaster_input: Bytes::new(),
            reserved_dynamic: Bytes::new(),
        }
    }
}

/// Checks what the node demands of a transaction seen on L1. Factory dependencies are tolerated.
impl<const TYPE: u8> TryFrom<CanonicalTransaction> for TxFromL1<TYPE> {
    type Error = CanonicalTxError;

    fn try_from(tx: CanonicalTransaction) -> Result<Self, Self::Error> {
        use CanonicalTxError::{NotEmpty, OutOfRange};
        if tx.tx_type != U256::from(TYPE) {
            return Err(CanonicalTxError::Type { expected: TYPE, found: tx.tx_type });
        }
        for (name, empty) in [
            ("maxPriorityFeePerGas", tx.max_priority_fee_per_gas.is_zero()),
            ("paymaster", tx.paymaster.is_zero()),
            ("reserved[2]", tx.reserved[2].is_zero()),
            ("reserved[3]", tx.reserved[3].is_zero()),
            ("signature", tx.signature.is_empty()),
            ("paymasterInput", tx.paymaster_input.is_empty()),
            ("reservedDynamic", tx.reserved_dynamic.is_empty()),
        ] {
            if !empty {
                return Err(NotEmpty(name));
            }
        }
        let address = |word: U256, name| word_to_address(word).ok_or(OutOfRange(name));
        Ok(Self {
            from: address(tx.from, "from")?,
            to: address(tx.to, "to")?,
            gas_limit: tx.gas_limit.try_into().map_err(|_| OutOfRange("gasLimit"))?,
            gas_per_pubdata_byte_limit: tx
                .gas_per_pubdata_byte_limit
                .try_into()
                .map_err(|_| OutOfRange("gasPerPubdataByteLimit"))?,
            max_fee_per_gas: tx
                .max_fee_per_gas
                .try_into()
                .map_err(|_| OutOfRange("maxFeePerGas"))?,
            max_priority_fee_per_gas: 0,
            nonce: tx.nonce.try_into().map_err(|_| OutOfRange("nonce"))?,
            value: tx.value,
            to_mint: tx.reserved[0],
            refund_recipient: address(tx.reserved[1], "reserved[1]")?,
            input: tx.data,
            factory_deps: tx.factory_deps.into_iter().map(B256::from).collect(),
        })
    }
}

fn address_to_word(address: Address) -> U256 {
    U256::from_be_bytes(address.into_word().0)
}

fn word_to_address(word: U256) -> Option<Address> {
    let bytes = B256::from(word);
    bytes[..12].iter().all(|byte| *byte == 0).then(|| Address::from_word(bytes))
}
