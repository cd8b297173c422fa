//! Upgrades as the governor registers and the chain's admin announces them.

use crate::harness::{Anvil, sender_config, watcher_config, within};
use alloy_primitives::{Address, B256, Bytes, U256, address};
use alloy_sol_types::{SolCall, sol};
use zkos_l1::{
    L1Provider, L1Sender, L1TxRequest, L1Watcher, ScheduledUpgrade, UpgradeError,
    contracts::{IUpgrade, L2CanonicalTransaction, ProposedUpgrade},
    fetch_upgrade, find_scheduled_upgrade,
};
use zkos_primitives::{CanonicalTransaction, ProtocolVersion, TxUpgrade};

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
    function setUpgradeDiamondCut(Cut cut, uint256 oldVersion) external;
    function setUpgradeTimestamp(uint256 protocolVersion, uint256 upgradeTimestamp) external;
}

const V31: ProtocolVersion = ProtocolVersion::new(31, 0);

fn upgrade_tx(input: &'static [u8]) -> TxUpgrade {
    TxUpgrade {
        from: address!("0000000000000000000000000000000000008007"),
        to: address!("000000000000000000000000000000000000800f"),
        gas_limit: 72_000_000,
        gas_per_pubdata_byte_limit: 800,
        nonce: 31,
        input: Bytes::from_static(input),
        ..Default::default()
    }
}

fn cut(anvil: &Anvil, tx: &TxUpgrade) -> Cut {
    let proposed = ProposedUpgrade {
        l2ProtocolUpgradeTx: L2CanonicalTransaction::from(CanonicalTransaction::from(tx)),
        newProtocolVersion: V31.pack(),
        ..Default::default()
    };
    Cut {
        facetCuts: Vec::new(),
        initAddress: anvil.deployment.contract("default_upgrade"),
        initCalldata: IUpgrade::upgradeCall { proposed }.abi_encode().into(),
    }
}

/// Owner of the contracts and of the chain's admin.
struct Governor {
    sender: L1Sender,
    ctm: Address,
    admin: Address,
}

impl Governor {
    async fn new(anvil: &Anvil, provider: &L1Provider) -> Self {
        let signer = anvil.deployment.signer("/governor");
        let (sender, task) =
            L1Sender::new(provider.clone(), signer, sender_config()).await.unwrap();
        tokio::spawn(task.run());
        Self {
            sender,
            ctm: anvil.deployment.contract("chain_type_manager"),
            admin: anvil.deployment.contract("chain_admin"),
        }
    }

    async fn call(&self, to: Address, call: impl SolCall) {
        let request = L1TxRequest::call("governor", to, call.abi_encode().into());
        let pending = within("send", self.sender.send(request)).await.unwrap();
        within("receipt", pending.receipt()).await.unwrap();
    }

    async fn announce(&self, version: ProtocolVersion, timestamp: U256) {
        let call = setUpgradeTimestampCall {
            protocolVersion: version.pack(),
            upgradeTimestamp: timestamp,
        };
        self.call(self.admin, call).await;
    }
}

#[tokio::test]
async fn an_announced_upgrade_is_found_fetched_and_checked() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let provider = anvil.provider().await;
    let state = anvil.discover(&provider).await;
    let current = state.protocol_version;
    let governor = Governor::new(&anvil, &provider).await;
    let find = || find_scheduled_upgrade(&provider, &state.contracts, current, 0);
    assert_eq!(find().await.unwrap(), None);

    let (watcher, handle) = L1Watcher::new(
        provider.clone(),
        state.contracts,
        state.total_priority_txs,
        watcher_config(),
    )
    .await
    .unwrap();
    tokio::spawn(watcher.run());

    let tx = upgrade_tx(b"upgrade");
    let register = setNewVersionUpgradeCall {
        cut: cut(&anvil, &tx),
        oldVersion: current.pack(),
        oldVersionDeadline: U256::MAX,
        newVersion: V31.pack(),
    };
    governor.call(governor.ctm, register).await;
    // Registered is not announced.
    assert_eq!(find().await.unwrap(), None);
    governor.announce(V31, U256::from(5)).await;
    governor.announce(V31, U256::from(7)).await;
    let scheduled = ScheduledUpgrade { version: V31, timestamp: 7 };
    assert_eq!(find().await.unwrap(), Some(scheduled));
    let mut upgrades = handle.upgrades.clone();
    within("announcement", upgrades.wait_for(|seen| *seen == Some(scheduled))).await.unwrap();

    let fetch = |scheduled| fetch_upgrade(&provider, &state.contracts, current, scheduled, 0);
    let upgrade = fetch(scheduled).await.unwrap();
    assert_eq!((upgrade.version, upgrade.timestamp), (V31, 7));
    assert_eq!(upgrade.tx.unwrap().seal(), tx.canonical_hash());

    // Never is far away.
    governor.announce(V31, U256::MAX).await;
    let never = find().await.unwrap().unwrap();
    assert_eq!(never.timestamp, u64::MAX);

    let other = ScheduledUpgrade { version: ProtocolVersion::new(32, 0), timestamp: 7 };
    let error = fetch(other).await.unwrap_err();
    assert!(matches!(error, UpgradeError::NotRegistered { .. }), "{error}");
    assert!(!error.is_transient());

    // What L1 would apply now was never published: nothing may be executed in its name.
    let replaced = setUpgradeDiamondCutCall {
        cut: cut(&anvil, &upgrade_tx(b"another")),
        oldVersion: current.pack(),
    };
    governor.call(governor.ctm, replaced).await;
    let error = fetch(scheduled).await.unwrap_err();
    assert!(
        matches!(error, UpgradeError::OtherCut { on_l1, .. } if on_l1 != B256::ZERO),
        "{error}"
    );
}
