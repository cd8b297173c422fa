//! Byte forms of the values. Every value starts with a version byte; integers are big endian.

use crate::db::Database;
use alloy_primitives::B256;
use zkos_storage_api::ProviderResult;

/// Version byte that this build writes.
pub(crate) const VALUE_VERSION: u8 = 1;

/// Puts the version byte before a payload.
pub(crate) fn versioned(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + payload.len());
    out.push(VALUE_VERSION);
    out.extend_from_slice(payload);
    out
}

/// Takes the version byte off.
pub(crate) fn unversioned<'a>(
    db: &Database,
    key: &[u8],
    value: &'a [u8],
) -> ProviderResult<&'a [u8]> {
    match value.split_first() {
        Some((&VALUE_VERSION, payload)) => Ok(payload),
        Some((version, _)) => Err(db.corrupt(key, format!("unknown value version {version}"))),
        None => Err(db.corrupt(key, "value is empty")),
    }
}

/// Reads a number.
pub(crate) fn decode_u64(db: &Database, key: &[u8], value: &[u8]) -> ProviderResult<u64> {
    let payload = unversioned(db, key, value)?;
    let bytes = payload.try_into().map_err(|_| db.corrupt(key, "number does not have 8 bytes"))?;
    Ok(u64::from_be_bytes(bytes))
}

/// Reads a 32-byte word.
pub(crate) fn decode_word(db: &Database, key: &[u8], value: &[u8]) -> ProviderResult<B256> {
    let payload = unversioned(db, key, value)?;
    B256::try_from(payload).map_err(|_| db.corrupt(key, "word does not have 32 bytes"))
}

/// Reads a number under a fixed key of a column.
pub(crate) fn read_u64(
    db: &Database,
    column: &'static str,
    key: &[u8],
) -> ProviderResult<Option<u64>> {
    db.get(column, key)?.map(|value| decode_u64(db, key, &value)).transpose()
}
