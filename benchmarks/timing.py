"""Measures sides in turn (A B A B ...), each in a process of its own, all in one environment; medians, spreads, rows of a table.

Frameworks bring their own thread libraries and allocators' habits, and would disturb each other in one process.
"""

import argparse
import contextlib
import multiprocessing
import os
import platform
import re
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from utils.process import cores

PAUSE = 0.3  # seconds before each measurement: threads of the side before stop spinning


def processor():
    """The processor's name."""
    cpu = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", cpu.read_text()) if cpu.exists() else []
    return names[0] if names else platform.processor()


def environment():
    """Variables that give every side what utils.start_paddle gives Paddle: threads, MKL's code path on AMD, memory kept."""
    amd = {"MKL_DEBUG_CPU_TYPE": "5"} if "AMD" in processor() else {}
    threads = {"OMP_NUM_THREADS": str(cores()), "MKL_NUM_THREADS": str(cores())}
    return {**threads, **amd, "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_ARENA_MAX": "1"}


@contextlib.contextmanager
def started(factory, *arguments):
    """Yield a side: a function that calls what `factory(*arguments)` returns in a process of its own -> (seconds, its value).

    Factories are top-level functions; heavy imports belong inside.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=_prepare, initargs=(factory, arguments)) as process:
        try:
            process.submit(os.getpid).result()  # all is imported and built
            yield lambda: process.submit(_measure).result()
        except BrokenProcessPool:
            raise SystemExit(f"error: {factory.__name__}{arguments} ended; its own message stands above") from None


def _prepare(factory, arguments):
    """In the process of a side: what it is to call."""
    global _run  # noqa: PLW0603 (a process is one side)
    _run = factory(*arguments)


def _measure():
    start = time.perf_counter()
    value = _run()
    return time.perf_counter() - start, value


@dataclass
class Taken:
    """What one side took: seconds of each call that counts, and the values of all calls."""

    seconds: list = field(default_factory=list)
    values: list = field(default_factory=list)


def in_turn(sides, repeats, warm_up=1):
    """{name: Taken} of {name: (factory, *arguments)}: all started, then called in turn, `warm_up` + `repeats` times each."""
    taken = {name: Taken() for name in sides}
    with contextlib.ExitStack() as stack:
        calls = {name: stack.enter_context(started(*side)) for name, side in sides.items()}
        for round_number in range(warm_up + repeats):
            for name, call in calls.items():
                time.sleep(PAUSE)
                seconds, value = call()
                taken[name].values.append(value)
                if round_number >= warm_up:
                    taken[name].seconds.append(seconds)
    return taken


def one_at_a_time(sides, rounds, calls):
    """The same, one side alive at a time: each is started, called and ended in each round; rounds * calls count."""
    taken = {name: Taken() for name in sides}
    for name, side in [*sides.items()] * rounds:
        more = in_turn({name: side}, calls)[name]
        taken[name].seconds += more.seconds
        taken[name].values += more.values
    return taken


def several(calls, factory, *arguments):
    """Side: so many calls of another one; the value is the last call's."""
    run = factory(*arguments)

    def turn():
        for _ in range(calls):
            value = run()
        return value

    return turn


def python(*words):
    """Side: a command from the start of Python to its end."""
    return lambda: subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL).returncode


def once(factory, *arguments):
    """(seconds, value) of one call."""
    with started(factory, *arguments) as side:
        return side()


# ---------------------------------------------------------------- what was measured


def shown(value):
    """Three digits that count, as people read them: 0.123, 12.3, 2,700."""
    return f"{value:.3g}" if abs(value) < 999.5 else f"{float(f'{value:.3g}'):,.0f}"


@dataclass
class Measured:
    """One side: values of its repeats, the unit they have, and what a reader must know of it."""

    side: str
    values: list
    unit: str
    note: str = ""

    @property
    def median(self):
        return median(self.values)

    def text(self):
        """Median, and the spread as lowest to highest."""
        low, high = min(self.values), max(self.values)
        return f"{shown(self.median)} {self.unit}" + (f" ({shown(low)} to {shown(high)})" if len(self.values) > 1 else "")


@dataclass
class Report:
    """What one program found."""

    command: str
    sides: list = field(default_factory=list)
    rows: list = field(default_factory=list)
    notes: list = field(default_factory=list)

    def add(self, side, values, unit, note=""):
        """Take in a side; returns it."""
        self.sides.append(Measured(side, [float(value) for value in values], unit, note))
        print(f"  {side:50} {self.sides[-1].text()}  {note}", flush=True)
        return self.sides[-1]

    def compare(self, job, ours, other, wanted, aim=None, at_most=False):
        """A row for the ratio of two sides' medians: the rates' (ours / other), or the times' the other way round."""
        slow, fast = (ours, other) if at_most or ours.unit.endswith("/s") else (other, ours)
        self.row(job, ours.text(), f"{other.side}: {other.text()}", slow.median / fast.median, wanted, aim, at_most)

    def row(self, job, ours, other, value, wanted, aim=None, at_most=False, unit="x"):
        """A demand: `value` must be at least `wanted` (at most, where `at_most`; None: no demand); `aim` is hoped for."""
        asked = [] if wanted is None else [f"{'at most' if at_most else 'at least'} {wanted:g} {unit}"]
        asked += [] if aim is None else [f"aim {aim:g} {unit}"]
        verdict = "measured only"
        if wanted is not None:
            verdict = "holds" if (value <= wanted if at_most else value >= wanted) else "DOES NOT HOLD"
        self.rows.append((job, ours, other, f"{shown(value)} {unit}", ", ".join(asked), verdict))
        print(f"  => {job}: {shown(value)} {unit} ({', '.join(asked)}): {verdict}", flush=True)

    def note(self, text):
        self.notes.append(text)
        print(f"  {text}", flush=True)


def start(name, doc, repeats, argv, **more):
    """(options, Report) of the benchmark module `name`; `more` are further options: name=(default, help)."""
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=doc.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=repeats, help=f"of each side (default {repeats})")
    parser.add_argument("--quick", action="store_true", help="little work, to try the program: its figures mean nothing")
    for key, (default, text) in more.items():
        kind = str if default is None else type(default)
        parser.add_argument(f"--{key}", type=kind, default=default, help=f"{text} (default {default})")
    options = parser.parse_args(argv)
    if options.quick:
        options.repeats = 1
    given = [f"--{key} {getattr(options, key)}" for key in more if getattr(options, key) is not None]
    command = " ".join([f"python -m {name} --repeats {options.repeats}", *given, *["--quick"] * options.quick])
    os.environ.update(environment())  # for all processes started from here on
    print(command, flush=True)
    return options, Report(command)
