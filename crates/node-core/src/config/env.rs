//! Environment names, those of the original server and its later spellings included. Names are matched without regard to case.

/// `(flag, names)`; the first name that is set wins.
const ORIGINAL_NAMES: &[(&str, &[&str])] = &[
    ("datadir", &["general_rocks_db_path", "sequencer_rocks_db_path"]),
    ("chain.id", &["genesis_chain_id"]),
    ("chain.genesis", &["genesis_genesis_input_path", "genesis_input_path"]),
    ("rpc.max-connections", &["rpc_max_connections"]),
    ("rpc.max-request-size", &["rpc_max_request_size"]),
    ("rpc.max-response-size", &["rpc_max_response_size"]),
    ("rpc.gascap", &["rpc_eth_call_gas"]),
    ("rpc.max-blocks-per-filter", &["rpc_max_blocks_per_filter"]),
    ("rpc.max-logs-per-response", &["rpc_max_logs_per_response"]),
    ("rpc.stale-filter-ttl", &["rpc_stale_filter_ttl"]),
    ("rpc.send-raw-transaction-sync-timeout", &["rpc_send_raw_transaction_sync_timeout"]),
    ("rpc.estimate-gas-pubdata-price-factor", &["rpc_estimate_gas_pubdata_price_factor"]),
    ("txpool.max-count", &["mempool_max_pending_txs"]),
    ("txpool.max-tx-input-bytes", &["tx_validator_max_input_bytes"]),
    ("sequencer.block-time", &["sequencer_block_time"]),
    ("sequencer.max-transactions-in-block", &["sequencer_max_transactions_in_block"]),
    ("sequencer.block-gas-limit", &["sequencer_block_gas_limit"]),
    ("sequencer.block-pubdata-limit-bytes", &["sequencer_block_pubdata_limit_bytes"]),
    ("sequencer.block-dump-path", &["sequencer_block_dump_path"]),
    ("sequencer.fee-collector-address", &["sequencer_fee_collector_address"]),
    ("sequencer.base-fee-override", &["sequencer_base_fee_override", "fee_base_fee_override"]),
    (
        "sequencer.pubdata-price-override",
        &["sequencer_pubdata_price_override", "fee_pubdata_price_override"],
    ),
    (
        "sequencer.native-price-override",
        &["sequencer_native_price_override", "fee_native_price_override"],
    ),
    ("sequencer.max-blocks-to-produce", &["sequencer_max_blocks_to_produce"]),
    ("sequencer.min-blocks-to-replay", &["general_min_blocks_to_replay"]),
    ("l1.rpc-url", &["general_l1_rpc_url", "l1_provider_rpc_url"]),
    ("l1.bridgehub-address", &["genesis_bridgehub_address", "l1_sender_bridgehub_address"]),
    ("l1.bytecode-supplier-address", &["genesis_bytecode_supplier_address"]),
    ("l1.poll-interval", &["l1_watcher_poll_interval"]),
    ("l1.max-blocks-to-process", &["l1_watcher_max_blocks_to_process"]),
    ("l1.confirmations", &["l1_watcher_confirmations"]),
    (
        "l1-sender.operator-commit-key",
        &[
            "l1_sender_operator_commit_pk",
            "l1_sender_operator_commit_sk",
            "l1_sender_operator_private_key",
        ],
    ),
    (
        "l1-sender.operator-prove-key",
        &["l1_sender_operator_prove_pk", "l1_sender_operator_prove_sk"],
    ),
    (
        "l1-sender.operator-execute-key",
        &["l1_sender_operator_execute_pk", "l1_sender_operator_execute_sk"],
    ),
    ("l1-sender.max-fee-per-gas-gwei", &["l1_sender_max_fee_per_gas_gwei"]),
    ("l1-sender.max-priority-fee-per-gas-gwei", &["l1_sender_max_priority_fee_per_gas_gwei"]),
    ("l1-sender.command-limit", &["l1_sender_command_limit"]),
    ("l1-sender.poll-interval", &["l1_sender_poll_interval"]),
    ("l1-sender.transaction-timeout", &["l1_sender_transaction_timeout"]),
    (
        "l1-sender.pubdata-mode",
        &["l1_sender_pubdata_mode", "l1_sender_rollup_pubdata_mode", "l1_sender_da_input_mode"],
    ),
    ("batcher.enabled", &["batcher_enabled", "batcher_batcher_enabled", "l1_sender_enabled"]),
    ("batcher.batch-timeout", &["batcher_batch_timeout"]),
    ("batcher.blocks-per-batch-limit", &["batcher_blocks_per_batch_limit"]),
    ("batcher.tx-per-batch-limit", &["batcher_tx_per_batch_limit"]),
    (
        "prover.fake-fri.enabled",
        &["prover_api_fake_fri_provers_enabled", "prover_api_fake_provers_enabled"],
    ),
    ("prover.fake-fri.workers", &["prover_api_fake_fri_provers_workers"]),
    ("prover.fake-fri.compute-time", &["prover_api_fake_fri_provers_compute_time"]),
    ("prover.fake-fri.min-age", &["prover_api_fake_fri_provers_min_age"]),
    (
        "prover.fake-snark.enabled",
        &["prover_api_fake_snark_provers_enabled", "prover_api_fake_provers_enabled"],
    ),
    ("prover.fake-snark.max-batch-age", &["prover_api_fake_snark_provers_max_batch_age"]),
    ("prover.max-fris-per-snark", &["prover_api_max_fris_per_snark"]),
    (
        "metrics.port",
        &["general_prometheus_port", "observability_prometheus_port", "sequencer_prometheus_port"],
    ),
    ("status.enabled", &["status_server_enabled"]),
    ("status.address", &["status_server_address"]),
    ("log.format", &["log_format", "observability_log_format"]),
    ("log.color", &["log_use_color", "observability_log_use_color"]),
];

/// `host:port` variables that set an address flag and a port flag.
pub(super) const SPLIT_ADDRESSES: &[(&str, &str, &str)] =
    &[("rpc_address", "http.addr", "http.port")];

/// Sections of the original server. A variable that begins with one of them and is not known is most likely a mistake.
const SECTIONS: &[&str] = &[
    "general_",
    "genesis_",
    "sequencer_",
    "rpc_",
    "l1_sender_",
    "l1_watcher_",
    "prover_api_",
    "prover_input_generator_",
    "batcher_",
    "mempool_",
    "tx_validator_",
    "gas_adjuster_",
    "batch_verification_",
    "block_replay_",
    "status_server_",
    "zkos_",
];

/// Names that are read elsewhere.
const OTHER_NAMES: &[&str] = &[
    "general_zkstack_cli_config_dir",
    "zkos_config",
    "zkos_vectors",
    "zkos_anvil",
    "zkos_log",
    "rpc_address",
];

/// All environment names of a flag, lower case: the original ones, then `zkos_` plus the flag with underscores.
pub fn env_names(flag: &str) -> Vec<String> {
    let original = ORIGINAL_NAMES
        .iter()
        .find(|(name, _)| *name == flag)
        .map(|(_, names)| *names)
        .unwrap_or_default();
    original
        .iter()
        .map(|name| (*name).to_owned())
        .chain([format!("zkos_{}", flag.replace(['.', '-'], "_"))])
        .collect()
}

/// Whether a variable looks like ours although no flag reads it.
pub(super) fn is_suspicious(name: &str, known: impl Fn(&str) -> bool) -> bool {
    let name = name.to_ascii_lowercase();
    SECTIONS.iter().any(|section| name.starts_with(section))
        && !OTHER_NAMES.contains(&name.as_str())
        && !known(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeConfig;
    use clap::Args;

    #[test]
    fn every_original_name_belongs_to_a_flag() {
        let command = NodeConfig::augment_args(clap::Command::new("zkos"));
        let flags: Vec<_> = command.get_arguments().filter_map(|arg| arg.get_long()).collect();
        for (flag, _) in ORIGINAL_NAMES {
            assert!(flags.contains(flag), "{flag}");
        }
        for (_, addr, port) in SPLIT_ADDRESSES {
            assert!(flags.contains(addr) && flags.contains(port));
        }
    }
}
