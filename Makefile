# These targets set up everything on a fresh clone. Python 3.11, 3.12 or 3.13 and Java 17 or 21 are required.
.DELETE_ON_ERROR:
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo docs test test-all test-spark test-sparks smoke test-vllm versions bench study lint words forms format package setup constraints clean

demo: setup
	@$(BIN)/python -m prox_spark.demo

# Two processes: a test with Spark keeps one core busy. A file stays in one process, and those with Spark come first.
test: setup
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow and not gpu"

# The other versions of Spark come first: one test compares what all of them write.
test-all: test-sparks
	@$(BIN)/python -m pytest

# `make test-spark SPARK=3.5`: with another version of Spark, every verb that needs no model, and what differs between versions.
# `make test-spark SPARK=3.5 TESTS=tests/spark MARKS="not slow and not gpu and not engine"`: all quick tests without a model.
MARKS ?= not gpu and not engine
TESTS ?= tests/spark/test_every_verb.py tests/spark/test_spark_api.py tests/spark/test_delta_log.py
test-spark: setup
	@bash scripts/lane.sh $(SPARK)
	@mkdir -p build/versions
	@.venv-spark-$(SPARK)/bin/python -m pytest -m "$(MARKS)" --junitxml build/versions/$(SPARK).xml $(TESTS)

# `make test-spark` with each other version of Spark that runs with this Python. One that cannot be installed is a failure.
test-sparks: setup
	@set -e; sparks=$$($(BIN)/python scripts/lanes.py); for spark in $$sparks; do \
	    $(MAKE) --no-print-directory test-spark SPARK=$$spark TESTS='$(TESTS)'; done

# The same with little: every verb, on a store at a path.
smoke: TESTS := tests/spark/test_every_verb.py -k path
smoke: test-sparks

# `make test-vllm VLLM=0.32.0`: the engine with another version of vLLM's CPU build.
test-vllm: setup
	@bash scripts/vllm_lane.sh $(VLLM)
	@.venv-vllm-$(VLLM)/bin/python -m pytest tests/engine/test_supervised_engine.py tests/engine/test_line_scores.py

# What passed with each version, from `make test-spark`, into docs/platforms.md.
versions: setup
	@$(BIN)/python scripts/document_versions.py build/versions/*.xml

# The documentation site in build/site, without network; any warning fails.
docs: setup
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# The quick figures of benchmarks/floors.toml; fails where one fell below its floor. `make bench ALL=1`: all of them.
bench: setup
	@$(BIN)/python benchmarks/bench.py $(if $(ALL),--all)

# benchmarks/study.py: from labelled pages to models, in artifacts/study; resumes after an interruption.
study: setup
	@$(BIN)/python benchmarks/study.py

lint: words forms
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# Spelling, and words that have a plainer one.
words: setup
	@$(BIN)/codespell -D - -D scripts/plain.txt *.md *.cff *.toml *.cfg Makefile .ci .github benchmarks conf docs jobs notebooks prox_spark scripts tests

# The project's own files, each by the schema of what reads it.
forms: setup
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-actions .github/actions/*/action.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/*.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.citation-file-format CITATION.cff

format: setup
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# The last commit's sdist and wheel in dist, checked. `make package TAG=v1.2.3` also checks version and changelog for a release.
package: setup
	@$(BIN)/python scripts/package.py $(if $(TAG),--tag '$(TAG)')

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt scripts/setup.sh
	@bash scripts/setup.sh $(VENV)
	@touch $@

# Exact versions without index URLs; run after changing dependencies.
constraints: setup
	@$(BIN)/uv pip compile pyproject.toml --extra local --extra cpu --extra onnx --extra report --extra harness --extra trafilatura --extra dev --no-header --no-annotate --universal -q -o constraints.txt

clean:
	rm -rf $(VENV) build dist *.egg-info
