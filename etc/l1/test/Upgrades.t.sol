// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {Diamond} from "@zksync/state-transition/libraries/Diamond.sol";
import {Base} from "./Base.sol";
import {vm, Vm} from "../scripts/Vm.sol";
import {AdminFacet} from "../src/chain/Admin.sol";
import {GettersFacet} from "../src/chain/Getters.sol";
import {IUpgrade} from "../src/bridgehub/Interfaces.sol";
import {ChainAdmin} from "../src/governance/Governance.sol";
import "../src/common/Types.sol";
import "../src/common/Errors.sol";

contract UpgradesTest is Base {
    uint256 private constant PATCH = PROTOCOL_VERSION + 1;
    uint256 private constant MINOR = uint256(31) << 32;

    function setUp() public override {
        super.setUp();
        _openUp(chain, CHAIN_ID);
    }

    function _cut(uint256 version, uint256 txType) private view returns (Diamond.DiamondCutData memory) {
        ProposedUpgrade memory proposed;
        proposed.newProtocolVersion = version;
        if (txType != 0) {
            proposed.l2ProtocolUpgradeTx.txType = txType;
            proposed.l2ProtocolUpgradeTx.from = uint160(L2_FORCE_DEPLOYER);
            proposed.l2ProtocolUpgradeTx.to = uint160(L2_COMPLEX_UPGRADER);
            proposed.l2ProtocolUpgradeTx.gasLimit = PRIORITY_TX_MAX_GAS_LIMIT;
            proposed.l2ProtocolUpgradeTx.gasPerPubdataByteLimit = REQUIRED_GAS_PER_PUBDATA;
            proposed.l2ProtocolUpgradeTx.nonce = uint32(version >> 32);
        }
        bytes memory data = abi.encodeCall(IUpgrade.upgrade, (proposed));
        return Diamond.DiamondCutData(new Diamond.FacetCut[](0), address(defaultUpgrade), data);
    }

    function _upgradeCall(Diamond.DiamondCutData memory cut) private {
        ChainAdmin.Call[] memory calls = new ChainAdmin.Call[](1);
        calls[0] =
            ChainAdmin.Call(chain, 0, abi.encodeCall(AdminFacet.upgradeChainFromVersion, (PROTOCOL_VERSION, cut)));
        admin.multicall(calls, true);
    }

    function _registerAndApply(Diamond.DiamondCutData memory cut, uint256 version) private {
        ctm.setNewVersionUpgrade(cut, PROTOCOL_VERSION, NOW + 1000, version);
        _upgradeCall(cut);
    }

    function test_selector() public pure {
        eq(bytes32(IUpgrade.upgrade.selector), bytes32(bytes4(0x16ef1303)));
    }

    function test_patch() public {
        _registerAndApply(_cut(PATCH, 0), PATCH);
        eq(GettersFacet(chain).getProtocolVersion(), PATCH);
        eq(GettersFacet(chain).getL2SystemContractsUpgradeTxHash(), 0);
        _commit(_batchZero(), _plainBatch(1));
    }

    function test_minor() public {
        Diamond.DiamondCutData memory cut = _cut(MINOR, UPGRADE_TX_TYPE);
        vm.recordLogs();
        _registerAndApply(cut, MINOR);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        eq(GettersFacet(chain).getProtocolVersion(), MINOR);
        bytes32 hash = GettersFacet(chain).getL2SystemContractsUpgradeTxHash();
        isTrue(hash != 0, "upgrade transaction");
        bool announced;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != 0xf99295383247eabb6bee8798669fa768502f8843d3be0e82a0aa81d7b6c4f60c) continue;
            announced = logs[i].emitter == address(ctm) && uint256(logs[i].topics[1]) == MINOR;
            eq(keccak256(logs[i].data), ctm.upgradeCutHash(PROTOCOL_VERSION));
        }
        isTrue(announced, "cut data");
        // The next batch carries the transaction.
        _commit(_batchZero(), _plainBatch(1));
        eq(GettersFacet(chain).storedBatchHash(1), keccak256(abi.encode(_stored(_plainBatch(1), hash))));
    }

    function test_oldVersionRunsOut() public {
        ctm.setNewVersionUpgrade(_cut(PATCH, 0), PROTOCOL_VERSION, NOW + 1000, PATCH);
        isTrue(ctm.protocolVersionIsActive(PROTOCOL_VERSION), "still active");
        vm.warp(NOW + 1001);
        isTrue(!ctm.protocolVersionIsActive(PROTOCOL_VERSION), "expired");
        isTrue(ctm.protocolVersionIsActive(PATCH), "new one");
    }

    function test_errors() public {
        Diamond.DiamondCutData memory cut = _cut(PATCH, 0);
        vm.expectRevert(abi.encodeWithSelector(HashMismatch.selector, bytes32(0), keccak256(abi.encode(cut))));
        _upgradeCall(cut);
        cut = _cut(PATCH, UPGRADE_TX_TYPE);
        ctm.setNewVersionUpgrade(cut, PROTOCOL_VERSION, NOW, PATCH);
        vm.expectRevert(PatchCantCarryTransaction.selector);
        _upgradeCall(cut);
        cut = _cut(MINOR, PRIORITY_TX_TYPE);
        ctm.setNewVersionUpgrade(cut, PROTOCOL_VERSION, NOW, MINOR);
        vm.expectRevert(InvalidUpgradeTransaction.selector);
        _upgradeCall(cut);
        cut = _cut(uint256(131) << 32, UPGRADE_TX_TYPE);
        ctm.setNewVersionUpgrade(cut, PROTOCOL_VERSION, NOW, uint256(131) << 32);
        vm.expectRevert(NewProtocolMinorVersionTooFar.selector);
        _upgradeCall(cut);
    }

    function test_minorNeedsPreviousUpgradeExecuted() public {
        chain = _newChain(999, address(rollupDA), L2DACommitmentScheme.BLOBS_AND_PUBDATA_KECCAK256);
        bytes32 pending = GettersFacet(chain).getL2SystemContractsUpgradeTxHash();
        Diamond.DiamondCutData memory cut = _cut(MINOR, UPGRADE_TX_TYPE);
        ctm.setNewVersionUpgrade(cut, PROTOCOL_VERSION, NOW, MINOR);
        vm.expectRevert(abi.encodeWithSelector(PreviousUpgradeNotFinalized.selector, pending));
        _upgradeCall(cut);
    }

    function test_timestampIsAnnounced() public {
        vm.recordLogs();
        admin.setUpgradeTimestamp(PATCH, NOW + 5);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        eq(logs[0].emitter, address(admin));
        eq(logs[0].topics[0], 0xd50ef21701c8ef211433b140724b8d6de471e7d822c8a616c3d424fe2d0e98a9);
        eq(logs[0].topics[1], bytes32(PATCH));
        eq(GettersFacet(chain).getAdmin(), address(admin));
    }

    function test_createChainErrors() public {
        bytes32 eth = assetRouter.ETH_TOKEN_ASSET_ID();
        bytes[] memory none = new bytes[](0);
        bytes memory init = abi.encode(encodedCut, fixedForceDeployments);
        vm.expectRevert(abi.encodeWithSelector(ChainAlreadyExists.selector, CHAIN_ID));
        bridgehub.createNewChain(CHAIN_ID, address(ctm), eth, 0, address(admin), init, none);
        vm.expectRevert(CTMNotRegistered.selector);
        bridgehub.createNewChain(5, address(1), eth, 0, address(admin), init, none);
        vm.expectRevert(InvalidChainId.selector);
        bridgehub.createNewChain(31337, address(ctm), eth, 0, address(admin), init, none);
        init = abi.encode(encodedCut, bytes("other"));
        vm.expectRevert();
        bridgehub.createNewChain(5, address(ctm), eth, 0, address(admin), init, none);
    }
}
