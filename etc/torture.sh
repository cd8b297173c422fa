#!/usr/bin/env bash
# Kills the node under load and looks for what is lost. The last line is `cycles=n lost=n divergent=n seconds=n`; the exit status is 0 if nothing was wrong.
#   ZKOS_BIN_DIR (programs built before), CYCLES (default 100), SEED (default 1)
set -euo pipefail
cd "$(dirname "$0")/.."

bin="${ZKOS_BIN_DIR:-${CARGO_TARGET_DIR:-target}/release}"
[ -n "${ZKOS_BIN_DIR:-}" ] || cargo build --release -p zkos -p zkos-torture
exec "$bin/zkos-torture" --zkos "$bin/zkos" --l1 etc/l1 --cycles "${CYCLES:-100}" --seed "${SEED:-1}"
