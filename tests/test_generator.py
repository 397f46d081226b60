import contextlib
import multiprocessing
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import GOLDEN, ROOT, with_memory_of_its_own

import generator
import utils.files
from generator import check, generate
from reader.ntu_reader import read_sample
from reader.splits import DATA_SETS
from reader.transformer import view_normalise
from tests.skeleton_corpus import skeleton_bytes
from utils import UserError

DATASET = "ntu-xsub"


def write_raw(folder, names, frames=4):
    """Right files of these names, each with its own content."""
    folder.mkdir(exist_ok=True)
    for seed, name in enumerate(names):
        (folder / f"{name}.skeleton").write_bytes(skeleton_bytes(seed, (1, 0, 2, 1)[:frames]))
    return folder


def some_names(count):
    """Names of which performer 1 trains and 3 evaluates; two cameras."""
    return [f"S001C00{1 + i % 2}P00{(1, 3)[i // 2 % 2]}R001A{1 + i // 4:03}" for i in range(count)]


@pytest.fixture
def raw(tmp_path):
    return write_raw(tmp_path / "raw", some_names(8))


def contents(folder):
    """{path within the folder: bytes} of all files below it."""
    files = (path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def load(folder, split):
    return np.load(folder / f"{split}_data.npy"), pickle.loads((folder / f"{split}_label.pkl").read_bytes())


# ---------------------------------------------------------------- what is written


@pytest.mark.parametrize(("short", "transform", "tolerance"), [("xsub", False, 1e-6), ("xview", True, 1e-5)])
def test_data_set_equals_the_published_one(golden, tmp_path, short, transform, tolerance):
    golden = golden("reader")
    folder = generate(f"ntu-{short}", [GOLDEN / "skeletons"], tmp_path, transform).folder
    assert folder == tmp_path / ("transformed" if transform else "original") / f"ntu-{short}"
    for split in ("train", "eval"):
        data, lists = load(folder, split)
        np.testing.assert_allclose(data, golden[f"{short}_{split}_data"], atol=tolerance)
        for values, key in zip(lists, ("name", "label", "length"), strict=True):
            assert values == golden[f"{short}_{split}_{key}"].tolist()


@pytest.mark.parametrize("transform", [False, True])
def test_samples_stand_in_the_order_of_their_names(tmp_path, raw, transform):
    folder = generate(DATASET, [raw], tmp_path, transform).folder
    data, (names, labels, lengths) = load(folder, "eval")
    assert names == [f"S001C00{camera}P003R001A00{action}.skeleton" for camera in (1, 2) for action in (1, 2)]
    assert (labels, lengths) == ([0, 1, 0, 1], [4, 4, 4, 4])
    samples = [read_sample(raw / name)[0] for name in names]
    np.testing.assert_array_equal(data, [view_normalise(sample) if transform else sample for sample in samples])


def test_data_files_are_what_numpy_writes(tmp_path, raw):
    folder = generate(DATASET, [raw], tmp_path, False).folder
    before = (folder / "train_data.npy").read_bytes()
    np.save(tmp_path / "again.npy", np.load(folder / "train_data.npy"))
    assert (tmp_path / "again.npy").read_bytes() == before


def test_result_does_not_depend_on_the_number_of_workers(tmp_path):
    raw = write_raw(tmp_path / "raw", some_names(4 * generator.BATCH))
    results = [contents(generate(DATASET, [raw], tmp_path / str(n), True, workers=n).folder) for n in (1, 2, 3)]
    assert results[0] == results[1] == results[2]


def test_120_classes_come_from_both_folders(tmp_path):
    old = write_raw(tmp_path / "60", ["S001C001P001R001A001", "S002C001P001R001A060"])
    new = write_raw(tmp_path / "120", ["S018C001P001R001A061", "S019C001P001R001A120"])
    folder = generate("ntu-xset120", [old, new], tmp_path, False).folder
    assert load(folder, "train")[1][1] == [59, 60]
    assert load(folder, "eval")[1][1] == [0, 119]


def test_ignored_samples_and_other_setups_are_left_out_and_counted(tmp_path, raw):
    write_raw(raw, ["S001C002P005R002A008", "S018C001P001R001A061"])
    summary = generate(DATASET, [raw], tmp_path, False)
    assert (summary.num_samples, summary.num_ignored, summary.num_other) == ({"train": 4, "eval": 4}, 1, 1)


def test_sample_without_any_skeleton_is_reported_and_stays_zero(tmp_path, raw):
    name = "S001C001P001R001A001.skeleton"
    (raw / name).write_bytes(b"2\n0\n0\n")
    summary = generate(DATASET, [raw], tmp_path, True)
    data, (_, _, lengths) = load(summary.folder, "train")
    assert summary.no_skeleton == [name]
    assert lengths[0] == 2
    assert [bool(sample.any()) for sample in data] == [False, True, True, True]


# ---------------------------------------------------------------- what is refused


def test_bad_files_are_all_named_and_the_old_data_set_stays(tmp_path, raw):
    folder = generate(DATASET, [raw], tmp_path, False).folder
    before = contents(folder)
    (raw / "S001C001P001R001A001.skeleton").write_bytes(b"4\n7\n")
    (raw / "S001C002P003R001A002.skeleton").write_bytes(b"")
    write_raw(raw, ["S001C004P001R001A001", "S001C001P001R001A061"])
    with pytest.raises(UserError, match=r"4 bad files, the first: .*A001.skeleton: line 2: .*bad_files.txt.*--skip_bad"):
        generate(DATASET, [raw], tmp_path, False)
    report = (folder.parent / f"{DATASET}_bad_files.txt").read_text().splitlines()
    assert [line.split(".skeleton: ")[1].split(" is ")[0] for line in report] == [
        "line 2: the number of bodies",
        "action 61 in the name; there are 60",
        "line 1: the file ends where the line 'number of frames' should stand",
        "camera 4 in the name",
    ]
    assert contents(folder) == before
    assert sorted(os.listdir(folder.parent)) == [DATASET, f"{DATASET}_bad_files.txt"]


def test_skip_bad_gives_what_would_come_out_without_the_bad_files(tmp_path):
    names = some_names(3 * generator.BATCH)
    raw = write_raw(tmp_path / "raw", names)
    bad = [names[i] for i in (0, 1, 40, 41, 94)]
    for name in bad:
        (raw / f"{name}.skeleton").write_bytes(b"4\n")
    summary = generate(DATASET, [raw], tmp_path / "with", False, workers=2, skip_bad=True)
    for name in bad:
        (raw / f"{name}.skeleton").unlink()
    assert len(summary.skipped) == 5
    assert contents(summary.folder) == contents(generate(DATASET, [raw], tmp_path / "without", False).folder)


def test_report_of_bad_files_goes_once_they_are_mended(tmp_path, raw):
    write_raw(raw, ["S001C004P001R001A001"])
    folder = generate(DATASET, [raw], tmp_path, False, skip_bad=True).folder
    (raw / "S001C004P001R001A001.skeleton").unlink()
    generate(DATASET, [raw], tmp_path, False)
    assert os.listdir(folder.parent) == [DATASET]


def test_samples_that_two_folders_hold_are_an_error(tmp_path, raw):
    other = write_raw(tmp_path / "other", some_names(2))
    with pytest.raises(UserError, match=r"S001C001P001R001A001.skeleton is in .*raw and in .*other; 2 such names"):
        generate(DATASET, [raw, other], tmp_path, False)
    generate(DATASET, [raw, raw], tmp_path, False)  # one folder under two keys of the config is one folder


def test_folder_that_is_absent_or_holds_nothing_of_use_is_named(tmp_path):
    with pytest.raises(UserError, match=r"absent: can't be listed .*ntu60_path"):
        generate(DATASET, [tmp_path / "absent"], tmp_path, False)
    with pytest.raises(UserError, match=r"no .skeleton files of ntu-xsub there"):
        generate(DATASET, [tmp_path], tmp_path, False)
    with pytest.raises(UserError, match=r"ntu-x: no such data set; there are ntu-xsub, "):
        generate("ntu-x", [tmp_path], tmp_path, False)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("performer", "empty"), [("P001", "eval"), ("P003", "train")])
def test_split_without_a_sample_is_an_error(tmp_path, performer, empty):
    raw = write_raw(tmp_path / "raw", [f"S001C001{performer}R001A001"])
    with pytest.raises(UserError, match=f"no usable file belongs to the {empty} split"):
        generate(DATASET, [raw], tmp_path, False)


def test_split_whose_every_file_is_bad_is_an_error(tmp_path):
    raw = write_raw(tmp_path / "raw", ["S001C001P001R001A001", "S001C001P003R001A001"])
    (raw / "S001C001P003R001A001.skeleton").write_bytes(b"")
    with pytest.raises(UserError, match=r"no usable file belongs to the eval split"):
        generate(DATASET, [raw], tmp_path, False, skip_bad=True)


def test_folder_that_holds_something_else_is_not_replaced(tmp_path, raw):
    folder = generate(DATASET, [raw], tmp_path, False).folder
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"notes.txt: is not part of a data set"):
        generate(DATASET, [raw], tmp_path, False)
    assert (folder / "notes.txt").read_text() == "mine"


def test_free_space_is_checked_first(tmp_path, raw, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 8 * 180000 - 1))
    with pytest.raises(UserError, match=r"ntu-xsub: needs 0\.00 GB of free disk space, there are 0\.00"):
        generate(DATASET, [raw], tmp_path, False)
    assert os.listdir(tmp_path / "original") == []


def test_files_too_large_for_the_disk_end_in_one_line_and_leave_nothing(tmp_path, raw):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))
    try:
        with pytest.raises(UserError, match=r"ntu-xsub: can't be written .File too large"):
            generate(DATASET, [raw], tmp_path, False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path / "original") == []


def test_place_that_is_no_folder_is_named(tmp_path, raw):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"can't be written .Not a directory"):
        generate(DATASET, [raw], tmp_path / "file", False)


# ---------------------------------------------------------------- faults


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
    with utils.files._locked(folder), pytest.raises(UserError, match=rf"another -gd \(process {os.getpid()}\) is at work there"):
        generate(DATASET, [raw], tmp_path, False)
    assert contents(tmp_path) == before


def test_lock_file_of_a_killed_run_does_not_keep_others_out(tmp_path, raw):
    (tmp_path / "original").mkdir()
    (tmp_path / "original" / f".{DATASET}.lock").write_text("1")
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
from utils import run_command
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


# ---------------------------------------------------------------- --check


def test_check_tells_what_is_there_and_what_is_missing_and_writes_nothing(tmp_path, raw):
    (raw / "S001C001P001R001A001.skeleton").write_bytes(b"1\n9\n")
    (raw / "S001C001P001R001A00.skeleton").write_bytes(b"")
    (raw / "readme.txt").write_bytes(b"")
    write_raw(raw, ["S001C002P005R002A008", "S018C001P001R001A061"])
    before = contents(tmp_path)
    lines, good = check(DATASET, [raw])
    assert not good
    assert contents(tmp_path) == before
    assert lines == [
        f"Data set ntu-xsub, raw folders: {raw}",
        "train: 4 files of 40091, 40087 missing, 1 unreadable",
        "eval: 4 files of 16487, 16483 missing, 0 unreadable",
        "left out: 1 named in reader/ignore.txt, 1 of other setups",
        "duplicates: 0",
        "unexpected names: 1",
        f"  {raw}/readme.txt",
        "bad files: 2",
        f"  {raw}/S001C001P001R001A00.skeleton: the name is not of the form SsssCcccPpppRrrrAaaa.skeleton",
        f"  {raw}/S001C001P001R001A001.skeleton: line 2: the number of bodies is 9; allowed: 0 to 4",
    ]


def test_check_is_content_with_complete_right_files(raw, monkeypatch):
    complete = DATA_SETS[DATASET]._replace(num_samples={"train": 4, "eval": 4})
    monkeypatch.setitem(DATA_SETS, DATASET, complete)
    assert check(DATASET, [raw])[1]
    (raw / some_names(1)[0]).with_suffix(".skeleton").unlink()
    assert not check(DATASET, [raw])[1]


def test_check_names_duplicates(tmp_path, raw):
    lines, good = check(DATASET, [raw, write_raw(tmp_path / "other", some_names(1))])
    assert not good
    assert "duplicates: 1" in lines
