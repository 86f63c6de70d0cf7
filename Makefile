# Thin targets: each is one or two plain commands, written out in README.md for machines without make.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13; do if $$p -c 'import venv, ensurepip' >/dev/null 2>&1; then echo $$p; break; fi; done)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo serve addon test test-blender test-gui test-browser test-long check bench clean install blender-environments

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 with venv was found; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "Installing with $(PYTHON) into $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev]'
	@touch $@

demo: install
	$(BIN)/sketchbridge refine examples/sketches/flower.glb --prompt "a red flower" --out out/demo

serve: install
	$(BIN)/sketchbridge serve

addon: install
	$(BIN)/python tests/blender_environments.py make 5.0.1
	$(BIN)/python build_addon.py --platform all

test: check blender-environments
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
	$(BIN)/python tests/blender_environments.py test

test-blender: install
	$(BIN)/python tests/blender_environments.py test

test-gui: install blender-environments
	$(BIN)/python tests/gui/root.py
	$(BIN)/python -m pytest tests/gui

test-browser: install
	$(BIN)/python -m tests.gallery.chromium
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m browser tests/gallery

blender-environments: install
	$(BIN)/python tests/blender_environments.py make

test-long: install
	$(BIN)/python -m pytest -m long

check: install
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	$(BIN)/python -m benchmarks.step

clean:
	rm -rf out build dist *.egg-info
