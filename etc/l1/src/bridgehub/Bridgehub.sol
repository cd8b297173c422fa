// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {BridgehubL2TransactionRequest, L2Log, L2Message, TxStatus} from "@zksync/common/Messaging.sol";
import {
    L2TransactionRequestDirect,
    L2TransactionRequestTwoBridgesOuter,
    L2TransactionRequestTwoBridgesInner
} from "@zksync/bridgehub/IBridgehub.sol";
import {IMessageRoot} from "@zksync/bridgehub/IMessageRoot.sol";
import {AddressAliasHelper} from "@zksync/vendor/AddressAliasHelper.sol";
import {IAssetRouter, IChain, IChainTypeManagerBase, INativeTokenVaultBase} from "./Interfaces.sol";
import {Owned} from "../common/Owned.sol";
import {TWO_BRIDGES_MAGIC_VALUE, BRIDGEHUB_MIN_SECOND_BRIDGE_ADDRESS, ETH_TOKEN_ADDRESS} from "../common/Types.sol";
import "../common/Errors.sol";

/// Registry of chains and the entrance for everything between L1 and L2.
contract Bridgehub is Owned {
    uint256 public constant MAX_NUMBER_OF_ZK_CHAINS = 100;

    address public admin;
    address public pendingAdmin;
    address public assetRouter;
    address public messageRoot;
    address public l1CtmDeployer;
    address public chainAssetHandler;
    bool public migrationPaused;

    mapping(address => bool) public chainTypeManagerIsRegistered;
    mapping(uint256 => address) public chainTypeManager;
    mapping(uint256 => bytes32) public baseTokenAssetId;
    mapping(bytes32 => bool) public assetIdIsRegistered;
    mapping(uint256 => bool) public whitelistedSettlementLayers;
    /// Chain id of the layer that a chain settles on.
    mapping(uint256 => uint256) public settlementLayer;

    mapping(uint256 => address) private chains;
    uint256[] private chainIds;
    uint256 private lock = 1;

    event NewPendingAdmin(address indexed oldPendingAdmin, address indexed newPendingAdmin);
    event NewAdmin(address indexed oldAdmin, address indexed newAdmin);
    event NewChain(uint256 indexed chainId, address chainTypeManager, address indexed chainGovernance);
    event ChainTypeManagerAdded(address indexed chainTypeManager);
    event ChainTypeManagerRemoved(address indexed chainTypeManager);
    event BaseTokenAssetIdRegistered(bytes32 indexed assetId);
    event SettlementLayerRegistered(uint256 indexed chainId, bool indexed isWhitelisted);

    constructor(address initialOwner) Owned(initialOwner) {
        whitelistedSettlementLayers[block.chainid] = true;
        emit SettlementLayerRegistered(block.chainid, true);
    }

    modifier nonReentrant() {
        if (lock == 2) revert Reentrancy();
        lock = 2;
        _;
        lock = 1;
    }

    modifier onlyOwnerOrAdmin() {
        if (msg.sender != owner && msg.sender != admin) revert Unauthorized(msg.sender);
        _;
    }

    // ------------------------------------------------------------------------------------------ settings

    function setPendingAdmin(address newPendingAdmin) external onlyOwnerOrAdmin {
        emit NewPendingAdmin(pendingAdmin, newPendingAdmin);
        pendingAdmin = newPendingAdmin;
    }

    function acceptAdmin() external {
        if (msg.sender != pendingAdmin) revert Unauthorized(msg.sender);
        emit NewPendingAdmin(pendingAdmin, address(0));
        emit NewAdmin(admin, msg.sender);
        admin = msg.sender;
        delete pendingAdmin;
    }

    function setAddresses(address router, address ctmDeployer, address root, address assetHandler) external onlyOwner {
        assetRouter = router;
        l1CtmDeployer = ctmDeployer;
        messageRoot = root;
        chainAssetHandler = assetHandler;
    }

    function addChainTypeManager(address ctm) external onlyOwner {
        chainTypeManagerIsRegistered[ctm] = true;
        emit ChainTypeManagerAdded(ctm);
    }

    function removeChainTypeManager(address ctm) external onlyOwner {
        chainTypeManagerIsRegistered[ctm] = false;
        emit ChainTypeManagerRemoved(ctm);
    }

    function addTokenAssetId(bytes32 assetId) external onlyOwnerOrAdmin {
        assetIdIsRegistered[assetId] = true;
        emit BaseTokenAssetIdRegistered(assetId);
    }

    function registerSettlementLayer(uint256 chainId, bool isWhitelisted) external onlyOwner {
        whitelistedSettlementLayers[chainId] = isWhitelisted;
        emit SettlementLayerRegistered(chainId, isWhitelisted);
    }

    // ------------------------------------------------------------------------------------------ registry

    function L1_CHAIN_ID() external view returns (uint256) {
        return block.chainid;
    }

    /// Older name of the asset router.
    function sharedBridge() external view returns (address) {
        return assetRouter;
    }

    function getZKChain(uint256 chainId) external view returns (address) {
        return chains[chainId];
    }

    function getHyperchain(uint256 chainId) external view returns (address) {
        return chains[chainId];
    }

    function getAllZKChainChainIDs() external view returns (uint256[] memory) {
        return chainIds;
    }

    function getAllZKChains() external view returns (address[] memory result) {
        result = new address[](chainIds.length);
        for (uint256 i = 0; i < result.length; ++i) {
            result[i] = chains[chainIds[i]];
        }
    }

    function baseToken(uint256 chainId) public view returns (address) {
        return
            INativeTokenVaultBase(IAssetRouter(assetRouter).nativeTokenVault()).tokenAddress(baseTokenAssetId[chainId]);
    }

    function createNewChain(
        uint256 chainId,
        address ctm,
        bytes32 assetId,
        uint256,
        address chainAdmin,
        bytes calldata initData,
        bytes[] calldata factoryDeps
    ) external onlyOwnerOrAdmin nonReentrant returns (uint256) {
        if (chainId == 0 || chainId > type(uint48).max || chainId == block.chainid) {
            revert InvalidChainId();
        }
        if (!chainTypeManagerIsRegistered[ctm]) revert CTMNotRegistered();
        if (!assetIdIsRegistered[assetId]) revert AssetIdNotSupported(assetId);
        if (chains[chainId] != address(0)) revert ChainAlreadyExists(chainId);
        if (chainIds.length >= MAX_NUMBER_OF_ZK_CHAINS) revert NotSupported();
        chainTypeManager[chainId] = ctm;
        baseTokenAssetId[chainId] = assetId;
        settlementLayer[chainId] = block.chainid;
        chains[chainId] = IChainTypeManagerBase(ctm).createNewChain(chainId, assetId, chainAdmin, initData, factoryDeps);
        chainIds.push(chainId);
        IMessageRoot(messageRoot).addNewChain(chainId);
        emit NewChain(chainId, ctm, chainAdmin);
        return chainId;
    }

    // ------------------------------------------------------------------------------------------ L1 to L2

    function l2TransactionBaseCost(uint256 chainId, uint256 gasPrice, uint256 l2GasLimit, uint256 gasPerPubdata)
        external
        view
        returns (uint256)
    {
        return IChain(_chain(chainId)).l2TransactionBaseCost(gasPrice, l2GasLimit, gasPerPubdata);
    }

    /// A call on L2 by the sender itself; also the way to bring the base token there.
    function requestL2TransactionDirect(L2TransactionRequestDirect calldata request)
        external
        payable
        nonReentrant
        returns (bytes32)
    {
        bytes32 assetId = baseTokenAssetId[request.chainId];
        if (_isEthBased(request.chainId)) {
            if (msg.value != request.mintValue) revert MsgValueMismatch(request.mintValue, msg.value);
        } else if (msg.value != 0) {
            revert MsgValueMismatch(0, msg.value);
        }
        IAssetRouter(assetRouter).bridgehubDepositBaseToken{value: msg.value}(
            request.chainId, assetId, msg.sender, request.mintValue
        );
        return IChain(_chain(request.chainId))
            .bridgehubRequestL2Transaction(
                BridgehubL2TransactionRequest({
                sender: msg.sender,
                contractL2: request.l2Contract,
                mintValue: request.mintValue,
                l2Value: request.l2Value,
                l2Calldata: request.l2Calldata,
                l2GasLimit: request.l2GasLimit,
                l2GasPerPubdataByteLimit: request.l2GasPerPubdataByteLimit,
                factoryDeps: request.factoryDeps,
                refundRecipient: AddressAliasHelper.actualRefundRecipient(request.refundRecipient, msg.sender)
            })
            );
    }

    /// A deposit of another asset: the second bridge takes it and says what its counterpart on L2 is to be told.
    function requestL2TransactionTwoBridges(L2TransactionRequestTwoBridgesOuter calldata request)
        external
        payable
        nonReentrant
        returns (bytes32 txHash)
    {
        if (request.secondBridgeAddress <= BRIDGEHUB_MIN_SECOND_BRIDGE_ADDRESS) {
            revert SecondBridgeAddressTooLow(request.secondBridgeAddress, BRIDGEHUB_MIN_SECOND_BRIDGE_ADDRESS);
        }
        uint256 baseTokenValue = _checkTwoBridgesValue(request);
        IAssetRouter(assetRouter).bridgehubDepositBaseToken{value: baseTokenValue}(
            request.chainId, baseTokenAssetId[request.chainId], msg.sender, request.mintValue
        );
        L2TransactionRequestTwoBridgesInner memory inner = IAssetRouter(request.secondBridgeAddress)
        .bridgehubDeposit{value: request.secondBridgeValue}(
            request.chainId, msg.sender, request.l2Value, request.secondBridgeCalldata
        );
        if (inner.magicValue != TWO_BRIDGES_MAGIC_VALUE) {
            revert WrongMagicValue(uint256(TWO_BRIDGES_MAGIC_VALUE), uint256(inner.magicValue));
        }
        txHash = IChain(_chain(request.chainId))
            .bridgehubRequestL2Transaction(
                BridgehubL2TransactionRequest({
                sender: request.secondBridgeAddress,
                contractL2: inner.l2Contract,
                mintValue: request.mintValue,
                l2Value: request.l2Value,
                l2Calldata: inner.l2Calldata,
                l2GasLimit: request.l2GasLimit,
                l2GasPerPubdataByteLimit: request.l2GasPerPubdataByteLimit,
                factoryDeps: inner.factoryDeps,
                refundRecipient: AddressAliasHelper.actualRefundRecipient(request.refundRecipient, msg.sender)
            })
            );
        IAssetRouter(request.secondBridgeAddress)
            .bridgehubConfirmL2Transaction(request.chainId, inner.txDataHash, txHash);
    }

    function _checkTwoBridgesValue(L2TransactionRequestTwoBridgesOuter calldata request)
        private
        view
        returns (uint256 baseTokenValue)
    {
        baseTokenValue = _isEthBased(request.chainId) ? request.mintValue : 0;
        uint256 expected = baseTokenValue + request.secondBridgeValue;
        if (msg.value != expected) revert MsgValueMismatch(expected, msg.value);
    }

    // ------------------------------------------------------------------------------------------ L2 to L1

    function proveL2MessageInclusion(
        uint256 chainId,
        uint256 batchNumber,
        uint256 index,
        L2Message calldata message,
        bytes32[] calldata proof
    ) external view returns (bool) {
        return IChain(_chain(chainId)).proveL2MessageInclusion(batchNumber, index, message, proof);
    }

    function proveL2LogInclusion(
        uint256 chainId,
        uint256 batchNumber,
        uint256 index,
        L2Log calldata log,
        bytes32[] calldata proof
    ) external view returns (bool) {
        return IChain(_chain(chainId)).proveL2LogInclusion(batchNumber, index, log, proof);
    }

    function proveL1ToL2TransactionStatus(
        uint256 chainId,
        bytes32 l2TxHash,
        uint256 l2BatchNumber,
        uint256 l2MessageIndex,
        uint16 l2TxNumberInBatch,
        bytes32[] calldata merkleProof,
        TxStatus status
    ) external view returns (bool) {
        return IChain(_chain(chainId))
            .proveL1ToL2TransactionStatus(
                l2TxHash, l2BatchNumber, l2MessageIndex, l2TxNumberInBatch, merkleProof, status
            );
    }

    function _chain(uint256 chainId) private view returns (address chain) {
        chain = chains[chainId];
        if (chain == address(0)) revert ChainNotRegistered(chainId);
    }

    function _isEthBased(uint256 chainId) private view returns (bool) {
        _chain(chainId);
        return baseToken(chainId) == ETH_TOKEN_ADDRESS;
    }
}
