// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {L2CanonicalTransaction} from "@zksync/common/Messaging.sol";
import {AddressAliasHelper} from "@zksync/vendor/AddressAliasHelper.sol";
import {Base} from "./Base.sol";
import {GenesisInput} from "../scripts/Ecosystem.sol";
import {vm, Vm} from "../scripts/Vm.sol";
import {ComplexUpgrader} from "../src/l2/ComplexUpgrader.sol";
import {GenesisUpgrade} from "../src/l2/GenesisUpgrade.sol";
import {IComplexUpgrader, IContractDeployer, IL1Messenger} from "../src/l2/Interfaces.sol";
import {SystemContractProxy, SystemContractProxyAdmin, IProxy, Proxy} from "../src/l2/SystemProxy.sol";
import {WrappedBaseToken} from "../src/l2/WrappedBaseToken.sol";
import {L2Bridgehub, L2MessageRoot, L2ChainAssetHandler} from "../src/l2/SystemContracts.sol";
import {L2AssetRouter} from "../src/l2/L2AssetRouter.sol";
import {L2NativeTokenVault} from "../src/l2/L2NativeTokenVault.sol";
import {BridgedToken, NTVBeaconDeployer} from "../src/l2/BridgedToken.sol";
import {BridgeData} from "../src/bridge/BridgeData.sol";
import {GettersFacet} from "../src/chain/Getters.sol";
import "../src/common/Types.sol";
import "../src/common/Errors.sol";

/// Stands in for the virtual machine's hook that places code. Finds code by the hash it is announced under.
contract DeployerHook {
    mapping(bytes32 => bytes) private codes;

    function add(bytes32 hash, bytes calldata code) external {
        codes[hash] = code;
    }

    function setBytecodeDetailsEVM(address target, bytes32 hash, uint32 length, bytes32 keccakHash) external {
        require(msg.sender == L2_COMPLEX_UPGRADER, "only the upgrader");
        bytes memory code = codes[hash];
        require(code.length != 0 && code.length == length && keccak256(code) == keccakHash, "unknown code");
        vm.etch(target, code);
    }
}

/// Stands in for the hook that sends messages to L1.
contract MessengerHook {
    bytes public last;
    address public lastSender;

    function sendToL1(bytes calldata message) external returns (bytes32) {
        (last, lastSender) = (message, msg.sender);
        return keccak256(message);
    }
}

/// Runs the transaction that L1 makes for a new chain against the genesis contracts of L2.
contract L2GenesisTest is Base {
    bytes32 private constant IMPLEMENTATION_SLOT = 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;
    bytes32 private constant ADMIN_SLOT = 0xb53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103;
    bytes32 private constant GENESIS_UPGRADE_EVENT = 0xc5902263211386c797097c5eef7ce20567f0e13359623233314cfa01a55341da;

    DeployerHook private hook = DeployerHook(L2_CONTRACT_DEPLOYER);
    L2CanonicalTransaction private transaction;
    bytes32 private transactionHash;
    bytes[] private deps;

    function _info(bytes memory code) private pure returns (bytes memory) {
        return abi.encode(_announced(code), uint32(code.length), keccak256(code));
    }

    /// The real key is a blake2s hash, which only the virtual machine computes; any unique key does here.
    function _announced(bytes memory code) private pure returns (bytes32) {
        return keccak256(bytes.concat("blake2s", code));
    }

    function _pair(bytes memory implementation) private returns (bytes memory) {
        deps.push(implementation);
        return abi.encode(_info(implementation), _info(type(SystemContractProxy).runtimeCode));
    }

    function setUp() public override {
        vm.warp(NOW);
        GenesisInput memory genesis;
        genesis.genesisRoot = GENESIS_ROOT;
        genesis.bridgehubInfo = _pair(type(L2Bridgehub).runtimeCode);
        genesis.assetRouterInfo = _pair(type(L2AssetRouter).runtimeCode);
        genesis.ntvInfo = _pair(type(L2NativeTokenVault).runtimeCode);
        genesis.messageRootInfo = _pair(type(L2MessageRoot).runtimeCode);
        genesis.beaconDeployerInfo = _pair(type(NTVBeaconDeployer).runtimeCode);
        genesis.chainAssetHandlerInfo = _pair(type(L2ChainAssetHandler).runtimeCode);
        deps.push(type(SystemContractProxy).runtimeCode);
        _deployEcosystem(address(this), genesis);
        vm.recordLogs();
        chain = _createChain(270, address(0xad), deps);
        _readTransaction(vm.getRecordedLogs());
        _placeGenesis();
    }

    function _readTransaction(Vm.Log[] memory logs) private {
        bytes32[6] memory order = [
            bytes32(0x4235104f56661fe2e9d2f2a460b42766581bc45ce366c6a30a9f86c8a2b371a7), // NewProtocolVersion
            0x6bd09c836cb5c068d0e56c5463173036c9e0664c3c89a09c4b2ea71106abfc37, // UpgradeComplete
            keccak256("DiamondCut((address,uint8,bool,bytes4[])[],address,bytes)"),
            GENESIS_UPGRADE_EVENT,
            keccak256("DiamondCut((address,uint8,bool,bytes4[])[],address,bytes)"),
            0x1dabfc3f4f6a4e74e19be10cc9d1d8e23db03e415d5d3547a1a7d5eb766513ba // ExecuteUpgrade
        ];
        // The constructor's own cut and NewZKChain come before the upgrade.
        uint256 start;
        while (logs[start].topics[0] != order[0]) ++start;
        for (uint256 i = 0; i < order.length; ++i) {
            eq(logs[start + i].emitter, chain);
            eq(logs[start + i].topics[0], order[i]);
        }
        Vm.Log memory log = logs[start + 3];
        eq(log.topics[1], bytes32(uint256(uint160(chain))));
        eq(log.topics[2], bytes32(PROTOCOL_VERSION));
        bytes[] memory published;
        (transaction, published) = abi.decode(log.data, (L2CanonicalTransaction, bytes[]));
        eq(published.length, deps.length);
        for (uint256 i = 0; i < deps.length; ++i) {
            eq(keccak256(published[i]), keccak256(deps[i]));
        }
        transactionHash = keccak256(abi.encode(transaction));
        eq(logs[start + 1].topics[2], transactionHash);
    }

    /// What genesis.json puts into the state of block 0.
    function _placeGenesis() private {
        vm.chainId(270);
        vm.etch(L2_COMPLEX_UPGRADER, type(SystemContractProxy).runtimeCode);
        vm.etch(address(0xd704), type(ComplexUpgrader).runtimeCode);
        vm.store(L2_COMPLEX_UPGRADER, IMPLEMENTATION_SLOT, bytes32(uint256(0xd704)));
        vm.store(L2_COMPLEX_UPGRADER, ADMIN_SLOT, bytes32(uint256(uint160(L2_SYSTEM_PROXY_ADMIN))));
        vm.etch(L2_SYSTEM_PROXY_ADMIN, type(SystemContractProxyAdmin).runtimeCode);
        vm.store(L2_SYSTEM_PROXY_ADMIN, bytes32(0), bytes32(uint256(uint160(L2_COMPLEX_UPGRADER))));
        vm.etch(L2_GENESIS_UPGRADE, type(GenesisUpgrade).runtimeCode);
        vm.etch(L2_WRAPPED_BASE_TOKEN_IMPL, type(WrappedBaseToken).runtimeCode);
        vm.etch(L2_CONTRACT_DEPLOYER, type(DeployerHook).runtimeCode);
        vm.etch(L2_L1_MESSENGER, type(MessengerHook).runtimeCode);
        for (uint256 i = 0; i < deps.length; ++i) {
            hook.add(_announced(deps[i]), deps[i]);
        }
    }

    function _runGenesis() private {
        vm.prank(L2_FORCE_DEPLOYER);
        (bool ok,) = L2_COMPLEX_UPGRADER.call(transaction.data);
        isTrue(ok, "genesis upgrade");
    }

    function test_transaction() public view {
        eq(transaction.txType, 0x7e);
        eq(transaction.from, uint160(L2_FORCE_DEPLOYER));
        eq(transaction.to, uint160(L2_COMPLEX_UPGRADER));
        eq(transaction.gasLimit, 72_000_000);
        eq(transaction.gasPerPubdataByteLimit, 800);
        eq(transaction.maxFeePerGas, 0);
        eq(transaction.nonce, 30);
        eq(transaction.factoryDeps.length, 0);
        bytes memory data = transaction.data;
        eq(bytes32(bytes4(data)), bytes32(bytes4(0xc987336c)));
        eq(GettersFacet(chain).getL2SystemContractsUpgradeTxHash(), transactionHash);
    }

    function test_genesisUpgrade() public {
        vm.recordLogs();
        uint256 gas = gasleft();
        _runGenesis();
        isTrue(gas - gasleft() < 20_000_000, "gas");
        Vm.Log[] memory logs = vm.getRecordedLogs();
        Vm.Log memory last = logs[logs.length - 1];
        eq(last.emitter, L2_COMPLEX_UPGRADER);
        eq(last.topics[0], keccak256("UpgradeComplete(uint256)"));
        eq(uint256(bytes32(last.data)), 270);

        L2Bridgehub l2Bridgehub = L2Bridgehub(L2_BRIDGEHUB);
        eq(l2Bridgehub.L1_CHAIN_ID(), 31337);
        eq(l2Bridgehub.assetRouter(), L2_ASSET_ROUTER);
        eq(l2Bridgehub.messageRoot(), L2_MESSAGE_ROOT);
        eq(l2Bridgehub.chainAssetHandler(), L2_CHAIN_ASSET_HANDLER);
        eq(l2Bridgehub.l1CtmDeployer(), address(noMigration));
        eq(l2Bridgehub.owner(), AddressAliasHelper.applyL1ToL2Alias(address(this)));
        eq(L2AssetRouter(L2_ASSET_ROUTER).L1_ASSET_ROUTER(), address(assetRouter));
        eq(L2AssetRouter(L2_ASSET_ROUTER).BASE_TOKEN_ASSET_ID(), assetRouter.ETH_TOKEN_ASSET_ID());
        eq(L2ChainAssetHandler(L2_CHAIN_ASSET_HANDLER).L1_CHAIN_ID(), 31337);
        eq(L2MessageRoot(L2_MESSAGE_ROOT).L1_CHAIN_ID(), 31337);
        isTrue(L2NativeTokenVault(L2_NATIVE_TOKEN_VAULT).bridgedTokenBeacon().code.length != 0, "beacon");
    }

    function test_onlyForceDeployer() public {
        vm.expectRevert(abi.encodeWithSelector(Unauthorized.selector, address(this)));
        IComplexUpgrader(L2_COMPLEX_UPGRADER).upgrade(L2_GENESIS_UPGRADE, "");
    }

    function test_refusesOtherChain() public {
        vm.chainId(271);
        vm.prank(L2_FORCE_DEPLOYER);
        (bool ok, bytes memory result) = L2_COMPLEX_UPGRADER.call(transaction.data);
        isTrue(!ok && bytes4(result) == InvalidChainId.selector, "other chain");
    }

    function test_proxiesAreClosed() public {
        _runGenesis();
        vm.expectRevert(abi.encodeWithSelector(Unauthorized.selector, address(this)));
        IProxy(L2_BRIDGEHUB).forceInitAdmin(address(this));
        vm.expectRevert(abi.encodeWithSelector(Unauthorized.selector, L2_COMPLEX_UPGRADER));
        vm.prank(L2_COMPLEX_UPGRADER);
        IProxy(L2_BRIDGEHUB).forceInitAdmin(address(this));
        vm.expectRevert(abi.encodeWithSelector(Unauthorized.selector, address(this)));
        SystemContractProxyAdmin(L2_SYSTEM_PROXY_ADMIN).upgrade(L2_BRIDGEHUB, L2_WRAPPED_BASE_TOKEN_IMPL);
        vm.expectRevert(Proxy.ProxyDeniedAdminAccess.selector);
        vm.prank(L2_SYSTEM_PROXY_ADMIN);
        L2Bridgehub(L2_BRIDGEHUB).owner();
        vm.expectRevert(abi.encodeWithSelector(Unauthorized.selector, address(this)));
        L2Bridgehub(L2_BRIDGEHUB).initL2(1, address(this), 1);
    }

    function test_wrappedBaseToken() public {
        _runGenesis();
        WrappedBaseToken token = WrappedBaseToken(payable(L2NativeTokenVault(L2_NATIVE_TOKEN_VAULT).WETH_TOKEN()));
        eq(keccak256(bytes(token.name())), keccak256("Wrapped Ether"));
        eq(keccak256(bytes(token.symbol())), keccak256("WETH"));
        vm.deal(address(0xa11ce), 10);
        vm.prank(address(0xa11ce));
        token.deposit{value: 7}();
        eq(token.balanceOf(address(0xa11ce)), 7);
        vm.prank(address(0xa11ce));
        token.withdraw(3);
        eq(token.balanceOf(address(0xa11ce)), 4);
        eq(address(0xa11ce).balance, 6);
        eq(token.totalSupply(), 4);
        vm.prank(address(0xa11ce));
        (bool ok,) = address(token).call{value: 2}("");
        isTrue(ok, "plain transfer");
        eq(token.balanceOf(address(0xa11ce)), 6);
    }

    function test_tokenDepositAndWithdrawal() public {
        _runGenesis();
        L2AssetRouter router = L2AssetRouter(L2_ASSET_ROUTER);
        L2NativeTokenVault l2Vault = L2NativeTokenVault(L2_NATIVE_TOKEN_VAULT);
        address l1Token = address(0x70ce);
        bytes memory metadata =
            BridgeData.encodeMetadata(31337, abi.encode("Gold"), abi.encode("AU"), abi.encode(uint8(6)));
        address predicted = l2Vault.l2TokenAddress(l1Token);

        vm.expectRevert(abi.encodeWithSelector(Unauthorized.selector, address(this)));
        router.finalizeDeposit(address(1), address(2), l1Token, 100, metadata);

        vm.startPrank(AddressAliasHelper.applyL1ToL2Alias(address(assetRouter)));
        router.finalizeDeposit(address(1), address(0xa11ce), l1Token, 100, metadata);
        router.finalizeDeposit(address(1), address(0xa11ce), l1Token, 11, metadata);
        vm.stopPrank();
        bytes32 id = BridgeData.ntvAssetId(31337, l1Token);
        BridgedToken token = BridgedToken(l2Vault.tokenAddress(id));
        eq(address(token), predicted);
        eq(token.balanceOf(address(0xa11ce)), 111);
        eq(token.decimals(), 6);
        eq(keccak256(bytes(token.name())), keccak256("Gold"));
        eq(token.l1Address(), l1Token);

        vm.prank(address(0xa11ce));
        router.withdraw(id, BridgeData.encodeBurn(40, address(0xb), address(0)));
        eq(token.balanceOf(address(0xa11ce)), 71);
        MessengerHook messenger = MessengerHook(L2_L1_MESSENGER);
        eq(messenger.lastSender(), L2_ASSET_ROUTER);
        bytes memory expected = bytes.concat(
            bytes4(0x9c884fd1),
            bytes32(uint256(270)),
            id,
            BridgeData.encodeMint(address(0xa11ce), address(0xb), l1Token, 40, "")
        );
        eq(keccak256(messenger.last()), keccak256(expected));

        vm.expectRevert();
        vm.prank(address(0xa11ce));
        router.withdraw(id, BridgeData.encodeBurn(72, address(0xb), address(0)));
    }
}
