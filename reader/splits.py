"""The four data sets of NTU RGB+D (60) and NTU RGB+D 120: their files, and which samples train."""

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from utils.errors import UserError

from .ntu_reader import SkeletonError, parse_name

SPLITS = ("train", "eval")

_PERFORMERS_60 = "1 2 4 5 8 9 13 14 15 16 17 18 19 25 27 28 31 34 35 38"
_PERFORMERS_120 = f"""{_PERFORMERS_60} 45 46 47 49 50 52 53 54 55 56 57 58 59 70 74 78 80 81 82 83 84 85 86 89 91 92 93 94 95 97
    98 100 103"""


def _numbers(text):
    return frozenset(map(int, text.split()))


class DataSet(NamedTuple):
    """A data set: what belongs to it, and who trains (Shahroudy et al., CVPR 2016; Liu et al., TPAMI 2019)."""

    num_classes: int
    num_setups: int
    raw_folders: tuple  # keys of the config that name the folders with its .skeleton files
    field: str  # the part of a sample's name that splits it
    training: frozenset  # that part's values that train; all others evaluate
    num_samples: dict  # official number of samples by split, those of ignore.txt left out

    def holds(self, sample):
        """Whether the SampleName is one of its recordings."""
        return sample.setup <= self.num_setups

    def is_train(self, sample):
        """Whether the SampleName belongs to the training side."""
        return getattr(sample, self.field) in self.training


_NTU60 = (60, 17, ("ntu60_path",))
_NTU120 = (120, 32, ("ntu60_path", "ntu120_path"))

DATA_SETS = {
    "ntu-xsub": DataSet(*_NTU60, "performer", _numbers(_PERFORMERS_60), {"train": 40091, "eval": 16487}),
    "ntu-xview": DataSet(*_NTU60, "camera", frozenset({2, 3}), {"train": 37646, "eval": 18932}),
    "ntu-xsub120": DataSet(*_NTU120, "performer", _numbers(_PERFORMERS_120), {"train": 63026, "eval": 50919}),
    "ntu-xset120": DataSet(*_NTU120, "setup", frozenset(range(2, 33, 2)), {"train": 54468, "eval": 59477}),
}


@cache
def ignored_names():
    """Names, without ending, of the recordings whose skeletons are missing or incomplete (reader/ignore.txt)."""
    lines = Path(__file__).with_name("ignore.txt").read_text(encoding="ascii").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def check_labels(names, labels, path):
    """Raise UserError where labels of a file contradict the Axxx of the names that are NTU RGB+D's."""
    wrong = []
    for name, label in zip(names, labels, strict=True):
        with suppress(SkeletonError):
            if parse_name(name).action != label + 1:
                wrong.append(f"{name} has label {label}, which is A{label + 1:03d}")
    if wrong:
        found = f"{len(wrong)} of {len(names)} labels contradict the names, the first: {wrong[0]}"
        raise UserError(f"{path}: {found}; correct the file, or add --trust_labels true")
