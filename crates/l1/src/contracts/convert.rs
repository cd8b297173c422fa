//! Contract types <-> the node's own types.

use super::{
    CalldataError,
    bindings::{L2CanonicalTransaction, SolStoredBatchInfo},
};
use alloy_primitives::U256;
use zkos_primitives::{CanonicalTransaction, StoredBatchInfo};

impl From<L2CanonicalTransaction> for CanonicalTransaction {
    fn from(tx: L2CanonicalTransaction) -> Self {
        Self {
            tx_type: tx.txType,
            from: tx.from,
            to: tx.to,
            gas_limit: tx.gasLimit,
            gas_per_pubdata_byte_limit: tx.gasPerPubdataByteLimit,
            max_fee_per_gas: tx.maxFeePerGas,
            max_priority_fee_per_gas: tx.maxPriorityFeePerGas,
            paymaster: tx.paymaster,
            nonce: tx.nonce,
            value: tx.value,
            reserved: tx.reserved,
            data: tx.data,
            signature: tx.signature,
            factory_deps: tx.factoryDeps,
            paymaster_input: tx.paymasterInput,
            reserved_dynamic: tx.reservedDynamic,
        }
    }
}

impl From<CanonicalTransaction> for L2CanonicalTransaction {
    fn from(tx: CanonicalTransaction) -> Self {
        Self {
            txType: tx.tx_type,
            from: tx.from,
            to: tx.to,
            gasLimit: tx.gas_limit,
            gasPerPubdataByteLimit: tx.gas_per_pubdata_byte_limit,
            maxFeePerGas: tx.max_fee_per_gas,
            maxPriorityFeePerGas: tx.max_priority_fee_per_gas,
            paymaster: tx.paymaster,
            nonce: tx.nonce,
            value: tx.value,
            reserved: tx.reserved,
            data: tx.data,
            signature: tx.signature,
            factoryDeps: tx.factory_deps,
            paymasterInput: tx.paymaster_input,
            reservedDynamic: tx.reserved_dynamic,
        }
    }
}

impl From<&StoredBatchInfo> for SolStoredBatchInfo {
    fn from(info: &StoredBatchInfo) -> Self {
        Self {
            batchNumber: info.batch_number,
            batchHash: info.state_commitment,
            indexRepeatedStorageChanges: 0,
            numberOfLayer1Txs: U256::from(info.number_of_layer1_txs),
            priorityOperationsHash: info.priority_operations_hash,
            dependencyRootsRollingHash: info.dependency_roots_rolling_hash,
            l2LogsTreeRoot: info.l2_logs_tree_root,
            timestamp: U256::ZERO,
            commitment: info.commitment,
        }
    }
}

impl TryFrom<&SolStoredBatchInfo> for StoredBatchInfo {
    type Error = CalldataError;

    fn try_from(info: &SolStoredBatchInfo) -> Result<Self, Self::Error> {
        // The node's type has no place for the two legacy fields: they are zero on this kind of chain.
        if info.indexRepeatedStorageChanges != 0 || !info.timestamp.is_zero() {
            return Err(CalldataError::Malformed(
                "legacy field of a stored batch is not zero".to_owned(),
            ));
        }
        let number_of_layer1_txs = u64::try_from(info.numberOfLayer1Txs).map_err(|_| {
            CalldataError::Malformed("number of layer 1 transactions is out of range".to_owned())
        })?;
        Ok(Self {
            batch_number: info.batchNumber,
            state_commitment: info.batchHash,
            number_of_layer1_txs,
            priority_operations_hash: info.priorityOperationsHash,
            dependency_roots_rolling_hash: info.dependencyRootsRollingHash,
            l2_logs_tree_root: info.l2LogsTreeRoot,
            commitment: info.commitment,
        })
    }
}
