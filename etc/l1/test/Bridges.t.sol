// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {L2TransactionRequestDirect, L2TransactionRequestTwoBridgesOuter} from "@zksync/bridgehub/IBridgehub.sol";
import {FinalizeL1DepositParams} from "@zksync/bridge/interfaces/IL1Nullifier.sol";
import {L2CanonicalTransaction, L2Log} from "@zksync/common/Messaging.sol";
import {AddressAliasHelper} from "@zksync/vendor/AddressAliasHelper.sol";
import {Base, StateFacet} from "./Base.sol";
import {vm, Vm} from "../scripts/Vm.sol";
import {ERC20} from "../src/l2/ERC20.sol";
import {BridgeData} from "../src/bridge/BridgeData.sol";
import {LogProof} from "../src/chain/LogProof.sol";
import {GettersFacet} from "../src/chain/Getters.sol";
import "../src/common/Types.sol";
import "../src/common/Errors.sol";

contract Gold is ERC20 {
    constructor() {
        (name, symbol, decimals) = ("Gold", "AU", 6);
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// Deposits and withdrawals of ether and tokens.
contract BridgesTest is Base {
    bytes32 private constant NEW_PRIORITY_REQUEST = 0x4531cd5795773d7101c17bdeb9f5ab7f47d7056017506f937083be5d6e77a382;
    bytes32 private constant NEW_PRIORITY_REQUEST_ID =
        0x779f441679936c5441b671969f37400b8c3ed0071cb47444431bf985754560df;
    address private constant USER = address(0x123456);
    address private constant RECEIVER = address(0x654321);
    uint256 private constant GAS = 500_000;

    StateFacet private state;
    Gold private gold;

    function setUp() public override {
        super.setUp();
        state = _openUp(chain, CHAIN_ID);
        gold = new Gold();
        gold.mint(USER, 1000);
        vm.deal(USER, 100 ether);
        vm.txGasPrice(1 gwei);
    }

    function _request(uint256 value) private view returns (L2TransactionRequestDirect memory request) {
        request.chainId = CHAIN_ID;
        request.l2Contract = RECEIVER;
        request.l2Value = value;
        request.l2GasLimit = GAS;
        request.l2GasPerPubdataByteLimit = 800;
        request.mintValue = value + bridgehub.l2TransactionBaseCost(CHAIN_ID, tx.gasprice, GAS, 800);
    }

    function _submit(L2TransactionRequestDirect memory request) private returns (bytes32) {
        vm.prank(USER, USER);
        return bridgehub.requestL2TransactionDirect{value: request.mintValue}(request);
    }

    function _priorityRequest(Vm.Log[] memory logs)
        private
        view
        returns (uint256 id, bytes32 hash, L2CanonicalTransaction memory transaction)
    {
        uint256 at;
        while (logs[at].topics[0] != NEW_PRIORITY_REQUEST) ++at;
        eq(logs[at].emitter, chain);
        uint64 expiration;
        (id, hash, expiration, transaction,) =
            abi.decode(logs[at].data, (uint256, bytes32, uint64, L2CanonicalTransaction, bytes[]));
        eq(expiration, block.timestamp);
        eq(hash, keccak256(abi.encode(transaction)));
        eq(logs[at + 1].topics[0], NEW_PRIORITY_REQUEST_ID);
        eq(logs[at + 1].topics[1], bytes32(id));
        eq(logs[at + 1].topics[2], hash);
    }

    // ------------------------------------------------------------------------------------------ direct

    function test_directDeposit() public {
        vm.recordLogs();
        bytes32 returned = _submit(_request(1 ether));
        (uint256 id, bytes32 hash, L2CanonicalTransaction memory t) = _priorityRequest(vm.getRecordedLogs());
        eq(id, 0);
        eq(hash, returned);
        eq(t.txType, 127);
        eq(t.from, uint160(USER));
        eq(t.to, uint160(RECEIVER));
        eq(t.gasLimit, GAS);
        eq(t.gasPerPubdataByteLimit, 800);
        eq(t.maxFeePerGas, 262_500_000);
        eq(t.maxPriorityFeePerGas, 0);
        eq(t.nonce, 0);
        eq(t.value, 1 ether);
        eq(t.reserved[0], 1 ether + 131_250_000_000_000);
        eq(t.reserved[1], uint160(USER));
        eq(GettersFacet(chain).getPriorityTreeRoot(), hash);
        eq(address(vault).balance, t.reserved[0]);
        eq(vault.chainBalance(CHAIN_ID, assetRouter.ETH_TOKEN_ASSET_ID()), t.reserved[0]);
        _submit(_request(1));
        eq(GettersFacet(chain).getTotalPriorityTxs(), 2);
    }

    /// A contract acts, and is refunded, under its alias.
    function test_contractSenderIsAliased() public {
        L2TransactionRequestDirect memory request = _request(5);
        vm.deal(address(this), 1 ether);
        vm.recordLogs();
        bridgehub.requestL2TransactionDirect{value: request.mintValue}(request);
        (,, L2CanonicalTransaction memory t) = _priorityRequest(vm.getRecordedLogs());
        eq(t.from, uint160(AddressAliasHelper.applyL1ToL2Alias(address(this))));
        eq(t.reserved[1], t.from);
        // Naming a contract as recipient of the refund has the same effect.
        request = _request(5);
        request.refundRecipient = address(gold);
        vm.recordLogs();
        _submit(request);
        (,, t) = _priorityRequest(vm.getRecordedLogs());
        eq(t.reserved[1], uint160(AddressAliasHelper.applyL1ToL2Alias(address(gold))));
    }

    function _expectDepositError(L2TransactionRequestDirect memory request, bytes memory expected) private {
        vm.expectRevert(expected);
        vm.prank(USER, USER);
        bridgehub.requestL2TransactionDirect{value: request.mintValue}(request);
    }

    function test_depositErrors() public {
        L2TransactionRequestDirect memory r = _request(1);
        vm.expectRevert(abi.encodeWithSelector(MsgValueMismatch.selector, r.mintValue, r.mintValue - 1));
        vm.prank(USER, USER);
        bridgehub.requestL2TransactionDirect{value: r.mintValue - 1}(r);

        r.mintValue -= 1;
        _expectDepositError(r, abi.encodeWithSelector(MsgValueTooLow.selector, r.mintValue + 1, r.mintValue));
        r = _request(1);
        r.l2GasPerPubdataByteLimit = 799;
        _expectDepositError(r, abi.encodeWithSelector(GasPerPubdataMismatch.selector));
        r = _request(1);
        r.factoryDeps = new bytes[](65);
        _expectDepositError(r, abi.encodeWithSelector(TooManyFactoryDeps.selector));
        r = _request(1);
        r.l2GasLimit = 70_399;
        _expectDepositError(r, abi.encodeWithSelector(ValidateTxnNotEnoughGas.selector));
        r.l2GasLimit = 70_400;
        _submit(r);
        r = _request(1);
        (r.l2GasLimit, r.mintValue) = (72_000_001, 1 ether);
        _expectDepositError(r, abi.encodeWithSelector(TooMuchGas.selector));
        r.l2GasLimit = 72_000_000;
        _submit(r);
        r = _request(1);
        r.chainId = 5;
        _expectDepositError(r, abi.encodeWithSelector(ChainNotRegistered.selector, 5));
    }

    // ------------------------------------------------------------------------------------------ two bridges

    function _tokenRequest(bytes memory data)
        private
        view
        returns (L2TransactionRequestTwoBridgesOuter memory request)
    {
        request.chainId = CHAIN_ID;
        request.l2GasLimit = GAS;
        request.l2GasPerPubdataByteLimit = 800;
        request.mintValue = bridgehub.l2TransactionBaseCost(CHAIN_ID, tx.gasprice, GAS, 800);
        request.secondBridgeAddress = address(assetRouter);
        request.secondBridgeCalldata = data;
    }

    function _goldId() private view returns (bytes32) {
        return BridgeData.ntvAssetId(block.chainid, address(gold));
    }

    function _depositGold(uint256 amount) private returns (bytes32 hash) {
        L2TransactionRequestTwoBridgesOuter memory request = _tokenRequest(
            bytes.concat(hex"01", abi.encode(_goldId(), BridgeData.encodeBurn(amount, RECEIVER, address(gold))))
        );
        vm.startPrank(USER);
        gold.approve(address(vault), amount);
        vm.stopPrank();
        vm.prank(USER, USER);
        hash = bridgehub.requestL2TransactionTwoBridges{value: request.mintValue}(request);
    }

    function test_tokenDeposit() public {
        vm.recordLogs();
        bytes32 hash = _depositGold(300);
        (,, L2CanonicalTransaction memory t) = _priorityRequest(vm.getRecordedLogs());
        eq(t.from, uint160(AddressAliasHelper.applyL1ToL2Alias(address(assetRouter))));
        eq(t.to, uint160(L2_ASSET_ROUTER));
        eq(t.reserved[1], uint160(USER));
        bytes memory metadata =
            BridgeData.encodeMetadata(31337, abi.encode("Gold"), abi.encode("AU"), abi.encode(uint8(6)));
        bytes memory expected =
            abi.encodeWithSelector(bytes4(0xcfe7af7c), USER, RECEIVER, address(gold), uint256(300), metadata);
        eq(keccak256(t.data), keccak256(expected));
        eq(gold.balanceOf(address(vault)), 300);
        eq(vault.chainBalance(CHAIN_ID, _goldId()), 300);
        bytes32 dataHash = keccak256(
            bytes.concat(hex"01", abi.encode(USER, _goldId(), BridgeData.encodeBurn(300, RECEIVER, address(gold))))
        );
        eq(nullifier.depositHappened(CHAIN_ID, hash), dataHash);
    }

    function test_tokenDepositLegacyForm() public {
        L2TransactionRequestTwoBridgesOuter memory request =
            _tokenRequest(abi.encode(address(gold), uint256(7), RECEIVER));
        vm.prank(USER);
        // Approving the router instead of the vault works as well.
        gold.approve(address(assetRouter), 7);
        vm.prank(USER, USER);
        bridgehub.requestL2TransactionTwoBridges{value: request.mintValue}(request);
        eq(vault.chainBalance(CHAIN_ID, _goldId()), 7);
    }

    function test_tokenDepositErrors() public {
        L2TransactionRequestTwoBridgesOuter memory r = _tokenRequest("");
        r.secondBridgeAddress = address(0xffff);
        vm.expectRevert(abi.encodeWithSelector(SecondBridgeAddressTooLow.selector, address(0xffff), address(0xffff)));
        vm.prank(USER, USER);
        bridgehub.requestL2TransactionTwoBridges{value: r.mintValue}(r);
        bytes32 ethId = assetRouter.ETH_TOKEN_ASSET_ID();
        eq(ethId, 0x8df3463b1850eb1d8d1847743ea155aef6b16074db8ba81d897dc30554fb2085);
        r = _tokenRequest(bytes.concat(hex"01", abi.encode(ethId, BridgeData.encodeBurn(1, RECEIVER, address(0)))));
        vm.expectRevert(abi.encodeWithSelector(AssetIdNotSupported.selector, ethId));
        vm.prank(USER, USER);
        bridgehub.requestL2TransactionTwoBridges{value: r.mintValue}(r);
        vm.expectRevert(abi.encodeWithSelector(MsgValueMismatch.selector, r.mintValue, r.mintValue + 1));
        vm.prank(USER, USER);
        bridgehub.requestL2TransactionTwoBridges{value: r.mintValue + 1}(r);
    }

    // ------------------------------------------------------------------------------------------ log tree

    /// Tree of 16,384 leaves of which the first few are given; returns root and the proof of one.
    function _tree(bytes32[] memory leaves, uint256 index) private pure returns (bytes32 root, bytes32[] memory proof) {
        proof = new bytes32[](16);
        proof[0] = 0x010f000100000000000000000000000000000000000000000000000000000000;
        bytes32 empty = LogProof.DEFAULT_LEAF;
        for (uint256 level = 0; level < 14; ++level) {
            uint256 sibling = index ^ 1;
            proof[level + 1] = sibling < leaves.length ? leaves[sibling] : empty;
            bytes32[] memory next = new bytes32[]((leaves.length + 1) / 2);
            for (uint256 i = 0; i < next.length; ++i) {
                bytes32 right = 2 * i + 1 < leaves.length ? leaves[2 * i + 1] : empty;
                next[i] = keccak256(abi.encode(leaves[2 * i], right));
            }
            (leaves, index) = (next, index / 2);
            empty = keccak256(abi.encode(empty, empty));
        }
        root = keccak256(abi.encode(leaves[0], bytes32(0)));
    }

    function test_emptyTree() public pure {
        bytes32[] memory leaves = new bytes32[](1);
        leaves[0] = LogProof.DEFAULT_LEAF;
        (bytes32 root,) = _tree(leaves, 0);
        eq(root, 0x692f35c99f9c698852289ffecf07f6dd45770904521149d79aa85aae598fa375);
    }

    function _messageLeaf(uint16 number, address sender, bytes memory message) private pure returns (bytes32) {
        return LogProof.hashLog(
            L2Log(0, true, number, L2_L1_MESSENGER, bytes32(uint256(uint160(sender))), keccak256(message))
        );
    }

    /// Batch 1 with three logs, the last of which is the message; returns what finalizes it.
    function _withdrawal(address sender, bytes memory message) private returns (FinalizeL1DepositParams memory params) {
        bytes32[] memory leaves = new bytes32[](3);
        leaves[0] = keccak256("one");
        leaves[1] = keccak256("two");
        leaves[2] = _messageLeaf(4, sender, message);
        (bytes32 root, bytes32[] memory proof) = _tree(leaves, 2);
        state.setExecuted(1, root);
        params = FinalizeL1DepositParams({
            chainId: CHAIN_ID,
            l2BatchNumber: 1,
            l2MessageIndex: 2,
            l2Sender: sender,
            l2TxNumberInBatch: 4,
            message: message,
            merkleProof: proof
        });
    }

    // ------------------------------------------------------------------------------------------ withdrawals

    function test_etherWithdrawal() public {
        _submit(_request(1 ether));
        FinalizeL1DepositParams memory params =
            _withdrawal(L2_BASE_TOKEN, abi.encodePacked(bytes4(0x6c0960f9), RECEIVER, uint256(0.4 ether)));
        uint256 held = address(vault).balance;
        nullifier.finalizeDeposit(params);
        eq(RECEIVER.balance, 0.4 ether);
        eq(address(vault).balance, held - 0.4 ether);
        isTrue(nullifier.isWithdrawalFinalized(CHAIN_ID, 1, 2), "recorded");
        vm.expectRevert(WithdrawalAlreadyFinalized.selector);
        nullifier.finalizeDeposit(params);
    }

    function test_withdrawalErrors() public {
        _submit(_request(1 ether));
        bytes memory message = abi.encodePacked(bytes4(0x6c0960f9), RECEIVER, uint256(0.4 ether));
        FinalizeL1DepositParams memory params = _withdrawal(L2_BASE_TOKEN, message);
        params.message = abi.encodePacked(bytes4(0x6c0960f9), RECEIVER, uint256(0.5 ether));
        vm.expectRevert(InvalidProof.selector);
        nullifier.finalizeDeposit(params);
        // Anybody may send such a message on L2; only the base token's counts.
        params = _withdrawal(USER, message);
        vm.expectRevert(abi.encodeWithSelector(WrongL2Sender.selector, USER));
        nullifier.finalizeDeposit(params);
        params = _withdrawal(L2_BASE_TOKEN, abi.encodePacked(bytes4(0x6c0960f9), RECEIVER, uint256(2 ether)));
        vm.expectRevert(InsufficientChainBalance.selector);
        nullifier.finalizeDeposit(params);
        params = _withdrawal(L2_BASE_TOKEN, hex"6c0960f900");
        vm.expectRevert(abi.encodeWithSelector(WrongMsgLength.selector, 56, 5));
        nullifier.finalizeDeposit(params);
        params = _withdrawal(L2_BASE_TOKEN, hex"12345678");
        vm.expectRevert(abi.encodeWithSelector(InvalidSelector.selector, bytes4(0x12345678)));
        nullifier.finalizeDeposit(params);
        params = _withdrawal(L2_BASE_TOKEN, message);
        params.l2BatchNumber = 2;
        vm.expectRevert(abi.encodeWithSelector(BatchNotExecuted.selector, 2));
        nullifier.finalizeDeposit(params);
        isTrue(!nullifier.isWithdrawalFinalized(CHAIN_ID, 1, 2), "nothing was paid");
    }

    function test_tokenWithdrawal() public {
        _depositGold(300);
        bytes memory data = BridgeData.encodeMint(USER, RECEIVER, address(gold), 120, "");
        bytes memory message = bytes.concat(bytes4(0x9c884fd1), bytes32(CHAIN_ID), _goldId(), data);
        nullifier.finalizeDeposit(_withdrawal(L2_ASSET_ROUTER, message));
        eq(gold.balanceOf(RECEIVER), 120);
        eq(vault.chainBalance(CHAIN_ID, _goldId()), 180);
    }

    function test_failedTokenDepositIsReturned() public {
        bytes32 hash = _depositGold(300);
        bytes32[] memory leaves = new bytes32[](1);
        leaves[0] = LogProof.hashLog(L2Log(0, true, 0, L2_BOOTLOADER, hash, bytes32(0)));
        (bytes32 root, bytes32[] memory proof) = _tree(leaves, 0);
        state.setExecuted(1, root);
        bytes memory data = BridgeData.encodeBurn(300, RECEIVER, address(gold));
        bytes32 id = _goldId();
        vm.expectRevert();
        nullifier.bridgeRecoverFailedTransfer(CHAIN_ID, RECEIVER, id, data, hash, 1, 0, 0, proof);
        nullifier.bridgeRecoverFailedTransfer(CHAIN_ID, USER, id, data, hash, 1, 0, 0, proof);
        eq(gold.balanceOf(USER), 1000);
        vm.expectRevert();
        nullifier.bridgeRecoverFailedTransfer(CHAIN_ID, USER, id, data, hash, 1, 0, 0, proof);
    }
}
