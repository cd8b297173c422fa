#!/usr/bin/env bash
# Builds the contracts, deploys them to a fresh anvil and writes
#   genesis.json, etc/l1/zkos-l1-state.json, etc/l1/deployment.json
# The same sources give the same files, byte for byte.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash ../setup.sh
exec node scripts/generate.mjs "$@"
