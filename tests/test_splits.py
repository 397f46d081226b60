"""Names of recordings, and which split of NTU RGB+D each belongs to."""

import pytest

from reader.ntu_reader import SkeletonError, parse_name
from reader.splits import DATA_SETS, ignored_names
from tests.helpers.skeleton_corpus import BAD_NAMES


def test_name_tells_setup_camera_performer_replication_action():
    for name in ("S017C003P008R002A059.skeleton", "S017C003P008R002A059", "S017C003P008R002A059.SKELETON"):
        assert parse_name(name) == (17, 3, 8, 2, 59)
    assert parse_name("S032C001P106R001A120") == (32, 1, 106, 1, 120)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_other_names_are_refused(name):
    with pytest.raises(SkeletonError):
        parse_name(name)


@pytest.mark.parametrize(
    ("dataset", "name", "split"),
    [
        ("ntu-xsub", "S001C001P038R001A001", "train"),
        ("ntu-xsub", "S001C002P003R001A001", "eval"),
        ("ntu-xsub", "S001C002P103R001A001", "eval"),
        ("ntu-xview", "S001C001P001R001A001", "eval"),
        ("ntu-xview", "S001C003P003R001A001", "train"),
        ("ntu-xsub120", "S018C001P103R001A061", "train"),
        ("ntu-xsub120", "S018C001P104R001A061", "eval"),
        ("ntu-xset120", "S018C001P104R001A061", "train"),
        ("ntu-xset120", "S017C001P001R001A001", "eval"),
    ],
)
def test_split_side(dataset, name, split):
    assert DATA_SETS[dataset].split(parse_name(name)) == split


def test_half_of_the_performers_and_setups_train():
    training = {name: set(data_set.training) for name, data_set in DATA_SETS.items()}
    assert [len(values) for values in training.values()] == [20, 2, 53, 16]
    assert training["ntu-xsub"] < training["ntu-xsub120"]
    assert [sum(training[name]) for name in ("ntu-xsub", "ntu-xsub120")] == [359, 2795]


def test_class_counts_and_setups():
    assert [data_set.num_classes for data_set in DATA_SETS.values()] == [60, 60, 120, 120]
    sample = parse_name("S018C001P001R001A061")
    assert [data_set.split(sample) for data_set in DATA_SETS.values()] == [None, None, "train", "train"]


def test_ignored_names_are_the_302_and_535_of_the_authors():
    samples = [parse_name(name) for name in ignored_names()]
    assert [sum(map(bool, map(data_set.split, samples))) for data_set in DATA_SETS.values()] == [302, 302, 535, 535]


@pytest.mark.parametrize(("dataset", "num_files"), [("ntu-xsub", 56880), ("ntu-xview", 56880), ("ntu-xsub120", 114480)])
def test_official_totals_are_all_files_less_the_ignored(dataset, num_files):
    data_set = DATA_SETS[dataset]
    ignored = [sample for sample in map(parse_name, ignored_names()) if data_set.split(sample)]
    assert sum(data_set.num_samples.values()) == num_files - len(ignored)


def test_official_xview_totals_are_a_third_of_the_files_per_camera_less_the_ignored():
    data_set = DATA_SETS["ntu-xview"]
    ignored = [sample for sample in map(parse_name, ignored_names()) if data_set.split(sample)]
    num_train = sum(data_set.split(sample) == "train" for sample in ignored)
    assert data_set.num_samples == {"train": 2 * 18960 - num_train, "eval": 18960 - (len(ignored) - num_train)}
