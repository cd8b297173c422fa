#!/usr/bin/env bash
# Reads through JSON-RPC: anvil and zkos, one after the other, with one load program, on one keep-alive connection and on 16; and the time from sending a transaction to its receipt.
#   ZKOS_BIN_DIR (programs built before), DURATION (milliseconds per method and number of connections, default 3000), SENDS (transactions one after the other, default 100),
#   BLOCKS (of eth_getLogs, default 1000), BLOCK_TXS (transactions of the block whose receipts are asked for, default 1000), SECONDS_LIMIT (per step, default 600)
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=etc/bench-lib.sh
. etc/bench-lib.sh

duration="${DURATION:-3000}"
sends="${SENDS:-100}"
blocks="${BLOCKS:-1000}"
block_txs="${BLOCK_TXS:-1000}"
limit="${SECONDS_LIMIT:-600}"

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

echo "== anvil ==" >&2
port="$(free_port)"
start_anvil "$port"
prepare "$port" "$anvil_key" anvil --blocks "$blocks" --transactions "$block_txs"
anvil_report="$(measure "$port" "$anvil_key" anvil)"
stop

echo "== zkos (state tree and settlement on) ==" >&2
l1_port="$(free_port)"
start_anvil "$l1_port" --load-state etc/l1/zkos-l1-state.json
# The history is made quickly by a short block time, its full block by a long one; what is measured runs with the usual one.
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
zkos_report="$(measure "$port" "$zkos_key" zkos)"
echo "memory: $(memory "$zkos_pid")" >&2
stop

node -e '
const [anvil, zkos] = process.argv.slice(1).map((text) => JSON.parse(text));
const number = (value, digits) => value.toFixed(digits).padStart(10);
console.log("method                       connections    anvil/s     zkos/s     ratio   anvil p99 ms   zkos p99 ms");
zkos.forEach((row, i) => {
  const other = anvil[i];
  if (row.answer_entries !== other.answer_entries)
    throw new Error(`${row.method}: anvil answers with ${other.answer_entries} entries, zkos with ${row.answer_entries}`);
  console.log(
    row.method.padEnd(28), String(row.connections).padStart(11), number(other.requests_per_s, 0), number(row.requests_per_s, 0),
    number(row.requests_per_s / other.requests_per_s, 2), number(other.p99_ms, 2).padStart(14), number(row.p99_ms, 2).padStart(13),
  );
});
' "$anvil_report" "$zkos_report"
