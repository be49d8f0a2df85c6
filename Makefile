# make demo     four calls through the proxy, and what became of them      ARGS=--json, ARGS=--keep
# make test     the test suite                                             ARGS="-k ring -x"
# make soak kill   kill -9 at random instants of running calls             ARGS="--kills 100 --seed 7"
# make soak calls  many calls at once, every one recorded whole            ARGS="--calls 300 --seconds 1800"
# make soak announce  many calls whose parties are told first, and nothing of before it is kept  ARGS="--calls 1000"
# make soak private  calls become private at random instants: nothing is left  ARGS="--calls 1000"
# make fuzz     damaged messages through all of signalling                 N=1000000 SEED=2
# make guided   the same, guided by coverage (atheris)                     SECONDS=60 SEED=2
# make coverage how many branches of the parser its tests take
# make simulate    call histories against an oracle: who must not be kept  N=10000 SEED=1; ONLY=17 tells one
# make check    format, lint, types, import contracts, house rules
# make interop  real telephones at Debian's Kamailio, with the proxy and without it, to docs/interop.md
# make manual   write the manual page, docs/doelband.1, from the commands
# make lock     refresh the lock files (needs uv)
# make bench    one benchmark, to bench/results/NAME.json                   ONLY=relay; ARGS=--rounds=1
# make format   let ruff write what check would refuse
#
# PYTHON=python3.13 chooses another interpreter; each has its own environment under .venv/.

PYTHON ?= python3
ARGS ?=
BIN = .venv/$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')/bin
LOCK = UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links pyproject.toml

.PHONY: interop demo test simulate soak kill calls announce private check bench format environment lock manual fuzz guided coverage

demo: environment
	@$(BIN)/python -m demo $(ARGS)

test: environment
	$(BIN)/python -m pytest $(ARGS)

soak: environment
	@$(BIN)/python -m soak $(filter kill calls announce private,$(MAKECMDGOALS)) $(ARGS)

kill calls announce private: soak
	@:

fuzz: environment
	@$(BIN)/python -m fuzz $(if $(N),--messages $(N)) $(if $(SEED),--seed $(SEED)) $(ARGS)

guided: environment
	@$(BIN)/python -m fuzz.guided $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(ARGS)

coverage: environment
	@$(BIN)/python -m fuzz.branches

simulate: environment
	@$(BIN)/python -m simulate $(if $(N),--histories $(N)) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY)) $(ARGS)

check: environment
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_house_rules.py

interop: environment
	@$(BIN)/python -m tests.end_to_end.interop $(ARGS)

bench: environment
	$(BIN)/python -m bench $(ONLY) $(ARGS)

format: environment
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

manual: environment
	$(BIN)/doelband manual > docs/doelband.1

environment:
	@.ci/environment $(PYTHON)

lock:
	$(LOCK) -o requirements.lock $(ARGS)
	$(LOCK) --extra demo --extra codecs --group dev -o requirements-dev.lock $(ARGS)
	$(LOCK) --extra playback -o requirements-playback.lock $(ARGS)
	$(LOCK) --extra codecs -o requirements-codecs.lock $(ARGS)
