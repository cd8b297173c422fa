#!/usr/bin/env bash
# Pre-signed native transfers through JSON-RPC: anvil and zkos, one after the other, with one load program. zkos runs with its state tree and settlement on, on an L1 of its own.
#   ZKOS_BIN_DIR (programs built before), TXS (default 30000), SECONDS_LIMIT (default 120, per node), ACCOUNTS (default 200), CONNECTIONS (default 8), BATCH (default 1)
set -euo pipefail
cd "$(dirname "$0")/.."

txs="${TXS:-30000}"
limit="${SECONDS_LIMIT:-120}"
accounts="${ACCOUNTS:-200}"
connections="${CONNECTIONS:-8}"
batch="${BATCH:-1}"
# shellcheck source=etc/bench-lib.sh
. etc/bench-lib.sh
load() {
  "$bin/zkos-load" --rpc-url "http://127.0.0.1:$1" --rich-key "$2" --accounts "$accounts" --txs "$txs" \
    --seconds "$limit" --connections "$connections" --batch "$batch" --json
}

# Mining on a clock with large blocks is anvil at its best: mining each transaction at once is several times slower and leaves some behind.
echo "== anvil (--block-time 1, blocks of 1e9 gas) =="
port="$(free_port)"
start_anvil "$port" --block-time 1 --gas-limit 1000000000
anvil_report="$(load "$port" "$anvil_key")"
echo "$anvil_report"
echo "memory: $(memory "$anvil_pid")"
stop

echo "== zkos (state tree and settlement on) =="
l1_port="$(free_port)"
start_anvil "$l1_port" --load-state etc/l1/zkos-l1-state.json
port="$(free_port)"
start_zkos "$port" "$l1_port"
zkos_report="$(load "$port" "$zkos_key")"
echo "$zkos_report"
head="$(rpc "$port" eth_blockNumber '[]' | grep -o '0x[0-9a-f]*')"
started=$SECONDS
number() { rpc "$port" eth_getBlockByNumber "[\"$1\",false]" | grep -o '"number":"0x[0-9a-f]*"' | grep -o '0x[0-9a-f]*'; }
until (($(number finalized) >= head)); do
  if ((SECONDS - started > limit)); then break; fi
  sleep 0.5
done
echo "finalized block $(($(number finalized))) of $((head)), $((SECONDS - started)) s after the last inclusion"
echo "memory: $(memory "$zkos_pid")"
echo "disk: $(du -sh "$work/db" | cut -f1) in $(du -s --apparent-size -B1 "$work"/db/* | awk '{ printf "%s %.1f MB  ", substr($2, match($2, /[^/]*$/)), $1 / 1e6 }')"

node -e '
const [a, z] = process.argv.slice(1).map((text) => JSON.parse(text).tx_per_s);
console.log(`anvil ${a.toFixed(0)} tx/s, zkos ${z.toFixed(0)} tx/s, ratio ${(z / a).toFixed(2)}`);
' "$anvil_report" "$zkos_report"
