"""The report in a real browser."""

import base64
import gzip
import html
import json
import re

import pytest

from dataset.graph import NTU
from evaluation.report import choose_samples, write_page
from tests.helpers.pages import HOSTILE, TWO_D, make_data, make_look, make_scores, until

pytest_plugins = ["tests.helpers.pages"]


@pytest.fixture(scope="module")
def plain_page(tmp_path_factory):
    """A report of 60 classes with 8 samples and curves; (path, data)."""
    folder = tmp_path_factory.mktemp("report")
    records = [{"epoch": e, "train_top1": e / 9, "train_loss": 4 / e, "lr": 0.1 / e, "eval_top1": e / 10, "eval_top5": 0.9, "eval_loss": 5 / e} for e in range(1, 9)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    scores = make_scores(60, 600)
    looks = [make_look(scores, index) for index in choose_samples(scores, 8)]
    data = make_data(scores, looks, [f"action {k}" for k in range(60)], run=folder)
    write_page(folder / "report.html", data)
    return folder / "report.html", data


def test_the_page_is_one_small_file_without_addresses_of_others(plain_page):
    text = plain_page[0].read_text()
    assert len(text) < 5e6
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:|//)""", text) and "@import" not in text
    assert "default-src 'none'" in text


def test_the_player_moves_and_obeys_keys(opened, plain_page):
    page = opened(plain_page[0])
    stage = page.locator("#stage")
    frame = lambda: int(stage.get_attribute("data-frame"))
    picture = lambda: stage.evaluate("canvas => canvas.toDataURL()")
    first = picture()
    page.click("#play")
    until(page, lambda: frame() > 2)
    page.click("#play")
    assert picture() != first
    stage.focus()
    before = frame()
    page.keyboard.press(".")
    assert frame() == min(before + 1, 39) and f"{frame() / 30:.1f} s, frame {frame() + 1} of 40" in page.locator("#frame").inner_text()
    page.keyboard.press(",")
    assert frame() == before
    for key in ("ArrowLeft", "ArrowUp"):
        turned = picture()
        page.keyboard.press(key)
        assert picture() != turned, key
    page.keyboard.press(" ")
    assert page.locator("#play").inner_text() == "Pause"
    page.keyboard.press(" ")
    page.keyboard.press("]")
    assert page.locator("#list button").nth(1).get_attribute("aria-current") == "true" and frame() == plain_page[1]["samples"][1]["peak"]
    page.locator("#scrub").focus()
    page.keyboard.press("End")
    assert frame() == 39
    colours = page.locator("#colour option").all_inner_texts()
    seen = set()
    for colour in colours:
        page.locator("#colour").select_option(label=colour)
        seen.add(picture())
    assert len(seen) == len(colours) and colours[-1] == "bodies only"


def test_dragging_turns_the_skeleton(opened, plain_page):
    page = opened(plain_page[0])
    picture = lambda: page.locator("#stage").evaluate("canvas => canvas.toDataURL()")
    page.locator("#reset").evaluate("button => button.click()")
    box, before = page.locator("#stage").bounding_box(), picture()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 180, box["y"] + 120)
    page.mouse.up()
    assert picture() != before
    page.click("#reset")
    page.mouse.move(0, 0)
    assert picture() == before


def test_pointing_at_the_matrix_and_walking_over_it_names_the_classes(opened, plain_page):
    path, data = plain_page
    page = opened(path)
    plot = page.locator("#matrix .nsewdrag").first
    plot.evaluate("element => element.scrollIntoView({ block: 'start' })")
    box = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5 / 60, box["y"] + box["height"] * 0.5 / 60)
    until(page, lambda: "→ A" in page.locator("#cell").inner_text())
    cells = {(t, p): n for t, p, n in data["cells"]}
    total = lambda k: sum(n for (t, _), n in cells.items() if t == k)
    assert page.locator("#cell").inner_text().startswith(f"A001 action 0 → A001 action 0: {cells.get((0, 0), 0)} of {total(0)} samples")
    page.mouse.move(0, 0)
    page.locator("#matrix-box").focus()
    assert page.locator("#cell").inner_text().startswith("A001 action 0 → A001")  # leaving changes nothing
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator("#cell").inner_text().startswith(f"A002 action 1 → A003 action 2: {cells.get((1, 2), 0)} of {total(1)}")
    page.locator("#order").select_option("samples")
    page.locator("#matrix-box").focus()
    page.keyboard.press("ArrowDown")
    most = max(range(60), key=lambda k: (total(k), -k))
    assert f"action {most} → " in page.locator("#cell").inner_text()


def test_bars_tell_names_and_the_list_of_confusions_leads_to_samples(opened, plain_page):
    path, data = plain_page
    page = opened(path)
    rows = page.locator("#classes tbody tr")
    cells = {(t, p): n for t, p, n in data["cells"]}
    right, total = [cells.get((k, k), 0) for k in range(60)], [sum(n for (t, _), n in cells.items() if t == k) for k in range(60)]
    order = sorted(range(60), key=lambda k: (right[k] / total[k], k))
    assert rows.count() == 60
    for place in (0, 30, 59):
        k, row = order[place], rows.nth(place)
        assert row.get_attribute("title") == f"A{k + 1:03d} action {k}: {right[k]} of {total[k]} right"
        wide = row.locator(".meter i").evaluate("bar => bar.clientWidth / bar.parentElement.clientWidth")
        assert wide == pytest.approx(right[k] / total[k], abs=0.02)
    true, guess = data["confusions"][0][:2]
    row = page.locator("#confusions tbody tr").first
    assert row.inner_text().split("\t")[:2] == [f"A{true + 1:03d} action {true}", f"A{guess + 1:03d} action {guess}"]
    link = row.locator("a").first
    number = int(link.get_attribute("data-sample"))
    link.click()
    assert page.locator("#sample-name").inner_text() == data["samples"][number]["name"].removesuffix(".skeleton")
    assert page.locator("#top .guess").count() == 5 and f"action {true}" in page.locator("#verdict").inner_text()


@pytest.mark.parametrize("context", [{"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 844}}])
def test_dark_mode_and_a_phone(opened, plain_page, context):
    page = opened(plain_page[0], **context)
    dark = "color_scheme" in context
    assert page.evaluate("document.documentElement.dataset.theme") == ("dark" if dark else "light")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    luminance = lambda: page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)")
    before = luminance()
    assert (before < 200) == dark
    page.click("#theme")
    assert (luminance() < 200) != dark


@pytest.mark.parametrize(
    "classes, count, options",
    [
        (4, 1, {"bodies": 1}),
        (1000, 3000, {"bodies": 1}),
        (5, 40, {"attention": False}),
        (5, 40, {"joints": 18, "bodies": 1, "flat": True}),
        (5, 40, {"frames": 4}),
    ],
)
def test_odd_cases_are_drawn(opened, tmp_path, classes, count, options):
    scores = make_scores(classes, count)
    looks = [make_look(scores, index, **options) for index in choose_samples(scores, 4)]
    graph = TWO_D if "joints" in options else NTU
    write_page(tmp_path / "r.html", make_data(scores, looks, [f"动作 {k} 挥手" for k in range(classes)], graph))
    assert (tmp_path / "r.html").stat().st_size < 5e6
    page = opened(tmp_path / "r.html")
    assert "动作" in page.locator("#list").inner_text()
    assert "curves" in page.locator("#curves-note").inner_text() and not page.locator("#curves").is_visible()
    page.locator("#matrix-box").focus()
    page.keyboard.press("ArrowDown")
    assert "动作" in page.locator("#cell").inner_text()


def test_names_stay_text(opened, tmp_path):
    scores = make_scores(4, 30)
    scores.names = [f"{HOSTILE[i % 4]} {i}" for i in range(30)]
    looks = [make_look(scores, index) for index in choose_samples(scores, 4)]
    data = make_data(scores, looks, HOSTILE) | {"title": HOSTILE[0]}
    write_page(tmp_path / "r.html", data)
    assert "hacked" not in re.sub(r"<title>.*</title>", "", (tmp_path / "r.html").read_text())
    page = opened(tmp_path / "r.html")
    assert page.title() == page.locator("h1").inner_text() == HOSTILE[0]
    names = page.locator("#classes tbody th").all_text_contents()
    assert sorted(names) == [f"A{k + 1:03d} {name}" for k, name in enumerate(HOSTILE)]
    ticks = page.locator("#matrix .ytick text").all_text_contents()
    assert sorted(ticks) == sorted(name if len(name) <= 30 else name[:29] + "…" for name in HOSTILE)
    assert page.evaluate("window.hacked") is None and page.locator("img").count() == 0


def test_what_is_packed_in_the_page_is_the_data(plain_page):
    path, data = plain_page
    text = re.search(r'id="packed-data">([^<]*)<', path.read_text())[1]
    assert json.loads(gzip.decompress(base64.b64decode(text))) == json.loads(json.dumps(data))
    assert f"<title>{html.escape(data['title'])}</title>" in path.read_text()
