// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

// The selectors are part of the interface: operators' tools decode them.

// Access
error Unauthorized(address caller);
error RoleAccessDenied(address chainAddress, bytes32 role, address account);
error NotSettlementLayer();
error NotAZKChain(address addr);
error Reentrancy();
error ZeroAddress();
error NotSupported();

// Diamond
error FacetIsFrozen(bytes4 func);
error UnknownSelector(bytes4 func);

// Commit
error InvalidProtocolVersion();
error EmptyData();
error UnsupportedCommitBatchEncoding(uint8 version);
error IncorrectBatchBounds(uint256 expectedFrom, uint256 expectedTo, uint256 providedFrom, uint256 providedTo);
error CanOnlyProcessOneBatch();
error BatchHashMismatch(bytes32 expected, bytes32 actual);
error BatchNumberMismatch(uint256 expected, uint256 actual);
error InvalidNumberOfBlobs(uint256 expected, uint256 linearHashes, uint256 openingCommitments);
error NonZeroBlobToVerifyZKsyncOS(uint256 index, bytes32 linearHash, bytes32 openingCommitment);
error TimeNotReached(uint256 expected, uint256 actual);
error L2TimestampTooBig();
error IncorrectBatchChainId(uint256 provided, uint256 expected);
error MismatchL2DACommitmentScheme(uint256 provided, uint256 expected);
error InvalidBlockRange(uint64 batchNumber, uint64 from, uint64 to);

// Data availability
error OperatorDAInputTooSmall(uint256 length, uint256 minimum);
error InvalidL2DAOutputHash(bytes32 outputHash);
error PubdataLengthTooBig(uint256 length, uint256 maximum);
error InvalidPubdataHash(bytes32 expected, bytes32 actual);
error InvalidPubdataSource(uint8 source);
error InvalidBlobsDAInputLength(uint256 length);
error BlobNotPublished();
error NonEmptyBlobVersionHash(uint256 index);
error InvalidBlobsPublished(bytes32 expected, bytes32 actual);
error ValL1DAWrongInputLength(uint256 length, uint256 expected);

// Prove
error UnsupportedProofBatchEncoding(uint8 version);
error VerifiedBatchesExceedsCommittedBatches();
error InvalidProof();
error EmptyProofLength();
error UnknownVerifierType();
error UnknownVerifierVersion();
error MockVerifierNotSupported();
error InvalidMockProofLength();
error VerifierVersionAlreadyExists();

// Execute
error UnsupportedExecuteBatchEncoding(uint8 version);
error InvalidBatchesDataLength(uint256 batches, uint256 priorityOps);
error MismatchNumberOfLayer1Txs(uint256 provided, uint256 expected);
error NonSequentialBatch();
error PriorityOperationsRollingHashMismatch();
error DependencyRootsRollingHashMismatch(bytes32 expected, bytes32 actual);
error CommitBasedInteropNotSupported();
error MessageRootIsZero();
error InvalidMessageRoot(bytes32 expected, bytes32 actual);
error CantExecuteUnprovenBatches();

// Revert
error RevertedBatchNotAfterNewLastBatch();
error CantRevertExecutedBatch();

// Multisig
error ChainRequiresValidatorsSignaturesForCommit();
error SignaturesLengthMismatch(uint256 signers, uint256 signatures);
error NotEnoughSigners(uint256 provided, uint256 required);
error SignersNotSorted();
error SignerNotAuthorized(address signer);
error SignatureNotValid(address signer);

// Deposits
error MsgValueMismatch(uint256 expected, uint256 actual);
error MsgValueTooLow(uint256 required, uint256 provided);
error GasPerPubdataMismatch();
error TooManyFactoryDeps();
error TooMuchGas();
error PubdataGreaterThanLimit(uint256 limit, uint256 length);
error ValidateTxnNotEnoughGas();
error ZeroGasPriceL1TxZKsyncOS();
error TransactionNotAllowed();
error BaseTokenGasPriceDenominatorNotSet();
error SecondBridgeAddressTooLow(address provided, address minimum);
error WrongMagicValue(uint256 expected, uint256 actual);
error AssetIdNotSupported(bytes32 assetId);
error NonEmptyMsgValue();
error ValueMismatch(uint256 expected, uint256 actual);
error TokensWithFeesNotSupported();
error UnsupportedEncodingVersion();

// Withdrawals and proofs
error WithdrawalAlreadyFinalized();
error WrongL2Sender(address sender);
error BatchNotExecuted(uint256 batchNumber);
error LocalRootIsZero();
error LocalRootMustBeZero();
error HashedLogIsDefault();
error UnsupportedProofMetadataVersion(uint256 version);
error InvalidProofLengthForFinalNode();
error MerklePathEmpty();
error InvalidSelector(bytes4 func);
error WrongMsgLength(uint256 expected, uint256 actual);
error InsufficientChainBalance();
error DepositDoesNotExist(bytes32 expected, bytes32 actual);
error WithdrawFailed();

// Chains and upgrades
error InvalidChainId();
error HashMismatch(bytes32 expected, bytes32 actual);
error ProtocolIdMismatch(uint256 expected, uint256 actual);
error PreviousUpgradeNotFinalized(bytes32 txHash);
error PreviousUpgradeNotCleaned();
error NewProtocolMinorVersionTooFar();
error ProtocolVersionTooSmall();
error NonZeroMajorVersion();
error PatchCantCarryTransaction();
error TimestampNotReached(uint256 upgradeTimestamp);
error InvalidUpgradeTransaction();
error InvalidPubdataPricingMode();
error InvalidL2DACommitmentScheme(uint8 scheme);
error DenominatorIsZero();
error ChainNotRegistered(uint256 chainId);
error ChainAlreadyExists(uint256 chainId);
error CTMNotRegistered();
