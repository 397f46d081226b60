"""Mutants of right and wrong files are read or refused, by every reader; with atheris, what its branches lead to as well."""

import subprocess
import sys

import pytest

from tests.helpers.places import environment, with_memory_of_its_own
from tests.torture.fuzz_files import TARGETS, mutants, nothing_run


@pytest.mark.parametrize("name", TARGETS)
def test_mutants_are_read_or_refused(name):
    for data in mutants(TARGETS[name], 300, seed=1):
        TARGETS[name](data)


def fuzz(name, runs, folder):
    pytest.importorskip("atheris", reason="atheris has no wheel for this system: pip install '.[fuzz]'")
    command = [sys.executable, "-m", "tests.torture.fuzz_files", name, f"-runs={runs}", "-seed=1", "-verbosity=0"]
    command = with_memory_of_its_own(command)
    done = subprocess.run(command, check=False, cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert not list(folder.glob("crash-*"))


def test_what_a_file_would_open_is_seen(tmp_path):
    with pytest.raises(AssertionError, match="open"), nothing_run():
        (tmp_path / "hacked").touch()
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("name", ["skeleton", "pickled"])
def test_a_thousand_inputs_of_the_fuzzer(name, tmp_path):
    fuzz(name, 1000, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("name", TARGETS)
def test_many_inputs_of_the_fuzzer(name, tmp_path):
    fuzz(name, 10_000, tmp_path)
