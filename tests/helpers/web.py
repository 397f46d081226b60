"""Pages of ONNX files, and pictures of docs/anywhere.md: python -m tests.helpers.web workdir/xsub.html

For a page with a camera and a film of films.py, which it is shown: python -m tests.helpers.web workdir/xsub.html film.mjpeg
"""

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

from export.web import web_runtime, write_page
from infer import Recognizer
from tests.helpers.pages import CHROMIUM, FLAGS
from tests.helpers.places import ROOT

FRAME = 38  # of the sample, in which hands are shaken
PRETENDED = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", "--use-file-for-fake-video-capture={}"]
WEBGL = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]  # which MediaPipe asks for, without a GPU


def page_and_infer(file, camera=False):
    """The page of an ONNX file for one body (path), with a camera or without, and infer.py with it (recognizer)."""
    import onnx

    network = onnx.load(file)
    known = {entry.key: json.loads(entry.value) for entry in network.metadata_props}
    C, _, V, M = (size.dim_value for size in network.graph.input[0].type.tensor_type.shape.dim[1:])
    shutil.copyfile(file, file.with_name("page.onnx"))
    shape = C, known["preprocessing"]["num_frame"], V, M
    page = write_page(file.with_name("page.onnx"), known, shape, known["licence"], web_runtime(camera=camera))
    return SimpleNamespace(path=page, recognizer=Recognizer(file))


def take_picture(page, picture):
    """The page as it names its sample (its button needs a Chinese font), with few colours, so that the file is small."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        shown = browser.new_page(viewport={"width": 1100, "height": 830}, reduced_motion="reduce")
        shown.goto(page.resolve().as_uri())
        shown.wait_for_selector("body[data-ready]")
        shown.click("#sample")
        shown.wait_for_selector("[data-answer]")
        shown.locator("#stage").focus()
        for _ in range(FRAME):
            shown.keyboard.press(".")
        shown.mouse.move(0, 0)
        shown.locator("#stage").blur()
        shown.screenshot(path=picture)
        browser.close()
    Image.open(picture).convert("RGB").quantize(48).save(picture, optimize=True)


def take_camera_picture(page, film, picture):
    """The camera of a page as it names what the person of a film does."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    flags = [*FLAGS.replace("--disable-gpu", "").split(), *WEBGL, *(flag.format(Path(film).resolve()) for flag in PRETENDED)]
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=flags)
        shown = browser.new_page(viewport={"width": 1000, "height": 1200})
        shown.goto(page.resolve().as_uri())
        shown.wait_for_selector("body[data-ready]")
        shown.click("#film")
        shown.wait_for_selector("#camera[data-answer]", timeout=60000)
        shown.wait_for_timeout(5000)  # as long as what is looked at
        shown.mouse.move(0, 0)
        shown.locator("#camera").screenshot(path=picture.with_suffix(".png"))
        browser.close()
    Image.open(picture.with_suffix(".png")).save(picture, quality=80)
    picture.with_suffix(".png").unlink()


if __name__ == "__main__":
    page, docs = Path(sys.argv[1]), ROOT / "docs"
    take_camera_picture(page, sys.argv[2], docs / "anywhere_camera.webp") if sys.argv[2:] else take_picture(
        page, docs / "anywhere.png"
    )
