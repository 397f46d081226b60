"""Data sets from raw recordings: what is written, what is refused, and --check."""

import logging
import os
import resource
import shutil

import numpy as np
import pytest

import generator
from generator import check, generate
from reader.ntu_reader import read_sample
from reader.splits import DATA_SETS, ignored_names
from reader.transformer import view_normalise
from tests.helpers.places import GOLDEN
from tests.helpers.raw_folders import DATASET, contents, load, some_names, write_raw
from utils.errors import UserError
from utils.log import get_logger

pytest_plugins = ["tests.helpers.raw_folders"]


@pytest.fixture(autouse=True)
def workers_for_few_files(monkeypatch):
    monkeypatch.setattr(generator, "FILES_A_WORKER", generator.BATCH)


@pytest.fixture
def log(caplog, monkeypatch):
    """The log, its lines in `messages`; another test may have set it up for a terminal."""
    monkeypatch.setattr(get_logger(), "propagate", True)
    caplog.set_level(logging.INFO, "efficientgcn")
    return caplog


# ---------------------------------------------------------------- what is written


@pytest.mark.parametrize(("short", "transform", "tolerance"), [("xsub", False, 1e-6), ("xview", True, 1e-5)])
def test_data_set_equals_the_published_one(golden, tmp_path, short, transform, tolerance):
    golden = golden("reader")
    folder = generate(f"ntu-{short}", [GOLDEN / "skeletons"], tmp_path, transform)
    assert folder == tmp_path / ("transformed" if transform else "original") / f"ntu-{short}"
    for split in ("train", "eval"):
        data, lists = load(folder, split)
        np.testing.assert_allclose(data, golden[f"{short}_{split}_data"], atol=tolerance)
        for values, key in zip(lists, ("name", "label", "length"), strict=True):
            assert values == golden[f"{short}_{split}_{key}"].tolist()


def test_recordings_one_folder_down_are_found_out(tmp_path, raw):
    raw.rename(tmp_path / "below")
    (tmp_path / "raw").mkdir()
    (tmp_path / "below").rename(tmp_path / "raw" / "nturgb+d_skeletons")
    with pytest.raises(UserError, match=r"raw: no .skeleton files of ntu-xsub there; there are some in \S+raw/nturgb\+d_skeletons: name"):
        generate(DATASET, [tmp_path / "raw"], tmp_path, False)


def test_names_that_end_in_capitals_are_read_and_left_out_alike(tmp_path, raw):
    ignored = f"{sorted(ignored_names())[0]}.SKELETON"
    for path in list(raw.iterdir()):
        path.rename(path.with_suffix(".SKELETON"))
    (raw / ignored).write_text("nothing")
    folder = generate(DATASET, [raw], tmp_path, False)
    names = load(folder, "train")[1][0] + load(folder, "eval")[1][0]
    assert len(names) == 8 and ignored not in names and all(name.endswith(".SKELETON") for name in names)


@pytest.mark.parametrize("transform", [False, True])
def test_samples_stand_in_the_order_of_their_names(tmp_path, raw, transform):
    folder = generate(DATASET, [raw], tmp_path, transform)
    data, (names, labels, lengths) = load(folder, "eval")
    assert names == [f"S001C00{camera}P003R001A00{action}.skeleton" for camera in (1, 2) for action in (1, 2)]
    assert (labels, lengths) == ([0, 1, 0, 1], [4, 4, 4, 4])
    samples = [read_sample(raw / name)[0] for name in names]
    np.testing.assert_array_equal(data, [view_normalise(sample) if transform else sample for sample in samples])


def test_data_files_are_what_numpy_writes(tmp_path, raw):
    folder = generate(DATASET, [raw], tmp_path, False)
    before = (folder / "train_data.npy").read_bytes()
    np.save(tmp_path / "again.npy", np.load(folder / "train_data.npy"))
    assert (tmp_path / "again.npy").read_bytes() == before


def test_a_few_files_are_read_without_worker_processes(tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(generator, "_in_workers", None)
    raw = write_raw(tmp_path / "raw", some_names(4))
    assert contents(generate(DATASET, [raw], tmp_path, False, workers=8))


def test_result_does_not_depend_on_the_number_of_workers(tmp_path):
    raw = write_raw(tmp_path / "raw", some_names(4 * generator.BATCH))
    results = [contents(generate(DATASET, [raw], tmp_path / str(n), True, workers=n)) for n in (1, 2, 3)]
    assert results[0] == results[1] == results[2]


def test_120_classes_come_from_both_folders(tmp_path):
    old = write_raw(tmp_path / "60", ["S001C001P001R001A001", "S002C001P001R001A060"])
    new = write_raw(tmp_path / "120", ["S018C001P001R001A061", "S019C001P001R001A120"])
    folder = generate("ntu-xset120", [old, new], tmp_path, False)
    assert load(folder, "train")[1][1] == [59, 60]
    assert load(folder, "eval")[1][1] == [0, 119]


def test_ignored_samples_and_other_setups_are_left_out_and_counted(tmp_path, raw, log):
    write_raw(raw, ["S001C002P005R002A008", "S018C001P001R001A061"])
    folder = generate(DATASET, [raw], tmp_path, False)
    assert [len(load(folder, split)[0]) for split in ("train", "eval")] == [4, 4]
    assert "Left out: 1 named in reader/ignore.txt, 1 of other setups" in log.messages


def test_sample_without_any_skeleton_is_reported_and_stays_zero(tmp_path, raw, log):
    name = "S001C001P001R001A001.skeleton"
    (raw / name).write_bytes(b"2\n0\n0\n")
    folder = generate(DATASET, [raw], tmp_path, True)
    data, (_, _, lengths) = load(folder, "train")
    assert f"Samples without any skeleton, all zero: 1 {name}" in log.messages
    assert lengths[0] == 2
    assert [bool(sample.any()) for sample in data] == [False, True, True, True]


# ---------------------------------------------------------------- what is refused


def test_bad_files_are_all_named_and_the_old_data_set_stays(tmp_path, raw):
    folder = generate(DATASET, [raw], tmp_path, False)
    before = contents(folder)
    (raw / "S001C001P001R001A001.skeleton").write_bytes(b"4\n7\n")
    (raw / "S001C002P003R001A002.skeleton").write_bytes(b"")
    write_raw(raw, ["S001C004P001R001A001", "S001C001P001R001A061"])
    with pytest.raises(UserError, match=r"bad files: 4, the first: .*A001.skeleton: line 2: .*bad_files.txt.*--skip_bad"):
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
    folder = generate(DATASET, [raw], tmp_path / "with", False, workers=2, skip_bad=True)
    for name in bad:
        (raw / f"{name}.skeleton").unlink()
    assert len(folder.with_name(f"{DATASET}_bad_files.txt").read_text().splitlines()) == 5
    assert contents(folder) == contents(generate(DATASET, [raw], tmp_path / "without", False))


def test_report_of_bad_files_goes_once_they_are_mended(tmp_path, raw):
    write_raw(raw, ["S001C004P001R001A001"])
    folder = generate(DATASET, [raw], tmp_path, False, skip_bad=True)
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
    folder = generate(DATASET, [raw], tmp_path, False)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"notes.txt: is not written by this command"):
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
        "train: 4 of 40091 files, 40087 missing, 1 unreadable",
        "eval: 4 of 16487 files, 16483 missing, 0 unreadable",
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
