// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {Base} from "./Base.sol";
import {vm} from "../scripts/Vm.sol";
import {MultisigCommitter} from "../src/chain/MultisigCommitter.sol";
import {ValidatorTimelock} from "../src/chain/ValidatorTimelock.sol";
import {GettersFacet} from "../src/chain/Getters.sol";
import {ChainAdmin} from "../src/governance/Governance.sol";
import "../src/common/Types.sol";
import "../src/common/Errors.sol";

/// Commits that need two of three signatures.
contract MultisigTest is Base {
    MultisigCommitter private multisig;
    uint256[3] private keys;
    address[3] private accounts;
    bytes private data;

    function _deployTimelock(address owner) internal override returns (ValidatorTimelock) {
        multisig = new MultisigCommitter(address(bridgehub), owner, 0);
        return multisig;
    }

    function setUp() public override {
        super.setUp();
        _openUp(chain, CHAIN_ID);
        keys = [uint256(11), 12, 13];
        // Ascending by address, as the contract wants them.
        for (uint256 i = 0; i < 3; ++i) {
            for (uint256 j = i; j > 0 && vm.addr(keys[j]) < vm.addr(keys[j - 1]); --j) {
                (keys[j], keys[j - 1]) = (keys[j - 1], keys[j]);
            }
        }
        for (uint256 i = 0; i < 3; ++i) {
            accounts[i] = vm.addr(keys[i]);
            multisig.addSharedValidator(accounts[i]);
        }
        multisig.setSharedSigningThreshold(2);
        data = _commitData(_batchZero(), _plainBatch(1));
    }

    function _sign(uint256 key, bytes32 digest) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function _signed(uint256 first, uint256 second)
        private
        view
        returns (address[] memory signers, bytes[] memory signatures)
    {
        bytes32 digest = multisig.commitDigest(chain, 1, 1, data);
        (signers, signatures) = (new address[](2), new bytes[](2));
        (signers[0], signers[1]) = (accounts[first], accounts[second]);
        (signatures[0], signatures[1]) = (_sign(keys[first], digest), _sign(keys[second], digest));
    }

    function _expectError(address[] memory signers, bytes[] memory signatures, bytes memory expected) private {
        vm.expectRevert(expected);
        vm.prank(committer);
        multisig.commitBatchesMultisig(chain, 1, 1, data, signers, signatures);
    }

    function test_twoOfThree() public {
        vm.expectRevert(ChainRequiresValidatorsSignaturesForCommit.selector);
        vm.prank(committer);
        multisig.commitBatchesSharedBridge(chain, 1, 1, data);

        (address[] memory signers, bytes[] memory signatures) = _signed(0, 2);
        vm.prank(committer);
        multisig.commitBatchesMultisig(chain, 1, 1, data, signers, signatures);
        eq(GettersFacet(chain).getTotalBatchesCommitted(), 1);
        eq(multisig.getCommittedBatchTimestamp(chain, 1), NOW);
    }

    function test_errors() public {
        (address[] memory signers, bytes[] memory signatures) = _signed(1, 0);
        _expectError(signers, signatures, abi.encodeWithSelector(SignersNotSorted.selector));
        (signers, signatures) = _signed(1, 1);
        _expectError(signers, signatures, abi.encodeWithSelector(SignersNotSorted.selector));
        (signers, signatures) = _signed(0, 1);
        signatures[1] = signatures[0];
        _expectError(signers, signatures, abi.encodeWithSelector(SignatureNotValid.selector, accounts[1]));
        multisig.removeSharedValidator(accounts[0]);
        _expectError(signers, signatures, abi.encodeWithSelector(SignerNotAuthorized.selector, accounts[0]));
        _expectError(signers, new bytes[](1), abi.encodeWithSelector(SignaturesLengthMismatch.selector, 2, 1));
        _expectError(new address[](1), new bytes[](1), abi.encodeWithSelector(NotEnoughSigners.selector, 1, 2));
        bytes32 role = multisig.COMMITTER_ROLE();
        vm.expectRevert(abi.encodeWithSelector(RoleAccessDenied.selector, chain, role, prover));
        vm.prank(prover);
        multisig.commitBatchesMultisig(chain, 1, 1, data, signers, signatures);
    }

    function test_customSet() public {
        multisig.useCustomSigningSet(chain);
        eq(multisig.getSigningThreshold(chain), 0);
        ChainAdmin.Call[] memory calls = new ChainAdmin.Call[](2);
        bytes32 role = multisig.COMMIT_VALIDATOR_ROLE();
        eq(role, 0xb3f13bdb4939e3cad9f8c67113ca59cd8749168573a363bc6f489d651096a93f);
        calls[0] = ChainAdmin.Call(
            address(multisig), 0, abi.encodeCall(ValidatorTimelock.grantRole, (chain, role, accounts[1]))
        );
        calls[1] = ChainAdmin.Call(
            address(multisig), 0, abi.encodeCall(MultisigCommitter.setCustomSigningThreshold, (chain, 1))
        );
        admin.multicall(calls, true);
        eq(multisig.getSigningThreshold(chain), 1);
        eq(multisig.getValidatorsCount(chain), 1);
        eq(multisig.getValidatorsMember(chain, 0), accounts[1]);
        isTrue(multisig.isValidator(chain, accounts[1]) && !multisig.isValidator(chain, accounts[0]), "custom set");
        (address[] memory signers, bytes[] memory signatures) = _signed(0, 1);
        _expectError(signers, signatures, abi.encodeWithSelector(SignerNotAuthorized.selector, accounts[0]));
    }

    /// Digest for a committer at 0x..e1 on chain 31337.
    function test_digest() public {
        address at = address(0xe1);
        bytes memory code = address(multisig).code;
        vm.etch(at, code);
        CommitBatchInfoZKsyncOS memory batch = _plainBatch(1);
        bytes memory pubdata = new bytes(64);
        for (uint256 i = 0; i < 64; ++i) {
            pubdata[i] = bytes1(uint8(i));
        }
        (batch.daCommitment, batch.operatorDAInput) = _calldataDA(pubdata);
        batch.newStateCommitment = keccak256("state-1");
        batch.numberOfLayer1Txs = 2;
        batch.priorityOperationsHash = 0xb5236acd5f9acbaf7bfacaec8fd59772ae3cb85f630d379075b393ad58e005ea;
        batch.l2LogsTreeRoot = 0x2ed652f51ba9a569d2bf01694ea546373748f0cbc542b3445bb074e4ade096ca;
        batch.lastBlockNumber = 2;
        bytes32 digest = MultisigCommitter(at).commitDigest(address(0xd1), 1, 1, _commitData(_batchZero(), batch));
        eq(digest, 0xc76ffdd55f600f7dbe9de778db7c76599d4cf69d2ade8e72317fcc4f7349ac4a);
    }
}
