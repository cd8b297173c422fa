use super::*;
use alloy_consensus::{
    SignableTransaction, Signed, Transaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy, Typed2718,
    transaction::{SignerRecoverable, TxHashRef},
};
use alloy_eips::{Decodable2718, Encodable2718, eip7702::Authorization};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, address, b256, hex};
use proptest::prelude::*;

/// A real priority transaction of a public network.
fn published() -> TxL1Priority {
    let account = address!("357fe6c9f85dc429596577cf2e7a191f60b6865b");
    TxL1Priority {
        from: account,
        to: account,
        gas_limit: 0x493e0,
        gas_per_pubdata_byte_limit: 800,
        max_fee_per_gas: 0xee6fcf4,
        nonce: 1,
        value: U256::from(0x32),
        to_mint: U256::from(0x4b08a6610e32u64),
        refund_recipient: account,
        ..Default::default()
    }
}

const PUBLISHED_2718: &[u8] = &hex!(
    "7ff87ba04164624346d4c915977debf68dbd721f8ae86b964080925aecf6911dd47a6ece94357fe6c9f85dc429596577cf2e7a191f60b6865b94357fe6c9f85dc429596577cf2e7a191f60b6865b830493e0820320840ee6fcf4800132864b08a6610e3294357fe6c9f85dc429596577cf2e7a191f60b6865b80c0808080"
);

#[test]
fn published_priority_transaction() {
    let tx = ZkTxEnvelope::from(published());
    let hash = b256!("4164624346d4c915977debf68dbd721f8ae86b964080925aecf6911dd47a6ece");
    assert_eq!(*tx.tx_hash(), hash);
    assert_eq!(tx.trie_hash(), hash);
    // 25 words of abi.encode, of which the VM does not see the first.
    assert_eq!(published().abi_encode().len(), 800 - 32);
    assert_eq!(tx.encoded_2718(), PUBLISHED_2718);
    assert_eq!(tx.encode_2718_len(), PUBLISHED_2718.len());
    assert_eq!(ZkTxEnvelope::decode_2718_exact(PUBLISHED_2718).unwrap(), tx);
    assert_eq!(tx.recover_signer().unwrap(), published().from);
    assert_eq!(tx.ty(), 0x7f);
    assert_eq!(tx.effective_gas_price(7), 0xee6fcf4);
    assert_eq!(tx.chain_id(), None);
    assert!(matches!(
        tx.encode_for_vm(Address::ZERO),
        zksync_os_interface::traits::EncodedTx::Abi(bytes) if bytes == published().abi_encode()
    ));
}

#[test]
fn second_published_hash_and_encoding() {
    let account = address!("36615cf349d7f6344891b1e7ca7c72883f5dc049");
    let value = U256::from(100u128 * 10u128.pow(18));
    let tx = TxL1Priority {
        from: account,
        to: account,
        gas_limit: 500_000,
        gas_per_pubdata_byte_limit: 800,
        max_fee_per_gas: 251_250_000,
        nonce: 1,
        value,
        to_mint: value + U256::from(125_625_000_000_000u64),
        refund_recipient: account,
        ..Default::default()
    };
    assert_eq!(
        tx.canonical_hash(),
        b256!("c99fec1c606ef0b8e5ed9fcdfd970787248a9130227ea815a8a66f9649e5e800")
    );
    assert_eq!(
        priority_operations_hash([published().canonical_hash(), tx.canonical_hash()]),
        b256!("b5236acd5f9acbaf7bfacaec8fd59772ae3cb85f630d379075b393ad58e005ea")
    );
    assert_eq!(
        priority_operations_hash([]),
        b256!("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")
    );
}

#[test]
fn upgrade_hashes() {
    let tx = TxUpgrade {
        from: crate::FORCE_DEPLOYER_ADDRESS,
        to: crate::COMPLEX_UPGRADER_ADDRESS,
        gas_limit: 72_000_000,
        gas_per_pubdata_byte_limit: 800,
        nonce: 30,
        input: hex!("deadbeef").into(),
        factory_deps: vec![B256::with_last_byte(1)],
        ..Default::default()
    };
    assert_eq!(
        tx.canonical_hash(),
        b256!("5c7dddfdb625e065cddb91c96619a01590b2e8b52ce3dcc065adbb58abde2849")
    );
    let envelope = ZkTxEnvelope::from(tx);
    assert_eq!(envelope.tx_type(), ZkTxType::Upgrade);
    assert_eq!(ZkTxEnvelope::decode_2718_exact(&envelope.encoded_2718()).unwrap(), envelope);
}

#[test]
fn json_form() {
    let tx = ZkTxEnvelope::from(published());
    let json = serde_json::to_value(&tx).unwrap();
    let zero_word = format!("{:#x}", B256::ZERO);
    assert_eq!(
        json,
        serde_json::json!({
            "type": "0x7f",
            "hash": "0x4164624346d4c915977debf68dbd721f8ae86b964080925aecf6911dd47a6ece",
            "initiator": "0x357fe6c9f85dc429596577cf2e7a191f60b6865b",
            "to": "0x357fe6c9f85dc429596577cf2e7a191f60b6865b",
            "gas": "0x493e0",
            "gasPerPubdataByteLimit": "0x320",
            "maxFeePerGas": "0xee6fcf4",
            "maxPriorityFeePerGas": "0x0",
            "nonce": "0x1",
            "value": "0x32",
            "toMint": "0x4b08a6610e32",
            "refundRecipient": "0x357fe6c9f85dc429596577cf2e7a191f60b6865b",
            "input": "0x",
            "factoryDeps": [],
            "v": "0x0",
            "r": zero_word,
            "s": zero_word,
            "yParity": "0x0",
        })
    );
    assert_eq!(serde_json::from_value::<ZkTxEnvelope>(json.clone()).unwrap(), tx);

    // A wrong hash or a signature is refused.
    for (field, value) in [("gas", "0x493e1"), ("v", "0x1"), ("r", "0x1")] {
        let mut bad = json.clone();
        bad[field] = value.into();
        assert!(serde_json::from_value::<ZkTxEnvelope>(bad).is_err(), "{field}");
    }
}

#[test]
fn json_form_inside_the_rpc_object() {
    let tx = alloy_rpc_types_eth::Transaction {
        inner: alloy_consensus::transaction::Recovered::new_unchecked(
            ZkTxEnvelope::from(published()),
            published().from,
        ),
        block_hash: Some(B256::with_last_byte(9)),
        block_number: Some(3),
        transaction_index: Some(0),
        effective_gas_price: Some(0xee6fcf4),
        block_timestamp: None,
    };
    let json = serde_json::to_value(&tx).unwrap();
    assert_eq!(json["type"], "0x7f");
    assert_eq!(json["from"], json["initiator"]);
    assert_eq!(json["blockNumber"], "0x3");
    assert_eq!(json["gasPrice"], "0xee6fcf4");
    assert!(json.get("chainId").is_none());
    let back: alloy_rpc_types_eth::Transaction<ZkTxEnvelope> =
        serde_json::from_value(json).unwrap();
    assert_eq!(back, tx);
    // Clients of other chains read it as an unknown typed transaction.
    let text = serde_json::to_string(&tx).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
}

#[test]
fn published_user_transactions() {
    let raw = hex!(
        "02f87482010e80830f4240840bebc200830186a094555555555555555555555555555555555555555588016345785d8a000080c080a0ebf2dc10fabbc103c2b81c92fd44820c524e201ef413825f6e55e903765fd7e8a00c970015060b21bb4b8d040ee0b1b025949e6c23d21d897b78a562c52a9d36d4"
    );
    let tx = ZkTxEnvelope::decode_2718_exact(&raw).unwrap();
    let sender = address!("19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A");
    assert_eq!(tx.recover_signer().unwrap(), sender);
    assert_eq!(tx.chain_id(), Some(270));
    assert_eq!(*tx.hash(), alloy_primitives::keccak256(raw));
    assert_eq!(tx.effective_gas_price(100_000_000), 101_000_000);
    assert!(matches!(
        tx.encode_for_vm(sender),
        zksync_os_interface::traits::EncodedTx::Rlp(bytes, signer) if bytes == raw && signer == sender
    ));
    let json = serde_json::to_string(&tx).unwrap();
    assert_eq!(serde_json::from_str::<ZkTxEnvelope>(&json).unwrap(), tx);
}

#[test]
fn decoding_is_strict() {
    // Trailing bytes behind the list and inside it.
    let mut long = PUBLISHED_2718.to_vec();
    long.push(0x80);
    assert!(ZkTxEnvelope::decode_2718_exact(&long).is_err());
    let mut inside = PUBLISHED_2718.to_vec();
    inside[2] += 1;
    inside.push(0x80);
    assert!(ZkTxEnvelope::decode_2718_exact(&inside).is_err());
    // Every truncation.
    for len in 0..PUBLISHED_2718.len() {
        assert!(ZkTxEnvelope::decode_2718_exact(&PUBLISHED_2718[..len]).is_err(), "{len}");
    }
    // Another hash, another field, a signature.
    for at in [4, 40, PUBLISHED_2718.len() - 1] {
        let mut bad = PUBLISHED_2718.to_vec();
        bad[at] ^= 1;
        assert!(ZkTxEnvelope::decode_2718_exact(&bad).is_err(), "{at}");
    }
    // The same bytes under the other type have another hash.
    let mut upgrade = PUBLISHED_2718.to_vec();
    upgrade[0] = 0x7e;
    assert!(ZkTxEnvelope::decode_2718_exact(&upgrade).is_err());
    // Gas limit with a leading zero byte.
    let gas = PUBLISHED_2718.windows(4).position(|w| w == hex!("830493e0")).unwrap();
    let mut padded = PUBLISHED_2718.to_vec();
    padded[gas] = 0x84;
    padded.insert(gas + 1, 0);
    padded[2] += 1;
    assert!(ZkTxEnvelope::decode_2718_exact(&padded).is_err());
    // Types the chain does not know.
    for ty in [0x00, 0x05, 0x71, 0x7d] {
        let mut bad = PUBLISHED_2718.to_vec();
        bad[0] = ty;
        assert!(ZkTxEnvelope::decode_2718_exact(&bad).is_err(), "{ty:#x}");
    }
}

#[test]
fn params_sequence_is_strict() {
    let encoded = CanonicalTransaction::from(&TxL1Priority {
        input: hex!("010203").into(),
        factory_deps: vec![B256::with_last_byte(5)],
        ..published()
    })
    .abi_encode();
    let decoded = CanonicalTransaction::abi_decode(&encoded).unwrap();
    assert_eq!(decoded.abi_encode(), encoded);
    assert_eq!(
        CanonicalTransaction::abi_decode(&[encoded.as_slice(), &[0; 32]].concat()),
        Err(CanonicalTxError::TrailingBytes(32))
    );
    for len in (0..encoded.len()).step_by(7) {
        assert!(CanonicalTransaction::abi_decode(&encoded[..len]).is_err(), "{len}");
    }
    let with = |at: usize, value: u8| {
        let mut bad = encoded.clone();
        bad[at] = value;
        CanonicalTransaction::abi_decode(&bad)
    };
    // First offset, length of the calldata (huge), padding of the calldata.
    assert_eq!(with(14 * 32 + 31, 0x80), Err(CanonicalTxError::Offset { index: 0 }));
    assert!(matches!(with(19 * 32, 0xff), Err(CanonicalTxError::TooShort(_))));
    assert_eq!(with(20 * 32 + 3, 1), Err(CanonicalTxError::Padding));
}

#[test]
fn conversion_from_l1_checks_every_field() {
    let good = CanonicalTransaction::from(&published());
    assert_eq!(TxL1Priority::try_from(good.clone()), Ok(published()));
    assert!(matches!(TxUpgrade::try_from(good.clone()), Err(CanonicalTxError::Type { .. })));
    type Change = fn(&mut CanonicalTransaction);
    let changes: [(&str, Change); 12] = [
        ("maxPriorityFeePerGas", |tx| tx.max_priority_fee_per_gas = U256::ONE),
        ("paymaster", |tx| tx.paymaster = U256::ONE),
        ("reserved[2]", |tx| tx.reserved[2] = U256::ONE),
        ("reserved[3]", |tx| tx.reserved[3] = U256::ONE),
        ("signature", |tx| tx.signature = Bytes::from_static(&[1])),
        ("paymasterInput", |tx| tx.paymaster_input = Bytes::from_static(&[1])),
        ("reservedDynamic", |tx| tx.reserved_dynamic = Bytes::from_static(&[1])),
        ("from", |tx| tx.from = U256::ONE << 160),
        ("to", |tx| tx.to = U256::MAX),
        ("reserved[1]", |tx| tx.reserved[1] = U256::MAX),
        ("gasLimit", |tx| tx.gas_limit = U256::ONE << 64),
        ("nonce", |tx| tx.nonce = U256::MAX),
    ];
    for (name, change) in changes {
        let mut bad = good.clone();
        change(&mut bad);
        let error = TxL1Priority::try_from(bad).unwrap_err();
        assert!(
            matches!(error, CanonicalTxError::NotEmpty(field) | CanonicalTxError::OutOfRange(field) if field == name),
            "{name}: {error}"
        );
    }
}

fn bytes(max: usize) -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), 0..max).prop_map(Bytes::from)
}

prop_compose! {
    fn l1_fields()(addresses in any::<[[u8; 20]; 3]>(), numbers in any::<[u64; 3]>(), fees in any::<[u128; 2]>(),
                   words in any::<[[u8; 32]; 2]>(), input in bytes(100),
                   deps in proptest::collection::vec(any::<[u8; 32]>(), 0..3)) -> TxL1Priority {
        TxL1Priority {
            from: addresses[0].into(),
            to: addresses[1].into(),
            gas_limit: numbers[0],
            gas_per_pubdata_byte_limit: numbers[1],
            max_fee_per_gas: fees[0],
            max_priority_fee_per_gas: fees[1],
            nonce: numbers[2],
            value: U256::from_be_bytes(words[0]),
            to_mint: U256::from_be_bytes(words[1]),
            refund_recipient: addresses[2].into(),
            input,
            factory_deps: deps.into_iter().map(B256::from).collect(),
        }
    }
}

fn signed<T: SignableTransaction<Signature>>(tx: T, r: u128, parity: bool) -> Signed<T> {
    let signature =
        Signature::new(U256::from(r) + U256::ONE, U256::from(r) + U256::from(2), parity);
    tx.into_signed(signature)
}

prop_compose! {
    fn user_tx()(kind in 0u8..5, chain_id in 1u64..1 << 32, nonce in any::<u64>(), gas_limit in any::<u64>(),
                 fees in any::<[u128; 2]>(), to in any::<Option<[u8; 20]>>(), value in any::<u128>(),
                 input in bytes(100), r in any::<u128>(), parity in any::<bool>()) -> ZkTxEnvelope {
        let to_kind = to.map_or(TxKind::Create, |to| TxKind::Call(to.into()));
        let value = U256::from(value);
        match kind {
            0 => alloy_consensus::EthereumTxEnvelope::Legacy(signed(TxLegacy {
                chain_id: Some(chain_id), nonce, gas_price: fees[0], gas_limit, to: to_kind, value, input,
            }, r, parity)),
            1 => alloy_consensus::EthereumTxEnvelope::Legacy(signed(TxLegacy {
                chain_id: None, nonce, gas_price: fees[0], gas_limit, to: to_kind, value, input,
            }, r, parity)),
            2 => alloy_consensus::EthereumTxEnvelope::Eip2930(signed(TxEip2930 {
                chain_id, nonce, gas_price: fees[0], gas_limit, to: to_kind, value, input,
                access_list: Default::default(),
            }, r, parity)),
            3 => alloy_consensus::EthereumTxEnvelope::Eip1559(signed(TxEip1559 {
                chain_id, nonce, max_fee_per_gas: fees[0], max_priority_fee_per_gas: fees[1], gas_limit,
                to: to_kind, value, input, access_list: Default::default(),
            }, r, parity)),
            _ => alloy_consensus::EthereumTxEnvelope::Eip7702(signed(TxEip7702 {
                chain_id, nonce, max_fee_per_gas: fees[0], max_priority_fee_per_gas: fees[1], gas_limit,
                to: to.unwrap_or_default().into(), value, input, access_list: Default::default(),
                authorization_list: vec![Authorization { chain_id: U256::from(chain_id), address: Address::ZERO, nonce }
                    .into_signed(Signature::new(U256::from(r), U256::ONE, parity))],
            }, r, parity)),
        }.into()
    }
}

pub(crate) fn any_tx() -> impl Strategy<Value = ZkTxEnvelope> {
    prop_oneof![
        3 => user_tx(),
        1 => l1_fields().prop_map(ZkTxEnvelope::from),
        1 => l1_fields().prop_map(|tx| {
            let TxL1Priority {
                from, to, gas_limit, gas_per_pubdata_byte_limit, max_fee_per_gas, max_priority_fee_per_gas,
                nonce, value, to_mint, refund_recipient, input, factory_deps,
            } = tx;
            TxUpgrade {
                from, to, gas_limit, gas_per_pubdata_byte_limit, max_fee_per_gas, max_priority_fee_per_gas,
                nonce, value, to_mint, refund_recipient, input, factory_deps,
            }.into()
        }),
    ]
}

proptest! {
    #[test]
    fn envelope_round_trips(tx in any_tx()) {
        let encoded = tx.encoded_2718();
        prop_assert_eq!(encoded.len(), tx.encode_2718_len());
        let decoded = ZkTxEnvelope::decode_2718_exact(&encoded).unwrap();
        prop_assert_eq!(&decoded, &tx);
        prop_assert_eq!(decoded.hash(), tx.hash());

        let rlp = alloy_rlp::encode(&tx);
        prop_assert_eq!(&alloy_rlp::decode_exact::<ZkTxEnvelope>(&rlp).unwrap(), &tx);

        let json = serde_json::to_string(&tx).unwrap();
        prop_assert_eq!(&serde_json::from_str::<ZkTxEnvelope>(&json).unwrap(), &tx);

        let mut long = encoded;
        long.push(0);
        prop_assert!(ZkTxEnvelope::decode_2718_exact(&long).is_err());
    }

    #[test]
    fn params_sequence_round_trips(tx in l1_fields(), signature in bytes(40), paymaster_input in bytes(70), words in any::<[[u8; 32]; 2]>()) {
        let mut canonical = CanonicalTransaction::from(&tx);
        prop_assert_eq!(canonical.abi_encode(), tx.abi_encode());
        canonical.signature = signature;
        canonical.paymaster_input = paymaster_input;
        canonical.reserved[3] = U256::from_be_bytes(words[0]);
        canonical.paymaster = U256::from_be_bytes(words[1]);
        let encoded = canonical.abi_encode();
        prop_assert_eq!(encoded.len(), canonical.abi_encoded_len());
        prop_assert_eq!(CanonicalTransaction::abi_decode(&encoded), Ok(canonical));
    }

    #[test]
    fn decoders_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = ZkTxEnvelope::decode_2718_exact(&bytes);
        let _ = CanonicalTransaction::abi_decode(&bytes);
        let mut typed = vec![0x7f];
        typed.extend(&bytes);
        let _ = ZkTxEnvelope::decode_2718_exact(&typed);
    }
}
