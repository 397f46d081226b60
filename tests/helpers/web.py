"""Pages of ONNX files, and the picture of docs/anywhere.md: python -m tests.helpers.web workdir/xsub.html"""

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
    """The page as it names its sample, with few colours, so that the file is small."""
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
        shown.locator("#other").evaluate("button => button.remove()")  # the fonts at hand may lack Chinese
        shown.screenshot(path=picture)
        browser.close()
    Image.open(picture).convert("RGB").quantize(48).save(picture, optimize=True)


if __name__ == "__main__":
    take_picture(Path(sys.argv[1]), ROOT / "docs" / "anywhere.png")
