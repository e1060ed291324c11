# Both commands do the whole set-up on a fresh Debian or Raspberry Pi OS machine.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: demo test unit lint setup system clean

demo: setup            ## a scripted visit through the whole appliance: prints it, leaves out/reply.wav and out/timeline.svg
	$(BIN)/wakeline demo

test: setup lint       ## everything: lint, types, unit tests, engines, sound card, calls, service
	$(BIN)/python -m pytest -m "not (models or sound or calls or service)"
	$(BIN)/python -m pytest -m "models or sound or calls or service"

unit: $(VENV)/.installed  ## the fast tests alone
	$(BIN)/python -m pytest -m "not (models or sound or calls or service)"

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: system $(VENV)/.installed

system: $(VENV)/.system

# A second run costs nothing: apt is asked only when apt.txt has changed or a package is missing.
$(VENV)/.system: apt.txt
	@missing=$$(for p in $$(sed 's/#.*//' apt.txt); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  $(SUDO) apt-get update -q && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -q --no-install-recommends $$missing; \
	fi
	@mkdir -p $(VENV) && touch $@

$(VENV)/.installed: pyproject.toml | $(VENV)/.system
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --upgrade pip
	$(BIN)/pip install -q -e '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) out build *.egg-info .mypy_cache .ruff_cache .pytest_cache
