#!/usr/bin/env bash
# Fuzzes the targets named as arguments, by default all, FUZZ_SECONDS each.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${FUZZ_SECONDS:-600}
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  targets=(transactions replay_record tree_proof executor witness)
fi

if ! cargo fuzz --version >/dev/null 2>&1; then
  cargo install --locked cargo-fuzz
fi

# Coverage counters work on the stable toolchain; only sanitizers need more (see README.md).
sanitizer=${FUZZ_SANITIZER:-none}
if [ "$sanitizer" != none ]; then
  export RUSTC_BOOTSTRAP=1
fi

for target in "${targets[@]}"; do
  ZKOS_FUZZ_SEEDS="$PWD/corpus/$target" \
    cargo fuzz run --fuzz-dir . --sanitizer "$sanitizer" --no-cfg-fuzzing "$target" -- \
    -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=30 -max_len=16384 -print_final_stats=1
done
