// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {IContractDeployer} from "./Interfaces.sol";
import {IProxy, SystemContractProxyAdmin} from "./SystemProxy.sol";
import {L2_CONTRACT_DEPLOYER, L2_SYSTEM_PROXY_ADMIN} from "../common/Types.sol";

/// Placing code at chosen addresses. Works only in calls made by the complex upgrader.
/// `info` describes runtime code: `abi.encode(bytes32 blake2sHash, uint32 length, bytes32 keccakHash)`.
library ForceDeployments {
    function deploy(address target, bytes memory info) internal {
        (bytes32 blake2sHash, uint32 length, bytes32 keccakHash) = abi.decode(info, (bytes32, uint32, bytes32));
        // A hook of the virtual machine has no code, which a high-level call would refuse.
        (bool ok,) = L2_CONTRACT_DEPLOYER.call(
            abi.encodeCall(IContractDeployer.setBytecodeDetailsEVM, (target, blake2sHash, length, keccakHash))
        );
        require(ok, ForceDeployFailed(target));
    }

    error ForceDeployFailed(address target);

    /// Implementation at an address derived from its code, proxy at `target`; a proxy that is there is upgraded.
    function deploySystemProxy(address target, bytes memory info) internal {
        (bytes memory implementationInfo, bytes memory proxyInfo) = abi.decode(info, (bytes, bytes));
        address implementation = implementationAddress(implementationInfo);
        deploy(implementation, implementationInfo);
        if (target.code.length == 0) {
            deploy(target, proxyInfo);
            IProxy(target).forceInitAdmin(L2_SYSTEM_PROXY_ADMIN);
        }
        SystemContractProxyAdmin(L2_SYSTEM_PROXY_ADMIN).upgrade(target, implementation);
    }

    function implementationAddress(bytes memory info) internal pure returns (address) {
        return address(uint160(uint256(keccak256(bytes.concat(bytes32(0), info)))));
    }
}
