//! The published end-to-end values: genesis of protocol 30.2, then one block with a deposit, a transfer and a message.

use crate::chain::{CHAIN_ID, Chain};
use alloy_eips::Decodable2718;
use alloy_primitives::{Address, B256, U256, b256, hex, keccak256};
use std::path::PathBuf;
use zkos_primitives::{
    DaCommitmentScheme, Genesis, TxL1Priority, ZkChainSpec, ZkTxEnvelope, genesis::genesis_batch,
};
use zkos_stateless::{BatchOutcome, execute};

const TRANSFER: &[u8] = &hex!(
    "02f87482010e80830f4240840bebc200830186a094555555555555555555555555555555555555555588016345785d8a000080c080a0ebf2dc10fabbc103c2b81c92fd44820c524e201ef413825f6e55e903765fd7e8a00c970015060b21bb4b8d040ee0b1b025949e6c23d21d897b78a562c52a9d36d4"
);
const MESSAGE: &[u8] = &hex!(
    "02f8ce82010e01808405f5e100830186a094000000000000000000000000000000000000800880b86462f84b240000000000000000000000000000000000000000000000000000000000000020000000000000000000000000000000000000000000000000000000000000001274657374206d65737361676520746f204c310000000000000000000000000000c001a0082b1427c7ba6f74f6c6deafa9ec0259da22bb6c931574d4a9998bc597caf0f9a0593256b8c0e4829f8bc4f6f42a69d161d9cf51766ffe3ea34e2aeeb03aa447b6"
);

/// The genesis file of the published values, or none if this machine does not have it.
fn genesis() -> Option<Genesis> {
    let folder = std::env::var_os("ZKOS_VECTORS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors")),
        PathBuf::from,
    );
    let path = folder.join("genesis/v30.2.json");
    if path.is_file() {
        return Some(Genesis::from_json(&std::fs::read_to_string(path).unwrap()).unwrap());
    }
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci, "test vectors are missing at {}", folder.display());
    eprintln!("skipped: no test vectors at {}", folder.display());
    None
}

fn chain() -> Option<Chain> {
    let sender: Address = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A".parse().unwrap();
    let ether = U256::from(10u128.pow(18));
    let deposit: ZkTxEnvelope = TxL1Priority {
        from: sender,
        to: sender,
        refund_recipient: sender,
        gas_limit: 300_000,
        gas_per_pubdata_byte_limit: 800,
        max_fee_per_gas: 250_000_000,
        value: ether,
        to_mint: ether + U256::from(75_000_000_000_000u64),
        ..Default::default()
    }
    .into();
    assert_eq!(
        *deposit.hash(),
        b256!("623ecacbf623ea5f6ab67e9f7218915915d3c44229079d4c076095ce81f9b263")
    );
    let mut chain = Chain::new(&ZkChainSpec::new(CHAIN_ID, genesis()?).unwrap());
    let txs = [TRANSFER, MESSAGE].map(|bytes| ZkTxEnvelope::decode_2718_exact(bytes).unwrap());
    let output = chain.block(&[&[deposit][..], &txs].concat());
    let gas: Vec<u64> = output.included().map(|result| result.gas_used).collect();
    assert_eq!(gas, [156_000, 21_000, 24_821]);
    assert_eq!(
        output.block_hash,
        b256!("0db30b8d1d1f45753099b2d9686a555e7b1de61a46e0d75191b4a4f830013bf7")
    );
    assert_eq!(
        output.output_hash(),
        b256!("b10968dd635124ef71a7d252fe7017256d3ae9a11a1df2221eee76de92a504b3")
    );
    Some(chain)
}

fn outcome(chain: &Chain, scheme: DaCommitmentScheme) -> BatchOutcome {
    let mut input = chain.input(1, 1, scheme);
    input.batch_number = 1;
    execute(&input).unwrap()
}

#[test]
fn genesis_and_block_1_are_reproduced() {
    let Some(chain) = chain() else { return };
    let outcome = outcome(&chain, DaCommitmentScheme::BlobsAndPubdataKeccak256);
    assert_eq!(
        outcome.tree.root,
        b256!("d0882387b9c6c537bb2774f5512c1290bd11748c0ba360f9549c31c745d91085")
    );
    assert_eq!(outcome.tree.leaf_count, 13);
    let commit = &outcome.commit;
    assert_eq!(
        commit.new_state_commitment,
        b256!("8754abff211e206bb2e48b1911037ab9485338ae64a131619ab2841555d9604d")
    );
    assert_eq!(outcome.pubdata.len(), 377);
    assert_eq!(
        keccak256(&outcome.pubdata),
        b256!("56501a7ab4da5e443a9bb7c6b06b0367124114ffa835e8cc3d4a788a1e805371")
    );
    assert_eq!(
        commit.l2_logs_tree_root,
        b256!("c542f0296ca5ccc2d20188a572befedf07b6e75ea45284267c1d43f07ce7fcd7")
    );
    assert_eq!(
        commit.priority_operations_hash,
        b256!("5665f322d323aabf5483be9079b70eae2058b51f553f99b3af2b0deb4a27bc0a")
    );
    assert_eq!(
        outcome.stored().hash(),
        b256!("ccba29fde93c344df71b5b442ee8607648070e018f26cd1043b07be21c671b57")
    );
    // It continues the genesis batch as L1 stores it.
    let genesis_root = genesis().unwrap().genesis_root.unwrap();
    assert_eq!(outcome.previous_state_commitment, genesis_root);
    assert_eq!(genesis_batch(genesis_root).state_commitment, genesis_root);
}

#[test]
fn every_data_availability_scheme_gives_its_commitment() {
    let Some(chain) = chain() else { return };
    let expected = [
        (
            DaCommitmentScheme::BlobsAndPubdataKeccak256,
            b256!("fd98e71b71f80a56153ff68e9662d1af8704f11fdae55ce79df95fe367a2c0b0"),
            b256!("97341fd10a63fdc1ab4cd64c99f62ecc4f9cde1224af42e842f6fb2ad3896443"),
            b256!("3ca38e2a120bff4e1420a532ba3e2b91b9f894fac4452f3c0b3146ca0262d318"),
        ),
        (
            DaCommitmentScheme::EmptyNoDa,
            B256::ZERO,
            b256!("b545c3bf3d7151cafac49ee3cd7c7a31ce9fa0beb0dfe7619663099d75ff5d53"),
            b256!("725b7fe127d3733cf0c76d1ac52ff99a28da0bdd6e0ee15ed2c0317418dbc782"),
        ),
        (
            DaCommitmentScheme::BlobsZksyncOs,
            b256!("9d8d8ab9f664cc4ffe436018510570383dea9b1974c4592cbfcd41c32a9c9f03"),
            b256!("3060e9c771f7286a66b05de8571bbe5fade2ca24b8c887dfbd3313982039d264"),
            b256!("40be9627a8f28fd87296bb1e778221b5ad4fcc1e5a8efd644cf38c528a8cb95b"),
        ),
    ];
    for (scheme, commitment, output_hash, public_input) in expected {
        let outcome = outcome(&chain, scheme);
        assert_eq!(outcome.commit.da_commitment, commitment, "{scheme:?}");
        assert_eq!(outcome.output_hash(), output_hash, "{scheme:?}");
        assert_eq!(outcome.public_input(), public_input, "{scheme:?}");
    }
}
