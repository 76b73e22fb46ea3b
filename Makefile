# Each target is one visible command. The first that needs it makes the environment .venv and installs
# the pins of settings.ini; it is made again when they change. Nothing outside this folder is touched.
PYTHON ?= python3
# Another package index for torch, e.g. INDEX_URL=https://download.pytorch.org/whl/cpu (or .../cu130)
INDEX_URL ?=
# What is reproduced: nano (the shipped weights) or tiny (random weights, to see that all runs)
PRESET ?= nano
# Notebooks and tests at a time
JOBS ?= 2
# What `make train` trains after the codec, which takes seconds
TRAINED := params/e13_train_clip/base.yaml params/e14_train_transfer/base.yaml \
	params/e15_train_finisher/finisher.yaml params/e15_train_finisher/head.yaml
VENV ?= .venv
POSE_VENV ?= .venv-pose
BIN := $(VENV)/bin
PIP_INSTALL = $(BIN)/python -m pip install $(if $(INDEX_URL),--extra-index-url $(INDEX_URL))
export MPLBACKEND ?= Agg

.DEFAULT_GOAL := help
.PHONY: help reproduce test docs readme people pose train clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20
	@echo "  variables: INDEX_URL=$(INDEX_URL) (another index for torch), PYTHON=$(PYTHON)," \
		"PRESET=$(PRESET), JOBS=$(JOBS), VENV=$(VENV)"

reproduce: $(VENV)/.dev ## people, evaluation and figures made again, compared with the published ones (stop it and it goes on)
	$(BIN)/truepose reproduce --preset $(PRESET)

test: $(VENV)/.dev ## notebooks agree with the package, notebooks run, pytest
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

docs: $(VENV)/.docs ## the notebooks as a site that needs no network: _site/index.html
	$(BIN)/python docs/build.py

readme: $(VENV)/.dev ## put the numbers of results/ into README.md
	$(BIN)/python docs/readme.py

people: $(VENV)/.dev ## 64 rendered test people at 256x176 in data/example
	$(BIN)/truepose people --split test --count 64 --seed 7 --size 256 --out data/example

pose: $(POSE_VENV)/bin/python ## MediaPipe for `truepose pose`, in an environment of its own (1 GB; it needs Python 3.9 to 3.12)

train: $(VENV)/.dev ## networks of the shipped kind from nothing (five hours; stop it and it goes on); ARGS: other params/
	$(BIN)/truepose train $(or $(ARGS),params/e12_train_codec/base.yaml)
	$(if $(ARGS),,$(BIN)/truepose train $(TRAINED))

clean: ## remove what docs and tests leave behind; data/, runs/ and .venv stay
	rm -rf _proc _docs _sphinx _site build dist *.egg-info .pytest_cache
	find . -name __pycache__ -not -path './$(VENV)*' -prune -exec rm -rf {} +

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "TruePose needs Python 3.11 or newer; $(PYTHON) is" \
		"$$($(PYTHON) --version 2>&1). Name another: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.dev: settings.ini setup.py pyproject.toml | $(BIN)/pip
	$(PIP_INSTALL) -e '.[dev]'
	@touch $@

$(POSE_VENV)/bin/python: # MediaPipe wants protobuf 4, TensorBoard a newer one: the two cannot share an environment
	$(PYTHON) -m venv $(POSE_VENV)
	$(POSE_VENV)/bin/python -m pip install $(shell sed -n 's/^pose_requirements = //p' settings.ini) || { rm -rf $(POSE_VENV); exit 1; }

$(VENV)/.docs: $(VENV)/.dev
	$(PIP_INSTALL) -e '.[dev,docs]'
	@touch $@
