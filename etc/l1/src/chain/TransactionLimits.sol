// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {L2CanonicalTransaction} from "@zksync/common/Messaging.sol";
import "../common/Errors.sol";

/// Gas bounds of transactions that come from L1: they can't be refused by the L2, so L1 must keep out those
/// that could not even pay for their own processing.
library TransactionLimits {
    uint256 private constant INTRINSIC_GAS = 21_000;
    uint256 private constant CALLDATA_BYTE_GAS = 16;
    uint256 private constant INTRINSIC_NATIVE = 132_500;
    uint256 private constant NATIVE_PER_KECCAK_ROUND = 17_500;
    uint256 private constant KECCAK_RATE = 136;
    uint256 private constant INTRINSIC_PUBDATA = 88;
    uint256 private constant NATIVE_PRICE_DIVISOR = 10;
    uint256 private constant UPGRADE_NATIVE_PER_GAS = 10_000;

    function check(
        L2CanonicalTransaction memory transaction,
        uint256 encodedLength,
        uint256 maxGasLimit,
        uint256 maxPubdata,
        bool isUpgrade
    ) internal pure {
        uint256 gasLimit = transaction.gasLimit;
        if (gasLimit > maxGasLimit) revert TooMuchGas();
        uint256 pubdata = gasLimit / transaction.gasPerPubdataByteLimit;
        if (pubdata > maxPubdata) revert PubdataGreaterThanLimit(maxPubdata, pubdata);
        if (transaction.maxFeePerGas == 0 && !isUpgrade) revert ZeroGasPriceL1TxZKsyncOS();
        uint256 minimum = minimalGas(
            encodedLength, transaction.data.length, transaction.gasPerPubdataByteLimit, transaction.maxFeePerGas
        );
        if (gasLimit < minimum) revert ValidateTxnNotEnoughGas();
    }

    function minimalGas(uint256 encodedLength, uint256 dataLength, uint256 gasPerPubdata, uint256 maxFeePerGas)
        internal
        pure
        returns (uint256)
    {
        uint256 rounds = (encodedLength + KECCAK_RATE - 1) / KECCAK_RATE;
        if (rounds == 0) rounds = 1;
        uint256 native = INTRINSIC_NATIVE + NATIVE_PER_KECCAK_ROUND * rounds + dataLength;
        uint256 nativeGas =
            maxFeePerGas == 0 ? native / UPGRADE_NATIVE_PER_GAS : native * NATIVE_PRICE_DIVISOR / maxFeePerGas;
        uint256 byNative = nativeGas + INTRINSIC_PUBDATA * gasPerPubdata;
        uint256 byEvm = INTRINSIC_GAS + CALLDATA_BYTE_GAS * dataLength;
        return byEvm > byNative ? byEvm : byNative;
    }
}
