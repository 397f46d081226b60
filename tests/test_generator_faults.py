"""Generation that is disturbed or short of means: whole data sets, no process left, bounded memory."""

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


@pytest.fixture(autouse=True)
def workers_for_few_files(monkeypatch):
    monkeypatch.setattr(generator, "FILES_A_WORKER", generator.BATCH)


@pytest.mark.parametrize("state", ["new", "old", "old and new", "folder and old", "folder and new"])
def test_swap_that_was_cut_short_is_repaired_by_the_next_run(tmp_path, raw, state):
    folder = generate(DATASET, [raw], tmp_path, False)
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
    with pytest.raises(UserError, match=r"bad files: 1,"):
        generate(DATASET, [raw], tmp_path, False)
    left = set(os.listdir(folder.parent)) - {f"{DATASET}_bad_files.txt"}
    assert left == (set() if state == "new" else {DATASET})
    assert state == "new" or contents(folder) == expected


def test_second_generation_into_one_folder_is_told_of_the_first(tmp_path, raw):
    folder = generate(DATASET, [raw], tmp_path, False)
    before = contents(tmp_path)
    with utils.files._locked(folder), pytest.raises(UserError, match="another process is writing there; wait for it"):
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
    with pytest.raises(UserError, match=r"a worker process died"):
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
    with pytest.raises(UserError, match=r"a worker process died"):
        generate(DATASET, [raw], tmp_path, False, workers=2)
    assert os.listdir(tmp_path / "original") == [] and not multiprocessing.active_children()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_a_worker_without_memory_for_its_watching_thread_does_not_wait_without_end():
    code = "import generator, resource, threading\nthreading.stack_size(8 << 20)\n"
    code += "pages = int(open('/proc/self/statm').read().split()[0])\n"
    code += "resource.setrlimit(resource.RLIMIT_AS, ((pages << 12) + (8 << 20) + (12 << 10),) * 2)\n"  # its stack, no frame of it
    code += "generator._end_with_parent()\nprint('at work', flush=True)"
    command = [sys.executable, "-c", code]
    assert "at work" in subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.full
def test_2000_files_take_less_than_600_mb_in_any_process(tmp_path):
    names = [f"S{1 + i // 600:03}C001P0{1 + i // 60 % 10:02}R001A{1 + i % 60:03}" for i in range(2000)]
    data = skeleton_bytes(0, (1,) * 94)
    (tmp_path / "raw").mkdir()
    for name in names:
        (tmp_path / "raw" / f"{name}.skeleton").write_bytes(data)
    code = "import resource, sys, generator\ngenerator.FILES_A_WORKER = 32\n"
    code += f"generator.generate('{DATASET}', [sys.argv[1]], sys.argv[2], False, workers=2)\n"
    code += "print(*(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))"
    command = with_memory_of_its_own([sys.executable, "-c", code, str(tmp_path / "raw"), str(tmp_path)])
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert all(int(kilobytes) < 600 * 1024 for kilobytes in output.split())
    assert (tmp_path / "original" / DATASET / "train_data.npy").exists()
