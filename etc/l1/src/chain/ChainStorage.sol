// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {PriorityTree} from "@zksync/state-transition/libraries/PriorityTree.sol";
import {FeeParams} from "@zksync/state-transition/chain-deps/ZKChainStorage.sol";
import {Diamond} from "@zksync/state-transition/libraries/Diamond.sol";
import {L2DACommitmentScheme} from "../common/Types.sol";
import {Reentrancy, Unauthorized, NotSettlementLayer} from "../common/Errors.sol";

/// State of one chain; all facets and upgrade contracts see it at slot 0 of the diamond proxy.
struct ChainStorage {
    uint256 lock;
    uint256 chainId;
    address bridgehub;
    address chainTypeManager;
    address admin;
    address pendingAdmin;
    bytes32 baseTokenAssetId;
    uint256 protocolVersion;
    address verifier;
    mapping(address => bool) validators;
    // Settlement pipeline: executed <= verified <= committed.
    uint256 totalBatchesCommitted;
    uint256 totalBatchesVerified;
    uint256 totalBatchesExecuted;
    /// Entries above `totalBatchesCommitted` are leftovers of reverted batches, not facts.
    mapping(uint256 => bytes32) storedBatchHashes;
    mapping(uint256 => bytes32) l2LogsRootHashes;
    // Priority transactions.
    PriorityTree.Tree priorityTree;
    uint256 priorityTxMaxGasLimit;
    FeeParams feeParams;
    uint128 baseTokenGasPriceMultiplierNominator;
    uint128 baseTokenGasPriceMultiplierDenominator;
    address transactionFilterer;
    // Pending upgrade transaction: set by an upgrade, bound to a batch by commit, cleared by its execution.
    bytes32 l2SystemContractsUpgradeTxHash;
    uint256 l2SystemContractsUpgradeBatchNumber;
    // Data availability and settlement layer (zero: this one).
    address l1DAValidator;
    L2DACommitmentScheme l2DACommitmentScheme;
    address settlementLayer;
}

/// What every facet shares: the storage and the access rules.
abstract contract ChainBase {
    ChainStorage internal s;

    modifier nonReentrant() {
        if (s.lock == 2) revert Reentrancy();
        s.lock = 2;
        _;
        s.lock = 1;
    }

    modifier onlyAdmin() {
        if (msg.sender != s.admin) revert Unauthorized(msg.sender);
        _;
    }

    modifier onlyValidator() {
        if (!s.validators[msg.sender]) revert Unauthorized(msg.sender);
        _;
    }

    modifier onlyBridgehub() {
        if (msg.sender != s.bridgehub) revert Unauthorized(msg.sender);
        _;
    }

    modifier onlyChainTypeManager() {
        if (msg.sender != s.chainTypeManager) revert Unauthorized(msg.sender);
        _;
    }

    modifier onlyAdminOrChainTypeManager() {
        if (msg.sender != s.admin && msg.sender != s.chainTypeManager) revert Unauthorized(msg.sender);
        _;
    }

    modifier onlyValidatorOrChainTypeManager() {
        if (!s.validators[msg.sender] && msg.sender != s.chainTypeManager) revert Unauthorized(msg.sender);
        _;
    }

    modifier onlySettlementLayer() {
        if (s.settlementLayer != address(0)) revert NotSettlementLayer();
        _;
    }

    function _isFrozen() internal view returns (bool) {
        return Diamond.getDiamondStorage().isFrozen;
    }
}
