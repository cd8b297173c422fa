// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {Diamond} from "@zksync/state-transition/libraries/Diamond.sol";
import {PriorityTree} from "@zksync/state-transition/libraries/PriorityTree.sol";
import {IDiamondInit, InitializeData} from "@zksync/state-transition/chain-interfaces/IDiamondInit.sol";
import {ChainBase} from "./ChainStorage.sol";
import {ZeroAddress} from "../common/Errors.sol";

/// Fills the storage of a new chain; runs once, inside the constructor of its diamond proxy.
contract DiamondInit is ChainBase, IDiamondInit {
    using PriorityTree for PriorityTree.Tree;

    function initialize(InitializeData calldata data) external returns (bytes32) {
        if (data.bridgehub == address(0) || data.chainTypeManager == address(0) || data.admin == address(0)) {
            revert ZeroAddress();
        }
        if (address(data.verifier) == address(0) || data.validatorTimelock == address(0)) revert ZeroAddress();
        s.lock = 1;
        s.chainId = data.chainId;
        s.bridgehub = data.bridgehub;
        s.chainTypeManager = data.chainTypeManager;
        s.protocolVersion = data.protocolVersion;
        s.admin = data.admin;
        s.validators[data.validatorTimelock] = true;
        s.baseTokenAssetId = data.baseTokenAssetId;
        s.storedBatchHashes[0] = data.storedBatchZero;
        s.verifier = address(data.verifier);
        s.priorityTxMaxGasLimit = data.priorityTxMaxGasLimit;
        s.feeParams = data.feeParams;
        s.priorityTree.setup(0);
        return Diamond.DIAMOND_INIT_SUCCESS_RETURN_VALUE;
    }
}
