// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {L2Message, TxStatus} from "@zksync/common/Messaging.sol";
import {FinalizeL1DepositParams} from "@zksync/bridge/interfaces/IL1Nullifier.sol";
import {IAssetRouter, IBridgehubBase} from "../bridgehub/Interfaces.sol";
import {BridgeData} from "./BridgeData.sol";
import {Owned} from "../common/Owned.sol";
import {L2_ASSET_ROUTER, L2_BASE_TOKEN} from "../common/Types.sol";
import "../common/Errors.sol";

/// Makes sure that every withdrawal is paid once and every failed deposit returned once.
contract L1Nullifier is Owned {
    bytes4 private constant FINALIZE_ETH_WITHDRAWAL = 0x6c0960f9;
    bytes4 private constant FINALIZE_DEPOSIT = 0x9c884fd1;

    address public immutable BRIDGE_HUB;

    address public l1AssetRouter;
    address public l1NativeTokenVault;
    /// By chain, batch and index of the message's leaf in the batch's log tree.
    mapping(uint256 => mapping(uint256 => mapping(uint256 => bool))) public isWithdrawalFinalized;
    /// Hash of the deposit's data by chain and L2 transaction.
    mapping(uint256 => mapping(bytes32 => bytes32)) public depositHappened;

    event BridgehubDepositFinalized(
        uint256 indexed chainId, bytes32 indexed txDataHash, bytes32 indexed l2DepositTxHash
    );

    constructor(address bridgehub, address initialOwner) Owned(initialOwner) {
        BRIDGE_HUB = bridgehub;
    }

    modifier onlyAssetRouter() {
        if (msg.sender != l1AssetRouter) revert Unauthorized(msg.sender);
        _;
    }

    function setL1AssetRouter(address router) external onlyOwner {
        l1AssetRouter = router;
    }

    function setL1NativeTokenVault(address vault) external onlyOwner {
        l1NativeTokenVault = vault;
    }

    // ------------------------------------------------------------------------------------------ deposits

    function bridgehubConfirmL2TransactionForwarded(uint256 chainId, bytes32 txDataHash, bytes32 txHash)
        external
        onlyAssetRouter
    {
        if (depositHappened[chainId][txHash] != 0) {
            revert DepositDoesNotExist(bytes32(0), depositHappened[chainId][txHash]);
        }
        depositHappened[chainId][txHash] = txDataHash;
        emit BridgehubDepositFinalized(chainId, txDataHash, txHash);
    }

    /// Gives a deposit back whose L2 transaction failed. Anyone may call, the depositor is paid.
    function bridgeRecoverFailedTransfer(
        uint256 chainId,
        address depositSender,
        bytes32 assetId,
        bytes memory assetData,
        bytes32 l2TxHash,
        uint256 l2BatchNumber,
        uint256 l2MessageIndex,
        uint16 l2TxNumberInBatch,
        bytes32[] calldata merkleProof
    ) external {
        {
            bool failed = IBridgehubBase(BRIDGE_HUB)
                .proveL1ToL2TransactionStatus(
                    chainId, l2TxHash, l2BatchNumber, l2MessageIndex, l2TxNumberInBatch, merkleProof, TxStatus.Failure
                );
            if (!failed) revert InvalidProof();
        }
        bytes32 dataHash = BridgeData.txDataHash(depositSender, assetId, assetData);
        bytes32 known = depositHappened[chainId][l2TxHash];
        if (known == 0 || known != dataHash) revert DepositDoesNotExist(known, dataHash);
        delete depositHappened[chainId][l2TxHash];
        IAssetRouter(l1AssetRouter).bridgeRecoverFailedTransfer(chainId, depositSender, assetId, assetData);
    }

    // ------------------------------------------------------------------------------------------ withdrawals

    /// Pays out a withdrawal that L2 announced by a message. Anyone may call.
    function finalizeDeposit(FinalizeL1DepositParams calldata params) external {
        if (isWithdrawalFinalized[params.chainId][params.l2BatchNumber][params.l2MessageIndex]) {
            revert WithdrawalAlreadyFinalized();
        }
        isWithdrawalFinalized[params.chainId][params.l2BatchNumber][params.l2MessageIndex] = true;

        (bytes32 assetId, bytes memory transferData) = _parse(params.chainId, params.l2Sender, params.message);
        bool included = IBridgehubBase(BRIDGE_HUB)
            .proveL2MessageInclusion(
                params.chainId,
                params.l2BatchNumber,
                params.l2MessageIndex,
                L2Message({txNumberInBatch: params.l2TxNumberInBatch, sender: params.l2Sender, data: params.message}),
                params.merkleProof
            );
        if (!included) revert InvalidProof();
        IAssetRouter(l1AssetRouter).finalizeDeposit(params.chainId, assetId, transferData);
    }

    /// Base token: `selector | receiver 20 | amount 32 [| extra data]`; other assets:
    /// `selector | origin chain id 32 | asset id 32 | transfer data`.
    function _parse(uint256 chainId, address sender, bytes calldata message)
        private
        view
        returns (bytes32 assetId, bytes memory transferData)
    {
        if (message.length < 4) revert WrongMsgLength(4, message.length);
        bytes4 selector = bytes4(message[:4]);
        if (selector == FINALIZE_ETH_WITHDRAWAL) {
            if (sender != L2_BASE_TOKEN) revert WrongL2Sender(sender);
            if (message.length < 56) revert WrongMsgLength(56, message.length);
            assetId = IBridgehubBase(BRIDGE_HUB).baseTokenAssetId(chainId);
            transferData = BridgeData.encodeMint(
                address(0),
                address(bytes20(message[4:24])),
                IBridgehubBase(BRIDGE_HUB).baseToken(chainId),
                uint256(bytes32(message[24:56])),
                ""
            );
        } else if (selector == FINALIZE_DEPOSIT) {
            if (sender != L2_ASSET_ROUTER) revert WrongL2Sender(sender);
            if (message.length < 68) revert WrongMsgLength(68, message.length);
            assetId = bytes32(message[36:68]);
            transferData = message[68:];
        } else {
            revert InvalidSelector(selector);
        }
    }
}
