# Everything a newcomer, a developer or a CI machine does here. `make help` lists it.
#
#   PYTHON=python3.13 make setup             another interpreter (3.11 or later)
#   ENGINE=20.10 FIREWALL=legacy make demo   another Docker host (also for `make lab` and the benchmarks)
#   BENCH="--containers 4" make bench-loss   other options of a benchmark: python -m remedy.bench loss --help
#   make captures CAPTURES=DIR OUT=FILE      other recorded hosts, and each answer as a line of JSON
#   make truth SEED=7 CELLS=600              the same random hosts again, and how many connections over all

PYTHON   ?= python3
ENGINE   ?= 28.5
FIREWALL ?= nft
BENCH    ?=
CAPTURES ?= tests/captures
OUT      ?=
SEED     ?=
CELLS    ?=
LEGACY   ?=
SCENARIO ?=

VENV := .venv
BIN  := $(VENV)/bin
DONE := $(VENV)/.installed

# What the lab, the tests and the build of python-iptables need of Debian.
PACKAGES := python3-venv python3-dev gcc libc6-dev ca-certificates mmdebstrap debian-archive-keyring \
            iptables nftables conntrack iproute2 procps util-linux kmod curl wrk openssh-client

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS   += --no-builtin-rules

# Where pip finds packages is the machine's business; how it installs them here is ours. And the tests want the
# engine and the state of their own hosts, whatever this shell was about.
unexport PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT PIP_NO_DEPS PIP_NO_BINARY PIP_ONLY_BINARY PIP_CONSTRAINT \
         PIP_REQUIREMENT PIP_REQUIRE_HASHES PIP_NO_BUILD_ISOLATION PIP_PYTHON PIP_DRY_RUN \
         PYTHONPATH PYTHONHOME VIRTUAL_ENV DOCKER_HOST REMEDY_STATE_DIR

.DEFAULT_GOAL := help
.PHONY: help setup packages demo test check captures truth lab test-all bench-loss bench-demo bench-speed bench-fleet bench-paths \
        bench-watch bench-recreations bench-notrack dist lint-playbooks molecule lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: packages $(DONE) ## all set-up on a bare Debian 12 as root: packages, .venv, remedy in it

demo: setup ## docker-proxy out of the path of a real Docker host and back, under load, with the figures
	@exec $(BIN)/python -m remedy.demo --engine $(ENGINE) --firewall $(FIREWALL)

# Two streams, because most of a lab test is waiting. What is about no one's speed runs beside the rest; what makes load, or
# looks at the whole machine, comes last, when there is nobody beside it any more. A shell lets its background ignore ^C,
# so that is taken back.
LAB     := $(wildcard tests/lab/test_*.py)
PATIENT := $(wildcard $(addprefix tests/lab/test_,ansible_*.py molecule.py compose_stays.py engine_dns.py \
             reboot_in_between.py facts_on_real_engines.py firewall_*.py odd_*.py servers_left_alone.py watch.py))
QUIET   := $(wildcard $(addprefix tests/lab/test_,lab_leaves_nothing.py no_request_is_lost.py rewire_haproxy.py \
             stopwatch.py user_network.py))

test: setup ## all tests: unit, property, documentation, and on real Docker hosts
	@said=$$(mktemp); trap 'rm -f "$$said"' EXIT; status=0; \
	beside() { env --default-signal=INT $(BIN)/python -m pytest -p no:cacheprovider "$$@"; }; \
	{ failed=0; beside tests/unit tests/property tests/docs || failed=$$?; \
	  [ $$failed -eq 2 ] || beside $(PATIENT) || failed=$$?; exit $$failed; } > "$$said" 2>&1 & \
	beside=$$!; $(BIN)/python -m pytest $(filter-out $(PATIENT) $(QUIET),$(LAB)) $(QUIET) || status=$$?; \
	wait $$beside || status=$$?; cat "$$said"; \
	if [ -n "$${STATUS_FILE:-}" ]; then echo $$status > "$$STATUS_FILE"; fi; exit $$status

test-all: setup ## make test, then all scenarios of Molecule: for before a release, a quarter of an hour more
	@status=0; $(MAKE) --no-print-directory test || status=$$?; \
	$(MAKE) --no-print-directory molecule || status=$$?; exit $$status

# The unit tests in two halves and the types beside them: two cores are usual, and twenty seconds are long.
check: $(DONE) ## the quick half, for before a commit: lint, format, types, unit tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check remedy tests
	@said=$$(mktemp); trap 'rm -f "$$said"' EXIT; status=0; \
	{ $(BIN)/mypy && $(BIN)/python -m pytest -q -p no:cacheprovider $(wildcard tests/unit/[a-e]*); } > "$$said" 2>&1 & half=$$!; \
	$(BIN)/python -m pytest -q $(wildcard tests/unit/[f-z]*) || status=$$?; \
	wait $$half || status=$$?; cat "$$said"; exit $$status

captures: $(DONE) ## is the packet walk right about recorded hosts? Each connection is asked, no host is needed
	@exec $(BIN)/python -m remedy.captures $(if $(OUT),--out "$(OUT)") "$(CAPTURES)"

truth: setup ## is the packet walk right about live hosts? Random ones, each connection really made; 5 minutes
	@exec $(BIN)/python -m remedy.truth $(if $(SEED),--seed $(SEED)) $(if $(CELLS),--cells $(CELLS))

bench-paths: $(DONE) ## 10,000 questions to the packet walk, on a host of 1,000 containers and 10,000 rules
	@exec $(BIN)/python -m remedy.bench paths

bench-watch: setup ## what the watcher costs at rest, with 4 and 200 containers; a full resync of 1,000
	@exec $(BIN)/python -m remedy.bench watch --engine $(ENGINE) --firewall $(FIREWALL) $(BENCH)

lab: setup ## a shell on a throwaway Docker host, which goes when you leave
	@name=shell-$$$$; trap "$(BIN)/remedy lab down $$name" EXIT; trap 'exit 130' INT TERM HUP; \
	$(BIN)/remedy lab up $$name --engine $(ENGINE) --firewall $(FIREWALL); \
	echo "This is a shell on the host $$name; try: remedy status. It goes with you."; \
	$(BIN)/remedy lab shell $$name || true

# They end with status 2 when a promise is broken, and want a machine that does nothing else.
bench-loss: setup ## connections lost while remedy changes hosts, the promise: none; every engine, half an hour
	@exec $(BIN)/python -m remedy.bench loss $(call if-given,ENGINE,--engine) $(call if-given,FIREWALL,--firewall) $(BENCH)

bench-demo: setup ## requests/s by docker-proxy, by remedy and by hand, taking turns on five hosts
	@exec $(BIN)/python -m remedy.bench demo --engine $(ENGINE) --firewall $(FIREWALL) $(BENCH)

bench-speed: setup ## how long remedy --help and remedy plan of 20 containers take, and where
	@exec $(BIN)/python -m remedy.bench speed --engine $(ENGINE) --firewall $(FIREWALL) $(BENCH)

bench-fleet: setup ## 30 hosts in one rollout: time for each, and how much of it is not Ansible's own; 15 minutes
	@exec $(BIN)/python -m remedy.bench fleet --engine $(ENGINE) --firewall $(FIREWALL) $(BENCH)

bench-notrack: setup ## new connections/s with notrack and with bridge netfilter off, taking turns; two hosts each, 5 minutes
	@exec $(BIN)/python -m remedy.bench notrack $(call if-given,ENGINE,--engine) $(call if-given,FIREWALL,--firewall) $(BENCH)

bench-recreations: setup ## who answers while 200 containers are made again under load, watched; two hosts, 10 minutes
	@exec $(BIN)/python -m remedy.bench recreations $(call if-given,ENGINE,--engine) $(call if-given,FIREWALL,--firewall) $(BENCH)

# An option only where the caller set the variable: what measures all engines is not narrowed to the default one.
if-given = $(if $(filter file,$(origin $(1))),,$(2) $($(1)))

packages:
	@missing=""; for package in $(PACKAGES); do \
	  [ "$$(dpkg-query -Wf '$${db:Status-Status}' $$package 2>/dev/null)" = installed ] || missing="$$missing $$package"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" != 0 ]; then echo "missing, install as root: apt-get install$$missing" >&2; exit 1; fi; \
	echo "installing the packages$$missing"; \
	export DEBIAN_FRONTEND=noninteractive; \
	apt-get update -qq -o Acquire::Retries=3; \
	apt-get install -y -qq --no-install-recommends -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 $$missing

# packages first where both are asked for: venv and python-iptables need them.
$(DONE): requirements.lock pyproject.toml | $(BIN)/python
	@echo "installing $$(grep -c '^[a-z]' requirements.lock) Python packages into $(VENV), about half a minute"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(BIN)/python: | packages
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed, and $(PYTHON) is $$($(PYTHON) -V 2>&1): make PYTHON=... setup" >&2; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) -V)"
	@$(PYTHON) -m venv $(VENV)

# Its own collection is found beside the playbooks, as ansible-playbook finds it; nothing is fetched.
lint-playbooks: $(DONE) ## ansible-lint of playbooks/ and molecule/, its strictest profile
	@PATH="$(CURDIR)/$(BIN):$$PATH" ANSIBLE_COLLECTIONS_PATH=$(CURDIR)/playbooks/collections \
	  $(BIN)/ansible-lint --offline --profile production playbooks molecule

# The host of `legacy` needs python-iptables for Debian 12's Python, which is why LEGACY is set here.
molecule: setup ## the playbooks on real Docker hosts: all scenarios, or SCENARIO=rolling
	@$(MAKE) --no-print-directory dist LEGACY=1
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/molecule test $(if $(SCENARIO),--scenario-name $(SCENARIO),--all)

# LEGACY=1 also builds python-iptables, for the Python and the machine that run this: hosts must be like it.
dist: $(DONE) ## wheels that install remedy on hosts without a network, Python 3.11 to 3.14, and the Ansible collection
	@$(BIN)/python -m remedy.wheels $(if $(LEGACY),--legacy) dist/wheels
	@$(BIN)/ansible-galaxy collection build --force --output-path dist playbooks/collections/ansible_collections/docker_remedy/fleet

# Written under the oldest Python that remedy runs on, and without a word on where the packages came from.
lock: $(BIN)/python ## requirements.lock anew, from pyproject.toml
	@tools=$$(mktemp -d); trap 'rm -rf "$$tools"' EXIT; \
	$(BIN)/python -m venv $$tools/venv; \
	$$tools/venv/bin/pip install -qq --disable-pip-version-check --upgrade pip pip-tools; \
	echo "resolving, about a minute"; \
	$(BIN)/python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb")); \
	  print(*p["dependency-groups"]["dev"], *p["build-system"]["requires"], "editables", "pip", sep="\n")' > $$tools/dev.in; \
	CUSTOM_COMPILE_COMMAND="make lock" $$tools/venv/bin/pip-compile -q --upgrade --extra legacy --extra fleet \
	  --generate-hashes --allow-unsafe --strip-extras --no-annotate \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  -o requirements.lock pyproject.toml $$tools/dev.in

clean: ## remove caches and builds (the environment stays: rm -r .venv; hosts: remedy lab prune)
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
	@find remedy tests -name __pycache__ -type d -prune -exec rm -rf {} +
