use super::*;
use alloy_primitives::{address, b256};

const CONTRACT: &str = "0x000000000000000000000000000000000000800f";

fn parse(json: &str) -> Result<GenesisState, GenesisError> {
    Genesis::from_json(json)?.state()
}

#[test]
fn all_storage_forms_give_the_same_entry() {
    let address = address!("000000000000000000000000000000000000800f");
    let slot = B256::with_last_byte(1);
    let key = flat_storage_key(address, slot);
    let value = B256::with_last_byte(2);
    let by_address = format!(
        r#"{{"initial_contracts": [["{CONTRACT}", "0x00"]], "additional_storage": {{"{address}": {{"{slot}": "{value}"}}}}}}"#
    );
    let by_key = format!(
        r#"{{"initial_contracts": [["{CONTRACT}", "0x00"]], "additional_storage": [["{key}", "{value}"]]}}"#
    );
    let raw = format!(
        r#"{{"initial_contracts": [["{CONTRACT}", "0x00"]], "additional_storage_raw": [["{key}", "{value}"]],
            "additional_preimages": [["{slot}", "0x0102"]], "execution_version": 5, "somebody_elses_key": []}}"#
    );
    let state = parse(&by_address).unwrap();
    assert_eq!(state.entries.len(), 2);
    assert!(state.entries.is_sorted());
    assert!(state.entries.contains(&(key, value)));
    assert_eq!(parse(&by_key).unwrap().entries, state.entries);
    let raw = parse(&raw).unwrap();
    assert_eq!(raw.entries, state.entries);
    assert!(raw.preimages.contains(&(slot, vec![1, 2])));
    assert_eq!(state.accounts[0].1.nonce, 1);
    assert_eq!(header_hash_of(&state), GENESIS_BLOCK_HASH);
}

fn header_hash_of(state: &GenesisState) -> B256 {
    crate::header::header_hash(&state.header)
}

#[test]
fn duplicates_are_refused() {
    let key = B256::with_last_byte(3);
    let twice = format!(
        r#"{{"initial_contracts": [], "additional_storage": [["{key}", "{key}"], ["{key}", "{key}"]]}}"#
    );
    assert!(
        matches!(parse(&twice), Err(GenesisError::DuplicateKey(duplicate)) if duplicate == key)
    );
    let both = format!(
        r#"{{"initial_contracts": [], "additional_storage": [["{key}", "{key}"]], "additional_storage_raw": [["{key}", "{key}"]]}}"#
    );
    assert!(matches!(parse(&both), Err(GenesisError::DuplicateKey(_))));
    let account = account_properties_flat_key(address!("000000000000000000000000000000000000800f"));
    let record = format!(
        r#"{{"initial_contracts": [["{CONTRACT}", "0x00"]], "additional_storage_raw": [["{account}", "{key}"]]}}"#
    );
    assert!(matches!(parse(&record), Err(GenesisError::DuplicateKey(_))));
    let slots = format!(
        r#"{{"initial_contracts": [], "additional_storage": {{"{CONTRACT}": {{"{key}": "{key}", "{key}": "{key}"}}}}}}"#
    );
    assert!(matches!(parse(&slots), Err(GenesisError::Json(_))));
    let addresses = format!(
        r#"{{"initial_contracts": [], "additional_storage": {{"{CONTRACT}": {{}}, "{CONTRACT}": {{}}}}}}"#
    );
    assert!(matches!(parse(&addresses), Err(GenesisError::Json(_))));
}

#[test]
fn malformed_files_are_refused_with_a_position() {
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"initial_contracts": [["0x00", "0x"]]}"#,
        r#"{"initial_contracts": [["0x000000000000000000000000000000000000800f", "0x0"]]}"#,
        r#"{"initial_contracts": [], "additional_storage": 5}"#,
        r#"{"initial_contracts": [], "additional_storage": {"0x000000000000000000000000000000000000800f": {"0x01": "0x02"}}}"#,
        r#"{"initial_contracts": [], "genesis_root": "0x01"}"#,
    ] {
        assert!(matches!(parse(bad), Err(GenesisError::Json(_))), "{bad}");
    }
}

#[test]
fn repeated_contract_takes_the_last_code() {
    let twice =
        format!(r#"{{"initial_contracts": [["{CONTRACT}", "0x00"], ["{CONTRACT}", "0x0101"]]}}"#);
    let state = parse(&twice).unwrap();
    assert_eq!(state.accounts.len(), 1);
    assert_eq!(state.accounts[0].1.observable_bytecode_len, 2);
}

#[test]
fn commitment_and_batch_zero_of_the_current_release() {
    let root = b256!("aa8d543fb3839a480079e87666639082dd11a9f3a4e855b37b424bcf4bbae5fa");
    assert_eq!(
        block_hashes_blake(&BlockHashes::default(), GENESIS_BLOCK_HASH),
        b256!("d11926785ccbcc967ac25784755fa26e4d6548c7e79d2d1a8a962c187977eb4f")
    );
    let commitment = b256!("a317d183fd2ed701814a993cfa76e458401bfa81c5da85e309dab4f92ebcba2e");
    assert_eq!(genesis_commitment(root, 10), commitment);
    assert_eq!(
        genesis_batch(commitment).hash(),
        b256!("e58e3da3954a960328d192f277f4c83664992369ee82e6a54763d6bd4af0cc4f")
    );
    let genesis = Genesis { genesis_root: Some(commitment), ..Default::default() };
    assert_eq!(genesis.verify_root(root, 10).unwrap(), commitment);
    assert!(matches!(
        genesis.verify_root(root, 11),
        Err(GenesisError::RootMismatch { expected, .. }) if expected == commitment
    ));
    assert!(Genesis::default().verify_root(root, 11).is_ok());
}

#[test]
fn file_form_round_trips() {
    let genesis = Genesis {
        initial_contracts: vec![(Address::with_last_byte(1), Bytes::from_static(&[1, 2]))],
        additional_storage: GenesisStorage::ByAddress(BTreeMap::from([(
            Address::with_last_byte(1),
            BTreeMap::from([(B256::ZERO, B256::with_last_byte(1))]),
        )])),
        execution_version: Some(5),
        genesis_root: Some(B256::with_last_byte(9)),
        ..Default::default()
    };
    let json = serde_json::to_string_pretty(&genesis).unwrap();
    assert_eq!(Genesis::from_json(&json).unwrap(), genesis);
}
