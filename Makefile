# Every target sets up what it needs in .venv, so that each works as the only command typed after a clone.
# What is asked of the machine: Python 3.10 or newer with venv, make, and access to a package registry for the first call.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec
.DEFAULT_GOAL := help
# Two targets at once would be two installers in one .venv.
.NOTPARALLEL:

PYTHON ?= python3
WORKERS ?= 2
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
# pip, and no other installer: of torch's builds it takes the one that fits the index and the folders it is configured for.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PINS := pyproject.toml constraints.txt

# One thread per process: several would wait for each other at every small matrix product.
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
# A build of the package is reproducible, so is the order of sets.
export PYTHONHASHSEED := 0

.PHONY: help
help:  ## list the commands
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' \
	  | while IFS=$$'\t' read -r name text; do printf 'make %-18s %s\n' "$$name" "$$text"; done

.PHONY: demo
demo: $(VENV)/.stamp-demo  ## train on real images with fixed and adaptive critic updates, and write a report (ARGS="--help")
	$(BIN)/python -m experiments.demo $(ARGS)

.PHONY: test
test: $(VENV)/.stamp-test  ## everything that must hold: lint, format, types, tests, doctests (ARGS go to pytest)
	@failed=; \
	echo '== ruff check'; $(BIN)/ruff check . || failed+=' ruff-check'; \
	echo '== ruff format --check'; $(BIN)/ruff format --check . || failed+=' ruff-format'; \
	echo '== mypy'; $(BIN)/mypy || failed+=' mypy'; \
	echo '== pytest'; $(BIN)/python -m pytest -n $(WORKERS) $(ARGS) || failed+=' pytest'; \
	if [ -n "$$failed" ]; then echo "make test failed in:$$failed" >&2; exit 1; fi

# What a contributor runs after each change: no GAN is trained, no process started.
CHECKED := $(addprefix tests/,laws signals handlers test_rounding.py test_window.py test_controller_law.py)

.PHONY: check
check: $(VENV)/.stamp-check  ## lint, types of the package, tests of laws, signals, decision and handlers on few examples (a minute)
	@failed=; \
	echo '== ruff'; $(BIN)/ruff check . && $(BIN)/ruff format --check . || failed+=' ruff'; \
	echo '== mypy'; $(BIN)/mypy adaptive_critic $(CHECKED) || failed+=' mypy'; \
	echo '== pytest'; HYPOTHESIS_MAX_EXAMPLES=$${HYPOTHESIS_MAX_EXAMPLES:-10} \
	  $(BIN)/python -m pytest $(CHECKED) $(ARGS) || failed+=' pytest'; \
	if [ -n "$$failed" ]; then echo "make check failed in:$$failed" >&2; exit 1; fi

# ARGS may leave nothing for one of the two: pytest's exit code 5.
.PHONY: test-long
test-long: $(VENV)/.stamp-test  ## 100,000 random examples for each law and handler, 2,000 runs of state machines (hours)
	HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest -n $(WORKERS) -m 'hypothesis and not stateful' $(ARGS) || [ $$? = 5 ]
	HYPOTHESIS_PROFILE=long-stateful $(BIN)/python -m pytest -n $(WORKERS) -m stateful $(ARGS) || [ $$? = 5 ]

.PHONY: coverage
coverage: $(VENV)/.stamp-test  ## lines and branches of the package that the tests run: 98 % or more (minutes)
	$(BIN)/python -m pytest -n $(WORKERS) --cov --cov-report=term-missing:skip-covered $(ARGS)

.PHONY: mutation-test
mutation-test: $(VENV)/.stamp-mutation  ## change the laws, rounding, guard and controller: do tests fail? (an hour; ARGS="rounding")
	$(BIN)/python -m tests.mutation --processes $(WORKERS) $(ARGS)

.PHONY: crash-test
crash-test: $(VENV)/.stamp-test  ## kill and resume trainings, of two ranks too, then spoil some (minutes; ARGS="--kills 5")
	$(BIN)/python -m tests.crash $(ARGS)

.PHONY: soak-test
soak-test: $(VENV)/.stamp-test  ## a million iterations with random faults: nothing grows or drifts (minutes; ARGS="--iterations 50000")
	$(BIN)/python -m tests.soak $(ARGS)

.PHONY: experiments
experiments: $(VENV)/.stamp-demo  ## the ablation suite, resumed where it stopped, then its report (hours; ARGS="--block NAME")
	$(BIN)/python -m experiments run $(ARGS)
	$(BIN)/python -m experiments compact
	$(BIN)/python -m experiments report

.PHONY: experiments-quick
experiments-quick: $(VENV)/.stamp-demo  ## every task and contender for a few iterations: that they run, not what they are worth
	$(BIN)/python -m experiments run --quick $(ARGS)

# In an environment of its own: the extra is under another kind of licence, and nothing else may come to need it.
.PHONY: test-clients
test-clients:  ## training loops written elsewhere, driven by controllers (minutes; IGNITE_DCGAN=.../examples/gan/dcgan.py for all)
	@$(MAKE) --no-print-directory VENV=.venv-clients test-clients-here

.PHONY: test-clients-here
test-clients-here: $(VENV)/.stamp-clients
	$(BIN)/python -m pytest tests/clients $(ARGS)
	$(BIN)/python -m nox --session imitation --reuse-existing-virtualenvs

# Sessions are in noxfile.py. Their environments may lie elsewhere: ARGS="--envdir /somewhere".
.PHONY: version-test
version-test: $(VENV)/.stamp-versions  ## core tests with the pinned, lowest and newest versions (ARGS="--session lowest")
	$(BIN)/python -m nox $(ARGS)

.PHONY: lint
lint: $(VENV)/.stamp-test  ## ruff and mypy alone
	@failed=; \
	$(BIN)/ruff check . || failed+=' ruff-check'; \
	$(BIN)/ruff format --check . || failed+=' ruff-format'; \
	$(BIN)/mypy || failed+=' mypy'; \
	if [ -n "$$failed" ]; then echo "make lint failed in:$$failed" >&2; exit 1; fi

.PHONY: format
format: $(VENV)/.stamp-test  ## put the code into the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: bench
bench: $(VENV)/.stamp-test  ## what a controller and the guard cost, as ratios within one run, and write docs/overhead.md's table
	$(BIN)/python -m experiments.bench $(ARGS)

.PHONY: docs
docs: $(VENV)/.stamp-docs  ## build the site into docs/_build/html, warnings are errors
	@rm -rf docs/api  # made anew by autosummary: one page for each name in docs/api.md
	$(BIN)/python -m sphinx -b html -E -W --keep-going -n -q docs docs/_build/html
	@echo "open docs/_build/html/index.html"

.PHONY: clean
clean:  ## remove caches and builds; .venv and runs stay
	rm -rf build dist docs/_build docs/api docs/jupyter_execute htmlcov .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -path ./$(VENV) -prune -o -type d -name __pycache__ -print0 | xargs -0 rm -rf

# A stamp is newer than the pins that it was installed from; a second call installs nothing and needs no network.
$(VENV)/.stamp-venv: $(PINS)
	@$(PYTHON) -c 'import sys; sys.exit(f"Python 3.10 or newer is needed, $(PYTHON) is {sys.version.split()[0]}: make PYTHON=... picks another" if sys.version_info < (3, 10) else 0)'
	@echo 'Setting up $(VENV) (the first time this takes a minute or two)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(INSTALL) pip
	@$(INSTALL) hatchling editables
	@touch $@

$(VENV)/.stamp-demo: $(VENV)/.stamp-venv
	@$(INSTALL) --no-build-isolation --editable '.[experiments]'
	@touch $@

$(VENV)/.stamp-check: $(VENV)/.stamp-venv
	@$(INSTALL) --no-build-isolation --editable '.[plots]' --group check
	@touch $@

$(VENV)/.stamp-test: $(VENV)/.stamp-venv
	@$(INSTALL) --no-build-isolation --editable '.[experiments]' --group dev
	@touch $@

$(VENV)/.stamp-mutation: $(VENV)/.stamp-test
	@$(INSTALL) --group mutation
	@touch $@

$(VENV)/.stamp-versions: $(VENV)/.stamp-venv
	@$(INSTALL) --group versions
	@touch $@

$(VENV)/.stamp-docs: $(VENV)/.stamp-venv
	@$(INSTALL) --no-build-isolation --editable '.[docs,experiments]'
	@touch $@

$(VENV)/.stamp-clients: $(VENV)/.stamp-venv
	@$(INSTALL) --no-build-isolation --editable '.[clients,experiments]' --group test --group frameworks --group versions
	@touch $@
