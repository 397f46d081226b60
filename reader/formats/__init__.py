"""Forms that others pass recordings around in; reader/recordings.py tells them apart. What all have in common is here."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from utils import damage

LARGEST, MOST_VALUES = 128 << 20, 1 << 28  # bytes of a file, values of a recording
HEAD = 512  # bytes that tell a file's kind
_KINDS = yaml.safe_load(Path(__file__).with_name("kinds.yaml").read_text(encoding="utf-8"))

# What may have been done to recordings before they came here
CENTRED = "moved to the first frame's spine already"
DENOISED = "freed of noisy bodies and empty frames already"
NORMALISED = "view-normalised and padded by repeating already"
STORED = "laid out as a data set already"  # nothing more is done to it than to cut and pad

usable = partial(damage.usable, otherwise="not usable ({}); docs/custom_data.md has the forms")  # of a file or recording by name


class Recording(NamedTuple):
    """`coordinates` with the axes that `axes` names by their letters, or a function that gives them; None: it has none.

    `label`: a number or a class name, None: not known; `splits`: names of splits; `skeleton`: its layout (a name in
    configs/graphs) where the form has one; `done`: what has been done to it already; `rate`: frames a second, where they are
    known; `span`: its frames (start, end), where it is a part of one.
    """

    name: str
    coordinates: np.ndarray | Callable | None
    axes: str = "CTVM"
    skeleton: str | None = None
    done: tuple = ()
    label: int | str | None = None
    splits: tuple = ()
    rate: float | None = None
    span: tuple | None = None


def kind_of(head):
    """`an MP4 video; what to do` of a file's first bytes; None where they are not known."""
    return next((f"{what}; {do}" for start, at, what, do in _KINDS if head.startswith(start.encode("latin1"), at)), None)
