.DEFAULT_GOAL := help
SHELL := /usr/bin/env bash
CARGO ?= cargo

.PHONY: help
help: ## Show this list
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | column -t -s "$$(printf '\t')"

.PHONY: setup
setup: ## Install what is missing: Debian packages, pinned npm tools, client libraries
	@bash etc/setup.sh

# What building and running need, without what only tests do.
.PHONY: setup-build
setup-build:
	@bash etc/setup.sh build

.PHONY: build
build: setup-build ## Build the node (release profile)
	$(CARGO) build --release --bin zkos

.PHONY: dev
dev: build ## Start a local L1 and the node, print endpoints and the rich account
	@bash etc/dev.sh

.PHONY: test
test: setup ## Run every test: Rust units and properties, Solidity, end to end
	@bash etc/test.sh

.PHONY: test-heavy
test-heavy: setup ## Run the vectors that need much gas or memory, too
	$(CARGO) test --profile ci --workspace --test vectors -- --ignored

.PHONY: fuzz
fuzz: ## Fuzz decoders, proofs and the executor, FUZZ_SECONDS (600) per target
	@bash fuzz/run.sh

.PHONY: bench
bench: setup-build ## Measure: transactions per second beside anvil, memory
	@bash etc/bench.sh

.PHONY: bench-rpc
bench-rpc: setup-build ## Measure: requests per second beside anvil, time to a receipt
	@bash etc/bench-rpc.sh

.PHONY: torture
torture: setup-build ## Kill the node under load CYCLES times (SEED), look for what is lost
	@CYCLES="$(CYCLES)" SEED="$(SEED)" bash etc/torture.sh

.PHONY: lint
lint: ## Formatting, clippy, rustdoc
	$(CARGO) fmt --all --check
	$(CARGO) clippy --profile ci --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --profile ci --workspace --no-deps

.PHONY: l1-state
l1-state: setup-build ## Regenerate genesis.json and the local L1's state from etc/l1
	@bash etc/l1/scripts/generate.sh
