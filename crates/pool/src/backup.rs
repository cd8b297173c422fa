//! Backup file: the pool survives a restart.
//!
//! `magic || version || RLP list of [local, EIP-2718 bytes] || CRC-32`, written to a temporary file and renamed. Nothing depends on the file: one that is missing or broken
//! costs the transactions in it.

use crate::{PoolTransaction, TransactionOrigin, TransactionPool, ValidPoolTransaction};
use alloy_consensus::transaction::SignerRecoverable;
use alloy_eips::{Decodable2718, Encodable2718};
use alloy_primitives::Bytes;
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use std::{
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    sync::Arc,
};
use zkos_primitives::{RecoveredTx, ZkTxEnvelope};

const MAGIC: &[u8; 8] = b"zkostxpl";
const VERSION: u8 = 1;
/// Transactions that are validated at once when the pool is restored.
const RESTORE_CHUNK: usize = 256;

/// The backup file can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// I/O.
    #[error("transaction backup {path}: {error}")]
    Io {
        /// File.
        path: PathBuf,
        /// Cause.
        error: std::io::Error,
    },
    /// The file is not a backup, or broken.
    #[error("transaction backup {path} is malformed: {reason}")]
    Malformed {
        /// File.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

#[derive(RlpEncodable, RlpDecodable)]
struct Saved {
    local: bool,
    transaction: Bytes,
}

/// Writes all transactions of the pool to `path`; returns how many.
pub fn save_backup<P: TransactionPool>(pool: &P, path: &Path) -> Result<usize, BackupError> {
    let all = pool.all_transactions();
    let mut transactions: Vec<_> = all.pending.into_iter().chain(all.queued).collect();
    // In the order of arrival, so that earlier ones stay ahead after a restart.
    transactions.sort_unstable_by_key(|tx| tx.submission_id);
    let saved: Vec<Saved> = transactions.iter().map(saved).collect();
    let mut bytes = MAGIC.to_vec();
    bytes.push(VERSION);
    saved.encode(&mut bytes);
    let checksum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    write_atomically(path, &bytes).map_err(|error| BackupError::Io { path: path.into(), error })?;
    Ok(saved.len())
}

fn saved<T: PoolTransaction<Consensus = ZkTxEnvelope>>(tx: &Arc<ValidPoolTransaction<T>>) -> Saved {
    let transaction = tx.to_consensus().inner().encoded_2718().into();
    Saved { local: tx.origin.is_local(), transaction }
}

fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = std::fs::File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&temporary, path)
}

/// Reads a backup file, with the signers of the transactions. A missing file holds none; transactions that do not decode are left out.
pub fn load_backup(path: &Path) -> Result<Vec<(TransactionOrigin, RecoveredTx)>, BackupError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(BackupError::Io { path: path.into(), error }),
    };
    let malformed =
        |reason: &str| BackupError::Malformed { path: path.into(), reason: reason.into() };
    let (content, checksum) =
        bytes.split_last_chunk::<4>().ok_or_else(|| malformed("too short"))?;
    if crc32fast::hash(content) != u32::from_be_bytes(*checksum) {
        return Err(malformed("wrong checksum"));
    }
    let body = content
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.strip_prefix(&[VERSION]))
        .ok_or_else(|| malformed("unknown format"))?;
    let mut body = body;
    let saved = Vec::<Saved>::decode(&mut body).map_err(|error| malformed(&error.to_string()))?;
    if !body.is_empty() {
        return Err(malformed("trailing bytes"));
    }
    Ok(saved
        .into_iter()
        .filter_map(|saved| {
            let tx = ZkTxEnvelope::decode_2718_exact(&saved.transaction).ok()?;
            let signer = tx.recover_signer().ok()?;
            let origin =
                if saved.local { TransactionOrigin::Local } else { TransactionOrigin::External };
            Some((origin, RecoveredTx::new_unchecked(tx, signer)))
        })
        .collect())
}

/// Adds the transactions of a backup file to the pool; returns how many were taken of how many. Those that are no longer valid are refused as usual.
pub async fn restore_backup<P: TransactionPool>(
    pool: &P,
    path: &Path,
) -> Result<(usize, usize), BackupError> {
    let transactions = load_backup(path)?;
    let total = transactions.len();
    let mut taken = 0;
    let mut rest = transactions.into_iter().peekable();
    while let Some((origin, _)) = rest.peek() {
        let origin = *origin;
        let mut chunk = Vec::new();
        while chunk.len() < RESTORE_CHUNK
            && let Some((_, tx)) = rest.next_if(|(next, _)| *next == origin)
        {
            chunk.push(P::Transaction::from_recovered(tx));
        }
        let results = pool.add_transactions(origin, chunk).await;
        taken += results.iter().filter(|result| result.is_ok()).count();
    }
    Ok((taken, total))
}
