// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {AddressAliasHelper} from "@zksync/vendor/AddressAliasHelper.sol";
import {PriorityTree} from "@zksync/state-transition/libraries/PriorityTree.sol";
import {PubdataPricingMode, FeeParams} from "@zksync/state-transition/chain-deps/ZKChainStorage.sol";
import {ITransactionFilterer} from "@zksync/state-transition/chain-interfaces/ITransactionFilterer.sol";
import {
    BridgehubL2TransactionRequest,
    L2CanonicalTransaction,
    L2Log,
    L2Message,
    TxStatus
} from "@zksync/common/Messaging.sol";
import {ChainBase} from "./ChainStorage.sol";
import {LogProof} from "./LogProof.sol";
import {TransactionLimits} from "./TransactionLimits.sol";
import {IBridgehubBase, IChain} from "../bridgehub/Interfaces.sol";
import "../common/Types.sol";
import "../common/Errors.sol";

/// Messages between L1 and L2: accepts priority transactions, proves L2 to L1 logs.
contract MailboxFacet is ChainBase {
    using PriorityTree for PriorityTree.Tree;

    uint256 private constant L1_GAS_PER_PUBDATA_BYTE = 17;

    event NewPriorityRequest(
        uint256 txId,
        bytes32 txHash,
        uint64 expirationTimestamp,
        L2CanonicalTransaction transaction,
        bytes[] factoryDeps
    );
    event NewPriorityRequestId(uint256 indexed txId, bytes32 indexed txHash);

    // ------------------------------------------------------------------------------------------ L1 to L2

    function bridgehubRequestL2Transaction(BridgehubL2TransactionRequest calldata request)
        external
        nonReentrant
        onlyBridgehub
        onlySettlementLayer
        returns (bytes32 txHash)
    {
        _checkFilterer(request);
        if (request.l2GasPerPubdataByteLimit != REQUIRED_GAS_PER_PUBDATA) revert GasPerPubdataMismatch();
        if (request.factoryDeps.length > MAX_FACTORY_DEPS) revert TooManyFactoryDeps();

        uint256 gasPrice = _l2GasPrice(tx.gasprice, request.l2GasPerPubdataByteLimit);
        uint256 required = gasPrice * request.l2GasLimit + request.l2Value;
        if (request.mintValue < required) revert MsgValueTooLow(required, request.mintValue);

        uint256 id = s.priorityTree.getTotalPriorityTxs();
        L2CanonicalTransaction memory transaction = _toTransaction(request, id, gasPrice);
        bytes memory encoded = abi.encode(transaction);
        TransactionLimits.check(
            transaction, encoded.length, s.priorityTxMaxGasLimit, s.feeParams.priorityTxMaxPubdata, false
        );
        txHash = keccak256(encoded);
        s.priorityTree.push(txHash);
        emit NewPriorityRequest(id, txHash, uint64(block.timestamp), transaction, request.factoryDeps);
        emit NewPriorityRequestId(id, txHash);
    }

    function _checkFilterer(BridgehubL2TransactionRequest calldata request) private view {
        address filterer = s.transactionFilterer;
        if (filterer == address(0)) return;
        bool allowed = ITransactionFilterer(filterer)
            .isTransactionAllowed(
                request.sender,
                request.contractL2,
                request.mintValue,
                request.l2Value,
                request.l2Calldata,
                request.refundRecipient
            );
        if (!allowed) revert TransactionNotAllowed();
    }

    function _toTransaction(BridgehubL2TransactionRequest calldata request, uint256 id, uint256 gasPrice)
        private
        view
        returns (L2CanonicalTransaction memory transaction)
    {
        address refundRecipient = AddressAliasHelper.actualRefundRecipient(request.refundRecipient, request.sender);
        // A contract's address means nothing on L2, where somebody else may own it: it acts under an alias.
        // solhint-disable-next-line avoid-tx-origin
        address sender =
            request.sender == tx.origin ? request.sender : AddressAliasHelper.applyL1ToL2Alias(request.sender);
        transaction.txType = PRIORITY_TX_TYPE;
        transaction.from = uint256(uint160(sender));
        transaction.to = uint256(uint160(request.contractL2));
        transaction.gasLimit = request.l2GasLimit;
        transaction.gasPerPubdataByteLimit = request.l2GasPerPubdataByteLimit;
        transaction.maxFeePerGas = gasPrice;
        transaction.nonce = id;
        transaction.value = request.l2Value;
        transaction.reserved[0] = request.mintValue;
        transaction.reserved[1] = uint256(uint160(refundRecipient));
        transaction.data = request.l2Calldata;
        transaction.factoryDeps = new uint256[](request.factoryDeps.length);
        for (uint256 i = 0; i < request.factoryDeps.length; ++i) {
            transaction.factoryDeps[i] = uint256(_eraBytecodeHash(request.factoryDeps[i]));
        }
    }

    /// Versioned hash of the older VM: 0x0100, length in words, sha256 without its first four bytes.
    function _eraBytecodeHash(bytes calldata code) private pure returns (bytes32) {
        uint256 hash = uint256(sha256(code)) & type(uint224).max;
        return bytes32(hash | (uint256(code.length / 32) << 224) | (uint256(1) << 248));
    }

    function l2TransactionBaseCost(uint256 gasPrice, uint256 l2GasLimit, uint256 gasPerPubdata)
        external
        view
        returns (uint256)
    {
        return _l2GasPrice(gasPrice, gasPerPubdata) * l2GasLimit;
    }

    function _l2GasPrice(uint256 l1GasPrice, uint256 gasPerPubdata) private view returns (uint256) {
        if (s.baseTokenGasPriceMultiplierDenominator == 0) revert BaseTokenGasPriceDenominatorNotSet();
        uint256 price = l1GasPrice * s.baseTokenGasPriceMultiplierNominator / s.baseTokenGasPriceMultiplierDenominator;
        FeeParams memory fee = s.feeParams;
        uint256 pubdataPrice = fee.pubdataPricingMode == PubdataPricingMode.Rollup ? L1_GAS_PER_PUBDATA_BYTE * price : 0;
        uint256 overhead = uint256(fee.batchOverheadL1Gas) * price;
        uint256 byGas = fee.minimalL2GasPrice + overhead / uint256(fee.maxL2GasPerBatch);
        uint256 fullPubdataPrice = pubdataPrice + overhead / uint256(fee.maxPubdataPerBatch);
        uint256 byPubdata = (fullPubdataPrice + gasPerPubdata - 1) / gasPerPubdata;
        return byGas > byPubdata ? byGas : byPubdata;
    }

    // ------------------------------------------------------------------------------------------ L2 to L1

    function proveL2MessageInclusion(
        uint256 batchNumber,
        uint256 index,
        L2Message calldata message,
        bytes32[] calldata proof
    ) external view returns (bool) {
        return _proveLog(batchNumber, index, LogProof.messageToLog(message), proof);
    }

    function proveL2LogInclusion(uint256 batchNumber, uint256 index, L2Log calldata log, bytes32[] calldata proof)
        external
        view
        returns (bool)
    {
        return _proveLog(batchNumber, index, log, proof);
    }

    /// Result of an L1 to L2 transaction: 1 executed, 0 failed.
    function proveL1ToL2TransactionStatus(
        bytes32 l2TxHash,
        uint256 l2BatchNumber,
        uint256 l2MessageIndex,
        uint16 l2TxNumberInBatch,
        bytes32[] calldata merkleProof,
        TxStatus status
    ) external view returns (bool) {
        L2Log memory log = L2Log({
            l2ShardId: 0,
            isService: true,
            txNumberInBatch: l2TxNumberInBatch,
            sender: L2_BOOTLOADER,
            key: l2TxHash,
            value: bytes32(uint256(status))
        });
        return _proveLog(l2BatchNumber, l2MessageIndex, log, merkleProof);
    }

    function proveL2LeafInclusion(uint256 batchNumber, uint256 leafProofMask, bytes32 leaf, bytes32[] calldata proof)
        external
        view
        returns (bool)
    {
        return _proveLeaf(batchNumber, leafProofMask, leaf, proof);
    }

    function _proveLog(uint256 batchNumber, uint256 index, L2Log memory log, bytes32[] calldata proof)
        private
        view
        returns (bool)
    {
        bytes32 leaf = LogProof.hashLog(log);
        // Padding of the tree must not pass for a log.
        if (leaf == LogProof.DEFAULT_LEAF) revert HashedLogIsDefault();
        return _proveLeaf(batchNumber, index, leaf, proof);
    }

    function _proveLeaf(uint256 batchNumber, uint256 mask, bytes32 leaf, bytes32[] calldata proof)
        private
        view
        returns (bool)
    {
        LogProof.Result memory result = LogProof.process(s.chainId, batchNumber, mask, leaf, proof);
        if (result.isFinal) {
            if (batchNumber > s.totalBatchesExecuted) revert BatchNotExecuted(batchNumber);
            bytes32 known = s.l2LogsRootHashes[batchNumber];
            if (known == 0) revert LocalRootIsZero();
            return known == result.root;
        }
        // The batch was settled on another layer; that layer's own logs must prove it.
        if (s.l2LogsRootHashes[batchNumber] != 0) revert LocalRootMustBeZero();
        if (!IBridgehubBase(s.bridgehub).whitelistedSettlementLayers(result.settlementLayerChainId)) {
            revert NotSettlementLayer();
        }
        address settlementLayer = IBridgehubBase(s.bridgehub).getZKChain(result.settlementLayerChainId);
        return IChain(settlementLayer)
            .proveL2LeafInclusion(
                result.settlementLayerBatchNumber,
                result.settlementLayerBatchRootMask,
                result.chainIdLeaf,
                proof[result.next:]
            );
    }
}
