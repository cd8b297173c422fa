// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {ERC20} from "./ERC20.sol";
import {L2_NATIVE_TOKEN_VAULT, L2_COMPLEX_UPGRADER} from "../common/Types.sol";
import {BridgeData} from "../bridge/BridgeData.sol";
import {Owned} from "../common/Owned.sol";
import {Unauthorized, ZeroAddress} from "../common/Errors.sol";

/// L2 form of a token of another chain; the native token vault mints and burns it.
contract BridgedToken is ERC20 {
    address public originToken;
    bytes32 public assetId;
    address public nativeTokenVault;

    event BridgeInitialize(address indexed l1Token, string name, string symbol, uint8 decimals);
    event BridgeMint(address indexed account, uint256 amount);
    event BridgeBurn(address indexed account, uint256 amount);

    modifier onlyVault() {
        if (msg.sender != L2_NATIVE_TOKEN_VAULT) revert Unauthorized(msg.sender);
        _;
    }

    function bridgeInitialize(bytes32 id, address token, bytes calldata metadata) external onlyVault {
        if (assetId != 0) revert Unauthorized(msg.sender);
        assetId = id;
        originToken = token;
        nativeTokenVault = msg.sender;
        (, bytes memory tokenName, bytes memory tokenSymbol, bytes memory tokenDecimals) =
            BridgeData.decodeMetadata(metadata);
        // A token that lacks a name sends an empty value.
        name = tokenName.length == 0 ? "" : abi.decode(tokenName, (string));
        symbol = tokenSymbol.length == 0 ? "" : abi.decode(tokenSymbol, (string));
        decimals = tokenDecimals.length == 0 ? 18 : abi.decode(tokenDecimals, (uint8));
        emit BridgeInitialize(token, name, symbol, decimals);
    }

    function l1Address() external view returns (address) {
        return originToken;
    }

    function bridgeMint(address account, uint256 amount) external onlyVault {
        _mint(account, amount);
        emit BridgeMint(account, amount);
    }

    function bridgeBurn(address account, uint256 amount) external onlyVault {
        _burn(account, amount);
        emit BridgeBurn(account, amount);
    }
}

/// Names the implementation of all bridged tokens.
contract TokenBeacon is Owned {
    address public implementation;

    event Upgraded(address indexed implementation);

    constructor(address initialImplementation, address initialOwner) Owned(initialOwner) {
        implementation = initialImplementation;
        emit Upgraded(initialImplementation);
    }

    function upgradeTo(address newImplementation) external onlyOwner {
        if (newImplementation.code.length == 0) revert ZeroAddress();
        implementation = newImplementation;
        emit Upgraded(newImplementation);
    }
}

/// One per bridged token.
contract TokenProxy {
    /// EIP-1967 beacon slot.
    bytes32 private constant BEACON_SLOT = 0xa3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6cb3582b35133d50;

    constructor(address beacon) {
        assembly {
            sstore(BEACON_SLOT, beacon)
        }
    }

    fallback() external payable {
        TokenBeacon beacon;
        assembly {
            beacon := sload(BEACON_SLOT)
        }
        address target = beacon.implementation();
        assembly {
            calldatacopy(0, 0, calldatasize())
            let ok := delegatecall(gas(), target, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            switch ok
            case 0 { revert(0, returndatasize()) }
            default { return(0, returndatasize()) }
        }
    }
}

/// Deploys the token implementation and its beacon when the chain is created.
contract NTVBeaconDeployer {
    function deployUpgradeableBeacon(address owner) external returns (address) {
        if (msg.sender != L2_COMPLEX_UPGRADER) revert Unauthorized(msg.sender);
        return address(new TokenBeacon{salt: bytes32(0)}(address(new BridgedToken{salt: bytes32(0)}()), owner));
    }
}
