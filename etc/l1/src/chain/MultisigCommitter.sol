// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {IExecutor} from "@zksync/state-transition/chain-interfaces/IExecutor.sol";
import {ValidatorTimelock} from "./ValidatorTimelock.sol";
import "../common/Errors.sol";

/// A validator timelock that wants commits countersigned: independent nodes that have computed the same batch sign
/// its data. The signers are a set shared by all chains (the owner's) or, where the owner allows it, a chain's own.
/// A threshold of zero switches the requirement off.
contract MultisigCommitter is ValidatorTimelock, EIP712 {
    using EnumerableSet for EnumerableSet.AddressSet;

    bytes32 public constant COMMIT_VALIDATOR_ROLE = keccak256("COMMIT_VALIDATOR_ROLE");
    bytes32 private constant COMMIT_TYPEHASH = keccak256(
        "CommitBatchesMultisig(address chainAddress,uint256 processBatchFrom,uint256 processBatchTo,bytes batchData)"
    );

    EnumerableSet.AddressSet private sharedValidators;
    uint64 public sharedSigningThreshold;
    mapping(address => bool) public usesCustomSigningSet;
    mapping(address => EnumerableSet.AddressSet) private customValidators;
    mapping(address => uint64) private customThreshold;

    event SharedValidatorAdded(address indexed validator);
    event SharedValidatorRemoved(address indexed validator);
    event SharedSigningThresholdSet(uint64 threshold);
    event CustomSigningThresholdSet(address indexed chainAddress, uint64 threshold);
    event SigningSetChanged(address indexed chainAddress, bool custom);

    constructor(address bridgehub, address initialOwner, uint32 delay)
        ValidatorTimelock(bridgehub, initialOwner, delay)
        EIP712("MultisigCommitter", "1")
    {}

    function getName() external pure override returns (string memory) {
        return "MultisigCommitter";
    }

    // ------------------------------------------------------------------------------------------ signers

    function addSharedValidator(address validator) external onlyOwner {
        if (sharedValidators.add(validator)) emit SharedValidatorAdded(validator);
    }

    function removeSharedValidator(address validator) external onlyOwner {
        if (sharedValidators.remove(validator)) emit SharedValidatorRemoved(validator);
    }

    function setSharedSigningThreshold(uint64 threshold) external onlyOwner {
        sharedSigningThreshold = threshold;
        emit SharedSigningThresholdSet(threshold);
    }

    function useCustomSigningSet(address chain) external onlyOwner {
        usesCustomSigningSet[chain] = true;
        emit SigningSetChanged(chain, true);
    }

    function useSharedSigningSet(address chain) external onlyRoleAdmin(chain) {
        usesCustomSigningSet[chain] = false;
        emit SigningSetChanged(chain, false);
    }

    function setCustomSigningThreshold(address chain, uint64 threshold) external onlyRoleAdmin(chain) {
        customThreshold[chain] = threshold;
        emit CustomSigningThresholdSet(chain, threshold);
    }

    /// Signatures a commit of this chain needs; 0: none.
    function getSigningThreshold(address chain) public view returns (uint64) {
        return usesCustomSigningSet[chain] ? customThreshold[chain] : sharedSigningThreshold;
    }

    function isValidator(address chain, address signer) public view returns (bool) {
        return _signers(chain).contains(signer);
    }

    function getValidatorsCount(address chain) external view returns (uint256) {
        return _signers(chain).length();
    }

    function getValidatorsMember(address chain, uint256 index) external view returns (address) {
        return _signers(chain).at(index);
    }

    function _signers(address chain) private view returns (EnumerableSet.AddressSet storage) {
        if (usesCustomSigningSet[chain]) return customValidators[chain];
        return sharedValidators;
    }

    /// Signers of a chain's own set hold a role there; the set itself is kept for listing.
    function _setRole(address chain, bytes32 role, address account, bool value) internal override {
        super._setRole(chain, role, account, value);
        if (role != COMMIT_VALIDATOR_ROLE) return;
        if (value) customValidators[chain].add(account);
        else customValidators[chain].remove(account);
    }

    // ------------------------------------------------------------------------------------------ commit

    function commitBatchesSharedBridge(address chain, uint256 from, uint256 to, bytes calldata)
        external
        override
        onlyRole(chain, COMMITTER_ROLE)
    {
        if (getSigningThreshold(chain) != 0) revert ChainRequiresValidatorsSignaturesForCommit();
        _recordCommit(chain, from, to);
        _forward(chain, msg.data);
    }

    /// `signers` in ascending order, each with its signature over the EIP-712 digest of the same commit.
    function commitBatchesMultisig(
        address chain,
        uint256 from,
        uint256 to,
        bytes calldata batchData,
        address[] calldata signers,
        bytes[] calldata signatures
    ) external onlyRole(chain, COMMITTER_ROLE) {
        _checkSignatures(chain, commitDigest(chain, from, to, batchData), signers, signatures);
        _recordCommit(chain, from, to);
        _forward(chain, abi.encodeCall(IExecutor.commitBatchesSharedBridge, (chain, from, to, batchData)));
    }

    /// What a signer signs.
    function commitDigest(address chain, uint256 from, uint256 to, bytes calldata batchData)
        public
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(keccak256(abi.encode(COMMIT_TYPEHASH, chain, from, to, keccak256(batchData))));
    }

    function _checkSignatures(address chain, bytes32 digest, address[] calldata signers, bytes[] calldata signatures)
        private
        view
    {
        if (signers.length != signatures.length) revert SignaturesLengthMismatch(signers.length, signatures.length);
        uint256 required = getSigningThreshold(chain);
        if (signers.length < required) revert NotEnoughSigners(signers.length, required);
        address previous;
        for (uint256 i = 0; i < signers.length; ++i) {
            // Strictly ascending: nobody counts twice.
            if (signers[i] <= previous) revert SignersNotSorted();
            previous = signers[i];
            if (!isValidator(chain, signers[i])) revert SignerNotAuthorized(signers[i]);
            if (!SignatureChecker.isValidSignatureNow(signers[i], digest, signatures[i])) {
                revert SignatureNotValid(signers[i]);
            }
        }
    }
}
