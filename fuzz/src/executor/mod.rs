//! Random blocks through the state transition function: no panic, and what the protocol promises of every block.
//!
//! Each block is executed three times (as the node does it, through the official interface over a flat state, and
//! with an inspector); the results must be the same to the byte. What is checked of the result stands in [`check`].

mod check;
pub(crate) mod program;
mod tx;
mod world;

use alloy_primitives::{Address, U256};
use arbitrary::{Arbitrary, Unstructured};
use revm::Inspector;
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};
use tx::Item;
use world::View;
pub(crate) use world::World;
use zkos_executor::{ExecutionError, StateError, TraceContext, ZkEvmConfig, ZkExecutor};
use zkos_primitives::{BlockContext, BlockOutput, ZkTxEnvelope};
use zksync_os_interface::{
    tracing::{NopTracer, NopValidator},
    traits::{NoFriProofSidecar, NoopTxCallback, RunBlock, TxListSource},
};

/// Environment variable that makes every block be printed with its result, for reading a finding.
const SHOW: &str = "ZKOS_FUZZ_SHOW";

/// Most transactions of a block.
const MAX_TXS: usize = 6;

#[derive(Debug, Arbitrary)]
pub(crate) struct Scenario {
    context: world::Context,
    verify_signatures: bool,
    txs: Vec<tx::Recipe>,
    world: world::Recipe,
}

/// Reads the input as the recipe of a state and a block.
pub fn run(data: &[u8]) {
    if let Ok(scenario) = Scenario::arbitrary_take_rest(Unstructured::new(data)) {
        execute(&scenario);
    }
}

/// A block that can be part of a batch: with valid transactions only, whose senders follow from their signatures.
pub(crate) struct Block {
    pub(crate) world: Arc<World>,
    pub(crate) context: BlockContext,
    pub(crate) transactions: Vec<ZkTxEnvelope>,
    pub(crate) senders: Vec<Address>,
    pub(crate) output: BlockOutput,
}

/// Executes a scenario with verified signatures and leaves out what is rejected; none if no block results.
pub(crate) fn produce(scenario: &Scenario) -> Option<Block> {
    let (world, codes) = World::new(&scenario.world);
    let world = Arc::new(world);
    let mut context = scenario.context.build();
    context.block_number = context.block_number.max(1);
    let config = ZkEvmConfig::new().with_signature_verification(true);
    let mut items = Vec::new();
    let output = streamed(&config, &context, &world, scenario, &codes, &mut items).ok()?;
    let mut block = Block { world, context, transactions: Vec::new(), senders: Vec::new(), output };
    for (item, result) in items.into_iter().zip(&block.output.tx_results) {
        match (item, result) {
            (_, Err(_)) => {}
            (Item::Decoded(tx, sender), Ok(_)) => {
                block.transactions.push(*tx);
                block.senders.push(sender);
            }
            (Item::Encoded(_), Ok(_)) => return None,
        }
    }
    Some(block)
}

/// Notes whether a contract destroyed itself: its balance may be lost then.
#[derive(Debug, Default)]
struct Destructions(usize);

impl Inspector<TraceContext> for Destructions {
    fn selfdestruct(&mut self, _: Address, _: Address, _: U256) {
        self.0 += 1;
    }
}

fn execute(scenario: &Scenario) {
    let (world, codes) = World::new(&scenario.world);
    let world = Arc::new(world);
    let context = scenario.context.build();
    let config = ZkEvmConfig::new().with_signature_verification(scenario.verify_signatures);

    let mut items = Vec::new();
    let first = streamed(&config, &context, &world, scenario, &codes, &mut items);
    let second = official(&config, &context, &world, &items);
    let mut destructions = Destructions::default();
    let third = inspected(&config, &context, &world, &items, &mut destructions);

    static SHOW_RESULTS: LazyLock<bool> = LazyLock::new(|| std::env::var_os(SHOW).is_some());
    if *SHOW_RESULTS {
        eprintln!("{scenario:#?}\n{first:#?}");
    }

    assert_eq!(text(&first), text(&second), "official interface");
    assert_eq!(text(&first), text(&third), "inspector");
    match &first {
        Ok(output) => check::block(&context, &world, &items, output, destructions.0),
        // The state is complete: a failing read is a read of something that cannot be there.
        Err(ExecutionError::State(
            error @ (StateError::MissingAccount { .. }
            | StateError::MissingBytecode { .. }
            | StateError::MalformedPreimage { .. }
            | StateError::Backend(_)),
        )) => panic!("{error}"),
        // A version that does not exist, and contexts and transactions that no block can have.
        Err(
            ExecutionError::UnknownExecutionVersion { .. }
            | ExecutionError::InvalidContext { .. }
            | ExecutionError::Transaction { .. },
        ) => {}
        // The protocol's own precompiles are not replaced here.
        Err(ExecutionError::Precompile { .. }) => panic!("{first:?}"),
    }
}

fn text(result: &Result<BlockOutput, ExecutionError>) -> String {
    format!("{result:?}")
}

type Outcome = Result<BlockOutput, ExecutionError>;

/// As the node does it. The transactions are built on the way, because their nonces follow from the results.
fn streamed(
    config: &ZkEvmConfig,
    context: &BlockContext,
    world: &Arc<World>,
    scenario: &Scenario,
    codes: &[Vec<u8>],
    items: &mut Vec<Item>,
) -> Outcome {
    let mut nonces: HashMap<Address, u64> =
        world.accounts.iter().map(|(address, account)| (*address, account.nonce)).collect();
    let mut executor = config.block_executor(context.clone(), View(world.clone()))?;
    for recipe in scenario.txs.iter().take(MAX_TXS) {
        let item = recipe.build(&nonces, codes);
        items.push(item.clone());
        let before = executor.totals();
        let result = match &item {
            Item::Decoded(tx, sender) => executor.execute_transaction(tx, *sender)?,
            Item::Encoded(tx) => executor.execute_encoded(tx)?,
        };
        let gas_used = result.ok().map(|output| output.gas_used);
        let after = executor.totals();
        let changes = executor.last_tx_changes();
        match gas_used {
            Some(gas_used) => {
                assert_eq!(after.transactions, before.transactions + 1);
                assert_eq!(after.gas_used, before.gas_used + gas_used);
            }
            None => {
                assert_eq!(after, before, "a rejected transaction counts");
                assert!(changes.accounts.is_empty() && changes.slots.is_empty());
            }
        }
        for change in changes.accounts {
            nonces.insert(change.address, change.after.nonce);
        }
    }
    executor.finish()
}

/// Through the official interface.
fn official(
    config: &ZkEvmConfig,
    context: &BlockContext,
    world: &Arc<World>,
    items: &[Item],
) -> Outcome {
    ZkExecutor.run_block(
        config.clone(),
        context.clone(),
        View(world.clone()),
        View(world.clone()),
        TxListSource { transactions: items.iter().map(Item::encoded).collect() },
        NoFriProofSidecar,
        NoopTxCallback,
        &mut NopTracer,
        &mut NopValidator,
    )
}

/// With an inspector, which only decoded transactions can have.
fn inspected(
    config: &ZkEvmConfig,
    context: &BlockContext,
    world: &Arc<World>,
    items: &[Item],
    destructions: &mut Destructions,
) -> Outcome {
    let mut executor = config.block_executor(context.clone(), View(world.clone()))?;
    for item in items {
        let _ = match item {
            Item::Decoded(tx, sender) => executor.inspect_transaction(tx, *sender, destructions)?,
            Item::Encoded(tx) => executor.execute_encoded(tx)?,
        };
    }
    executor.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of nothing but rejected transactions would check nothing.
    #[test]
    fn noise_leads_to_transactions_that_are_included() {
        let blocks: Vec<Block> = crate::seeds::of("executor")
            .iter()
            .filter_map(|seed| Scenario::arbitrary_take_rest(Unstructured::new(seed)).ok())
            .filter_map(|scenario| produce(&scenario))
            .collect();
        let included: usize = blocks.iter().map(|block| block.transactions.len()).sum();
        let written: usize = blocks.iter().map(|block| block.output.storage_writes.len()).sum();
        assert!(included >= 4, "{included} transactions in {} blocks", blocks.len());
        assert!(written > included, "{written} writes by {included} transactions");
    }
}
