# What this repository makes; `make help` lists it. Needs Python 3.11 or newer, and nothing else.
PYTHON ?= python3
BIN := .venv/bin
NBVAL := $(BIN)/pytest --nbval --nbval-current-env --nbval-cell-timeout=600 -p no:cacheprovider
BUILD := $(BIN)/jupyter-book build . --all -W -n --keep-going --quiet
COURSE := $(BIN)/course
LESSONS := $(wildcard lessons/*.ipynb)

export NO_ALBUMENTATIONS_UPDATE := 1
# Threads that wait sleep: spinning, they slow a busy machine down by several times (LOG.md).
export OMP_WAIT_POLICY := PASSIVE
# Jupyter else warns that its own settings will move one day.
export JUPYTER_PLATFORM_DIRS := 1

# Every user of a machine can read what a command was called with, so that is no place for a secret.
ifeq ($(origin SECRET),command line)
$(error SECRET stands on the command line, where other users of this machine can read it: leave it \
	out to be asked, or set the environment variable, or name a file, SECRET_FILE=...)
endif

# What a caller names goes by the environment: a shell would read its quotes and backticks, and make
# its dollars.
NAMED := NAME EXERCISES OUT TITLE OPEN SUBMISSIONS ROSTER GROUPS_FILE COUNTS LOOK TIMEOUT JOBS SCHEDULER UNSAFE AGAIN SECRET SECRET_FILE LIBRARIES ONLY
$(foreach name,$(NAMED),$(eval override $(name) := $$(value $(name))))
export $(NAMED)

# What the book's practice pages show: with solutions, or without (make book EDITION=students).
EDITION ?= full
export EDITION

.DEFAULT_GOAL := help
.PHONY: help book serve style quick test validate fields colab-check constraints lessons links exercise assignment \
	grade leaderboard lab install clean $(LESSONS)

help: ## Show the commands
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / {printf "make %-13s  %s\n", $$1, $$2}' Makefile

book: .venv/book ## Build the book from the lessons' stored outputs (no PyTorch needed)
	@$(BUILD)
	@if [ "$(EDITION)" = students ]; then $(COURSE) students _build/html; fi
	@echo "The book is _build/html/index.html in $(CURDIR)"

serve: book ## Build the book and show it on http://localhost:8000
	$(BIN)/python -m http.server --bind localhost --directory _build/html 8000

style: .venv/all ## Check style, spelling, which module imports which, and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell .
	$(BIN)/lint-imports
	$(BIN)/mypy

quick: style ## Check style and the package in a minute, by the fast tests alone
	$(BIN)/pytest tests -p no:nbval --numprocesses auto -m "not (long or slow or browser or sandbox or book)"

test: style ## Check style, package, lessons (run anew, outputs compared) and book
	$(COURSE) check
	$(BUILD)
	$(BIN)/pytest tests --numprocesses auto --dist worksteal
	$(NBVAL) --numprocesses auto --dist loadscope $(LESSONS)

$(LESSONS): .venv/all # one lesson, run anew and compared: make lessons/09-train-under-200k.ipynb
	$(NBVAL) $@

validate: .venv/all ## The long checks, on this machine's device; writes a report to validation/
	$(COURSE) validate

fields: .venv/all ## The receptive fields of 600 networks: make fields LIBRARIES=folder (CONTRIBUTING.md)
	$(BIN)/python -m benchmarks.fields $${LIBRARIES:+"$$LIBRARIES"} $${ONLY:+--only $$ONLY}

colab-check: .venv/all ## The lessons with Colab's versions and with the oldest ones (10 GB)
	$(COURSE) colab-check

constraints: .venv/all ## Write down the exact versions of this environment, with their licences
	$(COURSE) constraints

lessons: .venv/all ## Run all lessons and store their outputs; write the exercises' notebooks
	$(COURSE) store

links: .venv/book ## Give all notebooks the address and branch of _config.yml
	$(COURSE) link

exercise: .venv/all ## Start the master of an exercise: make exercise NAME=count-holes
	@$(COURSE) exercise "$${NAME:?name one, as in: make exercise NAME=count-holes}"

assignment: .venv/all ## Make an assignment and its key: make assignment EXERCISES="holes saving" OUT=week4
	@$(COURSE) assignment $$EXERCISES --out "$${OUT:?name its folder, as in: make assignment EXERCISES=holes OUT=week4}" $${TITLE:+--title "$$TITLE"} \
		$${OPEN:+--open "$$OPEN"} $${SECRET_FILE:+--secret-file "$$SECRET_FILE"}

# What learners may use besides (EXTRA) leaves the versions of all else as they are.
grade: .venv/all ## Grade a folder or a zip of submissions, each in a sandbox: make grade SUBMISSIONS=... OUT=week4.csv
ifneq ($(EXTRA),)
	@$(BIN)/pip freeze --exclude-editable > .venv/frozen.txt
	$(BIN)/pip install --quiet --constraint .venv/frozen.txt $(EXTRA)
endif
	@$(COURSE) grade $$EXERCISES \
		--submissions "$${SUBMISSIONS:?name what was handed in, as in: make grade SUBMISSIONS=week4/all OUT=week4.csv}" \
		--out "$${OUT:?name the table to be written, as in: make grade SUBMISSIONS=week4/all OUT=week4.csv}" \
		$${ROSTER:+--roster "$$ROSTER"} $${GROUPS_FILE:+--groups "$$GROUPS_FILE"} $${COUNTS:+--counts "$$COUNTS"} \
		$$([ "$${LOOK:-0}" = 0 ] || echo --look) \
		$${TIMEOUT:+--timeout "$$TIMEOUT"} $${JOBS:+--jobs "$$JOBS"} \
		$${SCHEDULER:+--scheduler "$$SCHEDULER"} $$([ "$${UNSAFE:-0}" = 0 ] || echo --unsafe) \
		$${SECRET_FILE:+--secret-file "$$SECRET_FILE"} $${AGAIN:+--again "$$AGAIN"} $${OPEN:+--open "$$OPEN"}

leaderboard: .venv/all ## Check the capstone's entries and rank them: make leaderboard SUBMISSIONS=... OUT=board.csv
	@$(COURSE) leaderboard "$${SUBMISSIONS:-leaderboard}" $${OUT:+--out "$$OUT"} $${TIMEOUT:+--timeout "$$TIMEOUT"} \
		$${JOBS:+--jobs "$$JOBS"}

# Jupyter's own limit of 10 MB drops a larger photograph without a word (`live.Panel`).
lab: .venv/all ## Open the lessons in JupyterLab
	$(BIN)/jupyter lab --notebook-dir lessons \
		--ServerApp.tornado_settings='{"websocket_max_message_size": 100_000_000}'

install: .venv/all ## Install all that is needed into .venv, and test nothing (some gigabytes)
	@echo "All is in $(CURDIR)/.venv. Next: make lab; or in VS Code, take that folder as the kernel."

clean: ## Remove all that was installed, built or cached here; runs stay
	rm -rf .venv _build .pytest_cache .ruff_cache .import_linter_cache .grimp_cache .mypy_cache .hypothesis *.egg-info

# What is installed: an empty file each, older than pyproject.toml when something changed.
.venv/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "CIFAR Lab needs Python 3.11 \
	or newer; this is %d.%d. Name another: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1" # the first that knows dependency groups
	@touch $@

.venv/book: .venv/pip pyproject.toml
	$(BIN)/pip install --quiet --no-deps --editable .
	$(BIN)/pip install --quiet --group book
	@touch $@

.venv/all: .venv/pip pyproject.toml requirements.txt
	$(BIN)/pip install --quiet --requirement requirements.txt --group book --group dev
	@touch $@ .venv/book
