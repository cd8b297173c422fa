#!/usr/bin/env bash
# Starts anvil with the shipped L1 state and the node on top of it; both end together.
set -euo pipefail
cd "$(dirname "$0")/.."

l1_port="${L1_PORT:-8545}"
if (exec 3<>"/dev/tcp/127.0.0.1/$l1_port") 2>/dev/null; then
  echo "port $l1_port is in use; stop what listens there or set L1_PORT" >&2
  exit 1
fi

etc/l1/bin/anvil --load-state etc/l1/zkos-l1-state.json --port "$l1_port" --silent &
anvil=$!
node=
trap 'kill "$node" 2>/dev/null || true; wait "$node" 2>/dev/null || true; kill "$anvil" 2>/dev/null || true; wait "$anvil" 2>/dev/null || true' EXIT
trap 'exit 0' INT TERM

# The L1 of a development chain begins anew each time, and so does the chain.
datadir="${DATADIR:-$(mktemp -d -t zkos-dev.XXXXXX)}"
target="${CARGO_TARGET_DIR:-target}"
"$target/release/zkos" node --l1.rpc-url="http://localhost:$l1_port" --datadir="$datadir" "$@" &
node=$!

cat <<TEXT

  L1 (anvil)      http://localhost:$l1_port
  L2 JSON-RPC     http://localhost:3050   (HTTP and WebSocket)
  Prometheus      http://localhost:3312/metrics
  Status          http://localhost:3071/status/pipeline
  Data directory  $datadir
  Rich account    0x36615Cf349d7F6344891B1e7CA7C72883F5dc049
  Private key     0x7726827caac94a7f9e1b160f7ea819f172f7b6f9d2a97f992c38edeab82d4110   (known to everybody: local use only)

TEXT
wait -n "$anvil" "$node"
