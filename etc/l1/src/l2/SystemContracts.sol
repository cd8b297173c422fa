// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {L2_COMPLEX_UPGRADER} from "../common/Types.sol";
import {Unauthorized} from "../common/Errors.sol";

/// Behind a system proxy there is no constructor: the upgrader initialises.
abstract contract SystemContract {
    modifier onlyUpgrader() {
        if (msg.sender != L2_COMPLEX_UPGRADER) revert Unauthorized(msg.sender);
        _;
    }
}

/// Roots of messages of chains that settle on this one: none.
contract L2MessageRoot is SystemContract {
    uint256 public L1_CHAIN_ID;
    mapping(uint256 => bytes32) public historicalRoot;

    function initL2(uint256 l1ChainId) external onlyUpgrader {
        L1_CHAIN_ID = l1ChainId;
    }

    function getAggregatedRoot() external pure returns (bytes32) {
        return bytes32(0);
    }
}

/// Registry of chains as seen from L2.
contract L2Bridgehub is SystemContract {
    uint256 public L1_CHAIN_ID;
    uint256 public MAX_NUMBER_OF_ZK_CHAINS;
    address public owner;
    address public assetRouter;
    address public l1CtmDeployer;
    address public messageRoot;
    address public chainAssetHandler;

    function initL2(uint256 l1ChainId, address initialOwner, uint256 maxNumberOfZKChains) external onlyUpgrader {
        L1_CHAIN_ID = l1ChainId;
        owner = initialOwner;
        MAX_NUMBER_OF_ZK_CHAINS = maxNumberOfZKChains;
    }

    function setAddresses(address router, address ctmDeployer, address root, address assetHandler) external {
        if (msg.sender != L2_COMPLEX_UPGRADER && msg.sender != owner) revert Unauthorized(msg.sender);
        assetRouter = router;
        l1CtmDeployer = ctmDeployer;
        messageRoot = root;
        chainAssetHandler = assetHandler;
    }

    function sharedBridge() external view returns (address) {
        return assetRouter;
    }

    /// No chain settles on this one.
    function getZKChain(uint256) external pure returns (address) {
        return address(0);
    }

    function getAllZKChainChainIDs() external pure returns (uint256[] memory) {
        return new uint256[](0);
    }
}

/// Would move chains between settlement layers; knows its place, moves nothing.
contract L2ChainAssetHandler is SystemContract {
    uint256 public L1_CHAIN_ID;
    address public owner;

    function initL2(uint256 l1ChainId, address initialOwner) external onlyUpgrader {
        L1_CHAIN_ID = l1ChainId;
        owner = initialOwner;
    }
}
