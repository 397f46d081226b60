# make help lists every target. Everything runs in .venv, which is made once; PYTHON chooses the interpreter it is made with.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help venv venv-video demo test test-full test-paddle26 test-min fuzz torture tipc bench gpu-checks alignment docs site lint format clean

help:  ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 16

venv: $(VENV)/.tests-ready  ## make .venv with all that developing needs

venv-video: $(VENV)-video/.ready  ## make .venv-video, with MediaPipe for tools/video.py (1 GB)

ENVIRONMENTS := $(VENV) $(VENV)-bench $(VENV)-docs $(VENV)-min $(VENV)-paddle26 $(VENV)-video
# Paddle for CPUs, unless an environment has paddlepaddle-gpu or the like: the one would be installed over the other.
PADDLE = $(if $(filter paddlepaddle-%,$(shell $(@D)/bin/python -m pip list 2> /dev/null)),,'.[cpu]')
$(VENV)/.ready: PACKAGES = -r requirements.txt $(PADDLE)
$(VENV)/.tests-ready: PACKAGES = '.[dev,onnx,report,fuzz]'
$(VENV)-bench/.ready: PACKAGES = $(PADDLE) '.[onnx,report,bench]'
$(VENV)-docs/.ready: PACKAGES = '.[docs]'
$(VENV)-min/.ready: PACKAGES = $(PADDLE) '.[dev,onnx,report]' -c $(VENV)-min/lowest.txt
$(VENV)-paddle26/.ready: PACKAGES = 'paddlepaddle==2.6.2' 'numpy<2' -r requirements.txt onnxruntime pytest hypothesis setuptools
$(VENV)-video/.ready: PACKAGES = '.[video]'
$(VENV)/.tests-ready: $(VENV)/.ready
$(VENV)/.tests-ready $(ENVIRONMENTS:%=%/.ready): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null || { \
	  echo "error: $(PYTHON) must be Python 3.10, 3.11 or 3.12; choose one with make PYTHON=python3.11 ..." >&2; exit 2; }
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D) || { \
	  echo "error: $(PYTHON) can't make a venv; install its venv module (Debian: apt-get install python3-venv)" >&2; exit 2; }
	@grep -ohE '[A-Za-z0-9_-]+>=[0-9.]+' requirements.txt pyproject.toml | sed 's/>=/==/' > $(@D)/lowest.txt
	@echo "Installing into $(@D): a few minutes the first time"
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --progress-bar off $(PACKAGES) \
	  > $(@D)/install.log 2>&1 || { grep -v WARNING $(@D)/install.log | tail -n 5 >&2; \
	  echo "error: a package could not be installed; the whole log is $(@D)/install.log" >&2; exit 2; }
	@rm -rf build efficientgcn_paddle.egg-info
	@touch $@

demo: $(VENV)/.ready  ## synthetic data -> data set -> train -> evaluate -> export -> infer; QUICK=1 in under 2 minutes
	@$(RUN) tools/demo.py $(if $(QUICK),--quick)

test: venv lint  ## lint, pip check and all quick tests
	@$(RUN) -m pip check --disable-pip-version-check > $(VENV)/check.log || { cat $(VENV)/check.log >&2; exit 1; }
	@OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist loadfile -m "not full"

test-full: venv lint $(VENV)-paddle26/.ready  ## what takes longer as well
	@$(RUN) -m pip install --quiet --disable-pip-version-check '.[notebook]'; rm -rf build efficientgcn_paddle.egg-info
	@OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist loadfile

test-paddle26: venv $(VENV)-paddle26/.ready  ## of test-full: what Paddle 2.6 does, in .venv-paddle26, and exchanges with Paddle 3
	@$(RUN) -m pytest tests/test_paddle26.py

torture: venv  ## every bad input and fault against the real commands, half an hour; docs/reliability.md. QUICK=1 tries it only
	@$(RUN) -m tests.torture $(if $(QUICK),--quick,--page docs/reliability.md)

test-min: $(VENV)-min/.ready  ## the quick tests with the lowest versions that requirements.txt and pyproject.toml promise, in .venv-min
	@OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(VENV)-min/bin/python -m pytest -n 2 --dist loadfile -m "not full"

fuzz: venv  ## feed every reader of files what its branches lead to, SECONDS=60 each; what it finds is in fuzz/
	@mkdir -p fuzz; for target in $$($(RUN) -m tests.torture.fuzz_files --list); do \
	  $(RUN) -m tests.torture.fuzz_files $$target -max_total_time=$(or $(SECONDS),60) -verbosity=0 -artifact_prefix=fuzz/; \
	done

tipc: venv  ## the TIPC chain on synthetic data, on the CPU: lite_train_lite_infer and ONNX
	@export PATH="$(CURDIR)/$(VENV)/bin:$$PATH"; \
	bash test_tipc/prepare.sh - ./data/ntu/tiny_dataset lite_train_lite_infer; \
	bash test_tipc/test_train_inference_python.sh test_tipc/configs/EfficientGCNB0/train_infer_python.txt lite_train_lite_infer; \
	bash test_tipc/test_paddle2onnx.sh test_tipc/configs/EfficientGCNB0/paddle2onnx_infer_python.txt; \
	row=log/EfficientGCNB0/lite_train_lite_infer/norm_train_gpus_-1_autocast_null; \
	for logs in "$$row/python_infer_*.log" "log/EfficientGCNB0/paddle2onnx/*_cpu.log"; do \
	  python test_tipc/compare_results.py --gt_file="$$row/*mkldnn_False_threads_1_*batchsize_1.jsonl" --log_file="$$logs"; \
	done

bench: $(VENV)-bench/.ready  ## measure speed and memory, with PyTorch in .venv-bench; benchmarks/RESULTS.md; QUICK=1 tries it only
	@$(VENV)-bench/bin/python -m benchmarks.run_all $(if $(QUICK),--quick)

gpu-checks: $(VENV)/.ready  ## what a GPU makes of this project, as a table for an issue: WEIGHTS=FILE GOLDEN=DIR; CPU=1 tries it only
	@$(RUN) -m benchmarks.gpu_checks $(if $(WEIGHTS),--weights $(WEIGHTS)) $(if $(GOLDEN),--golden $(GOLDEN)) $(if $(CPU),--cpu)

alignment: venv  ## compare with outputs of the published code: GOLDEN=DIR WEIGHTS=FILE
	@$(RUN) -m benchmarks.alignment --golden $(GOLDEN) --weights $(WEIGHTS)

docs: venv  ## make the tables of docs/configuration.md and docs/model_zoo.md anew
	@$(RUN) -m tests.helpers.tables

site: $(VENV)-docs/.ready  ## the pages as a site with search: build/site; a link that leads nowhere stops it
	@rm -rf build/site-pages; mkdir -p build/site-pages; git ls-files -z ':!tests' | xargs -0 cp --parents -t build/site-pages
	@NO_MKDOCS_2_WARNING=1 $(VENV)-docs/bin/mkdocs build --strict --quiet
	@echo "build/site; to see it: python -m http.server -d build/site"

lint: venv  ## ruff
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check --quiet . || { echo "error: not formatted; run make format" >&2; exit 1; }

format: venv  ## format and sort imports
	@$(VENV)/bin/ruff check --fix --quiet . ; $(VENV)/bin/ruff format .

clean:  ## remove the demo's files and caches (not .venv, not your data)
	@rm -rf demo fuzz .pytest_cache .ruff_cache .hypothesis
