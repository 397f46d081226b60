"""A report's first sample as moving pictures of its player, for light and dark pages: PREFIX_light.gif and PREFIX_dark.gif.

python tools/player_gif.py workdir/RUN/report_best.html docs/player

README's are of S010C001P006R001A024.skeleton of tools/demo_data.py, given as --report_args.names, and of the published x-sub
weights (README, "Recognise something"). Needs Chromium, and pip install '.[dev,report]'.
"""

import os
import sys

if __name__ == "__main__":  # before the imports, so that a signal during them is one line too
    sys.path.insert(0, os.path.realpath(f"{__file__}/../.."))
    from utils.command import run_command

    sys.exit(run_command("tools.player_gif"))

import io
import shutil
from pathlib import Path

from utils.errors import UserError
from utils.files import read_text, replacing
from utils.terminal import Parser

STYLE = """#samples :is(h2, .bar, #scrub, figcaption, #joint, #note), header { display: none; } #stage { height: 330px; }
  #samples { position: fixed; inset: 0 0 auto; margin: 0; border: 0; border-radius: 0; z-index: 9; } #stage { outline: none; }"""
EVERY, COLOURS = 2, 96  # frames of the recording a picture; what keeps the file small
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def screenshots(browser, report, theme):
    """PNG files, as bytes, of the first sample of the page `report`; the view turns there and back meanwhile."""
    page = browser.new_page(viewport={"width": 1040, "height": 800}, reduced_motion="reduce", color_scheme=theme)
    page.goto(report.resolve().as_uri())
    page.wait_for_selector("body[data-ready]")
    page.add_style_tag(content=STYLE)
    page.locator("#stage").focus()
    frames = int(page.locator("#scrub").get_attribute("max")) + 1
    for frame in range(0, frames, EVERY):
        page.locator("#scrub").evaluate("(scrub, t) => { scrub.value = t; scrub.oninput(); }", frame)
        page.keyboard.press("ArrowLeft" if frame < frames / 2 else "ArrowRight")
        yield page.locator("#samples").screenshot()


def main():
    parser = Parser(prog="tools/player_gif.py", description=__doc__)
    parser.add_argument("report", type=Path, help="page that main.py -v wrote")
    parser.add_argument("prefix", help="how the names of the two pictures begin")
    options = parser.parse_args()
    if 'id="samples"' not in read_text(options.report, limit=1 << 30) or options.report.suffix != ".html":
        raise UserError(f"{options.report}: is not a report, a page (.html) that main.py -v wrote")
    try:
        from PIL import Image
        from playwright.sync_api import Error, sync_playwright
    except ModuleNotFoundError as error:
        raise UserError(f"the package {error.name} is not installed; pip install '.[dev,report]'") from error
    paths = {theme: Path(f"{options.prefix}_{theme}.gif") for theme in ("light", "dark")}
    with replacing(*paths.values()) as files, sync_playwright() as started:
        try:
            browser = started.chromium.launch(executable_path=next(filter(None, map(shutil.which, BROWSERS)), None))
            for theme, file in zip(paths, files, strict=True):
                images = [Image.open(io.BytesIO(png)).convert("RGB") for png in screenshots(browser, options.report, theme)]
                palette = images[len(images) // 2].quantize(COLOURS)
                first, *others = (image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images)
                first.save(file, "GIF", save_all=True, append_images=others, duration=1000 * EVERY // 30, loop=0, optimize=True)
        except Error as error:
            said = f"Chromium is not installed or can't show it ({error.message.splitlines()[0]})"
            raise UserError(f"{options.report}: {said}; try apt-get or playwright install chromium") from error
    print(f"Written: {' and '.join(map(str, paths.values()))}")
