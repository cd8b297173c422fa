// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {Diamond} from "@zksync/state-transition/libraries/Diamond.sol";
import {IExecutor} from "@zksync/state-transition/chain-interfaces/IExecutor.sol";
import {PriorityTree, PriorityOpsBatchInfo} from "@zksync/state-transition/libraries/PriorityTree.sol";
import {InteropRoot} from "@zksync/common/Messaging.sol";
import {Ecosystem, GenesisInput, Operators} from "../scripts/Ecosystem.sol";
import {vm} from "../scripts/Vm.sol";
import {ChainBase} from "../src/chain/ChainStorage.sol";
import {GettersFacet} from "../src/chain/Getters.sol";
import {ChainAdmin} from "../src/governance/Governance.sol";
import "../src/common/Types.sol";

/// Extra facet that puts a chain into states the tests need.
contract StateFacet is ChainBase {
    using PriorityTree for PriorityTree.Tree;

    function pushPriority(bytes32 hash) external {
        s.priorityTree.push(hash);
    }

    function processPriority(PriorityOpsBatchInfo calldata info) external {
        s.priorityTree.processBatch(info);
    }

    function setUnprocessed(uint256 index) external {
        s.priorityTree.unprocessedIndex = index;
    }

    function setUpgradeTx(bytes32 hash) external {
        s.l2SystemContractsUpgradeTxHash = hash;
        s.l2SystemContractsUpgradeBatchNumber = 0;
    }

    /// Pretends that a batch with these logs was executed.
    function setExecuted(uint256 batch, bytes32 logsRoot) external {
        s.totalBatchesExecuted = batch;
        s.l2LogsRootHashes[batch] = logsRoot;
    }
}

/// A deployed ecosystem, ways to make chains in it, encoders of operator calls.
abstract contract Base is Ecosystem {
    uint256 internal constant NOW = 1_760_000_100;
    uint256 internal constant CHAIN_ID = 6565;
    bytes32 internal constant GENESIS_ROOT = 0x6d485ef96ab683ea6bc450b63e6eb9de143f9f19d0fe89b7b536ae8a689e6982;

    address internal committer = address(0xc0);
    address internal prover = address(0xc1);
    address internal executor = address(0xc2);

    ChainAdmin internal admin;
    address internal chain;

    function setUp() public virtual {
        vm.warp(NOW);
        GenesisInput memory genesis;
        genesis.genesisRoot = GENESIS_ROOT;
        _deployEcosystem(address(this), genesis);
        admin = new ChainAdmin(address(this));
        chain = _newChain(CHAIN_ID, address(rollupDA), L2DACommitmentScheme.BLOBS_AND_PUBDATA_KECCAK256);
    }

    function _newChain(uint256 chainId, address da, L2DACommitmentScheme scheme) internal returns (address created) {
        created = _createChain(chainId, address(admin), new bytes[](0));
        admin.multicall(_configurationCalls(created, Operators(committer, prover, executor), da, scheme), true);
    }

    /// Adds the test facet and drops the genesis upgrade transaction, as if it had been executed.
    function _openUp(address target, uint256 chainId) internal returns (StateFacet) {
        Diamond.FacetCut[] memory cuts = new Diamond.FacetCut[](1);
        bytes4[] memory list = new bytes4[](5);
        list[0] = StateFacet.pushPriority.selector;
        list[1] = StateFacet.processPriority.selector;
        list[2] = StateFacet.setUnprocessed.selector;
        list[3] = StateFacet.setUpgradeTx.selector;
        list[4] = StateFacet.setExecuted.selector;
        cuts[0] = Diamond.FacetCut(address(new StateFacet()), Diamond.Action.Add, false, list);
        ctm.executeUpgrade(chainId, Diamond.DiamondCutData(cuts, address(0), ""));
        StateFacet(target).setUpgradeTx(bytes32(0));
        return StateFacet(target);
    }

    // ------------------------------------------------------------------------------------------ batches

    function _batchZero() internal pure returns (IExecutor.StoredBatchInfo memory) {
        return IExecutor.StoredBatchInfo({
            batchNumber: 0,
            batchHash: GENESIS_ROOT,
            indexRepeatedStorageChanges: 0,
            numberOfLayer1Txs: 0,
            priorityOperationsHash: EMPTY_STRING_KECCAK,
            dependencyRootsRollingHash: bytes32(0),
            l2LogsTreeRoot: bytes32(0),
            timestamp: 0,
            commitment: bytes32(uint256(1))
        });
    }

    function _calldataDA(bytes memory pubdata) internal pure returns (bytes32 commitment, bytes memory input) {
        bytes memory header = abi.encodePacked(bytes32(0), keccak256(pubdata), uint8(1), bytes32(0));
        return (keccak256(header), bytes.concat(header, hex"00", pubdata, bytes32(0)));
    }

    /// A batch without L1 transactions.
    function _plainBatch(uint64 number) internal pure returns (CommitBatchInfoZKsyncOS memory batch) {
        batch.batchNumber = number;
        batch.newStateCommitment = keccak256(abi.encode("state", number));
        batch.priorityOperationsHash = EMPTY_STRING_KECCAK;
        batch.l2LogsTreeRoot = keccak256(abi.encode("logs", number));
        batch.daCommitmentScheme = L2DACommitmentScheme.BLOBS_AND_PUBDATA_KECCAK256;
        batch.firstBlockTimestamp = 1_760_000_000;
        batch.firstBlockNumber = number;
        batch.lastBlockTimestamp = 1_760_000_001;
        batch.lastBlockNumber = number;
        batch.chainId = CHAIN_ID;
        (batch.daCommitment, batch.operatorDAInput) = _calldataDA(abi.encode("pubdata", number));
    }

    function _outputHash(CommitBatchInfoZKsyncOS memory b, bytes32 upgradeTx) internal pure returns (bytes32) {
        bytes memory head = abi.encodePacked(
            b.chainId, b.firstBlockTimestamp, b.lastBlockTimestamp, uint256(b.daCommitmentScheme), b.daCommitment
        );
        bytes memory tail = abi.encodePacked(
            b.numberOfLayer1Txs, b.priorityOperationsHash, b.l2LogsTreeRoot, upgradeTx, b.dependencyRootsRollingHash
        );
        return keccak256(bytes.concat(head, tail));
    }

    function _stored(CommitBatchInfoZKsyncOS memory b, bytes32 upgradeTx)
        internal
        pure
        returns (IExecutor.StoredBatchInfo memory)
    {
        return IExecutor.StoredBatchInfo({
            batchNumber: b.batchNumber,
            batchHash: b.newStateCommitment,
            indexRepeatedStorageChanges: 0,
            numberOfLayer1Txs: b.numberOfLayer1Txs,
            priorityOperationsHash: b.priorityOperationsHash,
            dependencyRootsRollingHash: b.dependencyRootsRollingHash,
            l2LogsTreeRoot: b.l2LogsTreeRoot,
            timestamp: 0,
            commitment: _outputHash(b, upgradeTx)
        });
    }

    function _commitData(IExecutor.StoredBatchInfo memory previous, CommitBatchInfoZKsyncOS memory batch)
        internal
        pure
        returns (bytes memory)
    {
        CommitBatchInfoZKsyncOS[] memory batches = new CommitBatchInfoZKsyncOS[](1);
        batches[0] = batch;
        return bytes.concat(hex"03", abi.encode(previous, batches));
    }

    function _commit(IExecutor.StoredBatchInfo memory previous, CommitBatchInfoZKsyncOS memory batch) internal {
        vm.prank(committer);
        timelock.commitBatchesSharedBridge(chain, batch.batchNumber, batch.batchNumber, _commitData(previous, batch));
    }

    function _publicInput(bytes32 before, IExecutor.StoredBatchInfo memory batch) internal pure returns (uint256) {
        return uint256(keccak256(abi.encodePacked(before, batch.batchHash, batch.commitment))) >> 32;
    }

    function _mockProof(IExecutor.StoredBatchInfo memory previous, IExecutor.StoredBatchInfo[] memory batches)
        internal
        pure
        returns (uint256[] memory proof)
    {
        uint256 aggregated = _publicInput(previous.batchHash, batches[0]);
        for (uint256 i = 1; i < batches.length; ++i) {
            uint256 next = _publicInput(batches[i - 1].batchHash, batches[i]);
            aggregated = uint256(keccak256(abi.encode(aggregated, next))) >> 32;
        }
        proof = new uint256[](4);
        proof[0] = 3;
        proof[2] = 13;
        proof[3] = aggregated;
    }

    function _proofData(
        IExecutor.StoredBatchInfo memory previous,
        IExecutor.StoredBatchInfo[] memory batches,
        uint256[] memory proof
    ) internal pure returns (bytes memory) {
        return bytes.concat(hex"01", abi.encode(previous, batches, proof));
    }

    function _prove(IExecutor.StoredBatchInfo memory previous, IExecutor.StoredBatchInfo[] memory batches) internal {
        bytes memory data = _proofData(previous, batches, _mockProof(previous, batches));
        vm.prank(prover);
        timelock.proveBatchesSharedBridge(chain, batches[0].batchNumber, batches[batches.length - 1].batchNumber, data);
    }

    function _executeData(IExecutor.StoredBatchInfo[] memory batches, PriorityOpsBatchInfo[] memory ops)
        internal
        pure
        returns (bytes memory)
    {
        return bytes.concat(hex"01", abi.encode(batches, ops, new InteropRoot[][](batches.length)));
    }

    function _execute(IExecutor.StoredBatchInfo[] memory batches, PriorityOpsBatchInfo[] memory ops) internal {
        bytes memory data = _executeData(batches, ops);
        vm.prank(executor);
        timelock.executeBatchesSharedBridge(
            chain, batches[0].batchNumber, batches[batches.length - 1].batchNumber, data
        );
    }

    function _list(IExecutor.StoredBatchInfo memory batch)
        internal
        pure
        returns (IExecutor.StoredBatchInfo[] memory batches)
    {
        batches = new IExecutor.StoredBatchInfo[](1);
        batches[0] = batch;
    }

    function _noOps(uint256 count) internal pure returns (PriorityOpsBatchInfo[] memory ops) {
        ops = new PriorityOpsBatchInfo[](count);
    }

    function _counters() internal view returns (uint256, uint256, uint256) {
        GettersFacet g = GettersFacet(chain);
        return (g.getTotalBatchesCommitted(), g.getTotalBatchesVerified(), g.getTotalBatchesExecuted());
    }

    // ------------------------------------------------------------------------------------------ assertions

    error NotEqual(bytes32 actual, bytes32 expected);
    error NotTrue(string what);

    function eq(bytes32 actual, bytes32 expected) internal pure {
        if (actual != expected) revert NotEqual(actual, expected);
    }

    function eq(uint256 actual, uint256 expected) internal pure {
        eq(bytes32(actual), bytes32(expected));
    }

    function eq(address actual, address expected) internal pure {
        eq(bytes32(uint256(uint160(actual))), bytes32(uint256(uint160(expected))));
    }

    function isTrue(bool condition, string memory what) internal pure {
        if (!condition) revert NotTrue(what);
    }
}
