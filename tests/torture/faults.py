"""What all faults brought upon the real commands (faults_*.py) share: processes, signals, and what is wrong with an end.

A fault is a function of a random.Random and a set-up, in a folder that `attempts.prepare` filled (the working directory); it
returns Trials.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tests.helpers.places import ROOT, environment

DATASET = "ntu-xsub"
SIGNALS = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}  # and the exit code of what they end
PATHS = {"convert_weights.py": "tools/convert_weights.py", "import_data.py": "tools/import_data.py"}
HUNG = 60  # seconds without an end


class Trial(NamedTuple):
    """One fault: what was done to which command, where or when, what was lost or wrong (None: nothing), whether it struck."""

    fault: str
    command: str
    detail: str
    problem: str | None
    struck: bool = True  # False where the command was done before


class Ended(NamedTuple):
    """A command that came to its end."""

    code: int
    out: str
    err: str


def start(command, before=lambda: None, **options):
    """The command at work, as a user starts it, in a process group of its own; `before` is called in it first."""

    def prepare():
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it
        before()

    program = [sys.executable, str(ROOT / PATHS.get(command[0], command[0])), *map(str, command[1:])]
    options = {"env": environment(), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen(program, start_new_session=True, preexec_fn=prepare, **options)  # noqa: PLW1509 (no threads here)


def finish(process, seconds=HUNG):
    """Ended of a process; one that hangs is killed and has the code None."""
    try:
        out, err = process.communicate(timeout=seconds)
        code = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        code = None
    return Ended(code, out, err)


def run(command, **options):
    return finish(start(command, **options))


def minds_signals(process):
    """Whether the command is past Python's own start and has put its handlers in place."""
    with contextlib.suppress(OSError, StopIteration):
        status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        caught = next(line for line in status if line.startswith("SigCgt:"))
        return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return process.poll() is not None


def kill(process, number, delay):
    """Send a signal `delay` seconds after the start (SIGKILL) or after the command minds signals (the others)."""
    while number != signal.SIGKILL and process.poll() is None and not minds_signals(process):
        time.sleep(0.005)
    time.sleep(delay)
    if process.poll() is None:  # Ctrl-C in a terminal goes to the whole group
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    return finish(process)


def group_ends(group, seconds=20):
    """Whether all processes of a group have ended in time, reaped or not."""
    for _ in range(seconds * 50):
        states = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, _, number = path.read_text().rpartition(")")[2].split()[:3]
                states += [state] if int(number) == group else []
        if set(states) <= {"Z", "X"}:
            return True
        time.sleep(0.02)
    return False


def wrong(ended, number, pid):
    """What is wrong with the end of a command that a signal was sent to."""
    if ended.code is None:
        return "hung"
    if not group_ends(pid):
        return "left processes behind"
    if ended.code not in (0, SIGNALS[number], -number):  # -number: Python was at its own end, the work done
        return f"exit code {ended.code}: {ended.err[-300:]}"
    orphaned = number == signal.SIGKILL and "spawn_main" in ended.err  # a worker whose start was cut off; nobody can tell it
    if "Traceback" in ended.err and not orphaned:
        return f"a traceback: {ended.err[-300:]}"
    if ended.code == SIGNALS[number] > 0 and not ended.err.startswith("stopped by"):
        return f"no message: {ended.err[-300:]!r}"
    return None


def refused(ended, part=""):
    """What is wrong with the end of a command that must stop with one clear line, in which `part` stands."""
    lines = ended.err.splitlines()
    if ended.code is None:
        return "hung"
    if ended.code != 2 or len(lines) != 1 or not lines[0].startswith("error: ") or part not in lines[0]:
        return f"exit code {ended.code}: {ended.err[-400:]}"
    return None
