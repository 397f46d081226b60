"""The comparison of TIPC results with stored ones."""

import json
import subprocess
import sys

import pytest

from tests.helpers.places import ROOT
from tests.helpers.tipc import is_one_error_line

STORED = {"a": {3: 0.9, 1: 0.06, 2: 0.0204}, "b": {5: 0.5, 6: 0.4995, 7: 0.0001}}


def write_predictions(path, predictions):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [{"name": n, "labels": list(p), "probabilities": list(p.values())} for n, p in predictions.items()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    path.with_suffix(".log").write_text("what infer.py printed")


def compare(folder, *more, pattern="logs/python_infer_*.log"):
    command = [sys.executable, ROOT / "test_tipc" / "compare_results.py", "--gt_file=stored/*.jsonl", f"--log_file={pattern}"]
    return subprocess.run([*command, *more], check=False, capture_output=True, text=True, cwd=folder)


@pytest.mark.parametrize(
    "changed, agrees",
    [
        ({}, True),
        ({"a": {3: 0.9015, 1: 0.0605, 2: 0.0204}}, True),
        ({"a": {3: 0.9025, 1: 0.06, 2: 0.0204}}, False),
        ({"b": {6: 0.5, 5: 0.4995, 7: 0.0001}}, True),  # equals within the tolerance may change places
        ({"a": {3: 0.9, 1: 0.06, 9: 0.0205}}, True),  # so may the last of the best
        ({"a": {3: 0.9, 1: 0.06, 9: 0.04}}, False),
        ({"a": {4: 0.9, 1: 0.06, 2: 0.0204}}, False),
        ({"a": {3: float("nan"), 1: 0.06, 2: 0.0204}}, False),
        ({"c": {1: 1.0}}, False),
    ],
)
def test_predictions_agree_within_the_tolerance(tmp_path, changed, agrees):
    write_predictions(tmp_path / "stored/results_fp32.jsonl", STORED)
    write_predictions(tmp_path / "logs/python_infer_cpu_precision_fp32.jsonl", {**STORED, **changed})
    done = compare(tmp_path)
    assert done.returncode == (0 if agrees else 1), done.stdout
    assert ("Assert allclose passed!" if agrees else "are inconsistent!") in done.stdout


def test_a_result_is_compared_with_the_stored_one_of_its_precision(tmp_path):
    write_predictions(tmp_path / "stored/results_fp16.jsonl", {"a": {3: 0.8, 1: 0.1}})
    write_predictions(tmp_path / "logs/python_infer_precision_fp16.jsonl", {"a": {3: 0.8, 1: 0.1}})
    write_predictions(tmp_path / "logs/python_infer_precision_fp32.jsonl", {})
    done = compare(tmp_path)
    assert done.returncode == 0
    assert "skipped" in done.stdout


def test_results_that_are_not_there_are_one_line_and_exit_code_2(tmp_path):
    write_predictions(tmp_path / "stored/results_fp32.jsonl", STORED)
    assert is_one_error_line(compare(tmp_path))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/python_infer_x.log").write_text("")
    assert is_one_error_line(compare(tmp_path))
    (tmp_path / "logs/python_infer_x.jsonl").write_text('{"name": 3')
    assert is_one_error_line(compare(tmp_path))
    assert is_one_error_line(compare(tmp_path, "--atol=much"))
