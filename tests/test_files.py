"""Atomic files, run folders, and how commands end."""

import os
import shutil
import signal

import pytest

from utils.errors import UserError
from utils.files import make_run_folder, replacing, replacing_folder
from utils.log import get_logger, set_up_logging
from utils.process import run_command


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


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_log_on_a_full_disk_is_given_up_in_one_line(tmp_path, capfd):
    (tmp_path / "log.txt").symlink_to("/dev/full")
    set_up_logging(tmp_path)
    get_logger().info("first")
    get_logger().info("second")
    set_up_logging(quiet=True)
    out, err = capfd.readouterr()
    assert err == "" and [line.split(" ] ")[1] for line in out.splitlines()] == [
        "first",
        f"{tmp_path / 'log.txt'}: can't be written ([Errno 28] No space left on device); going on without it",
        "second",
    ]


def test_a_user_s_mistake_is_one_line_and_exit_code_2(capsys):
    def main():
        raise UserError("config.yaml: no such key")

    assert run_command(main) == 2
    assert capsys.readouterr().err == "error: config.yaml: no such key\n"


@pytest.mark.parametrize(("number", "code", "line"), [(signal.SIGINT, 130, "stopped by Ctrl-C\n"), (signal.SIGTERM, 143, "stopped by SIGTERM\n")])
@pytest.mark.parametrize("raised", [UserError, ImportError, None])
def test_a_signal_is_one_line_whatever_a_library_makes_of_it(capsys, number, code, line, raised):
    def main():
        try:
            signal.raise_signal(number)
        except BaseException:
            if raised:
                raise raised("not installed") from None
            raise

    old = {known: signal.getsignal(known) for known in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert run_command(main) == code
    finally:
        for known, handler in old.items():
            signal.signal(known, handler)
    assert capsys.readouterr().err == line
