//! Discovery, its errors, and the genesis upgrade.

use crate::harness::Anvil;
use alloy_primitives::{Address, B256, U256};
use zkos_l1::{
    DiscoveryError, OperatorRole, PubdataPricingMode, check_operators, contracts::IZkChain,
    discover, fetch_genesis_upgrade,
};
use zkos_primitives::{ProtocolVersion, blake2s};

#[tokio::test]
async fn the_shipped_state_is_discovered() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let provider = anvil.provider().await;
    let state = anvil.discover(&provider).await;
    assert_eq!(state.l1_chain_id, 31337);
    assert_eq!(state.contracts.diamond, anvil.deployment.contract("diamond_proxy"));
    assert_eq!(state.contracts.ctm, anvil.deployment.contract("chain_type_manager"));
    assert_eq!(state.contracts.validator_timelock, anvil.deployment.contract("validator_timelock"));
    assert_eq!(state.contracts.chain_admin, anvil.deployment.contract("chain_admin"));
    assert_eq!(state.contracts.verifier, anvil.deployment.contract("verifier"));
    assert_eq!(state.protocol_version, ProtocolVersion::V30_2);
    assert_eq!(state.pubdata_pricing_mode, PubdataPricingMode::Rollup);
    assert_eq!(state.counters, Default::default());
    assert!(state.total_priority_txs > 0, "the rich account has a deposit");

    let operator = |role: &str| anvil.deployment.signer(&format!("/operators/{role}")).address();
    let operators = [
        (OperatorRole::Committer, operator("commit")),
        (OperatorRole::Prover, operator("prove")),
        (OperatorRole::Executor, operator("execute")),
    ];
    check_operators(&provider, &state, &operators).await.unwrap();
    let error = check_operators(&provider, &state, &[(OperatorRole::Prover, Address::ZERO)])
        .await
        .unwrap_err();
    assert!(
        matches!(error, DiscoveryError::MissingRole { role: OperatorRole::Prover, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn wrong_inputs_are_told_apart() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let provider = anvil.provider().await;
    let bridgehub = anvil.deployment.contract("bridgehub");
    let chain = anvil.deployment.chain_id();

    let error = discover(&provider, Address::repeat_byte(0xee), chain, None).await.unwrap_err();
    assert!(matches!(error, DiscoveryError::NoBridgehub { .. }), "{error}");
    let error =
        discover(&provider, anvil.deployment.contract("verifier"), chain, None).await.unwrap_err();
    assert!(matches!(error, DiscoveryError::NotABridgehub { .. }), "{error}");
    let error = discover(&provider, bridgehub, 999, None).await.unwrap_err();
    let DiscoveryError::ChainNotRegistered { registered, .. } = &error else { panic!("{error}") };
    assert_eq!(*registered, vec![U256::from(chain)]);
    assert!(error.to_string().contains(&chain.to_string()), "{error}");
    let error = discover(&provider, bridgehub, chain, Some(B256::ZERO)).await.unwrap_err();
    assert!(matches!(error, DiscoveryError::GenesisMismatch { .. }), "{error}");
}

#[tokio::test]
async fn the_genesis_upgrade_is_found() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let provider = anvil.provider().await;
    let diamond = anvil.deployment.contract("diamond_proxy");
    let upgrade = fetch_genesis_upgrade(&provider, diamond).await.unwrap();
    let pending = provider
        .call_latest(diamond, &IZkChain::getL2SystemContractsUpgradeTxHashCall {})
        .await
        .unwrap();
    assert_eq!(upgrade.tx.seal(), pending);
    assert_eq!(upgrade.protocol_version, ProtocolVersion::V30_2);
    assert!(!upgrade.force_preimages.is_empty());
    for (hash, code) in &upgrade.force_preimages {
        assert_eq!(*hash, blake2s(code));
    }
}
