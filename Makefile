# Everything is set up by need: a virtual environment with the package and the tested versions.
#   make demo [DATA=folder]   the main job, offline
#   make test                 the test suite
#   make lint                 ruff and mypy
#   make docs                 the documentation in site/; every command of README and docs, run
#   make bench                the benchmarks

PYTHON ?= python3
VENV ?= .venv
DATA ?=
JOBS ?= 2

BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint docs bench clean

demo: $(READY)
	$(BIN)/videoprep demo $(if $(DATA),--data "$(DATA)")

test: $(READY)
	$(BIN)/pytest -n $(JOBS) --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/python docs/make_rules.py
	$(BIN)/mkdocs build --strict --quiet
	$(BIN)/pytest tests/test_docs.py

bench: $(READY)
	$(BIN)/python benchmarks/encode.py
	$(BIN)/python benchmarks/index.py
	$(BIN)/python benchmarks/plan.py
	$(BIN)/python benchmarks/buckets.py
	$(BIN)/python benchmarks/sampler.py
	$(BIN)/python benchmarks/validate.py
	$(BIN)/python benchmarks/language.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/reading.py
	$(BIN)/python benchmarks/report.py
	$(BIN)/python benchmarks/training.py

clean:
	rm -rf $(VENV)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 10) else "videoprep needs Python 3.10 or newer; name one with: make PYTHON=python3.12")'
	@echo "Setting up $(VENV): this downloads several GB once and takes some minutes."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[torchcodec,train,dev]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps --target $(VENV)/int8 bitsandbytes
	@touch $@
