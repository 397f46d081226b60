"""Figures of steps: what they are, that nothing waits for them on a GPU, and that a run read late is the run read at once."""

import re
import signal

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

import processor
from evaluation.scores import Scores
from tests.helpers.runs import end_state, final, run, run_folder
from training import device
from training.checkpoint import read_checkpoint
from training.collectives import send_figures
from utils.errors import UserError

SEVEN = ["--dataset_args.ntu.train_batch_size=2"]  # steps an epoch


@pytest.fixture
def late(monkeypatch):
    """Runs read their figures a step late, as on a GPU."""
    monkeypatch.setattr(processor, "on_gpu", lambda: True)


def test_figures_are_the_loss_the_samples_and_the_hits_of_a_batch():
    rng = np.random.default_rng(0)
    logits = rng.integers(0, 4, (64, 9)).astype("float32")  # many are equal
    labels = rng.integers(0, 9, 64)
    scores, batch = Scores([], labels, logits), (paddle.to_tensor(logits), paddle.to_tensor(labels))
    loss = F.cross_entropy(*batch)
    found = send_figures(loss, *batch, 3, True)()
    assert found == [loss.item() * 64, 64, scores.hits(1).sum(), scores.hits(5).sum(), 0, 3, 1]
    assert send_figures(loss * np.float32("nan"), *batch)()[4] == 1


def test_on_a_gpu_figures_are_copied_at_once_and_waited_for_where_they_are_read(monkeypatch):
    order = []

    class Event:
        def record(self):
            order.append("recorded")

        def synchronize(self):
            order.append("waited")

    monkeypatch.setattr(device, "on_gpu", lambda: True)
    monkeypatch.setattr(paddle, "CUDAPinnedPlace", lambda: "pinned memory")
    monkeypatch.setattr(paddle.device.cuda, "Event", Event)
    monkeypatch.setattr(paddle.Tensor, "_copy_to", lambda tensor, *how: order.append(how) or tensor)
    first, second = (send_figures(paddle.ones([]), paddle.ones([2, 5]), paddle.zeros([2], "int64"), step) for step in (1, 2))
    sent = [("pinned memory", False), "recorded"]
    assert order == 2 * sent and first()[-1] == 1 and second()[-1] == 2 and order == [*sent, *sent, "waited", "waited"]


@pytest.mark.parametrize(
    "minutes, steps",
    [
        (0, "saved launched" + 6 * " launched read" + " read"),
        (1e-9, 3 * "saved launched launched read read " + "saved launched read"),
    ],
)
def test_between_two_steps_nothing_is_read_and_all_is_before_it_is_written(tiny_run, late, monkeypatch, minutes, steps):
    order, inside, launch = [], [], processor.Trainer.forward_backward

    def note(owner, name, word):
        """Have a method leave `word` in `order`, and nothing of what it does itself."""
        original = getattr(owner, name)

        def noted(*given, **named):
            if not inside:
                order.append(word)
            inside.append(name)
            try:
                return original(*given, **named)
            finally:
                inside.pop()

        monkeypatch.setattr(owner, name, noted)

    for name in ("numpy", "item", "tolist", "__float__", "__bool__", "__int__", "__array__"):
        note(paddle.Tensor, name, "read")
    note(processor.Trainer, "save", "saved")
    note(processor.Trainer, "report", "reported")
    monkeypatch.setattr(processor.Trainer, "forward_backward", lambda *a: order.append("launched") or launch(*a))
    run([*tiny_run[1], *SEVEN, "--scheduler_args.cosine.max_epoch=1", "--clip_norm=1", f"--checkpoint_minutes={minutes}"])
    assert " ".join(order[order.index("saved") : order.index("reported") + 2]) == steps + " reported saved"


def masked(text):
    """Lines of a log without times."""
    return re.sub(
        r"\d{4}-\d\d-\d\d[ _]\d\d.\d\d.\d\d(,\d+)?|(cost|Speed|ips|[Tt]ime): ?[\d.]+(d-\S+)?|, in \d+ (s|min|h)\b", "", text
    )


def test_a_run_read_late_is_the_one_read_at_once_and_resumes_to_the_same_bits(tiny_run, monkeypatch, capsys):
    folder, argv = tiny_run
    argv, logs, done = [*argv, *SEVEN, "--scheduler_args.cosine.max_epoch=2", "--accumulate=2"], [], []
    update = processor.Trainer.update
    stopped = lambda self: update(self) or done.append(1) or done[1:] or signal.raise_signal(signal.SIGTERM)
    monkeypatch.setattr(processor, "LOG_EVERY", 5)
    for name, late in (("once", False), ("late", True), ("stopped", True)):
        monkeypatch.setattr(processor, "on_gpu", lambda late=late: late)
        place = ["--work_dir", folder / name]
        if name == "stopped":
            monkeypatch.setattr(processor.Trainer, "update", stopped)
            with pytest.raises(SystemExit):
                run([*argv, *place])
            # asked in the figures of batch 3, which are read when batch 4 is launched
            assert read_checkpoint(run_folder(folder / name) / "last.pdparams")["progress"]["step"] == 4
            place.append("-r")
        run([*argv, *place])
        logs.append(masked(capsys.readouterr().out).replace(f"/{name}", "/"))
    assert logs[0] == logs[1]
    for name in ("late", "stopped"):
        np.testing.assert_equal(end_state(folder / name), end_state(folder / "once"))


def test_a_loss_that_is_not_finite_is_told_late_by_its_own_step_and_nothing_is_saved_after_it(tiny_run, late, monkeypatch):
    folder, argv = tiny_run
    steps, original = [], processor.Trainer.forward_backward

    def forward_backward(self, features, labels, indices):
        steps.append([self.data.train.feeder.names[i] for i in indices])
        original(self, features * np.float32("nan" if len(steps) == 9 else 1), labels, indices)

    monkeypatch.setattr(processor.Trainer, "forward_backward", forward_backward)
    with pytest.raises(UserError, match="epoch 2, batch 2: loss is not finite") as error:
        run([*argv, *SEVEN])
    assert len(steps) == 10 and f"samples {', '.join(steps[8])};" in str(error.value)
    weights, _, place = final(folder / "work")
    assert all(np.isfinite(value).all() for value in weights.values())
    assert read_checkpoint(place / "last.pdparams")["epoch"] == 0
