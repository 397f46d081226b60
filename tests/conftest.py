"""Shared fixtures. Golden outputs of the published system lie outside the repository; tests that need them skip without."""

import numpy as np
import pytest
from hypothesis import settings

from tests.helpers.places import GOLDEN, PUBLISHED
from tests.helpers.small import prepare_run, small
from utils.process import start_paddle

start_paddle()
settings.register_profile("same every time", derandomize=True)
settings.load_profile("same every time")


@pytest.fixture(scope="session")
def golden():
    """golden(name) -> arrays of ../shared/golden/NAME.npz, read once."""
    cache = {}

    def load(name):
        path = GOLDEN / f"{name}.npz"
        if not path.is_file():
            pytest.skip(f"{path} is absent")
        if name not in cache:
            with np.load(path, allow_pickle=False) as arrays:
                cache[name] = dict(arrays)
        return cache[name]

    return load


@pytest.fixture(scope="session")
def published():
    """Path of the published x-sub checkpoint."""
    if not PUBLISHED.is_file():
        pytest.skip(f"{PUBLISHED} is absent")
    return PUBLISHED


@pytest.fixture
def small_network():
    """small_network(**changes) -> a network as `small` makes it."""
    return small


@pytest.fixture
def tiny_run(tmp_path):
    """(folder, command line) of `prepare_run`."""
    return tmp_path, prepare_run(tmp_path)
