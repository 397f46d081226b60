"""How commands end, and how many threads compute."""

import signal

import pytest

from utils.errors import UserError
from utils.process import cores, run_command, threads


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


@pytest.mark.parametrize("text, count", [("3", 3), ("2,1", 2), ("0", 1), ("", None), ("many", None)])
def test_threads_are_those_of_the_environment_or_the_cores(monkeypatch, text, count):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert threads() == (count or cores())
