"""The four data sets of NTU RGB+D (60) and NTU RGB+D 120: their files, and which samples train."""

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from dataset.actions import read_names
from utils.errors import UserError

from .ntu_reader import SkeletonError, parse_name


class DataSet(NamedTuple):
    """A data set: what belongs to it, and who trains (Shahroudy et al., CVPR 2016; Liu et al., TPAMI 2019)."""

    num_classes: int
    num_setups: int
    raw_folders: list  # keys of the config that name the folders with its .skeleton files
    field: str  # the part of a sample's name that splits it
    training: list  # that part's values that train; all others evaluate
    num_samples: dict  # official number of samples by split, those of ignore.txt left out

    def split(self, sample):
        """'train' or 'eval', the split of a SampleName; None where it is none of the data set's recordings."""
        if sample.setup > self.num_setups:
            return None
        return "train" if getattr(sample, self.field) in self.training else "eval"


_TABLE = yaml.safe_load(Path(__file__).with_name("splits.yaml").read_text(encoding="utf-8"))
DATA_SETS = {name: DataSet(**row) for name, row in _TABLE.items()}


@cache
def ignored_names():
    """Names, without ending, of the recordings whose skeletons are missing or incomplete (reader/ignore.txt)."""
    return frozenset(read_names(Path(__file__).with_name("ignore.txt")))


def parse_names(names):
    """Yield (place, SampleName) of those of `names` that are NTU RGB+D's."""
    for place, name in enumerate(names):
        with suppress(SkeletonError):
            yield place, parse_name(name)


def check_labels(names, labels, path):
    """Raise UserError where labels of a file contradict the Axxx of the names that are NTU RGB+D's."""
    if wrong := [i for i, sample in parse_names(names) if sample.action != labels[i] + 1]:
        first = f"{names[wrong[0]]} has label {labels[wrong[0]]}, which is A{labels[wrong[0]] + 1:03d}"
        found = f"{len(wrong)} of {len(names)} labels contradict the names, the first: {first}"
        raise UserError(f"{path}: {found}; correct the file, or add --trust_labels true")
