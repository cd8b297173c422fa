// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {Owned} from "../common/Owned.sol";
import {IBridgehubBase, IChain} from "../bridgehub/Interfaces.sol";
import {RoleAccessDenied, TimeNotReached, NotAZKChain} from "../common/Errors.sol";

/// The one validator of every chain: checks the operator's role for the chain, enforces the delay between commit
/// and execution, and passes the calldata on unchanged.
contract ValidatorTimelock is Owned {
    struct ValidatorRotationParams {
        bool rotatePrecommitterRole;
        bool rotateCommitterRole;
        bool rotateReverterRole;
        bool rotateProverRole;
        bool rotateExecutorRole;
    }

    bytes32 public constant PRECOMMITTER_ROLE = keccak256("PRECOMMITTER_ROLE");
    bytes32 public constant COMMITTER_ROLE = keccak256("COMMITTER_ROLE");
    bytes32 public constant REVERTER_ROLE = keccak256("REVERTER_ROLE");
    bytes32 public constant PROVER_ROLE = keccak256("PROVER_ROLE");
    bytes32 public constant EXECUTOR_ROLE = keccak256("EXECUTOR_ROLE");
    /// The chain's own admin.
    bytes32 public constant DEFAULT_ADMIN_ROLE = bytes32(0);

    address public immutable BRIDGE_HUB;

    /// Seconds between the commit and the execution of a batch.
    uint32 public executionDelay;

    mapping(address => mapping(bytes32 => mapping(address => bool))) private roles;
    mapping(address => mapping(uint256 => uint32)) private committedAt;

    event NewExecutionDelay(uint256 newExecutionDelay);
    event RoleGranted(address indexed chainAddress, bytes32 indexed role, address indexed account);
    event RoleRevoked(address indexed chainAddress, bytes32 indexed role, address indexed account);

    constructor(address bridgehub, address initialOwner, uint32 delay) Owned(initialOwner) {
        BRIDGE_HUB = bridgehub;
        executionDelay = delay;
        emit NewExecutionDelay(delay);
    }

    modifier onlyRole(address chain, bytes32 role) {
        _requireRole(chain, role, msg.sender);
        _;
    }

    modifier onlyRoleAdmin(address chain) {
        if (!_isChainAdmin(chain, msg.sender)) revert RoleAccessDenied(chain, DEFAULT_ADMIN_ROLE, msg.sender);
        _;
    }

    function getName() external pure virtual returns (string memory) {
        return "ValidatorTimelock";
    }

    function setExecutionDelay(uint32 delay) external onlyOwner {
        executionDelay = delay;
        emit NewExecutionDelay(delay);
    }

    // ------------------------------------------------------------------------------------------ roles

    function hasRole(address chain, bytes32 role, address account) public view returns (bool) {
        if (role == DEFAULT_ADMIN_ROLE) return _isChainAdmin(chain, account);
        return roles[chain][role][account];
    }

    function hasRoleForChainId(uint256 chainId, bytes32 role, address account) external view returns (bool) {
        return hasRole(IBridgehubBase(BRIDGE_HUB).getZKChain(chainId), role, account);
    }

    function grantRole(address chain, bytes32 role, address account) external onlyRoleAdmin(chain) {
        _setRole(chain, role, account, true);
    }

    function revokeRole(address chain, bytes32 role, address account) external onlyRoleAdmin(chain) {
        _setRole(chain, role, account, false);
    }

    function addValidatorRoles(address chain, address validator, ValidatorRotationParams memory which)
        public
        onlyRoleAdmin(chain)
    {
        _setRoles(chain, validator, which, true);
    }

    function removeValidatorRoles(address chain, address validator, ValidatorRotationParams memory which)
        public
        onlyRoleAdmin(chain)
    {
        _setRoles(chain, validator, which, false);
    }

    function addValidator(address chain, address validator) external {
        addValidatorRoles(chain, validator, ValidatorRotationParams(true, true, true, true, true));
    }

    function removeValidator(address chain, address validator) external {
        removeValidatorRoles(chain, validator, ValidatorRotationParams(true, true, true, true, true));
    }

    function addValidatorForChainId(uint256 chainId, address validator) external {
        addValidatorRoles(
            IBridgehubBase(BRIDGE_HUB).getZKChain(chainId),
            validator,
            ValidatorRotationParams(true, true, true, true, true)
        );
    }

    function _setRoles(address chain, address validator, ValidatorRotationParams memory which, bool value) private {
        if (which.rotatePrecommitterRole) _setRole(chain, PRECOMMITTER_ROLE, validator, value);
        if (which.rotateCommitterRole) _setRole(chain, COMMITTER_ROLE, validator, value);
        if (which.rotateReverterRole) _setRole(chain, REVERTER_ROLE, validator, value);
        if (which.rotateProverRole) _setRole(chain, PROVER_ROLE, validator, value);
        if (which.rotateExecutorRole) _setRole(chain, EXECUTOR_ROLE, validator, value);
    }

    function _setRole(address chain, bytes32 role, address account, bool value) internal virtual {
        if (roles[chain][role][account] == value) return;
        roles[chain][role][account] = value;
        if (value) emit RoleGranted(chain, role, account);
        else emit RoleRevoked(chain, role, account);
    }

    function _requireRole(address chain, bytes32 role, address account) internal view {
        if (!hasRole(chain, role, account)) revert RoleAccessDenied(chain, role, account);
    }

    /// Asks the registry, not the chain alone: any contract could claim an admin.
    function _isChainAdmin(address chain, address account) internal view returns (bool) {
        if (chain.code.length == 0) revert NotAZKChain(chain);
        if (IBridgehubBase(BRIDGE_HUB).getZKChain(IChain(chain).getChainId()) != chain) revert NotAZKChain(chain);
        return IChain(chain).getAdmin() == account;
    }

    // ------------------------------------------------------------------------------------------ operators

    function precommitSharedBridge(address chain, uint256, bytes calldata) external onlyRole(chain, PRECOMMITTER_ROLE) {
        _forward(chain, msg.data);
    }

    function commitBatchesSharedBridge(address chain, uint256 from, uint256 to, bytes calldata)
        external
        virtual
        onlyRole(chain, COMMITTER_ROLE)
    {
        _recordCommit(chain, from, to);
        _forward(chain, msg.data);
    }

    function proveBatchesSharedBridge(address chain, uint256, uint256, bytes calldata)
        external
        onlyRole(chain, PROVER_ROLE)
    {
        _forward(chain, msg.data);
    }

    function executeBatchesSharedBridge(address chain, uint256 from, uint256 to, bytes calldata)
        external
        onlyRole(chain, EXECUTOR_ROLE)
    {
        uint256 delay = executionDelay;
        for (uint256 i = from; i <= to; ++i) {
            uint256 notBefore = committedAt[chain][i] + delay;
            if (block.timestamp < notBefore) revert TimeNotReached(notBefore, block.timestamp);
        }
        _forward(chain, msg.data);
    }

    function revertBatchesSharedBridge(address chain, uint256) external onlyRole(chain, REVERTER_ROLE) {
        _forward(chain, msg.data);
    }

    function getCommittedBatchTimestamp(address chain, uint256 batchNumber) external view returns (uint256) {
        return committedAt[chain][batchNumber];
    }

    function _recordCommit(address chain, uint256 from, uint256 to) internal {
        for (uint256 i = from; i <= to; ++i) {
            committedAt[chain][i] = uint32(block.timestamp);
        }
    }

    /// Reverts of the chain pass through as they are.
    function _forward(address chain, bytes memory data) internal {
        (bool ok, bytes memory result) = chain.call(data);
        if (!ok) {
            assembly {
                revert(add(result, 32), mload(result))
            }
        }
    }
}
