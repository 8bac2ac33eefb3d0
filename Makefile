# make demo   installs into .venv, then simulates, trains, evaluates and generates (docs/studies/demonstration.md)
# make test   installs into .venv, then runs the whole default test suite
# make check  lint, format and types
# make site   documentation with search, build/site/index.html; EXECUTE=cache runs the curriculum too
# make curriculum   runs the eight pages as programs and collects their numbers
# make links   asks every outside address that the pages name; needs a network
# make dist   sdist and wheel in dist/, checked

PYTHON ?= python3
RUN ?= runs/demo
DATA ?= data/demo
STRICT ?= --fail-on-warning --keep-going
BIN := .venv/bin

.PHONY: demo test check site links curriculum dist clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hepjax: error: $(PYTHON): expected Python 3.11 or newer, found " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: .venv/installed
	$(BIN)/hepjax simulate showers --events 4000 --out $(DATA) --energy 10:500 --seed 1
	$(BIN)/hepjax simulate showers --events 1000 --out $(DATA)-test --energy 10:500 --seed 2
	$(BIN)/hepjax train gan3d/demo --run $(RUN) 'data.files=[$(DATA)]'
	$(BIN)/hepjax evaluate $(RUN) --data $(DATA)-test
	$(BIN)/hepjax generate $(RUN) --events 1000 --energy 10:500 --out $(RUN)/showers.h5
	@echo
	@echo "The report that compares generated showers with Monte Carlo: $(abspath $(RUN))/report/index.html"

test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/documentation: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	touch $@

site: .venv/documentation
	$(BIN)/python -m sphinx $(STRICT) --quiet -c docs . build/site
	@echo "$(abspath build/site)/index.html"

links: .venv/installed
	$(BIN)/python -m docs.links

curriculum: .venv/installed
	$(BIN)/python -m docs.curriculum.run

dist: .venv/installed
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

clean:
	rm -rf .venv build dist
