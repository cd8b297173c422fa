// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {IExecutor} from "@zksync/state-transition/chain-interfaces/IExecutor.sol";
import {PriorityOpsBatchInfo} from "@zksync/state-transition/libraries/PriorityTree.sol";
import {L2CanonicalTransaction, L2Log, L2Message, TxStatus} from "@zksync/common/Messaging.sol";
import {Base, StateFacet} from "./Base.sol";
import {vm, Vm} from "../scripts/Vm.sol";
import {GettersFacet} from "../src/chain/Getters.sol";
import {MailboxFacet} from "../src/chain/Mailbox.sol";
import {LogProof} from "../src/chain/LogProof.sol";
import {TransactionLimits} from "../src/chain/TransactionLimits.sol";
import "../src/common/Types.sol";
import "../src/common/Errors.sol";

/// Values that were computed independently of these contracts: batch 1 of chain 6565 from commit to execution.
contract VectorsTest is Base {
    bytes32 internal constant T0 = 0x4164624346d4c915977debf68dbd721f8ae86b964080925aecf6911dd47a6ece;
    bytes32 internal constant T1 = 0xc99fec1c606ef0b8e5ed9fcdfd970787248a9130227ea815a8a66f9649e5e800;
    bytes32 internal constant LOGS_ROOT = 0x2ed652f51ba9a569d2bf01694ea546373748f0cbc542b3445bb074e4ade096ca;
    bytes32 internal constant STORED_1 = 0x9c203a4851d72d9479bebbb07414645a514538823c9c089dcc9f956b260bb468;

    StateFacet internal state;

    function setUp() public override {
        super.setUp();
        state = _openUp(chain, CHAIN_ID);
    }

    function _vectorBatch() internal pure returns (CommitBatchInfoZKsyncOS memory batch) {
        bytes memory pubdata = new bytes(64);
        for (uint256 i = 0; i < 64; ++i) {
            pubdata[i] = bytes1(uint8(i));
        }
        batch.batchNumber = 1;
        batch.newStateCommitment = keccak256("state-1");
        batch.numberOfLayer1Txs = 2;
        batch.priorityOperationsHash = 0xb5236acd5f9acbaf7bfacaec8fd59772ae3cb85f630d379075b393ad58e005ea;
        batch.l2LogsTreeRoot = LOGS_ROOT;
        batch.daCommitmentScheme = L2DACommitmentScheme.BLOBS_AND_PUBDATA_KECCAK256;
        (batch.daCommitment, batch.operatorDAInput) = _calldataDA(pubdata);
        batch.firstBlockTimestamp = 1_760_000_000;
        batch.firstBlockNumber = 1;
        batch.lastBlockTimestamp = 1_760_000_001;
        batch.lastBlockNumber = 2;
        batch.chainId = CHAIN_ID;
    }

    function _ops() internal pure returns (PriorityOpsBatchInfo[] memory ops) {
        ops = new PriorityOpsBatchInfo[](1);
        ops[0] = PriorityOpsBatchInfo(new bytes32[](1), new bytes32[](1), new bytes32[](2));
        ops[0].itemHashes[0] = T0;
        ops[0].itemHashes[1] = T1;
    }

    function test_batchZero() public view {
        bytes32 expected = 0x202ff3f096e7cbdf9b76a13be4bdb5a6357703ff1cbca345accb617fb5720474;
        eq(ctm.storedBatchZero(), expected);
        eq(GettersFacet(chain).storedBatchHash(0), expected);
    }

    function test_encodings() public pure {
        CommitBatchInfoZKsyncOS memory batch = _vectorBatch();
        eq(batch.daCommitment, 0x4e31fc8520618ec6849671607f6691edb49ca1b89e83bc6eb01795aefef6b892);
        bytes memory data = _commitData(_batchZero(), batch);
        eq(data.length, 1089);
        eq(keccak256(data), 0xfba161cdca97bc8729d9f66111fc2061486243c769630de3f060e865da4163d5);
        bytes memory call = abi.encodeCall(IExecutor.commitBatchesSharedBridge, (address(0xd1), 1, 1, data));
        eq(keccak256(call), 0xc4aed3ef9ac0237f347c98a3f2ae5a919141431e956c7c705864518db784e24b);
        IExecutor.StoredBatchInfo memory stored = _stored(batch, 0);
        eq(_publicInput(GENESIS_ROOT, stored), uint256(0x0d98e772d2b0b09edc01ae447f08c43553331736843b532d416c4684));
        data = _proofData(_batchZero(), _list(stored), _mockProof(_batchZero(), _list(stored)));
        eq(keccak256(data), 0x782f7052932d42e19a7ff015f3ac02d000cdd54b339aa415a22e2024b12340cc);
        data = _executeData(_list(stored), _ops());
        eq(keccak256(data), 0xc074a6cb5ebfc02a0068beacd27ce654e25f81ed1f523dbc3a64120a559d85ba);
    }

    function test_commitProveExecute() public {
        state.pushPriority(T0);
        state.pushPriority(T1);
        CommitBatchInfoZKsyncOS memory batch = _vectorBatch();
        vm.recordLogs();
        _commit(_batchZero(), batch);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        // The range is reported right before the commit.
        eq(logs[0].topics[0], 0xa2ac105688fc09c2584d6b2e79dd0fc14e6003a20c62ac45aa858e8ed12bb7bb);
        eq(logs[0].topics[2], bytes32(uint256(1)));
        eq(logs[0].topics[3], bytes32(uint256(2)));
        eq(logs[1].topics[0], 0x8f2916b2f2d78cc5890ead36c06c0f6d5d112c7e103589947e8e2f0d6eddb763);
        eq(logs[1].topics[2], 0xd6b0b7b9d521c1b834226c5db16775ba6864dd2fe89d327366804e63e0b07bdc);
        eq(logs[1].topics[3], 0xacb17c9e9a1716ad6443951308a5adaf5f55c069f0def1c427d88cacabbfe753);
        eq(GettersFacet(chain).storedBatchHash(1), STORED_1);

        IExecutor.StoredBatchInfo[] memory stored = _list(_stored(batch, 0));
        _prove(_batchZero(), stored);
        eq(GettersFacet(chain).l2LogsRootHash(1), 0);
        _execute(stored, _ops());
        (uint256 committed, uint256 verified, uint256 executed) = _counters();
        eq(committed, 1);
        eq(verified, 1);
        eq(executed, 1);
        eq(GettersFacet(chain).l2LogsRootHash(1), LOGS_ROOT);
        eq(GettersFacet(chain).getFirstUnprocessedPriorityTx(), 2);
    }

    function test_upgradeTransactionEntersTheCommitment() public {
        bytes32 upgradeTx = 0x1111111111111111111111111111111111111111111111111111111111111111;
        state.setUpgradeTx(upgradeTx);
        vm.recordLogs();
        _commit(_batchZero(), _vectorBatch());
        Vm.Log[] memory logs = vm.getRecordedLogs();
        eq(logs[1].topics[3], 0xca8ee3ba20caf0f0d74e08d5b2ce0e4d98f851f3cbd932991d82ef4346ae4029);
        eq(GettersFacet(chain).getL2SystemContractsUpgradeBatchNumber(), 1);
    }

    // ------------------------------------------------------------------------------------------ L1 transactions

    function _transaction(address account, uint256 gasLimit, uint256 price, uint256 value, uint256 toMint)
        private
        pure
        returns (L2CanonicalTransaction memory t)
    {
        t.txType = 127;
        t.from = uint160(account);
        t.to = uint160(account);
        t.gasLimit = gasLimit;
        t.gasPerPubdataByteLimit = 800;
        t.maxFeePerGas = price;
        t.nonce = 1;
        t.value = value;
        t.reserved[0] = toMint;
        t.reserved[1] = uint160(account);
    }

    function test_transactionHashes() public pure {
        address a = 0x357fE6c9f85DC429596577Cf2E7A191f60b6865b;
        bytes memory encoded = abi.encode(_transaction(a, 0x493e0, 0xee6fcf4, 0x32, 0x4b08a6610e32));
        eq(encoded.length, 800);
        eq(keccak256(encoded), T0);
        address b = 0x36615Cf349d7F6344891B1e7CA7C72883F5dc049;
        encoded = abi.encode(_transaction(b, 500_000, 251_250_000, 100 ether, 100 ether + 125_625_000_000_000));
        eq(keccak256(encoded), T1);
    }

    function test_baseCost() public {
        MailboxFacet mailbox = MailboxFacet(chain);
        eq(mailbox.l2TransactionBaseCost(1_524_800, 500_000, 800), 125_009_530_000_000);
        eq(mailbox.l2TransactionBaseCost(1 gwei, 500_000, 800), 131_250_000_000_000);
        eq(mailbox.l2TransactionBaseCost(2 gwei, 500_000, 800), 137_500_000_000_000);
        eq(mailbox.l2TransactionBaseCost(20 gwei, 500_000, 800), 316_666_667_000_000);
        eq(mailbox.l2TransactionBaseCost(100 gwei, 500_000, 800), 1_583_333_333_500_000);
        eq(bridgehub.l2TransactionBaseCost(CHAIN_ID, 1 gwei, 500_000, 800), 131_250_000_000_000);

        mailbox = MailboxFacet(_newChain(777, address(validiumDA), L2DACommitmentScheme.EMPTY_NO_DA));
        eq(mailbox.l2TransactionBaseCost(20 gwei, 1, 800), 500_000_000);
        eq(mailbox.l2TransactionBaseCost(100 gwei, 1, 800), 1_500_000_000);
    }

    function test_minimalGas() public pure {
        eq(TransactionLimits.minimalGas(800, 0, 800, 250_000_000), 70_400);
        eq(TransactionLimits.minimalGas(1024, 196, 800, 250_000_000), 70_400);
        eq(TransactionLimits.minimalGas(1024, 196, 800, 0), 70_427);
    }

    // ------------------------------------------------------------------------------------------ priority tree

    function _leaf(uint256 i) private pure returns (bytes32) {
        if (i == 0) return T0;
        if (i == 1) return T1;
        return keccak256(abi.encode(i));
    }

    function test_priorityTreeRoots() public {
        bytes32[5] memory roots = [
            bytes32(0x4164624346d4c915977debf68dbd721f8ae86b964080925aecf6911dd47a6ece),
            0xfd070d474d97eb3c4803a41b32b88e936c4ab4e4d1ec9c23aa551aacbc3c5a42,
            0x3f876deca2afb0d38af3b38193f07dff0af3d955c6037ee83ded6436705a3c8e,
            0xe74358d2fa89b5c9015be727cede02a4b673ce3d46b6d347a59c628268a86aaf,
            0xa56f69722c8973a581168193b14bd6d69915040a64269b17fa1b35361b6c9428
        ];
        eq(GettersFacet(chain).getPriorityTreeRoot(), 0);
        for (uint256 i = 0; i < 5; ++i) {
            state.pushPriority(_leaf(i));
            eq(GettersFacet(chain).getPriorityTreeRoot(), roots[i]);
            eq(GettersFacet(chain).getTotalPriorityTxs(), i + 1);
        }
    }

    function _process(uint256 size, uint256 from, uint256 to, bytes32[] memory left, bytes32[] memory right) private {
        for (uint256 i = GettersFacet(chain).getTotalPriorityTxs(); i < size; ++i) {
            state.pushPriority(_leaf(i));
        }
        PriorityOpsBatchInfo memory info = PriorityOpsBatchInfo(left, right, new bytes32[](to - from));
        for (uint256 i = from; i < to; ++i) {
            info.itemHashes[i - from] = _leaf(i);
        }
        state.setUnprocessed(from);
        state.processPriority(info);
        eq(GettersFacet(chain).getFirstUnprocessedPriorityTx(), to);
    }

    function test_priorityRangeProofs() public {
        bytes32 zero0 = EMPTY_STRING_KECCAK;
        bytes32 zero1 = 0x9c6b2c1b0d0b25a008e6c882cc7b415f309965c72ad2b944ac0931048ca31cd5;
        bytes32 node01 = 0xfd070d474d97eb3c4803a41b32b88e936c4ab4e4d1ec9c23aa551aacbc3c5a42;
        bytes32 node23 = 0xc5fd106a8e5214837c622e5fdef112b1d83ad6de66beafb53451c77843c9d04e;
        bytes32 node4 = 0xe2c761581bd43318d2b781feadcfb84f3b9eb7941b22050eb8874954a8a43e46;
        bytes32[] memory left = new bytes32[](0);
        bytes32[] memory right = new bytes32[](0);
        _process(1, 0, 1, left, right);

        (left, right) = (new bytes32[](1), new bytes32[](1));
        _process(2, 0, 2, left, right);

        (left, right) = (new bytes32[](2), new bytes32[](2));
        left[0] = _leaf(2);
        left[1] = node01;
        _process(4, 3, 4, left, right);

        (left, right) = (new bytes32[](3), new bytes32[](3));
        right[1] = node23;
        right[2] = node4;
        _process(5, 0, 2, left, right);

        (left, right) = (new bytes32[](3), new bytes32[](3));
        left[0] = T0;
        right[2] = node4;
        _process(5, 1, 4, left, right);

        (left, right) = (new bytes32[](3), new bytes32[](3));
        left[1] = node01;
        right[0] = zero0;
        right[1] = zero1;
        _process(5, 2, 5, left, right);
    }

    // ------------------------------------------------------------------------------------------ log tree

    function _proof0() private pure returns (bytes32[] memory proof) {
        proof = new bytes32[](16);
        proof[0] = 0x010f000100000000000000000000000000000000000000000000000000000000;
        proof[1] = 0x790a233e59b5921afb7e5c66f9189e21ae7f90589f454c7d34628e2ee06a4a31;
        proof[2] = 0x89d0309b432fa2d35104fa22885b807e608591a99cc2460f9d422cc45ecdaf70;
        proof[3] = 0xe3697c7f33c31a9b0f0aeb8542287d0d21e8c4cf82163d0c44c7a98aa11aa111;
        proof[4] = 0x199cc5812543ddceeddd0fc82807646a4899444240db2c0d2f20c3cceb5f51fa;
        proof[5] = 0xe4733f281f18ba3ea8775dd62d2fcd84011c8c938f16ea5790fd29a03bf8db89;
        proof[6] = 0x1798a1fd9c8fbb818c98cff190daa7cc10b6e5ac9716b4a2649f7c2ebcef2272;
        proof[7] = 0x66d7c5983afe44cf15ea8cf565b34c6c31ff0cb4dd744524f7842b942d08770d;
        proof[8] = 0xb04e5ee349086985f74b73971ce9dfe76bbed95c84906c5dffd96504e1e5396c;
        proof[9] = 0xac506ecb5465659b3a927143f6d724f91d8d9c4bdb2463aee111d9aa869874db;
        proof[10] = 0x124b05ec272cecd7538fdafe53b6628d31188ffb6f345139aac3c3c1fd2e470f;
        proof[11] = 0xc3be9cbd19304d84cca3d045e06b8db3acd68c304fc9cd4cbffe6d18036cb13f;
        proof[12] = 0xfef7bd9f889811e59e4076a0174087135f080177302763019adaf531257e3a87;
        proof[13] = 0xa707d1c62d8be699d34cb74804fdd7b4c568b6c1a821066f126c680d4b83e00b;
        proof[14] = 0xf6e093070e0389d2e529d60fadb855fdded54976ec50ac709e3a36ceaa64c291;
    }

    function _proof2() private pure returns (bytes32[] memory proof) {
        proof = _proof0();
        proof[1] = LogProof.DEFAULT_LEAF;
        proof[2] = 0x4f004218058f24e0944b4b8540ff5835e5559530f89edb4da42c3a1df6f05db9;
    }

    function _log0() private pure returns (L2Log memory) {
        return L2Log(0, true, 0, L2_BOOTLOADER, T0, bytes32(uint256(1)));
    }

    function _message2() private pure returns (L2Message memory) {
        address receiver = 0x36615Cf349d7F6344891B1e7CA7C72883F5dc049;
        return L2Message(2, L2_BASE_TOKEN, abi.encodePacked(bytes4(0x6c0960f9), receiver, uint256(100)));
    }

    function test_logProofs() public {
        eq(LogProof.hashLog(_log0()), 0x88e93d359b90907fb8ce7fb6eb89f7630f9758252c5cb4ddd2a550cc3fecc6cc);
        state.setExecuted(1, LOGS_ROOT);
        MailboxFacet mailbox = MailboxFacet(chain);
        isTrue(mailbox.proveL2LogInclusion(1, 0, _log0(), _proof0()), "log 0");
        isTrue(mailbox.proveL1ToL2TransactionStatus(T0, 1, 0, 0, _proof0(), TxStatus.Success), "status");
        isTrue(!mailbox.proveL1ToL2TransactionStatus(T0, 1, 0, 0, _proof0(), TxStatus.Failure), "other status");
        isTrue(mailbox.proveL2MessageInclusion(1, 2, _message2(), _proof2()), "message");
        isTrue(!mailbox.proveL2MessageInclusion(1, 1, _message2(), _proof2()), "other index");
        isTrue(bridgehub.proveL2MessageInclusion(CHAIN_ID, 1, 2, _message2(), _proof2()), "through the bridgehub");
        // The same path without metadata is the older form.
        bytes32[] memory bare = new bytes32[](15);
        for (uint256 i = 0; i < 15; ++i) {
            bare[i] = _proof0()[i + 1];
        }
        isTrue(mailbox.proveL2LogInclusion(1, 0, _log0(), bare), "bare path");
    }

    function test_logProofErrors() public {
        MailboxFacet mailbox = MailboxFacet(chain);
        vm.expectRevert(abi.encodeWithSelector(BatchNotExecuted.selector, 1));
        mailbox.proveL2LogInclusion(1, 0, _log0(), _proof0());
        state.setExecuted(1, bytes32(0));
        vm.expectRevert(LocalRootIsZero.selector);
        mailbox.proveL2LogInclusion(1, 0, _log0(), _proof0());
        state.setExecuted(1, LOGS_ROOT);
        L2Log memory none;
        bytes32[] memory proof = _proof0();
        vm.expectRevert(HashedLogIsDefault.selector);
        mailbox.proveL2LogInclusion(1, 0, none, proof);
        proof[0] = 0x020f000100000000000000000000000000000000000000000000000000000000;
        vm.expectRevert(abi.encodeWithSelector(UnsupportedProofMetadataVersion.selector, 2));
        mailbox.proveL2LogInclusion(1, 0, _log0(), proof);
        proof[0] = 0x010e000100000000000000000000000000000000000000000000000000000000;
        vm.expectRevert(InvalidProofLengthForFinalNode.selector);
        mailbox.proveL2LogInclusion(1, 0, _log0(), proof);
        proof[0] = 0x010f000000000000000000000000000000000000000000000000000000000000;
        vm.expectRevert();
        mailbox.proveL2LogInclusion(1, 0, _log0(), proof);
        vm.expectRevert(MerklePathEmpty.selector);
        mailbox.proveL2LogInclusion(1, 0, _log0(), new bytes32[](0));
    }
}
