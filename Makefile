# `make` lists the targets. Every target that needs .venv sets it up first; the second time that takes no time.
SHELL := bash
PYTHON := .venv/bin/python
SETUP := tools/setup.sh

.DEFAULT_GOAL := help
.PHONY: help
help: ## this list
	@sed -nE 's/^([a-z][a-z-]*):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do \
		printf '  %-20s %s\n' "$$name" "$$text"; done

##### Use

.PHONY: install demo serve run
install: ## make .venv and everything it needs
	@$(SETUP)

demo: install ## start the server with the bundled model, transcribe a recording with the openai client, stop
	@$(PYTHON) -m tools.demo

serve: install ## run the server, configured by the environment and .env
	@$(PYTHON) -m bentoml serve service:GigaamAsr

run: serve ## the same as serve

##### Check

.PHONY: test test-integration test-official lint format format-check typecheck check pre-commit coverage
test: install ## the tests, on up to four cores; ARGS="-k name" goes to pytest
	@$(PYTHON) -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile $(ARGS)

test-integration: install ## the slow tests: what is shipped, built and run
	@$(PYTHON) -m pytest -m integration --timeout 1800 $(ARGS)

test-official: install ## downloads v3_ctc and GigaAM's sample and checks what it hears
	@$(PYTHON) -m pytest -m official --timeout 7200 $(ARGS)

lint: install ## ruff's findings
	@$(PYTHON) -m ruff check .

format: install ## let ruff format and fix what it can
	@$(PYTHON) -m ruff format .
	@$(PYTHON) -m ruff check --fix .

format-check: install ## is everything formatted?
	@$(PYTHON) -m ruff format --check .

typecheck: install ## mypy, strict
	@$(PYTHON) -m mypy

check: lint format-check typecheck test ## all of the above

pre-commit: format typecheck test ## what to run before a commit

coverage: install ## the tests, with a report of the lines they miss
	@$(PYTHON) -m coverage run --source=asr_core -m pytest $(ARGS)
	@$(PYTHON) -m coverage report --show-missing --skip-covered

##### Ship

.PHONY: bento image build-docker image-test sbom up down logs download-weights download-weights-local
bento: install ## build the Bento: service, demo model and the versions of uv.lock
	@$(PYTHON) -m tools.bento

image: bento ## build the container image gigaam-asr:latest from the Bento
	@bento=$$($(PYTHON) -m bentoml get gigaam_asr:latest --output path) && \
		docker build --tag gigaam-asr:latest --file "$$bento/env/docker/Dockerfile" "$$bento"

build-docker: image ## the same as image

image-test: install ## build the image in Docker, or buildah and debootstrap, and run it: minutes
	@$(PYTHON) -m tools.image_test

sbom: install ## list the Python packages that the image has (CycloneDX): dist/sbom.cdx.json
	@mkdir -p dist
	@.venv/bin/uv export --quiet --frozen --no-dev --format cyclonedx1.5 --preview-features sbom-export -o dist/sbom.cdx.json >/dev/null
	@echo dist/sbom.cdx.json

up: ## start the container in the background
	docker compose up --detach

down: ## stop and remove the container
	docker compose down

logs: ## follow the container's log
	docker compose logs --follow

download-weights: ## download MODEL's weights into ./models, in a container
	docker compose run --rm download-weights

download-weights-local: install ## download MODEL's weights into MODELS_DIR, without a container
	@.venv/bin/gigaam-asr weights pull $(ARGS)

##### Measure and make

.PHONY: bench demo-model clean
bench: ## measure speed; results in benchmarks/results
	@$(SETUP) --group bench
	@$(PYTHON) -m benchmarks $(ARGS)

demo-model: ## train the bundled model anew, from nothing: hours on a CPU
	@$(SETUP) --group demo-model
	@$(PYTHON) -m tools.demo_model run-all $(ARGS)

clean: ## remove what was built or cached; .venv and downloaded weights stay
	rm -rf dist build htmlcov .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
