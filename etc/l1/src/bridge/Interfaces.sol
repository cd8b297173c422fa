// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

interface IERC20 {
    function balanceOf(address account) external view returns (uint256);
    function allowance(address owner, address spender) external view returns (uint256);
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
    function name() external view returns (string memory);
    function symbol() external view returns (string memory);
    function decimals() external view returns (uint8);
}

/// Keeps the tokens of an asset: burn on the way out, mint on the way in.
interface IAssetHandlerBase {
    function bridgeMint(uint256 chainId, bytes32 assetId, bytes calldata data) external payable;
    function bridgeBurn(
        uint256 chainId,
        uint256 l2MsgValue,
        bytes32 assetId,
        address originalCaller,
        bytes calldata data
    ) external payable returns (bytes memory bridgeMintData);
    function bridgeRecoverFailedTransfer(uint256 chainId, bytes32 assetId, address depositSender, bytes calldata data)
        external
        payable;
}

interface IRouterFunds {
    function transferFundsToNTV(bytes32 assetId, uint256 amount, address originalCaller) external returns (bool);
    function setAssetHandlerAddressThisChain(bytes32 registrationData, address handler) external;
}

interface INullifierConfirm {
    function bridgehubConfirmL2TransactionForwarded(uint256 chainId, bytes32 txDataHash, bytes32 txHash) external;
}

/// Entrances of the L2 asset router that deposits call.
interface IL2AssetRouterDeposits {
    function finalizeDeposit(address l1Sender, address l2Receiver, address l1Token, uint256 amount, bytes calldata data)
        external
        payable;
    function finalizeDeposit(uint256 originChainId, bytes32 assetId, bytes calldata transferData) external payable;
}
