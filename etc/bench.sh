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
bin="${ZKOS_BIN_DIR:-${CARGO_TARGET_DIR:-target}/release}"
[ -n "${ZKOS_BIN_DIR:-}" ] || cargo build --release -p zkos -p zkos-load
work="$(mktemp -d -t zkos-bench.XXXXXX)"
pids=()
stop() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  pids=()
}
trap 'stop; rm -rf "$work"' EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])' 2>/dev/null || node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); });'; }
rpc() { curl -s -H 'content-type: application/json' -d "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"$2\",\"params\":$3}" "http://127.0.0.1:$1"; }
wait_rpc() {
  local deadline=$((SECONDS + 60))
  until rpc "$1" eth_chainId '[]' 2>/dev/null | grep -q result; do
    if ((SECONDS > deadline)); then echo "nothing answers on port $1" >&2; exit 1; fi
    sleep 0.1
  done
}
memory() { awk '/VmRSS|VmHWM/ { printf "%s %.0f MiB  ", $1, $2 / 1024 }' "/proc/$1/status"; }
load() {
  "$bin/zkos-load" --rpc-url "http://127.0.0.1:$1" --rich-key "$2" --accounts "$accounts" --txs "$txs" \
    --seconds "$limit" --connections "$connections" --batch "$batch" --json
}

# Mining on a clock with large blocks is anvil at its best: mining each transaction at once is several times slower and leaves some behind.
echo "== anvil (--block-time 1, blocks of 1e9 gas) =="
port="$(free_port)"
etc/l1/bin/anvil --silent --port "$port" --block-time 1 --gas-limit 1000000000 >"$work/anvil.log" 2>&1 &
pids+=($!)
anvil_pid=$!
wait_rpc "$port"
anvil_report="$(load "$port" 0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80)"
echo "$anvil_report"
echo "memory: $(memory "$anvil_pid")"
stop

echo "== zkos (state tree and settlement on) =="
l1_port="$(free_port)"
etc/l1/bin/anvil --silent --port "$l1_port" --load-state etc/l1/zkos-l1-state.json >"$work/l1.log" 2>&1 &
pids+=($!)
wait_rpc "$l1_port"
port="$(free_port)"
"$bin/zkos" node --l1.rpc-url="http://127.0.0.1:$l1_port" --datadir="$work/db" --http.addr=127.0.0.1 --http.port="$port" \
  --metrics.port="$(free_port)" --status.enabled=false --prover.fake-fri.min-age=0s --prover.fake-fri.compute-time=0s \
  --prover.fake-snark.max-batch-age=1s --log.color=false >"$work/zkos.log" 2>&1 &
pids+=($!)
zkos_pid=$!
wait_rpc "$port"
until ! rpc "$port" eth_getBalance '["0x36615Cf349d7F6344891B1e7CA7C72883F5dc049","latest"]' | grep -q '"0x0"'; do sleep 0.1; done
zkos_report="$(load "$port" 0x7726827caac94a7f9e1b160f7ea819f172f7b6f9d2a97f992c38edeab82d4110)"
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
echo "disk: $(du -sh "$work/db" | cut -f1) in $(du -s --apparent-size -B1 "$work"/db/* | awk '{ printf "%s %.1f MB  ", gensub(/.*\//, "", "g", $2), $1 / 1e6 }' 2>/dev/null || true)"

node -e '
const [a, z] = process.argv.slice(1).map((text) => JSON.parse(text).tx_per_s);
console.log(`anvil ${a.toFixed(0)} tx/s, zkos ${z.toFixed(0)} tx/s, ratio ${(z / a).toFixed(2)}`);
' "$anvil_report" "$zkos_report"
