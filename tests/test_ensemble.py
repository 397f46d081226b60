"""Scores of several networks, combined by sample name."""

import sys

import numpy as np
import pytest

from evaluation.scores import Scores
from tools.ensemble import combine, main
from utils.command import run_command
from utils.errors import UserError

NAMES = ["a", "b", "c", "d"]
LABELS = np.array([0, 1, 2, 5])


def scores(seed, names=NAMES, labels=LABELS, classes=6):
    return Scores(list(names), np.array(labels), np.random.default_rng(seed).normal(size=(len(names), classes)).astype("float32"))


@pytest.fixture
def saved(tmp_path):
    """saved(scores) -> path of a score file."""

    def save(value):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.npz"
        value.save(path)
        return str(path)

    return save


def test_logits_are_added_with_weights_whatever_the_order_of_samples(saved):
    first, second = scores(1), scores(2)
    order = [2, 0, 3, 1]
    shuffled = Scores([NAMES[i] for i in order], LABELS[order], second.logits[order])
    together = combine([saved(first), saved(shuffled)], [1.0, 0.5])
    assert together.names == NAMES
    np.testing.assert_array_equal(together.labels, LABELS)
    np.testing.assert_allclose(together.logits, first.logits + 0.5 * second.logits, rtol=1e-6)


def test_the_command_reports_each_file_and_all_together(saved, tmp_path, monkeypatch, capsys):
    right, wrong = scores(0), scores(0)
    right.logits = np.eye(6, dtype="float32")[LABELS] * 3
    wrong.logits = -np.eye(6, dtype="float32")[LABELS] * 2
    files, output = [saved(right), saved(wrong)], str(tmp_path / "both.npz")
    monkeypatch.setattr(sys, "argv", ["ensemble.py", *files, "--weights", "1", "1", "--output", output])
    assert run_command(main) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{files[0]} x 1: Top-1 4/4 (100.00%), Top-5 4/4 (100.00%)"
    assert lines[1] == f"{files[1]} x 1: Top-1 0/4 (0.00%), Top-5 0/4 (0.00%)"
    assert lines[2] == "together: Top-1 4/4 (100.00%), Top-5 4/4 (100.00%)"
    np.testing.assert_allclose(Scores.load(output).logits, np.eye(6)[LABELS])


@pytest.mark.parametrize(
    "other, part",
    [
        (scores(1, names=["a", "b", "c", "e"]), "'d'"),
        (scores(1, names="abcde", labels=[0, 1, 2, 5, 0]), "'e'"),
        (scores(1, labels=[0, 1, 3, 5]), "'c'"),
        (scores(1, classes=7), "7 classes"),
        (scores(1, names="aabc"), "twice"),
    ],
)
def test_files_that_disagree_are_refused(saved, other, part):
    files = [saved(scores(0)), saved(other)]
    with pytest.raises(UserError, match=part) as error:
        combine(files, [1, 1])
    assert files[1] in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("weights", [["1"], ["1", "2", "3"], ["1", "nan"]])
def test_weights_that_do_not_fit_are_refused(saved, monkeypatch, capsys, weights):
    monkeypatch.setattr(sys, "argv", ["ensemble.py", saved(scores(0)), saved(scores(1)), "--weights", *weights])
    assert run_command(main) == 2
    assert capsys.readouterr().err.startswith("error: --weights")


