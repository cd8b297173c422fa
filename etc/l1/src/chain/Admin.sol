// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {FeeParams, PubdataPricingMode} from "@zksync/state-transition/chain-deps/ZKChainStorage.sol";
import {Diamond} from "@zksync/state-transition/libraries/Diamond.sol";
import {ChainBase} from "./ChainStorage.sol";
import {IChainTypeManagerBase, IL1GenesisUpgrade} from "../bridgehub/Interfaces.sol";
import {L2DACommitmentScheme} from "../common/Types.sol";
import "../common/Errors.sol";

/// Configuration and upgrades of a chain.
contract AdminFacet is ChainBase {
    event NewPendingAdmin(address indexed oldPendingAdmin, address indexed newPendingAdmin);
    event NewAdmin(address indexed oldAdmin, address indexed newAdmin);
    event ValidatorStatusUpdate(address indexed validatorAddress, bool isActive);
    event NewPriorityTxMaxGasLimit(uint256 oldPriorityTxMaxGasLimit, uint256 newPriorityTxMaxGasLimit);
    event NewFeeParams(FeeParams oldFeeParams, FeeParams newFeeParams);
    event PubdataPricingModeUpdate(PubdataPricingMode validiumMode);
    event NewTransactionFilterer(address oldTransactionFilterer, address newTransactionFilterer);
    event NewBaseTokenMultiplier(
        uint128 oldNominator, uint128 oldDenominator, uint128 newNominator, uint128 newDenominator
    );
    event NewL1DAValidator(address indexed oldL1DAValidator, address indexed newL1DAValidator);
    event NewL2DACommitmentScheme(
        L2DACommitmentScheme indexed oldL2DACommitmentScheme, L2DACommitmentScheme indexed newL2DACommitmentScheme
    );
    event ExecuteUpgrade(Diamond.DiamondCutData diamondCut);
    event Freeze();
    event Unfreeze();

    function setPendingAdmin(address newPendingAdmin) external onlyAdmin {
        if (newPendingAdmin == address(0)) revert ZeroAddress();
        emit NewPendingAdmin(s.pendingAdmin, newPendingAdmin);
        s.pendingAdmin = newPendingAdmin;
    }

    function acceptAdmin() external {
        address pending = s.pendingAdmin;
        if (msg.sender != pending) revert Unauthorized(msg.sender);
        emit NewPendingAdmin(pending, address(0));
        emit NewAdmin(s.admin, pending);
        s.admin = pending;
        delete s.pendingAdmin;
    }

    function setValidator(address validator, bool active) external onlyChainTypeManager {
        s.validators[validator] = active;
        emit ValidatorStatusUpdate(validator, active);
    }

    function setPriorityTxMaxGasLimit(uint256 newLimit) external onlyChainTypeManager {
        emit NewPriorityTxMaxGasLimit(s.priorityTxMaxGasLimit, newLimit);
        s.priorityTxMaxGasLimit = newLimit;
    }

    function changeFeeParams(FeeParams calldata newFeeParams) external onlyAdminOrChainTypeManager {
        if (newFeeParams.pubdataPricingMode != s.feeParams.pubdataPricingMode) revert InvalidPubdataPricingMode();
        emit NewFeeParams(s.feeParams, newFeeParams);
        s.feeParams = newFeeParams;
    }

    /// Price of the base token in ETH terms; until it is set no deposit can be priced.
    function setTokenMultiplier(uint128 nominator, uint128 denominator) external onlyAdminOrChainTypeManager {
        if (denominator == 0) revert DenominatorIsZero();
        emit NewBaseTokenMultiplier(
            s.baseTokenGasPriceMultiplierNominator, s.baseTokenGasPriceMultiplierDenominator, nominator, denominator
        );
        s.baseTokenGasPriceMultiplierNominator = nominator;
        s.baseTokenGasPriceMultiplierDenominator = denominator;
    }

    function setPubdataPricingMode(PubdataPricingMode mode) external onlyAdmin {
        s.feeParams.pubdataPricingMode = mode;
        emit PubdataPricingModeUpdate(mode);
    }

    function setTransactionFilterer(address filterer) external onlyAdmin {
        emit NewTransactionFilterer(s.transactionFilterer, filterer);
        s.transactionFilterer = filterer;
    }

    function setDAValidatorPair(address l1DAValidator, L2DACommitmentScheme scheme) external onlyAdmin {
        if (l1DAValidator == address(0)) revert ZeroAddress();
        if (scheme == L2DACommitmentScheme.NONE) revert InvalidL2DACommitmentScheme(uint8(scheme));
        emit NewL1DAValidator(s.l1DAValidator, l1DAValidator);
        emit NewL2DACommitmentScheme(s.l2DACommitmentScheme, scheme);
        s.l1DAValidator = l1DAValidator;
        s.l2DACommitmentScheme = scheme;
    }

    /// Applies the upgrade that governance registered for `oldProtocolVersion`.
    function upgradeChainFromVersion(uint256 oldProtocolVersion, Diamond.DiamondCutData calldata cut)
        external
        nonReentrant
        onlyAdminOrChainTypeManager
        onlySettlementLayer
    {
        bytes32 expected = IChainTypeManagerBase(s.chainTypeManager).upgradeCutHash(oldProtocolVersion);
        bytes32 supplied = keccak256(abi.encode(cut));
        if (expected != supplied) revert HashMismatch(expected, supplied);
        if (s.protocolVersion != oldProtocolVersion) revert ProtocolIdMismatch(s.protocolVersion, oldProtocolVersion);
        Diamond.diamondCut(cut);
        emit ExecuteUpgrade(cut);
        if (s.protocolVersion <= oldProtocolVersion) revert ProtocolVersionTooSmall();
    }

    function executeUpgrade(Diamond.DiamondCutData calldata cut) external nonReentrant onlyChainTypeManager {
        Diamond.diamondCut(cut);
        emit ExecuteUpgrade(cut);
    }

    /// First act of a new chain: registers the L2 transaction that deploys its system contracts.
    function genesisUpgrade(
        address l1GenesisUpgrade,
        address ctmDeployer,
        bytes calldata forceDeploymentsData,
        bytes[] calldata factoryDeps
    ) external nonReentrant onlyChainTypeManager {
        Diamond.DiamondCutData memory cut = Diamond.DiamondCutData({
            facetCuts: new Diamond.FacetCut[](0),
            initAddress: l1GenesisUpgrade,
            initCalldata: abi.encodeCall(
                IL1GenesisUpgrade.genesisUpgrade,
                (l1GenesisUpgrade, s.chainId, s.protocolVersion, ctmDeployer, forceDeploymentsData, factoryDeps)
            )
        });
        Diamond.diamondCut(cut);
        emit ExecuteUpgrade(cut);
    }

    function freezeDiamond() external onlyChainTypeManager {
        Diamond.getDiamondStorage().isFrozen = true;
        emit Freeze();
    }

    function unfreezeDiamond() external onlyChainTypeManager {
        Diamond.getDiamondStorage().isFrozen = false;
        emit Unfreeze();
    }
}
