# make run: set up and serve. make test: set up and test. make check: linters and tests.
PYTHON ?= python3
BIN := .venv/bin
# Where Node.js comes from its makers, npm comes with it and Debian's own package does not fit.
PACKAGES := chromium fonts-noto-cjk libreoffice-writer-nogui nodejs postgresql $(if $(shell command -v npm),,npm)
SHELL := /bin/bash
# The tests make databases by the hundred: in memory, where it has room for four gigabytes of them.
MEMORY := $(shell free=$$(df --output=avail -k /dev/shm 2>/dev/null | tail -1); [ $$((free)) -gt 4000000 ] && echo TMPDIR=/dev/shm)

.PHONY: run demo test check lint system interop fuzz bench vectors constraints clean

run: .venv/.runtime
	$(BIN)/countydesk serve

demo: .venv/.runtime
	$(BIN)/countydesk serve --demo

test: system .venv/.dev interop
	$(MEMORY) $(BIN)/pytest -n 2 --dist worksteal

check: .venv/.dev lint test

lint: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m bot.migrate
	$(BIN)/countydesk knowledge check

# The dense channel comes as a wheel for Linux and macOS; without it everything works, a little less well.
.venv/.runtime: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo '需要 Python 3.11 或更新版本 / Python 3.11 or newer is needed: make PYTHON=python3.11 run'; exit 1; }
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[semantic]' \
	  || $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	$(BIN)/countydesk knowledge check
	touch $@

.venv/.dev: .venv/.runtime
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

# What the tests need from Debian: a browser, Chinese fonts, a word processor and a PostgreSQL server.
system:
	@missing=$$(dpkg-query -W -f='$${Package} $${Status}\n' $(PACKAGES) 2>/dev/null | awk '/ok installed/ {print $$1}' | sort | comm -13 - <(printf '%s\n' $(PACKAGES) | sort)); \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	  else echo "请先运行 / please run first: sudo apt-get install -y $$missing"; exit 1; fi; fi

# What others wrote in JavaScript, for the tests to talk to.
interop: tests/interop/node_modules/.package-lock.json

tests/interop/node_modules/.package-lock.json: tests/interop/package-lock.json
	npm ci --prefix tests/interop --ignore-scripts --no-audit --no-fund --silent

# Ten minutes of arbitrary bytes against the callback door. atheris has wheels for some interpreters only.
fuzz: .venv/.dev
	$(BIN)/pip install --quiet --disable-pip-version-check atheris==3.0.0
	mkdir -p .fuzz
	$(BIN)/python -m tests.fuzz_edge -max_total_time=600 -max_len=70000 .fuzz

bench: .venv/.dev
	$(BIN)/python benchmarks/run.py
	KILLS=100 $(BIN)/pytest --timeout 1800 tests/faults/test_kill.py
	AUDIENCE=20000 LEDGER_KILLS=20 RESTARTS=5 $(BIN)/pytest -rP --timeout 3600 tests/faults/test_ledger.py
	COUNTIES=100 $(BIN)/pytest --timeout 1800 tests/test_reminders.py -k counties
	$(BIN)/python benchmarks/delivery.py
	$(BIN)/python benchmarks/load.py
	$(BIN)/python benchmarks/turn.py
	$(BIN)/python benchmarks/people.py
	$(BIN)/python benchmarks/items.py
	$(BIN)/python benchmarks/console.py
	PYTHONPATH=. $(BIN)/python benchmarks/progress.py
	PYTHONPATH=. $(BIN)/python benchmarks/broadcast.py

vectors: .venv/.dev
	$(BIN)/countydesk knowledge vectors

constraints: .venv/.dev
	$(BIN)/pip freeze --exclude-editable > constraints.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
