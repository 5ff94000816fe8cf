# All set-up happens in the targets that need it: `make test` and `make train` work in a fresh clone.
PYTHON ?= python3
BACKEND ?= tensorflow
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
# Empty where the newest release of everything is wanted.
PINNED = $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))
RUN = $(VENV)/bin
SEED ?= 0
NAME ?= sample

# jax and torch are extras of the package; tensorflow is always there. keras-hub needs a newer Keras
# than the package, so the lowest versions are tested without it.
HUB ?= hub
comma := ,
EXTRAS := dev$(if $(HUB),$(comma)$(HUB))$(if $(filter jax torch,$(BACKEND)),$(comma)$(BACKEND))
INSTALLED := $(VENV)/.installed-$(BACKEND)

.PHONY: setup train test test-slow test-all test-light test-s3 test-watch test-ray test-lowest test-newest check format notebooks kill-test bench fuzz wheel docs clean

setup: $(INSTALLED)

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or \
	  sys.exit(f"Python 3.11 to 3.13 is needed, this is {v[0]}.{v[1]}: name another, as in make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): $(VENV)/bin/pip setup.cfg pyproject.toml $(CONSTRAINTS)
	$(RUN)/pip install --quiet $(PINNED) --editable '.[$(EXTRAS)]'
	@touch $@

# Train the bundled classifier on sample_data, and models on each input alone; the results are in runs/sample.
train: $(INSTALLED)
	KERAS_BACKEND=$(BACKEND) $(RUN)/multimodal-gen train sample_data/catalog.csv --image image --caption caption \
	  --label label --name $(NAME) --seed $(SEED) --ablate --overwrite

# What a change is tried with, in half an hour on two cores. Two processes at a time, so that operations of TensorFlow
# need no threads of their own; `make test JOBS=0` runs all in one.
JOBS ?= 2
PYTEST = KERAS_BACKEND=$(BACKEND) TF_NUM_INTRAOP_THREADS=1 $(RUN)/python -m pytest -n $(JOBS) --dist worksteal
test: $(INSTALLED)
	$(PYTEST) -m "not slow" $(MEASURED)

# The other tests. `.ci/run` measures with MEASURED what lines these and the quick ones run together.
MEASURED ?=
test-slow: $(INSTALLED)
	$(PYTEST) -m slow $(MEASURED)

# Every test, the slow ones too, and what share of the package's lines they run: no less than COVERED percent.
COVERED ?= 96
test-all: $(INSTALLED)
	$(PYTEST) --cov=multimodal_gen --cov-report=term:skip-covered --cov-fail-under=$(COVERED)

# Style, types, the pages, and the notebooks run from top to bottom.
check: $(INSTALLED) docs
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/python notebooks/run.py --check

format: $(INSTALLED)
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

# README, docs/ and the API as pages to read in a browser: build/docs/index.html. A link to nowhere or an argument that
# does not exist is an error. The variable turns off an advertisement of the theme's. Not with
# --quiet, under which mkdocs 1.6 counts no warnings, so that --strict lets all of them pass.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(RUN)/mkdocs build --strict

# Run the notebooks and store their outputs.
notebooks: $(INSTALLED)
	$(RUN)/python notebooks/run.py

# Every test and the notebooks where TensorFlow is not installed: BACKEND=jax or torch, from its requirements file.
test-light: VENV := .venv-light-$(BACKEND)
test-light: requirements-$(BACKEND).txt
	$(MAKE) $(VENV)/bin/pip VENV=$(VENV)
	$(RUN)/python -c 'import configparser as c; s = c.ConfigParser(); s.read("setup.cfg"); \
	  print(s["options.extras_require"]["dev"])' > $(VENV)/dev.txt
	$(RUN)/pip install --quiet $(PINNED) --requirement requirements-$(BACKEND).txt --requirement $(VENV)/dev.txt
	$(RUN)/pip install --quiet --no-deps --editable .
	! $(RUN)/python -c 'import tensorflow' 2> /dev/null
	$(PYTEST)
	KERAS_BACKEND=$(BACKEND) $(RUN)/python notebooks/run.py --check

# An environment that looks into the usual one and into this folder, for packages that need other versions than that
# has.
PURELIB := -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
define beside
$(PYTHON) -m venv $(1)
{ $(RUN)/python $(PURELIB); pwd; } > $$($(1)/bin/python $(PURELIB))/usual.pth
$(1)/bin/pip install --quiet --requirement $(2)
endef

# Pictures in a bucket of s3, which a server on this machine plays.
S3 := .venv-s3
test-s3: $(INSTALLED)
	$(call beside,$(S3),requirements-s3.txt)
	KERAS_BACKEND=$(BACKEND) $(S3)/bin/python -m pytest tests/test_remote_s3.py

# TensorBoard, and MLflow, which needs an older pyarrow.
WATCH := .venv-watch
test-watch: $(INSTALLED)
	$(call beside,$(WATCH),requirements-watch.txt)
	KERAS_BACKEND=$(BACKEND) $(WATCH)/bin/python -m pytest tests/test_curves.py

# Ray Train with two workers, on BACKEND=torch or jax.
RAY := .venv-ray
test-ray: $(INSTALLED)
	$(call beside,$(RAY),requirements-ray.txt)
	KERAS_BACKEND=$(BACKEND) $(RAY)/bin/python -m pytest tests/test_ray.py

# The same tests with the oldest versions that setup.cfg allows, in an environment of their own.
test-lowest:
	$(MAKE) test-all VENV=.venv-lowest CONSTRAINTS=constraints-lowest.txt HUB=

# The same tests with the newest release of every dependency, in an environment made anew: run it every week.
test-newest:
	rm -rf .venv-newest
	$(MAKE) test-all VENV=.venv-newest CONSTRAINTS=

# Kills trainings at random moments, KILLS times, and compares what comes out; the runs are in runs/kills.
KILLS ?= 20
kill-test: $(INSTALLED)
	rm -rf runs/kills
	KERAS_BACKEND=$(BACKEND) $(RUN)/python tests/kill_runs.py runs/kills $(KILLS)

# Samples a second of this package and of others, on the photos in MULTIMODAL_GEN_DATA or on pictures that it makes
# itself; results in runs/bench. torch takes part where it is installed, as by make bench BACKEND=torch.
bench: $(INSTALLED)
	$(RUN)/pip install --quiet $(PINNED) --editable '.[fast,bench]'
	KERAS_BACKEND=$(BACKEND) $(RUN)/python -m benchmarks.throughput --size small --out runs/bench

# Spoiled pictures and bundles for a while each; what breaks a reader is kept in runs/fuzz, and printed.
FUZZ_SECONDS ?= 60
fuzz: $(INSTALLED)
	KERAS_BACKEND=$(BACKEND) $(RUN)/python -m fuzz images --seconds $(FUZZ_SECONDS) --seed $(SEED)
	KERAS_BACKEND=$(BACKEND) $(RUN)/python -m fuzz bundles --seconds $(FUZZ_SECONDS) --seed $(SEED)

wheel: $(INSTALLED)
	$(RUN)/python -m build

clean:
	rm -rf .venv .venv-* build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
