// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {IComplexUpgrader} from "./Interfaces.sol";
import {ForceDeployments} from "./ForceDeployments.sol";
import {L2_FORCE_DEPLOYER} from "../common/Types.sol";
import {Unauthorized} from "../common/Errors.sol";

/// Where protocol upgrades enter L2: runs upgrade code with the rights of its own address.
contract ComplexUpgrader is IComplexUpgrader {
    error AddressHasNoCode(address target);

    struct UniversalForceDeployment {
        bytes deployedBytecodeInfo;
        address newAddress;
    }

    modifier onlyForceDeployer() {
        if (msg.sender != L2_FORCE_DEPLOYER) revert Unauthorized(msg.sender);
        _;
    }

    function upgrade(address delegateTo, bytes calldata data) external payable onlyForceDeployer {
        _delegate(delegateTo, data);
    }

    /// Places code first, which may include the code of `delegateTo`.
    function forceDeployAndUpgradeUniversal(
        UniversalForceDeployment[] calldata deployments,
        address delegateTo,
        bytes calldata data
    ) external payable onlyForceDeployer {
        for (uint256 i = 0; i < deployments.length; ++i) {
            ForceDeployments.deploy(deployments[i].newAddress, deployments[i].deployedBytecodeInfo);
        }
        _delegate(delegateTo, data);
    }

    function _delegate(address target, bytes calldata data) private {
        if (target.code.length == 0) revert AddressHasNoCode(target);
        (bool ok, bytes memory result) = target.delegatecall(data);
        if (!ok) {
            assembly {
                revert(add(result, 32), mload(result))
            }
        }
    }
}
