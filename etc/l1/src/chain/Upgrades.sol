// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {Diamond} from "@zksync/state-transition/libraries/Diamond.sol";
import {L2CanonicalTransaction} from "@zksync/common/Messaging.sol";
import {VerifierParams} from "@zksync/state-transition/chain-interfaces/IVerifier.sol";
import {ChainBase} from "./ChainStorage.sol";
import {TransactionLimits} from "./TransactionLimits.sol";
import {
    IBridgehubBase,
    INativeTokenVaultBase,
    IAssetRouter,
    IUpgrade,
    IL1GenesisUpgrade
} from "../bridgehub/Interfaces.sol";
import {IComplexUpgrader, IL2GenesisUpgrade} from "../l2/Interfaces.sol";
import {SemVer} from "../common/SemVer.sol";
import "../common/Types.sol";
import "../common/Errors.sol";

interface IERC20Metadata {
    function name() external view returns (string memory);
    function symbol() external view returns (string memory);
}

/// Delegate-called by the diamond: moves the chain to a new protocol version.
abstract contract BaseUpgrade is ChainBase {
    uint32 internal constant MAX_MINOR_VERSION_JUMP = 100;

    event NewProtocolVersion(uint256 indexed previousProtocolVersion, uint256 indexed newProtocolVersion);
    event UpgradeComplete(uint256 indexed newProtocolVersion, bytes32 indexed l2UpgradeTxHash, ProposedUpgrade upgrade);
    event NewVerifier(address indexed oldVerifier, address indexed newVerifier);

    function _apply(ProposedUpgrade memory proposed) internal returns (bytes32 txHash) {
        (uint32 minor, bool patchOnly) = _setVersion(proposed.newProtocolVersion);
        if (block.timestamp < proposed.upgradeTimestamp) revert TimestampNotReached(proposed.upgradeTimestamp);
        if (proposed.verifier != address(0)) {
            emit NewVerifier(s.verifier, proposed.verifier);
            s.verifier = proposed.verifier;
        }
        txHash = _setUpgradeTransaction(proposed.l2ProtocolUpgradeTx, minor, patchOnly);
        emit UpgradeComplete(proposed.newProtocolVersion, txHash, proposed);
    }

    function _setVersion(uint256 newVersion) internal virtual returns (uint32 minor, bool patchOnly) {
        uint256 previous = s.protocolVersion;
        if (newVersion <= previous) revert ProtocolVersionTooSmall();
        (uint32 previousMajor, uint32 previousMinor,) = SemVer.unpack(previous);
        uint32 major;
        (major, minor,) = SemVer.unpack(newVersion);
        if (major != 0 || previousMajor != 0) revert NonZeroMajorVersion();
        if (minor - previousMinor > MAX_MINOR_VERSION_JUMP) revert NewProtocolMinorVersionTooFar();
        patchOnly = minor == previousMinor;
        if (!patchOnly) {
            // A batch carries one upgrade transaction at most, so the previous one must be done with.
            if (s.l2SystemContractsUpgradeTxHash != 0) {
                revert PreviousUpgradeNotFinalized(s.l2SystemContractsUpgradeTxHash);
            }
            if (s.l2SystemContractsUpgradeBatchNumber != 0) revert PreviousUpgradeNotCleaned();
        }
        s.protocolVersion = newVersion;
        emit NewProtocolVersion(previous, newVersion);
    }

    function _setUpgradeTransaction(L2CanonicalTransaction memory transaction, uint32 minor, bool patchOnly)
        private
        returns (bytes32 txHash)
    {
        if (transaction.txType == 0) return bytes32(0);
        if (patchOnly) revert PatchCantCarryTransaction();
        bytes memory encoded = abi.encode(transaction);
        _validate(transaction, encoded.length, minor);
        txHash = keccak256(encoded);
        s.l2SystemContractsUpgradeTxHash = txHash;
    }

    function _validate(L2CanonicalTransaction memory transaction, uint256 encodedLength, uint32 minor) private view {
        bool wellFormed = transaction.txType == UPGRADE_TX_TYPE && transaction.from <= type(uint16).max
            && transaction.to <= type(uint160).max && transaction.paymaster == 0 && transaction.value == 0
            && transaction.maxFeePerGas == 0 && transaction.maxPriorityFeePerGas == 0 && transaction.reserved[0] == 0
            && transaction.reserved[1] <= type(uint160).max && transaction.reserved[2] == 0
            && transaction.reserved[3] == 0 && transaction.signature.length == 0
            && transaction.paymasterInput.length == 0 && transaction.reservedDynamic.length == 0
            && transaction.nonce == minor;
        if (!wellFormed) revert InvalidUpgradeTransaction();
        TransactionLimits.check(
            transaction, encodedLength, s.priorityTxMaxGasLimit, s.feeParams.priorityTxMaxPubdata, true
        );
    }
}

/// Upgrade without steps of its own: version, verifier and upgrade transaction.
contract DefaultUpgrade is BaseUpgrade, IUpgrade {
    function upgrade(ProposedUpgrade calldata proposed) external returns (bytes32) {
        _apply(proposed);
        return Diamond.DIAMOND_INIT_SUCCESS_RETURN_VALUE;
    }
}

/// The upgrade every chain starts with: its transaction deploys the L2 system contracts.
contract L1GenesisUpgrade is BaseUpgrade, IUpgrade, IL1GenesisUpgrade {
    event GenesisUpgrade(
        address indexed zkChain,
        L2CanonicalTransaction l2Transaction,
        uint256 indexed protocolVersion,
        bytes[] factoryDeps
    );

    function genesisUpgrade(
        address l1GenesisUpgrade,
        uint256 chainId,
        uint256 protocolVersion,
        address ctmDeployer,
        bytes calldata forceDeploymentsData,
        bytes[] calldata factoryDeps
    ) external returns (bytes32) {
        bytes memory genesisCall = abi.encodeCall(
            IL2GenesisUpgrade.genesisUpgrade,
            (true, chainId, ctmDeployer, forceDeploymentsData, _chainSpecificData(chainId))
        );
        (, uint32 minor,) = SemVer.unpack(protocolVersion);
        ProposedUpgrade memory proposed;
        proposed.l2ProtocolUpgradeTx = _genesisTransaction(genesisCall, minor);
        proposed.newProtocolVersion = protocolVersion;
        Diamond.diamondCut(
            Diamond.DiamondCutData({
                facetCuts: new Diamond.FacetCut[](0),
                initAddress: l1GenesisUpgrade,
                initCalldata: abi.encodeCall(IUpgrade.upgrade, (proposed))
            })
        );
        emit GenesisUpgrade(address(this), proposed.l2ProtocolUpgradeTx, protocolVersion, factoryDeps);
        return Diamond.DIAMOND_INIT_SUCCESS_RETURN_VALUE;
    }

    function upgrade(ProposedUpgrade calldata proposed) external returns (bytes32) {
        _apply(proposed);
        return Diamond.DIAMOND_INIT_SUCCESS_RETURN_VALUE;
    }

    /// At genesis the version was set by the initialisation already and is only announced.
    function _setVersion(uint256 newVersion) internal override returns (uint32 minor, bool patchOnly) {
        if (s.l2SystemContractsUpgradeTxHash != 0) {
            revert PreviousUpgradeNotFinalized(s.l2SystemContractsUpgradeTxHash);
        }
        uint256 previous = s.protocolVersion;
        (, minor,) = SemVer.unpack(newVersion);
        patchOnly = false;
        s.protocolVersion = newVersion;
        emit NewProtocolVersion(previous, newVersion);
    }

    function _genesisTransaction(bytes memory genesisCall, uint32 minor)
        private
        pure
        returns (L2CanonicalTransaction memory transaction)
    {
        transaction.txType = UPGRADE_TX_TYPE;
        transaction.from = uint256(uint160(L2_FORCE_DEPLOYER));
        transaction.to = uint256(uint160(L2_COMPLEX_UPGRADER));
        transaction.gasLimit = PRIORITY_TX_MAX_GAS_LIMIT;
        transaction.gasPerPubdataByteLimit = REQUIRED_GAS_PER_PUBDATA;
        transaction.nonce = minor;
        transaction.data = abi.encodeCall(IComplexUpgrader.upgrade, (L2_GENESIS_UPGRADE, genesisCall));
    }

    function _chainSpecificData(uint256 chainId) private view returns (bytes memory) {
        address bridgehub = s.bridgehub;
        address vault = IAssetRouter(IBridgehubBase(bridgehub).assetRouter()).nativeTokenVault();
        bytes32 baseTokenAssetId = IBridgehubBase(bridgehub).baseTokenAssetId(chainId);
        address token = INativeTokenVaultBase(vault).tokenAddress(baseTokenAssetId);
        bool isEth = token == ETH_TOKEN_ADDRESS;
        return abi.encode(
            ZKChainSpecificForceDeploymentsData({
                baseTokenAssetId: baseTokenAssetId,
                l2LegacySharedBridge: address(0),
                predeployedL2WethAddress: address(0),
                baseTokenL1Address: token,
                baseTokenName: isEth ? "Ether" : IERC20Metadata(token).name(),
                baseTokenSymbol: isEth ? "ETH" : IERC20Metadata(token).symbol()
            })
        );
    }
}
