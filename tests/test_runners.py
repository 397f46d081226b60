"""The network in groups side by side: the numbers of the whole batch, whatever the number of threads and of absent bodies."""

import sys

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

import initializer
from evaluation.scores import Scores
from main import main
from model.attentions import AttentionLayer
from model.layers import SpatialGraphConv
from model.nets import EfficientGCN
from options.schema import load_config
from processor import Trainer
from tests.helpers.lengths import features
from tests.helpers.small import TINY, fill, shorten, small
from training import runners
from training.checkpoint import read_checkpoint, save_checkpoint
from training.group_norm import Exchange
from training.runners import Runner, ThreadedRunner, divide
from utils.errors import UserError
from utils.log import set_up_logging

T = 50


@pytest.fixture(autouse=True)
def small_groups_too(monkeypatch):
    """Batches as small as these would run whole."""
    monkeypatch.setattr(runners, "SMALLEST_GROUP", 1)


def network(**changes):
    return small(data_shape=(3, 6, T, 3, 2), **changes)


def batch(bodies, seed=0):
    """Features of samples with so many bodies, of unlike lengths."""
    lengths = np.random.default_rng(seed).integers(1, T - 20, (len(bodies), 2))
    return features(np.where(np.arange(2) < np.array(bodies)[:, None], lengths, 0), T, seed=seed)


def train(run, batches, learning_rate=0.05):
    """Losses of steps of Momentum on `batches`, and everything that they left in the network."""
    run.model.train()
    optimizer = paddle.optimizer.Momentum(learning_rate, 0.9, [p for p in run.model.parameters() if not p.stop_gradient])
    losses = []
    for x in batches:
        loss = F.cross_entropy(run(x), paddle.to_tensor(np.arange(len(x)) % 4))
        run.backward(loss)
        losses.append(loss.item())
        optimizer.step()
        optimizer.clear_grad(set_to_zero=False)
    return losses, {name: tensor.numpy() for name, tensor in run.model.state_dict().items()}


BATCHES = {"two bodies": [2] * 6, "one body": [1] * 6, "both": [1, 2, 2, 1, 1, 0], "one sample": [1]}


@pytest.mark.parametrize("bodies", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize(("count", "most"), [(1, 1), (1, 8), (3, 3)])
def test_steps_in_groups_are_those_on_all_frames_of_the_whole_batch(monkeypatch, bodies, count, most):
    monkeypatch.setattr(runners, "MOST_GROUPS", most)
    batches = [batch(bodies, seed) for seed in range(3)]
    expected, state = train(Runner(network(), all_frames=True), batches)
    losses, left = train(ThreadedRunner(network(), count), batches)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    for name, value in state.items():
        np.testing.assert_allclose(left[name], value, rtol=1e-3, atol=2e-4, err_msg=name)


def test_evaluation_in_groups_gives_the_logits_of_each_sample_and_keeps_no_graph():
    x = batch([1, 2, 0, 2, 1])
    run = ThreadedRunner(network(), 2)
    run.model.eval()
    with paddle.no_grad():
        logits = run(x)
    assert logits.stop_gradient and not run.outs
    expected = np.concatenate([run.model(paddle.to_tensor(sample[None]))[0].numpy() for sample in x])
    np.testing.assert_allclose(logits.numpy(), expected, atol=1e-5)


def absent(count, V=25):
    """Features (count, 1, 1, 100, V, 1) of bodies that are not there, all alike."""
    return np.ones((count, 1, 1, 100, V, 1), "float32")


def test_bodies_that_are_not_there_are_one_row_that_counts_for_all():
    groups, times, place = divide(absent(6), np.array([3, 0, 5, 0, 0, 2]), np.array([33, 30, 35, 30, 30, 32]), 8, 1)
    assert [rows.tolist() for rows in groups] == [[5], [0], [2], [1]] and times == [1, 1, 1, 3]
    assert place.tolist() == [1, 3, 2, 3, 3, 0]


def test_one_that_is_not_there_and_one_that_stands_still_are_rows_like_others():
    for count, still in ((2, ()), (3, (1,))):
        bodies, last = absent(count), np.zeros(count, int)
        bodies[list(still)] = 7
        last[0] = 4
        groups, times, place = divide(bodies, last, np.full(count, 30), 8, 1)
        assert sorted(np.concatenate(groups).tolist()) == list(range(count)) and set(times) == {1}
        np.testing.assert_array_equal(np.concatenate(groups)[place], np.arange(count))


@pytest.mark.parametrize("most", [1, 3, 8])
def test_groups_are_of_like_length_and_about_equal_work(most):
    needed = np.random.default_rng(0).integers(30, 100, 40)
    groups, times, place = divide(absent(40), needed, needed, most, 1)
    work = [needed[rows].sum() for rows in groups]
    assert len(groups) == most and times == [1] * most and max(work) - min(work) <= 2 * 100
    np.testing.assert_array_equal(np.concatenate([needed[rows] for rows in groups]), np.sort(needed))
    np.testing.assert_array_equal(np.concatenate(groups)[place], np.arange(40))


def test_small_batches_are_not_divided_and_large_ones_get_a_group_for_what_a_thread_is_worth():
    def sizes_of(count, frames):
        return [len(rows) for rows in divide(absent(count), *[np.full(count, frames)] * 2, 8, 14_400)[0]]

    assert [sizes_of(count, 288) for count in (1, 3, 4, 32)] == [[1], [3], [2, 2], [4] * 8]
    assert [sizes_of(count, 72) for count in (8, 16, 32)] == [[8], [8, 8], [8] * 4]


@pytest.mark.parametrize("when", ["forward", "backward"])
def test_an_error_in_one_group_ends_all_and_is_the_one_that_is_raised(when, monkeypatch):
    run, x = ThreadedRunner(network(), 2), batch([2, 2])
    run.model.train()
    loss = run(x).sum()
    original = Exchange.gather

    def exchange(self, group, *rest):
        if group == 1:
            raise MemoryError("no room")
        return original(self, group, *rest)

    monkeypatch.setattr(Exchange, "gather", exchange)
    with pytest.raises((MemoryError, OSError), match="no room"):
        run(x) if when == "forward" else run.backward(loss)
    monkeypatch.undo()
    run.backward(run(x).sum())  # no group waits for ever: the next batch is computed
    assert all(p.grad is not None for p in run.model.parameters() if not p.stop_gradient)


def test_a_run_in_groups_ends_as_one_on_all_frames_and_resumes_to_the_same_bits(tiny_run, monkeypatch):
    folder, argv = tiny_run
    monkeypatch.setattr(runners, "MOST_GROUPS", 3)
    for split in ("train", "eval"):
        shorten(folder / "npy" / "original" / "ntu-xsub" / f"{split}_data.npy")

    def weights(name, *more):
        options = "--model_args.drop_prob=0", "--dataset_args.ntu.num_frame=40", f"--work_dir={folder / name}"
        assert main([*argv, *options, *more]) == 0
        return {key: value[1] for key, value in read_checkpoint(folder / name / "model.pdparams")["model"].items()}

    whole, in_groups, steps, original = weights("whole", "--all_frames=true"), weights("groups"), [], Trainer.update

    def killed_at_the_fifth(self):
        steps.append(1)
        original(self) if len(steps) < 5 else sys.exit(9)

    monkeypatch.setattr(Trainer, "update", killed_at_the_fifth)
    with pytest.raises(SystemExit):
        weights("stopped")
    monkeypatch.setattr(Trainer, "update", original)
    resumed = weights("stopped", "-r")
    for key, value in in_groups.items():
        np.testing.assert_array_equal(resumed[key], value, err_msg=key)
        np.testing.assert_allclose(whole[key], value, atol=1e-3, err_msg=key)


def test_e_scores_without_the_frames_left_out_as_on_all_frames(tiny_run):
    folder, argv = tiny_run
    shorten(folder / "npy" / "original" / "ntu-xsub" / "eval_data.npy")
    model = fill(initializer.build_model(load_config("2001", TINY.items())))
    schedule = paddle.optimizer.lr.LambdaDecay(0.1, lambda step: 1)
    optimizer = paddle.optimizer.Momentum(schedule, parameters=model.parameters())
    save_checkpoint(folder / "c.pdparams", model, optimizer, schedule, epoch=0, best_state={})
    found = {}
    for all_frames in (False, True):
        options = f"--all_frames={all_frames}", f"--work_dir={folder / str(all_frames)}", "--dataset_args.ntu.num_frame=60"
        assert main([*argv, *options, "-e", "-pp", str(folder / "c.pdparams")]) == 0
        found[all_frames] = Scores.load(next((folder / str(all_frames)).glob("temp/*/scores.npz")))
    assert found[False].names == found[True].names
    difference = np.abs(found[False].logits - found[True].logits).max()
    assert 0 < difference <= 1e-5 * np.abs(found[True].logits).max()


class Squeeze(paddle.nn.Layer):
    def __init__(self, channels, layer):
        super().__init__()
        self.own = layer(channels)

    def forward(self, x):
        return self.own(x.mean([2, 3])).unsqueeze([2, 3])


class Doubled(EfficientGCN):
    def forward(self, x):
        logits, feature_map = super().forward(x)
        return 2 * logits, feature_map


class Dropped(EfficientGCN):
    def forward(self, x):
        logits, feature_map = super().forward(F.dropout(x, 0.5, training=self.training))
        return logits, feature_map


LAYERS = {"batch norm": paddle.nn.BatchNorm1D, "dropout": lambda channels: paddle.nn.Dropout(0.5)}
NETWORKS = {"forward": Doubled, "functional dropout": Dropped}


@pytest.mark.parametrize("own", [*LAYERS, *NETWORKS])
def test_a_layer_of_a_user_s_own_that_groups_would_compute_wrongly_runs_whole_and_is_named(small_network, own, capsys):
    set_up_logging()
    model = small_network()
    if own in NETWORKS:
        model.__class__ = NETWORKS[own]
    else:
        attention = next(layer for layer in model.sublayers() if isinstance(layer, AttentionLayer))
        attention.att = Squeeze(attention.bn._num_features, LAYERS[own])
    model.train()
    shape = (4, model.num_branches, model.input_branches[0].init_bn._num_features, 8, model.num_joints, model.num_bodies)
    x, found = np.random.default_rng(0).standard_normal(shape, "float32"), []
    for runner in (Runner(model), ThreadedRunner(model, 2)):
        paddle.seed(5)
        found.append(runner(x).numpy())
    np.testing.assert_array_equal(*found)
    assert (f"{NETWORKS[own].__name__}.forward" if own in NETWORKS else ".own (") in capsys.readouterr().out


def test_a_functional_dropout_within_a_layer_is_refused(monkeypatch):
    run, x = ThreadedRunner(network(), 2), batch([2, 2])
    run.model.train()
    run(x)
    forward = SpatialGraphConv.forward
    monkeypatch.setattr(SpatialGraphConv, "forward", lambda self, x: F.dropout(forward(self, x), 0.5, training=self.training))
    run.model.eval()
    run(x)
    run.model.train()
    with pytest.raises(UserError, match=r"a layer draws random numbers .*with paddle.nn.Dropout"):
        run(x)


@pytest.mark.parametrize(("shortest", "groups"), [(T, 2), (T - 30, 8)])
def test_bodies_of_one_length_are_as_many_groups_as_threads(shortest, groups):
    lengths = np.full((8, 1), T)
    lengths[0] = shortest
    runner = ThreadedRunner(small(data_shape=(3, 6, T, 3, 1)), 2)
    runner.model.train()
    runner(features(lengths, T))
    assert len(runner.exchange.times) == groups
