"""The camera of the page, with Chromium's pretended camera that shows a photograph: it runs, draws and answers."""

import io
import re
import sys
from pathlib import Path

import pytest

from export.web import web_runtime
from options.schema import load_config
from tests.helpers.exported import SETTINGS, export, wide_network
from tests.helpers.pages import CHROMIUM, FLAGS, runtime_or_skip, until
from tests.helpers.programs import export as export_small
from tests.helpers.programs import record
from tests.helpers.small import small
from tests.helpers.web import PRETENDED, WEBGL, page_and_infer
from utils.errors import UserError

pytest.importorskip("onnx")
pytestmark = pytest.mark.full
MOST = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with film.mjpeg, in which a photograph that Matplotlib ships moves to the right."""
    cbook, image = pytest.importorskip("matplotlib.cbook"), pytest.importorskip("PIL.Image")
    if not CHROMIUM:
        pytest.skip("no Chromium on PATH (Debian: apt-get install chromium)")
    runtime_or_skip(camera=True)
    photo = image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).resize((384, 450))
    frames, folder = io.BytesIO(), tmp_path_factory.mktemp("camera")
    for shift in range(0, 60, 2):
        frame = image.new("RGB", (640, 480), "lightgrey")
        frame.paste(photo, (100 + shift, 30))
        frame.save(frames, "JPEG")
    (folder / "film.mjpeg").write_bytes(frames.getvalue())
    return folder


@pytest.fixture(scope="module")
def page(folder):
    """The page of a small network, with a camera."""
    (folder / "weights").write_bytes(b"any")
    config = load_config("2001", {**SETTINGS, "dataset_args.ntu.num_frame": str(MOST)}.items())
    export(wide_network("2001"), config, folder / "net", folder / "weights", to="onnx", one_body=True)
    return page_and_infer(folder / "net.onnx", camera=True).path


@pytest.fixture
def filmed(folder, page):
    """filmed(*flags) -> the page in a Chromium started with these flags, without a network; nothing may be fetched."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        asked, wrong = [], []

        def open_page(*flags):
            browser = started.chromium.launch(
                executable_path=CHROMIUM, args=[*FLAGS.replace("--disable-gpu", "").split(), *flags]
            )
            shown = browser.new_context(offline=True).new_page()
            shown.on("request", lambda request: asked.append(request.url))
            shown.on("pageerror", lambda error: wrong.append(str(error)))
            shown.goto(page.as_uri())
            shown.wait_for_selector("body[data-ready]", timeout=120000)
            return shown

        yield open_page
        assert wrong == []
        assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [page.as_uri()]


def test_who_is_before_the_camera_is_drawn_and_given_an_action(folder, page, filmed):
    assert page.stat().st_size < 25e6
    shown = filmed(*WEBGL, *(flag.format(folder / "film.mjpeg") for flag in PRETENDED))
    assert shown.locator("#filming").is_hidden()
    shown.click("#film")
    until(shown, lambda: shown.locator("#camera[data-answer]").count() == 1)
    first = shown.locator("#guesses .guess").first
    assert re.fullmatch(r"A0[0-6]\d", shown.locator("#camera").get_attribute("data-answer"))
    assert first.inner_text().startswith(shown.locator("#camera").get_attribute("data-answer"))
    assert shown.locator("#guesses .guess").count() == 5 and shown.locator("#mirror").is_visible()
    shoulders = shown.evaluate(
        "landmarks && inCameraSpace(landmarks.world, landmarks.image, [640, 480], POINTS).filter((_, v) => v === 4 || v === 8)"
    )
    assert shoulders[1][0] - shoulders[0][0] > 0.15 and shoulders[0][2] > 0.3  # metres: left and right, as the sensor has them
    shown.click("#film")
    until(shown, lambda: shown.locator("#filming").is_hidden())
    assert shown.evaluate("camera") is None and shown.locator("#film").is_enabled()


@pytest.mark.parametrize(
    ("flags", "lacking", "sentence"),
    [(PRETENDED[:1], "", "none is connected"),
     (PRETENDED[1:2], "", "this page was not allowed to; allow it beside the address, then start again"),
     (PRETENDED[:2], "delete Navigator.prototype.mediaDevices", "browsers lend it only to pages from disk, from localhost or over https"),
     (PRETENDED[:2], "HTMLCanvasElement.prototype.getContext = () => null", "its model needs WebGL, which this browser does not offer")],
    ids=["none", "refused", "unsafe", "no WebGL"],
)  # fmt: skip
def test_a_camera_that_can_not_be_used_is_one_sentence(filmed, flags, lacking, sentence):
    shown = filmed(*WEBGL, *flags)
    shown.evaluate(lacking)
    shown.click("#film")
    until(shown, lambda: shown.locator("#filmed").inner_text() == f"The camera can't be used: {sentence}.")
    assert shown.locator("#film").is_enabled() and shown.locator("#filming").is_hidden()


def test_where_nobody_is_seen_a_sentence_says_what_to_do(filmed):
    shown = filmed(*WEBGL, *PRETENDED[:2])  # Chromium's own picture, without a person
    shown.click("#film")
    until(shown, lambda: shown.locator("#filming").is_visible())
    assert shown.locator("#filmed").inner_text() == "Nobody is found: step back until all of you is in the picture."
    shown.wait_for_timeout(1500)
    assert shown.locator("#guesses .guess").count() == 0 and shown.locator("#camera[data-answer]").count() == 0


def test_joints_of_ones_own_go_without_a_camera(folder, tmp_path):
    export_small(small(data_shape=(3, 4, MOST, 3, 1)), tmp_path / "net", (3, 4, MOST, 3, 1), record(MOST), to="onnx")
    with pytest.raises(UserError, match="web_camera: works only with NTU RGB"):
        page_and_infer(tmp_path / "net.onnx", camera=True)


def test_a_pose_model_that_is_not_there_is_named(tmp_path):
    runtime_or_skip()
    (tmp_path / "onnxruntime-web").symlink_to(Path(sys.prefix) / "npm" / "node_modules" / "onnxruntime-web")
    with pytest.raises(UserError, match=r"@mediapipe/pose/pose\.js: missing, one of @mediapipe/pose@0\.5"):
        web_runtime(tmp_path / "onnxruntime-web", camera=True)
