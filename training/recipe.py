"""What a training run is made of: its data, its recipe, its output."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import paddle

from .recorder import Recorder


@dataclass
class Data:
    """Loaders of what is trained on and of what is scored."""

    train: Iterable
    eval: Iterable
    class_names: list


@dataclass
class Recipe:
    """How weights change: `accumulate` batches make one step of `optimizer` and `schedule`; `evaluates_after(epoch)`: score then.

    Randomness follows from (seed, epoch, batch, rank). `amp`: None or the arguments of paddle.amp.auto_cast.
    """

    optimizer: paddle.optimizer.Optimizer
    schedule: paddle.optimizer.lr.LRScheduler
    max_epoch: int
    evaluates_after: Callable
    seed: int
    accumulate: int = 1
    amp: dict | None = None
    skip_nonfinite: bool = False


@dataclass
class Output:
    """Where a run writes, how often it saves within an epoch (0: only at its end), what it shows; how it says to resume."""

    folder: Path
    recorder: Recorder
    checkpoint_minutes: float = 0
    bar: bool = False
    resume_with: str = "the same command and -r"
