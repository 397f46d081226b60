"""Pictures for papers."""

import logging
import shutil

import numpy as np
import pytest
from matplotlib.colors import to_hex

from dataset.graph import NTU
from evaluation.figures import HEAT, LIGHT, SHARES, draw_confusion, draw_maps, save_figures
from evaluation.report import ASSETS
from tests.helpers.pages import HOSTILE, TWO_D, make_look, make_scores


@pytest.mark.parametrize("options", [{}, {"attention": False, "joints": 18, "bodies": 1, "flat": True}])
def test_pictures_of_every_kind_with_embedded_fonts(tmp_path, options):
    from PIL import Image, ImageSequence

    scores = make_scores(4, 30)
    scores.names[0] = "../../a b/<c>"
    looks = [make_look(scores, 0, frames=12, **options)]
    curves = {"train_loss": [[1, 2], [2.0, 1.0]]}
    save_figures(tmp_path / "figures", scores.confusion(), curves, looks, HOSTILE, TWO_D if options else NTU)
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
        picture = np.stack([np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(animation)])
    assert (picture[:, :40] < 128).all(-1).any()  # its title
    for name in ("muted", "mid", "high"):  # bones and joints, in the colours of the page
        colour = [int(LIGHT[name][i : i + 2], 16) for i in (1, 3, 5)]
        assert np.abs(picture - colour).max(-1).min() <= 24, name
    assert not [path for path in (tmp_path).iterdir() if path.name != "figures"]


def test_names_that_no_font_has_become_numbers(tmp_path, caplog):

    logging.getLogger("efficientgcn").propagate = True
    names = ["a", "b\U0010fff0", "c", "d"]
    scores = make_scores(4, 30)
    with caplog.at_level(logging.INFO, "efficientgcn"):
        save_figures(tmp_path, scores.confusion(), {}, [], names, NTU)
    assert "pictures give numbers" in caplog.text and (tmp_path / "confusion.png").is_file()


def test_pictures_have_the_palette_of_the_page():
    light = (ASSETS / "palette.css").read_text().split("}")[0]
    for colours, names in ((HEAT, ("low", "mid", "high")), (SHARES, ("zero", "half", "full"))):
        for place, name in zip((0.0, 0.5, 1.0), names, strict=True):
            near = [int(to_hex(colours(place))[i : i + 2], 16) - int(light.split(f"--{name}: ")[1][i : i + 2], 16) for i in (1, 3, 5)]
            assert np.abs(near).max() <= 1, name


def test_the_skeleton_is_coloured_by_class_activation_where_it_is_highest():
    scores = make_scores(4, 30)
    look = make_look(scores, 0)
    look.maps["class activation, predicted class: x"][6] += 2
    panel, activation, attention = draw_maps(look, list("abcd"), NTU).axes[:3]
    assert panel.get_title() == "class activation,\nframe 27" and "predicted: " in panel.figure.get_suptitle()
    dots = panel.collections[1]
    np.testing.assert_array_equal(np.sort(dots.get_array()), np.sort(look.maps["class activation, predicted class: x"][6].ravel()))
    assert dots.cmap == activation.images[0].cmap == attention.images[0].cmap == HEAT


@pytest.mark.parametrize("classes, printed", [(20, True), (21, False)])
def test_the_confusion_matrix_prints_shares_up_to_20_classes(classes, printed):
    scores = make_scores(classes, 800)
    confusion = scores.confusion()
    said = [text.get_text() for text in draw_confusion(confusion, [str(k) for k in range(classes)]).axes[0].texts]
    shares = 100 * confusion / confusion.sum(1, keepdims=True)
    assert said == ([f"{share:.0f}" if share else "" for share in shares.ravel()] if printed else [])
