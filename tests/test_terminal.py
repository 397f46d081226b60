"""What is shown on a terminal alone."""

import io

import pytest

from utils.terminal import Parser, paint


@pytest.mark.parametrize("terminal, variables, coloured", [(True, {}, True), (True, {"NO_COLOR": "1"}, False), (True, {"TERM": "dumb"}, False), (False, {}, False)])
def test_colours_only_on_a_terminal_that_wants_them(monkeypatch, terminal, variables, coloured):
    for key in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(key, raising=False)
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    assert (paint("text", "red", stream) != "text") == coloured


def test_the_home_folder_is_put_for_a_tilde_in_any_form_of_an_option(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    parser = Parser("any.py")
    parser.add_argument("--work_dir")
    parser.add_argument("files", nargs="*")
    found, rest = parser.parse_known_args(["--work_dir=~/runs", "~/a=~b", "~", "a~b", "--data.root=~/x", "--seed=1"])
    assert vars(found) == {"work_dir": "/home/somebody/runs", "files": ["/home/somebody/a=~b", "/home/somebody", "a~b"]}
    assert rest == ["--data.root=/home/somebody/x", "--seed=1"]
