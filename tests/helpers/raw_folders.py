"""Folders of raw recordings, as generator.py reads them."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.skeleton_corpus import skeleton_bytes

DATASET = "ntu-xsub"


def write_raw(folder, names, bodies=(1, 0, 2, 1)):
    """Right files of these names, each with its own content; `bodies` are those of each frame."""
    folder.mkdir(exist_ok=True)
    for seed, name in enumerate(names):
        (folder / f"{name}.skeleton").write_bytes(skeleton_bytes(seed, bodies))
    return folder


def some_names(count):
    """Names of which performer 1 trains and 3 evaluates; two cameras."""
    return [f"S001C00{1 + i % 2}P00{(1, 3)[i // 2 % 2]}R001A{1 + i // 4:03}" for i in range(count)]


def contents(folder):
    """{path within the folder: bytes} of all files below it."""
    files = (path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def load(folder, split):
    return np.load(folder / f"{split}_data.npy"), pickle.loads((folder / f"{split}_label.pkl").read_bytes())


@pytest.fixture
def raw(tmp_path):
    return write_raw(tmp_path / "raw", some_names(8))


