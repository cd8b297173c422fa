//! Runs a record through alloy-evm's traits and finds the first difference.

use crate::{
    compare::{Difference, block, decoded, differ, tx_result},
    record::Record,
};
use alloy_consensus::transaction::Recovered;
use alloy_evm::{
    Evm, EvmFactory,
    block::{BlockExecutionError, BlockExecutor, BlockExecutorFactory, BlockValidationError},
};
use alloy_primitives::{Address, B256, Bytes, U256};
use revm::{
    Database, bytecode::Bytecode, database::State, primitives::KECCAK_EMPTY, state::AccountInfo,
};
use serde_json::{Value, json};
use std::{any::Any, collections::HashMap, error::Error, sync::Arc};
use zkos_executor::{
    ExecutionError, FlatState, StateError, StateView, ZkEvmConfig,
    evm::{TreeSource, ZkBlockExecutionCtx, ZkInvalidTransaction, evm_env},
};
use zkos_primitives::AccountProperties;
use zksync_os_interface::traits::{PreimageSource, ReadStorage};

/// The state of a record, both as revm's database and as the source of what that cannot say.
#[derive(Debug, Clone)]
struct Tree(Arc<Maps>);

#[derive(Debug)]
struct Maps {
    storage: HashMap<B256, B256>,
    preimages: HashMap<B256, Bytes>,
}

impl ReadStorage for Tree {
    fn read(&mut self, key: B256) -> Option<B256> {
        self.0.storage.get(&key).copied()
    }
}

impl PreimageSource for Tree {
    fn get_preimage(&mut self, hash: B256) -> Option<Vec<u8>> {
        self.0.preimages.get(&hash).map(|bytes| bytes.to_vec())
    }
}

impl Tree {
    fn state(&self) -> FlatState<Self, Self> {
        FlatState::new(self.clone(), self.clone())
    }
}

impl TreeSource for Tree {
    fn account(&self, address: Address) -> Result<Option<AccountProperties>, StateError> {
        self.state().account(address)
    }
    fn has_slot(&self, address: Address, slot: U256) -> Result<bool, StateError> {
        self.state().storage(address, slot).map(|value| value.is_some())
    }
    fn preimage(&self, hash: B256) -> Result<Option<Bytes>, StateError> {
        self.state().preimage(hash)
    }
}

#[derive(Debug)]
struct TreeDb(Tree);

impl Database for TreeDb {
    type Error = StateError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        let Some(account) = self.0.state().account(address)? else { return Ok(None) };
        let mut info = AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: KECCAK_EMPTY,
            code: Some(Bytecode::default()),
            ..Default::default()
        };
        if account.unpadded_code_len != 0 {
            info.code_hash = account.observable_bytecode_hash;
            info.code = Some(Bytecode::new_raw(self.0.state().code(&account)?.original_bytes()));
        }
        Ok(Some(info))
    }
    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, StateError> {
        Err(StateError::MissingBytecode { hash })
    }
    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, StateError> {
        self.0.state().storage(address, slot).map(Option::unwrap_or_default)
    }
    fn block_hash(&mut self, _: u64) -> Result<B256, StateError> {
        Ok(B256::ZERO)
    }
}

fn rejection(error: &BlockExecutionError) -> Option<&ZkInvalidTransaction> {
    match error {
        BlockExecutionError::Validation(BlockValidationError::InvalidTx { error, .. }) => {
            let error: &dyn Any = &**error;
            error.downcast_ref()
        }
        _ => None,
    }
}

/// Executes the record through `BlockExecutor`, if all its transactions decode. `lend` gives the database out
/// after every transaction, so that the executor reads everything again.
pub(crate) fn run(record: &Record, lend: bool) -> Result<bool, Difference> {
    let Some(txs) = decoded(record) else { return Ok(false) };
    let maps = Maps { storage: record.storage.clone(), preimages: record.preimages.clone() };
    let tree = Tree(Arc::new(maps));
    let config = ZkEvmConfig::new().with_signature_verification(record.verify_signatures);
    let actual = execute(record, config, &tree, txs, lend);
    let actual = match actual {
        Ok(actual) => actual,
        Err(error) if record.expect.get("fatal").is_none() => {
            return Err(Difference::unexpected(error.as_ref()));
        }
        Err(_) => json!({ "fatal": true }),
    };
    differ(&mut String::new(), &record.expect, &actual).map(|()| true)
}

fn execute(
    record: &Record,
    config: ZkEvmConfig,
    tree: &Tree,
    txs: Vec<Recovered<zkos_primitives::ZkTxEnvelope>>,
    lend: bool,
) -> Result<Value, Box<dyn Error>> {
    let context = record.ctx.block_context();
    let mut env = evm_env(&context)?;
    env.block_env.tree = Some(Arc::new(tree.clone()));
    env.cfg_env.disable_nonce_check = record.simulate;
    let factory = config.block_executor_factory();
    let db = State::builder().with_database(TreeDb(tree.clone())).build();
    let evm = factory.evm_factory().create_evm(db, env);
    let ctx = ZkBlockExecutionCtx { parent_hash: context.block_hashes.0[255].into() };
    let mut executor = factory.create_executor(evm, ctx);
    executor.apply_pre_execution_changes()?;
    let mut rejections = Vec::new();
    for (i, tx) in txs.iter().enumerate() {
        match executor.execute_transaction(tx) {
            Ok(_) => {}
            Err(error) => match rejection(&error) {
                Some(invalid) => rejections.push((i, invalid.inner().clone())),
                None => return Err(error.into()),
            },
        }
        if lend {
            let _ = executor.evm_mut().db_mut();
        }
    }
    let gas: u64 = executor.totals().gas_used;
    let (_, result, mut output) = executor.seal()?;
    assert_eq!(result.gas_used, gas);
    assert_eq!(result.receipts.len(), output.tx_results.len());
    for (receipt, included) in result.receipts.iter().zip(output.included()) {
        assert_eq!(receipt.success, included.is_success());
        assert_eq!(receipt.logs, included.logs);
        assert_eq!(receipt.l2_to_l1_logs.len(), included.l2_to_l1_logs.len());
    }
    for (i, error) in rejections {
        output.tx_results.insert(i, Err(error));
    }
    if record.simulate {
        let result = output.tx_results.first().ok_or_else(|| ExecutionError::InvalidContext {
            block_number: context.block_number,
            reason: "no transaction",
        })?;
        return Ok(json!({ "sim": tx_result(result) }));
    }
    Ok(block(&output))
}
