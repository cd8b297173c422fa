//! The tree of the L2->L1 logs of a batch.
//!
//! Binary Keccak tree of fixed depth 14 over the logs of all blocks in order; empty leaves are the
//! hash of 88 zero bytes. L1 keeps the hash of its root and an aggregated root, which is zero at
//! protocol v30.

use crate::log::L2ToL1Log;
use alloy_primitives::{B256, b256, keccak256};

/// Depth of the tree.
pub const LOG_TREE_DEPTH: usize = 14;
/// Number of leaves; also the most logs a block may emit.
pub const LOG_TREE_LEAVES: usize = 1 << LOG_TREE_DEPTH;
/// Leaf without a log.
pub const EMPTY_LOG_LEAF: B256 =
    b256!("72abee45b59e344af8a6e520241c4744aff26ed411f4c4b00f8af09adada43ba");

/// Error of building a log tree or a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogTreeError {
    /// More logs than leaves.
    #[error("{0} logs do not fit into the log tree of a batch")]
    TooMany(usize),
    /// No such log.
    #[error("log {index} does not exist, the batch has {count} logs")]
    Index {
        /// Index asked for.
        index: usize,
        /// Number of logs.
        count: usize,
    },
}

/// Proof that a log is part of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogProof {
    /// Words for the L1 contract: metadata, the siblings from the leaf up, the aggregated root.
    pub proof: Vec<B256>,
    /// Root that L1 keeps for the batch.
    pub root: B256,
    /// Index of the leaf.
    pub index: u32,
}

/// Root of the tree alone.
pub fn local_root(logs: &[L2ToL1Log]) -> Result<B256, LogTreeError> {
    let mut levels = Levels::new(logs)?;
    while levels.depth < LOG_TREE_DEPTH {
        levels.up();
    }
    Ok(levels.nodes.first().copied().unwrap_or(levels.empty))
}

/// Root that is committed: hash of [`local_root`] and the aggregated root.
pub fn l2_logs_tree_root(logs: &[L2ToL1Log]) -> Result<B256, LogTreeError> {
    Ok(hash_pair(local_root(logs)?, B256::ZERO))
}

/// Proof of the log at `index`.
pub fn log_proof(logs: &[L2ToL1Log], index: usize) -> Result<LogProof, LogTreeError> {
    if index >= logs.len() {
        return Err(LogTreeError::Index { index, count: logs.len() });
    }
    let mut levels = Levels::new(logs)?;
    let mut proof = vec![proof_metadata()];
    while levels.depth < LOG_TREE_DEPTH {
        let sibling = (index >> levels.depth) ^ 1;
        proof.push(levels.nodes.get(sibling).copied().unwrap_or(levels.empty));
        levels.up();
    }
    // The root of the logs is the left child of the committed root.
    proof.push(B256::ZERO);
    Ok(LogProof { proof, root: l2_logs_tree_root(logs)?, index: index as u32 })
}

/// Recomputes the committed root from a log and its proof, as L1 does.
pub fn root_of_proof(log: &L2ToL1Log, index: u32, proof: &[B256]) -> Option<B256> {
    let (metadata, siblings) = proof.split_first()?;
    if *metadata != proof_metadata() || siblings.len() != LOG_TREE_DEPTH + 1 {
        return None;
    }
    Some(siblings.iter().enumerate().fold(log.leaf(), |node, (level, sibling)| {
        if index >> level & 1 == 0 { hash_pair(node, *sibling) } else { hash_pair(*sibling, node) }
    }))
}

/// Metadata word of a proof that ends on L1: format 1, length of the log path, no batch path,
/// final.
fn proof_metadata() -> B256 {
    let mut word = B256::ZERO;
    word[0] = 1;
    word[1] = LOG_TREE_DEPTH as u8 + 1;
    word[3] = 1;
    word
}

fn hash_pair(left: B256, right: B256) -> B256 {
    let mut buf = [0u8; 64];
    buf[..32].copy_from_slice(left.as_slice());
    buf[32..].copy_from_slice(right.as_slice());
    keccak256(buf)
}

/// One level of the tree: its nodes without the empty ones at the end.
struct Levels {
    nodes: Vec<B256>,
    empty: B256,
    depth: usize,
}

impl Levels {
    fn new(logs: &[L2ToL1Log]) -> Result<Self, LogTreeError> {
        if logs.len() > LOG_TREE_LEAVES {
            return Err(LogTreeError::TooMany(logs.len()));
        }
        let nodes = logs.iter().map(L2ToL1Log::leaf).collect();
        Ok(Self { nodes, empty: EMPTY_LOG_LEAF, depth: 0 })
    }

    fn up(&mut self) {
        self.nodes = self
            .nodes
            .chunks(2)
            .map(|pair| hash_pair(pair[0], pair.get(1).copied().unwrap_or(self.empty)))
            .collect();
        self.empty = hash_pair(self.empty, self.empty);
        self.depth += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::hex;

    fn published_logs() -> Vec<L2ToL1Log> {
        [
            hex!("0001000000000000000000000000000000000000000080014164624346d4c915977debf68dbd721f8ae86b964080925aecf6911dd47a6ece0000000000000000000000000000000000000000000000000000000000000001"),
            hex!("000100010000000000000000000000000000000000008001c99fec1c606ef0b8e5ed9fcdfd970787248a9130227ea815a8a66f9649e5e8000000000000000000000000000000000000000000000000000000000000000001"),
            hex!("000100020000000000000000000000000000000000008008000000000000000000000000000000000000000000000000000000000000800aab21c3b3bff711a65a5188a1b0d1ea07d1b889399b6619b757c3ff31eeb453da"),
        ]
        .iter()
        .map(|bytes| L2ToL1Log::decode(bytes).unwrap())
        .collect()
    }

    #[test]
    fn empty_tree() {
        assert_eq!(keccak256([0u8; 88]), EMPTY_LOG_LEAF);
        assert_eq!(
            local_root(&[]).unwrap(),
            b256!("375a5bf909cb02143e3695ca658e0641e739aa590f0004dba93572c44cdb9d2d")
        );
        assert_eq!(
            l2_logs_tree_root(&[]).unwrap(),
            b256!("692f35c99f9c698852289ffecf07f6dd45770904521149d79aa85aae598fa375")
        );
        assert_eq!(log_proof(&[], 0), Err(LogTreeError::Index { index: 0, count: 0 }));
    }

    #[test]
    fn published_tree_and_proofs() {
        let logs = published_logs();
        assert_eq!(
            local_root(&logs).unwrap(),
            b256!("3cb07f74756abfa55bef0957e3bb84fd29c50ec499df5c9a86186730fc33a9a5")
        );
        let root = b256!("2ed652f51ba9a569d2bf01694ea546373748f0cbc542b3445bb074e4ade096ca");
        assert_eq!(l2_logs_tree_root(&logs).unwrap(), root);

        let first = log_proof(&logs, 0).unwrap();
        let expected = [
            b256!("010f000100000000000000000000000000000000000000000000000000000000"),
            b256!("790a233e59b5921afb7e5c66f9189e21ae7f90589f454c7d34628e2ee06a4a31"),
            b256!("89d0309b432fa2d35104fa22885b807e608591a99cc2460f9d422cc45ecdaf70"),
            b256!("e3697c7f33c31a9b0f0aeb8542287d0d21e8c4cf82163d0c44c7a98aa11aa111"),
            b256!("199cc5812543ddceeddd0fc82807646a4899444240db2c0d2f20c3cceb5f51fa"),
            b256!("e4733f281f18ba3ea8775dd62d2fcd84011c8c938f16ea5790fd29a03bf8db89"),
            b256!("1798a1fd9c8fbb818c98cff190daa7cc10b6e5ac9716b4a2649f7c2ebcef2272"),
            b256!("66d7c5983afe44cf15ea8cf565b34c6c31ff0cb4dd744524f7842b942d08770d"),
            b256!("b04e5ee349086985f74b73971ce9dfe76bbed95c84906c5dffd96504e1e5396c"),
            b256!("ac506ecb5465659b3a927143f6d724f91d8d9c4bdb2463aee111d9aa869874db"),
            b256!("124b05ec272cecd7538fdafe53b6628d31188ffb6f345139aac3c3c1fd2e470f"),
            b256!("c3be9cbd19304d84cca3d045e06b8db3acd68c304fc9cd4cbffe6d18036cb13f"),
            b256!("fef7bd9f889811e59e4076a0174087135f080177302763019adaf531257e3a87"),
            b256!("a707d1c62d8be699d34cb74804fdd7b4c568b6c1a821066f126c680d4b83e00b"),
            b256!("f6e093070e0389d2e529d60fadb855fdded54976ec50ac709e3a36ceaa64c291"),
            B256::ZERO,
        ];
        assert_eq!(first.proof, expected);

        let third = log_proof(&logs, 2).unwrap();
        assert_eq!(third.proof[1], EMPTY_LOG_LEAF);
        assert_eq!(
            third.proof[2],
            b256!("4f004218058f24e0944b4b8540ff5835e5559530f89edb4da42c3a1df6f05db9")
        );
        assert_eq!(third.proof[3..], expected[3..]);

        for (index, log) in logs.iter().enumerate() {
            let proof = log_proof(&logs, index).unwrap();
            assert_eq!(proof.root, root);
            assert_eq!(root_of_proof(log, proof.index, &proof.proof), Some(root));
            assert_ne!(root_of_proof(log, proof.index ^ 1, &proof.proof), Some(root));
            assert_eq!(root_of_proof(log, proof.index, &proof.proof[1..]), None);
        }
    }

    #[test]
    fn many_logs() {
        let logs: Vec<_> = (0..1000u16)
            .map(|i| L2ToL1Log::l1_tx_result(i, keccak256(i.to_be_bytes()), true))
            .collect();
        for index in [0, 1, 511, 998, 999] {
            let proof = log_proof(&logs, index).unwrap();
            assert_eq!(root_of_proof(&logs[index], proof.index, &proof.proof), Some(proof.root));
        }
        let too_many = vec![logs[0]; LOG_TREE_LEAVES + 1];
        assert_eq!(local_root(&too_many), Err(LogTreeError::TooMany(LOG_TREE_LEAVES + 1)));
        assert!(local_root(&too_many[1..]).is_ok());
    }
}
