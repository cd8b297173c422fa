// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {PriorityTree} from "@zksync/state-transition/libraries/PriorityTree.sol";
import {PubdataPricingMode, FeeParams} from "@zksync/state-transition/chain-deps/ZKChainStorage.sol";
import {Diamond} from "@zksync/state-transition/libraries/Diamond.sol";
import {ChainBase} from "./ChainStorage.sol";
import {IBridgehubBase} from "../bridgehub/Interfaces.sol";
import {L2DACommitmentScheme} from "../common/Types.sol";
import {SemVer} from "../common/SemVer.sol";

/// Read access to a chain; never frozen.
contract GettersFacet is ChainBase {
    using PriorityTree for PriorityTree.Tree;

    function getName() external pure returns (string memory) {
        return "GettersFacet";
    }

    function getTotalBatchesCommitted() external view returns (uint256) {
        return s.totalBatchesCommitted;
    }

    function getTotalBatchesVerified() external view returns (uint256) {
        return s.totalBatchesVerified;
    }

    function getTotalBatchesExecuted() external view returns (uint256) {
        return s.totalBatchesExecuted;
    }

    /// A value above the committed counter belongs to a reverted batch.
    function storedBatchHash(uint256 batchNumber) external view returns (bytes32) {
        return s.storedBatchHashes[batchNumber];
    }

    /// Zero until the batch is executed.
    function l2LogsRootHash(uint256 batchNumber) external view returns (bytes32) {
        return s.l2LogsRootHashes[batchNumber];
    }

    function getTotalPriorityTxs() external view returns (uint256) {
        return s.priorityTree.getTotalPriorityTxs();
    }

    function getFirstUnprocessedPriorityTx() external view returns (uint256) {
        return s.priorityTree.getFirstUnprocessedPriorityTx();
    }

    function getPriorityTreeStartIndex() external view returns (uint256) {
        return s.priorityTree.startIndex;
    }

    function getPriorityTreeRoot() external view returns (bytes32) {
        return s.priorityTree.getRoot();
    }

    function getPriorityQueueSize() external view returns (uint256) {
        return s.priorityTree.getSize();
    }

    function isPriorityQueueActive() external pure returns (bool) {
        return false;
    }

    function getPriorityTxMaxGasLimit() external view returns (uint256) {
        return s.priorityTxMaxGasLimit;
    }

    function getTransactionFilterer() external view returns (address) {
        return s.transactionFilterer;
    }

    function getPubdataPricingMode() external view returns (PubdataPricingMode) {
        return s.feeParams.pubdataPricingMode;
    }

    function getFeeParams() external view returns (FeeParams memory) {
        return s.feeParams;
    }

    function getDAValidatorPair() external view returns (address, L2DACommitmentScheme) {
        return (s.l1DAValidator, s.l2DACommitmentScheme);
    }

    function getAdmin() external view returns (address) {
        return s.admin;
    }

    function getPendingAdmin() external view returns (address) {
        return s.pendingAdmin;
    }

    function getChainTypeManager() external view returns (address) {
        return s.chainTypeManager;
    }

    function getBridgehub() external view returns (address) {
        return s.bridgehub;
    }

    function getChainId() external view returns (uint256) {
        return s.chainId;
    }

    function getVerifier() external view returns (address) {
        return s.verifier;
    }

    function isValidator(address account) external view returns (bool) {
        return s.validators[account];
    }

    function getProtocolVersion() external view returns (uint256) {
        return s.protocolVersion;
    }

    function getSemverProtocolVersion() external view returns (uint32, uint32, uint32) {
        return SemVer.unpack(s.protocolVersion);
    }

    /// Zero: the chain settles here.
    function getSettlementLayer() external view returns (address) {
        return s.settlementLayer;
    }

    function getBaseToken() external view returns (address) {
        return IBridgehubBase(s.bridgehub).baseToken(s.chainId);
    }

    function getBaseTokenAssetId() external view returns (bytes32) {
        return s.baseTokenAssetId;
    }

    function baseTokenGasPriceMultiplierNominator() external view returns (uint128) {
        return s.baseTokenGasPriceMultiplierNominator;
    }

    function baseTokenGasPriceMultiplierDenominator() external view returns (uint128) {
        return s.baseTokenGasPriceMultiplierDenominator;
    }

    /// The upgrade transaction that the chain still has to execute, zero if none.
    function getL2SystemContractsUpgradeTxHash() external view returns (bytes32) {
        return s.l2SystemContractsUpgradeTxHash;
    }

    /// The batch that carries the pending upgrade transaction, zero while none is committed.
    function getL2SystemContractsUpgradeBatchNumber() external view returns (uint256) {
        return s.l2SystemContractsUpgradeBatchNumber;
    }

    function isDiamondStorageFrozen() external view returns (bool) {
        return _isFrozen();
    }

    function facetAddress(bytes4 selector) external view returns (address) {
        return Diamond.getDiamondStorage().selectorToFacet[selector].facetAddress;
    }

    struct Facet {
        address addr;
        bytes4[] selectors;
    }

    function facets() external view returns (Facet[] memory result) {
        Diamond.DiamondStorage storage ds = Diamond.getDiamondStorage();
        result = new Facet[](ds.facets.length);
        for (uint256 i = 0; i < result.length; ++i) {
            result[i] = Facet(ds.facets[i], ds.facetToSelectors[ds.facets[i]].selectors);
        }
    }

    function facetAddresses() external view returns (address[] memory) {
        return Diamond.getDiamondStorage().facets;
    }
}
