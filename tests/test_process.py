"""How many threads compute."""

import os

import pytest

from utils.process import cores, threads


@pytest.mark.parametrize("processes, share", [(1, 4), (2, 2), (3, 1), (9, 1)])
def test_processes_that_the_launcher_started_share_the_cores(monkeypatch, processes, share):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(4), raising=False)
    monkeypatch.setenv("PADDLE_LOCAL_SIZE", str(processes))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert cores() == threads() == share


@pytest.mark.parametrize("text, count", [("3", 3), ("2,1", 2), ("0", 1), ("", None), ("many", None)])
def test_threads_are_those_of_the_environment_or_the_cores(monkeypatch, text, count):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert threads() == (count or cores())
