//! Upgrades as the governor registers and the chain's admin announces them.

use crate::harness::{Anvil, raw, sender_config, watcher_config, within};
use alloy_primitives::{Address, B256, Bytes, U256, address, hex};
use alloy_sol_types::{SolCall, SolEvent, SolValue, sol};
use serde_json::json;
use zkos_l1::{
    L1Provider, L1Sender, L1TxRequest, L1Watcher, ScheduledUpgrade, UpgradeError,
    contracts::{IBytecodesSupplier, IUpgrade, L2CanonicalTransaction, ProposedUpgrade},
    fetch_upgrade, find_bytecode_supplier, find_scheduled_upgrade,
};
use zkos_primitives::{CanonicalTransaction, ProtocolVersion, TxUpgrade, blake2s};

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
    function publishBytecodes(bytes[] codes) external;

    struct Call {
        address target;
        uint256 value;
        bytes data;
    }

    function multicall(Call[] calls, bool requireSuccess) external payable;
    function upgradeChainFromVersion(uint256 oldProtocolVersion, Cut cut) external;
}

const V31: ProtocolVersion = ProtocolVersion::new(31, 0);

pub(crate) fn upgrade_tx(input: &'static [u8]) -> TxUpgrade {
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
pub(crate) struct Governor {
    sender: L1Sender,
    ctm: Address,
    admin: Address,
}

impl Governor {
    pub(crate) async fn new(anvil: &Anvil, provider: &L1Provider) -> Self {
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

    /// Registers an upgrade with this transaction and gives its cut.
    pub(crate) async fn register(
        &self,
        anvil: &Anvil,
        from: ProtocolVersion,
        tx: &TxUpgrade,
    ) -> Cut {
        let cut = cut(anvil, tx);
        let register = setNewVersionUpgradeCall {
            cut: cut.clone(),
            oldVersion: from.pack(),
            oldVersionDeadline: U256::MAX,
            newVersion: V31.pack(),
        };
        self.call(self.ctm, register).await;
        cut
    }

    /// Applies a registered upgrade to the chain.
    pub(crate) async fn apply(&self, diamond: Address, from: ProtocolVersion, cut: Cut) {
        let upgrade = upgradeChainFromVersionCall { oldProtocolVersion: from.pack(), cut };
        let call = Call { target: diamond, value: U256::ZERO, data: upgrade.abi_encode().into() };
        self.call(self.admin, multicallCall { calls: vec![call], requireSuccess: true }).await;
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
    governor.register(&anvil, current, &tx).await;
    // Registered is not announced.
    assert_eq!(find().await.unwrap(), None);
    governor.announce(V31, U256::from(5)).await;
    governor.announce(V31, U256::from(7)).await;
    let scheduled = ScheduledUpgrade { version: V31, timestamp: 7 };
    assert_eq!(find().await.unwrap(), Some(scheduled));
    let mut upgrades = handle.upgrades.clone();
    within("announcement", upgrades.wait_for(|seen| *seen == Some(scheduled))).await.unwrap();

    let fetch = |scheduled| fetch_upgrade(&provider, &state.contracts, None, current, scheduled, 0);
    let upgrade = fetch(scheduled).await.unwrap();
    assert_eq!((upgrade.version, upgrade.timestamp), (V31, 7));
    assert_eq!(upgrade.tx.unwrap().seal(), tx.canonical_hash());
    assert_eq!(upgrade.force_preimages, []);

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

/// A contract that logs `EVMBytecodePublished` with the first word of its input as topic and the rest as data: the supplier from protocol v31 on.
const EVM_SUPPLIER: Address = Address::repeat_byte(0x5b);

async fn install_evm_supplier(provider: &L1Provider) {
    let signature = IBytecodesSupplier::EVMBytecodePublished::SIGNATURE_HASH;
    let code = [&hex!("602036038060205f375f357f")[..], signature.as_slice(), &hex!("825fa200")];
    raw(provider, "anvil_setCode", json!([EVM_SUPPLIER, Bytes::from(code.concat())])).await;
}

#[tokio::test]
async fn bytecodes_of_an_upgrade_are_fetched_and_checked() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let provider = anvil.provider().await;
    let state = anvil.discover(&provider).await;
    let current = state.protocol_version;
    let governor = Governor::new(&anvil, &provider).await;
    // Protocol v30: L1 does not name its supplier, and the supplier knows code by hashes of another kind.
    assert_eq!(find_bytecode_supplier(&provider, state.contracts.ctm).await.unwrap(), None);
    let supplier = anvil.deployment.contract("bytecodes_supplier");
    let codes = [Bytes::from(vec![1; 32]), Bytes::from(vec![2; 96]), Bytes::from(vec![3; 32])];
    let hashes = codes.clone().map(|code| blake2s(&code));
    let tx = TxUpgrade { factory_deps: hashes[..2].to_vec(), ..upgrade_tx(b"upgrade") };
    governor.register(&anvil, current, &tx).await;
    let scheduled = ScheduledUpgrade { version: V31, timestamp: 7 };
    let fetch = async |supplier| {
        fetch_upgrade(&provider, &state.contracts, supplier, current, scheduled, 0).await
    };

    let error = fetch(None).await.unwrap_err();
    assert!(matches!(error, UpgradeError::NoBytecodeSupplier { count: 2, .. }), "{error}");
    // Others and one of two.
    let publish = |codes: &[Bytes]| publishBytecodesCall { codes: codes.to_vec() };
    governor.call(supplier, publish(&[codes[2].clone(), codes[0].clone()])).await;
    match fetch(Some(supplier)).await.unwrap_err() {
        UpgradeError::MissingBytecodes { missing, .. } => assert_eq!(missing, [hashes[1]]),
        other => panic!("{other}"),
    }
    governor.call(supplier, publish(&[codes[1].clone()])).await;
    let mut expected = vec![(hashes[0], codes[0].clone()), (hashes[1], codes[1].clone())];
    expected.sort();
    let upgrade = fetch(Some(supplier)).await.unwrap();
    assert_eq!(upgrade.force_preimages, expected);
    assert_eq!(upgrade.tx.unwrap().seal(), tx.canonical_hash());

    // Protocol v31: by our hash. What is filed under a hash is not believed.
    install_evm_supplier(&provider).await;
    let publish = async |topic: B256, code: &Bytes| {
        let input = [topic.to_vec(), (code.clone(),).abi_encode_params()].concat();
        let request = L1TxRequest::call("publish", EVM_SUPPLIER, input.into());
        let pending = within("send", governor.sender.send(request)).await.unwrap();
        within("receipt", pending.receipt()).await.unwrap();
    };
    publish(hashes[0], &codes[2]).await;
    publish(hashes[1], &codes[1]).await;
    match fetch(Some(EVM_SUPPLIER)).await.unwrap_err() {
        UpgradeError::MissingBytecodes { missing, .. } => assert_eq!(missing, [hashes[0]]),
        other => panic!("{other}"),
    }
    publish(hashes[0], &codes[0]).await;
    assert_eq!(fetch(Some(EVM_SUPPLIER)).await.unwrap().force_preimages, expected);
}
