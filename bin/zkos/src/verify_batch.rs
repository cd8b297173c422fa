//! `zkos verify-batch`: executes a batch again from its input alone and compares it with what was claimed, on L1 or in the file.

use crate::{cli::VerifyBatchCommand, settlement};
use alloy_rpc_client::ClientBuilder;
use eyre::{WrapErr, bail, eyre};
use std::{path::Path, time::Instant};
use zkos_batcher::BatchInputResponse;
use zkos_l1::{
    batches::{UpgradeTxs, relearn_batch},
    discover,
};
use zkos_stateless::{BatchClaim, BatchInput, INPUT_FORMAT, execute, words_to_bytes};

/// A batch and what is claimed of it.
struct Case {
    input: BatchInput,
    claim: BatchClaim,
    /// Who claims it.
    claimant: String,
}

pub(crate) fn run(command: &VerifyBatchCommand, runner: zkos_node::CliRunner) -> eyre::Result<()> {
    let case = match (&command.file, &command.rpc, command.batch) {
        (Some(file), None, None) => read(file)?,
        (None, Some(url), Some(batch)) => runner.block_on(fetch(command, url, batch))?,
        // clap refuses other combinations.
        _ => bail!("give either a file, or --rpc and --batch"),
    };
    if let Some(path) = &command.save {
        let words = [case.input.to_words(), case.claim.to_words()].concat();
        std::fs::write(path, words_to_bytes(&words))
            .wrap_err_with(|| format!("can't write {}", path.display()))?;
    }
    let started = Instant::now();
    let outcome = execute(&case.input)
        .wrap_err_with(|| format!("batch {} does not execute", case.input.batch_number))?;
    case.claim.check(&outcome).wrap_err_with(|| case.claimant.clone())?;
    println!("{}", case.claim);
    println!(
        "verified: {} blocks, {} transactions, {} gas, {} bytes of input, {:.0?}; as claimed {}",
        case.input.blocks.len(),
        outcome.transactions,
        outcome.gas_used,
        case.input.to_words().len() * 4,
        started.elapsed(),
        case.claimant
    );
    Ok(())
}

fn read(path: &Path) -> eyre::Result<Case> {
    let name = path.display();
    let bytes = std::fs::read(path).wrap_err_with(|| format!("can't read {name}"))?;
    let decode = || {
        let words = zkos_stateless::bytes_to_words(&bytes)?;
        let (input, rest) = BatchInput::from_words(&words)?;
        let (claim, rest) = BatchClaim::from_words(rest)?;
        eyre::ensure!(rest.is_empty(), "{} words after its end", rest.len());
        eyre::Ok((input, claim))
    };
    let (input, claim) = decode().wrap_err_with(|| format!("{name} is no batch file"))?;
    Ok(Case { input, claim, claimant: format!("in {name}") })
}

/// The input from a node, the claim from L1: the node is not believed in anything.
async fn fetch(command: &VerifyBatchCommand, url: &url::Url, batch: u64) -> eyre::Result<Case> {
    let client = ClientBuilder::default().http(url.clone());
    let response: Option<BatchInputResponse> =
        client.request("zks_getBatchInput", (batch,)).await.map_err(|error| {
            // The text of transport errors may hold the URL and its secrets.
            let host = url.host_str().unwrap_or("?");
            match error.as_error_resp() {
                Some(answer) => eyre!("node at {host}: {}", answer.message),
                None => eyre!("can't ask the node at {host} for the input of batch {batch}"),
            }
        })?;
    let response = response.ok_or_else(|| eyre!("the node has no batch {batch}"))?;
    if response.format != INPUT_FORMAT {
        bail!(
            "the node gives inputs of format {}, this program reads format {INPUT_FORMAT}",
            response.format
        );
    }
    let input = BatchInput::from_bytes(&response.input).wrap_err("input from the node")?;
    if input.batch_number != batch {
        bail!("the node gave the input of batch {} instead of {batch}", input.batch_number);
    }

    let provider = settlement::connect(&command.l1).await?;
    let bridgehub = settlement::bridgehub(&command.l1)?;
    let state = discover(&provider, bridgehub, command.chain.chain_id, None).await?;
    // L1 does not tell which batch an upgrade was in; the hash it stores decides whether this one belongs to it.
    let upgrades: Vec<_> = input
        .blocks
        .iter()
        .flat_map(|block| &block.transactions)
        .filter_map(|tx| tx.as_upgrade().map(|tx| tx.hash()))
        .collect();
    let upgrades = UpgradeTxs::Known(&upgrades);
    let committed = relearn_batch(&provider, &state.contracts, None, batch, upgrades)
        .await
        .wrap_err_with(|| format!("can't learn from L1 what was committed for batch {batch}"))?;
    let claim = BatchClaim::new(
        committed.previous.state_commitment,
        committed.commit,
        committed.upgrade_tx_hash,
    );
    let claimant = format!("on L1 in transaction {}", committed.l1_tx);
    Ok(Case { input, claim, claimant })
}
