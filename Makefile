# aftercall: everything a fresh Debian 12 needs is installed by these targets.
#   make demo [ARGS=--once]   the whole product once, for real, on the embedded defaults
#   make test                 format, lints, purity of the core, every test
#   make soak                 long runs: kills, fuzzing loops, many calls
#   make bench                timings, as ratios within one run
#   make phones-audio         renders prompts and patients' clips again (needs the voice weights)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

ARGS ?=
RUST_MIN := 1.94
MODEL := models/ggml-base-q8_0.bin
DEMO_PACKAGES := cmake g++ python3 python3-pip espeak-ng
TEST_PACKAGES := $(DEMO_PACKAGES) sip-tester baresip-core kamailio postgresql jq

.PHONY: help demo test soak bench check-rust packages-demo packages-test model fmt lint pure phones-audio

help:
	@sed -n '2,6s/^# *//p' Makefile

check-rust:
	@command -v cargo >/dev/null || { echo "Rust is missing. Cure: install it with rustup (https://rustup.rs), then run this again."; exit 1; }
	@have=$$(rustc --version | sed 's/rustc \([0-9]*\.[0-9]*\).*/\1/'); \
	 [ "$$(printf '%s\n' $(RUST_MIN) $$have | sort -V | head -n1)" = "$(RUST_MIN)" ] \
	 || { echo "Rust $$have is too old, $(RUST_MIN) is needed. Cure: rustup update stable"; exit 1; }

# Installs what is missing: as root, with sudo, or by telling the one line to run.
define install_packages
	@missing=""; for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  line="apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends$$missing"; \
	  if [ "$$(id -u)" = 0 ]; then sh -c "$$line" >/dev/null; \
	  elif sudo -n true 2>/dev/null; then sudo sh -c "$$line" >/dev/null; \
	  else echo "System packages are missing. Run this once, then try again:"; echo "  sudo sh -c '$$line'"; exit 1; fi; \
	  echo "installed:$$missing"; \
	fi
endef

packages-demo:
	$(call install_packages,$(DEMO_PACKAGES))

packages-test:
	$(call install_packages,$(TEST_PACKAGES))

$(MODEL):
	cargo run --quiet --release -- models fetch whisper-base-q8_0

model: $(MODEL)

demo: check-rust packages-demo
	cargo build --release
	@[ -s $(MODEL) ] || cargo run --quiet --release -- models fetch whisper-base-q8_0
	target/release/aftercall demo $(ARGS)
