"""Evaluation on a CPU: the folded form gives the network's logits, or the network itself is used, and the log says why."""

import numpy as np
import paddle
import pytest

from export import evaluation
from export.evaluation import CLOSE, FoldedRunner
from export.products import ProductGCN
from main import main
from tests.helpers.lengths import features
from tests.helpers.small import small
from training.runners import Runner, ThreadedRunner
from utils.log import get_logger

T = 50
BATCHES = [[[20, 0], [7, 12]], [[33, 30], [0, 0], [1, 5], [28, 0]], [[T, T], [9, 0]]]


def runners(**changes):
    """(FoldedRunner, a Runner that computes all frames) of one small network."""
    model = small(data_shape=(3, 6, T, 3, 2), **changes)
    model.eval()
    return ThreadedRunner(model, 2, folded=FoldedRunner).for_evaluation(), Runner(model, all_frames=True)


def logits(runner):
    with paddle.no_grad():
        return [runner(features(np.array(lengths), T, seed=i)).numpy() for i, lengths in enumerate(BATCHES)]


def assert_close(found, wanted):
    for mine, its in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine, its, rtol=0, atol=CLOSE * np.abs(its).max())


@pytest.mark.parametrize("att_type", ["stja", "pa", "ca", "fa", "ja", "none"])
def test_the_folded_form_gives_the_logits_of_all_frames(att_type):
    folded, whole = runners(att_type=att_type)
    assert_close(logits(folded), logits(whole))
    assert folded.forms.qsize() == 2  # it was not refused


def test_who_stands_still_is_not_taken_for_nobody():
    folded, whole = runners()
    batches = [features(np.array([[20, 0]]), T), *(np.full((1, 3, 6, T, 3, 2), value, "float32") for value in (0.0, 1.0, 0.0))]
    with paddle.no_grad():
        found, wanted = ([runner(x).numpy() for x in batches] for runner in (folded, whole))
    assert_close(found, wanted)
    assert not np.allclose(wanted[1], wanted[2], atol=1e-2)


class Doubled(ProductGCN):
    def pool(self, x, weights):
        return 2 * super().pool(x, weights)


class Unable(ProductGCN):
    def STJoint(self, layer, _num_joints):
        return layer.of_another_kind


@pytest.mark.parametrize(("form", "reason"), [(Doubled, "logits differ by"), (Unable, "AttributeError: ")])
def test_a_form_that_is_not_equal_is_not_used_and_the_log_says_why(form, reason, monkeypatch, caplog):
    monkeypatch.setattr(evaluation, "ProductGCN", form)
    monkeypatch.setattr(get_logger(), "propagate", True)  # another test may have set the log up
    folded, whole = runners()
    with caplog.at_level("INFO"):
        assert_close(logits(folded), logits(whole))
    assert folded.forms.empty() and reason in caplog.text


def test_a_run_on_all_frames_or_without_a_form_is_evaluated_by_its_network():
    model = small(data_shape=(3, 6, T, 3, 2))
    for runner in (ThreadedRunner(model, 2), ThreadedRunner(model, 2, all_frames=True, folded=FoldedRunner), Runner(model)):
        assert runner.for_evaluation() is runner


def test_training_is_scored_by_the_folded_form(tiny_run, monkeypatch):
    _, argv = tiny_run
    used, call = [], FoldedRunner.__call__
    monkeypatch.setattr(FoldedRunner, "__call__", lambda self, features: used.append(len(features)) or call(self, features))
    assert main([*argv, "--scheduler_args.cosine.max_epoch=1", "--scheduler_args.cosine.warm_up=0"]) == 0
    assert used
