"""The player of a report as moving pictures, for light and dark pages, of the report's first sample:

    python -m tests.helpers.player_gif REPORT.html docs/player

Those of README are of synthetic people that the published x-sub weights name:

    python tools/demo_data.py --save_dir skeletons
    python main.py -c 2001 -gd --dataset_args.ntu.ntu60_path skeletons
    python main.py -c 2001 -v -pp xsub.pdparams --report_args.names "[S010C001P006R001A024.skeleton, ...]"
"""

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.helpers.pages import CHROMIUM

STYLE = """#samples h2, #samples .bar, #scrub, figcaption, #joint, #note { display: none; } #stage { height: 330px; } #stage:focus { outline: none; }
  #samples { position: fixed; inset: 0 0 auto 0; margin: 0; border: 0; border-radius: 0; z-index: 9; } header { visibility: hidden; }"""
EVERY, COLOURS = 2, 96  # frames of the recording a picture; what keeps the file small


def record(report, path, theme):
    """Write the first sample of the page `report` to a GIF; the view turns there and back meanwhile."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1040, "height": 800}, reduced_motion="reduce", color_scheme=theme)
        page.goto(report.resolve().as_uri())
        page.wait_for_selector("body[data-ready]")
        page.add_style_tag(content=STYLE)
        page.locator("#stage").focus()
        frames, images = int(page.locator("#scrub").get_attribute("max")) + 1, []
        for frame in range(0, frames, EVERY):
            page.locator("#scrub").evaluate("(scrub, t) => { scrub.value = t; scrub.oninput(); }", frame)
            page.keyboard.press("ArrowLeft" if frame < frames / 2 else "ArrowRight")
            images.append(Image.open(io.BytesIO(page.locator("#samples").screenshot())).convert("RGB"))
        browser.close()
    palette = images[len(images) // 2].quantize(COLOURS)
    first, *others = (image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images)
    first.save(path, save_all=True, append_images=others, duration=1000 * EVERY // 30, loop=0, optimize=True)


if __name__ == "__main__":
    for theme in ("light", "dark"):
        record(Path(sys.argv[1]), Path(f"{sys.argv[2]}_{theme}.gif"), theme)
