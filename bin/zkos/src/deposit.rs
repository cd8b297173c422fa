//! `zkos deposit`.

use crate::{cli::DepositCommand, local_chain, settlement};
use alloy_signer_local::PrivateKeySigner;
use eyre::eyre;
use zkos_l1::{L1SenderConfig, deposit::deposit, discover};

pub(crate) async fn run(command: DepositCommand) -> eyre::Result<()> {
    let DepositCommand { amount, to, private_key, chain, l1, files: _ } = command;
    let key = match private_key {
        Some(key) => *key.expose(),
        None => local_chain::deployment()?.rich_account.private_key,
    };
    let signer = PrivateKeySigner::from_bytes(&key)
        .map_err(|_| eyre!("the private key is not a valid one"))?;
    let from = signer.address();
    let provider = settlement::connect(&l1).await?;
    let bridgehub = settlement::bridgehub(&l1)?;
    let state = discover(&provider, bridgehub, chain.chain_id, None).await?;
    let to = to.unwrap_or(from);
    let done = deposit(&provider, &state, signer, to, amount, L1SenderConfig::default()).await?;
    println!("deposited {amount} wei from {from} to {to} on chain {}", chain.chain_id);
    println!("L1 transaction: {} (block {})", done.l1_tx, done.l1_block);
    println!("L2 transaction: {} (priority id {})", done.l2_tx, done.id);
    Ok(())
}
