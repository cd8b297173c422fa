#!/usr/bin/env bash
# All tests. Uses cargo-nextest where it is installed, plain cargo test otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --cargo-profile ci --workspace
else
  # Tests that start nodes share the machine's ports and cores: one at a time.
  cargo test --profile ci --workspace --lib --bins --examples
  cargo test --profile ci --workspace --test '*' -- --test-threads=1
fi
cargo test --profile ci --workspace --doc

(cd etc/l1 && ./bin/forge test)
