# Two commands do everything on a fresh machine: `make demo` and `make test`.
# Each makes its own environment in .venv first; nothing else needs to be installed.

PYTHON ?= python3
BIN := .venv/bin
THREADS := $(OMP_NUM_THREADS)
export OMP_NUM_THREADS ?= 1
# The demonstration takes all idle cores, unless it is told how many.
DEMO := $(if $(THREADS),,env -u OMP_NUM_THREADS) $(BIN)/reseen demo

# A process a core, up to eight (tests/conftest.py); each takes the next tests when it has done its own.
PARALLEL := --numprocesses auto --dist worksteal

NUMERICAL := tests/losses tests/contract/test_losses.py tests/test_geometry.py tests/evaluation tests/protocols \
	tests/gallery/backends/sqlite_faiss/test_view.py tests/gallery/test_gallery.py

FAULTS := tests/faults tests/training/test_resume.py tests/gallery/test_killed.py tests/gallery/test_processes.py \
	tests/studies/test_killed.py tests/studies/test_killed_while_measuring.py tests/embedding/test_killed.py \
	tests/embedding/test_on_ray.py tests/serving/test_two_servers.py


.PHONY: install demo demo-infrared test test-kernels test-faults check docs bench gpu clean

install: .venv/installed

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: install            ## train, evaluate and report on the built-in synthetic data
	$(DEMO)

demo-infrared: install   ## the same with visible and infrared pictures
	$(DEMO) --recipe demo_infrared

test: install            ## every test but those marked slow, on all cores
	$(BIN)/python -m pytest $(PARALLEL)

test-kernels: install    ## the numerical tests with the kernels of processors without AVX-512, and without AVX
	MKL_ENABLE_INSTRUCTIONS=AVX2 ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 \
		$(BIN)/python -m pytest $(PARALLEL) $(NUMERICAL)
	MKL_ENABLE_INSTRUCTIONS=SSE4_2 ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 \
		$(BIN)/python -m pytest $(PARALLEL) $(NUMERICAL)

test-faults: install     ## malformed inputs, kills, bit flips, full and read-only disks: docs/reliability.md
	$(BIN)/python -m pytest -m "slow or not slow" $(FAULTS)

check: install           ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/docs         ## the documentation site, into site/; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

.venv/docs: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

bench: install           ## speed and memory as ratios, each in one run
	$(BIN)/python -m benchmarks

gpu: install             ## on a machine with a GPU: its tests, every recipe's step, evaluation and re-ranking
	$(BIN)/python -m benchmarks gpu --only_check
	$(BIN)/python -m pytest -m gpu
	$(BIN)/python -m benchmarks gpu --keep
	$(BIN)/python -m benchmarks training --workers 8

clean:
	rm -rf .venv build dist site src/*.egg-info
