"""Order of batches, feeder and loader: every sample once, the same order for a seed, exact restarts."""

import os
import pickle
import shutil

import numpy as np
import pytest

from dataset.features import branch_features
from dataset.graph import NTU
from dataset.loader import Loader
from dataset.ntu_feeder import EpochBatches, NTUFeeder, SampleFile, load_labels
from tests.helpers.small import write_split
from utils.errors import UserError

SETTINGS = {"num_frame": 8, "inputs": "JVB", "graph": NTU, "num_classes": 60}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_split(folder, "train", 11, frames=12)
    return folder


@pytest.fixture
def feeder(folder):
    return NTUFeeder(folder / "train_data.npy", folder / "train_label.pkl", **SETTINGS)


def test_a_sample_is_features_label_and_name(feeder, folder):
    features, label, name = feeder[5]
    raw = np.load(folder / "train_data.npy")[5, :, :8]
    np.testing.assert_array_equal(features, branch_features(raw, NTU))
    assert (label, name) == (1, "S002C002P001R006A002.skeleton")


def test_a_batch_is_its_samples(feeder):
    features, labels, indices = feeder.batch([7, 2])
    np.testing.assert_array_equal(features[1], feeder[2][0])
    assert labels.tolist() == [3, 2] and indices.tolist() == [7, 2]


def test_training_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch):
        batches = EpochBatches(100, 10, shuffle=True, seed=seed)
        batches.set_epoch(epoch)
        return list(batches)

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1) != order(2, 1)


def test_an_epoch_can_be_entered_in_the_middle():
    batches = EpochBatches(23, 4, shuffle=True, seed=3)
    whole = list(batches)
    batches.set_epoch(0, first=2)
    assert list(batches) == whole[2:] and len(batches) == 3


@pytest.mark.parametrize("world", [1, 2, 3])
def test_ranks_train_on_different_samples_of_the_same_batches(world):
    parts = [list(EpochBatches(50, 4, shuffle=True, seed=5, rank=r, world=world)) for r in range(world)]
    seen = [i for part in parts for batch in part for i in batch]
    assert len(seen) == len(set(seen)) == 50 // (4 * world) * 4 * world
    assert all(len(batch) == 4 for part in parts for batch in part)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_evaluation_takes_every_sample_once_over_all_ranks(world):
    parts = [EpochBatches(11, 2, shuffle=False, rank=r, world=world) for r in range(world)]
    assert sorted(i for part in parts for batch in part for i in batch) == list(range(11))
    assert [len(list(part)) for part in parts] == [len(part) for part in parts]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_loader_keeps_the_order_whatever_its_workers(feeder, workers):
    loader = Loader(feeder, EpochBatches(11, 2, shuffle=True, seed=1), workers)
    expected = list(EpochBatches(11, 2, shuffle=True, seed=1))
    assert [indices.tolist() for _, _, indices in loader] == expected


def test_a_loader_can_be_left_early(feeder):
    assert len(next(iter(Loader(feeder, EpochBatches(11, 2, shuffle=False), 2)))) == 3


def test_an_error_in_a_worker_reaches_the_reader(feeder):
    feeder.labels = feeder.labels[:3]
    with pytest.raises(IndexError):
        list(Loader(feeder, EpochBatches(11, 2, shuffle=False), 2))


def labelled(tmp_path, value):
    with open(tmp_path / "label.pkl", "wb") as file:
        pickle.dump(value, file)
    return tmp_path / "label.pkl"


@pytest.mark.parametrize(
    "value, text",
    [
        (([1],), "three lists"),
        ((["a"], [1, 2], [3]), "of one length"),
        (([1], [1], [1]), "names must be texts"),
        ((["a\nb"], [1], [1]), "that can be printed"),
        ((["a"], ["b"], [3]), "whole numbers"),
        ({"a": 1}, "three lists"),
        ((["a"] * 11, [60] * 11, [3] * 11), "a has label 60, length 3; at most 59 and 12"),
        ((["a"] * 10, [1] * 10, [3] * 10), r"number of samples 10, in .*npy 11"),
        ((["a"] * 11, [1] * 11, [13] * 11), "length 13"),
    ],
)
def test_wrong_label_files_are_named_before_training(folder, tmp_path, value, text):
    with pytest.raises(UserError, match=text) as error:
        NTUFeeder(folder / "train_data.npy", labelled(tmp_path, value), **SETTINGS)
    assert "label.pkl" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content, text", [(b"", "not a readable"), (b"\x93NUMPY\x01\x00v", "not a readable"), (b"hello", "not a readable")]
)
def test_damaged_arrays_are_named(tmp_path, content, text):
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(UserError, match=text):
        SampleFile(tmp_path / "x.npy")


@pytest.mark.parametrize("array", [np.zeros(3, "float32"), np.zeros((1, 3, 4, 25, 2)), np.array([{}], dtype=object)], ids=str)
def test_arrays_of_another_kind_are_named(tmp_path, array):
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    with pytest.raises(UserError, match=r"x\.npy"):
        SampleFile(tmp_path / "x.npy")


def test_truncated_arrays_are_named(folder, tmp_path):
    whole = (folder / "train_data.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="not a readable npy array"):
        SampleFile(tmp_path / "x.npy")


def test_names_lose_their_folder(tmp_path):
    names = load_labels(labelled(tmp_path, (["/a/b/S1.skeleton", "c\\S2.skeleton"], [0, 1], [3, 3])))[0]
    assert names == ["S1.skeleton", "S2.skeleton"]


@pytest.mark.parametrize("suffix", ["pkl", "npy"])
def test_labels_of_others_in_two_lists_or_an_array_are_read(folder, tmp_path, suffix):
    names, labels, _ = load_labels(folder / "train_label.pkl")
    path = tmp_path / f"train_label.{suffix}"
    if suffix == "npy":
        np.save(path, labels)
    else:
        path.write_bytes(pickle.dumps((names, np.array(labels))))
    feeder = NTUFeeder(folder / "train_data.npy", path, **SETTINGS)
    assert feeder.labels == labels and feeder.names == (names if suffix == "pkl" else [str(i) for i in range(len(names))])


def test_a_file_that_is_cut_short_while_in_use_is_one_clear_line(folder, tmp_path):
    for name in ("train_data.npy", "train_label.pkl"):
        shutil.copy(folder / name, tmp_path)
    feeder = NTUFeeder(tmp_path / "train_data.npy", tmp_path / "train_label.pkl", **SETTINGS)
    os.truncate(tmp_path / "train_data.npy", 8 * 180000 // 25)
    feeder.batch([0])
    with pytest.raises(UserError, match=r"train_data\.npy: was cut short while in use"):
        feeder.batch([0, 10])


def test_a_file_that_is_removed_while_in_use_can_still_be_read(folder, tmp_path):
    for name in ("train_data.npy", "train_label.pkl"):
        shutil.copy(folder / name, tmp_path)
    feeder = NTUFeeder(tmp_path / "train_data.npy", tmp_path / "train_label.pkl", **SETTINGS)
    expected = feeder.batch([3])[0]
    (tmp_path / "train_data.npy").unlink()
    np.testing.assert_array_equal(feeder.batch([3])[0], expected)


def test_samples_are_the_same_where_the_system_reads_by_position_and_where_not(feeder, monkeypatch):
    expected = feeder.data.read([2, 0])
    monkeypatch.delattr(os, "preadv")
    np.testing.assert_array_equal(feeder.data.read([2, 0]), expected)
