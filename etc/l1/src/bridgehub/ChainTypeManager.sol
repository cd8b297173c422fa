// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {Diamond} from "@zksync/state-transition/libraries/Diamond.sol";
import {IExecutor} from "@zksync/state-transition/chain-interfaces/IExecutor.sol";
import {IDiamondInit} from "@zksync/state-transition/chain-interfaces/IDiamondInit.sol";
import {ChainCreationParams} from "@zksync/state-transition/IChainTypeManager.sol";
import {DiamondProxy} from "../chain/DiamondProxy.sol";
import {IBridgehubBase, IChain} from "./Interfaces.sol";
import {Owned} from "../common/Owned.sol";
import {SemVer} from "../common/SemVer.sol";
import {EMPTY_STRING_KECCAK} from "../common/Types.sol";
import "../common/Errors.sol";

/// Creates the chains of one flavour (ZKsync OS) and is the register of their protocol versions.
contract ChainTypeManager is Owned {
    address public immutable BRIDGE_HUB;

    address public validatorTimelockPostV29;
    address public serverNotifierAddress;
    address public l1GenesisUpgrade;
    /// Stored hash of batch 0 of every new chain.
    bytes32 public storedBatchZero;
    bytes32 public initialCutHash;
    bytes32 public initialForceDeploymentHash;
    /// Version of new chains, packed.
    uint256 public protocolVersion;
    /// Until when a version may commit: 0 never existed, max current.
    mapping(uint256 => uint256) public protocolVersionDeadline;
    /// Upgrade registered for chains at a version, keyed by the old version.
    mapping(uint256 => bytes32) public upgradeCutHash;
    mapping(uint256 => uint256) public upgradeCutDataBlock;

    event NewZKChain(uint256 indexed chainId, address indexed zkChainContract);
    event NewValidatorTimelockPostV29(
        address indexed oldValidatorTimelockPostV29, address indexed newvalidatorTimelockPostV29
    );
    event NewServerNotifier(address indexed oldServerNotifier, address indexed newServerNotifier);
    event NewChainCreationParams(
        address genesisUpgrade,
        bytes32 genesisBatchHash,
        uint64 genesisIndexRepeatedStorageChanges,
        bytes32 genesisBatchCommitment,
        Diamond.DiamondCutData newInitialCut,
        bytes32 newInitialCutHash,
        bytes forceDeploymentsData,
        bytes32 forceDeploymentHash
    );
    event NewUpgradeCutHash(uint256 indexed protocolVersion, bytes32 indexed upgradeCutHash);
    event NewUpgradeCutData(uint256 indexed protocolVersion, Diamond.DiamondCutData diamondCutData);
    event NewProtocolVersion(uint256 indexed oldProtocolVersion, uint256 indexed newProtocolVersion);
    event UpdateProtocolVersionDeadline(uint256 indexed protocolVersion, uint256 deadline);

    constructor(address bridgehub, address initialOwner, address timelock, uint256 initialVersion) Owned(initialOwner) {
        BRIDGE_HUB = bridgehub;
        validatorTimelockPostV29 = timelock;
        emit NewValidatorTimelockPostV29(address(0), timelock);
        protocolVersion = initialVersion;
        protocolVersionDeadline[initialVersion] = type(uint256).max;
        emit NewProtocolVersion(0, initialVersion);
        emit UpdateProtocolVersionDeadline(initialVersion, type(uint256).max);
    }

    modifier onlyBridgehub() {
        if (msg.sender != BRIDGE_HUB) revert Unauthorized(msg.sender);
        _;
    }

    modifier onlyOwnerOrChainAdmin(uint256 chainId) {
        if (msg.sender != owner && msg.sender != getChainAdmin(chainId)) revert Unauthorized(msg.sender);
        _;
    }

    // ------------------------------------------------------------------------------------------ views

    /// Getter of the time before v29; nothing is registered there any more.
    function validatorTimelock() external pure returns (address) {
        return address(0);
    }

    function protocolVersionIsActive(uint256 version) external view returns (bool) {
        return block.timestamp <= protocolVersionDeadline[version];
    }

    function getSemverProtocolVersion() external view returns (uint32, uint32, uint32) {
        return SemVer.unpack(protocolVersion);
    }

    function getZKChain(uint256 chainId) public view returns (address) {
        return IBridgehubBase(BRIDGE_HUB).getZKChain(chainId);
    }

    function getHyperchain(uint256 chainId) external view returns (address) {
        return getZKChain(chainId);
    }

    function getChainAdmin(uint256 chainId) public view returns (address) {
        return IChain(getZKChain(chainId)).getAdmin();
    }

    function getProtocolVersion(uint256 chainId) external view returns (uint256) {
        return IChain(getZKChain(chainId)).getProtocolVersion();
    }

    // ------------------------------------------------------------------------------------------ settings

    function setValidatorTimelockPostV29(address newTimelock) external onlyOwner {
        emit NewValidatorTimelockPostV29(validatorTimelockPostV29, newTimelock);
        validatorTimelockPostV29 = newTimelock;
    }

    function setServerNotifier(address newNotifier) external onlyOwner {
        emit NewServerNotifier(serverNotifierAddress, newNotifier);
        serverNotifierAddress = newNotifier;
    }

    function setChainCreationParams(ChainCreationParams calldata params) external onlyOwner {
        if (params.genesisUpgrade == address(0)) revert ZeroAddress();
        l1GenesisUpgrade = params.genesisUpgrade;
        storedBatchZero = keccak256(
            abi.encode(
                IExecutor.StoredBatchInfo({
                    batchNumber: 0,
                    batchHash: params.genesisBatchHash,
                    indexRepeatedStorageChanges: params.genesisIndexRepeatedStorageChanges,
                    numberOfLayer1Txs: 0,
                    priorityOperationsHash: EMPTY_STRING_KECCAK,
                    dependencyRootsRollingHash: bytes32(0),
                    l2LogsTreeRoot: bytes32(0),
                    timestamp: 0,
                    commitment: params.genesisBatchCommitment
                })
            )
        );
        initialCutHash = keccak256(abi.encode(params.diamondCut));
        initialForceDeploymentHash = keccak256(abi.encode(params.forceDeploymentsData));
        emit NewChainCreationParams(
            params.genesisUpgrade,
            params.genesisBatchHash,
            params.genesisIndexRepeatedStorageChanges,
            params.genesisBatchCommitment,
            params.diamondCut,
            initialCutHash,
            params.forceDeploymentsData,
            initialForceDeploymentHash
        );
    }

    // ------------------------------------------------------------------------------------------ versions

    /// Registers a new version and how chains get there. The deadline ends commits at the old version.
    function setNewVersionUpgrade(
        Diamond.DiamondCutData calldata cut,
        uint256 oldVersion,
        uint256 oldVersionDeadline,
        uint256 newVersion
    ) external onlyOwner {
        bytes32 cutHash = keccak256(abi.encode(cut));
        uint256 previous = protocolVersion;
        upgradeCutHash[oldVersion] = cutHash;
        upgradeCutDataBlock[newVersion] = block.number;
        _setDeadline(oldVersion, oldVersionDeadline);
        _setDeadline(newVersion, type(uint256).max);
        protocolVersion = newVersion;
        emit NewProtocolVersion(previous, newVersion);
        emit NewUpgradeCutHash(oldVersion, cutHash);
        emit NewUpgradeCutData(newVersion, cut);
    }

    function setUpgradeDiamondCut(Diamond.DiamondCutData calldata cut, uint256 oldVersion) external onlyOwner {
        bytes32 cutHash = keccak256(abi.encode(cut));
        upgradeCutHash[oldVersion] = cutHash;
        emit NewUpgradeCutHash(oldVersion, cutHash);
    }

    function setProtocolVersionDeadline(uint256 version, uint256 deadline) external onlyOwner {
        _setDeadline(version, deadline);
    }

    function _setDeadline(uint256 version, uint256 deadline) private {
        protocolVersionDeadline[version] = deadline;
        emit UpdateProtocolVersionDeadline(version, deadline);
    }

    // ------------------------------------------------------------------------------------------ chains

    /// `initData` is `abi.encode(bytes abi.encode(initial cut), bytes forceDeploymentsData)`; both must be the ones
    /// that were registered.
    function createNewChain(
        uint256 chainId,
        bytes32 baseTokenAssetId,
        address admin,
        bytes calldata initData,
        bytes[] calldata factoryDeps
    ) external onlyBridgehub returns (address chain) {
        (bytes memory encodedCut, bytes memory forceDeploymentsData) = abi.decode(initData, (bytes, bytes));
        bytes32 hash = keccak256(abi.encode(forceDeploymentsData));
        if (hash != initialForceDeploymentHash) revert HashMismatch(initialForceDeploymentHash, hash);
        chain = _deployChain(chainId, baseTokenAssetId, admin, encodedCut);
        IChain(chain)
            .genesisUpgrade(
                l1GenesisUpgrade, IBridgehubBase(BRIDGE_HUB).l1CtmDeployer(), forceDeploymentsData, factoryDeps
            );
    }

    function _deployChain(uint256 chainId, bytes32 baseTokenAssetId, address admin, bytes memory encodedCut)
        private
        returns (address chain)
    {
        Diamond.DiamondCutData memory cut = abi.decode(encodedCut, (Diamond.DiamondCutData));
        bytes32 hash = keccak256(encodedCut);
        if (hash != initialCutHash) revert HashMismatch(initialCutHash, hash);
        cut.initCalldata = bytes.concat(
            IDiamondInit.initialize.selector,
            abi.encode(chainId, BRIDGE_HUB, address(this), protocolVersion),
            abi.encode(admin, validatorTimelockPostV29, baseTokenAssetId, storedBatchZero),
            cut.initCalldata
        );
        chain = address(new DiamondProxy{salt: bytes32(0)}(block.chainid, cut));
        emit NewZKChain(chainId, chain);
    }

    function freezeChain(uint256 chainId) external onlyOwner {
        IChain(getZKChain(chainId)).freezeDiamond();
    }

    function unfreezeChain(uint256 chainId) external onlyOwner {
        IChain(getZKChain(chainId)).unfreezeDiamond();
    }

    function revertBatches(uint256 chainId, uint256 newLastBatch) external onlyOwnerOrChainAdmin(chainId) {
        address chain = getZKChain(chainId);
        IChain(chain).revertBatchesSharedBridge(chain, newLastBatch);
    }

    function upgradeChainFromVersion(uint256 chainId, uint256 oldVersion, Diamond.DiamondCutData calldata cut)
        external
        onlyOwner
    {
        IChain(getZKChain(chainId)).upgradeChainFromVersion(oldVersion, cut);
    }

    function executeUpgrade(uint256 chainId, Diamond.DiamondCutData calldata cut) external onlyOwner {
        IChain(getZKChain(chainId)).executeUpgrade(cut);
    }

    function setTokenMultiplier(uint256 chainId, uint128 nominator, uint128 denominator) external onlyOwner {
        IChain(getZKChain(chainId)).setTokenMultiplier(nominator, denominator);
    }
}
