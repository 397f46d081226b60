"""Pickles that may be hostile are read as data, and honest ones as they are."""

import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from tests.torture.hostile_pickles import call, hostile_pickles, raw, text, whole
from utils import pickles
from utils.errors import UserError
from utils.pickles import load_pickle, unpickle


def pickled(tmp_path, value, protocol=4):
    path = tmp_path / "x.pkl"
    path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol))
    return path


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
def test_honest_pickles_load(tmp_path, protocol):
    value = {"a": OrderedDict(x=("name", np.arange(6.0).reshape(2, 3))), "b": [1, "two", None, np.float64(3.5)]}
    loaded = load_pickle(pickled(tmp_path, value, protocol))
    np.testing.assert_array_equal(loaded["a"]["x"][1], value["a"]["x"][1])
    assert loaded["b"] == value["b"]


@pytest.mark.parametrize(("rule", "data"), list(hostile_pickles()))
def test_hostile_pickles_run_nothing_and_are_one_clear_line(tmp_path, monkeypatch, rule, data):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"x\.pkl: not a usable file") as error:
        load_pickle(pickled(tmp_path, data))
    assert "\n" not in str(error.value) and os.listdir(tmp_path) == ["x.pkl"]


def test_every_cut_of_a_pickle_is_refused(tmp_path):
    data = pickle.dumps({"a": [1, "x", (2.5, None)], "b": np.arange(3)}, 4)
    for end in range(len(data)):
        with pytest.raises(UserError):
            load_pickle(pickled(tmp_path, data[:end]))


def test_what_a_pickle_remembers_takes_no_memory_for_its_number(tmp_path):
    assert load_pickle(pickled(tmp_path, b"\x80\x04Nr\xff\xff\xff\xff.")) is None


def test_operations_without_end_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pickles, "MOST_OPERATIONS", 100)
    load_pickle(pickled(tmp_path, [None] * 50))
    with pytest.raises(UserError, match="more than 100 operations"):
        load_pickle(pickled(tmp_path, [None] * 100))


def test_dicts_come_without_their_attributes(tmp_path):
    weights = OrderedDict(a=1)
    weights._metadata = {"version": 1}  # as PyTorch's have
    assert load_pickle(pickled(tmp_path, weights)) == {"a": 1}


@pytest.mark.parametrize("array", [np.arange(4, dtype=">f4"), np.zeros((0, 3), "i2"), np.array("abc"), np.array([True, False]),
                                   np.asfortranarray(np.arange(6).reshape(2, 3)), np.arange(2000.0)], ids=str)  # fmt: skip
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_arrays_of_any_order_load_as_they_are(tmp_path, array, protocol):
    loaded = load_pickle(pickled(tmp_path, {"a": array}, protocol))["a"]
    assert loaded.dtype.kind + str(loaded.itemsize) == array.dtype.kind + str(array.itemsize)  # in any order of bytes
    np.testing.assert_array_equal(loaded, array)


def test_files_over_the_limit_are_not_read(tmp_path):
    with pytest.raises(UserError, match="more than the 10"):
        load_pickle(pickled(tmp_path, b"x" * 11), limit=10)


def test_memory_that_another_array_uses_is_never_given_back():
    storage = np.frombuffer(b"abcd", "u1")
    state = call("numpy.dtype", text("u1"))
    data = b"\x80\x04" + text("key") + b"Q" + b"(" + whole(1) + b"(" + whole(0) + b"t" + state + b"\x89" + raw(b"") + b"tb."
    with pytest.raises(UserError, match="changes what is no data"):
        unpickle(data, "x", persistent_load=lambda key: storage)
    assert storage.tobytes() == b"abcd"
