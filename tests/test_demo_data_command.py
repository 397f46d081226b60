"""The command that writes synthetic recordings, and its mistakes."""

import re
import subprocess
import sys

import pytest

from tests.helpers.places import ROOT
from tools.demo_data import write_demo
from utils.errors import UserError


def test_a_file_of_someone_else_is_never_replaced(tmp_path):
    [*_, last] = write_demo(tmp_path, performers=3, actions=(10,), frames=(10, 10))
    last.write_text("1\n1\n72057594037931101 0 1 1 1 1 0 0.02764709 0.05745083 2\n")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match=last.name):
        write_demo(tmp_path, performers=3, actions=(10,), frames=(12, 12))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_other_files_in_the_folder_stay(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    paths = write_demo(tmp_path, performers=3, actions=(10,), frames=(10, 10))
    write_demo(tmp_path, performers=3, actions=(10,), frames=(12, 12))
    assert sorted(tmp_path.iterdir()) == sorted([*paths, tmp_path / "notes.txt"])
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"performers": 2}, "--performers 2"),
        ({"performers": 41}, "3 to 40"),
        ({"repeats": 0}, "--repeats 0"),
        ({"seed": -1}, "--seed -1"),
        ({"actions": (6, 7)}, "--actions 6 7: choose from 6 8 9"),
        ({"actions": ()}, "--actions"),
        ({"frames": (50, 40)}, "--frames 50 40"),
        ({"frames": (9, 40)}, "--frames 9 40"),
        ({"frames": (50, 301)}, "10 to 300"),
    ],
)
def test_values_that_cannot_be_are_refused_by_name(tmp_path, options, said):
    with pytest.raises(UserError, match=re.escape(said)):
        write_demo(tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_a_file_in_place_of_the_folder_is_refused_by_name(tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(UserError, match="taken: is a file"):
        write_demo(tmp_path / "taken", performers=3)


def command(*arguments):
    line = [sys.executable, "tools/demo_data.py", *arguments]
    return subprocess.run(line, cwd=ROOT, check=False, capture_output=True, text=True)


def test_the_command_writes_and_calls_its_data_synthetic(tmp_path):
    options = ["--performers", "3", "--repeats", "2", "--actions", "10", "24", "--frames", "10", "12", "--seed", "7"]
    run = command("--save_dir", str(tmp_path / "new"), *options)
    assert (run.returncode, run.stderr) == (0, "")
    assert re.fullmatch(r"36 synthetic .*seed 7.*\n", run.stdout)
    assert len(list((tmp_path / "new").glob("*.skeleton"))) == 36


@pytest.mark.parametrize("arguments", [[], ["--save_dir", "x", "--seed", "one"], ["--save_dir", "x", "--actions", "7"]])
def test_a_mistake_is_one_line_and_exit_code_2(arguments):
    run = command(*arguments)
    assert (run.returncode, run.stdout) == (2, "")
    assert re.fullmatch(r"error: .+\n", run.stderr)
