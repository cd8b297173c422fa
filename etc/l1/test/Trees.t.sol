// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {PriorityOpsBatchInfo} from "@zksync/state-transition/libraries/PriorityTree.sol";
import {L2Log} from "@zksync/common/Messaging.sol";
import {Base, StateFacet} from "./Base.sol";
import {GettersFacet} from "../src/chain/Getters.sol";
import {MailboxFacet} from "../src/chain/Mailbox.sol";
import {LogProof} from "../src/chain/LogProof.sol";
import "../src/common/Types.sol";

/// Proofs made by a plain prover, which knows all leaves, must satisfy the contracts, whatever the shape.
contract TreesTest is Base {
    StateFacet private state;

    function setUp() public override {
        super.setUp();
        state = _openUp(chain, CHAIN_ID);
    }

    function _leaf(uint256 i) private pure returns (bytes32) {
        return keccak256(abi.encode("leaf", i));
    }

    /// Paths of the range [from, to) in a tree of `size` leaves.
    function _rangeProof(uint256 size, uint256 from, uint256 to)
        private
        pure
        returns (PriorityOpsBatchInfo memory info)
    {
        uint256 depth;
        while ((1 << depth) < size) ++depth;
        info = PriorityOpsBatchInfo(new bytes32[](depth), new bytes32[](depth), new bytes32[](to - from));
        bytes32[] memory level = new bytes32[](1 << depth);
        for (uint256 i = 0; i < level.length; ++i) {
            level[i] = i < size ? _leaf(i) : EMPTY_STRING_KECCAK;
            if (i >= from && i < to) info.itemHashes[i - from] = level[i];
        }
        uint256 last = to - 1;
        for (uint256 k = 0; k < depth; ++k) {
            if (from % 2 == 1) info.leftPath[k] = level[from - 1];
            if (last % 2 == 0) info.rightPath[k] = level[last + 1];
            bytes32[] memory next = new bytes32[](level.length / 2);
            for (uint256 i = 0; i < next.length; ++i) {
                next[i] = keccak256(abi.encode(level[2 * i], level[2 * i + 1]));
            }
            (level, from, last) = (next, from / 2, last / 2);
        }
    }

    function testFuzz_priorityRanges(uint256 size, uint256 from, uint256 count) public {
        size = size % 20 + 1;
        from = from % size;
        count = count % (size - from) + 1;
        for (uint256 i = 0; i < size; ++i) {
            state.pushPriority(_leaf(i));
        }
        state.setUnprocessed(from);
        state.processPriority(_rangeProof(size, from, from + count));
        eq(GettersFacet(chain).getFirstUnprocessedPriorityTx(), from + count);
    }

    /// The tree as it was right after the last transaction of the batch serves as well as the present one.
    function testFuzz_priorityHistoricalRoots(uint256 size, uint256 at) public {
        size = size % 20 + 1;
        at = at % size + 1;
        for (uint256 i = 0; i < size; ++i) {
            state.pushPriority(_leaf(i));
        }
        state.setUnprocessed(at - 1);
        state.processPriority(_rangeProof(at, at - 1, at));
        eq(GettersFacet(chain).getFirstUnprocessedPriorityTx(), at);
    }

    function testFuzz_logProofs(uint256 count, uint256 index, L2Log memory log) public {
        count = count % 12 + 1;
        index = index % count;
        bytes32[] memory leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            leaves[i] = i == index ? LogProof.hashLog(log) : _leaf(i);
        }
        bytes32[] memory proof = new bytes32[](16);
        proof[0] = 0x010f000100000000000000000000000000000000000000000000000000000000;
        bytes32 empty = LogProof.DEFAULT_LEAF;
        uint256 position = index;
        for (uint256 k = 0; k < 14; ++k) {
            proof[k + 1] = (position ^ 1) < leaves.length ? leaves[position ^ 1] : empty;
            bytes32[] memory next = new bytes32[]((leaves.length + 1) / 2);
            for (uint256 i = 0; i < next.length; ++i) {
                next[i] = keccak256(abi.encode(leaves[2 * i], 2 * i + 1 < leaves.length ? leaves[2 * i + 1] : empty));
            }
            (leaves, position) = (next, position / 2);
            empty = keccak256(abi.encode(empty, empty));
        }
        state.setExecuted(1, keccak256(abi.encode(leaves[0], bytes32(0))));
        MailboxFacet mailbox = MailboxFacet(chain);
        isTrue(mailbox.proveL2LogInclusion(1, index, log, proof), "included");
        isTrue(!mailbox.proveL2LogInclusion(1, index ^ 1, log, proof), "not at the neighbour's place");
        log.value = ~log.value;
        isTrue(!mailbox.proveL2LogInclusion(1, index, log, proof), "not with another value");
    }
}
