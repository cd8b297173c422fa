//! The word stream: how inputs and claims are laid out.
//!
//! A prover reads 32-bit words, so everything is a multiple of one. As bytes (in files and over RPC) each word is little endian.
//!
//! * `u32`: one word; `u64`: two words, the low one first.
//! * 32-byte words of the chain (hashes, 256-bit numbers in big endian): their bytes in order, 8 words. Addresses: 5 words.
//! * Byte strings: length in bytes as `u32`, the bytes, zero bytes up to a full word.
//! * Lists: number of elements as `u32`, then the elements.
//!
//! A section (an input, a claim) starts with a header of 11 words: magic, format version, number of words after the header, Blake2s-256 of those words as bytes. The
//! hash finds damage, not malice: everything is checked again when the batch is executed.
//!
//! Reading is strict: padding must be zero, a section must end where its header says, counts can't exceed what is left; memory stays a small multiple of the input.

use alloy_primitives::{Address, B256, U256};
use zkos_primitives::{DaCommitmentScheme, blake2s};

/// Version of the layout of inputs and claims.
pub const INPUT_FORMAT: u32 = 1;

const HEADER_WORDS: usize = 11;

/// Words or bytes are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not a whole number of words.
    #[error("{len} bytes are not a whole number of 32-bit words")]
    NotWords {
        /// Number of bytes.
        len: usize,
    },
    /// Another kind of data.
    #[error("not a {section}: magic number is {found:#010x}, not {expected:#010x}")]
    Magic {
        /// What should be here.
        section: &'static str,
        /// Magic number found.
        found: u32,
        /// Magic number expected.
        expected: u32,
    },
    /// Written by another version.
    #[error("{section} has format version {found}, this program reads version {INPUT_FORMAT}")]
    Version {
        /// What was read.
        section: &'static str,
        /// Version found.
        found: u32,
    },
    /// The words are not those that were written.
    #[error("{section} is damaged: its words hash to {computed}, its header says {recorded}")]
    Damaged {
        /// What was read.
        section: &'static str,
        /// Hash in the header.
        recorded: B256,
        /// Hash of the words.
        computed: B256,
    },
    /// Ends too early.
    #[error("{section} ends at word {at}, where {needed} more are needed")]
    Truncated {
        /// What was read.
        section: &'static str,
        /// Words that there are.
        at: usize,
        /// Words that should follow.
        needed: usize,
    },
    /// Goes on after its end.
    #[error("{section} has {words} words after its end")]
    Surplus {
        /// What was read.
        section: &'static str,
        /// Number of words.
        words: usize,
    },
    /// A value that the field can't have.
    #[error("{section}, word {at}: {what}")]
    Value {
        /// What was read.
        section: &'static str,
        /// Position of the word after the field.
        at: usize,
        /// What is wrong.
        what: String,
    },
}

/// Bytes of words, little endian.
pub fn words_to_bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Inverse of [`words_to_bytes`].
///
/// # Errors
/// [`DecodeError::NotWords`].
pub fn bytes_to_words(bytes: &[u8]) -> Result<Vec<u32>, DecodeError> {
    let (words, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(DecodeError::NotWords { len: bytes.len() });
    }
    Ok(words.iter().map(|word| u32::from_le_bytes(*word)).collect())
}

/// A section under construction.
#[derive(Debug)]
pub(crate) struct Writer(Vec<u32>);

impl Writer {
    pub(crate) fn new(magic: [u8; 4]) -> Self {
        let mut words = vec![0; HEADER_WORDS];
        words[0] = u32::from_le_bytes(magic);
        words[1] = INPUT_FORMAT;
        Self(words)
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.0.push(value);
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend([value as u32, (value >> 32) as u32]);
    }

    /// A number of elements or bytes. More than fit 32 bits would be an input of over 4 GiB, which no batch limit admits; the count then saturates, and reading fails.
    pub(crate) fn len(&mut self, len: usize) {
        self.u32(u32::try_from(len).unwrap_or(u32::MAX));
    }

    /// Bytes without their length.
    pub(crate) fn fixed(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<4>();
        self.0.extend(words.iter().map(|word| u32::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut last = [0; 4];
            last[..rest.len()].copy_from_slice(rest);
            self.0.push(u32::from_le_bytes(last));
        }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.len(bytes.len());
        self.fixed(bytes);
    }

    pub(crate) fn u256(&mut self, value: U256) {
        self.fixed(&value.to_be_bytes::<32>());
    }

    pub(crate) fn finish(mut self) -> Vec<u32> {
        let body = self.0.len() - HEADER_WORDS;
        self.0[2] = u32::try_from(body).unwrap_or(u32::MAX);
        let hash = blake2s(words_to_bytes(&self.0[HEADER_WORDS..]));
        let (words, _) = hash.0.as_chunks::<4>();
        for (slot, word) in self.0[3..HEADER_WORDS].iter_mut().zip(words) {
            *slot = u32::from_le_bytes(*word);
        }
        self.0
    }
}

/// Reads one section.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    section: &'static str,
    words: &'a [u32],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Checks the header of the section at the start of `words`; returns its reader and what follows the section.
    pub(crate) fn new(
        section: &'static str,
        magic: [u8; 4],
        words: &'a [u32],
    ) -> Result<(Self, &'a [u32]), DecodeError> {
        let mut header = Self { section, words, at: 0 };
        let found = header.u32()?;
        let expected = u32::from_le_bytes(magic);
        if found != expected {
            return Err(DecodeError::Magic { section, found, expected });
        }
        let found = header.u32()?;
        if found != INPUT_FORMAT {
            return Err(DecodeError::Version { section, found });
        }
        let len = header.u32()? as usize;
        let recorded = header.b256()?;
        let rest = &words[HEADER_WORDS..];
        let Some((body, rest)) = rest.split_at_checked(len) else {
            let needed = len - rest.len();
            return Err(DecodeError::Truncated { section, at: words.len(), needed });
        };
        let computed = blake2s(words_to_bytes(body));
        if computed != recorded {
            return Err(DecodeError::Damaged { section, recorded, computed });
        }
        Ok((Self { section, words: body, at: 0 }, rest))
    }

    const fn left(&self) -> usize {
        self.words.len() - self.at
    }

    fn take(&mut self, len: usize) -> Result<&'a [u32], DecodeError> {
        if len > self.left() {
            let needed = len - self.left();
            return Err(DecodeError::Truncated {
                section: self.section,
                at: self.words.len(),
                needed,
            });
        }
        let taken = &self.words[self.at..self.at + len];
        self.at += len;
        Ok(taken)
    }

    /// The error that the field just read has a value which it can't have.
    pub(crate) fn bad(&self, what: impl Into<String>) -> DecodeError {
        DecodeError::Value { section: self.section, at: self.at, what: what.into() }
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        let words = self.take(2)?;
        Ok(u64::from(words[0]) | u64::from(words[1]) << 32)
    }

    /// Number of elements of a list, each of at least `min_words` words.
    pub(crate) fn list_len(&mut self, min_words: usize) -> Result<usize, DecodeError> {
        let len = self.u32()? as usize;
        let needed = len.saturating_mul(min_words);
        if needed > self.left() {
            let needed = needed - self.left();
            return Err(DecodeError::Truncated {
                section: self.section,
                at: self.words.len(),
                needed,
            });
        }
        Ok(len)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let words = self.take(N / 4)?;
        let mut out = [0; N];
        for (chunk, word) in out.chunks_exact_mut(4).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        Ok(out)
    }

    pub(crate) fn b256(&mut self) -> Result<B256, DecodeError> {
        self.array().map(B256::new)
    }

    pub(crate) fn u256(&mut self) -> Result<U256, DecodeError> {
        self.array().map(U256::from_be_bytes::<32>)
    }

    pub(crate) fn address(&mut self) -> Result<Address, DecodeError> {
        self.array().map(Address::new)
    }

    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, DecodeError> {
        let len = self.u32()? as usize;
        let mut bytes = words_to_bytes(self.take(len.div_ceil(4))?);
        if bytes[len..].iter().any(|byte| *byte != 0) {
            return Err(self.bad("padding of a byte string is not zero"));
        }
        bytes.truncate(len);
        Ok(bytes)
    }

    pub(crate) fn da_scheme(&mut self) -> Result<DaCommitmentScheme, DecodeError> {
        let value = self.u32()?;
        u8::try_from(value)
            .ok()
            .and_then(|value| DaCommitmentScheme::try_from(value).ok())
            .ok_or_else(|| self.bad(format!("unknown data availability scheme {value}")))
    }

    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        match self.left() {
            0 => Ok(()),
            words => Err(DecodeError::Surplus { section: self.section, words }),
        }
    }
}
