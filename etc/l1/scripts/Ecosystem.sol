// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {Diamond} from "@zksync/state-transition/libraries/Diamond.sol";
import {ChainCreationParams} from "@zksync/state-transition/IChainTypeManager.sol";
import {InitializeDataNewChain} from "@zksync/state-transition/chain-interfaces/IDiamondInit.sol";
import {IVerifier, VerifierParams} from "@zksync/state-transition/chain-interfaces/IVerifier.sol";
import {FeeParams, PubdataPricingMode} from "@zksync/state-transition/chain-deps/ZKChainStorage.sol";
import {AddressAliasHelper} from "@zksync/vendor/AddressAliasHelper.sol";
import {AdminFacet} from "../src/chain/Admin.sol";
import {GettersFacet} from "../src/chain/Getters.sol";
import {MailboxFacet} from "../src/chain/Mailbox.sol";
import {ExecutorFacet} from "../src/chain/Executor.sol";
import {DiamondInit} from "../src/chain/DiamondInit.sol";
import {L1GenesisUpgrade, DefaultUpgrade} from "../src/chain/Upgrades.sol";
import {RejectingVerifier, TestnetVerifier} from "../src/chain/TestnetVerifier.sol";
import {ValidatorTimelock} from "../src/chain/ValidatorTimelock.sol";
import {Bridgehub} from "../src/bridgehub/Bridgehub.sol";
import {ChainTypeManager} from "../src/bridgehub/ChainTypeManager.sol";
import {MessageRoot} from "../src/bridgehub/MessageRoot.sol";
import {NoMigration} from "../src/bridgehub/NoMigration.sol";
import {L1AssetRouter} from "../src/bridge/L1AssetRouter.sol";
import {L1NativeTokenVault} from "../src/bridge/L1NativeTokenVault.sol";
import {L1Nullifier} from "../src/bridge/L1Nullifier.sol";
import {RollupL1DAValidator, ValidiumL1DAValidator, BlobsL1DAValidatorZKsyncOS} from "../src/da/Validators.sol";
import {ChainAdmin, ServerNotifier, BytecodesSupplier} from "../src/governance/Governance.sol";
import "../src/common/Types.sol";

/// What a chain starts from: root of its genesis state and the code of its L2 system contracts.
struct GenesisInput {
    bytes32 genesisRoot;
    bytes bridgehubInfo;
    bytes assetRouterInfo;
    bytes ntvInfo;
    bytes messageRootInfo;
    bytes chainAssetHandlerInfo;
    bytes beaconDeployerInfo;
    bytes32 tokenProxyHash;
    bytes[] factoryDeps;
}

struct Operators {
    address commit;
    address prove;
    address execute;
}

/// Deploys the settlement contracts and creates chains; shared by the deploy script and the tests.
abstract contract Ecosystem {
    /// 0.30.2
    uint256 internal constant PROTOCOL_VERSION = 0x1e00000002;
    uint32 internal constant VERIFIER_VERSION = 6;

    Bridgehub internal bridgehub;
    ChainTypeManager internal ctm;
    ValidatorTimelock internal timelock;
    L1AssetRouter internal assetRouter;
    L1NativeTokenVault internal vault;
    L1Nullifier internal nullifier;
    MessageRoot internal messageRoot;
    TestnetVerifier internal verifier;
    RollupL1DAValidator internal rollupDA;
    ValidiumL1DAValidator internal validiumDA;
    BlobsL1DAValidatorZKsyncOS internal blobsDA;
    ServerNotifier internal serverNotifier;
    BytecodesSupplier internal bytecodesSupplier;
    DefaultUpgrade internal defaultUpgrade;
    address internal genesisUpgrade;
    NoMigration internal noMigration;
    bytes internal encodedCut;
    bytes internal fixedForceDeployments;

    function _deployEcosystem(address owner, GenesisInput memory genesis) internal {
        _deployBridges(owner);
        timelock = _deployTimelock(owner);
        ctm = new ChainTypeManager(address(bridgehub), owner, address(timelock), PROTOCOL_VERSION);
        verifier = new TestnetVerifier(new RejectingVerifier(keccak256("zkos local verifier 0")), owner);
        verifier.addVerifier(VERIFIER_VERSION, new RejectingVerifier(keccak256("zkos local verifier 6")));
        rollupDA = new RollupL1DAValidator();
        validiumDA = new ValidiumL1DAValidator();
        blobsDA = new BlobsL1DAValidatorZKsyncOS();
        serverNotifier = new ServerNotifier(address(bridgehub));
        bytecodesSupplier = new BytecodesSupplier();
        defaultUpgrade = new DefaultUpgrade();
        genesisUpgrade = address(new L1GenesisUpgrade());

        ctm.setServerNotifier(address(serverNotifier));
        bridgehub.addChainTypeManager(address(ctm));
        _setChainCreationParams(owner, genesis);
    }

    function _deployTimelock(address owner) internal virtual returns (ValidatorTimelock) {
        return new ValidatorTimelock(address(bridgehub), owner, 0);
    }

    function _deployBridges(address owner) private {
        bridgehub = new Bridgehub(owner);
        nullifier = new L1Nullifier(address(bridgehub), owner);
        assetRouter = new L1AssetRouter(address(bridgehub), address(nullifier), owner);
        vault = new L1NativeTokenVault(address(assetRouter), address(nullifier));
        messageRoot = new MessageRoot(address(bridgehub));
        noMigration = new NoMigration(address(bridgehub));
        nullifier.setL1AssetRouter(address(assetRouter));
        nullifier.setL1NativeTokenVault(address(vault));
        assetRouter.setNativeTokenVault(address(vault));
        vault.registerEthToken();
        bridgehub.setAddresses(address(assetRouter), address(noMigration), address(messageRoot), address(noMigration));
        bridgehub.addTokenAssetId(assetRouter.ETH_TOKEN_ASSET_ID());
    }

    function _setChainCreationParams(address owner, GenesisInput memory genesis) private {
        Diamond.DiamondCutData memory cut = _initialCut();
        encodedCut = abi.encode(cut);
        fixedForceDeployments = abi.encode(
            FixedForceDeploymentsData({
                l1ChainId: block.chainid,
                eraChainId: 0,
                l1AssetRouter: address(assetRouter),
                l2TokenProxyBytecodeHash: genesis.tokenProxyHash,
                aliasedL1Governance: AddressAliasHelper.applyL1ToL2Alias(owner),
                maxNumberOfZKChains: 100,
                bridgehubBytecodeInfo: genesis.bridgehubInfo,
                l2AssetRouterBytecodeInfo: genesis.assetRouterInfo,
                l2NtvBytecodeInfo: genesis.ntvInfo,
                messageRootBytecodeInfo: genesis.messageRootInfo,
                chainAssetHandlerBytecodeInfo: genesis.chainAssetHandlerInfo,
                beaconDeployerInfo: genesis.beaconDeployerInfo,
                l2SharedBridgeLegacyImpl: address(0),
                l2BridgedStandardERC20Impl: address(0),
                dangerousTestOnlyForcedBeacon: address(0)
            })
        );
        ctm.setChainCreationParams(
            ChainCreationParams({
                genesisUpgrade: genesisUpgrade,
                genesisBatchHash: genesis.genesisRoot,
                genesisIndexRepeatedStorageChanges: 0,
                genesisBatchCommitment: bytes32(uint256(1)),
                diamondCut: cut,
                forceDeploymentsData: fixedForceDeployments
            })
        );
    }

    function _createChain(uint256 chainId, address admin, bytes[] memory factoryDeps) internal returns (address) {
        bridgehub.createNewChain(
            chainId,
            address(ctm),
            assetRouter.ETH_TOKEN_ASSET_ID(),
            0,
            admin,
            abi.encode(encodedCut, fixedForceDeployments),
            factoryDeps
        );
        return bridgehub.getZKChain(chainId);
    }

    /// Calls that make a created chain ready: operators, token price, data availability.
    function _configurationCalls(
        address chain,
        Operators memory operators,
        address daValidator,
        L2DACommitmentScheme scheme
    ) internal view returns (ChainAdmin.Call[] memory calls) {
        PubdataPricingMode mode = scheme == L2DACommitmentScheme.EMPTY_NO_DA
            ? PubdataPricingMode.Validium
            : PubdataPricingMode.Rollup;
        calls = new ChainAdmin.Call[](6);
        calls[0] = _roleCall(chain, operators.commit, false, true, false, false, false);
        calls[1] = _roleCall(chain, operators.prove, false, false, true, true, false);
        calls[2] = _roleCall(chain, operators.execute, false, false, false, false, true);
        calls[3] = ChainAdmin.Call(chain, 0, abi.encodeCall(AdminFacet.setTokenMultiplier, (1, 1)));
        calls[4] = ChainAdmin.Call(chain, 0, abi.encodeCall(AdminFacet.setPubdataPricingMode, (mode)));
        calls[5] = ChainAdmin.Call(chain, 0, abi.encodeCall(AdminFacet.setDAValidatorPair, (daValidator, scheme)));
    }

    function _roleCall(
        address chain,
        address operator,
        bool precommit,
        bool commit,
        bool revertRole,
        bool prove,
        bool execute
    ) private view returns (ChainAdmin.Call memory) {
        ValidatorTimelock.ValidatorRotationParams memory which =
            ValidatorTimelock.ValidatorRotationParams(precommit, commit, revertRole, prove, execute);
        return ChainAdmin.Call(
            address(timelock), 0, abi.encodeCall(ValidatorTimelock.addValidatorRoles, (chain, operator, which))
        );
    }

    // ------------------------------------------------------------------------------------------ initial cut

    function _initialCut() private returns (Diamond.DiamondCutData memory) {
        Diamond.FacetCut[] memory cuts = new Diamond.FacetCut[](4);
        cuts[0] = Diamond.FacetCut(address(new AdminFacet()), Diamond.Action.Add, false, _adminSelectors());
        cuts[1] = Diamond.FacetCut(address(new GettersFacet()), Diamond.Action.Add, false, _gettersSelectors());
        cuts[2] = Diamond.FacetCut(address(new MailboxFacet()), Diamond.Action.Add, true, _mailboxSelectors());
        cuts[3] = Diamond.FacetCut(address(new ExecutorFacet()), Diamond.Action.Add, true, _executorSelectors());
        // The chain type manager puts the data of each chain in front of this.
        bytes memory tail = abi.encode(
            InitializeDataNewChain({
                verifier: IVerifier(address(verifier)),
                verifierParams: VerifierParams(0, 0, 0),
                l2BootloaderBytecodeHash: bytes32(uint256(1)),
                l2DefaultAccountBytecodeHash: bytes32(uint256(1)),
                l2EvmEmulatorBytecodeHash: bytes32(uint256(1)),
                priorityTxMaxGasLimit: PRIORITY_TX_MAX_GAS_LIMIT,
                feeParams: FeeParams({
                    pubdataPricingMode: PubdataPricingMode.Rollup,
                    batchOverheadL1Gas: 1_000_000,
                    maxPubdataPerBatch: 120_000,
                    maxL2GasPerBatch: 80_000_000,
                    priorityTxMaxPubdata: 99_000,
                    minimalL2GasPrice: 250_000_000
                })
            })
        );
        return Diamond.DiamondCutData(cuts, address(new DiamondInit()), tail);
    }

    function _adminSelectors() private pure returns (bytes4[] memory list) {
        list = new bytes4[](14);
        list[0] = AdminFacet.setPendingAdmin.selector;
        list[1] = AdminFacet.acceptAdmin.selector;
        list[2] = AdminFacet.setValidator.selector;
        list[3] = AdminFacet.setPriorityTxMaxGasLimit.selector;
        list[4] = AdminFacet.changeFeeParams.selector;
        list[5] = AdminFacet.setTokenMultiplier.selector;
        list[6] = AdminFacet.setPubdataPricingMode.selector;
        list[7] = AdminFacet.setTransactionFilterer.selector;
        list[8] = AdminFacet.setDAValidatorPair.selector;
        list[9] = AdminFacet.upgradeChainFromVersion.selector;
        list[10] = AdminFacet.executeUpgrade.selector;
        list[11] = AdminFacet.genesisUpgrade.selector;
        list[12] = AdminFacet.freezeDiamond.selector;
        list[13] = AdminFacet.unfreezeDiamond.selector;
    }

    function _gettersSelectors() private pure returns (bytes4[] memory list) {
        list = new bytes4[](37);
        list[0] = GettersFacet.getName.selector;
        list[1] = GettersFacet.getTotalBatchesCommitted.selector;
        list[2] = GettersFacet.getTotalBatchesVerified.selector;
        list[3] = GettersFacet.getTotalBatchesExecuted.selector;
        list[4] = GettersFacet.storedBatchHash.selector;
        list[5] = GettersFacet.l2LogsRootHash.selector;
        list[6] = GettersFacet.getTotalPriorityTxs.selector;
        list[7] = GettersFacet.getFirstUnprocessedPriorityTx.selector;
        list[8] = GettersFacet.getPriorityTreeStartIndex.selector;
        list[9] = GettersFacet.getPriorityTreeRoot.selector;
        list[10] = GettersFacet.getPriorityQueueSize.selector;
        list[11] = GettersFacet.isPriorityQueueActive.selector;
        list[12] = GettersFacet.getPriorityTxMaxGasLimit.selector;
        list[13] = GettersFacet.getTransactionFilterer.selector;
        list[14] = GettersFacet.getPubdataPricingMode.selector;
        list[15] = GettersFacet.getDAValidatorPair.selector;
        list[16] = GettersFacet.getAdmin.selector;
        list[17] = GettersFacet.getPendingAdmin.selector;
        list[18] = GettersFacet.getChainTypeManager.selector;
        list[19] = GettersFacet.getBridgehub.selector;
        list[20] = GettersFacet.getChainId.selector;
        list[21] = GettersFacet.getVerifier.selector;
        list[22] = GettersFacet.isValidator.selector;
        list[23] = GettersFacet.getProtocolVersion.selector;
        list[24] = GettersFacet.getSemverProtocolVersion.selector;
        list[25] = GettersFacet.getSettlementLayer.selector;
        list[26] = GettersFacet.getBaseToken.selector;
        list[27] = GettersFacet.getBaseTokenAssetId.selector;
        list[28] = GettersFacet.baseTokenGasPriceMultiplierNominator.selector;
        list[29] = GettersFacet.baseTokenGasPriceMultiplierDenominator.selector;
        list[30] = GettersFacet.getL2SystemContractsUpgradeTxHash.selector;
        list[31] = GettersFacet.getL2SystemContractsUpgradeBatchNumber.selector;
        list[32] = GettersFacet.isDiamondStorageFrozen.selector;
        list[33] = GettersFacet.facetAddress.selector;
        list[34] = GettersFacet.facetAddresses.selector;
        list[35] = GettersFacet.getFeeParams.selector;
        list[36] = GettersFacet.facets.selector;
    }

    function _mailboxSelectors() private pure returns (bytes4[] memory list) {
        list = new bytes4[](6);
        list[0] = MailboxFacet.bridgehubRequestL2Transaction.selector;
        list[1] = MailboxFacet.l2TransactionBaseCost.selector;
        list[2] = MailboxFacet.proveL2MessageInclusion.selector;
        list[3] = MailboxFacet.proveL2LogInclusion.selector;
        list[4] = MailboxFacet.proveL1ToL2TransactionStatus.selector;
        list[5] = MailboxFacet.proveL2LeafInclusion.selector;
    }

    function _executorSelectors() private pure returns (bytes4[] memory list) {
        list = new bytes4[](4);
        list[0] = ExecutorFacet.commitBatchesSharedBridge.selector;
        list[1] = ExecutorFacet.proveBatchesSharedBridge.selector;
        list[2] = ExecutorFacet.executeBatchesSharedBridge.selector;
        list[3] = ExecutorFacet.revertBatchesSharedBridge.selector;
    }
}
