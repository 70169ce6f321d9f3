# The commands that people and CI use. `make` lists them.

CARGO ?= cargo
# `make demo PROFILE=dev` for a quick build that is slower to run.
PROFILE ?= release
# For example DEMO_ARGS="--duration 20s".
DEMO_ARGS ?=
# Passed to the test runner, for example TEST_ARGS="-p journal".
TEST_ARGS ?= --workspace

ifeq ($(PROFILE),dev)
BINARY_DIR = debug
else
BINARY_DIR = $(PROFILE)
endif
BINARY = $(or $(CARGO_TARGET_DIR),target)/$(BINARY_DIR)/millrace

.PHONY: help demo quick test bench check test-deps

help:
	@echo "make demo    build, then broker, ingest and a simulated fleet with faults in one process"
	@echo "make quick   units, contracts, conformance: what one runs while working"
	@echo "make test    install what tests need, then run all of them"
	@echo "make bench   speed and memory, as figures and ratios"
	@echo "make check   formatting and lints"

demo:
	$(CARGO) build --profile $(PROFILE) --bin millrace
	$(BINARY) demo $(DEMO_ARGS)

quick: test-deps
	$(CARGO) nextest run --workspace --profile quick

test: test-deps
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		$(CARGO) nextest run $(TEST_ARGS); \
	else \
		echo "cargo-nextest is missing: falling back to cargo test (install it for tests in parallel)"; \
		$(CARGO) test $(TEST_ARGS); \
	fi

test-deps:
	@scripts/test-deps.sh

bench:
	$(CARGO) bench --workspace --benches

check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
