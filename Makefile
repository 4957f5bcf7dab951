# What this repository makes; `make help` lists it. Needs Python 3.11 or newer, and nothing else.
PYTHON ?= python3
BIN := .venv/bin
NBVAL := $(BIN)/pytest --nbval --nbval-current-env --nbval-cell-timeout=600 -p no:cacheprovider
BUILD := $(BIN)/jupyter-book build . --all -W -n --keep-going --quiet
TASKS := PYTHONPATH=tools:. $(BIN)/python -m exercises

export NO_ALBUMENTATIONS_UPDATE := 1
# Threads that wait sleep: spinning, they slow a busy machine down by several times (LOG.md).
export OMP_WAIT_POLICY := PASSIVE
# Jupyter else warns that its own settings will move one day.
export JUPYTER_PLATFORM_DIRS := 1

# What the book's practice pages show: with solutions, or without (make book EDITION=students).
EDITION ?= full
export EDITION

.DEFAULT_GOAL := help
.PHONY: help book serve test validate colab-check constraints lessons links exercise assignment \
	grade lab clean

help: ## Show the commands
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1 | \2/p' Makefile | column -t -s '|'

book: .venv/book ## Build the book from the lessons' stored outputs (no PyTorch needed)
	@$(BUILD)
	@if [ "$(EDITION)" = students ]; then $(TASKS) students _build/html; fi
	@echo "The book is _build/html/index.html in $(CURDIR)"

serve: book ## Build the book and show it on http://localhost:8000
	$(BIN)/python -m http.server --bind localhost --directory _build/html 8000

test: .venv/all ## Check style, package, lessons (run anew, outputs compared) and book
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell .
	$(BIN)/python tools/results.py check
	$(TASKS) check
	$(BUILD)
	$(BIN)/pytest tests
	$(NBVAL) lessons/*.ipynb

validate: .venv/all ## The long checks, on this machine's device; writes a report to validation/
	$(BIN)/python tools/validate.py

colab-check: .venv/all ## The lessons with Colab's versions and with the oldest ones (10 GB)
	$(BIN)/python tools/colab_check.py

constraints: .venv/all ## Write down the exact versions of this environment, with their licences
	$(BIN)/python tools/constraints.py

lessons: .venv/all ## Run all lessons and store their outputs; write the exercises' notebooks
	$(TASKS) store
	$(BIN)/python tools/notebooks.py store
	$(BIN)/python tools/results.py write

links: .venv/book ## Give all notebooks the address and branch of _config.yml
	PYTHONPATH=. $(BIN)/python tools/notebooks.py link
	$(TASKS) store

exercise: .venv/all ## Start the master of an exercise: make exercise NAME=...
	$(TASKS) start "$(NAME)"

# SECRET goes by the environment, where other users of the machine cannot read it.
assignment: .venv/all ## Make an assignment and its key: make assignment EXERCISES="holes saving" SECRET=... OUT=...
	@$(TASKS) assignment $(EXERCISES) --out "$(OUT)" --title "$(TITLE)" --open "$(OPEN)"

grade: .venv/all ## Grade a folder of submissions, each in a sandbox: make grade SUBMISSIONS=... SECRET=... OUT=grades.csv
	@$(TASKS) grade $(EXERCISES) --submissions "$(SUBMISSIONS)" --out "$(OUT)" --timeout "$(TIMEOUT)" \
		--jobs "$(JOBS)" --unsafe "$(UNSAFE)" --again "$(AGAIN)" --open "$(OPEN)"

lab: .venv/all ## Open the lessons in JupyterLab
	$(BIN)/jupyter lab --notebook-dir lessons

clean: ## Remove all that was installed, built or cached here; runs stay
	rm -rf .venv _build .pytest_cache .ruff_cache .hypothesis *.egg-info

# What is installed: an empty file each, older than pyproject.toml when something changed.
.venv/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "CIFAR Lab needs Python 3.11 \
	or newer; this is %d.%d. Name another: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	@touch $@

.venv/book: .venv/pip pyproject.toml
	@$(BIN)/python tools/extra.py book > .venv/book.txt
	$(BIN)/pip install --quiet --requirement .venv/book.txt
	@touch $@

.venv/all: .venv/pip pyproject.toml requirements.txt
	$(BIN)/pip install --quiet --requirement requirements.txt
	@touch $@ .venv/book
