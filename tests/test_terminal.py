"""What is shown on a terminal alone."""

import io

import pytest

from utils.terminal import paint


@pytest.mark.parametrize("terminal, variables, coloured", [(True, {}, True), (True, {"NO_COLOR": "1"}, False), (True, {"TERM": "dumb"}, False), (False, {}, False)])
def test_colours_only_on_a_terminal_that_wants_them(monkeypatch, terminal, variables, coloured):
    for key in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(key, raising=False)
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    assert (paint("text", "red", stream) != "text") == coloured
