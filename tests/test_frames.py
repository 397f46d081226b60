"""What frames a network looks at, and that those left out change nothing in evaluation."""

import numpy as np
import paddle
import pytest

from model import attentions
from model.attentions import ATTENTIONS
from model.frames import Frames, weighted_mean
from model.layers import TEMPORAL_LAYERS
from tests.helpers.lengths import features, frames_seen
from tests.helpers.small import in_double_precision, small
from training.runners import Runner, ends

DEEP = [[16, 2, 1], [16, 3, 2], [16, 1, 0]]  # strides of 2 and 6
FAMILY = [
    *({"layer_type": name, "kernel_size": [window, 2]} for name in TEMPORAL_LAYERS for window in (1, 3, 5, 9)),
    *({"att_type": name} for name in [*ATTENTIONS, "none"]),
    *({"layer_type": name, "block_args": DEEP, "fusion_stage": 0} for name in TEMPORAL_LAYERS),
    *({"model_type": f"EfficientGCN-B{k}", "scale_args": [1.0, 1.35]} for k in (2, 4)),
    *({"block_args": [[16, stride, 1], [16, 2, 1], [16, stride, 0.5]], "fusion_stage": 2} for stride in (3, 4)),
]


# ---------------------------------------------------------------- how far a network looks


@pytest.mark.parametrize("changes", FAMILY, ids=str)
def test_a_frame_changes_the_outputs_within_reach_of_it_and_no_others(monkeypatch, changes):
    """What looks at all frames looks at the first alone here, far from the frame that changes: what is left is local."""
    model = in_double_precision(small(**changes))
    model.eval()
    first = lambda layer, x: x[:, :, 0].max(axis=1).reshape([-1, x.shape[3], 1, 1])
    monkeypatch.setattr(attentions.JointAttention, "pool", first)
    reach, stride = model.frames.reach, model.main_stream.stride
    T = 6 * reach + 50
    model.frames.weights = {s: paddle.eye(-(-T // s), 1, "float64") for s in model.frames.strides}
    x, furthest = np.random.default_rng(0).normal(size=(3, 1, 6, T, 3)), 0
    before = model.streams(paddle.to_tensor(x)).numpy()
    for frame in range(T // 2, T // 2 + stride):
        changed = x.copy()
        changed[:, :, :, frame] += 9
        differ = (model.streams(paddle.to_tensor(changed)).numpy() != before).any(axis=(0, 1, 3))
        furthest = max(furthest, np.abs(np.flatnonzero(differ) * stride - frame).max(initial=0))
    assert furthest == reach


def test_b0_looks_14_frames_to_each_side_and_every_4th_in_the_end():
    from initializer import build_model
    from options.schema import load_config

    frames = build_model(load_config("2001")).frames
    assert (frames.reach, frames.strides) == (14, [1, 2, 4])


# ---------------------------------------------------------------- which frames are computed


@pytest.mark.parametrize("total", [50, 51, 288])
@pytest.mark.parametrize("step", [1, 4, 5])
def test_enough_frames_are_computed_and_those_left_out_are_a_multiple_of_step_and_strides(total, step):
    frames = Frames()
    frames.reach, frames.strides = 5, [1, 2, 6]
    for end in range(total + 1):
        needed = frames.needed(end, total, step)
        assert (total - needed) % np.lcm(step, 6) == 0 and min(total, end + 2 * 5 + 6) <= needed <= total
        assert needed < end + 2 * 5 + 6 + 2 + np.lcm(step, 6)
    assert frames.needed(total, total, step) == total


def test_a_recording_ends_where_its_features_become_constant():
    x = np.zeros((1, 2, 3, 9, 4, 6), "float32")
    x[:, 1] = 7  # features of who is not there: constant, and not 0
    x[0, 1, 2, 4, 3, 1] = 8  # one value of frame 4
    x[0, 0, 0, :, 0, 2] = np.arange(9)
    x[0, 0, 0, -1, 0, 3] = 1  # the last frame alone
    x[0, 0, 0, 0, 0, 4] = 1
    x[0, 0, 0, :, 0, 5] = np.nan  # never constant
    assert ends(x).tolist() == [[0, 5, 8, 8, 1, 9]]


def test_the_frame_that_stands_for_others_counts_once_more_for_each():
    frames = Frames()
    frames.reach, frames.strides = 2, [1, 3]
    frames.leave_out(8, 14)
    assert frames.stand_ins == {8: (5, 6), 3: (1, 2)}
    np.testing.assert_allclose(frames.weights[1].numpy()[:, 0] * 14, [1, 1, 1, 1, 1, 7, 1, 1])
    np.testing.assert_allclose(frames.weights[3].numpy()[:, 0] * 5, [1, 3, 1])
    frames.leave_out(14, 14)
    assert not frames.stand_ins and not frames.weights


@pytest.mark.parametrize("gpu", [False, True], ids=["product", "reduction"])
def test_a_mean_over_time_is_over_all_frames_those_left_out_too(monkeypatch, gpu):
    monkeypatch.setattr("model.frames.on_cpu", lambda: not gpu)
    x, frames = paddle.randn([2, 3, 8, 5], "float64"), Frames()
    np.testing.assert_allclose(frames.mean(x, 1).numpy()[..., 0], x.numpy().mean(2))
    frames.reach = 2
    frames.leave_out(8, 14)
    whole = np.concatenate([x.numpy(), np.repeat(x.numpy()[:, :, 5:6], 6, axis=2)], axis=2)
    np.testing.assert_allclose(frames.mean(x, 1).numpy()[..., 0], whole.mean(2))


def test_exported_programs_give_each_frame_a_weight():
    x, weights = paddle.randn([2, 3, 4, 5], "float64"), np.array([0.1, 0.2, 0.3, 0.4])
    found = weighted_mean(x, paddle.to_tensor(weights[:, None])).numpy()[..., 0]
    np.testing.assert_allclose(found, np.einsum("nctv,t->ncv", x.numpy(), weights))


# ---------------------------------------------------------------- evaluation


def differs(model, x, step=1):
    """(largest difference of a Runner's logits to those of all frames, relative; frames that it computed)."""
    x, run, seen = x.astype("float64"), Runner(model), frames_seen(model)
    run.step = step
    model.eval()
    with paddle.no_grad():
        found, whole = run(x).numpy(), model(paddle.to_tensor(x))[0].numpy()
    assert seen[1] == x.shape[3]
    return np.abs(found - whole).max() / np.abs(whole).max(), seen[0]


@pytest.mark.parametrize("changes", [c for c in FAMILY if c.get("kernel_size") != [9, 2]], ids=str)
def test_logits_without_the_frames_left_out_are_those_of_all_frames(changes):
    model = in_double_precision(small(**changes))
    T = 2 * model.frames.reach + 60 + len(str(changes)) % 3  # even and odd
    difference, computed = differs(model, features([[20, 7], [3, 0]], T))
    assert computed == model.frames.needed(20, T) < T - 10 and difference < 1e-13


@pytest.mark.parametrize("total", [45, 46, 47])
def test_logits_are_those_of_all_frames_at_every_length(total):
    model, computed = in_double_precision(small(block_args=[[16, 3, 1], [16, 2, 0]])), []
    for length in range(total + 1):
        difference, frames = differs(model, features([[length, 0], [length // 2, 1 if length else 0]], total))
        computed.append(frames)
        assert difference < 1e-13, length
    assert computed[0] < computed[10] < total == computed[-1]


@pytest.mark.parametrize("lengths", [[[9], [4]], [[9, 9, 4], [0, 0, 2], [0, 0, 0]], [[0, 9]], [[0, 0]]], ids=str)
def test_logits_are_those_of_all_frames_whoever_is_there(lengths):
    model = in_double_precision(small(data_shape=(3, 6, 60, 3, len(lengths[0]))))
    difference, computed = differs(model, features(lengths, 60))
    assert computed == model.frames.needed(np.max(lengths), 60) < 60 and difference < 1e-13


def test_where_the_tail_is_not_constant_all_frames_are_computed():
    model, x = small(), features([[20, 20]], 60)
    x[:, :, :, 20:40] = x[:, :, :, 40:] = x[:, :, :, :20]  # a recording that is repeated, as by x-view's preprocessing
    run, seen = Runner(model), frames_seen(model)
    model.eval()
    with paddle.no_grad():
        np.testing.assert_array_equal(run(x).numpy(), model(paddle.to_tensor(x))[0].numpy())
    assert seen == [60, 60]


@pytest.mark.parametrize("block_args", [[[16, 1, 0.5], [16, 2, 1]], [[16, 3, 1], [16, 1, 1]]], ids=str)
def test_whole_batches_have_few_sizes_and_the_logits_of_all_frames(block_args):
    model, seen = in_double_precision(small(block_args=block_args)), set()
    for length in range(0, 288, 16):
        difference, computed = differs(model, features([[length, 0]], 288), Runner(model).step)
        seen.add(computed)
        assert difference < 1e-13
    assert 3 <= len(seen) <= 9 and min(seen) < 288 // 2


def test_all_frames_are_computed_where_that_is_asked_for():
    model, x = small(), features([[5, 0]], 60)
    run, seen = Runner(model, all_frames=True), frames_seen(model)
    model.eval()
    with paddle.no_grad():
        np.testing.assert_array_equal(run(x).numpy(), model(paddle.to_tensor(x))[0].numpy())
    assert seen == [60, 60]
