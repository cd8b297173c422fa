// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {IExecutor} from "@zksync/state-transition/chain-interfaces/IExecutor.sol";
import {PriorityOpsBatchInfo} from "@zksync/state-transition/libraries/PriorityTree.sol";
import {NotHistoricalRoot} from "@zksync/state-transition/L1StateTransitionErrors.sol";
import {InteropRoot} from "@zksync/common/Messaging.sol";
import {Base, StateFacet} from "./Base.sol";
import {vm} from "../scripts/Vm.sol";
import {GettersFacet} from "../src/chain/Getters.sol";
import {ExecutorFacet} from "../src/chain/Executor.sol";
import {ValidatorTimelock} from "../src/chain/ValidatorTimelock.sol";
import {ChainAdmin} from "../src/governance/Governance.sol";
import "../src/common/Types.sol";
import "../src/common/Errors.sol";

contract SettlementTest is Base {
    StateFacet private state;

    function setUp() public override {
        super.setUp();
        state = _openUp(chain, CHAIN_ID);
    }

    // ------------------------------------------------------------------------------------------ commit

    function _expectCommitError(CommitBatchInfoZKsyncOS memory batch, bytes memory expected) private {
        bytes memory data = _commitData(_batchZero(), batch);
        vm.expectRevert(expected);
        vm.prank(committer);
        timelock.commitBatchesSharedBridge(chain, batch.batchNumber, batch.batchNumber, data);
    }

    function test_commitBatchErrors() public {
        CommitBatchInfoZKsyncOS memory batch = _plainBatch(2);
        _expectCommitError(batch, abi.encodeWithSelector(BatchNumberMismatch.selector, 1, 2));

        batch = _plainBatch(1);
        batch.daCommitment = bytes32(uint256(1));
        _expectCommitError(batch, abi.encodeWithSelector(InvalidL2DAOutputHash.selector, bytes32(uint256(1))));

        batch = _plainBatch(1);
        batch.firstBlockTimestamp = uint64(NOW - 30 days - 1);
        _expectCommitError(batch, abi.encodeWithSelector(TimeNotReached.selector, NOW - 30 days - 1, NOW - 30 days));

        batch = _plainBatch(1);
        batch.lastBlockTimestamp = uint64(NOW + 1 hours + 1);
        _expectCommitError(batch, abi.encodeWithSelector(L2TimestampTooBig.selector));

        batch = _plainBatch(1);
        batch.chainId = 5;
        _expectCommitError(batch, abi.encodeWithSelector(IncorrectBatchChainId.selector, 5, CHAIN_ID));

        batch = _plainBatch(1);
        batch.daCommitmentScheme = L2DACommitmentScheme.BLOBS_ZKSYNC_OS;
        _expectCommitError(batch, abi.encodeWithSelector(MismatchL2DACommitmentScheme.selector, 4, 3));

        batch = _plainBatch(1);
        batch.firstBlockNumber = 3;
        batch.lastBlockNumber = 2;
        _expectCommitError(batch, abi.encodeWithSelector(InvalidBlockRange.selector, 1, 3, 2));

        // At the borders all is well.
        batch = _plainBatch(1);
        batch.firstBlockTimestamp = uint64(NOW - 30 days);
        batch.lastBlockTimestamp = uint64(NOW + 1 hours);
        _commit(_batchZero(), batch);
    }

    function test_commitOnMainnetIsStricterAboutAge() public {
        vm.chainId(1);
        CommitBatchInfoZKsyncOS memory batch = _plainBatch(1);
        batch.firstBlockTimestamp = uint64(NOW - 3 days - 1);
        _expectCommitError(batch, abi.encodeWithSelector(TimeNotReached.selector, NOW - 3 days - 1, NOW - 3 days));
    }

    function _expectRawCommitError(uint256 from, uint256 to, bytes memory data, bytes memory expected) private {
        vm.expectRevert(expected);
        vm.prank(committer);
        timelock.commitBatchesSharedBridge(chain, from, to, data);
    }

    function test_commitDataErrors() public {
        bytes memory data = _commitData(_batchZero(), _plainBatch(1));
        _expectRawCommitError(1, 1, "", abi.encodeWithSelector(EmptyData.selector));
        _expectRawCommitError(1, 2, data, abi.encodeWithSelector(IncorrectBatchBounds.selector, 1, 2, 1, 1));
        data[0] = 0x02;
        _expectRawCommitError(1, 1, data, abi.encodeWithSelector(UnsupportedCommitBatchEncoding.selector, 2));

        CommitBatchInfoZKsyncOS[] memory none = new CommitBatchInfoZKsyncOS[](0);
        data = bytes.concat(hex"03", abi.encode(_batchZero(), none));
        _expectRawCommitError(1, 1, data, abi.encodeWithSelector(EmptyData.selector));
        CommitBatchInfoZKsyncOS[] memory two = new CommitBatchInfoZKsyncOS[](2);
        two[0] = _plainBatch(1);
        two[1] = _plainBatch(2);
        data = bytes.concat(hex"03", abi.encode(_batchZero(), two));
        _expectRawCommitError(1, 2, data, abi.encodeWithSelector(CanOnlyProcessOneBatch.selector));

        IExecutor.StoredBatchInfo memory other = _batchZero();
        other.batchHash = bytes32(uint256(9));
        data = _commitData(other, _plainBatch(1));
        _expectRawCommitError(
            1,
            1,
            data,
            abi.encodeWithSelector(
                BatchHashMismatch.selector, keccak256(abi.encode(_batchZero())), keccak256(abi.encode(other))
            )
        );
        // Sent again after it was mined.
        _commit(_batchZero(), _plainBatch(1));
        data = _commitData(_batchZero(), _plainBatch(1));
        bytes32 stored = keccak256(abi.encode(_stored(_plainBatch(1), 0)));
        _expectRawCommitError(
            1, 1, data, abi.encodeWithSelector(BatchHashMismatch.selector, stored, keccak256(abi.encode(_batchZero())))
        );
    }

    function test_outdatedVersionCannotCommit() public {
        ctm.setProtocolVersionDeadline(PROTOCOL_VERSION, NOW - 1);
        _expectCommitError(_plainBatch(1), abi.encodeWithSelector(InvalidProtocolVersion.selector));
    }

    function test_rolesAreChecked() public {
        bytes memory data = _commitData(_batchZero(), _plainBatch(1));
        bytes32 role = timelock.COMMITTER_ROLE();
        eq(role, 0x0b60b5d7f7e737e4561eecda7c6a01e19e626c495c26e6f45e5b255f76a20106);
        vm.expectRevert(abi.encodeWithSelector(RoleAccessDenied.selector, chain, role, prover));
        vm.prank(prover);
        timelock.commitBatchesSharedBridge(chain, 1, 1, data);
        // Not even the operator gets past the timelock.
        vm.expectRevert(abi.encodeWithSelector(Unauthorized.selector, committer));
        vm.prank(committer);
        ExecutorFacet(chain).commitBatchesSharedBridge(chain, 1, 1, data);

        isTrue(timelock.hasRoleForChainId(CHAIN_ID, role, committer), "committer");
        isTrue(!timelock.hasRoleForChainId(CHAIN_ID, role, prover), "prover is no committer");
        vm.expectRevert(abi.encodeWithSelector(RoleAccessDenied.selector, chain, bytes32(0), address(this)));
        timelock.grantRole(chain, role, address(this));
        vm.expectRevert(abi.encodeWithSelector(NotAZKChain.selector, address(0x1234)));
        timelock.grantRole(address(0x1234), role, address(this));
    }

    function test_frozenChainStops() public {
        ctm.freezeChain(CHAIN_ID);
        bytes memory data = _commitData(_batchZero(), _plainBatch(1));
        vm.expectRevert(
            abi.encodeWithSelector(FacetIsFrozen.selector, ExecutorFacet.commitBatchesSharedBridge.selector)
        );
        vm.prank(committer);
        timelock.commitBatchesSharedBridge(chain, 1, 1, data);
        eq(GettersFacet(chain).getTotalBatchesCommitted(), 0);
        ctm.unfreezeChain(CHAIN_ID);
        _commit(_batchZero(), _plainBatch(1));
    }

    // ------------------------------------------------------------------------------------------ prove

    function _commitMany(uint64 count) private returns (IExecutor.StoredBatchInfo[] memory stored) {
        stored = new IExecutor.StoredBatchInfo[](count);
        for (uint64 i = 0; i < count; ++i) {
            CommitBatchInfoZKsyncOS memory batch = _plainBatch(i + 1);
            _commit(i == 0 ? _batchZero() : stored[i - 1], batch);
            stored[i] = _stored(batch, 0);
            eq(GettersFacet(chain).storedBatchHash(i + 1), keccak256(abi.encode(stored[i])));
        }
    }

    function _expectProveError(
        IExecutor.StoredBatchInfo[] memory batches,
        uint256[] memory proof,
        bytes memory expected
    ) private {
        bytes memory data = _proofData(_batchZero(), batches, proof);
        vm.expectRevert(expected);
        vm.prank(prover);
        timelock.proveBatchesSharedBridge(chain, 1, batches.length, data);
    }

    function test_proveThree() public {
        IExecutor.StoredBatchInfo[] memory stored = _commitMany(3);
        _prove(_batchZero(), stored);
        (, uint256 verified,) = _counters();
        eq(verified, 3);
    }

    function test_proveErrors() public {
        IExecutor.StoredBatchInfo[] memory stored = _commitMany(2);
        uint256[] memory proof = _mockProof(_batchZero(), stored);
        proof[3] ^= 1;
        _expectProveError(stored, proof, abi.encodeWithSelector(InvalidProof.selector));
        proof[3] ^= 1;
        proof[2] = 14;
        _expectProveError(stored, proof, abi.encodeWithSelector(InvalidProof.selector));
        proof[2] = 13;
        proof[0] = 4;
        _expectProveError(stored, proof, abi.encodeWithSelector(UnknownVerifierType.selector));
        proof[0] = 3 | (5 << 8);
        _expectProveError(stored, proof, abi.encodeWithSelector(UnknownVerifierVersion.selector));
        // A "real" proof is never accepted here.
        proof[0] = 2 | (6 << 8);
        _expectProveError(stored, proof, abi.encodeWithSelector(InvalidProof.selector));
        uint256[] memory longer = new uint256[](5);
        longer[0] = 3;
        _expectProveError(stored, longer, abi.encodeWithSelector(InvalidMockProofLength.selector));
        _expectProveError(stored, new uint256[](0), abi.encodeWithSelector(EmptyProofLength.selector));
        // The versions that are registered work for mock proofs too.
        proof[0] = 3 | (6 << 8);
        bytes memory data = _proofData(_batchZero(), stored, proof);
        vm.prank(prover);
        timelock.proveBatchesSharedBridge(chain, 1, 2, data);
    }

    function test_proveNeedsCommitted() public {
        IExecutor.StoredBatchInfo[] memory one = _commitMany(1);
        IExecutor.StoredBatchInfo[] memory two = new IExecutor.StoredBatchInfo[](2);
        two[0] = one[0];
        two[1] = _stored(_plainBatch(2), 0);
        _expectProveError(
            two,
            _mockProof(_batchZero(), two),
            abi.encodeWithSelector(BatchHashMismatch.selector, bytes32(0), keccak256(abi.encode(two[1])))
        );
        // A stored hash that a revert left behind does not count as committed.
        two = new IExecutor.StoredBatchInfo[](2);
        (two[0], two[1]) = (one[0], _stored(_plainBatch(2), 0));
        _commit(one[0], _plainBatch(2));
        vm.prank(prover);
        timelock.revertBatchesSharedBridge(chain, 1);
        eq(GettersFacet(chain).storedBatchHash(2), keccak256(abi.encode(two[1])));
        _expectProveError(
            two, _mockProof(_batchZero(), two), abi.encodeWithSelector(VerifiedBatchesExceedsCommittedBatches.selector)
        );
    }

    // ------------------------------------------------------------------------------------------ execute

    function _expectExecuteError(
        IExecutor.StoredBatchInfo[] memory batches,
        PriorityOpsBatchInfo[] memory ops,
        bytes memory expected
    ) private {
        bytes memory data = _executeData(batches, ops);
        vm.expectRevert(expected);
        vm.prank(executor);
        timelock.executeBatchesSharedBridge(
            chain, batches[0].batchNumber, batches[batches.length - 1].batchNumber, data
        );
    }

    function test_executeSeveral() public {
        IExecutor.StoredBatchInfo[] memory stored = _commitMany(3);
        _prove(_batchZero(), stored);
        _execute(stored, _noOps(3));
        (,, uint256 executed) = _counters();
        eq(executed, 3);
        eq(GettersFacet(chain).l2LogsRootHash(3), stored[2].l2LogsTreeRoot);
    }

    function test_executeErrors() public {
        IExecutor.StoredBatchInfo[] memory stored = _commitMany(2);
        _expectExecuteError(stored, _noOps(2), abi.encodeWithSelector(CantExecuteUnprovenBatches.selector));
        _prove(_batchZero(), stored);
        _expectExecuteError(stored, _noOps(1), abi.encodeWithSelector(InvalidBatchesDataLength.selector, 2, 1));
        _expectExecuteError(_list(stored[1]), _noOps(1), abi.encodeWithSelector(NonSequentialBatch.selector));

        PriorityOpsBatchInfo[] memory ops = _noOps(2);
        ops[0].itemHashes = new bytes32[](1);
        _expectExecuteError(stored, ops, abi.encodeWithSelector(MismatchNumberOfLayer1Txs.selector, 1, 0));
        bytes32 was = keccak256(abi.encode(stored[0]));
        stored[0].l2LogsTreeRoot = bytes32(0);
        _expectExecuteError(
            stored, _noOps(2), abi.encodeWithSelector(BatchHashMismatch.selector, was, keccak256(abi.encode(stored[0])))
        );
        stored[0].priorityOperationsHash = bytes32(0);
        _expectExecuteError(stored, _noOps(2), abi.encodeWithSelector(PriorityOperationsRollingHashMismatch.selector));
    }

    function test_executeDataErrors() public {
        IExecutor.StoredBatchInfo[] memory stored = _commitMany(1);
        _prove(_batchZero(), stored);
        bytes memory data = _executeData(stored, _noOps(1));
        data[0] = 0x02;
        vm.expectRevert(abi.encodeWithSelector(UnsupportedExecuteBatchEncoding.selector, 2));
        vm.prank(executor);
        timelock.executeBatchesSharedBridge(chain, 1, 1, data);
        // Too few dependency roots: array index out of bounds.
        data = bytes.concat(hex"01", abi.encode(stored, _noOps(1), new InteropRoot[][](0)));
        vm.expectRevert(abi.encodeWithSignature("Panic(uint256)", 0x32));
        vm.prank(executor);
        timelock.executeBatchesSharedBridge(chain, 1, 1, data);

        InteropRoot[][] memory roots = new InteropRoot[][](1);
        roots[0] = new InteropRoot[](1);
        roots[0][0] = InteropRoot(5, 1, new bytes32[](1));
        data = bytes.concat(hex"01", abi.encode(stored, _noOps(1), roots));
        vm.expectRevert(CommitBasedInteropNotSupported.selector);
        vm.prank(executor);
        timelock.executeBatchesSharedBridge(chain, 1, 1, data);
        roots[0][0].chainId = block.chainid;
        data = bytes.concat(hex"01", abi.encode(stored, _noOps(1), roots));
        vm.expectRevert(MessageRootIsZero.selector);
        vm.prank(executor);
        timelock.executeBatchesSharedBridge(chain, 1, 1, data);
    }

    function _priorityBatch(uint64 number, bytes32[] memory hashes)
        private
        pure
        returns (CommitBatchInfoZKsyncOS memory batch)
    {
        batch = _plainBatch(number);
        batch.numberOfLayer1Txs = hashes.length;
        for (uint256 i = 0; i < hashes.length; ++i) {
            batch.priorityOperationsHash = keccak256(abi.encode(batch.priorityOperationsHash, hashes[i]));
        }
    }

    /// Two transactions are executed against a tree that has grown since; a wrong sibling is noticed.
    function test_executeWithLaterTree() public {
        bytes32[] memory hashes = new bytes32[](2);
        (hashes[0], hashes[1]) = (keccak256("a"), keccak256("b"));
        state.pushPriority(hashes[0]);
        state.pushPriority(hashes[1]);
        state.pushPriority(keccak256("c"));
        CommitBatchInfoZKsyncOS memory batch = _priorityBatch(1, hashes);
        _commit(_batchZero(), batch);
        IExecutor.StoredBatchInfo[] memory stored = _list(_stored(batch, 0));
        _prove(_batchZero(), stored);

        PriorityOpsBatchInfo[] memory ops = new PriorityOpsBatchInfo[](1);
        ops[0] = PriorityOpsBatchInfo(new bytes32[](2), new bytes32[](2), hashes);
        bytes32 pair = keccak256(abi.encode(hashes[0], hashes[1]));
        bytes32 wrong = keccak256(abi.encode(pair, bytes32(0)));
        _expectExecuteError(stored, ops, abi.encodeWithSelector(NotHistoricalRoot.selector, wrong));
        ops[0].rightPath[1] = keccak256(abi.encode(keccak256("c"), EMPTY_STRING_KECCAK));
        _execute(stored, ops);
        eq(GettersFacet(chain).getPriorityQueueSize(), 1);
    }

    function test_executionDelay() public {
        timelock.setExecutionDelay(100);
        IExecutor.StoredBatchInfo[] memory stored = _commitMany(1);
        _prove(_batchZero(), stored);
        vm.warp(NOW + 99);
        _expectExecuteError(stored, _noOps(1), abi.encodeWithSelector(TimeNotReached.selector, NOW + 100, NOW + 99));
        vm.warp(NOW + 100);
        _execute(stored, _noOps(1));
    }

    // ------------------------------------------------------------------------------------------ revert

    function test_revertAndRecommit() public {
        IExecutor.StoredBatchInfo[] memory stored = _commitMany(3);
        _prove(_batchZero(), stored);
        _execute(_list(stored[0]), _noOps(1));

        vm.startPrank(prover);
        vm.expectRevert(RevertedBatchNotAfterNewLastBatch.selector);
        timelock.revertBatchesSharedBridge(chain, 4);
        vm.expectRevert(CantRevertExecutedBatch.selector);
        timelock.revertBatchesSharedBridge(chain, 0);
        timelock.revertBatchesSharedBridge(chain, 1);
        vm.stopPrank();
        (uint256 committed, uint256 verified, uint256 executed) = _counters();
        eq(committed, 1);
        eq(verified, 1);
        eq(executed, 1);
        // Stale, but not gone.
        eq(GettersFacet(chain).storedBatchHash(3), keccak256(abi.encode(stored[2])));

        CommitBatchInfoZKsyncOS memory other = _plainBatch(2);
        other.newStateCommitment = keccak256("another branch");
        _commit(stored[0], other);
        eq(GettersFacet(chain).storedBatchHash(2), keccak256(abi.encode(_stored(other, 0))));
        _prove(stored[0], _list(_stored(other, 0)));
        _execute(_list(_stored(other, 0)), _noOps(1));
    }

    function test_upgradeTransactionLifeCycle() public {
        bytes32 upgradeTx = keccak256("upgrade");
        state.setUpgradeTx(upgradeTx);
        GettersFacet g = GettersFacet(chain);
        _commit(_batchZero(), _plainBatch(1));
        eq(g.getL2SystemContractsUpgradeBatchNumber(), 1);
        // Reverted: the transaction is required again.
        vm.prank(prover);
        timelock.revertBatchesSharedBridge(chain, 0);
        eq(g.getL2SystemContractsUpgradeBatchNumber(), 0);
        eq(g.getL2SystemContractsUpgradeTxHash(), upgradeTx);
        _commit(_batchZero(), _plainBatch(1));
        IExecutor.StoredBatchInfo memory first = _stored(_plainBatch(1), upgradeTx);
        eq(g.storedBatchHash(1), keccak256(abi.encode(first)));
        // Only one batch carries it.
        _commit(first, _plainBatch(2));
        eq(g.storedBatchHash(2), keccak256(abi.encode(_stored(_plainBatch(2), 0))));
        _prove(_batchZero(), _list(first));
        eq(g.getL2SystemContractsUpgradeTxHash(), upgradeTx);
        _execute(_list(first), _noOps(1));
        eq(g.getL2SystemContractsUpgradeTxHash(), 0);
        eq(g.getL2SystemContractsUpgradeBatchNumber(), 0);
    }
}
