// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {BridgedToken, TokenProxy} from "./BridgedToken.sol";
import {SystemContract} from "./SystemContracts.sol";
import {BridgeData} from "../bridge/BridgeData.sol";
import {L2_ASSET_ROUTER} from "../common/Types.sol";
import {AssetIdNotSupported, Unauthorized} from "../common/Errors.sol";

/// Mints and burns on L2 the tokens that L1 has locked. Tokens native to L2 can't leave it.
contract L2NativeTokenVault is SystemContract {
    uint256 public L1_CHAIN_ID;
    address public bridgedTokenBeacon;
    address public WETH_TOKEN;
    bytes32 public BASE_TOKEN_ASSET_ID;

    mapping(bytes32 => address) public tokenAddress;
    mapping(address => bytes32) public assetId;
    mapping(bytes32 => uint256) public originChainId;

    event BridgeMint(uint256 indexed chainId, bytes32 indexed assetId, address receiver, uint256 amount);
    event BridgeBurn(
        uint256 indexed chainId, bytes32 indexed assetId, address indexed sender, address receiver, uint256 amount
    );

    modifier onlyRouter() {
        if (msg.sender != L2_ASSET_ROUTER) revert Unauthorized(msg.sender);
        _;
    }

    function initL2(uint256 l1ChainId, address beacon, address wrappedBaseToken, bytes32 baseTokenAssetId)
        external
        onlyUpgrader
    {
        L1_CHAIN_ID = l1ChainId;
        bridgedTokenBeacon = beacon;
        WETH_TOKEN = wrappedBaseToken;
        BASE_TOKEN_ASSET_ID = baseTokenAssetId;
    }

    function ASSET_ROUTER() external pure returns (address) {
        return L2_ASSET_ROUTER;
    }

    /// Address that a token of L1 has here, whether it was bridged yet or not.
    function l2TokenAddress(address l1Token) public view returns (address) {
        bytes32 id = BridgeData.ntvAssetId(L1_CHAIN_ID, l1Token);
        address known = tokenAddress[id];
        if (known != address(0)) return known;
        bytes32 codeHash = keccak256(bytes.concat(type(TokenProxy).creationCode, abi.encode(bridgedTokenBeacon)));
        return address(uint160(uint256(keccak256(bytes.concat(hex"ff", bytes20(address(this)), id, codeHash)))));
    }

    function bridgeMint(uint256 chainId, bytes32 id, bytes calldata data) external payable onlyRouter {
        (, address receiver, address originToken, uint256 amount, bytes memory metadata) = BridgeData.decodeMint(data);
        if (id == BASE_TOKEN_ASSET_ID || id != BridgeData.ntvAssetId(L1_CHAIN_ID, originToken)) {
            revert AssetIdNotSupported(id);
        }
        address token = tokenAddress[id];
        if (token == address(0)) token = _deploy(id, originToken, metadata);
        BridgedToken(token).bridgeMint(receiver, amount);
        emit BridgeMint(chainId, id, receiver, amount);
    }

    function _deploy(bytes32 id, address originToken, bytes memory metadata) private returns (address token) {
        token = address(new TokenProxy{salt: id}(bridgedTokenBeacon));
        tokenAddress[id] = token;
        assetId[token] = id;
        originChainId[id] = L1_CHAIN_ID;
        BridgedToken(token).bridgeInitialize(id, originToken, metadata);
    }

    /// `data` as the user of the asset router gave it; the result is what L1 needs to pay out.
    function bridgeBurn(uint256 chainId, uint256, bytes32 id, address originalCaller, bytes calldata data)
        external
        payable
        onlyRouter
        returns (bytes memory)
    {
        (uint256 amount, address receiver,) = BridgeData.decodeBurn(data);
        address token = tokenAddress[id];
        if (token == address(0)) revert AssetIdNotSupported(id);
        BridgedToken(token).bridgeBurn(originalCaller, amount);
        emit BridgeBurn(chainId, id, originalCaller, receiver, amount);
        return BridgeData.encodeMint(originalCaller, receiver, BridgedToken(token).originToken(), amount, "");
    }
}
