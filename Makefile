# Every target sets itself up: a fresh machine needs Python 3.11 or newer (with venv), make and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
EDITABLE := -C build-dir=build/develop -e

.DEFAULT_GOAL := help
.PHONY: help docs docs-test guides-test install demo test test-isas check format bench drawings bench-joeynmt kills badfiles hostile-runs
.PHONY: page page-test wheel wheel-test gpu bench-imports bench-peers bench-recurrence engines scoring experiments hostile-system strangers refusals mutants trust sanitize fuzz clean soak bench-serve
CSRC := $(wildcard csrc/*.* csrc/*/*.*)

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(INSTALLED): pyproject.toml constraints.txt CMakeLists.txt $(CSRC)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "unrolled needs Python 3.11 or newer: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt $(EDITABLE) '.[dev]'
	@touch $@

install: $(INSTALLED) ## create .venv with the package, its pinned dependencies and the development tools

demo: $(INSTALLED) ## films: a GRU and its baselines; letters to phonemes: a fixed vector and attention
	$(BIN)/unrolled demo

test: $(INSTALLED) ## all tests, in a process for each core
	OMP_NUM_THREADS=1 $(BIN)/pytest -n logical

COMPUTING := tests/cells tests/kernels tests/scan tests/layers tests/laws tests/models tests/decoding tests/inside
AVAILABLE := from unrolled.kernels import native; print(*(name for name, here in native.isas().items() if here))
test-isas: $(INSTALLED) ## the tests of all that computes, without kernels and with each instruction set of this processor
	for isa in none $$($(BIN)/python -c '$(AVAILABLE)'); do \
		echo "UNROLLED_ISA=$$isa"; UNROLLED_ISA=$$isa $(BIN)/pytest $(COMPUTING) tests/test_nn.py || exit; done

check: $(INSTALLED) ## format, lint, types, English, the Dockerfile
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python tools/english.py --check
	$(BIN)/clang-format --dry-run -Werror $(CSRC)
	$(BIN)/hadolint Dockerfile

format: $(INSTALLED) ## format the code and sort the imports
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CSRC)

bench: $(INSTALLED) ## measure the README's figures, into benchmarks/results/
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt $(EDITABLE) '.[dev]'
	$(BIN)/python benchmarks/demo.py
	$(BIN)/python benchmarks/films.py
	$(BIN)/python benchmarks/films.py --search
	$(BIN)/python benchmarks/dropout.py
	$(BIN)/python benchmarks/attention.py
	$(BIN)/python benchmarks/linear.py
	$(BIN)/python benchmarks/drop_in.py
	for case in layers gpt losses; do $(BIN)/python benchmarks/bf16.py $$case || exit; done
	$(BIN)/python benchmarks/training_speed.py
	$(BIN)/python benchmarks/backends.py
	$(BIN)/python benchmarks/state.py
	$(BIN)/python benchmarks/exports.py
	for case in plain best models seconds recipe; do $(BIN)/python benchmarks/shakespeare.py $$case || exit; done
	for model in feedforward elman lstm gru; do $(BIN)/python benchmarks/tags.py $$model || exit; done
	$(BIN)/python benchmarks/large_text.py
	for case in cost films recall reverse letters; do $(BIN)/python benchmarks/inside.py $$case || exit; done
	$(BIN)/python benchmarks/long_lag.py
	$(BIN)/python benchmarks/level.py
	$(BIN)/python benchmarks/comparisons.py
	$(BIN)/python benchmarks/kernels.py
	ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 \
		$(BIN)/python benchmarks/kernels.py --isa avx2 --name kernels_avx2
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/kernels.py --threads 1 --shapes quick --name kernels_one_thread
	$(BIN)/python benchmarks/charts.py
	$(BIN)/python benchmarks/readme.py

page: ## the page, from web/ into src/unrolled/page/built/ (Node and npm)
	cd web && npm install --no-save --silent --no-audit --no-fund && npm run --silent build

page-test: $(INSTALLED) ## the page in a real browser: Chromium, Node and npm; without them it says so
	@if command -v node >/dev/null && { [ -n "$$CHROMIUM" ] || command -v chromium >/dev/null || command -v chromium-headless-shell >/dev/null || command -v google-chrome >/dev/null; }; then \
		if (cd web && { [ -d node_modules ] || npm install --no-save --silent --no-audit --no-fund; }); then $(BIN)/python web/test/page.py; \
		else echo "page not tested: npm cannot install what web/package.json names"; fi; \
	else echo "page not tested: it needs Node and Chromium"; fi

ENGINES := .venv-engines
$(ENGINES)/.installed: pyproject.toml constraints.txt CMakeLists.txt $(CSRC)
	$(PYTHON) -m venv $(ENGINES)
	$(ENGINES)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -C build-dir=build/engines \
		-e '.[dev,ray,spark]'
	@touch $@

engines: $(ENGINES)/.installed ## answers on a local Ray and a local Spark, which needs Java, in an environment of its own
	OMP_NUM_THREADS=1 $(ENGINES)/bin/pytest tests/engines

scoring: $(INSTALLED) $(ENGINES)/.installed ## answers for files: 100 SIGKILLs, two cores and one, memory, Ray and Spark
	$(ENGINES)/bin/python benchmarks/scoring.py

JOEYNMT := .venv-joeynmt
$(JOEYNMT)/.installed:
	$(PYTHON) -m venv $(JOEYNMT)
	$(JOEYNMT)/bin/pip install --quiet --disable-pip-version-check "joeynmt==2.3.0" importlib_metadata \
		"torch==$$($(BIN)/python -c 'import torch; print(torch.__version__.split("+")[0])')"
	@touch $@

experiments: $(INSTALLED) ## the short set of the claims, docs/claims.md: less than an hour of two cores; continues where it stopped
	$(BIN)/python experiments/claims.py run --set short
	$(BIN)/python experiments/claims.py table

bench-joeynmt: $(INSTALLED) $(JOEYNMT)/.installed ## ours compared with JoeyNMT 2.3, in an environment of its own
	$(BIN)/python benchmarks/compare_joeynmt.py --python $(JOEYNMT)/bin/python

TRANSFORMERS := .venv-transformers
$(TRANSFORMERS)/.installed:
	$(PYTHON) -m venv $(TRANSFORMERS)
	$(TRANSFORMERS)/bin/pip install --quiet --disable-pip-version-check "transformers==5.24.0" \
		"torch==$$($(BIN)/python -c 'import torch; print(torch.__version__.split("+")[0])')"
	@touch $@

bench-imports: $(INSTALLED) $(TRANSFORMERS)/.installed ## a GPT-2 imported and written again, compared with transformers
	$(BIN)/python benchmarks/imports.py --python $(TRANSFORMERS)/bin/python

PEERS := .venv-peers
$(PEERS)/.installed:
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check ctranslate2 onnxruntime onnx "transformers==5.24.0" \
		"torch==$$($(BIN)/python -c 'import torch; print(torch.__version__.split("+")[0])')"
	@touch $@

bench-peers: $(INSTALLED) $(PEERS)/.installed ## decoding and int8 compared with CTranslate2, Hugging Face, ONNX Runtime and torch by hand; one thread
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/decoding_peers.py gpt translate short growth gpt_int8 translate_int8 --python $(PEERS)/bin/python
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/int8.py linear scans steps --python $(PEERS)/bin/python
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/int8_quality.py

RECURRENCE := .venv-recurrence
$(RECURRENCE)/.installed:
	$(PYTHON) -m venv $(RECURRENCE)
	$(RECURRENCE)/bin/pip install --quiet --disable-pip-version-check "fla-core==0.6.0" "minGRU-pytorch==0.2.1" "einops==0.8.2" \
		"torch==$$($(BIN)/python -c 'import torch; print(torch.__version__.split("+")[0])')"
	@touch $@

bench-recurrence: $(INSTALLED) $(RECURRENCE)/.installed ## the parallel forms compared with public readable implementations; one thread
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/recurrence.py --python $(RECURRENCE)/bin/python

soak: $(INSTALLED) ## the server under load, hostile requests, SIGTERM and a million steps of sessions: about an hour
	$(BIN)/python benchmarks/soak.py

LITSERVE := .venv-litserve
$(LITSERVE)/.installed: pyproject.toml constraints.txt CMakeLists.txt $(CSRC)
	$(PYTHON) -m venv $(LITSERVE)
	$(LITSERVE)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -C build-dir=build/litserve -e . \
		litserve==0.2.17
	@touch $@

bench-serve: $(INSTALLED) $(LITSERVE)/.installed ## the server beside the bare loop, an empty route and LitServe; two quiet cores
	$(BIN)/python benchmarks/serve.py
	$(BIN)/python benchmarks/serve.py litserve --python $(LITSERVE)/bin/python

RELEASE := $(VENV)/.release
$(RELEASE): $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt $(EDITABLE) '.[dev,release]'
	@touch $@

WHEEL_PYTHONS ?= $(BIN)/python
wheel: $(RELEASE) ## the sdist, and from it the wheel of this system, audited, into dist/ (WHEEL_PYTHONS="python3.11 python3.12": more)
	$(BIN)/python tools/wheels.py $(WHEEL_PYTHONS)

wheel-test: wheel ## install the wheels in fresh environments without a compiler, and run the kernels' tests there
	$(BIN)/python benchmarks/wheels.py --python $(WHEEL_PYTHONS)

gpu: $(INSTALLED) ## every model on one GPU: its curve and the CPU's, its speed and cuDNN's, in ten minutes; skipped without one
	$(BIN)/python benchmarks/gpu.py

drawings: $(INSTALLED) ## train small networks on the samples and draw them, into docs/pictures/lineage/
	$(BIN)/python benchmarks/drawings.py

DOCS := $(VENV)/.docs
$(DOCS): $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt $(EDITABLE) '.[docs]'
	@touch $@

docs: $(DOCS) ## the documentation site, into build/docs/: warnings are errors
	$(BIN)/sphinx-build -q -W --keep-going -b html docs build/docs
	@echo "build/docs/index.html"

docs-test: $(DOCS) ## the tutorial and the notebook: every command prints what the page shows
	OMP_NUM_THREADS=1 $(BIN)/python tools/sessions.py docs/tutorial.md examples/from_data_to_a_look_inside.ipynb

guides-test: $(DOCS) ## the how-to guides: every command prints what the page shows
	OMP_NUM_THREADS=1 $(BIN)/python tools/sessions.py docs/howto/*.md

kills: $(INSTALLED) ## 50 SIGKILLs at random moments of training and 50 resumes, of a recurrent and a feedforward model
	$(BIN)/python benchmarks/kills.py --fresh
	$(BIN)/python benchmarks/checkpoints.py

badfiles: $(INSTALLED) ## 120 bad files, 20,000 changed ones and 5,000 valid ones through the readers
	$(BIN)/python benchmarks/bad_files.py

hostile-runs: $(INSTALLED) ## 3,000 changed run folders through every command that reads one
	$(BIN)/python benchmarks/hostile_runs.py

hostile-system: $(INSTALLED) ## 1,200 hostile streams, limits, names and rights, in this process
	$(BIN)/python benchmarks/hostile_system.py

strangers: $(INSTALLED) ## the cases of tests/strangers/, one line each: held or fell
	$(BIN)/python benchmarks/stranger_cases.py

refusals: $(INSTALLED) ## CPU seconds of wrong commands, the help and the list of runs
	$(BIN)/python benchmarks/refusals.py

mutants: $(INSTALLED) ## single faults in a copy of the source, one at a time: a test must fail for each
	$(BIN)/python benchmarks/mutants.py

trust: $(INSTALLED) ## the kernels' long tests: thousands of shapes, wrong calls, threads, forks
	$(BIN)/python benchmarks/trust.py

# $(call sanitized,COMMAND): build the kernels with both sanitizers, run the command, build the kernels without them.
define sanitized
	$(BIN)/pip install --quiet -C cmake.define.UNROLLED_SANITIZE=ON -C build-dir=build/sanitize --no-deps -e .
	LD_PRELOAD=$$(g++ -print-file-name=libasan.so):$$(g++ -print-file-name=libubsan.so) \
		ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1 $(1); \
		status=$$?; $(BIN)/pip install --quiet --no-deps $(EDITABLE) .; exit $$status
endef

sanitize: $(INSTALLED) ## the kernel tests under the address and undefined-behaviour sanitizers
	$(call sanitized,$(BIN)/pytest tests/kernels tests/scan)

fuzz: $(INSTALLED) ## a million random calls of the kernels under both sanitizers
	$(call sanitized,$(BIN)/python benchmarks/trust.py fuzz)

clean: ## remove what these targets made
	rm -rf $(VENV) $(JOEYNMT) $(TRANSFORMERS) $(PEERS) $(RECURRENCE) $(LITSERVE) $(ENGINES) .mypy_cache .ruff_cache .pytest_cache
