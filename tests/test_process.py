"""How many threads compute."""

import pytest

from utils.process import cores, threads


@pytest.mark.parametrize("text, count", [("3", 3), ("2,1", 2), ("0", 1), ("", None), ("many", None)])
def test_threads_are_those_of_the_environment_or_the_cores(monkeypatch, text, count):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert threads() == (count or cores())
