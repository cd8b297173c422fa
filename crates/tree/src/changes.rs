//! What a version changes: enough to redo it and to undo it.

use crate::{
    CodecError, LEAF_BYTES, Leaf,
    codec::{Reader, put_len},
};
use alloy_primitives::B256;

/// A leaf that has got another value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ValueChange {
    pub(crate) index: u64,
    pub(crate) old: B256,
    pub(crate) new: B256,
}

/// A leaf that has got another successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkChange {
    pub(crate) index: u64,
    pub(crate) old: u64,
    pub(crate) new: u64,
}

/// What a version changes. The contents are absolute, so that doing it twice is doing it once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Number of leaves before the version. Values and links are of leaves below it.
    pub(crate) leaf_count: u64,
    pub(crate) values: Vec<ValueChange>,
    pub(crate) links: Vec<LinkChange>,
    /// New leaves, as they are at the end of the version.
    pub(crate) added: Vec<Leaf>,
}

impl Changes {
    /// Number of leaves after the version.
    pub(crate) fn leaf_count_after(&self) -> u64 {
        self.leaf_count + self.added.len() as u64
    }

    /// Leaf count (`u64`); count (`u32`) and items of: values (index `u64`, old and new 32 bytes),
    /// links (index, old and new `u64`), new leaves (72 bytes). Integers are little endian.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(20 + 72 * self.values.len() + 24 * self.links.len() + 72 * self.added.len());
        out.extend_from_slice(&self.leaf_count.to_le_bytes());
        put_len(out, self.values.len());
        for ValueChange { index, old, new } in &self.values {
            out.extend_from_slice(&index.to_le_bytes());
            out.extend_from_slice(old.as_slice());
            out.extend_from_slice(new.as_slice());
        }
        put_len(out, self.links.len());
        for LinkChange { index, old, new } in &self.links {
            for number in [index, old, new] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        put_len(out, self.added.len());
        for leaf in &self.added {
            out.extend_from_slice(leaf.as_bytes());
        }
    }

    /// Reads [`Changes::encode`].
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let leaf_count = reader.u64()?;
        let known = |reader: &Reader<'_>, index: u64| {
            if index < leaf_count { Ok(index) } else { Err(reader.bad_field("leaf index")) }
        };
        let count = reader.list_len(72)?;
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            let index = reader.u64()?;
            let index = known(reader, index)?;
            values.push(ValueChange { index, old: reader.b256()?, new: reader.b256()? });
        }
        let count = reader.list_len(24)?;
        let mut links = Vec::with_capacity(count);
        for _ in 0..count {
            let index = reader.u64()?;
            let index = known(reader, index)?;
            links.push(LinkChange { index, old: reader.u64()?, new: reader.u64()? });
        }
        let count = reader.list_len(LEAF_BYTES)?;
        if leaf_count.checked_add(count as u64).is_none() {
            return Err(reader.bad_field("leaf count"));
        }
        let mut added = Vec::with_capacity(count);
        for _ in 0..count {
            added.push(Leaf::from_bytes(reader.array()?));
        }
        Ok(Self { leaf_count, values, links, added })
    }
}
