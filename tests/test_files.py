"""Files and folders that appear whole or not at all, and run folders."""

import os
import shutil

import pytest

from utils.errors import UserError
from utils.files import make_run_folder, replacing, replacing_folder


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


def test_ctrl_c_while_an_old_folder_is_removed_leaves_the_new_one_alone(tmp_path, monkeypatch):
    folder, remove, calls = tmp_path / "data", shutil.rmtree, []

    def interrupted(path):
        calls.append(path)
        if len(calls) == 1:
            raise KeyboardInterrupt
        remove(path)

    with replacing_folder(folder, ["file"]) as new:
        (new / "file").write_text("old")
    monkeypatch.setattr(shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt), replacing_folder(folder, ["file"]) as new:
        (new / "file").write_text("new")
    assert (folder / "file").read_text() == "new" and os.listdir(tmp_path) == ["data"] and len(calls) == 2


