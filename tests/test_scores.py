"""Scores of a split: hits, loss, confusion."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from evaluation.scores import Scores


def scores():
    logits = np.random.default_rng(0).normal(size=(50, 7)).astype("float32")
    return Scores([f"s{i}" for i in range(50)], np.random.default_rng(1).integers(0, 7, 50), logits)


def test_top_k_counts_labels_among_the_k_largest():
    s = scores()
    for k in (1, 5):
        by_hand = [label in sorted(range(7), key=lambda c: -row[c])[:k] for row, label in zip(s.logits, s.labels, strict=True)]
        assert s.hits(k).tolist() == by_hand


def test_mean_loss_is_cross_entropy_over_samples():
    s = scores()
    expected = F.cross_entropy(paddle.to_tensor(s.logits), paddle.to_tensor(s.labels)).item()
    assert s.mean_loss() == pytest.approx(expected, rel=1e-5)


def test_confusion_has_true_rows_and_predicted_columns():
    s = Scores(["a", "b", "c"], np.array([0, 0, 2]), np.eye(3)[[0, 1, 2]].astype("float32"))
    assert s.confusion().tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
