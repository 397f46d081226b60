"""Faults brought upon the real commands: kills at random moments, full and read-only disks, dying workers, two at once.

Each function takes a random.Random and a folder that `cases.prepare` filled (the working directory), and returns Trials.
"""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from cases import EVALUATE, TRAIN, call, small_config
from conftest import ROOT, environment
from skeleton_corpus import skeleton_bytes
from test_generator import contents as file_contents
from test_generator import some_names
from test_resume import end_state

from generator import generate
from utils import set_up_logging

DATASET = "ntu-xsub"
SIGNALS = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}  # and the exit code of what they end
PATHS = {"convert_weights.py": "tools/convert_weights.py", "convert_arrays.py": "tools/convert_arrays.py"}
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
    if "Traceback" in ended.err:
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


# ---------------------------------------------------------------- -gd


def write_raw(folder, count, frames):
    folder.mkdir(exist_ok=True)
    for seed, name in enumerate(some_names(count)):
        (folder / f"{name}.skeleton").write_bytes(skeleton_bytes(seed % 7, (1, 2) * (frames // 2)))
    return folder


class Generation:
    """A small data set in place, and a command that would replace it by a larger one."""

    name = "-gd"

    def __init__(self, place, files=240):
        self.few, self.many = write_raw(place / "few", 4, 2), write_raw(place / "many", files, 10)
        self.root, self.folder = place / "root", place / "root" / "original" / DATASET
        self.second = ["main.py", "-c", "2001", "-gd", "-np", f"--work_dir={place / 'gd_work'}"]
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
    time.sleep(rng.uniform(0.2, 0.5) if memory else rng.uniform(0, set_up.seconds))
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
    problem = refused(second, f"another -gd (process {first.pid}) is at work") if second.code else None
    problem = problem or (None if ended.code == 0 else f"the first: exit code {ended.code} {ended.err[-300:]}")
    return Trial("two at once", "-gd", "", problem or set_up.lost(0, True))


# ---------------------------------------------------------------- infer, export, convert


class Replacement:
    """Two commands that write the same files, each from other input, and what they leave: one in place, one to be stopped."""

    def __init__(self, name, folder, first, second):
        self.name, self.folder, self.first, self.second = name, folder, first, second
        self.again = run if name == "export" else lambda command: Ended(*call(command))  # names in a program count on
        begun = time.perf_counter()
        ended = run(second)
        assert ended.code == 0, ended.err
        self.seconds, self.new = time.perf_counter() - begun, file_contents(folder)
        self.reset()
        self.old = file_contents(folder)
        assert self.old != self.new

    def reset(self):
        ended = self.again(self.first)
        assert ended.code == 0, ended.err

    def lost(self, code, tidy):
        found = file_contents(self.folder)
        whole = {name: data for name, data in found.items() if not name.startswith(".")}
        if whole not in (self.old, self.new):
            return f"files are not whole: {sorted(whole)}"
        if code == 0 and whole != self.new:
            return "it said that it was done"
        if tidy and found != whole:
            return f"left behind: {sorted(set(found) - set(whole))}"
        self.reset()
        if file_contents(self.folder) != self.old:
            return f"not as new after the next run: {sorted(file_contents(self.folder))}"
        return None


def recognition(place, files=240):
    """infer.py with its predictions written to a file."""
    few, many = (write_raw(place / f"infer_{name}", count, 4) for name, count in (("few", 3), ("many", files)))
    (place / "predictions").mkdir()
    command = ["infer.py", "--model_file=export/weights.onnx", f"--output={place / 'predictions' / 'out.jsonl'}"]
    return Replacement("infer", place / "predictions", *([*command, f"--data_file={raw}"] for raw in (few, many)))


def other_weights(place):
    """Folder with weights of the same network, but of another run."""
    folder = place / "other"
    folder.mkdir()
    code, _, err = call([*TRAIN, "--seed=2", f"--work_dir={folder / 'work'}"])
    assert code == 0, err
    set_up_logging()  # closes the run's log
    shutil.move(folder / "work" / "model.pdparams", folder / "weights.pdparams")
    return folder


def export(place, other):
    command = [*EVALUATE[:-3], "-ex", f"--save_inference_dir={place / 'program'}", "--export_to=onnx"]
    sources = Path("weights.pdparams").resolve(), other / "weights.pdparams"
    return Replacement("export", place / "program", *([*command, "-pp", str(source)] for source in sources))


def conversion(place, other):
    (place / "converted").mkdir()
    (place / "network.yaml").write_bytes(small_config())
    sources = Path("weights.pdparams").resolve(), other / "weights.pdparams"
    where = [str(place / "converted" / "ours.safetensors"), "-c", str(place / "network.yaml")]
    return Replacement("convert", place / "converted", *(["convert_weights.py", str(source), *where] for source in sources))


def kill_command(rng, set_up):
    """Kill a command at a random moment of the time that it takes."""
    number, delay = rng.choice(list(SIGNALS)), rng.uniform(0, set_up.seconds)
    process = start(set_up.second)
    ended = kill(process, number, delay)
    problem = wrong(ended, number, process.pid) or set_up.lost(ended.code, number != signal.SIGKILL)
    return Trial(signal.Signals(number).name, set_up.name, f"after {delay:.3f} s", problem, ended.code != 0)


# ---------------------------------------------------------------- training


LONGER = [*TRAIN, "--scheduler_args.cosine.max_epoch=8", "--checkpoint_minutes=0.0002"]


def train_in(work):
    return [*LONGER, f"--work_dir={work}"]


class Training:
    """A run that nobody disturbed."""

    def __init__(self, place):
        self.place, self.count = place, 0
        begun = time.perf_counter()
        ended = run(train_in(place / "straight"))
        assert ended.code == 0, ended.err
        self.seconds, self.end = time.perf_counter() - begun, end_state(place / "straight")

    def new_folder(self):
        self.count += 1
        return self.place / f"run{self.count}"

    def differs(self, work):
        """What a finished run has otherwise than the one that nobody disturbed."""
        found = end_state(work)
        different = [key for key, value in self.end.items() if not same(value, found[key])]
        left = [str(path) for path in work.rglob(".*")]
        return f"differs in {different}" if different else f"left behind: {left}" if left else None


def same(a, b):
    try:
        np.testing.assert_equal(a, b)
    except AssertionError:
        return False
    return True


def kill_training(rng, set_up, kills):
    """A run killed `kills` times and gone on with; a Trial for each kill, the last of which tells of the end."""
    work, trials = set_up.new_folder(), []
    for _ in range(kills):
        number, resumed = rng.choice(list(SIGNALS)), any(work.glob("*/*/*.pdparams"))
        process = start([*train_in(work), *(["-r"] if resumed else [])])
        lines = []
        for line in process.stdout:  # as soon as it trains: three of four kills; before: one of four
            lines.append(line)
            if rng.random() < 0.02 or "Successful!" in line or ("Resuming from" in line):
                break
        delay = rng.uniform(0, set_up.seconds / 2)
        ended = kill(process, number, delay)
        problem = wrong(ended, number, process.pid)
        detail = f"after {len(lines)} lines and {delay:.3f} s"
        trials.append(Trial(signal.Signals(number).name, "training", detail, problem, ended.code != 0))
        if ended.code == 0:
            break
    ended = run([*train_in(work), *(["-r"] if any(work.glob("*/*/*.pdparams")) else [])])
    problem = f"can't go on: {ended.err[-300:]}" if ended.code else set_up.differs(work)
    trials[-1] = trials[-1]._replace(problem=trials[-1].problem or problem)
    shutil.rmtree(work)
    return trials


def two_trainings(rng, set_up):
    """Two runs of one configuration, started together in one work_dir."""
    work = set_up.new_folder()
    ended = [finish(process) for process in [start(train_in(work)) for _ in range(2)]]
    folders = [path.parent for path in work.glob("*/*/last.pdparams")]
    problem = f"{[end.err[-200:] for end in ended]}" if any(end.code for end in ended) else None
    if len(folders) != 2:
        problem = problem or f"{len(folders)} run folders"
    for folder in folders:
        (set_up.place / "alone" / "x").mkdir(parents=True)
        shutil.copytree(folder, set_up.place / "alone" / "x" / "run")
        shutil.copy(folder / "last.pdparams", set_up.place / "alone" / "model.pdparams")
        problem = problem or set_up.differs(set_up.place / "alone")
        shutil.rmtree(set_up.place / "alone")
    shutil.rmtree(work)
    return Trial("two at once", "training", "", problem)


def take_data_away(rng, set_up, how):
    """Remove, or cut short, the data set of a run that is at work."""
    work, data = set_up.new_folder(), set_up.place / "npy_copy"
    shutil.copytree("npy", data)
    process = start([*train_in(work), f"--dataset_args.ntu.root_folder={data}"])
    for line in process.stdout:
        if "Epoch: 1/" in line:
            break
    time.sleep(rng.uniform(0, 0.3))
    if how == "removed":
        shutil.rmtree(data)
    else:
        for path in data.rglob("*_data.npy"):
            os.truncate(path, rng.randrange(path.stat().st_size // 2))
    ended = finish(process)
    problem = None
    if how == "removed" and ended.code == 0:  # open files stay: it trains to the end
        problem = set_up.differs(work)
    elif ended.code != 0 or how == "removed":
        problem = refused(ended, "was cut short while in use")
        if not problem and not any(work.glob("*/*/last.pdparams")):
            problem = "no checkpoint is left"
    shutil.rmtree(data, ignore_errors=True)
    shutil.rmtree(work)
    return Trial(f"data set {how}", "training", "", problem)


def remove_data(rng, set_up):
    return take_data_away(rng, set_up, "removed")


def cut_data(rng, set_up):
    return take_data_away(rng, set_up, "cut short")


# ---------------------------------------------------------------- disks


class Disk:
    """A small disk of its own (tmpfs); `Disk.mounted` yields None where this user may not mount one."""

    def __init__(self, folder):
        self.folder = folder

    @classmethod
    @contextlib.contextmanager
    def mounted(cls, place):
        folder = place / "disk"
        folder.mkdir(parents=True, exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", str(folder)]
        allowed = shutil.which("mount") and subprocess.run(mount, capture_output=True, check=False).returncode == 0
        try:
            yield cls(folder) if allowed else None
        finally:
            if allowed:
                subprocess.run(["umount", "-l", str(folder)], check=True)

    def remount(self, options):
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.folder)], check=True)

    @contextlib.contextmanager
    def room(self, size):
        """Only so many bytes more during the block."""
        self.remount(f"size={(shutil.disk_usage(self.folder).used + size) // 4096 * 4096 + 4096}")
        try:
            yield
        finally:
            self.remount("size=512m")

    @contextlib.contextmanager
    def read_only(self):
        self.remount("ro")
        try:
            yield
        finally:
            self.remount("rw")


def size_of(folder):
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def limit_files(size):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def small_files(rng, set_up):
    """No file may grow beyond a random size."""
    size = rng.randrange(100, max(len(data) for data in set_up.new.values()))
    ended = run(set_up.second, before=limit_files(size))
    problem = None if ended.code == 0 else refused(ended)
    return Trial("file size limited", set_up.name, f"{size} bytes", problem or set_up.lost(ended.code, True), ended.code != 0)


def full_disk(rng, set_up, disk):
    """A disk with a random amount of room, mostly too little."""
    size = int(sum(map(len, set_up.new.values())) * rng.uniform(0, 1.1))
    with disk.room(size):
        ended = run(set_up.second)
    problem = None if ended.code == 0 else refused(ended)
    return Trial("disk full", set_up.name, f"{size} bytes", problem or set_up.lost(ended.code, True), ended.code != 0)


def read_only_disk(set_up, disk):
    with disk.read_only():
        ended = run(set_up.second)
    return Trial("disk read-only", set_up.name, "", refused(ended) or set_up.lost(ended.code, True))


def goes_on(set_up, work, ended):
    """What is wrong with a training that stopped for lack of room, and with its end once there is room."""
    problem = None if ended.code == 0 else refused(ended)
    if ended.code and not problem:
        again = run([*train_in(work), *(["-r"] if any(work.glob("*/*/*.pdparams")) else [])])
        problem = f"can't go on: {again.err[-300:]}" if again.code else set_up.differs(work)
    shutil.rmtree(work, ignore_errors=True)
    return problem


def train_with_small_files(rng, set_up):
    work = set_up.new_folder()
    size = rng.choice([rng.randrange(100, 5000), rng.randrange(5000, 400_000)])
    ended = run(train_in(work), before=limit_files(size))
    return Trial("file size limited", "training", f"{size} bytes", goes_on(set_up, work, ended), ended.code != 0)


def train_on_full_disk(rng, set_up, disk):
    """A disk that is full at once or after a few checkpoints, then has room again."""
    work = disk.folder / set_up.new_folder().name
    size = rng.randrange(0, int(1.2 * size_of(set_up.place / "straight")))
    with disk.room(size):
        ended = run(train_in(work))
    return Trial("disk full", "training", f"{size} bytes", goes_on(set_up, work, ended), ended.code != 0)


def train_on_read_only_disk(set_up, disk):
    work = disk.folder / set_up.new_folder().name
    with disk.read_only():
        problem = refused(run(train_in(work)))
    return Trial("disk read-only", "training", "", problem)
