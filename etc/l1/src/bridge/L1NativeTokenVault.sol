// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {IAssetHandlerBase, IERC20, IRouterFunds} from "./Interfaces.sol";
import {BridgeData} from "./BridgeData.sol";
import {ETH_TOKEN_ADDRESS} from "../common/Types.sol";
import "../common/Errors.sol";

/// Holds what was deposited to the chains, ether and tokens of L1, and pays withdrawals out of each chain's share.
contract L1NativeTokenVault is IAssetHandlerBase {
    address public immutable ASSET_ROUTER;
    address public immutable L1_NULLIFIER;
    uint256 public immutable L1_CHAIN_ID;
    /// No wrapped ether is registered here.
    address public constant WETH_TOKEN = address(0);

    mapping(bytes32 => address) public tokenAddress;
    mapping(address => bytes32) public assetId;
    mapping(bytes32 => uint256) public originChainId;
    /// What a chain may withdraw at most.
    mapping(uint256 => mapping(bytes32 => uint256)) public chainBalance;

    event BridgeMint(uint256 indexed chainId, bytes32 indexed assetId, address receiver, uint256 amount);
    event BridgeBurn(
        uint256 indexed chainId, bytes32 indexed assetId, address indexed sender, address receiver, uint256 amount
    );

    constructor(address assetRouter, address nullifier) {
        ASSET_ROUTER = assetRouter;
        L1_NULLIFIER = nullifier;
        L1_CHAIN_ID = block.chainid;
    }

    modifier onlyRouter() {
        if (msg.sender != ASSET_ROUTER) revert Unauthorized(msg.sender);
        _;
    }

    // ------------------------------------------------------------------------------------------ registry

    function registerEthToken() external {
        _register(ETH_TOKEN_ADDRESS);
    }

    function registerToken(address token) external {
        if (token.code.length == 0) revert ZeroAddress();
        _register(token);
    }

    function ensureTokenIsRegistered(address token) external returns (bytes32) {
        if (assetId[token] == 0) {
            if (token.code.length == 0) revert ZeroAddress();
            _register(token);
        }
        return assetId[token];
    }

    function _register(address token) private {
        bytes32 id = BridgeData.ntvAssetId(block.chainid, token);
        tokenAddress[id] = token;
        assetId[token] = id;
        originChainId[id] = block.chainid;
        IRouterFunds(ASSET_ROUTER).setAssetHandlerAddressThisChain(bytes32(uint256(uint160(token))), address(this));
    }

    /// Name, symbol and decimals for the other chain; a token that lacks one of them gets an empty value.
    function getERC20Getters(address token, uint256 origin) public view returns (bytes memory) {
        if (token == ETH_TOKEN_ADDRESS) {
            return BridgeData.encodeMetadata(origin, abi.encode("Ether"), abi.encode("ETH"), abi.encode(uint8(18)));
        }
        return BridgeData.encodeMetadata(
            origin,
            _query(token, IERC20.name.selector),
            _query(token, IERC20.symbol.selector),
            _query(token, IERC20.decimals.selector)
        );
    }

    function _query(address token, bytes4 selector) private view returns (bytes memory) {
        (bool ok, bytes memory result) = token.staticcall(abi.encodeWithSelector(selector));
        return ok ? result : bytes("");
    }

    // ------------------------------------------------------------------------------------------ funds

    function bridgeBurn(uint256 chainId, uint256 l2MsgValue, bytes32 id, address originalCaller, bytes calldata data)
        external
        payable
        onlyRouter
        returns (bytes memory)
    {
        if (l2MsgValue != 0) revert NonEmptyMsgValue();
        (uint256 amount, address receiver,) = BridgeData.decodeBurn(data);
        amount = _take(id, originalCaller, amount);
        chainBalance[chainId][id] += amount;
        emit BridgeBurn(chainId, id, originalCaller, receiver, amount);
        address token = tokenAddress[id];
        bytes memory metadata = getERC20Getters(token, originChainId[id]);
        return BridgeData.encodeMint(originalCaller, receiver, token, amount, metadata);
    }

    /// An amount of zero means all that was sent or approved.
    function _take(bytes32 id, address from, uint256 amount) private returns (uint256) {
        address token = _token(id);
        if (token == ETH_TOKEN_ADDRESS) {
            if (amount == 0) amount = msg.value;
            if (amount != msg.value) revert ValueMismatch(amount, msg.value);
        } else {
            if (msg.value != 0) revert NonEmptyMsgValue();
            if (amount == 0) amount = IERC20(token).allowance(from, address(this));
            _pull(id, token, from, amount);
        }
        return amount;
    }

    function _pull(bytes32 id, address token, address from, uint256 amount) private {
        uint256 before = IERC20(token).balanceOf(address(this));
        if (!IRouterFunds(ASSET_ROUTER).transferFundsToNTV(id, amount, from)) {
            _call(token, abi.encodeCall(IERC20.transferFrom, (from, address(this), amount)));
        }
        // The chain's share must be backed in full.
        if (IERC20(token).balanceOf(address(this)) - before != amount) revert TokensWithFeesNotSupported();
    }

    function bridgeMint(uint256 chainId, bytes32 id, bytes calldata data) external payable onlyRouter {
        (, address receiver,, uint256 amount,) = BridgeData.decodeMint(data);
        _release(chainId, id, receiver, amount);
        emit BridgeMint(chainId, id, receiver, amount);
    }

    function bridgeRecoverFailedTransfer(uint256 chainId, bytes32 id, address depositSender, bytes calldata data)
        external
        payable
        onlyRouter
    {
        (uint256 amount,,) = BridgeData.decodeBurn(data);
        _release(chainId, id, depositSender, amount);
    }

    function _release(uint256 chainId, bytes32 id, address to, uint256 amount) private {
        address token = _token(id);
        uint256 available = chainBalance[chainId][id];
        if (amount > available) revert InsufficientChainBalance();
        chainBalance[chainId][id] = available - amount;
        if (token == ETH_TOKEN_ADDRESS) {
            (bool ok,) = to.call{value: amount}("");
            if (!ok) revert WithdrawFailed();
        } else {
            _call(token, abi.encodeCall(IERC20.transfer, (to, amount)));
        }
    }

    /// Accepts tokens that return nothing.
    function _call(address token, bytes memory data) private {
        (bool ok, bytes memory result) = token.call(data);
        if (!ok || (result.length != 0 && !abi.decode(result, (bool)))) revert WithdrawFailed();
    }

    function _token(bytes32 id) private view returns (address token) {
        token = tokenAddress[id];
        if (token == address(0)) revert AssetIdNotSupported(id);
    }
}
