"""Atomic files, run folders, and how commands end."""

import os

import pytest

from utils import UserError, make_run_folder, replacing, run_command


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
