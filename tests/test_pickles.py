"""Pickles and PyTorch files that may be hostile are read as data, and honest ones as they are."""

import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from tests.torture.hostile_pickles import call, hostile_pickles, raw, text, whole
from tools.convert_weights import read_weights
from utils import pickles
from utils.errors import UserError
from utils.pickles import load_pickle, load_torch, unpickle

pytest_plugins = ["tests.helpers.torch_saved"]


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


def test_tensors_are_read_as_stored(torch_save, tmp_path):
    base = np.arange(24, dtype="float32")
    values = {
        "large": np.arange(10**5, dtype="int64"),  # far more than the pickle that describes it
        "whole": base,
        "matrix": base[4:16].reshape(3, 4),
        "turned": base[4:16].reshape(3, 4).T,
        "every other": base[1::2],
        "count": np.array(7),
        "half": np.ones((2, 0), "float16"),
        "double": np.full((2, 1, 3), 0.5),
    }
    read = load_torch(torch_save({"model": values, "epoch": 3, "best": {"acc": 0.5}}, tmp_path / "a.pth.tar"))
    assert (read["epoch"], read["best"]) == (3, {"acc": 0.5})
    for name, value in values.items():
        array = read["model"][name].array
        assert array.dtype == value.dtype and array.shape == value.shape
        np.testing.assert_array_equal(array, value)


def hostile_torch_file(name, tmp_path, torch_save):
    """Path of a PyTorch file that is damaged, or would do harm if it were believed."""
    path = torch_save({"w": np.arange(6, dtype="float32").reshape(2, 3)}, tmp_path / "a.pth")
    if name == "text":
        path.write_text("hello")
    elif name == "runs a command":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    elif name in ("view beyond the storage", "view larger than the storage", "negative offset", "no such storage"):
        with zipfile.ZipFile(path) as archive:
            data = archive.read("archive/data.pkl")
        changed = {  # the view's size (2, 3), strides (3, 1); BININT1 is K
            "view beyond the storage": data.replace(b"K\x03K\x01\x86", b"K\x09K\x01\x86"),
            "view larger than the storage": data.replace(b"K\x02K\x03\x86", b"J\xff\xff\xff\x7fK\x03\x86").replace(
                b"K\x03K\x01\x86", b"K\x00K\x00\x86"
            ),
            "negative offset": data.replace(b"QK\x00", b"QJ\xfd\xff\xff\xff"),
            "no such storage": data.replace(b"X\x01\x00\x00\x000", b"X\x01\x00\x00\x009"),
        }[name]
        assert changed != data
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", changed)
            archive.writestr("archive/data/0", np.arange(6, dtype="float32").tobytes())
    else:  # "compressed", which could become any size, or "no pickle"
        with zipfile.ZipFile(path) as archive:
            contents = {entry: archive.read(entry) for entry in archive.namelist()}
        if name == "no pickle":
            del contents["archive/data.pkl"]
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if name == "compressed" else zipfile.ZIP_STORED) as archive:
            for entry, content in contents.items():
                archive.writestr(entry, content)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "text",
        "runs a command",
        "view beyond the storage",
        "view larger than the storage",
        "negative offset",
        "no such storage",
        "compressed",
        "no pickle",
    ],
)
def test_a_hostile_or_damaged_file_is_one_clear_error(name, torch_save, tmp_path):
    path = hostile_torch_file(name, tmp_path, torch_save)
    with pytest.raises(UserError, match=r"a\.pth") as error:
        read_weights(path)
    assert "\n" not in str(error.value) and not (tmp_path / "ran").exists()


def test_a_file_of_pytorch_before_1_6_says_what_to_do(tmp_path):
    parts = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {}, [])
    (tmp_path / "a.pth").write_bytes(b"".join(pickle.dumps(part, 2) for part in parts))
    with pytest.raises(UserError, match=r"a\.pth: saved by PyTorch before 1\.6.*load and save it with a newer one"):
        read_weights(tmp_path / "a.pth")


def test_a_file_cut_anywhere_is_refused(torch_save, tmp_path):
    path = torch_save({"model": {"w": np.ones((2, 3), "float32"), "b": np.zeros(4)}}, tmp_path / "a.pth")
    whole = path.read_bytes()
    assert len(read_weights(path)) == 2
    for length in [*range(0, len(whole), 7), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(UserError):
            read_weights(path)
