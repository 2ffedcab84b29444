# Everything is set up by need: a virtual environment with the package and the tested versions.
#   make demo [DATA=folder]   the main job, offline
#   make test                 the test suite
#   make test-all             and the tests that take long
#   make test-light           the part of it that needs no torch, in an environment without torch
#   make lint                 ruff and mypy
#   make docs                 the documentation in site/; every command of README and docs, run
#   make bench                the benchmarks
# Each takes PYTHON=python3.13: another version of Python, in a virtual environment of its own.

PYTHON ?= python3
SHOW_VERSION := import sys; print("%d.%d" % sys.version_info[:2])
VERSION := $(shell $(PYTHON) -c '$(SHOW_VERSION)')
ifeq ($(VERSION),)
$(error $(PYTHON) does not run; name another Python: make PYTHON=python3.12)
endif
VENV ?= .venv$(if $(filter file,$(origin PYTHON)),,-$(VERSION))
DATA ?=
JOBS ?= 2

BIN := $(VENV)/bin
READY := $(VENV)/.ready-$(VERSION)
LIGHT := $(VENV)-light
LIGHT_READY := $(LIGHT)/.ready-$(VERSION)

# Tests that need only tests/light.txt and take a minute: whether the package works with a version
# of Python. Tests marked `heavy` or `slow` are skipped, and so are files that import torch or a
# browser at the top, or that take long and depend on FFmpeg, numbers and processes, not on Python.
LIGHT_TESTS := $(addprefix tests/, \
	spec index cli/test_init.py encoding/test_units.py previewing/test_choose.py \
	store/test_layout.py media/test_decode.py media/test_timestamps.py \
	fs/test_atomic.py fs/test_files.py test_errors.py test_options.py test_package.py)
NOT_LIGHT := $(addprefix --ignore=tests/, \
	index/test_auto_buckets.py index/test_merging.py index/test_real_files.py \
	index/test_sampler_loaders.py index/test_scaffold.py spec/test_video_files.py)

# $(call make_venv,folder): refuses a folder that another version of Python made.
define make_venv
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 10) else "videoprep needs Python 3.10 or newer; name one with: make PYTHON=python3.12")'
	@test ! -d $(1) || made=$$($(1)/bin/python -c '$(SHOW_VERSION)'); test "$${made-$(VERSION)}" = $(VERSION) || \
	{ echo "$(1) is for Python $${made:-?}, and $(PYTHON) is Python $(VERSION). Remove $(1), or name the version, which then gets an environment of its own: make PYTHON=python$(VERSION)"; exit 1; }
	$(PYTHON) -m venv $(1)
endef

.PHONY: demo test test-all test-light lint docs bench clean

demo: $(READY)
	$(BIN)/videoprep demo $(if $(DATA),--data "$(DATA)")

test: $(READY)
	$(BIN)/pytest -n $(JOBS) --dist loadfile -m "not slow" --durations=30

test-all: $(READY)
	VIDEOPREP_SOAK=$${VIDEOPREP_SOAK:-2} $(BIN)/pytest -n $(JOBS) --dist loadfile tests

test-light: $(LIGHT_READY)
	$(LIGHT)/bin/pytest -n $(JOBS) --dist loadfile -m "not heavy and not slow" $(NOT_LIGHT) $(LIGHT_TESTS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/python docs/make_rules.py
	$(BIN)/python docs/make_options.py
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
	$(BIN)/python benchmarks/captions.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/reading.py
	$(BIN)/python benchmarks/ranges.py
	$(BIN)/python benchmarks/lists.py
	$(BIN)/python benchmarks/report.py
	$(BIN)/python benchmarks/training.py

clean:
	rm -rf $(VENV) $(LIGHT)

$(READY): pyproject.toml constraints.txt
	$(call make_venv,$(VENV))
	@echo "Setting up $(VENV): this downloads several GB once and takes some minutes."
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,dev]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps --target $(VENV)/int8 bitsandbytes
	@touch $@

$(LIGHT_READY): pyproject.toml constraints.txt tests/light.txt
	$(call make_venv,$(LIGHT))
	$(LIGHT)/bin/python -m pip install --quiet --constraint constraints.txt --requirement tests/light.txt
	$(LIGHT)/bin/python -m pip install --quiet --no-deps --editable .
	@touch $@
