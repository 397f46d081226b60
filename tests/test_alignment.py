"""The record of how far this code is from the published one."""

import shutil
import sys

import numpy as np
import pytest

from benchmarks import alignment
from tests.helpers.places import GOLDEN
from utils.errors import UserError


def test_differences_are_the_largest_and_relative_to_the_largest_published_value():
    assert alignment.apart([1.0, 3.5, -4.0], [1.0, 3.0, -5.0]) == 0.2
    assert alignment.apart([1.0, 3.5, -4.0], [1.0, 3.0, -5.0], "absolute") == 1.0
    with pytest.raises(UserError, match="not the same thing"):
        alignment.apart([1.0], [1.0, 2.0])


def run(monkeypatch, golden, weights, output):
    argv = ["alignment.py", "--golden", str(golden), "--weights", str(weights), "--output", str(output)]
    monkeypatch.setattr(sys, "argv", argv)
    return alignment.main()


def test_a_folder_without_the_outputs_is_one_clear_line(monkeypatch, published, tmp_path):
    with pytest.raises(UserError, match=r"feeder\.npz: no such file; --golden must be the folder"):
        run(monkeypatch, tmp_path, published, tmp_path / "a.md")


@pytest.mark.full
def test_the_table_is_written_and_a_difference_over_its_tolerance_is_named(monkeypatch, published, golden, tmp_path):
    golden("reader")
    assert run(monkeypatch, GOLDEN, published, tmp_path / "good.md") == 0
    text = (tmp_path / "good.md").read_text()
    for step in ("reader", "features", "forward", "metric", "loss", "backward", "schedule", "training"):
        assert f"| {step} |" in text
    assert "published against float64 |" in text and "ours against float64 |" in text
    assert "Not verified" in text and str(GOLDEN) not in text
    other = shutil.copytree(GOLDEN, tmp_path / "golden")
    (other / "train_step_xsub.npz").chmod(0o644)
    values = golden("train_step_xsub")
    np.savez(other / "train_step_xsub.npz", **{**values, "loss": values["loss"] * [1, 1, 1.01]})
    with pytest.raises(UserError, match="1 differences are over their tolerance: loss after 2 steps of Momentum"):
        run(monkeypatch, other, published, tmp_path / "bad.md")
