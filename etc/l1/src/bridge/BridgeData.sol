// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {L2_NATIVE_TOKEN_VAULT} from "../common/Types.sol";
import {UnsupportedEncodingVersion} from "../common/Errors.sol";

/// Encodings that the bridges of L1 and L2 share.
library BridgeData {
    bytes1 internal constant LEGACY_ENCODING = 0x00;
    bytes1 internal constant NEW_ENCODING = 0x01;
    bytes1 internal constant SET_COUNTERPART_ENCODING = 0x02;

    /// Id of an asset that native token vaults handle; the same on every chain.
    function ntvAssetId(uint256 originChainId, address token) internal pure returns (bytes32) {
        return keccak256(abi.encode(originChainId, L2_NATIVE_TOKEN_VAULT, token));
    }

    /// What the other side needs to mint.
    function encodeMint(address caller, address receiver, address originToken, uint256 amount, bytes memory metadata)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encode(caller, receiver, originToken, amount, metadata);
    }

    function decodeMint(bytes memory data)
        internal
        pure
        returns (address caller, address receiver, address originToken, uint256 amount, bytes memory metadata)
    {
        return abi.decode(data, (address, address, address, uint256, bytes));
    }

    function encodeBurn(uint256 amount, address receiver, address maybeToken) internal pure returns (bytes memory) {
        return abi.encode(amount, receiver, maybeToken);
    }

    function decodeBurn(bytes memory data)
        internal
        pure
        returns (uint256 amount, address receiver, address maybeToken)
    {
        return abi.decode(data, (uint256, address, address));
    }

    /// Each of name, symbol and decimals is itself ABI-encoded, as tokens return it.
    function encodeMetadata(uint256 originChainId, bytes memory name, bytes memory symbol, bytes memory decimals)
        internal
        pure
        returns (bytes memory)
    {
        return bytes.concat(NEW_ENCODING, abi.encode(originChainId, name, symbol, decimals));
    }

    function decodeMetadata(bytes calldata data)
        internal
        pure
        returns (uint256 originChainId, bytes memory name, bytes memory symbol, bytes memory decimals)
    {
        if (data.length == 0 || data[0] != NEW_ENCODING) revert UnsupportedEncodingVersion();
        return abi.decode(data[1:], (uint256, bytes, bytes, bytes));
    }

    /// Commits to a deposit until L2 reports its result.
    function txDataHash(address sender, bytes32 assetId, bytes memory transferData) internal pure returns (bytes32) {
        return keccak256(bytes.concat(NEW_ENCODING, abi.encode(sender, assetId, transferData)));
    }
}
