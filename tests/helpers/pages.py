"""Reports of made-up scores, and a browser that opens them."""

import shutil

import numpy as np
import pytest

from dataset.graph import NTU, Graph
from evaluation.report import ASSETS, gather
from evaluation.saliency import SampleSaliency
from evaluation.scores import Scores
from export.web import web_runtime
from utils.errors import UserError

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update"
HOSTILE = ["</script><script>window.hacked=1</script>", "<img src=x onerror=window.hacked=1>", "<b>bold</b> & \"q\" 'q'", "$\\frac{$ %{x} <!--data-->"]


def runtime_or_skip(camera=False):
    """Skip where ONNX Runtime Web, or a camera's pose model, is neither there nor to be had."""
    try:
        web_runtime(camera=camera)
    except UserError as error:
        pytest.skip(str(error))


def make_scores(classes, count, seed=0, sure=2.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    logits = rng.normal(size=(count, classes)).astype("float32")
    logits[np.arange(count), labels] += sure
    return Scores([f"S001C001P001R001A{i:03d}.skeleton" for i in range(count)], labels, logits)


def make_look(scores, index, *, joints=25, bodies=2, frames=40, attention=True, flat=False):
    rng = np.random.default_rng(index)
    wave = np.sin(np.arange(frames) / 5)[:, None, None, None]
    motion = rng.normal(0, 0.4, (1, bodies, joints, 3)) + 0.2 * wave * rng.normal(size=(1, bodies, joints, 3))
    if flat:
        motion[..., 2] = 0
    maps = {"class activation, predicted class: x": rng.random((frames // 4, bodies, joints))}
    if attention:
        maps["attention, block 1 of 1 after fusion"] = rng.random((frames // 4, bodies, joints))
    seen = np.ones((frames, bodies, joints), bool)
    return SampleSaliency(scores.names[index], int(scores.labels[index]), scores.probabilities()[index], motion, seen, maps)


def make_data(scores, looks, classes, graph=NTU, run=None):
    about = {"network": "EfficientGCN-B0", "data set": "made up"}
    return gather(scores, looks, title="EfficientGCN-B0 on a data set", classes=classes, graph=graph, run=run, about=about)


@pytest.fixture
def bare_player(browser):
    """A page that holds player.js, its palette and a canvas of 300 by 200 pixels, nothing else."""
    palette, script = ((ASSETS / name).read_text() for name in ("palette.css", "player.js"))
    page = browser.new_page()
    page.set_content(f"<style>{palette}canvas {{ width: 300px; height: 200px; }}</style><canvas></canvas><script>{script}</script>")
    yield page
    page.close()


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium of this system."""
    if not CHROMIUM:
        pytest.skip("no Chromium on PATH (Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS.split(), "--disable-sync"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser):
    """opened(path, script, **context) -> the page, drawn, after a script of the test; at the end nothing may have gone wrong, nor anything been fetched."""
    pages = []

    def open_page(path, script=None, **context):
        page = browser.new_context(**{"reduced_motion": "reduce", **context}).new_page()  # so that nothing moves of itself
        page.said, page.fetched = [], []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: page.fetched.append(request.url))
        if script:
            page.add_init_script(script)
        page.goto(path.as_uri())
        page.wait_for_selector("body[data-ready]", timeout=120000)
        pages.append((page, path))
        return page

    yield open_page
    for page, path in pages:
        assert not page.said, page.said
        assert [url for url in page.fetched if not url.startswith(("data:", "blob:"))] == [path.as_uri()]
        page.context.close()


def until(page, condition):
    """Wait until `condition()` holds; the page's policy lets no waiting script in."""
    for _ in range(1200):
        if condition():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it did not come about in a minute")


TWO_D = Graph.from_names("coco", [f"j{v}" for v in range(18)], [(f"j{v}", f"j{v + 1}") for v in range(17)], {}, {"all": [f"j{v}" for v in range(18)]}, "j0")
