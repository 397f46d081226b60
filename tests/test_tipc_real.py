"""The TIPC scripts with this Python: every command is run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.places import ROOT
from tests.helpers.tipc import LITE, ONNX, WHOLE, X_SUB


@pytest.fixture
def real(tmp_path):
    """run(script, *arguments) in a copy of the repository, with this Python."""
    kept = shutil.ignore_patterns(".*", "log", "data", "workdir", "demo", "__pycache__")
    shutil.copytree(ROOT, tmp_path / "a repo", ignore=kept)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def run(*command):
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, cwd=tmp_path / "a repo", env={**os.environ, "PATH": path}
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr
        return done.stdout

    return run


@pytest.mark.full
def test_lite_chain_and_onnx_run_and_all_engines_agree(real):
    real("bash", "test_tipc/prepare.sh", "-", "./data/ntu/tiny_dataset", LITE)
    printed = real("bash", "test_tipc/test_train_inference_python.sh", X_SUB, LITE)
    assert printed.count("Run successfully") == 11
    assert re.search(r"Loss: \d\.\d+.*avg_reader_cost: .*avg_batch_cost: .*avg_ips: ", printed)
    real("bash", "test_tipc/test_paddle2onnx.sh", ONNX)
    row = f"log/EfficientGCNB0/{LITE}/norm_train_gpus_-1_autocast_null"
    one = f"{row}/python_infer_cpu_usemkldnn_False_threads_1_precision_fp32_batchsize_1.jsonl"
    for logs in (f"{row}/python_infer_*.log", "log/EfficientGCNB0/paddle2onnx/*_cpu.log"):
        real("python", "test_tipc/compare_results.py", f"--gt_file={one}", f"--log_file={logs}")


@pytest.mark.full
@pytest.mark.parametrize("mode", ["lite_train_whole_infer", WHOLE, "whole_infer"])
def test_the_other_modes_print_only_success_on_demo_data(real, mode):
    real("bash", "test_tipc/prepare.sh", "-", "./data/ntu/demo_dataset", mode)
    printed = real("bash", "test_tipc/test_train_inference_python.sh", X_SUB, mode)
    steps = [line for line in printed.splitlines() if "Run " in line]
    assert len(steps) >= 9 and all("Run successfully" in line for line in steps), printed[-2000:]
    assert ("-> 1, for" in printed) == (mode == WHOLE)


@pytest.mark.full
def test_published_weights_give_the_stored_results(real, published):
    real("bash", "test_tipc/prepare.sh", "-", "./data/ntu/tiny_dataset", "whole_infer", published)
    real("bash", "test_tipc/test_train_inference_python.sh", X_SUB, "whole_infer")
    stored, logs = "test_tipc/results/EfficientGCNB0/*.jsonl", "log/EfficientGCNB0/whole_infer/python_infer_*.log"
    printed = real("python", "test_tipc/compare_results.py", f"--gt_file={stored}", f"--log_file={logs}")
    assert printed.count("Assert allclose passed!") == 8
