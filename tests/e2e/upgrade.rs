//! An upgrade to a protocol version that this release does not know.

use crate::{
    data_availability::{Deployment, governor},
    harness::{DEADLINE, L1, Node},
};
use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, U256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::TransactionRequest;
use alloy_sol_types::{SolCall, sol};
use std::time::{Duration, Instant};
use zkos_primitives::ProtocolVersion;

sol! {
    struct Facet {
        address facet;
        uint8 action;
        bool isFreezable;
        bytes4[] selectors;
    }

    struct Cut {
        Facet[] facetCuts;
        address initAddress;
        bytes initCalldata;
    }

    function setNewVersionUpgrade(Cut cut, uint256 oldVersion, uint256 oldVersionDeadline, uint256 newVersion) external;
    function setUpgradeTimestamp(uint256 protocolVersion, uint256 upgradeTimestamp) external;
}

async fn send(l1: &L1, to: Address, call: impl SolCall) {
    let request = TransactionRequest::default().with_to(to).with_input(call.abi_encode());
    let pending = governor(l1).send_transaction(request).await.unwrap();
    assert!(pending.with_timeout(Some(DEADLINE)).get_receipt().await.unwrap().status());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_version_stops_the_node_when_it_is_due_and_not_before() {
    let l1 = L1::start().await;
    let mut node = Node::start(&l1, &[]).await;
    node.wait_funded().await;

    let deployment = Deployment::load();
    let next = ProtocolVersion::new(31, 0);
    let register = setNewVersionUpgradeCall {
        cut: Cut {
            facetCuts: Vec::new(),
            initAddress: deployment.contract("default_upgrade"),
            initCalldata: Default::default(),
        },
        oldVersion: ProtocolVersion::V30_2.pack(),
        oldVersionDeadline: U256::MAX,
        newVersion: next.pack(),
    };
    send(&l1, deployment.contract("chain_type_manager"), register).await;
    let announce = async |timestamp: u64| {
        let call = setUpgradeTimestampCall {
            protocolVersion: next.pack(),
            upgradeTimestamp: U256::from(timestamp),
        };
        send(&l1, deployment.contract("chain_admin"), call).await;
    };
    // The year 2100.
    announce(4_102_444_800).await;
    let (_, block) = node.transfer(Address::repeat_byte(0x31), 1).await;
    node.wait_finalized(block).await;
    assert!(node.process().exited().is_none());

    // A second start finds what was announced before it, and waits as well.
    assert!(node.terminate().await.success());
    node.launch().await;
    node.transfer(Address::repeat_byte(0x31), 1).await;
    let started = Instant::now();
    while !node.process().output().contains("install a newer release before") {
        assert!(started.elapsed() < DEADLINE, "no warning:\n{}", node.process().output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    announce(1).await;
    assert!(!node.process().wait_exit().await.success());
    let output = node.process().output();
    for part in ["protocol version 0.31.0 is due", "0.30.2", "install a newer release"] {
        assert!(output.contains(part), "`{part}` is missing in:\n{output}");
    }
}
