// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {Owned} from "../common/Owned.sol";
import {IBridgehubBase, IChain} from "../bridgehub/Interfaces.sol";
import {Unauthorized} from "../common/Errors.sol";

/// Admin of a chain: acts for its owner, one call or many, and announces when an upgrade is to happen.
contract ChainAdmin is Owned {
    struct Call {
        address target;
        uint256 value;
        bytes data;
    }

    mapping(uint256 => uint256) public protocolVersionToUpgradeTimestamp;

    event UpdateUpgradeTimestamp(uint256 indexed protocolVersion, uint256 upgradeTimestamp);
    event CallExecuted(Call call, bool success, bytes returnData);

    constructor(address initialOwner) Owned(initialOwner) {}

    receive() external payable {}

    function setUpgradeTimestamp(uint256 protocolVersion, uint256 upgradeTimestamp) external onlyOwner {
        protocolVersionToUpgradeTimestamp[protocolVersion] = upgradeTimestamp;
        emit UpdateUpgradeTimestamp(protocolVersion, upgradeTimestamp);
    }

    function multicall(Call[] calldata calls, bool requireSuccess) external payable onlyOwner {
        for (uint256 i = 0; i < calls.length; ++i) {
            (bool success, bytes memory result) = calls[i].target.call{value: calls[i].value}(calls[i].data);
            if (requireSuccess && !success) {
                assembly {
                    revert(add(result, 32), mload(result))
                }
            }
            emit CallExecuted(calls[i], success, result);
        }
    }
}

/// Signals from a chain's admin to the operator's node.
contract ServerNotifier {
    address public immutable BRIDGE_HUB;

    event MigrateToGateway(uint256 indexed chainId);
    event MigrateFromGateway(uint256 indexed chainId);
    event UpgradeTimestampUpdated(uint256 indexed chainId, uint256 indexed protocolVersion, uint256 upgradeTimestamp);

    mapping(uint256 => mapping(uint256 => uint256)) public protocolVersionToUpgradeTimestamp;

    constructor(address bridgehub) {
        BRIDGE_HUB = bridgehub;
    }

    modifier onlyChainAdmin(uint256 chainId) {
        if (msg.sender != IChain(IBridgehubBase(BRIDGE_HUB).getZKChain(chainId)).getAdmin()) {
            revert Unauthorized(msg.sender);
        }
        _;
    }

    function migrateToGateway(uint256 chainId) external onlyChainAdmin(chainId) {
        emit MigrateToGateway(chainId);
    }

    function migrateFromGateway(uint256 chainId) external onlyChainAdmin(chainId) {
        emit MigrateFromGateway(chainId);
    }

    function setUpgradeTimestamp(uint256 chainId, uint256 protocolVersion, uint256 upgradeTimestamp)
        external
        onlyChainAdmin(chainId)
    {
        protocolVersionToUpgradeTimestamp[chainId][protocolVersion] = upgradeTimestamp;
        emit UpgradeTimestampUpdated(chainId, protocolVersion, upgradeTimestamp);
    }
}

/// Publishes preimages of L2 bytecodes in logs. Keyed by the older VM's bytecode hash, as at protocol v30.
contract BytecodesSupplier {
    uint256 private constant MAX_WORDS = type(uint16).max;

    error BytecodeAlreadyPublished(bytes32 bytecodeHash);
    error LengthIsNotDivisibleBy32(uint256 length);
    error MalformedBytecode(uint256 words);

    /// Block of publication by bytecode hash.
    mapping(bytes32 => uint256) public publishingBlock;

    event BytecodePublished(bytes32 indexed bytecodeHash, bytes bytecode);

    function publishBytecode(bytes calldata code) public {
        if (code.length % 32 != 0) revert LengthIsNotDivisibleBy32(code.length);
        uint256 words = code.length / 32;
        if (words % 2 == 0 || words > MAX_WORDS) revert MalformedBytecode(words);
        bytes32 hash = bytes32((uint256(sha256(code)) & type(uint224).max) | (words << 224) | (uint256(1) << 248));
        if (publishingBlock[hash] != 0) revert BytecodeAlreadyPublished(hash);
        publishingBlock[hash] = block.number;
        emit BytecodePublished(hash, code);
    }

    function publishBytecodes(bytes[] calldata codes) external {
        for (uint256 i = 0; i < codes.length; ++i) {
            publishBytecode(codes[i]);
        }
    }
}
