// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {L2TransactionRequestTwoBridgesInner} from "@zksync/bridgehub/IBridgehub.sol";
import {IBridgehubBase, INativeTokenVaultBase} from "../bridgehub/Interfaces.sol";
import {IAssetHandlerBase, IERC20, INullifierConfirm, IL2AssetRouterDeposits} from "./Interfaces.sol";
import {BridgeData} from "./BridgeData.sol";
import {Owned} from "../common/Owned.sol";
import {L2_ASSET_ROUTER, TWO_BRIDGES_MAGIC_VALUE, ETH_TOKEN_ADDRESS} from "../common/Types.sol";
import "../common/Errors.sol";

/// Finds the handler of an asset and hands it deposits and withdrawals.
contract L1AssetRouter is Owned {
    address public immutable BRIDGE_HUB;
    address public immutable L1_NULLIFIER;
    bytes32 public immutable ETH_TOKEN_ASSET_ID;
    /// No wrapped ether is registered here.
    address public constant L1_WETH_TOKEN = address(0);

    address public nativeTokenVault;
    mapping(bytes32 => address) public assetHandlerAddress;

    event BridgehubDepositBaseTokenInitiated(
        uint256 indexed chainId, address indexed from, bytes32 assetId, uint256 amount
    );
    event BridgehubDepositInitiated(
        uint256 indexed chainId,
        bytes32 indexed txDataHash,
        address indexed from,
        bytes32 assetId,
        bytes bridgeMintCalldata
    );
    event AssetHandlerRegistered(bytes32 indexed assetId, address indexed assetHandlerAddress);
    event DepositFinalizedAssetRouter(uint256 indexed chainId, bytes32 indexed assetId, bytes assetData);
    event ClaimedFailedDepositAssetRouter(uint256 indexed chainId, bytes32 indexed assetId, bytes assetData);

    constructor(address bridgehub, address nullifier, address initialOwner) Owned(initialOwner) {
        BRIDGE_HUB = bridgehub;
        L1_NULLIFIER = nullifier;
        ETH_TOKEN_ASSET_ID = BridgeData.ntvAssetId(block.chainid, ETH_TOKEN_ADDRESS);
    }

    modifier onlyBridgehub() {
        if (msg.sender != BRIDGE_HUB) revert Unauthorized(msg.sender);
        _;
    }

    modifier onlyNullifier() {
        if (msg.sender != L1_NULLIFIER) revert Unauthorized(msg.sender);
        _;
    }

    modifier onlyVault() {
        if (msg.sender != nativeTokenVault) revert Unauthorized(msg.sender);
        _;
    }

    function setNativeTokenVault(address vault) external onlyOwner {
        nativeTokenVault = vault;
    }

    /// The vault registers its tokens; `registrationData` is the token's address as a word.
    function setAssetHandlerAddressThisChain(bytes32 registrationData, address handler) external onlyVault {
        bytes32 assetId = BridgeData.ntvAssetId(block.chainid, address(uint160(uint256(registrationData))));
        assetHandlerAddress[assetId] = handler;
        emit AssetHandlerRegistered(assetId, handler);
    }

    // ------------------------------------------------------------------------------------------ deposits

    function bridgehubDepositBaseToken(uint256 chainId, bytes32 assetId, address originalCaller, uint256 amount)
        external
        payable
        onlyBridgehub
    {
        IAssetHandlerBase(_handler(assetId)).bridgeBurn{value: msg.value}(
            chainId, 0, assetId, originalCaller, BridgeData.encodeBurn(amount, address(0), address(0))
        );
        emit BridgehubDepositBaseTokenInitiated(chainId, originalCaller, assetId, amount);
    }

    function bridgehubDeposit(uint256 chainId, address originalCaller, uint256 l2Value, bytes calldata data)
        external
        payable
        onlyBridgehub
        returns (L2TransactionRequestTwoBridgesInner memory request)
    {
        (bytes32 assetId, bytes memory transferData) = _decodeDeposit(data);
        if (IBridgehubBase(BRIDGE_HUB).baseTokenAssetId(chainId) == assetId) revert AssetIdNotSupported(assetId);
        bytes memory mintData = IAssetHandlerBase(_handler(assetId)).bridgeBurn{value: msg.value}(
            chainId, l2Value, assetId, originalCaller, transferData
        );
        bytes32 txDataHash = BridgeData.txDataHash(originalCaller, assetId, transferData);
        request = L2TransactionRequestTwoBridgesInner({
            magicValue: TWO_BRIDGES_MAGIC_VALUE,
            l2Contract: L2_ASSET_ROUTER,
            l2Calldata: getDepositCalldata(originalCaller, assetId, mintData),
            factoryDeps: new bytes[](0),
            txDataHash: txDataHash
        });
        emit BridgehubDepositInitiated(chainId, txDataHash, originalCaller, assetId, mintData);
    }

    function _decodeDeposit(bytes calldata data) private returns (bytes32 assetId, bytes memory transferData) {
        if (data.length == 0) revert UnsupportedEncodingVersion();
        bytes1 version = data[0];
        if (version == BridgeData.NEW_ENCODING) {
            (assetId, transferData) = abi.decode(data[1:], (bytes32, bytes));
            if (assetHandlerAddress[assetId] == address(0)) {
                // A token nobody has bridged yet is registered by its first deposit.
                (,, address token) = BridgeData.decodeBurn(transferData);
                if (token != address(0) && BridgeData.ntvAssetId(block.chainid, token) == assetId) {
                    INativeTokenVaultBase(nativeTokenVault).ensureTokenIsRegistered(token);
                }
            }
        } else if (version == BridgeData.LEGACY_ENCODING) {
            (address token, uint256 amount, address receiver) = abi.decode(data, (address, uint256, address));
            assetId = INativeTokenVaultBase(nativeTokenVault).ensureTokenIsRegistered(token);
            transferData = BridgeData.encodeBurn(amount, receiver, token);
        } else {
            revert UnsupportedEncodingVersion();
        }
    }

    /// Tokens of L1 go through the entrance that exists since before asset ids.
    function getDepositCalldata(address sender, bytes32 assetId, bytes memory mintData)
        public
        view
        returns (bytes memory)
    {
        if (assetHandlerAddress[assetId] == nativeTokenVault) {
            (, address receiver, address token, uint256 amount, bytes memory metadata) = BridgeData.decodeMint(mintData);
            if (INativeTokenVaultBase(nativeTokenVault).originChainId(assetId) == block.chainid) {
                return abi.encodeWithSignature(
                    "finalizeDeposit(address,address,address,uint256,bytes)", sender, receiver, token, amount, metadata
                );
            }
        }
        return abi.encodeWithSignature("finalizeDeposit(uint256,bytes32,bytes)", block.chainid, assetId, mintData);
    }

    function bridgehubConfirmL2Transaction(uint256 chainId, bytes32 txDataHash, bytes32 txHash) external onlyBridgehub {
        INullifierConfirm(L1_NULLIFIER).bridgehubConfirmL2TransactionForwarded(chainId, txDataHash, txHash);
    }

    /// Lets a depositor approve this contract instead of the vault.
    function transferFundsToNTV(bytes32 assetId, uint256 amount, address originalCaller)
        external
        onlyVault
        returns (bool)
    {
        IERC20 token = IERC20(INativeTokenVaultBase(nativeTokenVault).tokenAddress(assetId));
        if (token.allowance(originalCaller, address(this)) < amount) return false;
        return token.transferFrom(originalCaller, nativeTokenVault, amount);
    }

    // ------------------------------------------------------------------------------------------ withdrawals

    function finalizeDeposit(uint256 chainId, bytes32 assetId, bytes calldata transferData)
        external
        payable
        onlyNullifier
    {
        IAssetHandlerBase(_handler(assetId)).bridgeMint{value: msg.value}(chainId, assetId, transferData);
        emit DepositFinalizedAssetRouter(chainId, assetId, transferData);
    }

    function bridgeRecoverFailedTransfer(
        uint256 chainId,
        address depositSender,
        bytes32 assetId,
        bytes calldata assetData
    ) external onlyNullifier {
        IAssetHandlerBase(_handler(assetId)).bridgeRecoverFailedTransfer(chainId, assetId, depositSender, assetData);
        emit ClaimedFailedDepositAssetRouter(chainId, assetId, assetData);
    }

    function _handler(bytes32 assetId) private view returns (address handler) {
        handler = assetHandlerAddress[assetId];
        if (handler == address(0)) revert AssetIdNotSupported(assetId);
    }
}
