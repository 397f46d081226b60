"""Learning-rate factors and the epochs that are evaluated."""

import math

import pytest

from scheduler.lr_schedulers import cosine_factor, evaluates_after, step_factor

S = 10  # steps per epoch


@pytest.mark.parametrize(
    "step, max_epoch, warm_up, expected",
    [
        (0, 70, 10, 0.0),
        (50, 70, 10, 0.5),
        (100, 70, 10, 1.0),
        (400, 70, 10, 0.5),
        (700, 70, 10, 0.0),
        (250, 70, 10, 0.5 * (math.cos(math.pi / 4) + 1)),
        (0, 70, 0, 1.0),
        (350, 70, 0, 0.5),
        (5, 1, 10, 0.05),
        (9, 1, 10, 0.09),
        (10, 1, 1, 1.0),
    ],
)
def test_cosine(step, max_epoch, warm_up, expected):
    assert cosine_factor(step, S, max_epoch, warm_up) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "step, expected", [(0, 0.0), (99, 0.99), (100, 1.0), (199, 1.0), (200, 0.1), (499, 0.1), (500, 0.01), (699, 0.01)]
)
def test_step(step, expected):
    assert step_factor(step, S, 70, 10, [20, 50]) == pytest.approx(expected)


def test_the_published_checkpoint_s_rate_follows_from_its_step(published):
    from training.checkpoint import read_checkpoint

    saved = read_checkpoint(published)["scheduler"]
    assert saved["last_epoch"] == 69 * 2505
    assert 0.1 * cosine_factor(saved["last_epoch"], 2505, 70, 10) == pytest.approx(float(saved["last_lr"]), rel=1e-6)


def test_cosine_evaluates_every_fifth_epoch_and_the_last_ten():
    chosen = [epoch + 1 for epoch in range(70) if evaluates_after(epoch, 70)]
    assert chosen == [*range(5, 61, 5), *range(61, 71)]


def test_step_evaluates_every_fifth_epoch_and_all_after_the_last_drop():
    chosen = [epoch + 1 for epoch in range(60) if evaluates_after(epoch, 60, [20, 50])]
    assert chosen == [*range(5, 51, 5), *range(51, 61)]
