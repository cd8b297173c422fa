//! Interfaces of the settlement contracts, protocol v30, as far as the node uses them.
//!
//! Generated items carry the names of the contracts' ABI; their shape is fixed by the deployed contracts.

// The macro's output can't carry documentation for every generated item.
#![allow(missing_docs, missing_debug_implementations, clippy::too_many_arguments)]

use alloy_sol_types::sol;

sol! {
    /// One L1 -> L2 transaction as the mailbox hashes and emits it.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct L2CanonicalTransaction {
        uint256 txType;
        uint256 from;
        uint256 to;
        uint256 gasLimit;
        uint256 gasPerPubdataByteLimit;
        uint256 maxFeePerGas;
        uint256 maxPriorityFeePerGas;
        uint256 paymaster;
        uint256 nonce;
        uint256 value;
        uint256[4] reserved;
        bytes data;
        bytes signature;
        uint256[] factoryDeps;
        bytes paymasterInput;
        bytes reservedDynamic;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct SolStoredBatchInfo {
        uint64 batchNumber;
        bytes32 batchHash;
        uint64 indexRepeatedStorageChanges;
        uint256 numberOfLayer1Txs;
        bytes32 priorityOperationsHash;
        bytes32 dependencyRootsRollingHash;
        bytes32 l2LogsTreeRoot;
        uint256 timestamp;
        bytes32 commitment;
    }

    /// Merkle range proof of a batch's priority transactions.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct PriorityOpsBatchInfo {
        bytes32[] leftPath;
        bytes32[] rightPath;
        bytes32[] itemHashes;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct InteropRoot {
        uint256 chainId;
        uint256 blockOrBatchNumber;
        bytes32[] sides;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct FacetCut {
        address facet;
        uint8 action;
        bool isFreezable;
        bytes4[] selectors;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct DiamondCutData {
        FacetCut[] facetCuts;
        address initAddress;
        bytes initCalldata;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct L2TransactionRequestDirect {
        uint256 chainId;
        uint256 mintValue;
        address l2Contract;
        uint256 l2Value;
        bytes l2Calldata;
        uint256 l2GasLimit;
        uint256 l2GasPerPubdataByteLimit;
        bytes[] factoryDeps;
        address refundRecipient;
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IBridgehub {
        function getZKChain(uint256 chainId) external view returns (address);
        function chainTypeManager(uint256 chainId) external view returns (address);
        function getAllZKChainChainIDs() external view returns (uint256[] memory);
        function assetRouter() external view returns (address);
        function messageRoot() external view returns (address);
        function baseTokenAssetId(uint256 chainId) external view returns (bytes32);
        function baseToken(uint256 chainId) external view returns (address);
        function settlementLayer(uint256 chainId) external view returns (uint256);
        function l2TransactionBaseCost(uint256 chainId, uint256 gasPrice, uint256 l2GasLimit, uint256 l2GasPerPubdataByteLimit) external view returns (uint256);
        function requestL2TransactionDirect(L2TransactionRequestDirect request) external payable returns (bytes32);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IChainTypeManager {
        event NewUpgradeCutData(uint256 indexed protocolVersion, DiamondCutData diamondCutData);

        function validatorTimelockPostV29() external view returns (address);
        function serverNotifierAddress() external view returns (address);
        function protocolVersion() external view returns (uint256);
        function protocolVersionIsActive(uint256 version) external view returns (bool);
        function upgradeCutHash(uint256 oldVersion) external view returns (bytes32);
        function L1_BYTECODES_SUPPLIER() external view returns (address);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IZkChain {
        event BlockCommit(uint256 indexed batchNumber, bytes32 indexed batchHash, bytes32 indexed commitment);
        event ReportCommittedBatchRangeZKsyncOS(uint64 indexed batchNumber, uint64 indexed firstBlockNumber, uint64 indexed lastBlockNumber);
        event BlocksVerification(uint256 indexed previousLastVerifiedBatch, uint256 indexed currentLastVerifiedBatch);
        event BlockExecution(uint256 indexed batchNumber, bytes32 indexed batchHash, bytes32 indexed commitment);
        event BlocksRevert(uint256 totalBatchesCommitted, uint256 totalBatchesVerified, uint256 totalBatchesExecuted);
        event NewPriorityRequest(uint256 txId, bytes32 txHash, uint64 expirationTimestamp, L2CanonicalTransaction transaction, bytes[] factoryDeps);
        event NewPriorityRequestId(uint256 indexed txId, bytes32 indexed txHash);
        event UpgradeComplete(uint256 indexed newProtocolVersion, bytes32 indexed l2UpgradeTxHash, ProposedUpgrade upgrade);
        event GenesisUpgrade(address indexed zkChain, L2CanonicalTransaction l2Transaction, uint256 indexed protocolVersion, bytes[] factoryDeps);

        function getTotalBatchesCommitted() external view returns (uint256);
        function getTotalBatchesVerified() external view returns (uint256);
        function getTotalBatchesExecuted() external view returns (uint256);
        function storedBatchHash(uint256 batchNumber) external view returns (bytes32);
        function getTotalPriorityTxs() external view returns (uint256);
        function getFirstUnprocessedPriorityTx() external view returns (uint256);
        function getPriorityTreeStartIndex() external view returns (uint256);
        function getPriorityTreeRoot() external view returns (bytes32);
        function getPubdataPricingMode() external view returns (uint8);
        function getDAValidatorPair() external view returns (address l1DAValidator, uint8 l2DACommitmentScheme);
        function getAdmin() external view returns (address);
        function getChainTypeManager() external view returns (address);
        function getBridgehub() external view returns (address);
        function getChainId() external view returns (uint256);
        function getVerifier() external view returns (address);
        function getProtocolVersion() external view returns (uint256);
        function getSettlementLayer() external view returns (address);
        function getBaseToken() external view returns (address);
        function getL2SystemContractsUpgradeTxHash() external view returns (bytes32);
        function getL2SystemContractsUpgradeBatchNumber() external view returns (uint256);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IValidatorTimelock {
        function commitBatchesSharedBridge(address chainAddress, uint256 processFrom, uint256 processTo, bytes data) external;
        function proveBatchesSharedBridge(address chainAddress, uint256 processFrom, uint256 processTo, bytes data) external;
        function executeBatchesSharedBridge(address chainAddress, uint256 processFrom, uint256 processTo, bytes data) external;
        function revertBatchesSharedBridge(address chainAddress, uint256 newLastBatch) external;
        function commitBatchesMultisig(address chainAddress, uint256 processFrom, uint256 processTo, bytes data, address[] signers, bytes[] signatures) external;
        function hasRoleForChainId(uint256 chainId, bytes32 role, address account) external view returns (bool);
        function executionDelay() external view returns (uint32);
        function getSigningThreshold(address chainAddress) external view returns (uint64);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IVerifier {
        function verificationKeyHash(uint256 verifierTypeAndVersion) external view returns (bytes32);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IMessageRoot {
        function historicalRoot(uint256 blockNumber) external view returns (bytes32);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IAssetRouter {
        event BridgehubDepositBaseTokenInitiated(uint256 indexed chainId, address indexed from, bytes32 assetId, uint256 amount);

        function L1_NULLIFIER() external view returns (address);
        function nativeTokenVault() external view returns (address);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IChainAdmin {
        event UpdateUpgradeTimestamp(uint256 indexed protocolVersion, uint256 upgradeTimestamp);
    }

    #[derive(Debug, Default, PartialEq, Eq)]
    struct VerifierParams {
        bytes32 recursionNodeLevelVkHash;
        bytes32 recursionLeafLevelVkHash;
        bytes32 recursionCircuitsSetVksHash;
    }

    /// What an upgrade changes.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct ProposedUpgrade {
        L2CanonicalTransaction l2ProtocolUpgradeTx;
        bytes32 bootloaderHash;
        bytes32 defaultAccountHash;
        bytes32 evmEmulatorHash;
        address verifier;
        VerifierParams verifierParams;
        bytes l1ContractsUpgradeCalldata;
        bytes postUpgradeCalldata;
        uint256 upgradeTimestamp;
        uint256 newProtocolVersion;
    }

    /// Contracts that diamonds call to upgrade themselves.
    #[derive(Debug, PartialEq, Eq)]
    interface IUpgrade {
        function upgrade(ProposedUpgrade proposed) external returns (bytes32);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IBytecodesSupplier {
        event BytecodePublished(bytes32 indexed bytecodeHash, bytes bytecode);
        event EVMBytecodePublished(bytes32 indexed bytecodeHash, bytes bytecode);
    }

    /// Every custom error that a call of the node or of a depositor can meet.
    #[derive(Debug, PartialEq, Eq)]
    interface ISettlementErrors {
        error Unauthorized(address caller);
        error RoleAccessDenied(address chainAddress, bytes32 role, address caller);
        error NotSettlementLayer();

        error InvalidProtocolVersion();
        error EmptyData();
        error UnsupportedCommitBatchEncoding(uint8 version);
        error IncorrectBatchBounds(uint256 expectedFrom, uint256 expectedTo, uint256 providedFrom, uint256 providedTo);
        error CanOnlyProcessOneBatch();
        error BatchHashMismatch(bytes32 expected, bytes32 provided);
        error BatchNumberMismatch(uint256 expected, uint256 provided);
        error InvalidNumberOfBlobs(uint256 expected, uint256 numCommitments, uint256 numHashes);
        error NonZeroBlobToVerifyZKsyncOS(uint256 index, bytes32 blobHash, bytes32 blobCommitment);
        error TimeNotReached(uint256 expected, uint256 actual);
        error L2TimestampTooBig();
        error IncorrectBatchChainId(uint256 batchChainId, uint256 chainId);
        error MismatchL2DACommitmentScheme(uint256 operatorScheme, uint256 chainScheme);
        error InvalidBlockRange(uint64 batchNumber, uint64 firstBlock, uint64 lastBlock);

        error OperatorDAInputTooSmall(uint256 length, uint256 minimum);
        error InvalidL2DAOutputHash(bytes32 hash);
        error PubdataLengthTooBig(uint256 length, uint256 limit);
        error InvalidPubdataHash(bytes32 fullPubdataHash, bytes32 providedHash);
        error InvalidPubdataSource(uint8 source);
        error InvalidBlobsDAInputLength(uint256 length);
        error BlobNotPublished();
        error NonEmptyBlobVersionHash(uint256 index);
        error InvalidBlobsPublished(bytes32 expected, bytes32 provided);
        error ValL1DAWrongInputLength(uint256 length, uint256 expected);

        error UnsupportedProofBatchEncoding(uint8 version);
        error VerifiedBatchesExceedsCommittedBatches();
        error InvalidProof();
        error EmptyProofLength();
        error UnknownVerifierType();
        error UnknownVerifierVersion();
        error MockVerifierNotSupported();
        error InvalidMockProofLength();

        error UnsupportedExecuteBatchEncoding(uint8 version);
        error InvalidBatchesDataLength(uint256 batchesLength, uint256 priorityOpsLength);
        error MismatchNumberOfLayer1Txs(uint256 provided, uint256 expected);
        error NonSequentialBatch();
        error PriorityOperationsRollingHashMismatch();
        error DependencyRootsRollingHashMismatch(bytes32 expected, bytes32 provided);
        error CommitBasedInteropNotSupported();
        error MessageRootIsZero();
        error InvalidMessageRoot(bytes32 expected, bytes32 provided);
        error CantExecuteUnprovenBatches();
        error NotHistoricalRoot(bytes32 root);
        error MerklePathLengthMismatch(uint256 length, uint256 expected);
        error MerklePathEmpty();
        error MerkleNothingToProve();
        error MerkleIndexOrHeightMismatch();

        error RevertedBatchNotAfterNewLastBatch();
        error CantRevertExecutedBatch();

        error ChainRequiresValidatorsSignaturesForCommit();
        error SignaturesLengthMismatch(uint256 signersLength, uint256 signaturesLength);
        error NotEnoughSigners(uint256 provided, uint256 required);
        error SignersNotSorted();
        error SignerNotAuthorized(address signer);
        error SignatureNotValid(address signer);

        error MsgValueMismatch(uint256 expected, uint256 provided);
        error MsgValueTooLow(uint256 required, uint256 provided);
        error GasPerPubdataMismatch();
        error TooManyFactoryDeps();
        error TooMuchGas();
        error PubdataGreaterThanLimit(uint256 limit, uint256 length);
        error ValidateTxnNotEnoughGas();
        error ZeroGasPriceL1TxZKsyncOS();
        error TransactionNotAllowed();
        error BaseTokenGasPriceDenominatorNotSet();
        error SecondBridgeAddressTooLow(address secondBridge, address minimum);
        error WrongMagicValue(uint256 expected, uint256 provided);

        error WithdrawalAlreadyFinalized();
        error WrongL2Sender(address sender);
        error BatchNotExecuted(uint256 batchNumber);
        error LocalRootIsZero();
        error LocalRootMustBeZero();
        error HashedLogIsDefault();
        error UnsupportedProofMetadataVersion(uint256 version);
        error InvalidProofLengthForFinalNode();
        error MerkleIndexOutOfBounds();
        error InvalidChainId();

        error HashMismatch(bytes32 expected, bytes32 provided);
        error ProtocolIdMismatch(uint256 expected, uint256 provided);
        error PreviousUpgradeNotFinalized(bytes32 txHash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{B256, b256, hex};
    use alloy_sol_types::{SolCall, SolEvent, SolInterface};

    /// Selectors and topics of the deployed contracts: a typo in an argument type would change them.
    #[test]
    fn selectors_match_the_deployed_contracts() {
        let calls: &[([u8; 4], [u8; 4])] = &[
            (IBridgehub::getZKChainCall::SELECTOR, hex!("e680c4c1")),
            (IBridgehub::chainTypeManagerCall::SELECTOR, hex!("9d5bd3da")),
            (IBridgehub::getAllZKChainChainIDsCall::SELECTOR, hex!("68b8d331")),
            (IBridgehub::assetRouterCall::SELECTOR, hex!("bc0aac10")),
            (IBridgehub::messageRootCall::SELECTOR, hex!("d4b9f4fa")),
            (IBridgehub::settlementLayerCall::SELECTOR, hex!("671a7131")),
            (IBridgehub::baseTokenCall::SELECTOR, hex!("59ec65a2")),
            (IBridgehub::baseTokenAssetIdCall::SELECTOR, hex!("e52db4ca")),
            (IBridgehub::l2TransactionBaseCostCall::SELECTOR, hex!("71623274")),
            (IBridgehub::requestL2TransactionDirectCall::SELECTOR, hex!("d52471c1")),
            (IChainTypeManager::validatorTimelockPostV29Call::SELECTOR, hex!("ef9955bc")),
            (IChainTypeManager::serverNotifierAddressCall::SELECTOR, hex!("f13ea178")),
            (IChainTypeManager::protocolVersionCall::SELECTOR, hex!("2ae9c600")),
            (IChainTypeManager::protocolVersionIsActiveCall::SELECTOR, hex!("def9d6af")),
            (IChainTypeManager::upgradeCutHashCall::SELECTOR, hex!("52c9eacb")),
            (IChainTypeManager::L1_BYTECODES_SUPPLIERCall::SELECTOR, hex!("18f0c09b")),
            (IUpgrade::upgradeCall::SELECTOR, hex!("16ef1303")),
            (IZkChain::getTotalBatchesCommittedCall::SELECTOR, hex!("db1f0bf9")),
            (IZkChain::getTotalBatchesVerifiedCall::SELECTOR, hex!("ef3f0bae")),
            (IZkChain::getTotalBatchesExecutedCall::SELECTOR, hex!("b8c2f66f")),
            (IZkChain::storedBatchHashCall::SELECTOR, hex!("b22dd78e")),
            (IZkChain::getTotalPriorityTxsCall::SELECTOR, hex!("a1954fc5")),
            (IZkChain::getFirstUnprocessedPriorityTxCall::SELECTOR, hex!("79823c9a")),
            (IZkChain::getPriorityTreeStartIndexCall::SELECTOR, hex!("f4ff5e2e")),
            (IZkChain::getPriorityTreeRootCall::SELECTOR, hex!("39d7d4aa")),
            (IZkChain::getPubdataPricingModeCall::SELECTOR, hex!("06d49e5b")),
            (IZkChain::getDAValidatorPairCall::SELECTOR, hex!("5a590335")),
            (IZkChain::getAdminCall::SELECTOR, hex!("6e9960c3")),
            (IZkChain::getChainTypeManagerCall::SELECTOR, hex!("946ebad1")),
            (IZkChain::getBridgehubCall::SELECTOR, hex!("3591c1a0")),
            (IZkChain::getChainIdCall::SELECTOR, hex!("3408e470")),
            (IZkChain::getVerifierCall::SELECTOR, hex!("46657fe9")),
            (IZkChain::getProtocolVersionCall::SELECTOR, hex!("33ce93fe")),
            (IZkChain::getSettlementLayerCall::SELECTOR, hex!("6a27e8b5")),
            (IZkChain::getBaseTokenCall::SELECTOR, hex!("98acd7a6")),
            (IZkChain::getL2SystemContractsUpgradeTxHashCall::SELECTOR, hex!("7b30c8da")),
            (IZkChain::getL2SystemContractsUpgradeBatchNumberCall::SELECTOR, hex!("e5355c75")),
            (IValidatorTimelock::commitBatchesSharedBridgeCall::SELECTOR, hex!("0db9eb87")),
            (IValidatorTimelock::proveBatchesSharedBridgeCall::SELECTOR, hex!("9271e450")),
            (IValidatorTimelock::executeBatchesSharedBridgeCall::SELECTOR, hex!("a085344d")),
            (IValidatorTimelock::revertBatchesSharedBridgeCall::SELECTOR, hex!("7ca4eff7")),
            (IValidatorTimelock::commitBatchesMultisigCall::SELECTOR, hex!("0913148a")),
            (IValidatorTimelock::hasRoleForChainIdCall::SELECTOR, hex!("8e80aaf6")),
            (IValidatorTimelock::executionDelayCall::SELECTOR, hex!("8b257989")),
            (IValidatorTimelock::getSigningThresholdCall::SELECTOR, hex!("4d4b2cab")),
            (IVerifier::verificationKeyHashCall::SELECTOR, hex!("ff47aa91")),
            (IMessageRoot::historicalRootCall::SELECTOR, hex!("2e9b5cbb")),
            (IAssetRouter::L1_NULLIFIERCall::SELECTOR, hex!("e60ccaba")),
            (IAssetRouter::nativeTokenVaultCall::SELECTOR, hex!("64e130cf")),
        ];
        for (got, want) in calls {
            assert_eq!(hex::encode(got), hex::encode(want));
        }
    }

    #[test]
    fn event_topics_match_the_deployed_contracts() {
        let events: &[(B256, B256)] = &[
            (
                IZkChain::BlockCommit::SIGNATURE_HASH,
                b256!("8f2916b2f2d78cc5890ead36c06c0f6d5d112c7e103589947e8e2f0d6eddb763"),
            ),
            (
                IZkChain::ReportCommittedBatchRangeZKsyncOS::SIGNATURE_HASH,
                b256!("a2ac105688fc09c2584d6b2e79dd0fc14e6003a20c62ac45aa858e8ed12bb7bb"),
            ),
            (
                IZkChain::BlocksVerification::SIGNATURE_HASH,
                b256!("22c9005dd88c18b552a1cd7e8b3b937fcde9ca69213c1f658f54d572e4877a81"),
            ),
            (
                IZkChain::BlockExecution::SIGNATURE_HASH,
                b256!("2402307311a4d6604e4e7b4c8a15a7e1213edb39c16a31efa70afb06030d3165"),
            ),
            (
                IZkChain::BlocksRevert::SIGNATURE_HASH,
                b256!("8bd4b15ea7d1bc41ea9abc3fc487ccb89cd678a00786584714faa9d751c84ee5"),
            ),
            (
                IZkChain::NewPriorityRequest::SIGNATURE_HASH,
                b256!("4531cd5795773d7101c17bdeb9f5ab7f47d7056017506f937083be5d6e77a382"),
            ),
            (
                IZkChain::NewPriorityRequestId::SIGNATURE_HASH,
                b256!("779f441679936c5441b671969f37400b8c3ed0071cb47444431bf985754560df"),
            ),
            (
                IZkChain::UpgradeComplete::SIGNATURE_HASH,
                b256!("6bd09c836cb5c068d0e56c5463173036c9e0664c3c89a09c4b2ea71106abfc37"),
            ),
            (
                IZkChain::GenesisUpgrade::SIGNATURE_HASH,
                b256!("c5902263211386c797097c5eef7ce20567f0e13359623233314cfa01a55341da"),
            ),
            (
                IChainTypeManager::NewUpgradeCutData::SIGNATURE_HASH,
                b256!("f99295383247eabb6bee8798669fa768502f8843d3be0e82a0aa81d7b6c4f60c"),
            ),
            (
                IChainAdmin::UpdateUpgradeTimestamp::SIGNATURE_HASH,
                b256!("d50ef21701c8ef211433b140724b8d6de471e7d822c8a616c3d424fe2d0e98a9"),
            ),
            (
                IBytecodesSupplier::BytecodePublished::SIGNATURE_HASH,
                b256!("00e403ec52d56843d21d3a103d6e0df67a220869cea503706fcd690e61bce9ca"),
            ),
            (
                IBytecodesSupplier::EVMBytecodePublished::SIGNATURE_HASH,
                b256!("e443bc0ad5700d3878e91a16eb20aed66817210c050043dc7020ae38a04c6079"),
            ),
            (
                IAssetRouter::BridgehubDepositBaseTokenInitiated::SIGNATURE_HASH,
                b256!("0f87e1ea5eb1f034a6071ef630c174063e3d48756f853efaaf4292b929298240"),
            ),
        ];
        for (got, want) in events {
            assert_eq!(got, want);
        }
    }

    #[test]
    fn error_selectors_match_the_deployed_contracts() {
        let known: [[u8; 4]; 80] = [
            hex!("8e4a23d6"),
            hex!("fe0aa4f2"),
            hex!("d0266e26"),
            hex!("5428eae7"),
            hex!("99d8fec9"),
            hex!("f3dd1b9c"),
            hex!("d7d93e1f"),
            hex!("e85392f9"),
            hex!("55ad3fd3"),
            hex!("bd4455ff"),
            hex!("d8e9405c"),
            hex!("0e0ff4d9"),
            hex!("08753982"),
            hex!("fb5c22e6"),
            hex!("c1b4bc7b"),
            hex!("32fff278"),
            hex!("d438e1fa"),
            hex!("885ae069"),
            hex!("d2531c15"),
            hex!("9044dff9"),
            hex!("5513177c"),
            hex!("5717f940"),
            hex!("6122198f"),
            hex!("783ab813"),
            hex!("92290acc"),
            hex!("8b003a9d"),
            hex!("52595598"),
            hex!("f338f830"),
            hex!("e1022469"),
            hex!("09bde339"),
            hex!("456f8f7a"),
            hex!("c352bb73"),
            hex!("0baf1d48"),
            hex!("1508fb47"),
            hex!("d08a97e6"),
            hex!("14d2ed8a"),
            hex!("fbd630b8"),
            hex!("2c01a4af"),
            hex!("0105f9c0"),
            hex!("d5a99014"),
            hex!("df2c5fa5"),
            hex!("afda12bf"),
            hex!("9b5f85eb"),
            hex!("a1ec1876"),
            hex!("00c6ead2"),
            hex!("a7050bf6"),
            hex!("09aa9830"),
            hex!("8e23ac1a"),
            hex!("c33e6128"),
            hex!("afbb7a4e"),
            hex!("9a67c1cb"),
            hex!("e18cb383"),
            hex!("5e361ef9"),
            hex!("a665a34d"),
            hex!("230f9d11"),
            hex!("a7781cbb"),
            hex!("3b94fe24"),
            hex!("abdc734e"),
            hex!("4a094431"),
            hex!("b385a3da"),
            hex!("c91cf3b1"),
            hex!("76da24b9"),
            hex!("f0b4e88f"),
            hex!("959f26fb"),
            hex!("47b3b145"),
            hex!("db60e600"),
            hex!("00c5a6a9"),
            hex!("6ef9a972"),
            hex!("b78dbaa7"),
            hex!("15e8e429"),
            hex!("ae899454"),
            hex!("636c90db"),
            hex!("2078a6a0"),
            hex!("a969e486"),
            hex!("bdaf7d42"),
            hex!("d356e6ba"),
            hex!("79274f04"),
            hex!("48c5fa28"),
            hex!("9bb54c35"),
            hex!("7a47c9a2"),
        ];
        for selector in
            known.into_iter().chain([hex!("0b08d5be"), hex!("a461f651"), hex!("101ba748")])
        {
            assert!(
                ISettlementErrors::ISettlementErrorsErrors::valid_selector(selector),
                "{}",
                hex::encode(selector)
            );
        }
        assert_eq!(ISettlementErrors::ISettlementErrorsErrors::COUNT, known.len() + 3);
    }
}
