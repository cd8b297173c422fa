// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {L2Log, L2Message} from "@zksync/common/Messaging.sol";
import {Merkle} from "@zksync/common/libraries/Merkle.sol";
import {L2_L1_MESSENGER} from "../common/Types.sol";
import {MerklePathEmpty, UnsupportedProofMetadataVersion, InvalidProofLengthForFinalNode} from "../common/Errors.sol";

/// Hashing of L2 to L1 logs and reading of their inclusion proofs.
///
/// A proof is `[metadata, siblings.., multichain root]`; metadata is
/// `version 1 || log path length || batch path length || is final || 28 zero bytes`. The multichain root is the
/// right sibling at the top, so it counts as the last element of the log path.
/// A proof that ends on another settlement layer goes on with
/// `[batch mask, batch path.., batch number << 128 | mask, chain id, proof for that layer..]`.
library LogProof {
    /// keccak256 of the 88 zero bytes of an absent log.
    bytes32 internal constant DEFAULT_LEAF = 0x72abee45b59e344af8a6e520241c4744aff26ed411f4c4b00f8af09adada43ba;
    bytes32 private constant BATCH_LEAF_PADDING = keccak256("zkSync:BatchLeaf");
    bytes32 private constant CHAIN_ID_LEAF_PADDING = keccak256("zkSync:ChainIdLeaf");
    uint8 private constant METADATA_VERSION = 1;

    struct Result {
        bool isFinal;
        bytes32 root;
        uint256 settlementLayerChainId;
        uint256 settlementLayerBatchNumber;
        uint256 settlementLayerBatchRootMask;
        bytes32 chainIdLeaf;
        uint256 next;
    }

    function hashLog(L2Log memory log) internal pure returns (bytes32) {
        return
            keccak256(
                abi.encodePacked(log.l2ShardId, log.isService, log.txNumberInBatch, log.sender, log.key, log.value)
            );
    }

    function messageToLog(L2Message calldata message) internal pure returns (L2Log memory) {
        return L2Log({
            l2ShardId: 0,
            isService: true,
            txNumberInBatch: message.txNumberInBatch,
            sender: L2_L1_MESSENGER,
            key: bytes32(uint256(uint160(message.sender))),
            value: keccak256(message.data)
        });
    }

    function process(uint256 chainId, uint256 batchNumber, uint256 mask, bytes32 leaf, bytes32[] calldata proof)
        internal
        pure
        returns (Result memory result)
    {
        if (proof.length == 0) revert MerklePathEmpty();
        (uint256 start, uint256 logPath, uint256 batchPath, bool isFinal) = _metadata(proof);
        bytes32 batchRoot = Merkle.calculateRoot(proof[start:start + logPath], mask, leaf);
        if (isFinal) {
            if (batchPath != 0 || start + logPath != proof.length) revert InvalidProofLengthForFinalNode();
            result.isFinal = true;
            result.root = batchRoot;
            return result;
        }
        bytes32 batchLeaf = keccak256(abi.encodePacked(BATCH_LEAF_PADDING, batchRoot, batchNumber));
        bytes32 chainRoot = _chainRoot(proof[start + logPath:], batchPath, batchLeaf);
        result.chainIdLeaf = keccak256(abi.encodePacked(CHAIN_ID_LEAF_PADDING, chainRoot, chainId));
        _settlementLayer(result, proof, start + logPath + 1 + batchPath);
    }

    function _chainRoot(bytes32[] calldata rest, uint256 length, bytes32 batchLeaf) private pure returns (bytes32) {
        return Merkle.calculateRoot(rest[1:1 + length], uint256(rest[0]), batchLeaf);
    }

    function _settlementLayer(Result memory result, bytes32[] calldata proof, uint256 at) private pure {
        result.settlementLayerBatchNumber = uint256(proof[at]) >> 128;
        result.settlementLayerBatchRootMask = uint256(proof[at]) & type(uint128).max;
        result.settlementLayerChainId = uint256(proof[at + 1]);
        result.next = at + 2;
    }

    function _metadata(bytes32[] calldata proof)
        private
        pure
        returns (uint256 start, uint256 logPath, uint256 batchPath, bool isFinal)
    {
        bytes32 first = proof[0];
        // A bare path (older form) starts with a hash, which never ends in 28 zero bytes.
        if (uint256(first) & type(uint224).max != 0) return (0, proof.length, 0, true);
        if (uint8(first[0]) != METADATA_VERSION) revert UnsupportedProofMetadataVersion(uint8(first[0]));
        return (1, uint8(first[1]), uint8(first[2]), first[3] != 0);
    }
}
