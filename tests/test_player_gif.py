"""tools/player_gif.py: a report's player as moving pictures."""

import sys

import pytest

from evaluation.report import write_page
from tests.helpers.pages import CHROMIUM, make_data, make_look, make_scores
from tools.player_gif import main
from utils.errors import UserError


@pytest.fixture
def report(tmp_path):
    scores = make_scores(4, 8)
    write_page(tmp_path / "report.html", make_data(scores, [make_look(scores, 0, frames=6)], list("abcd")))
    return tmp_path / "report.html"


def test_it_writes_a_light_and_a_dark_picture_that_move_and_are_small(report, monkeypatch):
    pytest.importorskip("playwright")
    if not CHROMIUM:
        pytest.skip("no Chromium on PATH (Debian: apt-get install chromium)")
    from PIL import Image

    monkeypatch.setattr(sys, "argv", ["player_gif.py", str(report), str(report.with_name("player"))])
    main()
    light, dark = (Image.open(report.with_name(f"player_{theme}.gif")) for theme in ("light", "dark"))
    assert light.n_frames == dark.n_frames == 3
    assert sum(light.convert("RGB").getpixel((2, 2))) > 600 > 200 > sum(dark.convert("RGB").getpixel((2, 2)))
    assert all(path.stat().st_size < 1e6 for path in report.parent.glob("*.gif"))


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("report", "none.html: can't be read"),
        ("samples", "is not a report"),
        ("playwright", r"playwright\S* is not installed; pip install '\.\[dev,report\]'"),
        ("Chromium", "Chromium is not installed"),
    ],
)
def test_what_is_missing_is_one_line_and_nothing_is_written(report, monkeypatch, missing, said):
    if missing == "report":
        report = report.with_name("none.html")
    elif missing == "samples":
        report.write_text("<p>no report")
    elif missing == "playwright":
        monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    else:
        pytest.importorskip("playwright")
        monkeypatch.setenv("PATH", "")
        monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(report.parent))
    before = set(report.parent.iterdir())
    monkeypatch.setattr(sys, "argv", ["player_gif.py", str(report), str(report.with_name("player"))])
    with pytest.raises(UserError, match=said) as raised:
        main()
    assert "\n" not in str(raised.value)
    assert set(report.parent.iterdir()) == before
