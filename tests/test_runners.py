"""The network in parts side by side: the numbers of the whole batch, whatever the number of threads and of empty bodies."""

import sys
import threading

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from main import main
from processor import Trainer
from tests.helpers.small import small
from training import runners
from training.checkpoint import read_checkpoint
from training.runners import Runner, ThreadedRunner, divide


@pytest.fixture(autouse=True)
def small_parts_too(monkeypatch):
    """Batches as small as these would run whole."""
    monkeypatch.setattr(runners, "SMALLEST_PART", 1)
    monkeypatch.setattr(runners, "SMALLEST_SAVING", 1)


def features(bodies, seed=0):
    """(N, 3, 6, 8, 3, 2) for N = len(bodies) samples of so many bodies; an empty body has other features than 0, as in NTU."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(len(bodies), 3, 6, 8, 3, 2)).astype("float32")
    for sample, count in zip(x, bodies, strict=True):
        sample[..., count:] = np.linspace(0, 1, sample[0].size // 2 * 3, dtype="float32").reshape(3, 6, 8, 3)[..., None]
    return x


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


BATCHES = {"two bodies": [2] * 6, "one body": [1] * 6, "both": [1, 2, 2, 1, 1, 2], "none": [0] * 4, "one sample": [1]}


@pytest.mark.parametrize("bodies", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("layer_type", ["SG", "Bottleneck"])
def test_training_in_parts_is_training_on_the_whole_batch(bodies, count, layer_type):
    batches = [features(bodies, seed) for seed in range(3)]
    changes = {"layer_type": layer_type}
    expected, state = train(Runner(small(**changes)), batches)
    losses, left = train(ThreadedRunner(small(**changes), count), batches)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    for name, value in state.items():
        np.testing.assert_allclose(left[name], value, rtol=1e-3, atol=2e-4, err_msg=name)


@pytest.mark.parametrize("att_type", ["stja", "pa", "ca", "ja", "fa", "none"])
def test_gradients_in_parts_are_those_of_the_whole_batch(att_type):
    x = features([1, 2, 1, 2, 1])
    gradients = []
    for make in (Runner, lambda model: ThreadedRunner(model, 2)):
        run = make(small(att_type=att_type))
        run.model.train()
        for _ in range(2):  # they add up
            run.backward((run(x) * paddle.linspace(-1, 2, 4)).pow(2).mean())
        gradients.append({name: p.grad for name, p in run.model.named_parameters() if not p.stop_gradient})
    for name, gradient in gradients[0].items():
        largest = float(gradient.abs().max())
        np.testing.assert_allclose(gradients[1][name].numpy(), gradient.numpy(), atol=1e-4 * largest + 1e-5, err_msg=name)


def test_evaluation_in_parts_gives_the_logits_of_each_sample_and_keeps_no_graph():
    x = features([1, 2, 0, 2, 1])
    run = ThreadedRunner(small(), 2)
    run.model.eval()
    with paddle.no_grad():
        logits = run(x)
    assert logits.stop_gradient and not run.outs
    expected = np.concatenate([run.model(paddle.to_tensor(sample[None]))[0].numpy() for sample in x])
    np.testing.assert_allclose(logits.numpy(), expected, atol=1e-5)


def test_the_same_steps_in_parts_leave_the_same_bits():
    batches = [features([1, 2, 2, 1], seed) for seed in range(3)]
    (losses, a), (again, b) = (train(ThreadedRunner(small(), 3), batches) for _ in range(2))
    assert losses == again and all(np.array_equal(value, b[name]) for name, value in a.items())


def test_equal_bodies_are_one_row_that_counts_for_all():
    bodies = np.array([3, 7, 1, 7, 7, 5], "float32").reshape(-1, 1, 1, 1, 1)
    rows, times, place = divide(bodies, 2)
    assert [part.tolist() if isinstance(part, np.ndarray) else part for part in rows] == [[0, 2], [5], [1]]
    assert times == [1, 1, 3]
    np.testing.assert_array_equal(np.concatenate([bodies[part] for part in rows])[place], bodies)


@pytest.mark.parametrize("values", [[4], [4, 4], [1, 2], [1, 2, 3, 4, 5]])
def test_every_body_has_its_place(values):
    bodies = np.array(values, "float32").reshape(-1, 1, 1, 1, 1)
    for count in (1, 2, 8):
        rows, times, place = divide(bodies, count)
        np.testing.assert_array_equal(np.concatenate([bodies[part] for part in rows])[place], bodies)
        assert sum(len(part) * often for part, often in zip(rows, times, strict=True)) == len(values)


def test_small_batches_are_not_divided_and_large_ones_get_a_part_for_what_a_thread_is_worth(monkeypatch):
    monkeypatch.undo()
    shape = (1, 1, 288, 25)
    different = np.arange(32, dtype="float32").reshape(-1, 1, 1, 1, 1) * np.ones((1, *shape), "float32")
    parts_of = lambda bodies, most: [len(rows) for rows in divide(bodies, most)[0]]
    assert [parts_of(different[:count], 8) for count in (1, 3, 4, 32)] == [[1], [3], [2, 2], [4] * 8]
    assert parts_of(different, 2) == [16, 16]
    assert parts_of(np.concatenate([different[:4], different[:1]]), 8) == [3, 1]
    few = different[:4, :, :, :8]
    assert parts_of(np.concatenate([few, few[:1]]), 8) == [5]


@pytest.mark.parametrize("when", ["forward", "backward"])
def test_an_error_in_one_part_ends_all_and_is_the_one_that_is_raised(when, monkeypatch):
    run, x = ThreadedRunner(small(), 2), features([2, 2])
    run.model.train()
    loss = run(x).sum()
    original = runners.PartExchange.gather

    def exchange(self, part, told):
        if part == 1:
            raise MemoryError("no room")
        return original(self, part, told)

    monkeypatch.setattr(runners.PartExchange, "gather", exchange)
    with pytest.raises((MemoryError, OSError), match="no room"):
        run(x) if when == "forward" else run.backward(loss)
    monkeypatch.undo()
    run.backward(run(x).sum())  # the next batch is computed as ever
    assert threading.active_count() < 10


def test_a_run_in_parts_ends_as_a_whole_one_and_resumes_to_the_same_bits(tiny_run, monkeypatch):
    folder, argv = tiny_run

    def weights(name, smallest, *more):
        monkeypatch.setattr(runners, "SMALLEST_PART", smallest)
        monkeypatch.setattr(runners, "SMALLEST_SAVING", smallest)
        assert main([*argv, "--model_args.drop_prob=0", f"--work_dir={folder / name}", *more]) == 0
        return {key: value[1] for key, value in read_checkpoint(folder / name / "model.pdparams")["model"].items()}

    whole, in_parts, steps, original = weights("whole", 10**9), weights("parts", 1), [], Trainer.update

    def killed_at_the_fifth(self):
        steps.append(1)
        original(self) if len(steps) < 5 else sys.exit(9)

    monkeypatch.setattr(Trainer, "update", killed_at_the_fifth)
    with pytest.raises(SystemExit):
        weights("stopped", 1)
    monkeypatch.setattr(Trainer, "update", original)
    resumed = weights("stopped", 1, "-r")
    for key, value in in_parts.items():
        np.testing.assert_array_equal(resumed[key], value, err_msg=key)
        np.testing.assert_allclose(whole[key], value, atol=1e-3, err_msg=key)


