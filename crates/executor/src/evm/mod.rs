//! The executor behind alloy-evm's traits.
//!
//! [`ZkEvm`] is an adapter: it holds the block executor of this crate over any revm database and runs
//! transactions through the same frame loop and handler as [`RunBlock`](zksync_os_interface::traits::RunBlock).
//!
//! ```text
//! ZkTxEnv ─► ZkEvm::transact ─► BlockExecutor::attempt ─► changes taken out, journal rolled back
//!                                                            ├─► ResultAndState (for the caller's database)
//!                                                            └─► kept by transact_commit or ZkBlockExecutor
//! ```
//!
//! How the traits' semantics fit ours:
//!
//! * **Commits.** Net pubdata, native prices and with them gas depend on what the block did before, so the
//!   executor has to know which transactions became part of it. [`Evm::transact_commit`] and
//!   [`ZkBlockExecutor`] tell it. [`Evm::transact`] leaves no trace. If a caller commits the returned state to
//!   the database by hand (or changes the database in any other way), the next transaction sees the new
//!   values, with the values from the start of the block still known; only writes that changed no value are
//!   lost then.
//! * **State.** revm's database cannot tell an absent leaf from a zero one; [`ZkBlockEnv::tree`] takes a
//!   [`TreeSource`] that can. With it results are equal to the last unit, without it native may differ.
//! * **Results.** `ResultAndState::state` lists accounts and slots that the transaction changed. A contract
//!   is not marked as created, because creation does not look at storage here. Gas is the protocol's gas,
//!   which can be more than the EVM's; `ResultGas` has no native: [`ZkTxResult::native_used`] has.
//! * **Configuration.** `CfgEnv::disable_nonce_check` selects the protocol's simulation mode as a whole
//!   (no nonce, code and signature check, fixed native price). Other switches of `CfgEnv` besides `spec` and
//!   `chain_id` have no counterpart in the protocol and are not read.
//! * **System calls** do not exist before execution version 6. [`Evm::transact_system_call`] runs a call of
//!   30,000,000 gas without fee, validation or native limit.
//! * **Inspectors** see the context of [`TraceContext`], which is independent of the database.
//! * **Precompiles** stand in a `PrecompilesMap`. Added ones are ordinary cold addresses (2600 gas on first
//!   access), work on the state through `EvmInternals`, and pay native for state access and events only.
//!   A chain whose precompiles differ from the protocol's cannot be proven by the official program.

mod block;
mod env;
mod error;
mod loan;
mod precompiles;
mod state;
mod tx;

pub use block::{ZkBlockExecutionCtx, ZkBlockExecutor, ZkBlockExecutorFactory, ZkTxResult};
pub use env::{TreeSource, ZkBlockEnv, ZkEvmEnv, ZkSpecId, evm_env};
pub use error::{ZkEvmError, ZkInvalidTransaction};
pub(crate) use precompiles::PrecompileHost;
pub(crate) use state::account_info;
pub use tx::ZkTxEnv;

use crate::{
    BlockExecutor, ExecutionError, TraceContext, ZkEvmConfig,
    block::Attempt,
    env::BlockEnv as Env,
    flow::Processed,
    journal::TxEffects,
    trace::{InspectorTracer, NoTracer},
};
use alloy_evm::{Database, Evm, EvmEnv, EvmFactory, IntoTxEnv, precompiles::PrecompilesMap};
use alloy_primitives::{Address, B256, Bytes, map::Entry};
use precompiles::Port;
use revm::{
    DatabaseCommit,
    context::{
        CfgEnv, DBErrorMarker,
        result::{ExecutionResult, HaltReason, Output, ResultAndState, ResultGas},
    },
    inspector::{Inspector, NoOpInspector},
    interpreter::SuccessOrHalt,
    state::{Account, EvmState, EvmStorageSlot, TransactionId},
};
use state::DbState;
use std::{mem, rc::Rc};

/// Executes transactions of one block over a revm database.
#[derive(Debug)]
pub struct ZkEvm<DB: Database, I = NoOpInspector> {
    executor: BlockExecutor<DbState<DB>>,
    env: Rc<ZkEvmEnv>,
    precompiles: PrecompilesMap,
    port: Rc<Port>,
    inspector: I,
    inspect: bool,
    verify_signatures: bool,
    /// Somebody had the database in hand since the last transaction.
    db_lent: bool,
    /// A commit that failed; nothing can follow it.
    broken: Option<ExecutionError>,
}

/// A transaction that was executed but is not part of the block yet.
#[derive(Debug, Clone)]
pub(crate) struct Executed {
    hash: B256,
    processed: Processed,
    effects: TxEffects,
}

impl<DB: Database, I> ZkEvm<DB, I> {
    fn new(config: &ZkEvmConfig, db: DB, env: ZkEvmEnv, inspector: I, inspect: bool) -> Self {
        let mode = config.mode(env.cfg_env.disable_nonce_check);
        let executor_env: Env = env::executor_env(&env);
        let port = Rc::new(Port::default());
        let precompiles = precompiles::protocol_map(executor_env.spec, &port);
        let state = DbState::new(db, env.block_env.tree.clone());
        Self {
            executor: BlockExecutor::with_env(executor_env, state, mode, config.code_cache()),
            env: Rc::new(env),
            precompiles,
            port,
            inspector,
            inspect,
            verify_signatures: mode.verify_signatures,
            db_lent: false,
            broken: None,
        }
    }

    /// Brings the executor in step with the database and the environment.
    fn prepare(&mut self) -> Result<(), ExecutionError> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        env::check(&self.env, &self.executor.runner.vm.env)?;
        if mem::take(&mut self.db_lent) {
            self.executor.runner.journal().reload()?;
        }
        Ok(())
    }

    /// Runs `f` with the precompiles of this EVM in place of the protocol's own.
    fn hosted<T>(&mut self, tx: &ZkTxEnv, f: impl FnOnce(&mut Self) -> T) -> T {
        let map = mem::replace(&mut self.precompiles, precompiles::empty_map());
        let (port, env, tx) = (self.port.clone(), self.env.clone(), tx.clone());
        self.executor.runner.host = Some(Box::new(PrecompileHost { map, port, env, tx }));
        let result = f(self);
        if let Some(host) = self.executor.runner.host.take() {
            self.precompiles = host.map;
        }
        result
    }

    /// Executes a transaction and takes its changes out.
    fn execute(&mut self, tx: &ZkTxEnv) -> Result<Executed, ZkEvmError<DB::Error>>
    where
        I: Inspector<TraceContext>,
    {
        self.prepare().map_err(error::fatal)?;
        let chain_id = self.env.cfg_env.chain_id;
        let vm_tx = tx.vm_tx(chain_id, self.verify_signatures).map_err(error::rejection)?;
        let attempt = self.hosted(tx, |this| {
            let Self { executor, inspector, inspect, .. } = this;
            if *inspect {
                let mut tracer = InspectorTracer::new(inspector, &executor.runner.vm.env);
                executor.attempt(&vm_tx, &mut tracer)
            } else {
                executor.attempt(&vm_tx, &mut NoTracer)
            }
        });
        match attempt {
            Ok(Ok(Attempt { start, hash, processed })) => {
                let effects = self.executor.runner.journal().take_effects(start);
                Ok(Executed { hash, processed, effects })
            }
            Ok(Err(error)) => Err(error::rejection(error)),
            Err(error) => {
                self.executor.runner.abandon();
                Err(error::fatal(error))
            }
        }
    }

    /// What a caller of revm expects of a transaction.
    fn result(
        &mut self,
        executed: &Executed,
    ) -> Result<ResultAndState<HaltReason>, ZkEvmError<DB::Error>> {
        let Executed { processed, effects, .. } = executed;
        let state = self.state(effects).map_err(error::fatal)?;
        let gas = ResultGas::default()
            .with_total_gas_spent(processed.gas_used.saturating_add(processed.gas_refunded))
            .with_refunded(processed.gas_refunded);
        let logs = effects.logs.clone();
        let output = processed.output.clone();
        let result = match SuccessOrHalt::<HaltReason>::from(processed.end) {
            SuccessOrHalt::Success(reason) => {
                let output = match processed.created {
                    Some(address) => Output::Create(output, Some(address)),
                    None => Output::Call(output),
                };
                ExecutionResult::Success { reason, gas, logs, output }
            }
            SuccessOrHalt::Halt(reason) => ExecutionResult::Halt { reason, gas, logs },
            _ => ExecutionResult::Revert { gas, logs, output },
        };
        Ok(ResultAndState::new(result, state))
    }

    fn state(&mut self, effects: &TxEffects) -> Result<EvmState, ExecutionError> {
        let mut state = EvmState::default();
        let journal = self.executor.runner.journal();
        for effect in &effects.accounts {
            if effect.before == effect.after && !effect.destroyed {
                continue;
            }
            let mut account = Account::from(account_info(&effect.before));
            if effect.destroyed {
                account.info = Default::default();
                account.mark_selfdestruct();
            } else {
                account.info = account_info(&effect.after);
                account.info.code = None;
                if effect.after.bytecode_hash != effect.before.bytecode_hash {
                    let code = journal.load_code(&effect.after)?.original_bytes();
                    account.info.code = Some(revm::bytecode::Bytecode::new_raw(code));
                }
            }
            account.mark_touch();
            state.insert(effect.address, account);
        }
        for effect in effects.slots.iter().filter(|slot| slot.before != slot.after) {
            let account = match state.entry(effect.address) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    let id = journal.peek(effect.address)?;
                    let mut account = Account::from(account_info(journal.account(id)));
                    account.info.code = None;
                    account.mark_touch();
                    entry.insert(account)
                }
            };
            let slot =
                EvmStorageSlot::new_changed(effect.before, effect.after, TransactionId::ZERO);
            account.storage.insert(effect.key, slot);
        }
        Ok(state)
    }

    /// Makes an executed transaction part of the block and of the database.
    fn commit(&mut self, executed: Executed, state: EvmState)
    where
        DB: DatabaseCommit,
    {
        let Executed { hash, processed, effects } = executed;
        match self.executor.runner.journal().apply_effects(effects) {
            Ok(()) => {
                self.executor.include_applied(hash, processed);
                self.executor.state().db.commit(state);
            }
            Err(error) => self.broken = Some(error.into()),
        }
    }
}

impl<DB: Database, I: Inspector<TraceContext>> Evm for ZkEvm<DB, I> {
    type DB = DB;
    type Tx = ZkTxEnv;
    type Error = ZkEvmError<DB::Error>;
    type HaltReason = HaltReason;
    type Spec = ZkSpecId;
    type BlockEnv = ZkBlockEnv;
    type Precompiles = PrecompilesMap;
    type Inspector = I;

    fn block(&self) -> &ZkBlockEnv {
        &self.env.block_env
    }

    fn cfg_env(&self) -> &CfgEnv<ZkSpecId> {
        &self.env.cfg_env
    }

    fn chain_id(&self) -> u64 {
        self.env.cfg_env.chain_id
    }

    fn transact_raw(
        &mut self,
        tx: Self::Tx,
    ) -> Result<ResultAndState<Self::HaltReason>, Self::Error> {
        let executed = self.execute(&tx)?;
        self.result(&executed)
    }

    fn transact_commit(
        &mut self,
        tx: impl IntoTxEnv<Self::Tx>,
    ) -> Result<ExecutionResult<Self::HaltReason>, Self::Error>
    where
        Self::DB: DatabaseCommit,
    {
        let executed = self.execute(&tx.into_tx_env())?;
        let ResultAndState { result, state } = self.result(&executed)?;
        self.commit(executed, state);
        Ok(result)
    }

    fn transact_system_call(
        &mut self,
        caller: Address,
        contract: Address,
        data: Bytes,
    ) -> Result<ResultAndState<Self::HaltReason>, Self::Error> {
        self.prepare().map_err(error::fatal)?;
        let tx = ZkTxEnv::from(revm::context::TxEnv {
            caller,
            kind: contract.into(),
            data: data.clone(),
            ..Default::default()
        });
        let call = self.hosted(&tx, |this| this.executor.system_call(caller, contract, data));
        let (start, result) = call.map_err(|error| {
            self.executor.runner.abandon();
            error::fatal(error)
        })?;
        let effects = self.executor.runner.journal().take_effects(start);
        let processed = Processed {
            success: result.is_ok(),
            end: result.result,
            output: result.output,
            created: None,
            gas_used: crate::block::SYSTEM_CALL_GAS.saturating_sub(result.gas_left),
            gas_refunded: 0,
            computational_native_used: 0,
            native_used: 0,
            pubdata_used: 0,
        };
        self.result(&Executed { hash: B256::ZERO, processed, effects })
    }

    fn finish(self) -> (DB, EvmEnv<ZkSpecId, ZkBlockEnv>) {
        let env = Rc::unwrap_or_clone(self.env);
        (self.executor.into_state().db, env)
    }

    fn set_inspector_enabled(&mut self, enabled: bool) {
        self.inspect = enabled;
    }

    fn precompiles_mut(&mut self) -> &mut PrecompilesMap {
        &mut self.precompiles
    }

    fn inspector_mut(&mut self) -> &mut I {
        &mut self.inspector
    }

    fn components(&self) -> (&DB, &I, &PrecompilesMap) {
        (&self.executor.runner.vm.journal.state.db, &self.inspector, &self.precompiles)
    }

    fn components_mut(&mut self) -> (&mut DB, &mut I, &mut PrecompilesMap) {
        self.db_lent = true;
        let state = self.executor.state();
        (&mut state.db, &mut self.inspector, &mut self.precompiles)
    }
}

/// Creates [`ZkEvm`]s.
#[derive(Debug, Clone, Default)]
pub struct ZkEvmFactory {
    config: ZkEvmConfig,
}

impl ZkEvmFactory {
    /// Factory whose EVMs share the code cache of `config` and verify signatures if it says so. The rules
    /// come from the environment of each EVM.
    pub const fn new(config: ZkEvmConfig) -> Self {
        Self { config }
    }
}

impl EvmFactory for ZkEvmFactory {
    type Evm<DB: Database, I: Inspector<TraceContext>> = ZkEvm<DB, I>;
    type Context<DB: Database> = TraceContext;
    type Tx = ZkTxEnv;
    type Error<DBError: DBErrorMarker> = ZkEvmError<DBError>;
    type HaltReason = HaltReason;
    type Spec = ZkSpecId;
    type BlockEnv = ZkBlockEnv;
    type Precompiles = PrecompilesMap;

    fn create_evm<DB: Database>(&self, db: DB, env: ZkEvmEnv) -> ZkEvm<DB, NoOpInspector> {
        ZkEvm::new(&self.config, db, env, NoOpInspector, false)
    }

    fn create_evm_with_inspector<DB: Database, I: Inspector<TraceContext>>(
        &self,
        db: DB,
        env: ZkEvmEnv,
        inspector: I,
    ) -> ZkEvm<DB, I> {
        ZkEvm::new(&self.config, db, env, inspector, true)
    }
}
