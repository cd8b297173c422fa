// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {NotSupported} from "../common/Errors.sol";

/// Stands at the addresses that move chains between settlement layers: the local L1 has no other layer.
contract NoMigration {
    address public immutable BRIDGE_HUB;

    constructor(address bridgehub) {
        BRIDGE_HUB = bridgehub;
    }

    fallback() external payable {
        revert NotSupported();
    }
}
