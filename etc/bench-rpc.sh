#!/usr/bin/env bash
# Reads through JSON-RPC: anvil and zkos in turns, with one load program, on one keep-alive connection and on 16; and the time from sending a transaction to its receipt.
# Each figure is the median of the rounds: machines are not as quiet as they seem, and what disturbs one node should disturb the other as well.
#   ZKOS_BIN_DIR (programs built before), DURATION (milliseconds per round, method and number of connections, default 700), SENDS (transactions one after the other, default 10),
#   BLOCKS (of eth_getLogs, default 1000), BLOCK_TXS (transactions of the block whose receipts are asked for, default 1000), SECONDS_LIMIT (per step, default 600), ROUNDS (default 9)
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=etc/bench-lib.sh
. etc/bench-lib.sh

duration="${DURATION:-700}"
sends="${SENDS:-10}"
blocks="${BLOCKS:-1000}"
block_txs="${BLOCK_TXS:-1000}"
limit="${SECONDS_LIMIT:-600}"
rounds="${ROUNDS:-9}"

# prepare PORT KEY NAME ARGUMENTS..; measure PORT KEY NAME PID
prepare() {
  local port="$1" key="$2" name="$3"
  shift 3
  "$bin/zkos-load" reads prepare --rpc-url "http://127.0.0.1:$port" --rich-key "$key" --manifest "$work/$name.json" --seconds "$limit" "$@"
}
measure() {
  "$bin/zkos-load" reads run --rpc-url "http://127.0.0.1:$1" --rich-key "$2" --manifest "$work/$3.json" --seconds "$limit" \
    --duration "$duration" --sends "$sends" --connections 1,16 --node-pid "$4"
}

anvil_port="$(free_port)"
start_anvil "$anvil_port"
peer_pid="$anvil_pid"
prepare "$anvil_port" "$anvil_key" anvil --blocks "$blocks" --transactions "$block_txs"

# zkos runs with its state tree and settlement on. Its history is made quickly by a short block time, its full block by a long one; what is measured runs with the usual one.
l1_port="$(free_port)"
start_anvil "$l1_port" --load-state etc/l1/zkos-l1-state.json
for step in "20ms --blocks $blocks" "3s --transactions $block_txs"; do
  read -r block_time what <<<"$step"
  port="$(free_port)"
  start_zkos "$port" "$l1_port" --sequencer.block-time="$block_time" --sequencer.block-pubdata-limit-bytes=120000
  # shellcheck disable=SC2086 # words on purpose
  prepare "$port" "$zkos_key" zkos $what
  kill "$zkos_pid"
  wait "$zkos_pid" || true
done
port="$(free_port)"
start_zkos "$port" "$l1_port"

for round in $(seq "$rounds"); do
  measure "$anvil_port" "$anvil_key" anvil "$peer_pid" >"$work/anvil-report-$round.json"
  measure "$port" "$zkos_key" zkos "$zkos_pid" >"$work/zkos-report-$round.json"
done
echo "memory: $(memory "$zkos_pid")" >&2
stop

node -e '
const [work, rounds] = process.argv.slice(1);
const reports = (name) => Array.from({ length: Number(rounds) }, (_, i) => JSON.parse(require("fs").readFileSync(`${work}/${name}-report-${i + 1}.json`)));
const [anvil, zkos] = [reports("anvil"), reports("zkos")];
const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
const number = (value, digits, width = 10) => (value === null ? "" : value.toFixed(digits)).padStart(width);
console.log("                                           requests per second           p99, ms        CPU of the node, us/request");
console.log("method                       connections    anvil      zkos    ratio    anvil     zkos       anvil    zkos   ratio");
zkos[0].forEach((row, i) => {
  const [peer, own] = [anvil, zkos].map((rounds) => rounds.map((rows) => rows[i]));
  if (row.answer_entries !== peer[0].answer_entries)
    throw new Error(`${row.method}: anvil answers with ${peer[0].answer_entries} entries, zkos with ${row.answer_entries}`);
  const both = (key) => [peer, own].map((rows) => (rows[0][key] === null ? null : median(rows.map((row) => row[key]))));
  const [rates, p99s, cpus] = ["requests_per_s", "p99_ms", "node_cpu_us"].map(both);
  console.log(
    row.method.padEnd(28), String(row.connections).padStart(11), number(rates[0], 0, 8), number(rates[1], 0, 9), number(rates[1] / rates[0], 2, 8),
    number(p99s[0], 2, 8), number(p99s[1], 2, 8), number(cpus[0], 1, 11), number(cpus[1], 1, 7), number(cpus[0] && cpus[1] / cpus[0], 2, 7),
  );
});
' "$work" "$rounds"
