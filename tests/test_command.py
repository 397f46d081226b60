"""How commands end: a user's mistake, a signal at work and while packages are imported."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.places import ROOT, environment
from utils.command import run_command
from utils.errors import UserError


def test_a_user_s_mistake_is_one_line_and_exit_code_2(capsys):
    def main():
        raise UserError("config.yaml: no such key")

    assert run_command(main) == 2
    assert capsys.readouterr().err == "error: config.yaml: no such key\n"


OUT_OF_GPU = """

--------------------------------------
C++ Traceback (most recent call last):
--------------------------------------
Error Message Summary:
----------------------
ResourceExhaustedError:

Out of memory error on GPU 0. Cannot allocate 1.130859GB memory on GPU 0, 78.500000GB memory has been allocated and available memory is only 0.6GB.

Please check whether there is any other process using GPU 0.
"""


def test_a_gpu_out_of_memory_says_how_much_and_which_options_help(capsys):
    def main():
        raise MemoryError(OUT_OF_GPU)

    assert run_command(main) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: Out of memory error on GPU 0. Cannot allocate 1.130859GB") and said.count("\n") == 1
    assert all(option in said for option in ("--accumulate", "--amp O1", "num_frame"))


def test_errors_of_cuda_keep_their_cause_and_those_of_files_are_one_line(capsys):
    def cuda():  # as Paddle raises errors of CUDA, cuDNN and NCCL
        raise OSError("(External) CUDNN error(8), CUDNN_STATUS_EXECUTION_FAILED.")

    with pytest.raises(OSError, match="CUDNN_STATUS_EXECUTION_FAILED"):
        run_command(cuda)
    assert run_command(Path("no such folder/file").read_text) == 2
    assert capsys.readouterr().err == "error: no such folder/file: No such file or directory\n"


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


HOOK = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            sys.meta_path.remove(self)
            {strike}

class Dying:
    def __del__(self):
        os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Finder())
"""
STRIKES = {"in the import": "os.kill(os.getpid(), {})", "in a finaliser": "Dying()"}  # Python drops exceptions of finalisers
COMMANDS = {  # and heavy modules that it imports, at its beginning or when it is at work
    "infer.py": (["--model_file=none", "--data_file=none"], ["numpy"]),
    "main.py": (["-c", "2001", "-e", "-pp", "none"], ["pydantic_core", "paddle"]),
    "tools/ensemble.py": (["none.npz"], ["numpy"]),
}


def struck(tmp_path, command, hook):
    """A command in which the text `hook` is run before anything else."""
    (tmp_path / "sitecustomize.py").write_text(hook)
    program = [sys.executable, str(ROOT / command), *COMMANDS[command][0]]
    surroundings = {**environment(), "PYTHONPATH": str(tmp_path)}
    mind = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    return subprocess.run(program, env=surroundings, preexec_fn=mind, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("number, said", [(15, "stopped by SIGTERM\n"), (2, "stopped by Ctrl-C\n")])
@pytest.mark.parametrize("strike", STRIKES)
@pytest.mark.parametrize("command, name", [(command, name) for command, (_, names) in COMMANDS.items() for name in names])
def test_a_signal_during_an_import_is_one_line(tmp_path, command, name, strike, number, said):
    hook = HOOK.format(name=name, number=number, strike=STRIKES[strike].format(number))
    ended = struck(tmp_path, command, hook)
    assert (ended.returncode, ended.stderr) == (128 + number, said)


def test_a_second_signal_does_not_wait_for_the_import(tmp_path):
    twice = "[os.kill(os.getpid(), 2), os.kill(os.getpid(), 2), os._exit(1)]"
    ended = struck(tmp_path, "infer.py", HOOK.format(name="numpy", number=2, strike=twice))
    assert (ended.returncode, ended.stderr) == (130, "stopped by Ctrl-C\n")
