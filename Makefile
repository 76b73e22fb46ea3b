# Each target is one visible command. The first that needs it makes the environment .venv and installs
# what requirements.lock says, hash by hash; it is made again when that changes. Nothing outside this folder is touched.
PYTHON ?= python3
# Another package index for torch, e.g. INDEX_URL=https://download.pytorch.org/whl/cpu (or .../cu130); torch alone comes from there, and all
# else from the usual one: no name is looked for in two indexes, where a stranger could put a newer one into the second
INDEX_URL ?=
# Empty: the pins of settings.ini alone, without hashes. So it is with INDEX_URL, whose files have other hashes than those of the lock
LOCKED ?= $(if $(INDEX_URL),,requirements.lock)
# What is reproduced: nano (the shipped weights) or tiny (random weights, to see that all runs)
PRESET ?= nano
# Notebooks and tests at a time
JOBS ?= 2
VENV ?= .venv
LOCK_VENV ?= .venv-lock
POSE_VENV ?= .venv-pose
WORKFLOW_VENV ?= .venv-workflow
# Where the runs of the workflow run: a folder of workflow/profiles (local, slurm, kubernetes, multi_gpu)
PROFILE ?= local
# One call of `make gpu-hour`
MINUTES ?= 25
BIN := $(VENV)/bin
TORCH = $(shell sed -n 's/^requirements = \(torch==[^ ]*\) \(torchvision==[^ ]*\).*/\1 \2/p' settings.ini)
# What is left of a target and what that costs, then Snakemake (2: more of its config). The lock lives as long as any of its processes
WORKFLOW_LOCK = mkdir -p runs && $(if $(shell command -v flock),flock --nonblock --conflict-exit-code 9 runs/.workflow.lock)
define workflow
	@$(WORKFLOW_VENV)/bin/python workflow/listed.py $(1)
	@$(WORKFLOW_LOCK) $(WORKFLOW_VENV)/bin/snakemake --profile workflow/profiles/$(PROFILE) \
		$(if $(filter local,$(PROFILE)),--cores $(JOBS)) $(1) --config truepose=$(BIN)/truepose $(2) \
		|| { test $$? -ne 9 || echo "the workflow is already running here"; exit 1; }
endef
export MPLBACKEND ?= Agg

.DEFAULT_GOAL := help
.PHONY: help reproduce reproduce-all ablations figures gpu-hour test lab docs readme people pose train lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22
	@echo "  variables: INDEX_URL=$(INDEX_URL) (another index for torch), PYTHON=$(PYTHON)," \
		"PRESET=$(PRESET), JOBS=$(JOBS), VENV=$(VENV), PROFILE=$(PROFILE) (of the workflow), MINUTES=$(MINUTES) (of gpu-hour)"

reproduce: $(VENV)/.dev ## people, evaluation and figures made again, compared with the published ones (stop it and it goes on)
	$(BIN)/truepose reproduce --preset $(PRESET)

reproduce-all: $(VENV)/.dev $(WORKFLOW_VENV)/.made ## every run that is missing or was made with other parameters; says first what it costs
	$(call workflow,all)

ablations: $(VENV)/.dev $(WORKFLOW_VENV)/.made ## the same for the ablations and the families at micro alone
	$(call workflow,base ablation families)

figures: $(VENV)/.dev $(WORKFLOW_VENV)/.made ## all figures and tables, drawn from what results/ holds; nothing is trained
	$(call workflow,figures,draw=true)

gpu-hour: $(VENV)/.dev $(WORKFLOW_VENV)/.made ## the grid at nano and the shipped network on one GPU, MINUTES a call; the same command goes on
	@$(WORKFLOW_VENV)/bin/python workflow/listed.py gpu
	@export TRUEPOSE_DEADLINE=$$(($$(date +%s) + 60 * $(MINUTES))); \
	$(WORKFLOW_LOCK) $(WORKFLOW_VENV)/bin/snakemake --profile workflow/profiles/gpu gpu --config gpu=true truepose=$(BIN)/truepose \
		|| { test $$(date +%s) -ge $$((TRUEPOSE_DEADLINE - 125)) && echo "the time is up; make gpu-hour goes on"; }

test: $(VENV)/.dev ## notebooks agree with the package, notebooks run, pytest
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

# Its root is this folder: notebooks show pictures of figures/ and results/, which lie beside nbs/
lab: $(VENV)/.dev ## JupyterLab on the notebooks
	env -u MPLBACKEND $(BIN)/jupyter lab --ServerApp.root_dir=. nbs/index.ipynb

docs: $(VENV)/.dev ## the notebooks as a site that needs no network: _site/index.html
	$(BIN)/python docs/build.py

readme: $(VENV)/.dev ## put the numbers of results/ into README.md
	$(BIN)/python docs/readme.py

people: $(VENV)/.dev ## 64 rendered test people at 256x176 in data/example
	$(BIN)/truepose people --split test --count 64 --seed 7 --size 256 --out data/example

pose: $(POSE_VENV)/bin/python ## MediaPipe for `truepose pose`, in an environment of its own (1 GB; it needs Python 3.9 to 3.12)

train: $(VENV)/.dev $(WORKFLOW_VENV)/.made ## the network of the shipped kind from nothing; says first what it costs (stop it and it goes on)
	$(call workflow,train)

lock: ## requirements.lock and the bill of materials made anew from settings.ini, after its pins have changed
	$(PYTHON) -m venv $(LOCK_VENV)
	$(LOCK_VENV)/bin/python -m pip install $(shell sed -n 's/^lock_requirements = //p' settings.ini)
	$(LOCK_VENV)/bin/uv pip compile setup.py --refresh-package truepose --extra dev --extra docs --universal --python-version 3.11 --generate-hashes \
		--no-annotate --custom-compile-command 'make lock' --output-file requirements.lock --quiet
	$(MAKE) $(VENV)/.dev
	$(BIN)/python docs/bom.py

clean: ## remove what docs and tests leave behind; data/, runs/ and .venv stay
	rm -rf _proc _docs _sphinx _site build dist *.egg-info .pytest_cache
	find . -name __pycache__ -not -path './$(VENV)*' -prune -exec rm -rf {} +

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "TruePose needs Python 3.11 or newer; $(PYTHON) is" \
		"$$($(PYTHON) --version 2>&1). Name another: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.dev: requirements.lock settings.ini setup.py pyproject.toml | $(BIN)/pip
	$(if $(INDEX_URL),$(BIN)/python -m pip install --no-deps --index-url $(INDEX_URL) $(TORCH))
	$(if $(LOCKED),$(BIN)/python -m pip install --require-hashes -r $(LOCKED))
	$(BIN)/python -m pip install -e $(if $(LOCKED),. --no-deps --no-build-isolation,'.[dev,docs]')
	@touch $@

$(POSE_VENV)/bin/python: # MediaPipe wants protobuf 4, TensorBoard a newer one: the two cannot share an environment
	$(PYTHON) -m venv $(POSE_VENV)
	$(POSE_VENV)/bin/python -m pip install $(shell sed -n 's/^pose_requirements = //p' settings.ini) || { rm -rf $(POSE_VENV); exit 1; }

$(WORKFLOW_VENV)/.made: settings.ini # Snakemake and its executors; 360 MB, none of it is imported by truepose
	$(PYTHON) -m venv $(WORKFLOW_VENV)
	$(WORKFLOW_VENV)/bin/python -m pip install $(shell sed -n 's/^workflow_requirements = //p' settings.ini)
	@touch $@
