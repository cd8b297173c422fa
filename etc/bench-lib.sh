# Sourced by the benches: programs, free ports, and processes that end with the script.
bin="${ZKOS_BIN_DIR:-${CARGO_TARGET_DIR:-target}/release}"
[ -n "${ZKOS_BIN_DIR:-}" ] || cargo build --release -p zkos -p zkos-load
work="$(mktemp -d -t zkos-bench.XXXXXX)"
# Keys of accounts with ether: on anvil, and on the local chain.
anvil_key=0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80
zkos_key=0x7726827caac94a7f9e1b160f7ea819f172f7b6f9d2a97f992c38edeab82d4110
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

# start_anvil PORT ARGUMENTS..: an anvil; its process is $anvil_pid.
start_anvil() {
  local port="$1"
  shift
  etc/l1/bin/anvil --silent --port "$port" "$@" >"$work/anvil-$port.log" 2>&1 &
  anvil_pid=$!
  pids+=("$anvil_pid")
  wait_rpc "$port"
}

# start_zkos PORT L1_PORT ARGUMENTS..: a node with settlement on the L1, funded; its process is $zkos_pid.
start_zkos() {
  local port="$1" l1_port="$2"
  shift 2
  "$bin/zkos" node --l1.rpc-url="http://127.0.0.1:$l1_port" --datadir="$work/db" --http.addr=127.0.0.1 --http.port="$port" \
    --metrics.port="$(free_port)" --status.enabled=false --prover.fake-fri.min-age=0s --prover.fake-fri.compute-time=0s \
    --prover.fake-snark.max-batch-age=1s --log.color=false "$@" >>"$work/zkos.log" 2>&1 &
  zkos_pid=$!
  pids+=("$zkos_pid")
  wait_rpc "$port"
  local deadline=$((SECONDS + 60))
  while rpc "$port" eth_getBalance '["0x36615Cf349d7F6344891B1e7CA7C72883F5dc049","latest"]' | grep -q '"0x0"'; do
    if ((SECONDS > deadline)); then echo "no deposit arrived, see $work/zkos.log" >&2; exit 1; fi
    sleep 0.1
  done
}
