//! What the node learns from L1 before it starts.

use crate::local_chain;
use alloy_primitives::{Address, B256};
use alloy_signer_local::PrivateKeySigner;
use eyre::{WrapErr, bail, eyre};
use zkos_batcher::L1Settlement;
use zkos_l1::{
    GenesisUpgrade, L1Provider, L1ProviderConfig, L1Sender, L1SenderConfig, L1SenderTask, L1State,
    OperatorRole, PubdataPricingMode, check_operators, discover, ensure_keys_distinct,
    fetch_genesis_upgrade, find_bytecode_supplier,
    sender::{FeeCaps, detect_sidecar_form},
};
use zkos_node_core::{
    NodeConfig,
    args::{L1Args, SecretKey},
};
use zkos_primitives::{
    PubdataMode, StoredBatchInfo, ZkChainSpec, blobs::SidecarForm, genesis::genesis_batch,
};
use zkos_tree::{InMemoryStore, MerkleTree};

/// L1 as it was found.
#[derive(Debug)]
pub(crate) struct Discovered {
    pub(crate) provider: L1Provider,
    pub(crate) state: L1State,
    pub(crate) genesis_upgrade: GenesisUpgrade,
    pub(crate) genesis_batch: StoredBatchInfo,
    /// Where bytecodes of upgrades are published; none if L1 does not tell and nobody configured it.
    pub(crate) bytecode_supplier: Option<Address>,
}

/// Batch 0 as it follows from the genesis; a root in the file must agree.
pub(crate) fn compute_genesis_batch(chain: &ZkChainSpec) -> eyre::Result<StoredBatchInfo> {
    let mut tree = MerkleTree::open(InMemoryStore::default())?;
    let output = tree.extend(0, &chain.genesis_state().entries)?;
    let commitment = chain.genesis().verify_root(output.root, output.leaf_count)?;
    Ok(genesis_batch(commitment))
}

pub(crate) async fn connect(args: &L1Args) -> eyre::Result<L1Provider> {
    let config = L1ProviderConfig {
        connect_timeout: Some(args.startup_timeout),
        ..L1ProviderConfig::new(args.rpc_url.clone())
    };
    Ok(L1Provider::connect(config).await?)
}

/// The bridgehub that is configured, or the one of the local L1.
pub(crate) fn bridgehub(args: &L1Args) -> eyre::Result<Address> {
    match args.bridgehub_address {
        Some(address) => Ok(address),
        None => Ok(local_chain::deployment()?.contracts.bridgehub),
    }
}

/// Connects to L1 and checks that it is the right one for this chain.
pub(crate) async fn discover_l1(
    config: &NodeConfig,
    chain: &ZkChainSpec,
) -> eyre::Result<Discovered> {
    let genesis_batch = compute_genesis_batch(chain)?;
    let provider = connect(&config.l1).await?;
    let bridgehub = bridgehub(&config.l1)?;
    let state =
        discover(&provider, bridgehub, chain.chain_id(), Some(genesis_batch.hash())).await?;
    let genesis_upgrade = fetch_genesis_upgrade(&provider, state.contracts.diamond).await?;
    let bytecode_supplier = bytecode_supplier(&config.l1, &provider, &state).await?;
    Ok(Discovered { provider, state, genesis_upgrade, genesis_batch, bytecode_supplier })
}

/// The bytecode supplier that is configured, or that L1 names (since protocol v31), or the one of the local L1.
async fn bytecode_supplier(
    args: &L1Args,
    provider: &L1Provider,
    state: &L1State,
) -> eyre::Result<Option<Address>> {
    if let Some(address) = args.bytecode_supplier_address {
        return Ok(Some(address));
    }
    if let Some(address) = find_bytecode_supplier(provider, state.contracts.ctm).await? {
        return Ok(Some(address));
    }
    let local = local_chain::deployment()?.contracts;
    Ok((state.contracts.bridgehub == local.bridgehub).then_some(local.bytecodes_supplier))
}

/// The mode in which pubdata is published; a configured one must fit the chain on L1.
pub(crate) fn pubdata_mode(config: &NodeConfig, state: &L1State) -> eyre::Result<PubdataMode> {
    let on_l1 = match (state.pubdata_pricing_mode, state.da_commitment_scheme) {
        (PubdataPricingMode::Validium, 1) => PubdataMode::Validium,
        (PubdataPricingMode::Rollup, 3) => PubdataMode::Calldata,
        (PubdataPricingMode::Rollup, 4) => PubdataMode::Blobs,
        (pricing, scheme) => bail!(
            "the chain on L1 has pricing mode {pricing:?} and data availability scheme {scheme}, with which this node can commit no batch; the chain's admin must call setPubdataPricingMode and \
             setDAValidatorPair: rollup (0) with scheme 3 (calldata) or 4 (blobs), or validium (1) with scheme 1"
        ),
    };
    if let Some(mode) = config.l1_sender.pubdata_mode
        && mode != on_l1
    {
        bail!(
            "pubdata mode {mode} is configured, but the chain on L1 expects {on_l1}: batches could never be committed; set --l1-sender.pubdata-mode to {on_l1} or leave it out (or let the chain's \
             admin change the mode on L1 while nothing is committed)"
        );
    }
    // A batch holds at least one block, so a block may not have more than a batch may publish.
    let limit = config.sequencer.block_pubdata_limit_bytes;
    match on_l1.max_pubdata() {
        Some(most) if limit > most as u64 => bail!(
            "--sequencer.block-pubdata-limit-bytes is {limit}, but a batch can publish at most {most} bytes in mode {on_l1}: lower it"
        ),
        _ => Ok(on_l1),
    }
}

/// The three senders with the loops that drive them.
#[derive(Debug)]
pub(crate) struct Senders {
    pub(crate) layer: L1Settlement,
    pub(crate) tasks: [(&'static str, L1SenderTask); 3],
}

/// Creates the senders; refuses equal, public and unauthorised keys.
pub(crate) async fn create_senders(
    config: &NodeConfig,
    discovered: &Discovered,
    mode: PubdataMode,
) -> eyre::Result<Senders> {
    let Discovered { provider, state, .. } = discovered;
    let local = local_chain::deployment()?.operators;
    let args = &config.l1_sender;
    let signer = |key: &Option<SecretKey>, default: B256| -> eyre::Result<PrivateKeySigner> {
        let key = key.as_ref().map_or(default, |key| *key.expose());
        PrivateKeySigner::from_bytes(&key)
            .map_err(|_| eyre!("an operator key is not a valid private key"))
    };
    let commit = signer(&args.operator_commit_key, local.commit.private_key)?;
    let prove = signer(&args.operator_prove_key, local.prove.private_key)?;
    let execute = signer(&args.operator_execute_key, local.execute.private_key)?;
    let roles = [
        ("commit operator", commit.address()),
        ("prove operator", prove.address()),
        ("execute operator", execute.address()),
    ];
    ensure_keys_distinct(&roles).wrap_err("operator keys must differ")?;
    // Asked of L1 only where blobs are sent.
    let forced_form = config.l1.blob_sidecar.form();
    let sidecar_form = match forced_form {
        None if mode == PubdataMode::Blobs => detect_sidecar_form(provider).await,
        form => form.unwrap_or(SidecarForm::Eip7594),
    };
    let gwei = |value: u64| u128::from(value) * 1_000_000_000;
    let sender_config = L1SenderConfig {
        fee_caps: FeeCaps {
            max_fee_per_gas: gwei(args.max_fee_per_gas_gwei),
            max_priority_fee_per_gas: gwei(args.max_priority_fee_per_gas_gwei),
            max_fee_per_blob_gas: gwei(args.max_fee_per_blob_gas_gwei),
        },
        confirmations: config.l1.confirmations,
        poll_interval: args.poll_interval,
        resubmit_timeout: args.transaction_timeout,
        max_in_flight: args.command_limit,
        sidecar_form: forced_form,
        ..L1SenderConfig::default()
    };
    let new = |signer| L1Sender::new(provider.clone(), signer, sender_config);
    let (commit, commit_task) = new(commit).await.wrap_err("commit operator")?;
    let (prove, prove_task) = new(prove).await.wrap_err("prove operator")?;
    let (execute, execute_task) = new(execute).await.wrap_err("execute operator")?;
    let operators = [
        (OperatorRole::Committer, commit.address()),
        (OperatorRole::Prover, prove.address()),
        (OperatorRole::Executor, execute.address()),
    ];
    check_operators(provider, state, &operators).await?;
    let layer = L1Settlement {
        provider: provider.clone(),
        contracts: state.contracts,
        commit,
        prove,
        execute,
        sidecar_form,
        floor: discovered.genesis_upgrade.l1_block,
    };
    let tasks = [
        ("l1-sender-commit", commit_task),
        ("l1-sender-prove", prove_task),
        ("l1-sender-execute", execute_task),
    ];
    Ok(Senders { layer, tasks })
}
