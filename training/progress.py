"""How far a run is: sums of an epoch, and what a checkpoint says of where to resume. No Paddle."""

from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import numpy as np

from utils.errors import UserError


class Sums(NamedTuple):
    """Of the batches of a stretch of training, over all ranks: loss times samples, samples, hits, batches left out."""

    loss: float = 0.0
    samples: float = 0.0
    top1: float = 0.0
    top5: float = 0.0
    left_out: float = 0.0

    def plus(self, other):
        return Sums(*(a + b for a, b in zip(self, other, strict=True)))

    def means(self, prefix=""):
        """{loss, top1, top5} of a sample, without those that were left out; empty where every batch was."""
        return {prefix + key: getattr(self, key) / self.samples for key in ("loss", "top1", "top5") if self.samples}


@dataclass
class Progress:
    """Of the epoch at work: batches done, sums over all of them and since the last report; seconds since the run began."""

    step: int = 0
    epoch: Sums = field(default_factory=Sums)
    window: Sums = field(default_factory=Sums)
    seconds: float = 0.0
    world: int = 1  # processes
    metrics: int = 0  # bytes of metrics.jsonl

    def __post_init__(self):
        self.epoch, self.window = Sums(*self.epoch), Sums(*self.window)  # a checkpoint has lists

    def count(self, sums):
        """One more batch, of these Sums."""
        self.step, self.epoch, self.window = self.step + 1, self.epoch.plus(sums), self.window.plus(sums)

    def plain(self):
        """As a checkpoint keeps it: numbers and lists."""
        return {**asdict(self), "epoch": list(self.epoch), "window": list(self.window)}


FORM = Progress().plain()


@dataclass
class ResumeState:
    """Where a run stands: index (from 0) of the last finished epoch, -1: none; best scores; Progress of the next epoch."""

    epoch: int = -1
    best: dict | None = None
    progress: Progress | None = None
    scaler: dict | None = None  # of the loss, in mixed precision

    @property
    def has_steps(self):
        """Whether a step was made: then there is state of the optimizer."""
        return self.epoch >= 0 or bool(self.progress and self.progress.step)

    @classmethod
    def of(cls, checkpoint, path):
        """The state that a checkpoint's dict holds; raises UserError where its values are odd."""
        epoch, best, progress, scaler = (checkpoint.get(key) for key in ("epoch", "best_state", "progress", "scaler"))
        kinds = (int, float, np.number, np.ndarray)
        good = {
            "epoch": (type(epoch) is int and epoch == -1) or _like(epoch, 0),
            "best_state": best is None or (_like(best, {"acc_top1": 0.0, "acc_top5": 0.0}) and isinstance(best.get("cm"), kinds)),
            "progress": progress is None or _like(progress, FORM),
            "scaler": scaler is None or (isinstance(scaler, dict) and all(isinstance(v, kinds) for v in scaler.values())),
        }
        for key in (key for key in good if not good[key]):
            raise UserError(f"{path}: {key} is not what a training run saves; start from its weights: -pp, without -r")
        return cls(int(epoch), best, progress and Progress(**{key: progress[key] for key in FORM}), scaler)


def _like(value, form):
    """Whether a value has the keys, lengths and kinds of numbers of `form`, and no number is negative or absurdly large."""
    if isinstance(form, dict):
        return isinstance(value, dict) and all(_like(value.get(key), inner) for key, inner in form.items())
    if isinstance(form, list):
        return isinstance(value, list) and len(value) == len(form) and all(map(_like, value, form))
    kinds = (int, np.integer) if isinstance(form, int) else (int, float, np.integer, np.floating)
    return isinstance(value, kinds) and not isinstance(value, bool) and 0 <= value <= 2**53
