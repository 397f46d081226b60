"""Scores of a split: hits, loss, confusion, calibration; and their files."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from evaluation.scores import Scores, top_confusions
from utils.errors import UserError


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


def test_calibration_error_of_cases_done_by_hand():
    logits = np.log(np.array([[0.8, 0.2], [0.8, 0.2], [0.4, 0.6], [0.98, 0.02]]))
    scores = Scores(list("abcd"), np.array([0, 1, 1, 0]), logits)
    ece, counts, confidence, accuracy = scores.calibration(bins=10)
    assert counts.tolist() == [0, 0, 0, 0, 0, 1, 0, 2, 0, 1]
    np.testing.assert_allclose(confidence[[5, 7, 9]], [0.6, 0.8, 0.98])
    np.testing.assert_allclose(accuracy[[5, 7, 9]], [1, 0.5, 1])
    assert ece == pytest.approx((0.4 + 2 * 0.3 + 0.02) / 4)


def test_confusions_come_most_frequent_first():
    assert top_confusions(np.array([[5, 2, 0], [3, 1, 2], [0, 0, 9]]), 3) == [(1, 0, 3), (0, 1, 2), (1, 2, 2)]
    assert top_confusions(np.eye(3, dtype=int), 3) == []


# ---------------------------------------------------------------- files

GOOD = {"names": np.array(list("abcd")), "labels": np.array([0, 1, 2, 5]), "logits": np.zeros((4, 6), "float32")}


def test_scores_come_back_as_written(tmp_path):
    written = scores()
    written.save(tmp_path / "s.npz")
    read = Scores.load(tmp_path / "s.npz")
    assert read.names == written.names
    np.testing.assert_array_equal(read.labels, written.labels)
    np.testing.assert_array_equal(read.logits, written.logits)


@pytest.mark.parametrize(
    "change",
    [
        {"names": np.array([1, 2, 3, 4])},
        {"names": GOOD["names"][:3]},
        {"names": GOOD["names"].astype(object)},
        {"labels": GOOD["labels"] + 0.5},
        {"labels": GOOD["labels"] + 1},
        {"labels": -GOOD["labels"]},
        {"labels": GOOD["labels"][None]},
        {"logits": np.zeros(4)},
        {"logits": np.full((4, 6), np.nan)},
        {"logits": np.zeros((4, 0))},
        {"logits": np.zeros((4, 6), int)},
        {"logits": None},
    ],
)
def test_a_file_that_is_not_scores_is_refused(tmp_path, change):
    path = tmp_path / "s.npz"
    np.savez(path, **{key: value for key, value in (GOOD | change).items() if value is not None})
    with pytest.raises(UserError, match=r"s\.npz"):
        Scores.load(path)


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "s.npz"
    scores().save(path)
    whole = path.read_bytes()
    for content in (b"", b"PK", whole[:200], whole[:-30], whole.replace(b"logits.npy", b"logits.nqy")):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"s\.npz"):
            Scores.load(path)
    with pytest.raises(UserError, match="absent"):
        Scores.load("absent.npz")
