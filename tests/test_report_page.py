"""The report in a real browser."""

import base64
import gzip
import html
import json
import re

import numpy as np
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


def test_it_opens_on_the_frame_of_the_highest_activation_and_stays_there_if_asked_to(opened, plain_page):
    page = opened(plain_page[0])
    stage, sample = page.locator("#stage"), plain_page[1]["samples"][0]
    first = np.reshape(sample["maps"][0]["values"], (sample["maps"][0]["frames"], -1)).sum(1)
    assert sample["peak"] * len(first) // sample["shape"][0] == first.argmax()
    page.wait_for_timeout(200)
    assert stage.get_attribute("data-frame") == str(sample["peak"]) and page.locator("#play").inner_text() == "Play"
    turned = stage.evaluate("canvas => canvas.toDataURL()")
    page.locator("#reset").evaluate("button => button.click()")
    assert stage.evaluate("canvas => canvas.toDataURL()") != turned


def test_it_plays_once_where_motion_is_welcome(opened, plain_page):
    watch = "drawn = new Set(); new MutationObserver(all => all.forEach(one => drawn.add(one.target.dataset.frame)))"
    watch += ".observe(document, { subtree: true, attributeFilter: ['data-frame'] })"
    page = opened(plain_page[0], watch, reduced_motion="no-preference")
    until(page, lambda: page.evaluate("drawn.size") > 3 and page.locator("#play").inner_text() == "Play")
    assert page.locator("#stage").get_attribute("data-frame") == str(plain_page[1]["samples"][0]["peak"])


def test_the_strip_and_the_legend_say_parts_bodies_seconds_and_plain_numbers(opened, tmp_path):
    scores = make_scores(4, 30)
    look = make_look(scores, 0, frames=80)
    even, small = 0.5 + 0.01 * look.maps.pop("attention, block 1 of 1 after fusion"), 1e-7 * (1 + np.arange(20 * 2 * 25).reshape(20, 2, 25))
    look.maps |= {"even": even, "small": small}
    write_page(tmp_path / "r.html", make_data(scores, [look], list("abcd")))
    page = opened(tmp_path / "r.html")
    assert "nearly even" not in page.locator("span.legend").inner_text()
    page.locator("#colour").select_option(label="even")
    assert re.fullmatch(r"0\.4[78]\d?\s*0\.5\d*\s*nearly even", page.locator("span.legend").inner_text())
    page.locator("#colour").select_option(label="small")
    assert page.locator("span.legend").inner_text().split() == ["0.0000001", "0.0001"]
    # Body 2's band: a title of 18 pixels, then 92 of rows, of which the parts come one after another
    order = [v for joints in NTU.parts.values() for v in joints]
    page.locator("#strip").scroll_into_view_if_needed()
    strip = page.locator("#strip").bounding_box()
    page.mouse.move(strip["x"] + 84 + (strip["width"] - 84) * 60.5 / 80, strip["y"] + 110 + 18 + 92 * 7.5 / 25)
    assert page.locator("#joint").inner_text().startswith(f"{NTU.joint_names[order[7]]}, body 2, 2.0 s: 0.0000")


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
    plot = page.locator("#matrix .hm image")
    plot.evaluate("element => { element.scrollIntoView({ block: 'start' }); scrollBy(0, -90); }")  # the line that names the cell stays on top
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


def test_a_finger_reads_joints_and_cells_of_the_matrix_by_name(opened, plain_page):
    page = opened(plain_page[0], viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    stage = page.locator("#stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    for place in range(20, 300, 12):  # down the middle: the body is there
        page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + place)
        if ", body " in page.locator("#joint").inner_text():
            break
    assert re.match(r"[a-z ]+, body \d, \d\.\d s: ", page.locator("#joint").inner_text())
    assert "action 7" in page.locator("#matrix .ytick text").all_text_contents()
    cells = page.locator("#matrix .hm image")
    cells.evaluate("element => element.scrollIntoView({ block: 'center', inline: 'start' })")
    box = cells.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 5.5 / 60, box["y"] + box["height"] * 20.5 / 60)
    assert page.locator("#cell").inner_text().startswith("A021 action 20 → A006 action 5: ")
    assert {page.locator(f"#{name}").evaluate("e => getComputedStyle(e).touchAction") for name in ("stage", "strip")} == {"pan-y"}  # the page still scrolls
    held = """charts => charts.map(target => {
      const touches = [new Touch({ identifier: 1, target, clientX: 200, clientY: 200 })];
      return !target.dispatchEvent(new TouchEvent("touchstart", { bubbles: true, cancelable: true, touches, changedTouches: touches }));
    })"""
    assert page.locator(".nsewdrag").evaluate_all(held) == [False] * 5


def test_sections_that_have_nothing_to_say_are_not_there(opened, tmp_path, plain_page):
    scores = make_scores(4, 3)
    scores.logits[np.arange(3), scores.labels] += 100
    write_page(tmp_path / "r.html", make_data(scores, [make_look(scores, 0)], list("abcd")))
    headings = lambda path: opened(path).locator("h2").all_inner_texts()
    assert headings(tmp_path / "r.html") == ["Evidence for the class", "Confusions", "Accuracy of each class"]
    assert headings(plain_page[0]) == ["Evidence for the class", "Training", "Confusions", "Accuracy of each class", "Calibration"]


def test_bins_of_calibration_fade_with_their_count(opened, plain_page):
    bars = opened(plain_page[0]).locator("#reliability .bars .point path")
    opacity = bars.evaluate_all("bars => bars.map(bar => +bar.style.opacity)")
    counts = [count for count in plain_page[1]["calibration"]["counts"] if count]
    assert len(opacity) == len(counts) and max(opacity) == 1 and len(set(opacity)) == len(set(counts))
    assert [opacity[i] for i in np.argsort(counts, kind="stable")] == sorted(opacity)


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
    if count == 1:
        return  # no matrix of one class
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
