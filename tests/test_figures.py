"""Pictures for papers."""

import logging
import shutil

import pytest

from dataset.graph import NTU
from evaluation.figures import save_figures
from tests.helpers.pages import HOSTILE, TWO_D, make_data, make_look, make_scores


@pytest.mark.parametrize("options", [{}, {"attention": False, "joints": 18, "bodies": 1, "flat": True}])
def test_pictures_of_every_kind_with_embedded_fonts(tmp_path, options):
    from PIL import Image

    scores = make_scores(4, 30)
    scores.names[0] = "../../a b/<c>"
    looks = [make_look(scores, 0, frames=12, **options)]
    data = make_data(scores, looks, HOSTILE, TWO_D if options else NTU)
    data["curves"] = {"train_loss": [[1, 2], [2.0, 1.0]]}
    save_figures(tmp_path / "figures", data, looks, HOSTILE, TWO_D if options else NTU)
    files = {path.name for path in (tmp_path / "figures").iterdir()}
    stems = {"confusion", "curves", "attention_01_______a_b__c_"}
    assert files >= {f"{stem}.{suffix}" for stem in stems for suffix in ("png", "svg", "pdf")} | {"skeleton_01_______a_b__c_.gif"}
    assert ("skeleton_01_______a_b__c_.mp4" in files) == bool(shutil.which("ffmpeg"))
    for path in (tmp_path / "figures").glob("*.pdf"):
        assert b"/FontFile2" in path.read_bytes() and b"/Type3" not in path.read_bytes(), path
    for path in (tmp_path / "figures").glob("*.svg"):
        assert "<text" not in path.read_text() and "<path" in path.read_text(), path
    with Image.open(tmp_path / "figures" / "skeleton_01_______a_b__c_.gif") as animation:
        assert animation.n_frames == 6
    assert not [path for path in (tmp_path).iterdir() if path.name != "figures"]


def test_names_that_no_font_has_become_numbers(tmp_path, caplog):

    logging.getLogger("efficientgcn").propagate = True
    names = ["a", "b\U0010fff0", "c", "d"]
    scores = make_scores(4, 30)
    with caplog.at_level(logging.INFO, "efficientgcn"):
        save_figures(tmp_path, make_data(scores, [], names), [], names, NTU)
    assert "pictures give numbers" in caplog.text and (tmp_path / "confusion.png").is_file()
