"""Faults of -gd: kills, dying and starving workers, two at once."""

import contextlib
import os
import resource
import signal
import time
from pathlib import Path

from generator import generate
from tests.helpers.raw_folders import contents as file_contents
from tests.helpers.raw_folders import some_names, write_raw
from tests.torture.faults import DATASET, Trial, finish, group_ends, refused, run, start


class Generation:
    """A small data set in place, and a command that would replace it by a larger one."""

    name = "-gd"

    def __init__(self, place, files=240):
        self.few, self.many = write_raw(place / "few", some_names(4), (1, 2)), write_raw(place / "many", some_names(files), (1, 2) * 5)
        self.root, self.folder = place / "root", place / "root" / "original" / DATASET
        self.second = ["tests/torture/main_with_workers.py", "-c", "2001", "-gd", "-np", f"--work_dir={place / 'gd_work'}"]
        self.second += [f"--dataset_args.ntu.ntu60_path={self.many}", f"--dataset_args.ntu.root_folder={self.root}"]
        begun = time.perf_counter()
        assert run(self.second).code == 0
        self.seconds, self.new = time.perf_counter() - begun, file_contents(self.folder)
        self.reset()
        self.old = file_contents(self.folder)

    def reset(self):
        generate(DATASET, [self.few], self.root, False, workers=1)

    def lost(self, code, tidy):
        """What was lost, before and after the next run."""
        found = file_contents(self.folder) if self.folder.exists() else None
        if found not in (self.old, self.new) and not self.folder.with_name(f".{DATASET}.old").exists():
            return "the data set is not whole"
        if code == 0 and found != self.new:
            return "it said that it was done"
        if tidy and os.listdir(self.folder.parent) != [DATASET]:
            return f"left behind: {os.listdir(self.folder.parent)}"
        self.reset()
        if os.listdir(self.folder.parent) != [DATASET] or file_contents(self.folder) != self.old:
            return f"not as new after the next run: {os.listdir(self.folder.parent)}"
        return None


def children(pid):
    """Process numbers of a process' children that are workers."""
    found = []
    for entry in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(OSError):
            if b"spawn_main" in Path(f"/proc/{entry}/cmdline").read_bytes():
                found.append(int(entry))
    return found


def strike_worker(rng, set_up, memory):
    """Kill a worker of -gd at a random moment, or take its memory away."""
    process = start(set_up.second)
    while process.poll() is None and not children(process.pid):
        time.sleep(0.005)
    time.sleep(rng.uniform(0.05, 0.3) if memory else rng.uniform(0, set_up.seconds))
    with contextlib.suppress(ProcessLookupError, IndexError, FileNotFoundError):
        victim = rng.choice(children(process.pid))
        if memory:
            resource.prlimit(victim, resource.RLIMIT_AS, (1 << 20, 1 << 20))
        else:
            os.kill(victim, signal.SIGKILL)
    ended = finish(process)
    problem = "left processes behind" if not group_ends(process.pid) else None
    if ended.code != 0:  # a worker that can't even start may say so before
        problem = problem or refused(ended._replace(err=ended.err.splitlines()[-1] if memory else ended.err), "memory")
    problem = problem or set_up.lost(ended.code, True)
    return Trial("worker out of memory" if memory else "worker killed", "-gd", "", problem, ended.code != 0)


def kill_worker(rng, set_up):
    return strike_worker(rng, set_up, memory=False)


def starve_worker(rng, set_up):
    return strike_worker(rng, set_up, memory=True)


def two_generations(rng, set_up):
    first = start(set_up.second)
    while first.poll() is None and not set_up.folder.with_name(f".{DATASET}.new").exists():
        time.sleep(0.005)
    second = run(set_up.second)
    ended = finish(first)
    problem = refused(second, "another process is writing there") if second.code else None
    problem = problem or (None if ended.code == 0 else f"the first: exit code {ended.code} {ended.err[-300:]}")
    return Trial("two at once", "-gd", "", problem or set_up.lost(0, True))
