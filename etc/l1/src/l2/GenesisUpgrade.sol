// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {IL2GenesisUpgrade} from "./Interfaces.sol";
import {ForceDeployments} from "./ForceDeployments.sol";
import {InitializableProxy} from "./SystemProxy.sol";
import {L2MessageRoot, L2ChainAssetHandler, L2Bridgehub} from "./SystemContracts.sol";
import {L2AssetRouter} from "./L2AssetRouter.sol";
import {L2NativeTokenVault} from "./L2NativeTokenVault.sol";
import {NTVBeaconDeployer} from "./BridgedToken.sol";
import {WrappedBaseToken} from "./WrappedBaseToken.sol";
import {NotSupported, InvalidChainId} from "../common/Errors.sol";
import "../common/Types.sol";

/// Runs as the complex upgrader in the first transaction of a chain: deploys and connects the L2 system contracts.
/// Their code comes with the transaction, this contract knows it by hash only.
contract GenesisUpgrade is IL2GenesisUpgrade {
    function genesisUpgrade(
        bool isZKsyncOS,
        uint256 chainId,
        address ctmDeployer,
        bytes calldata fixedForceDeploymentsData,
        bytes calldata additionalForceDeploymentsData
    ) external payable {
        if (!isZKsyncOS) revert NotSupported();
        if (chainId == 0 || chainId != block.chainid) revert InvalidChainId();
        FixedForceDeploymentsData memory shared = abi.decode(fixedForceDeploymentsData, (FixedForceDeploymentsData));
        ZKChainSpecificForceDeploymentsData memory own =
            abi.decode(additionalForceDeploymentsData, (ZKChainSpecificForceDeploymentsData));

        _deployRegistry(shared);
        _deployBridges(shared, own);
        L2Bridgehub(L2_BRIDGEHUB).setAddresses(L2_ASSET_ROUTER, ctmDeployer, L2_MESSAGE_ROOT, L2_CHAIN_ASSET_HANDLER);
        emit UpgradeComplete(chainId);
    }

    function _deployRegistry(FixedForceDeploymentsData memory shared) private {
        ForceDeployments.deploySystemProxy(L2_MESSAGE_ROOT, shared.messageRootBytecodeInfo);
        L2MessageRoot(L2_MESSAGE_ROOT).initL2(shared.l1ChainId);
        ForceDeployments.deploySystemProxy(L2_BRIDGEHUB, shared.bridgehubBytecodeInfo);
        L2Bridgehub(L2_BRIDGEHUB).initL2(shared.l1ChainId, shared.aliasedL1Governance, shared.maxNumberOfZKChains);
    }

    function _deployBridges(FixedForceDeploymentsData memory shared, ZKChainSpecificForceDeploymentsData memory own)
        private
    {
        ForceDeployments.deploySystemProxy(L2_ASSET_ROUTER, shared.l2AssetRouterBytecodeInfo);
        L2AssetRouter(L2_ASSET_ROUTER)
            .initL2(shared.l1ChainId, shared.l1AssetRouter, own.baseTokenAssetId, shared.aliasedL1Governance);
        address wrapped = own.predeployedL2WethAddress;
        if (wrapped == address(0)) wrapped = _deployWrappedBaseToken(own, shared.aliasedL1Governance);
        ForceDeployments.deploySystemProxy(L2_NATIVE_TOKEN_VAULT, shared.l2NtvBytecodeInfo);
        ForceDeployments.deploySystemProxy(L2_NTV_BEACON_DEPLOYER, shared.beaconDeployerInfo);
        address beacon = shared.dangerousTestOnlyForcedBeacon;
        if (beacon == address(0)) {
            beacon = NTVBeaconDeployer(L2_NTV_BEACON_DEPLOYER).deployUpgradeableBeacon(shared.aliasedL1Governance);
        }
        L2NativeTokenVault(L2_NATIVE_TOKEN_VAULT).initL2(shared.l1ChainId, beacon, wrapped, own.baseTokenAssetId);
        ForceDeployments.deploySystemProxy(L2_CHAIN_ASSET_HANDLER, shared.chainAssetHandlerBytecodeInfo);
        L2ChainAssetHandler(L2_CHAIN_ASSET_HANDLER).initL2(shared.l1ChainId, shared.aliasedL1Governance);
    }

    function _deployWrappedBaseToken(ZKChainSpecificForceDeploymentsData memory own, address owner)
        private
        returns (address)
    {
        bytes memory initData = abi.encodeCall(
            WrappedBaseToken.initialize,
            (
                string.concat("Wrapped ", own.baseTokenName),
                string.concat("W", own.baseTokenSymbol),
                L2_ASSET_ROUTER,
                own.baseTokenL1Address,
                own.baseTokenAssetId
            )
        );
        return address(new InitializableProxy{salt: bytes32(0)}(L2_WRAPPED_BASE_TOKEN_IMPL, owner, initData));
    }
}
