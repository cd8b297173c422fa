// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {PriorityTree, PriorityOpsBatchInfo} from "@zksync/state-transition/libraries/PriorityTree.sol";
import {IExecutor} from "@zksync/state-transition/chain-interfaces/IExecutor.sol";
import {IVerifier} from "@zksync/state-transition/chain-interfaces/IVerifier.sol";
import {IL1DAValidator, L1DAValidatorOutput} from "@zksync/state-transition/chain-interfaces/IL1DAValidator.sol";
import {IMessageRoot} from "@zksync/bridgehub/IMessageRoot.sol";
import {InteropRoot} from "@zksync/common/Messaging.sol";
import {ChainBase} from "./ChainStorage.sol";
import {IBridgehubBase, IChainTypeManagerBase} from "../bridgehub/Interfaces.sol";
import "../common/Types.sol";
import "../common/Errors.sol";

/// Settlement of batches: commit (claim and publish), prove, execute (final), revert.
/// Reached through the validator timelock only; its first argument (the chain's address) is for the timelock.
contract ExecutorFacet is ChainBase {
    using PriorityTree for PriorityTree.Tree;

    event BlockCommit(uint256 indexed batchNumber, bytes32 indexed batchHash, bytes32 indexed commitment);
    event ReportCommittedBatchRangeZKsyncOS(
        uint64 indexed batchNumber, uint64 indexed firstBlockNumber, uint64 indexed lastBlockNumber
    );
    event BlocksVerification(uint256 indexed previousLastVerifiedBatch, uint256 indexed currentLastVerifiedBatch);
    event BlockExecution(uint256 indexed batchNumber, bytes32 indexed batchHash, bytes32 indexed commitment);
    event BlocksRevert(uint256 totalBatchesCommitted, uint256 totalBatchesVerified, uint256 totalBatchesExecuted);

    // ------------------------------------------------------------------------------------------ commit

    function commitBatchesSharedBridge(address, uint256 from, uint256 to, bytes calldata commitData)
        external
        nonReentrant
        onlyValidator
        onlySettlementLayer
    {
        if (!IChainTypeManagerBase(s.chainTypeManager).protocolVersionIsActive(s.protocolVersion)) {
            revert InvalidProtocolVersion();
        }
        if (commitData.length == 0) revert EmptyData();
        uint8 version = uint8(commitData[0]);
        if (version != COMMIT_ENCODING_VERSION) revert UnsupportedCommitBatchEncoding(version);
        (IExecutor.StoredBatchInfo memory previous, CommitBatchInfoZKsyncOS[] memory batches) =
            abi.decode(commitData[1:], (IExecutor.StoredBatchInfo, CommitBatchInfoZKsyncOS[]));
        if (batches.length == 0) revert EmptyData();
        _checkBounds(from, to, batches[0].batchNumber, batches[batches.length - 1].batchNumber);
        if (batches.length != 1) revert CanOnlyProcessOneBatch();

        bytes32 expected = s.storedBatchHashes[s.totalBatchesCommitted];
        bytes32 supplied = _hash(previous);
        if (expected != supplied) revert BatchHashMismatch(expected, supplied);
        _commit(previous, batches[0]);
    }

    function _commit(IExecutor.StoredBatchInfo memory previous, CommitBatchInfoZKsyncOS memory batch) private {
        if (batch.batchNumber != previous.batchNumber + 1) {
            revert BatchNumberMismatch(uint256(previous.batchNumber) + 1, batch.batchNumber);
        }
        _checkDA(batch);
        _checkTimestamps(batch.firstBlockTimestamp, batch.lastBlockTimestamp);
        if (batch.chainId != s.chainId) revert IncorrectBatchChainId(batch.chainId, s.chainId);
        if (batch.daCommitmentScheme != s.l2DACommitmentScheme) {
            revert MismatchL2DACommitmentScheme(uint256(batch.daCommitmentScheme), uint256(s.l2DACommitmentScheme));
        }

        // The first batch after an upgrade must carry its transaction; the proof binds the operator to the hash.
        bytes32 upgradeTxHash;
        if (s.l2SystemContractsUpgradeTxHash != 0 && s.l2SystemContractsUpgradeBatchNumber == 0) {
            upgradeTxHash = s.l2SystemContractsUpgradeTxHash;
            s.l2SystemContractsUpgradeBatchNumber = batch.batchNumber;
        }
        IExecutor.StoredBatchInfo memory stored = IExecutor.StoredBatchInfo({
            batchNumber: batch.batchNumber,
            batchHash: batch.newStateCommitment,
            indexRepeatedStorageChanges: 0,
            numberOfLayer1Txs: batch.numberOfLayer1Txs,
            priorityOperationsHash: batch.priorityOperationsHash,
            dependencyRootsRollingHash: batch.dependencyRootsRollingHash,
            l2LogsTreeRoot: batch.l2LogsTreeRoot,
            timestamp: 0,
            commitment: _outputHash(batch, upgradeTxHash)
        });
        s.storedBatchHashes[batch.batchNumber] = _hash(stored);
        if (batch.firstBlockNumber > batch.lastBlockNumber) {
            revert InvalidBlockRange(batch.batchNumber, batch.firstBlockNumber, batch.lastBlockNumber);
        }
        emit ReportCommittedBatchRangeZKsyncOS(batch.batchNumber, batch.firstBlockNumber, batch.lastBlockNumber);
        emit BlockCommit(batch.batchNumber, stored.batchHash, stored.commitment);
        s.totalBatchesCommitted += 1;
    }

    function _checkDA(CommitBatchInfoZKsyncOS memory batch) private {
        L1DAValidatorOutput memory output = IL1DAValidator(s.l1DAValidator)
            .checkDA(s.chainId, batch.batchNumber, batch.daCommitment, batch.operatorDAInput, TOTAL_BLOBS_IN_COMMITMENT);
        uint256 hashes = output.blobsLinearHashes.length;
        uint256 commitments = output.blobsOpeningCommitments.length;
        if (hashes != commitments || (hashes != 0 && hashes != TOTAL_BLOBS_IN_COMMITMENT)) {
            revert InvalidNumberOfBlobs(TOTAL_BLOBS_IN_COMMITMENT, hashes, commitments);
        }
        // The state transition of ZKsync OS binds its blobs itself, nothing is left to be opened on L1.
        for (uint256 i = 0; i < hashes; ++i) {
            if (output.blobsLinearHashes[i] != 0 || output.blobsOpeningCommitments[i] != 0) {
                revert NonZeroBlobToVerifyZKsyncOS(i, output.blobsLinearHashes[i], output.blobsOpeningCommitments[i]);
            }
        }
    }

    function _checkTimestamps(uint64 first, uint64 last) private view {
        uint256 notOlderThan = block.timestamp - (block.chainid == 1 ? 3 days : 30 days);
        if (first < notOlderThan) revert TimeNotReached(first, notOlderThan);
        if (last > block.timestamp + COMMIT_TIMESTAMP_APPROXIMATION_DELTA) revert L2TimestampTooBig();
    }

    /// The batch output hash: what the proof says about the batch besides its state commitments.
    function _outputHash(CommitBatchInfoZKsyncOS memory batch, bytes32 upgradeTxHash) private pure returns (bytes32) {
        return keccak256(
            bytes.concat(
                abi.encodePacked(
                    batch.chainId,
                    batch.firstBlockTimestamp,
                    batch.lastBlockTimestamp,
                    uint256(batch.daCommitmentScheme),
                    batch.daCommitment
                ),
                abi.encodePacked(
                    batch.numberOfLayer1Txs,
                    batch.priorityOperationsHash,
                    batch.l2LogsTreeRoot,
                    upgradeTxHash,
                    batch.dependencyRootsRollingHash
                )
            )
        );
    }

    // ------------------------------------------------------------------------------------------ prove

    function proveBatchesSharedBridge(address, uint256 from, uint256 to, bytes calldata proofData)
        external
        nonReentrant
        onlyValidator
        onlySettlementLayer
    {
        if (proofData.length == 0) revert EmptyData();
        uint8 version = uint8(proofData[0]);
        if (version != PROVE_ENCODING_VERSION) revert UnsupportedProofBatchEncoding(version);
        (
            IExecutor.StoredBatchInfo memory previous,
            IExecutor.StoredBatchInfo[] memory batches,
            uint256[] memory proof
        ) = abi.decode(proofData[1:], (IExecutor.StoredBatchInfo, IExecutor.StoredBatchInfo[], uint256[]));
        if (batches.length == 0) revert EmptyData();
        _checkBounds(from, to, batches[0].batchNumber, batches[batches.length - 1].batchNumber);

        uint256 verified = s.totalBatchesVerified;
        bytes32 expected = s.storedBatchHashes[verified];
        bytes32 supplied = _hash(previous);
        // The batch before may have been stored in the shape that older protocol versions used.
        if (expected != supplied && expected != _legacyHash(previous)) revert BatchHashMismatch(expected, supplied);

        uint256[] memory publicInputs = new uint256[](batches.length);
        bytes32 stateBefore = previous.batchHash;
        for (uint256 i = 0; i < batches.length; ++i) {
            verified += 1;
            expected = s.storedBatchHashes[verified];
            supplied = _hash(batches[i]);
            if (expected != supplied) revert BatchHashMismatch(expected, supplied);
            bytes32 input = keccak256(abi.encodePacked(stateBefore, batches[i].batchHash, batches[i].commitment));
            publicInputs[i] = uint256(input) >> PUBLIC_INPUT_SHIFT;
            stateBefore = batches[i].batchHash;
        }
        if (verified > s.totalBatchesCommitted) revert VerifiedBatchesExceedsCommittedBatches();
        if (!IVerifier(s.verifier).verify(publicInputs, proof)) revert InvalidProof();

        emit BlocksVerification(s.totalBatchesVerified, verified);
        s.totalBatchesVerified = verified;
    }

    // ------------------------------------------------------------------------------------------ execute

    function executeBatchesSharedBridge(address, uint256 from, uint256 to, bytes calldata executeData)
        external
        nonReentrant
        onlyValidator
        onlySettlementLayer
    {
        if (executeData.length == 0) revert EmptyData();
        uint8 version = uint8(executeData[0]);
        if (version != EXECUTE_ENCODING_VERSION) revert UnsupportedExecuteBatchEncoding(version);
        (
            IExecutor.StoredBatchInfo[] memory batches,
            PriorityOpsBatchInfo[] memory priorityOps,
            InteropRoot[][] memory dependencyRoots
        ) = abi.decode(executeData[1:], (IExecutor.StoredBatchInfo[], PriorityOpsBatchInfo[], InteropRoot[][]));
        if (batches.length == 0) revert EmptyData();
        _checkBounds(from, to, batches[0].batchNumber, batches[batches.length - 1].batchNumber);
        if (batches.length != priorityOps.length) {
            revert InvalidBatchesDataLength(batches.length, priorityOps.length);
        }

        for (uint256 i = 0; i < batches.length; ++i) {
            _execute(batches[i], priorityOps[i], dependencyRoots[i], i);
            emit BlockExecution(batches[i].batchNumber, batches[i].batchHash, batches[i].commitment);
        }

        uint256 executed = s.totalBatchesExecuted + batches.length;
        s.totalBatchesExecuted = executed;
        if (executed > s.totalBatchesVerified) revert CantExecuteUnprovenBatches();

        uint256 upgradeBatch = s.l2SystemContractsUpgradeBatchNumber;
        if (upgradeBatch != 0 && upgradeBatch <= executed) {
            delete s.l2SystemContractsUpgradeTxHash;
            delete s.l2SystemContractsUpgradeBatchNumber;
        }
    }

    function _execute(
        IExecutor.StoredBatchInfo memory batch,
        PriorityOpsBatchInfo memory priorityOps,
        InteropRoot[] memory dependencyRoots,
        uint256 offset
    ) private {
        if (priorityOps.itemHashes.length != batch.numberOfLayer1Txs) {
            revert MismatchNumberOfLayer1Txs(priorityOps.itemHashes.length, batch.numberOfLayer1Txs);
        }
        bytes32 rolling = EMPTY_STRING_KECCAK;
        for (uint256 i = 0; i < priorityOps.itemHashes.length; ++i) {
            rolling = keccak256(abi.encode(rolling, priorityOps.itemHashes[i]));
        }
        if (rolling != batch.priorityOperationsHash) revert PriorityOperationsRollingHashMismatch();

        bytes32 dependencies = _checkDependencies(dependencyRoots);
        if (dependencies != batch.dependencyRootsRollingHash) {
            revert DependencyRootsRollingHashMismatch(batch.dependencyRootsRollingHash, dependencies);
        }

        if (batch.batchNumber != s.totalBatchesExecuted + offset + 1) revert NonSequentialBatch();
        bytes32 expected = s.storedBatchHashes[batch.batchNumber];
        bytes32 supplied = _hash(batch);
        if (expected != supplied) revert BatchHashMismatch(expected, supplied);

        s.priorityTree.processBatch(priorityOps);
        s.l2LogsRootHashes[batch.batchNumber] = batch.l2LogsTreeRoot;
    }

    function _checkDependencies(InteropRoot[] memory roots) private view returns (bytes32 rolling) {
        IMessageRoot messageRoot = IMessageRoot(IBridgehubBase(s.bridgehub).messageRoot());
        for (uint256 i = 0; i < roots.length; ++i) {
            if (roots[i].chainId != block.chainid) revert CommitBasedInteropNotSupported();
            bytes32 known = messageRoot.historicalRoot(roots[i].blockOrBatchNumber);
            if (known == 0) revert MessageRootIsZero();
            if (roots[i].sides.length != 1 || roots[i].sides[0] != known) {
                revert InvalidMessageRoot(known, roots[i].sides.length == 0 ? bytes32(0) : roots[i].sides[0]);
            }
            rolling =
                keccak256(abi.encodePacked(rolling, roots[i].chainId, roots[i].blockOrBatchNumber, roots[i].sides));
        }
    }

    // ------------------------------------------------------------------------------------------ revert

    /// Takes committed, not executed batches back. Their stored hashes stay as garbage above the counter.
    function revertBatchesSharedBridge(address, uint256 newLastBatch)
        external
        nonReentrant
        onlyValidatorOrChainTypeManager
        onlySettlementLayer
    {
        if (s.totalBatchesCommitted < newLastBatch) revert RevertedBatchNotAfterNewLastBatch();
        if (newLastBatch < s.totalBatchesExecuted) revert CantRevertExecutedBatch();
        if (newLastBatch < s.totalBatchesVerified) s.totalBatchesVerified = newLastBatch;
        s.totalBatchesCommitted = newLastBatch;
        // The upgrade transaction is required again if its batch is gone.
        if (s.l2SystemContractsUpgradeBatchNumber > newLastBatch) delete s.l2SystemContractsUpgradeBatchNumber;
        emit BlocksRevert(s.totalBatchesCommitted, s.totalBatchesVerified, s.totalBatchesExecuted);
    }

    // ------------------------------------------------------------------------------------------ shared

    function _checkBounds(uint256 from, uint256 to, uint256 first, uint256 last) private pure {
        if (from != first || to != last) revert IncorrectBatchBounds(from, to, first, last);
    }

    function _hash(IExecutor.StoredBatchInfo memory batch) private pure returns (bytes32) {
        return keccak256(abi.encode(batch));
    }

    function _legacyHash(IExecutor.StoredBatchInfo memory batch) private pure returns (bytes32) {
        return keccak256(
            abi.encode(
                IExecutor.LegacyStoredBatchInfo({
                    batchNumber: batch.batchNumber,
                    batchHash: batch.batchHash,
                    indexRepeatedStorageChanges: batch.indexRepeatedStorageChanges,
                    numberOfLayer1Txs: batch.numberOfLayer1Txs,
                    priorityOperationsHash: batch.priorityOperationsHash,
                    l2LogsTreeRoot: batch.l2LogsTreeRoot,
                    timestamp: batch.timestamp,
                    commitment: batch.commitment
                })
            )
        );
    }
}
