"""Atomic files, run folders, and pickles that may be hostile."""

import os
import pickle
import struct
from collections import OrderedDict

import numpy as np
import pytest

from utils import UserError, load_pickle, make_run_folder, replacing, run_command


def test_a_file_is_replaced_in_one_step(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["x"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["x"]


def test_what_a_killed_process_left_is_removed_by_the_next_write(tmp_path):
    (tmp_path / ".x.4194304.tmp").write_text("left")
    with replacing(tmp_path / "x") as temporary:
        temporary.write_text("new")
    assert os.listdir(tmp_path) == ["x"]


def test_a_folder_that_is_a_file_is_one_clear_line(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(UserError, match="can't be written"), replacing(tmp_path / "f" / "x") as temporary:
        temporary.write_text("x")


def test_two_runs_never_share_a_folder(tmp_path):
    folders = {make_run_folder(tmp_path / "runs") for _ in range(2)}
    assert len(folders) == 2


def test_a_user_s_mistake_is_one_line_and_exit_code_2(capsys):
    def main():
        raise UserError("config.yaml: no such key")

    assert run_command(main) == 2
    assert capsys.readouterr().err == "error: config.yaml: no such key\n"


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


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


HOSTILE = {
    "os.system": Calls(os.system, "touch hacked"),
    "eval": Calls(eval, "open('hacked', 'w')"),
    "import": Calls(__import__, "antigravity"),
    "nested": {"model": [("a", Calls(tuple, [Calls(os.mkdir, "hacked")]))]},
    "getattr": Calls(getattr, "x", "__class__"),
    "huge array": b"cnumpy\nndarray\n((I99999999999\ntR.",
    "huge scalar": b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'V2000000000'\ntRtR.",
    "huge memo": b"\x80\x04Nr" + struct.pack("<I", 2**31) + b".",
    "long text": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"abc",
    "stack": b"0000.",
    "empty": b"",
    "truncated": pickle.dumps(list(range(1000)))[:100],
    "text": b"hello world",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_run_nothing_and_are_one_clear_line(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"x\.pkl") as error:
        load_pickle(pickled(tmp_path, HOSTILE[name]))
    assert "\n" not in str(error.value) and os.listdir(tmp_path) == ["x.pkl"]


def test_files_over_the_limit_are_not_read(tmp_path):
    with pytest.raises(UserError, match="more than the 10"):
        load_pickle(pickled(tmp_path, b"x" * 11), limit=10)
