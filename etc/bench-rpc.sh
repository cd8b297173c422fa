#!/usr/bin/env bash
# Reads through JSON-RPC: anvil and zkos in turns, with one load program, on one keep-alive connection and on 16; and the time from sending a transaction to its receipt.
# Each figure is the median of the rounds: machines are not as quiet as they seem, and what disturbs one node should disturb the other as well.
#   ZKOS_BIN_DIR (programs built before), DURATION (milliseconds per method and number of connections, default 2000), SENDS (transactions one after the other, default 40),
#   BLOCKS (of eth_getLogs, default 1000), BLOCK_TXS (transactions of the block whose receipts are asked for, default 1000), SECONDS_LIMIT (per step, default 600), ROUNDS (default 3)
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=etc/bench-lib.sh
. etc/bench-lib.sh

duration="${DURATION:-2000}"
sends="${SENDS:-40}"
blocks="${BLOCKS:-1000}"
block_txs="${BLOCK_TXS:-1000}"
limit="${SECONDS_LIMIT:-600}"
rounds="${ROUNDS:-3}"

# prepare PORT KEY NAME ARGUMENTS..; measure PORT KEY NAME
prepare() {
  local port="$1" key="$2" name="$3"
  shift 3
  "$bin/zkos-load" reads prepare --rpc-url "http://127.0.0.1:$port" --rich-key "$key" --manifest "$work/$name.json" --seconds "$limit" "$@"
}
measure() {
  "$bin/zkos-load" reads run --rpc-url "http://127.0.0.1:$1" --rich-key "$2" --manifest "$work/$3.json" --seconds "$limit" \
    --duration "$duration" --sends "$sends" --connections 1,16
}

anvil_port="$(free_port)"
start_anvil "$anvil_port"
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
  measure "$anvil_port" "$anvil_key" anvil >"$work/anvil-report-$round.json"
  measure "$port" "$zkos_key" zkos >"$work/zkos-report-$round.json"
done
echo "memory: $(memory "$zkos_pid")" >&2
stop

node -e '
const [work, rounds] = process.argv.slice(1);
const reports = (name) => Array.from({ length: Number(rounds) }, (_, i) => JSON.parse(require("fs").readFileSync(`${work}/${name}-report-${i + 1}.json`)));
const [anvil, zkos] = [reports("anvil"), reports("zkos")];
const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
const number = (value, digits) => value.toFixed(digits).padStart(10);
console.log("method                       connections    anvil/s     zkos/s     ratio   anvil p99 ms   zkos p99 ms");
zkos[0].forEach((row, i) => {
  const [peer, own] = [anvil, zkos].map((rounds) => rounds.map((rows) => rows[i]));
  if (row.answer_entries !== peer[0].answer_entries)
    throw new Error(`${row.method}: anvil answers with ${peer[0].answer_entries} entries, zkos with ${row.answer_entries}`);
  const [peerRate, ownRate] = [peer, own].map((rows) => median(rows.map((row) => row.requests_per_s)));
  const [peerP99, ownP99] = [peer, own].map((rows) => median(rows.map((row) => row.p99_ms)));
  console.log(
    row.method.padEnd(28), String(row.connections).padStart(11), number(peerRate, 0), number(ownRate, 0),
    number(ownRate / peerRate, 2), number(peerP99, 2).padStart(14), number(ownP99, 2).padStart(13),
  );
});
' "$work" "$rounds"
