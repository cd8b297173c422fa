// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {AddressAliasHelper} from "@zksync/vendor/AddressAliasHelper.sol";
import {IL1Messenger} from "./Interfaces.sol";
import {SystemContract} from "./SystemContracts.sol";
import {IAssetHandlerBase} from "../bridge/Interfaces.sol";
import {BridgeData} from "../bridge/BridgeData.sol";
import {L2_L1_MESSENGER, L2_NATIVE_TOKEN_VAULT} from "../common/Types.sol";
import {AssetIdNotSupported, Unauthorized, WithdrawFailed} from "../common/Errors.sol";

/// L2 end of the bridge: takes deposits from the L1 asset router, announces withdrawals to it.
contract L2AssetRouter is SystemContract {
    bytes4 private constant FINALIZE_DEPOSIT = 0x9c884fd1;

    uint256 public L1_CHAIN_ID;
    address public L1_ASSET_ROUTER;
    bytes32 public BASE_TOKEN_ASSET_ID;
    address public owner;

    event DepositFinalizedAssetRouter(uint256 indexed chainId, bytes32 indexed assetId, bytes assetData);
    event WithdrawalInitiatedAssetRouter(
        uint256 chainId, address indexed l2Sender, bytes32 indexed assetId, bytes assetData
    );

    modifier onlyL1Router() {
        if (AddressAliasHelper.undoL1ToL2Alias(msg.sender) != L1_ASSET_ROUTER) revert Unauthorized(msg.sender);
        _;
    }

    function initL2(uint256 l1ChainId, address l1AssetRouter, bytes32 baseTokenAssetId, address initialOwner)
        external
        onlyUpgrader
    {
        L1_CHAIN_ID = l1ChainId;
        L1_ASSET_ROUTER = l1AssetRouter;
        BASE_TOKEN_ASSET_ID = baseTokenAssetId;
        owner = initialOwner;
    }

    /// All assets of this chain are in the vault's hands.
    function assetHandlerAddress(bytes32) external pure returns (address) {
        return L2_NATIVE_TOKEN_VAULT;
    }

    function finalizeDeposit(uint256, bytes32 assetId, bytes calldata transferData) external payable onlyL1Router {
        _finalize(assetId, transferData);
    }

    /// Form used for tokens of L1 since before asset ids.
    function finalizeDeposit(
        address l1Sender,
        address l2Receiver,
        address l1Token,
        uint256 amount,
        bytes calldata metadata
    ) external payable onlyL1Router {
        _finalize(
            BridgeData.ntvAssetId(L1_CHAIN_ID, l1Token),
            BridgeData.encodeMint(l1Sender, l2Receiver, l1Token, amount, metadata)
        );
    }

    function _finalize(bytes32 assetId, bytes memory data) private {
        IAssetHandlerBase(L2_NATIVE_TOKEN_VAULT).bridgeMint{value: msg.value}(L1_CHAIN_ID, assetId, data);
        emit DepositFinalizedAssetRouter(L1_CHAIN_ID, assetId, data);
    }

    /// Burns the caller's tokens and tells L1 to pay; `assetData` is `abi.encode(amount, receiver, token)`.
    function withdraw(bytes32 assetId, bytes calldata assetData) external returns (bytes32 messageHash) {
        if (assetId == BASE_TOKEN_ASSET_ID) revert AssetIdNotSupported(assetId);
        bytes memory data =
            IAssetHandlerBase(L2_NATIVE_TOKEN_VAULT).bridgeBurn(L1_CHAIN_ID, 0, assetId, msg.sender, assetData);
        // A hook of the virtual machine has no code, which a high-level call would refuse.
        (bool ok, bytes memory result) = L2_L1_MESSENGER.call(
            abi.encodeCall(
                IL1Messenger.sendToL1, (bytes.concat(FINALIZE_DEPOSIT, bytes32(block.chainid), assetId, data))
            )
        );
        if (!ok) revert WithdrawFailed();
        messageHash = abi.decode(result, (bytes32));
        emit WithdrawalInitiatedAssetRouter(L1_CHAIN_ID, msg.sender, assetId, data);
    }
}
