// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {IL1DAValidator, L1DAValidatorOutput} from "@zksync/state-transition/chain-interfaces/IL1DAValidator.sol";
import "../common/Errors.sol";

/// Rollup with pubdata in calldata.
/// Input: `state diff hash (0) 32 | keccak(pubdata) 32 | 1 | blob hash (0) 32`, which the commitment hashes,
/// then `source 1 | pubdata | blob commitment (0) 32`.
contract RollupL1DAValidator is IL1DAValidator {
    uint256 private constant HEADER_LENGTH = 97;
    uint256 private constant BLOB_COMMITMENT_LENGTH = 32;
    /// What one blob holds; the limit of the older VM was kept.
    uint256 private constant BLOB_SIZE_BYTES = 126_976;
    uint8 private constant SOURCE_CALLDATA = 0;

    function checkDA(uint256, uint256, bytes32 outputHash, bytes calldata input, uint256 maxBlobs)
        external
        pure
        returns (L1DAValidatorOutput memory output)
    {
        if (input.length < HEADER_LENGTH) revert OperatorDAInputTooSmall(input.length, HEADER_LENGTH);
        // One blob slot is all that the calldata form describes.
        uint256 blobsProvided = uint8(input[64]);
        if (blobsProvided != 1) revert InvalidNumberOfBlobs(1, blobsProvided, maxBlobs);
        if (keccak256(input[:HEADER_LENGTH]) != outputHash) revert InvalidL2DAOutputHash(outputHash);

        bytes calldata rest = input[HEADER_LENGTH:];
        if (rest.length < 1 + BLOB_COMMITMENT_LENGTH) {
            revert OperatorDAInputTooSmall(input.length, HEADER_LENGTH + 1 + BLOB_COMMITMENT_LENGTH);
        }
        uint8 source = uint8(rest[0]);
        if (source != SOURCE_CALLDATA) revert InvalidPubdataSource(source);
        uint256 pubdataEnd = rest.length - BLOB_COMMITMENT_LENGTH;
        bytes calldata pubdata = rest[1:pubdataEnd];
        if (pubdata.length > BLOB_SIZE_BYTES) revert PubdataLengthTooBig(pubdata.length, BLOB_SIZE_BYTES);
        bytes32 claimed = bytes32(input[32:64]);
        bytes32 actual = keccak256(pubdata);
        if (claimed != actual) revert InvalidPubdataHash(claimed, actual);

        output.stateDiffHash = bytes32(input[:32]);
        output.blobsLinearHashes = new bytes32[](maxBlobs);
        output.blobsOpeningCommitments = new bytes32[](maxBlobs);
        output.blobsLinearHashes[0] = bytes32(input[65:97]);
        output.blobsOpeningCommitments[0] = bytes32(rest[pubdataEnd:]);
    }
}

/// No data on L1.
contract ValidiumL1DAValidator is IL1DAValidator {
    function checkDA(uint256, uint256, bytes32, bytes calldata input, uint256 maxBlobs)
        external
        pure
        returns (L1DAValidatorOutput memory output)
    {
        if (input.length != 32) revert ValL1DAWrongInputLength(input.length, 32);
        output.stateDiffHash = abi.decode(input, (bytes32));
        output.blobsLinearHashes = new bytes32[](maxBlobs);
        output.blobsOpeningCommitments = new bytes32[](maxBlobs);
    }
}

/// Rollup with pubdata in EIP-4844 blobs: the commitment is the hash of the versioned hashes.
/// Input: one word per blob; zero names the next blob of this transaction, anything else a blob published before.
contract BlobsL1DAValidatorZKsyncOS is IL1DAValidator {
    /// Number of blocks after which a blob published ahead no longer counts: consensus nodes may have pruned it.
    uint256 public constant BLOB_EXPIRATION_BLOCKS = 65_536;

    /// Block in which a blob was published, by versioned hash.
    mapping(bytes32 => uint256) public publishedBlobs;

    /// Records all blobs of this transaction for a commit in a later one.
    function publishBlobs() external {
        for (uint256 i = 0;; ++i) {
            bytes32 hash = blobhash(i);
            if (hash == 0) break;
            publishedBlobs[hash] = block.number;
        }
    }

    function isBlobAvailable(bytes32 versionedHash) public view returns (bool) {
        uint256 publishedAt = publishedBlobs[versionedHash];
        return publishedAt != 0 && block.number - publishedAt <= BLOB_EXPIRATION_BLOCKS;
    }

    function checkDA(uint256, uint256, bytes32 outputHash, bytes calldata input, uint256)
        external
        view
        returns (L1DAValidatorOutput memory output)
    {
        if (input.length % 32 != 0) revert InvalidBlobsDAInputLength(input.length);
        uint256 count = input.length / 32;
        bytes memory hashes = new bytes(input.length);
        uint256 next;
        for (uint256 i = 0; i < count; ++i) {
            bytes32 hash = bytes32(input[32 * i:32 * (i + 1)]);
            if (hash == 0) {
                hash = blobhash(next++);
                if (hash == 0) revert BlobNotPublished();
            } else if (!isBlobAvailable(hash)) {
                revert BlobNotPublished();
            }
            assembly {
                mstore(add(add(hashes, 32), mul(i, 32)), hash)
            }
        }
        if (blobhash(next) != 0) revert NonEmptyBlobVersionHash(next);
        bytes32 actual = keccak256(hashes);
        if (actual != outputHash) revert InvalidBlobsPublished(actual, outputHash);
        // Nothing to open: the state transition binds the blobs.
        output.blobsLinearHashes = new bytes32[](0);
        output.blobsOpeningCommitments = new bytes32[](0);
    }
}
