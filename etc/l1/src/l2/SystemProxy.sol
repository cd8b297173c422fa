// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {L2_COMPLEX_UPGRADER, L2_SYSTEM_PROXY_ADMIN} from "../common/Types.sol";
import {Unauthorized} from "../common/Errors.sol";

/// What is common to the proxies of L2: EIP-1967 slots, and an admin that alone may change the implementation.
/// The admin's calls never reach the implementation, so no function there can collide with an upgrade.
abstract contract Proxy {
    bytes32 internal constant IMPLEMENTATION_SLOT = 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;
    bytes32 internal constant ADMIN_SLOT = 0xb53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103;
    bytes4 private constant UPGRADE_TO_AND_CALL = bytes4(keccak256("upgradeToAndCall(address,bytes)"));

    error ProxyDeniedAdminAccess();
    error ERC1967InvalidImplementation(address implementation);

    event Upgraded(address indexed implementation);
    event AdminChanged(address previousAdmin, address newAdmin);

    fallback() external payable {
        if (msg.sender == _get(ADMIN_SLOT)) {
            if (msg.sig != UPGRADE_TO_AND_CALL) revert ProxyDeniedAdminAccess();
            (address implementation, bytes memory data) = abi.decode(msg.data[4:], (address, bytes));
            _upgradeToAndCall(implementation, data);
            return;
        }
        address target = _get(IMPLEMENTATION_SLOT);
        assembly {
            calldatacopy(0, 0, calldatasize())
            let ok := delegatecall(gas(), target, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            switch ok
            case 0 { revert(0, returndatasize()) }
            default { return(0, returndatasize()) }
        }
    }

    receive() external payable virtual {
        address target = _get(IMPLEMENTATION_SLOT);
        assembly {
            let ok := delegatecall(gas(), target, 0, 0, 0, 0)
            returndatacopy(0, 0, returndatasize())
            switch ok
            case 0 { revert(0, returndatasize()) }
            default { return(0, returndatasize()) }
        }
    }

    function _upgradeToAndCall(address implementation, bytes memory data) internal {
        if (implementation.code.length == 0) revert ERC1967InvalidImplementation(implementation);
        _set(IMPLEMENTATION_SLOT, implementation);
        emit Upgraded(implementation);
        if (data.length == 0) return;
        (bool ok, bytes memory result) = implementation.delegatecall(data);
        if (!ok) {
            assembly {
                revert(add(result, 32), mload(result))
            }
        }
    }

    function _changeAdmin(address newAdmin) internal {
        emit AdminChanged(_get(ADMIN_SLOT), newAdmin);
        _set(ADMIN_SLOT, newAdmin);
    }

    function _get(bytes32 slot) internal view returns (address value) {
        assembly {
            value := sload(slot)
        }
    }

    function _set(bytes32 slot, address value) internal {
        assembly {
            sstore(slot, value)
        }
    }
}

/// Proxy of an L2 system contract. Its code is placed by the upgrader without a constructor, so that the admin is
/// set by a call, once.
contract SystemContractProxy is Proxy {
    function forceInitAdmin(address newAdmin) external {
        if (msg.sender != L2_COMPLEX_UPGRADER || _get(ADMIN_SLOT) != address(0)) revert Unauthorized(msg.sender);
        _changeAdmin(newAdmin);
    }
}

/// Ordinary upgradeable proxy, set up by its constructor.
contract InitializableProxy is Proxy {
    constructor(address implementation, address admin, bytes memory initData) payable {
        _changeAdmin(admin);
        _upgradeToAndCall(implementation, initData);
    }
}

interface IProxy {
    function forceInitAdmin(address newAdmin) external;
    function upgradeToAndCall(address implementation, bytes calldata data) external payable;
}

/// Admin of all system proxies; owned by the upgrader. The owner stands in slot 0, where genesis puts it.
contract SystemContractProxyAdmin {
    address public owner;

    event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);

    modifier onlyOwner() {
        if (msg.sender != owner) revert Unauthorized(msg.sender);
        _;
    }

    function transferOwnership(address newOwner) external onlyOwner {
        emit OwnershipTransferred(owner, newOwner);
        owner = newOwner;
    }

    function upgrade(address proxy, address implementation) external onlyOwner {
        IProxy(proxy).upgradeToAndCall(implementation, "");
    }

    function upgradeAndCall(address proxy, address implementation, bytes calldata data) external payable onlyOwner {
        IProxy(proxy).upgradeToAndCall{value: msg.value}(implementation, data);
    }
}
