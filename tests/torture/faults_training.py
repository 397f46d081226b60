"""Faults of training: kills and resumption, two at once, a data set taken away."""

import os
import shutil
import signal
import time

import numpy as np

from tests.helpers.runs import end_state
from tests.torture.attempts import TRAIN
from tests.torture.faults import SIGNALS, Trial, finish, kill, refused, run, start, wrong

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
