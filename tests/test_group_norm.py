"""Training without the frames left out, whole and in groups: in double precision the numbers of the plain network on all frames."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from model.attentions import ATTENTIONS
from model.layers import TEMPORAL_LAYERS, BatchNorm
from tests.helpers.lengths import features, frames_seen
from tests.helpers.small import in_double_precision, small
from training import group_norm, runners
from training.group_norm import Exchange, GroupBatchNorm
from training.runners import Runner, ThreadedRunner

T = 81
LENGTHS = {
    "unlike": [[30, 0], [12, 9], [25, 0], [3, 30]],
    "one body": [[20], [7], [0]],
    "three bodies": [[9, 0, 0], [0, 0, 0], [14, 3, 20]],
    "nobody": [[0, 0], [0, 0]],
    "all frames": [[T, 5], [0, T]],
}


class Plain:
    """The network itself: all frames of all bodies at once, by Paddle's own batch norm and gradients."""

    def __init__(self, model):
        self.model = model

    def __call__(self, x):
        return self.model(paddle.to_tensor(x))[0]

    def backward(self, loss):
        loss.backward()


def whole(step):
    """A Runner as on a GPU, which leaves out frames in multiples of `step`."""

    def make(model):
        run = Runner(model)
        run.step = step
        return run

    return make


def in_groups(model):
    return ThreadedRunner(model, 2)


@pytest.fixture(autouse=True)
def small_groups_too(monkeypatch):
    monkeypatch.setattr(runners, "SMALLEST_GROUP", 1)


def trained(make, changes, lengths, steps=2):
    """({name: loss, gradients and running statistics} after `steps`, numbers of frames that were computed)."""
    bodies = len(lengths[0])
    model = in_double_precision(small(data_shape=(3, 6, T, 3, bodies), **changes))
    run, seen, left = make(model), frames_seen(model), {}
    model.train()
    for step in range(steps):
        x = features(lengths, T, seed=step).astype("float64")
        loss = F.cross_entropy(run(x), paddle.to_tensor(np.arange(len(x)) % 4))
        run.backward(loss)  # gradients add up
        left[f"loss {step}"] = loss.numpy()
    for name, parameter in model.named_parameters():
        if not parameter.stop_gradient:
            left[name] = parameter.grad.numpy()
    left |= {name: tensor.numpy() for name, tensor in model.state_dict().items() if name.endswith(("_mean", "_variance"))}
    return left, seen


def assert_equal(found, wanted):
    largest = max(np.abs(value).max() for value in wanted.values())
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-10 * largest, err_msg=name)


MAKERS = {"whole": whole(1), "whole, 32": whole(32), "whole, 5": whole(5), "groups": in_groups}
FAMILY = [
    *({"att_type": name} for name in [*ATTENTIONS, "none"]),
    *({"layer_type": name, "act_type": "relu"} for name in TEMPORAL_LAYERS),
    {"bias": False},
    {"block_args": [[16, 2, 1], [16, 3, 1]], "fusion_stage": 0},
]


@pytest.mark.parametrize("changes", FAMILY, ids=str)
def test_loss_gradients_and_running_statistics_are_those_of_all_frames(changes):
    wanted, all_frames = trained(Plain, changes, LENGTHS["unlike"])
    assert set(all_frames) == {T}
    for name in ("whole", "groups"):
        found, seen = trained(MAKERS[name], changes, LENGTHS["unlike"])
        assert_equal(found, wanted)
        assert max(seen) < T and (len(set(seen)) > 3) == (name == "groups")


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("name", MAKERS)
def test_whoever_is_there_and_however_long(name, lengths):
    found, _ = trained(MAKERS[name], {}, lengths)
    assert_equal(found, trained(Plain, {}, lengths)[0])


@pytest.mark.parametrize("make", [lambda model: Runner(model, True), lambda model: ThreadedRunner(model, 1, True)], ids=["whole", "groups"])
def test_all_frames_are_computed_where_that_is_asked_for(make):
    found, seen = trained(make, {}, LENGTHS["unlike"])
    assert set(seen) == {T}
    assert_equal(found, trained(Plain, {}, LENGTHS["unlike"])[0])


@pytest.mark.parametrize("name", MAKERS)
def test_the_same_steps_leave_the_same_bits(name):
    first, again = (trained(MAKERS[name], {}, LENGTHS["unlike"])[0] for _ in range(2))
    assert all(np.array_equal(value, again[key]) for key, value in first.items())


def test_after_a_batch_the_network_computes_all_frames_as_before():
    model = in_double_precision(small(data_shape=(3, 6, T, 3, 2)))
    x = features(LENGTHS["unlike"], T).astype("float64")
    model.train()
    before = model(paddle.to_tensor(x))[0].numpy()
    run = Runner(model)
    run(x)
    np.testing.assert_allclose(model(paddle.to_tensor(x))[0].numpy(), before, rtol=1e-12)
    model.input_branches[0].register_forward_pre_hook(lambda layer, inputs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(x)
    assert not model.frames.weights and not model.frames.stand_ins


def test_a_frame_that_stands_for_others_counts_for_them_in_batch_norm():
    """ST-Joint shows its batch norm frames and, behind them, joints: only the frame's own value counts more."""
    frames = small().frames
    frames.reach, frames.strides = 1, [1]
    frames.leave_out(4, 9)
    layer = BatchNorm(2)
    layer.__class__, layer.exchange, layer.group, layer.frames, layer.joints = GroupBatchNorm, Exchange([1]), 0, frames, 3
    x = np.random.default_rng(0).normal(size=(2, 2, 7, 1)).astype("float32")
    full = np.concatenate([x[:, :, :2], np.repeat(x[:, :, 2:3], 6, axis=2), x[:, :, 3:]], axis=2)
    y, mean, variance = layer(paddle.to_tensor(x)).numpy(), full.mean((0, 2, 3)), full.var((0, 2, 3))
    expected = (x - mean.reshape(1, 2, 1, 1)) / np.sqrt(variance.reshape(1, 2, 1, 1) + 1e-5)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    np.testing.assert_allclose(layer._mean.numpy(), 0.1 * mean, atol=1e-6)
    np.testing.assert_allclose(layer._variance.numpy(), 0.9 + 0.1 * variance, atol=1e-6)


def test_on_a_gpu_only_features_come_from_the_host_and_a_batch_norm_takes_all_rows_at_once(monkeypatch):
    copied, rows, to_tensor, moments = [], [], paddle.to_tensor, GroupBatchNorm.moments
    monkeypatch.setattr(group_norm, "on_cpu", lambda: False)
    monkeypatch.setattr(group_norm, "PIECE", 1)
    monkeypatch.setattr(paddle, "to_tensor", lambda *a, **k: copied.append(a) or to_tensor(*a, **k))
    monkeypatch.setattr(GroupBatchNorm, "moments", lambda self, x, times: rows.append(len(x)) or moments(self, x, times))
    run, x = Runner(small(data_shape=(3, 6, T, 3, 2))), features(LENGTHS["unlike"], T)
    run.model.train()
    copied.clear()
    run.backward(run(x).sum())
    assert len(copied) == 1 and set(rows) == {x.shape[0] * x.shape[-1]}
