// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {BridgehubL2TransactionRequest, L2Log, L2Message, TxStatus} from "@zksync/common/Messaging.sol";
import {Diamond} from "@zksync/state-transition/libraries/Diamond.sol";
import {L2TransactionRequestTwoBridgesInner} from "@zksync/bridgehub/IBridgehub.sol";
import {ProposedUpgrade} from "../common/Types.sol";

// The parts of each contract that the others of this folder call.

interface IBridgehubBase {
    function owner() external view returns (address);
    function getZKChain(uint256 chainId) external view returns (address);
    function chainTypeManager(uint256 chainId) external view returns (address);
    function baseToken(uint256 chainId) external view returns (address);
    function baseTokenAssetId(uint256 chainId) external view returns (bytes32);
    function assetRouter() external view returns (address);
    function messageRoot() external view returns (address);
    function l1CtmDeployer() external view returns (address);
    function whitelistedSettlementLayers(uint256 chainId) external view returns (bool);
    function proveL2MessageInclusion(
        uint256 chainId,
        uint256 batchNumber,
        uint256 index,
        L2Message calldata message,
        bytes32[] calldata proof
    ) external view returns (bool);
    function proveL1ToL2TransactionStatus(
        uint256 chainId,
        bytes32 l2TxHash,
        uint256 l2BatchNumber,
        uint256 l2MessageIndex,
        uint16 l2TxNumberInBatch,
        bytes32[] calldata merkleProof,
        TxStatus status
    ) external view returns (bool);
}

interface IChain {
    function getAdmin() external view returns (address);
    function getChainId() external view returns (uint256);
    function getProtocolVersion() external view returns (uint256);
    function genesisUpgrade(
        address l1GenesisUpgrade,
        address ctmDeployer,
        bytes calldata forceDeploymentsData,
        bytes[] calldata factoryDeps
    ) external;
    function bridgehubRequestL2Transaction(BridgehubL2TransactionRequest calldata request) external returns (bytes32);
    function l2TransactionBaseCost(uint256 gasPrice, uint256 l2GasLimit, uint256 gasPerPubdata)
        external
        view
        returns (uint256);
    function proveL2MessageInclusion(
        uint256 batchNumber,
        uint256 index,
        L2Message calldata message,
        bytes32[] calldata proof
    ) external view returns (bool);
    function proveL2LogInclusion(uint256 batchNumber, uint256 index, L2Log calldata log, bytes32[] calldata proof)
        external
        view
        returns (bool);
    function proveL2LeafInclusion(uint256 batchNumber, uint256 leafProofMask, bytes32 leaf, bytes32[] calldata proof)
        external
        view
        returns (bool);
    function proveL1ToL2TransactionStatus(
        bytes32 l2TxHash,
        uint256 l2BatchNumber,
        uint256 l2MessageIndex,
        uint16 l2TxNumberInBatch,
        bytes32[] calldata merkleProof,
        TxStatus status
    ) external view returns (bool);
    function revertBatchesSharedBridge(address chain, uint256 newLastBatch) external;
    function freezeDiamond() external;
    function unfreezeDiamond() external;
    function upgradeChainFromVersion(uint256 oldProtocolVersion, Diamond.DiamondCutData calldata cut) external;
    function executeUpgrade(Diamond.DiamondCutData calldata cut) external;
    function setTokenMultiplier(uint128 nominator, uint128 denominator) external;
}

interface IChainTypeManagerBase {
    function protocolVersionIsActive(uint256 version) external view returns (bool);
    function upgradeCutHash(uint256 oldVersion) external view returns (bytes32);
    function createNewChain(
        uint256 chainId,
        bytes32 baseTokenAssetId,
        address admin,
        bytes calldata initData,
        bytes[] calldata factoryDeps
    ) external returns (address);
}

interface IAssetRouter {
    function bridgehubDepositBaseToken(uint256 chainId, bytes32 assetId, address originalCaller, uint256 amount)
        external
        payable;
    function bridgehubDeposit(uint256 chainId, address originalCaller, uint256 value, bytes calldata data)
        external
        payable
        returns (L2TransactionRequestTwoBridgesInner memory);
    function bridgehubConfirmL2Transaction(uint256 chainId, bytes32 txDataHash, bytes32 txHash) external;
    function finalizeDeposit(uint256 chainId, bytes32 assetId, bytes calldata transferData) external payable;
    function bridgeRecoverFailedTransfer(
        uint256 chainId,
        address depositSender,
        bytes32 assetId,
        bytes calldata assetData
    ) external;
    function nativeTokenVault() external view returns (address);
}

interface INativeTokenVaultBase {
    function tokenAddress(bytes32 assetId) external view returns (address);
    function assetId(address token) external view returns (bytes32);
    function originChainId(bytes32 assetId) external view returns (uint256);
    function getERC20Getters(address token, uint256 originChainId) external view returns (bytes memory);
    function ensureTokenIsRegistered(address token) external returns (bytes32);
    function bridgeRecoverFailedTransfer(uint256 chainId, bytes32 assetId, address depositSender, bytes calldata data)
        external
        payable;
}

interface IUpgrade {
    function upgrade(ProposedUpgrade calldata proposed) external returns (bytes32);
}

interface IL1GenesisUpgrade {
    function genesisUpgrade(
        address l1GenesisUpgrade,
        uint256 chainId,
        uint256 protocolVersion,
        address ctmDeployer,
        bytes calldata forceDeploymentsData,
        bytes[] calldata factoryDeps
    ) external returns (bytes32);
}
