// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {L2CanonicalTransaction} from "@zksync/common/Messaging.sol";
import {VerifierParams} from "@zksync/state-transition/chain-interfaces/IVerifier.sol";

/// How the L2 commits to the data that makes its state reconstructible.
enum L2DACommitmentScheme {
    NONE,
    EMPTY_NO_DA,
    PUBDATA_KECCAK256,
    BLOBS_AND_PUBDATA_KECCAK256,
    BLOBS_ZKSYNC_OS
}

/// What the operator claims about one new batch (protocol v30, encoding version 3).
struct CommitBatchInfoZKsyncOS {
    uint64 batchNumber;
    bytes32 newStateCommitment;
    uint256 numberOfLayer1Txs;
    bytes32 priorityOperationsHash;
    bytes32 dependencyRootsRollingHash;
    bytes32 l2LogsTreeRoot;
    L2DACommitmentScheme daCommitmentScheme;
    bytes32 daCommitment;
    uint64 firstBlockTimestamp;
    uint64 firstBlockNumber;
    uint64 lastBlockTimestamp;
    uint64 lastBlockNumber;
    uint256 chainId;
    bytes operatorDAInput;
}

/// A protocol upgrade as the chain applies it. A patch upgrade has a transaction of type 0.
struct ProposedUpgrade {
    L2CanonicalTransaction l2ProtocolUpgradeTx;
    bytes32 bootloaderHash;
    bytes32 defaultAccountHash;
    bytes32 evmEmulatorHash;
    address verifier;
    VerifierParams verifierParams;
    bytes l1ContractsUpgradeCalldata;
    bytes postUpgradeCalldata;
    uint256 upgradeTimestamp;
    uint256 newProtocolVersion;
}

/// Genesis data that is the same for every chain of one chain type manager.
/// Each `bytes ..Info` is `abi.encode(bytes implementationInfo, bytes proxyInfo)`, where each inner value is
/// `abi.encode(bytes32 blake2sHash, uint32 length, bytes32 keccakHash)` of EVM runtime code.
struct FixedForceDeploymentsData {
    uint256 l1ChainId;
    uint256 eraChainId;
    address l1AssetRouter;
    bytes32 l2TokenProxyBytecodeHash;
    address aliasedL1Governance;
    uint256 maxNumberOfZKChains;
    bytes bridgehubBytecodeInfo;
    bytes l2AssetRouterBytecodeInfo;
    bytes l2NtvBytecodeInfo;
    bytes messageRootBytecodeInfo;
    bytes chainAssetHandlerBytecodeInfo;
    bytes beaconDeployerInfo;
    address l2SharedBridgeLegacyImpl;
    address l2BridgedStandardERC20Impl;
    address dangerousTestOnlyForcedBeacon;
}

/// Genesis data of one chain.
struct ZKChainSpecificForceDeploymentsData {
    bytes32 baseTokenAssetId;
    address l2LegacySharedBridge;
    address predeployedL2WethAddress;
    address baseTokenL1Address;
    string baseTokenName;
    string baseTokenSymbol;
}

/// @dev keccak256(""): the priority operations hash of a batch without L1 transactions.
bytes32 constant EMPTY_STRING_KECCAK = 0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470;

uint8 constant COMMIT_ENCODING_VERSION = 3;
uint8 constant PROVE_ENCODING_VERSION = 1;
uint8 constant EXECUTE_ENCODING_VERSION = 1;

uint256 constant UPGRADE_TX_TYPE = 0x7e;
uint256 constant PRIORITY_TX_TYPE = 0x7f;
/// @dev The only gas per pubdata byte an L1 to L2 transaction may ask for.
uint256 constant REQUIRED_GAS_PER_PUBDATA = 800;
uint256 constant PRIORITY_TX_MAX_GAS_LIMIT = 72_000_000;
uint256 constant MAX_FACTORY_DEPS = 64;

/// @dev The L2 clock may run this far ahead of the settlement layer's.
uint256 constant COMMIT_TIMESTAMP_APPROXIMATION_DELTA = 1 hours;
/// @dev Blobs a data availability validator is asked about at most.
uint256 constant TOTAL_BLOBS_IN_COMMITMENT = 16;

/// @dev Public inputs are cut to 224 bits to fit the proof system's field.
uint256 constant PUBLIC_INPUT_SHIFT = 32;

address constant ETH_TOKEN_ADDRESS = address(1);
bytes32 constant TWO_BRIDGES_MAGIC_VALUE = bytes32(uint256(keccak256("TWO_BRIDGES_MAGIC_VALUE")) - 1);
address constant BRIDGEHUB_MIN_SECOND_BRIDGE_ADDRESS = address(uint160(type(uint16).max));

address constant L2_BOOTLOADER = address(0x8001);
address constant L2_CONTRACT_DEPLOYER = address(0x8006);
address constant L2_FORCE_DEPLOYER = address(0x8007);
address constant L2_L1_MESSENGER = address(0x8008);
address constant L2_BASE_TOKEN = address(0x800a);
address constant L2_COMPLEX_UPGRADER = address(0x800f);
address constant L2_GENESIS_UPGRADE = address(0x10001);
address constant L2_BRIDGEHUB = address(0x10002);
address constant L2_ASSET_ROUTER = address(0x10003);
address constant L2_NATIVE_TOKEN_VAULT = address(0x10004);
address constant L2_MESSAGE_ROOT = address(0x10005);
address constant L2_WRAPPED_BASE_TOKEN_IMPL = address(0x10007);
address constant L2_CHAIN_ASSET_HANDLER = address(0x1000a);
address constant L2_NTV_BEACON_DEPLOYER = address(0x1000b);
address constant L2_SYSTEM_PROXY_ADMIN = address(0x1000c);
