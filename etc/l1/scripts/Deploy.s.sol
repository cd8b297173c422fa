// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {L2TransactionRequestDirect} from "@zksync/bridgehub/IBridgehub.sol";
import {Ecosystem, GenesisInput, Operators} from "./Ecosystem.sol";
import {vm} from "./Vm.sol";
import {ChainAdmin} from "../src/governance/Governance.sol";
import {L2DACommitmentScheme, REQUIRED_GAS_PER_PUBDATA} from "../src/common/Types.sol";

/// Brings the local L1 to life: ecosystem, one chain, its operators, deposits for the rich account.
/// Reads build/deploy-input.json (written by generate.mjs), writes build/deploy-output.json.
contract Deploy is Ecosystem {
    uint256 private constant DEPOSIT_GAS_LIMIT = 500_000;
    /// Above any price the fresh local L1 reaches.
    uint256 private constant DEPOSIT_GAS_PRICE_CEILING = 10 gwei;

    function run() external {
        string memory input = vm.readFile("build/deploy-input.json");
        uint256 governorKey = vm.parseJsonUint(input, ".governorKey");
        address governor = vm.addr(governorKey);
        address rich = vm.addr(vm.parseJsonUint(input, ".richKey"));
        GenesisInput memory genesis = _genesis(input);

        vm.startBroadcast(governorKey);
        _deployEcosystem(governor, genesis);
        ChainAdmin chainAdmin = new ChainAdmin(governor);
        uint256 chainId = vm.parseJsonUint(input, ".chainId");
        address chain = _createChain(chainId, address(chainAdmin), genesis.factoryDeps);
        Operators memory operators = Operators({
            commit: vm.parseJsonAddress(input, ".operators.commit"),
            prove: vm.parseJsonAddress(input, ".operators.prove"),
            execute: vm.parseJsonAddress(input, ".operators.execute")
        });
        chainAdmin.multicall(
            _configurationCalls(chain, operators, address(rollupDA), L2DACommitmentScheme.BLOBS_AND_PUBDATA_KECCAK256),
            true
        );
        payable(rich).transfer(vm.parseJsonUint(input, ".richL1Balance"));
        vm.stopBroadcast();

        _deposit(input, chainId, rich);
        _report(chainId, chain, address(chainAdmin));
    }

    function _genesis(string memory input) private pure returns (GenesisInput memory genesis) {
        genesis.genesisRoot = vm.parseJsonBytes32(input, ".genesisRoot");
        genesis.bridgehubInfo = vm.parseJsonBytes(input, ".info.bridgehub");
        genesis.assetRouterInfo = vm.parseJsonBytes(input, ".info.assetRouter");
        genesis.ntvInfo = vm.parseJsonBytes(input, ".info.nativeTokenVault");
        genesis.messageRootInfo = vm.parseJsonBytes(input, ".info.messageRoot");
        genesis.chainAssetHandlerInfo = vm.parseJsonBytes(input, ".info.chainAssetHandler");
        genesis.beaconDeployerInfo = vm.parseJsonBytes(input, ".info.beaconDeployer");
        genesis.tokenProxyHash = vm.parseJsonBytes32(input, ".tokenProxyHash");
        genesis.factoryDeps = vm.parseJsonBytesArray(input, ".factoryDeps");
    }

    function _deposit(string memory input, uint256 chainId, address rich) private {
        uint256[] memory amounts = vm.parseJsonUintArray(input, ".deposits");
        uint256 cost = bridgehub.l2TransactionBaseCost(
            chainId, DEPOSIT_GAS_PRICE_CEILING, DEPOSIT_GAS_LIMIT, REQUIRED_GAS_PER_PUBDATA
        );
        vm.startBroadcast(vm.parseJsonUint(input, ".richKey"));
        for (uint256 i = 0; i < amounts.length; ++i) {
            bridgehub.requestL2TransactionDirect{value: amounts[i] + cost}(
                L2TransactionRequestDirect({
                    chainId: chainId,
                    mintValue: amounts[i] + cost,
                    l2Contract: rich,
                    l2Value: amounts[i],
                    l2Calldata: "",
                    l2GasLimit: DEPOSIT_GAS_LIMIT,
                    l2GasPerPubdataByteLimit: REQUIRED_GAS_PER_PUBDATA,
                    factoryDeps: new bytes[](0),
                    refundRecipient: rich
                })
            );
        }
        vm.stopBroadcast();
    }

    function _report(uint256 chainId, address chain, address chainAdmin) private {
        string memory json = "{";
        json = string.concat(json, _entry("bridgehub", address(bridgehub)));
        json = string.concat(json, _entry("chain_type_manager", address(ctm)));
        json = string.concat(json, _entry("validator_timelock", address(timelock)));
        json = string.concat(json, _entry("diamond_proxy", chain));
        json = string.concat(json, _entry("chain_admin", chainAdmin));
        json = string.concat(json, _entry("asset_router", address(assetRouter)));
        json = string.concat(json, _entry("native_token_vault", address(vault)));
        json = string.concat(json, _entry("nullifier", address(nullifier)));
        json = string.concat(json, _entry("message_root", address(messageRoot)));
        json = string.concat(json, _entry("verifier", address(verifier)));
        json = string.concat(json, _entry("rollup_da_validator", address(rollupDA)));
        json = string.concat(json, _entry("validium_da_validator", address(validiumDA)));
        json = string.concat(json, _entry("blobs_da_validator", address(blobsDA)));
        json = string.concat(json, _entry("server_notifier", address(serverNotifier)));
        json = string.concat(json, _entry("bytecodes_supplier", address(bytecodesSupplier)));
        json = string.concat(json, _entry("default_upgrade", address(defaultUpgrade)));
        json = string.concat(json, "\"l2_chain_id\": ", vm.toString(chainId), "}\n");
        vm.writeFile("build/deploy-output.json", json);
    }

    function _entry(string memory name, address value) private pure returns (string memory) {
        return string.concat("\"", name, "\": \"", vm.toString(value), "\",");
    }
}
