// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

interface IComplexUpgrader {
    /// Runs the code of `delegateTo` as the upgrader; the way every protocol upgrade enters L2.
    function upgrade(address delegateTo, bytes calldata data) external payable;
}

interface IL2GenesisUpgrade {
    event UpgradeComplete(uint256 chainId);

    function genesisUpgrade(
        bool isZKsyncOS,
        uint256 chainId,
        address ctmDeployer,
        bytes calldata fixedForceDeploymentsData,
        bytes calldata additionalForceDeploymentsData
    ) external payable;
}

/// Hook of the virtual machine: places code at an address. Only the upgrader may call it.
interface IContractDeployer {
    function setBytecodeDetailsEVM(address target, bytes32 blake2sHash, uint32 length, bytes32 keccakHash) external;
}

/// Hook of the virtual machine: makes a message provable on L1.
interface IL1Messenger {
    function sendToL1(bytes calldata message) external returns (bytes32);
}
