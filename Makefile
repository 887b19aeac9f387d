# Two commands do everything: `make run` shows the main job, `make test` passes the tests.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
LAB_OPT := $(if $(DATA),--data $(DATA),)

# Some images of containers say so: every process that a test starts would compile the whole source anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test lint bench soak mutants conformance-target bench-target clean lock

run: $(VENV)/.run
	$(BIN)/python -m lab $(LAB_OPT) $(ARGS)

test: $(VENV)/.test
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A change of policy at the size of R35, over 50 audiences: an hour and 15 GB; SIZE=10000 gives an idea in a minute.
SIZE ?= 1000000
bench: $(VENV)/.test
	$(BIN)/python -m benchmarks $(ARGS)
	$(BIN)/python -m benchmarks.identity $(if $(DATA),--patterns $(DATA),)
	$(BIN)/python -m benchmarks.policy_change --size $(SIZE)

# Campaigns of 500 kills each: kill -9 at every commit and at random, then everything is compared. Then nodes that speak
# MISP to each other, and our conversion beside misp-stix's, on real events where they are.
SEEDS ?= 1
soak: $(VENV)/.test
	$(BIN)/python -m tests.acceptance.campaign --kills 500 $(addprefix --seed ,$(SEEDS)) $(ARGS)
	EXCHANGE_SOAK=1 $(BIN)/python -m pytest -q tests/acceptance/test_misp_nodes.py tests/acceptance/test_ring.py \
	  tests/acceptance/test_real_round.py tests/convert/test_differential.py tests/model/test_pattern_laws.py \
	  tests/model/test_canonical.py tests/peers/test_clients.py tests/properties
	$(BIN)/exchange policy prove --config config --cases 20000

# Every small mistake in the policy, one after the other: is it found by a test? Tells those that are not.
mutants: $(VENV)/.test
	$(BIN)/python -m tests.mutants $(ARGS)

# Nodes for outside testers, in the foreground until Ctrl-C (docs/taxii-conformance.md).
conformance-target: $(VENV)/.run
	@$(BIN)/python -m lab.target conformance $(if $(PORT),--port $(PORT),)

bench-target: $(VENV)/.run
	@$(BIN)/python -m lab.target bench $(if $(PORT),--port $(PORT),) $(if $(STORE),--store "$(STORE)",)

# Debian's python3 has neither pip nor ensurepip: root gets the package, anyone else the one line to type.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "exchange: Python 3.11 or later is needed / il faut Python 3.11 ou plus récent" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy python3-venv; \
	  else \
	    echo "exchange: python3-venv is missing / il manque python3-venv :  sudo apt-get install -y python3-venv" >&2; exit 1; \
	  fi; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: requirements-dev.lock $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

# Maintainers only: writes all lock files anew (hashed, universal over platforms and Python versions).
lock: $(VENV)/.test
	$(BIN)/python -m pip install --quiet uv
	printf 'hatchling\neditables\n' > $(VENV)/build.in
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  -q pyproject.toml $(VENV)/build.in -o requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  -q --extra dev -c requirements.lock pyproject.toml $(VENV)/build.in -o requirements-dev.lock
	for name in medallion opentaxii clients; do \
	  $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	    --no-header -q lab/$$name.in -o lab/$$name.lock || exit 1; \
	done

clean:
	rm -rf $(VENV) .lab
