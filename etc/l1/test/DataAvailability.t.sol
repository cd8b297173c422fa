// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {L1DAValidatorOutput} from "@zksync/state-transition/chain-interfaces/IL1DAValidator.sol";
import {Base} from "./Base.sol";
import {vm} from "../scripts/Vm.sol";
import {GettersFacet} from "../src/chain/Getters.sol";
import "../src/common/Types.sol";
import "../src/common/Errors.sol";

contract DataAvailabilityTest is Base {
    bytes32 private constant VH_SMALL = 0x018fbac8a17fa4d1d113e5ba34291f0e10dbc8b6e319cb384da283b3ec2aa832;
    bytes32 private constant DA_SMALL = 0x24d453f10787cd8392d7b5264644439d98233a19ea0ed352867c079be5eef49b;
    bytes32 private constant VH_FIRST = 0x01d94d82e7df6e58b093e09fa4a6bd8806a1eec94e6e98643c5d3018abac80a6;
    bytes32 private constant VH_SECOND = 0x01fb80b361c054f6975318f0cf20f1a8ffbdc15de74ed7dc1698eab2085b357e;
    bytes32 private constant DA_TWO = 0x4b956918ceb563ce5e77e44a0e296f5a760290795a7b07e1bc6b851f6c704ccf;

    function _allZero(L1DAValidatorOutput memory output, uint256 length) private pure {
        eq(output.stateDiffHash, 0);
        eq(output.blobsLinearHashes.length, length);
        eq(output.blobsOpeningCommitments.length, length);
        for (uint256 i = 0; i < length; ++i) {
            eq(output.blobsLinearHashes[i], 0);
            eq(output.blobsOpeningCommitments[i], 0);
        }
    }

    // ------------------------------------------------------------------------------------------ calldata

    function test_calldata() public view {
        (bytes32 commitment, bytes memory input) = _calldataDA("some pubdata");
        _allZero(rollupDA.checkDA(CHAIN_ID, 1, commitment, input, 16), 16);
    }

    function test_calldataErrors() public {
        (bytes32 commitment, bytes memory input) = _calldataDA("some pubdata");
        bytes memory tooShort = new bytes(96);
        vm.expectRevert(abi.encodeWithSelector(OperatorDAInputTooSmall.selector, 96, 97));
        rollupDA.checkDA(CHAIN_ID, 1, commitment, tooShort, 16);
        vm.expectRevert(abi.encodeWithSelector(InvalidL2DAOutputHash.selector, bytes32(uint256(5))));
        rollupDA.checkDA(CHAIN_ID, 1, bytes32(uint256(5)), input, 16);
        input[97] = 0x01;
        vm.expectRevert(abi.encodeWithSelector(InvalidPubdataSource.selector, 1));
        rollupDA.checkDA(CHAIN_ID, 1, commitment, input, 16);
        input[97] = 0x00;
        input[98] ^= 0x01;
        bytes32 actual = keccak256(abi.encodePacked(bytes1("s") ^ bytes1(0x01), "ome pubdata"));
        vm.expectRevert(abi.encodeWithSelector(InvalidPubdataHash.selector, keccak256("some pubdata"), actual));
        rollupDA.checkDA(CHAIN_ID, 1, commitment, input, 16);
    }

    function test_calldataSizeLimit() public {
        (bytes32 commitment, bytes memory input) = _calldataDA(new bytes(126_976));
        _allZero(rollupDA.checkDA(CHAIN_ID, 1, commitment, input, 16), 16);
        (commitment, input) = _calldataDA(new bytes(126_977));
        vm.expectRevert(abi.encodeWithSelector(PubdataLengthTooBig.selector, 126_977, 126_976));
        rollupDA.checkDA(CHAIN_ID, 1, commitment, input, 16);
    }

    /// Whatever the pubdata, its own commitment passes and one with a changed byte does not.
    function testFuzz_calldata(bytes calldata pubdata, uint256 at) public {
        (bytes32 commitment, bytes memory input) = _calldataDA(pubdata);
        _allZero(rollupDA.checkDA(CHAIN_ID, 1, commitment, input, 16), 16);
        // The last word is the unused blob commitment: the chain refuses it, not the validator.
        at = at % (input.length - 32);
        input[at] ^= 0x01;
        vm.expectRevert();
        rollupDA.checkDA(CHAIN_ID, 1, commitment, input, 16);
    }

    function test_chainRefusesBlobCommitment() public {
        CommitBatchInfoZKsyncOS memory batch = _plainBatch(1);
        batch.operatorDAInput[batch.operatorDAInput.length - 1] = 0x01;
        bytes memory data = _commitData(_batchZero(), batch);
        vm.expectRevert(
            abi.encodeWithSelector(NonZeroBlobToVerifyZKsyncOS.selector, 0, bytes32(0), bytes32(uint256(1)))
        );
        vm.prank(committer);
        timelock.commitBatchesSharedBridge(chain, 1, 1, data);
    }

    // ------------------------------------------------------------------------------------------ validium

    function test_validium() public {
        _allZero(validiumDA.checkDA(CHAIN_ID, 1, 0, new bytes(32), 16), 16);
        vm.expectRevert(abi.encodeWithSelector(ValL1DAWrongInputLength.selector, 31, 32));
        validiumDA.checkDA(CHAIN_ID, 1, 0, new bytes(31), 16);
    }

    function test_validiumBatch() public {
        chain = _newChain(777, address(validiumDA), L2DACommitmentScheme.EMPTY_NO_DA);
        eq(uint256(GettersFacet(chain).getPubdataPricingMode()), 1);
        CommitBatchInfoZKsyncOS memory batch = _plainBatch(1);
        batch.chainId = 777;
        batch.daCommitmentScheme = L2DACommitmentScheme.EMPTY_NO_DA;
        batch.daCommitment = 0;
        batch.operatorDAInput = new bytes(32);
        _commit(_batchZero(), batch);
        (uint256 committed,,) = _counters();
        eq(committed, 1);
    }

    // ------------------------------------------------------------------------------------------ blobs

    function _carry(bytes32 first, bytes32 second) private {
        bytes32[] memory hashes = new bytes32[](second == 0 ? (first == 0 ? 0 : 1) : 2);
        if (hashes.length > 0) hashes[0] = first;
        if (hashes.length > 1) hashes[1] = second;
        vm.blobhashes(hashes);
    }

    function test_blobs() public {
        _carry(VH_SMALL, 0);
        _allZero(blobsDA.checkDA(CHAIN_ID, 1, DA_SMALL, new bytes(32), 16), 0);
        _carry(VH_FIRST, VH_SECOND);
        _allZero(blobsDA.checkDA(CHAIN_ID, 1, DA_TWO, new bytes(64), 16), 0);
    }

    function test_blobErrors() public {
        _carry(VH_FIRST, VH_SECOND);
        vm.expectRevert(abi.encodeWithSelector(InvalidBlobsDAInputLength.selector, 33));
        blobsDA.checkDA(CHAIN_ID, 1, DA_TWO, new bytes(33), 16);
        vm.expectRevert(abi.encodeWithSelector(NonEmptyBlobVersionHash.selector, 1));
        blobsDA.checkDA(CHAIN_ID, 1, DA_TWO, new bytes(32), 16);
        vm.expectRevert(BlobNotPublished.selector);
        blobsDA.checkDA(CHAIN_ID, 1, DA_TWO, new bytes(96), 16);
        vm.expectRevert(abi.encodeWithSelector(InvalidBlobsPublished.selector, DA_TWO, DA_SMALL));
        blobsDA.checkDA(CHAIN_ID, 1, DA_SMALL, new bytes(64), 16);
    }

    function test_blobsPublishedBefore() public {
        bytes memory input = abi.encode(VH_SMALL);
        vm.expectRevert(BlobNotPublished.selector);
        blobsDA.checkDA(CHAIN_ID, 1, DA_SMALL, input, 16);

        _carry(VH_SMALL, 0);
        vm.roll(100);
        blobsDA.publishBlobs();
        _carry(0, 0);
        vm.roll(100 + 65_536);
        _allZero(blobsDA.checkDA(CHAIN_ID, 1, DA_SMALL, input, 16), 0);
        vm.roll(100 + 65_537);
        isTrue(!blobsDA.isBlobAvailable(VH_SMALL), "expired");
        vm.expectRevert(BlobNotPublished.selector);
        blobsDA.checkDA(CHAIN_ID, 1, DA_SMALL, input, 16);
    }

    function test_blobBatch() public {
        chain = _newChain(778, address(blobsDA), L2DACommitmentScheme.BLOBS_ZKSYNC_OS);
        CommitBatchInfoZKsyncOS memory batch = _plainBatch(1);
        batch.chainId = 778;
        batch.daCommitmentScheme = L2DACommitmentScheme.BLOBS_ZKSYNC_OS;
        batch.daCommitment = DA_SMALL;
        batch.operatorDAInput = new bytes(32);
        _carry(VH_SMALL, 0);
        _commit(_batchZero(), batch);
        (uint256 committed,,) = _counters();
        eq(committed, 1);
    }
}
