// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {Unauthorized} from "../common/Errors.sol";

/// Roots of the messages of all chains. At protocol v30 a chain that settles on L1 does not report its batches
/// here, so the contract only registers chains and answers that it knows no root.
contract MessageRoot {
    address public immutable BRIDGE_HUB;

    uint256 public chainCount;
    mapping(uint256 => bool) public chainRegistered;
    /// Root by L1 block number, zero if none.
    mapping(uint256 => bytes32) public historicalRoot;

    event AddedChain(uint256 indexed chainId, uint256 indexed chainIndex);

    constructor(address bridgehub) {
        BRIDGE_HUB = bridgehub;
    }

    function addNewChain(uint256 chainId) external {
        if (msg.sender != BRIDGE_HUB) revert Unauthorized(msg.sender);
        chainRegistered[chainId] = true;
        emit AddedChain(chainId, chainCount++);
    }
}
