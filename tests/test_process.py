"""How many threads compute, and signals that wait."""

import os
import signal

import pytest

from utils.process import cores, signals_later, threads


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_wait_for_the_end_of_what_does_not_survive_them(number):
    seen, old = [], {number: signal.getsignal(number)}
    signal.signal(number, lambda number, _: seen.append(number))
    try:
        with signals_later():
            signal.raise_signal(number)
            assert seen == []
        assert seen == [number]
    finally:
        signal.signal(number, old[number])


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
