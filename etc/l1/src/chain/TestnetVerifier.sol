// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {IVerifier} from "@zksync/state-transition/chain-interfaces/IVerifier.sol";
import {Owned} from "../common/Owned.sol";
import {PUBLIC_INPUT_SHIFT} from "../common/Types.sol";
import "../common/Errors.sol";

/// Stands where a real proof verifier would be: knows its verification key's hash, accepts nothing.
contract RejectingVerifier is IVerifier {
    bytes32 private immutable VK_HASH;

    constructor(bytes32 vkHash) {
        VK_HASH = vkHash;
    }

    function verify(uint256[] calldata, uint256[] calldata) external pure returns (bool) {
        return false;
    }

    function verificationKeyHash() external view returns (bytes32) {
        return VK_HASH;
    }
}

/// Routes a proof to the verifier its first word names, and accepts mock proofs. Refuses to exist on mainnet.
///
/// proof = [type | version << 8, initial hash (0: none), payload..]; types: 2 ZKsync OS PLONK, 3 mock.
/// A mock payload is [13, aggregated public input].
contract TestnetVerifier is IVerifier, Owned {
    uint256 private constant TYPE_PLONK = 2;
    uint256 private constant TYPE_MOCK = 3;
    uint256 private constant MOCK_PROOF_LENGTH = 4;
    uint256 private constant MOCK_MAGIC = 13;

    mapping(uint32 => IVerifier) public plonkVerifiers;

    event VerifierAdded(uint32 indexed version, address verifier);

    constructor(IVerifier plonkVerifier, address initialOwner) Owned(initialOwner) {
        if (block.chainid == 1) revert MockVerifierNotSupported();
        plonkVerifiers[0] = plonkVerifier;
        emit VerifierAdded(0, address(plonkVerifier));
    }

    function addVerifier(uint32 version, IVerifier plonkVerifier) external onlyOwner {
        if (address(plonkVerifiers[version]) != address(0)) revert VerifierVersionAlreadyExists();
        if (address(plonkVerifier) == address(0)) revert ZeroAddress();
        plonkVerifiers[version] = plonkVerifier;
        emit VerifierAdded(version, address(plonkVerifier));
    }

    function verify(uint256[] calldata publicInputs, uint256[] calldata proof) external view returns (bool) {
        if (proof.length == 0) revert EmptyProofLength();
        IVerifier plonk = _byVersion(proof[0]);
        uint256 kind = proof[0] & 0xff;
        if (kind == TYPE_MOCK) {
            if (proof.length != MOCK_PROOF_LENGTH) revert InvalidMockProofLength();
            if (proof[2] != MOCK_MAGIC || proof[3] != _aggregate(proof[1], publicInputs)) revert InvalidProof();
            return true;
        }
        if (kind != TYPE_PLONK) revert UnknownVerifierType();
        if (proof.length < 2) revert EmptyProofLength();
        uint256[] memory inputs = new uint256[](1);
        inputs[0] = _aggregate(proof[1], publicInputs);
        return plonk.verify(inputs, proof[2:]);
    }

    function verificationKeyHash() external view returns (bytes32) {
        return plonkVerifiers[0].verificationKeyHash();
    }

    /// `verifierType` as in the first word of a proof.
    function verificationKeyHash(uint256 verifierType) external view returns (bytes32) {
        if (verifierType & 0xff != TYPE_PLONK) revert UnknownVerifierType();
        return _byVersion(verifierType).verificationKeyHash();
    }

    function _byVersion(uint256 word) private view returns (IVerifier plonk) {
        plonk = plonkVerifiers[uint32(word >> 8)];
        if (address(plonk) == address(0)) revert UnknownVerifierVersion();
    }

    /// Chains the inputs of several batches into the one that a SNARK commits to.
    function _aggregate(uint256 initial, uint256[] calldata inputs) private pure returns (uint256 result) {
        uint256 start;
        result = initial;
        if (initial == 0) {
            result = inputs[0];
            start = 1;
        }
        for (uint256 i = start; i < inputs.length; ++i) {
            result = uint256(keccak256(abi.encodePacked(result, inputs[i]))) >> PUBLIC_INPUT_SHIFT;
        }
    }
}
