"""Generation that is killed, disturbed or short of means: whole data sets, no process left, bounded memory."""

import contextlib
import errno
import fcntl
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor

import pytest

import generator
import utils.files
from generator import generate
from tests.helpers.places import ROOT, with_memory_of_its_own
from tests.helpers.raw_folders import DATASET, contents, some_names, write_raw
from tests.helpers.skeleton_corpus import skeleton_bytes
from utils.errors import UserError

pytest_plugins = ["tests.helpers.raw_folders"]


@pytest.mark.parametrize("state", ["new", "old", "old and new", "folder and old", "folder and new"])
def test_swap_that_was_cut_short_is_repaired_by_the_next_run(tmp_path, raw, state):
    folder = generate(DATASET, [raw], tmp_path, False).folder
    expected = contents(folder)
    for part in ("new", "old"):
        if part in state:
            shutil.copytree(folder, folder.with_name(f".{DATASET}.{part}"))
    if state == "old and new":  # between the two renames: the new one is complete
        (folder.with_name(f".{DATASET}.new") / "train_label.pkl").write_bytes(b"new")
        expected["train_label.pkl"] = b"new"
    if "folder" not in state:
        shutil.rmtree(folder)
    (raw / "S001C001P001R001A001.skeleton").write_bytes(b"")  # the next run fails, so what it found is what stays
    with pytest.raises(UserError, match=r"1 bad files"):
        generate(DATASET, [raw], tmp_path, False)
    left = set(os.listdir(folder.parent)) - {f"{DATASET}_bad_files.txt"}
    assert left == (set() if state == "new" else {DATASET})
    assert state == "new" or contents(folder) == expected


def test_second_generation_into_one_folder_is_told_of_the_first(tmp_path, raw):
    folder = generate(DATASET, [raw], tmp_path, False).folder
    before = contents(tmp_path)
    with utils.files._locked(folder), pytest.raises(UserError, match="another -gd is at work there; wait for it"):
        generate(DATASET, [raw], tmp_path, False)
    assert contents(tmp_path) == before


def test_lock_file_of_a_killed_run_does_not_keep_others_out(tmp_path, raw):
    (tmp_path / "original").mkdir()
    (tmp_path / "original" / f".{DATASET}.lock").write_text("1")
    generate(DATASET, [raw], tmp_path, False)
    assert os.listdir(tmp_path / "original") == [DATASET]


@pytest.mark.filterwarnings("ignore:flock not supported")
@pytest.mark.parametrize("error", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_disk_without_locks_is_written_all_the_same(tmp_path, raw, monkeypatch, error):
    def flock(*_):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(fcntl, "flock", flock)
    generate(DATASET, [raw], tmp_path, False)
    assert os.listdir(tmp_path / "original") == [DATASET]


def test_death_of_a_worker_is_an_error_and_leaves_nothing(tmp_path):
    raw = write_raw(tmp_path / "raw", some_names(4 * generator.BATCH))

    def kill_one():
        while not multiprocessing.active_children():
            time.sleep(0.001)
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.raises(UserError, match=r"a worker process ended amid its work"):
        generate(DATASET, [raw], tmp_path, False, workers=2)
    killer.join()
    assert os.listdir(tmp_path / "original") == []
    assert not multiprocessing.active_children()


def test_death_of_a_worker_while_others_are_started_is_told_alike(tmp_path, monkeypatch):
    raw, start_worker, started = write_raw(tmp_path / "raw", some_names(4 * generator.BATCH)), ProcessPoolExecutor._spawn_process, []

    def second_fails(pool):
        started.append(pool)
        if len(started) > 1:
            raise OSError("handle is closed")  # as when the pool notices a dead worker in this moment
        start_worker(pool)

    monkeypatch.setattr(ProcessPoolExecutor, "_spawn_process", second_fails)
    with pytest.raises(UserError, match=r"a worker process ended amid its work"):
        generate(DATASET, [raw], tmp_path, False, workers=2)
    assert os.listdir(tmp_path / "original") == [] and not multiprocessing.active_children()


def test_failure_of_a_worker_to_write_is_raised_here(tmp_path, raw):
    found = generator.find_samples(DATASET, [raw])
    found.samples["train"] *= generator.BATCH
    with pytest.raises(FileNotFoundError):
        generator._read_all(False, 2, False, found, dict.fromkeys(found.samples, tmp_path / "absent"))
    assert not multiprocessing.active_children()


PROGRAM = """
import sys
from generator import generate
from utils.command import run_command
if __name__ == "__main__":
    raw, root = sys.argv[1:]
    sys.exit(run_command(lambda: generate("ntu-xsub", [raw], root, False, workers=2) and 0))
"""


def start(raw, root):
    """A generation in a process of its own, at work when this returns."""
    command = [sys.executable, "-c", PROGRAM, str(raw), str(root)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while process.poll() is None and not (root / "original" / f".{DATASET}.new").exists():
        time.sleep(0.002)
    return process


def group_ends(process, seconds=20):
    """Whether all processes of the group are gone in time."""
    for _ in range(seconds * 20):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 0)
            time.sleep(0.05)
            continue
        return True
    return False


@pytest.mark.parametrize(
    ("number", "delay"),
    [
        (signal.SIGINT, 0.2),
        (signal.SIGTERM, 0.2),
        (signal.SIGKILL, 0.2),
        *(
            pytest.param(number, delay, marks=pytest.mark.full)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
            for delay in (0, 0.1, 0.3, 0.4, 0.5, 0.6, 0.8)
        ),
    ],
)
def test_killed_generation_leaves_a_whole_data_set_and_no_process(tmp_path, number, delay):
    names = some_names(240)
    few, many = write_raw(tmp_path / "few", names[:4]), write_raw(tmp_path / "many", names, frames=2)
    new = contents(generate(DATASET, [many], tmp_path / "elsewhere", False, workers=1).folder)
    folder = generate(DATASET, [few], tmp_path, False).folder
    old = contents(folder)
    process = start(many, tmp_path)
    time.sleep(delay)
    # Ctrl-C in a terminal goes to the whole group
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert group_ends(process)
    if number == signal.SIGKILL:  # a worker that is just being started may say that its parent is gone
        assert process.returncode in (0, -9)
        assert contents(folder) in (old, new) or folder.with_name(f".{DATASET}.old").exists()
    else:
        assert "Traceback" not in errors
        assert process.returncode in (0, 128 + number, -number)  # the last: in the end of Python itself, the work done
        assert os.listdir(folder.parent) == [DATASET]
        assert contents(folder) in ((old, new) if process.returncode > 0 else (new,))
    generate(DATASET, [few], tmp_path, False)
    assert os.listdir(folder.parent) == [DATASET]
    assert contents(folder) == old


@pytest.mark.full
def test_2000_files_take_less_than_600_mb_in_any_process(tmp_path):
    names = [f"S{1 + i // 600:03}C001P0{1 + i // 60 % 10:02}R001A{1 + i % 60:03}" for i in range(2000)]
    data = skeleton_bytes(0, (1,) * 94)
    (tmp_path / "raw").mkdir()
    for name in names:
        (tmp_path / "raw" / f"{name}.skeleton").write_bytes(data)
    watched = (
        PROGRAM.replace("sys.exit(", "import resource as r\n    code = (")
        + "    print(*(r.getrusage(who).ru_maxrss for who in (r.RUSAGE_SELF, r.RUSAGE_CHILDREN)))"
    )
    command = with_memory_of_its_own([sys.executable, "-c", watched, str(tmp_path / "raw"), str(tmp_path)])
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert all(int(kilobytes) < 600 * 1024 for kilobytes in output.split())
    assert (tmp_path / "original" / DATASET / "train_data.npy").exists()


