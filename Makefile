# dnntrain: `make` says what there is. Everything is installed into .venv, pinned by .ci/constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
EXTRAS := .venv/extras
DEV := dev,pretrained
DEV_AND_EXTRAS := $(DEV),test-extras
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt

# uv takes a third of pip's time and uses all cores. It does not read pip's settings, so two of them are passed on;
# where it cannot be had or fails, as behind another index, pip installs.
pip_setting = $$({ $(BIN)/pip config get :env:.$(1) || $(BIN)/pip config get global.$(1); } 2>/dev/null | xargs | tr ' ' ,)
UV = UV_FIND_LINKS="$(call pip_setting,find-links)" UV_DEFAULT_INDEX="$(call pip_setting,index-url)" \
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --constraint .ci/constraints.txt
install = $(PIP) --only-binary uv uv && $(UV) --editable '.[$(1)]' || \
	$(PIP) --editable '.[$(1)]'

# the suite starts some hundred processes, which need not compile dnntrain each
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo test test-extras check docs docs-check torture fuzz bench bench-quick bench-cnn bench-more bench-gpu lecture clean

help:  ## say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

install: $(INSTALLED)  ## install dnntrain and its tools into .venv
	@echo 'next: make demo, or `source .venv/bin/activate` and `dnntrain --help`'

$(INSTALLED): pyproject.toml .ci/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dnntrain needs Python 3.11 or newer; give one with make PYTHON=…")'
	$(PYTHON) -m venv .venv
	@echo 'installing dnntrain, its tests and what they need into .venv: some minutes'
	@$(call install,$(DEV))
	@touch $@

$(EXTRAS): $(INSTALLED)
	@echo 'installing what the long tests need into .venv'
	@$(call install,$(DEV_AND_EXTRAS))
	@touch $@

demo: $(INSTALLED)  ## which remedy lets the gradient reach the lowest of 20 layers? a minute or two
	$(BIN)/dnntrain ablate presets/vanishing.yaml
	@echo 'next: `source .venv/bin/activate`, then `dnntrain report runs/` prints this again, and `dnntrain init --help` starts your own study'

test: $(INSTALLED)  ## the whole test suite, some minutes on 2 cores
	$(BIN)/python -m pytest -m 'not extras' --numprocesses auto --dist worksteal  # keeps most of a module, with its fixtures, on one worker

test-extras: $(EXTRAS)  ## the tests that take long, or need Jupyter, ONNX, TensorBoard, W&B and MLflow, which this installs: some minutes
	$(BIN)/python -m pytest -m extras --numprocesses auto --dist worksteal

check: $(INSTALLED)  ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(INSTALLED)  ## write the pages that follow from the code: commands, settings, techniques, presets
	$(BIN)/python -m tests.docs.generated

DOCS_OUT ?= build/docs

docs-check: $(INSTALLED)  ## run every command of the pages, those that train included: half an hour
	$(BIN)/python -m tests.docs.check --out $(DOCS_OUT)

PEERS := .venv-bench/installed

$(PEERS): tests/bench/peers/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --disable-pip-version-check --requirement tests/bench/peers/requirements.txt
	@touch $@

BENCH_OUT ?= build/bench
BENCH_KEPT ?= tests/bench/results
ROUNDS ?= 1

bench: $(INSTALLED) $(PEERS)  ## beside Keras, Lightning and plain PyTorch; targets; populations; how cost grows: an hour
	@mkdir -p $(BENCH_OUT) $(BENCH_KEPT)
	$(BIN)/python -m tests.bench.peers --rounds $(ROUNDS) --json $(BENCH_OUT)/peers.json --keep $(BENCH_KEPT)
	$(BIN)/python -m tests.bench.population
	$(BIN)/python -m tests.bench.scaling --keep $(BENCH_KEPT)

bench-quick: $(INSTALLED) $(PEERS)  ## parts of the work, beside plain PyTorch: 3 minutes
	$(BIN)/python -m tests.bench.peers --quick

bench-cnn: $(INSTALLED) $(PEERS)  ## a small CNN beside plain PyTorch, 15 rounds, the ratio with its interval: some minutes
	$(BIN)/python -m tests.bench.peers --quick --only "small CNN" --peer "PyTorch, tensors, a process a core" --rounds 15

bench-more: $(INSTALLED)  ## how often the statistics err, the coordinator, cached features: some minutes
	$(BIN)/python -m tests.bench.error_rates
	$(BIN)/python -m tests.bench.coordinator
	$(BIN)/python -m tests.bench.features

# A machine with a GPU may reach no registry, so this installs nothing; all that it writes is in build/.
bench-gpu:  ## on an NVIDIA GPU: dnntrain next to plain PyTorch and JAX, and agreement with the CPU; installs nothing: 8 minutes
	@mkdir -p $(BENCH_OUT)
	PYTHONPYCACHEPREFIX=$(BENCH_OUT)/pycache $(firstword $(wildcard $(BIN)/python) $(PYTHON)) \
		-m tests.bench.gpu --json $(BENCH_OUT)/gpu.json

LECTURE_OUT ?= build/lecture

lecture: $(INSTALLED)  ## train what the lecture's 26 claims need, judge them, and write a table and a page; can be interrupted; up to two hours
	$(BIN)/python -m tests.bench.lecture --out $(LECTURE_OUT)

torture: $(INSTALLED)  ## kill a study 100 times at random moments, and compare what comes of it: half an hour
	$(BIN)/python -m tests.bench.torture

fuzz: $(INSTALLED)  ## bad input by the thousand: presets, tables, flags, damaged files; some minutes
	$(BIN)/python -m tests.bench.fuzz --minutes 5

clean:  ## remove what was installed and cached; runs/ stays
	rm -rf .venv .venv-bench .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build dist
