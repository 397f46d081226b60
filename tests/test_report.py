"""The report in a real browser, pictures for papers, and the numbers behind both."""

import base64
import gzip
import html
import json
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import GOLDEN, ROOT, environment

from dataset.graph import NTU, Graph
from dataset.scores import Scores, top_confusions
from tools.figures import save_figures
from tools.report import MISSING, choose_samples, describe_sample, gather, read_curves, write_page
from tools.saliency import Look, attention_maps, look, viewer_axes
from utils import UserError

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update"
HOSTILE = ["</script><script>window.hacked=1</script>", "<img src=x onerror=window.hacked=1>", "<b>bold</b> & \"q\" 'q'", "$\\frac{$ %{x} <!--data-->"]


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
    return Look(scores.names[index], int(scores.labels[index]), scores.probabilities()[index], motion, seen, maps)


def make_data(scores, looks, classes, graph=NTU, run=None):
    about = {"network": "EfficientGCN-B0", "data set": "made up"}
    return gather(scores, looks, title="EfficientGCN-B0 on a data set", classes=classes, graph=graph, run=run, about=about)


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
    """opened(path, **context) -> the page, drawn; at the end nothing may have gone wrong, nor anything been fetched."""
    pages = []

    def open_page(path, **context):
        page = browser.new_context(**context).new_page()
        page.said, page.fetched = [], []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: page.fetched.append(request.url))
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
    for _ in range(200):
        if condition():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it did not come about in 10 s")


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
    assert frame() == min(before + 1, 39) and f"frame {frame() + 1} of 40" in page.locator("#frame").inner_text()
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
    assert page.locator("#list button").nth(1).get_attribute("aria-current") == "true" and frame() == 0
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


TWO_D = Graph.from_names("coco", [f"j{v}" for v in range(18)], [(f"j{v}", f"j{v + 1}") for v in range(17)], {}, {"all": [f"j{v}" for v in range(18)]}, "j0")


@pytest.mark.parametrize(
    "classes, count, options, note",
    [
        (4, 1, {"bodies": 1}, ""),
        (1000, 3000, {"bodies": 1}, ""),
        (5, 40, {"attention": False}, "no attention"),
        (5, 40, {"joints": 18, "bodies": 1, "flat": True}, ""),
        (5, 40, {"frames": 4}, ""),
    ],
)
def test_odd_cases_are_drawn(opened, tmp_path, classes, count, options, note):
    scores = make_scores(classes, count)
    looks = [make_look(scores, index, **options) for index in choose_samples(scores, 4)]
    graph = TWO_D if "joints" in options else NTU
    write_page(tmp_path / "r.html", make_data(scores, looks, [f"动作 {k} 挥手" for k in range(classes)], graph))
    assert (tmp_path / "r.html").stat().st_size < 5e6
    page = opened(tmp_path / "r.html")
    assert "动作" in page.locator("#list").inner_text() and note in page.locator("#note").inner_text()
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


# ---------------------------------------------------------------- numbers


def test_calibration_error_of_cases_done_by_hand():
    logits = np.log(np.array([[0.8, 0.2], [0.8, 0.2], [0.4, 0.6], [0.98, 0.02]]))
    scores = Scores(list("abcd"), np.array([0, 1, 1, 0]), logits)
    ece, counts, confidence, accuracy = scores.calibration(bins=10)
    assert counts.tolist() == [0, 0, 0, 0, 0, 1, 0, 2, 0, 1]
    np.testing.assert_allclose(confidence[[5, 7, 9]], [0.6, 0.8, 0.98])
    np.testing.assert_allclose(accuracy[[5, 7, 9]], [1, 0.5, 1])
    assert ece == pytest.approx((0.4 + 2 * 0.3 + 0.02) / 4)


def test_confusions_come_most_frequent_first():
    assert top_confusions(np.array([[5, 2, 0], [3, 1, 2], [0, 0, 9]]), 3) == [(1, 0, 3), (0, 1, 2), (1, 2, 2)]
    assert top_confusions(np.eye(3, dtype=int), 3) == []


def test_samples_are_chosen_from_both_sides_and_by_name():
    scores = make_scores(6, 200)
    chosen = choose_samples(scores, 8)
    right = scores.hits(1)[chosen]
    assert len(set(chosen)) == 8 and right.sum() == 4 and not right[:4].any()
    pairs = [(int(scores.labels[i]), int(scores.logits[i].argmax())) for i in chosen]
    assert pairs[:4] == [pair[:2] for pair in top_confusions(scores.confusion(), 4)]
    assert choose_samples(scores, 8, [scores.names[7], scores.names[3]]) == [7, 3]
    with pytest.raises(UserError, match="'nobody' is not among the 200 samples"):
        choose_samples(scores, 8, ["nobody"])
    sure = make_scores(6, 50, sure=100.0)
    assert sure.hits(1).all() and len(choose_samples(sure, 8)) == 6
    wrong = Scores(sure.names, (sure.labels + 1) % 6, sure.logits)
    assert not wrong.hits(1).any() and len(choose_samples(wrong, 4)) == 4


def test_coordinates_come_back_from_their_differences():
    scores = make_scores(3, 3)
    sample = make_look(scores, 0)
    sample.seen[3, 1, 4] = sample.seen[:, 0, 2] = False
    packed = describe_sample(sample)
    motion = np.cumsum(np.reshape(packed["motion"], (*sample.seen.shape, 3)), axis=0)
    assert (motion[~sample.seen] == MISSING).all()
    back, points = motion[sample.seen], sample.motion[sample.seen]
    scale = np.ptp(points[:, 0]) / np.ptp(back[:, 0])
    np.testing.assert_allclose(back * scale - back[0] * scale, points - points[0], atol=2 * scale)
    assert np.abs(back).max() == 1000


def test_a_viewer_sees_left_and_right_as_the_sensor_did():
    one = np.array([1.0, 2.0, 3.0]).reshape(3, 1, 1, 1)
    for up, expected in (("y", [-1, 2, 3]), ("-y", [1, -2, 3]), ("z", [-1, 3, -2])):
        assert viewer_axes(one, up).ravel().tolist() == expected
    assert viewer_axes(one[:2], "-y").ravel().tolist() == [1, -2, 0]


def test_curves_of_a_run_without_or_with_damaged_figures(tmp_path):
    assert read_curves(None)[0] == {} and "no curves" in read_curves(None)[1]
    assert read_curves(tmp_path)[0] == {} and "no finished epoch" in read_curves(tmp_path)[1]
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1, "step": 3, "loss": 2}\n{"epoch": 1, "eval_top1": 0.5, "lr": NaN}\n')
    assert read_curves(tmp_path) == ({"eval_top1": [[1], [0.5]]}, None)
    (tmp_path / "metrics.jsonl").write_text("no json\n")
    assert read_curves(tmp_path)[0] == {} and "can't be read" in read_curves(tmp_path)[1]


class OneSample:
    """What `look` asks of a feeder: features and coordinates of one sample."""

    def __init__(self, graph, shape=(3, 8, 3, 2), num_frame=8):
        self.graph, self.num_frame, self.data = graph, num_frame, self
        self.coordinates = np.random.default_rng(0).normal(size=shape).astype("float32")
        self.coordinates[:, 5:] = 0
        self.coordinates[..., 1] = 0
        self.features = np.random.default_rng(1).normal(size=(3, 6, *shape[1:])).astype("float32")

    def __getitem__(self, index):
        return self.features, 2, "sample"

    def read(self, indices):
        return self.coordinates[None]


CHAIN = Graph("chain", ((0, 1), (1, 2)), (0, 0, 1), {}, 0)


@pytest.mark.parametrize("att_type", ["stja", "pa", "ca", "fa", "ja", "none"])
def test_maps_are_those_of_the_network(small_network, att_type):
    import paddle

    model = small_network(att_type=att_type)
    model.eval()
    feeder = OneSample(CHAIN)
    seen = look(model, feeder, 0, list("abcd"), "y")
    logits, features = model(paddle.to_tensor(feeder.features[None]))
    assert seen.motion.shape == (5, 2, 3, 3) and seen.seen[:, 0].all() and not seen.seen[:, 1].any()
    np.testing.assert_allclose(seen.probabilities, paddle.nn.functional.softmax(logits)[0].numpy(), rtol=1e-5)
    activation = next(values for title, values in seen.maps.items() if title.startswith("class activation, predicted"))
    guess = int(logits.argmax())
    weight = model.classifier.fc.weight[guess].reshape([-1]).numpy()
    whole = np.einsum("c,ctvm->tmv", weight, features[0].numpy())
    np.testing.assert_allclose(activation, np.maximum(whole, 0)[: len(activation)], atol=1e-5)
    bias = model.classifier.fc.bias[guess].item()
    np.testing.assert_allclose(whole.mean() + bias, logits[0, guess].item(), rtol=1e-4)  # the map adds up to the logit
    attention = [values for title, values in seen.maps.items() if title.startswith("attention")]
    assert len(attention) == (0 if att_type == "none" else 1)
    for values in attention:
        assert values.shape == (3, 2, 3)  # 5 of 8 frames, at half the rate
    if att_type == "stja":
        layer = dict(model.named_sublayers())["main_stream.block-0_att"]
        kept = []
        hook = layer.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
        model(paddle.to_tensor(feeder.features[None]))
        hook.remove()
        expected = layer.att(kept[0]).numpy().mean(1)  # (M, T', V)
        np.testing.assert_allclose(attention[0], expected.transpose(1, 0, 2)[:3], atol=1e-6)


def test_hooks_are_gone_afterwards(small_network):
    model = small_network()
    with attention_maps(model) as maps:
        pass
    import paddle

    model(paddle.zeros([1, 3, 6, 8, 3, 2]))
    assert maps == {}


def test_the_zero_centre_of_normalised_bodies_is_not_missing(small_network):
    model = small_network()
    model.eval()
    feeder = OneSample(CHAIN)
    feeder.coordinates[:, :, 0, 0] = 0
    assert look(model, feeder, 0, list("abcd"), "z").seen[:, 0].all()
    feeder.coordinates[0, 2, 0, 0] = 1  # a centre that is somewhere is missing where it is zero
    assert look(model, feeder, 0, list("abcd"), "z").seen[:, 0, 0].tolist() == [False, False, True, False, False]


# ---------------------------------------------------------------- pictures and commands


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
    import logging

    logging.getLogger("efficientgcn").propagate = True
    names = ["a", "b\U0010fff0", "c", "d"]
    scores = make_scores(4, 30)
    with caplog.at_level(logging.INFO, "efficientgcn"):
        save_figures(tmp_path, make_data(scores, [], names), [], names, NTU)
    assert "pictures give numbers" in caplog.text and (tmp_path / "confusion.png").is_file()


def run_main(*argv):
    return subprocess.run([sys.executable, str(ROOT / "main.py"), *argv], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)


def test_v_writes_the_report_into_the_run_folder(tiny_run, opened):
    folder, argv = tiny_run
    trained = run_main(*argv)
    assert trained.returncode == 0, trained.stderr
    done = run_main(*shlex.split(re.search(r"^    python main.py (.* -v -pp .*)$", trained.stdout, re.M)[1]), "--save_figures", str(folder / "figures"), "--report_args.samples=1")
    assert done.returncode == 0, done.stderr
    page = next((folder / "work").glob("2001_*/*/report_best.html"))
    assert f"report        {page}" in done.stdout and (folder / "figures" / "curves.pdf").is_file()
    shown = opened(page)
    accuracy = re.search(r"Top-1 accuracy: \d+/7\(([\d.]+)%\)", done.stdout)[1]
    assert shown.locator(".card").first.inner_text().startswith(f"{accuracy} %")
    assert "attention, block 1 of 1 after fusion" in shown.locator("#colour").inner_text()
    assert shown.locator("#curves").is_visible() and "throw" not in shown.locator("#curves-note").inner_text()
    alone = folder / "alone.pdparams"
    shutil.copyfile(page.with_name("best.pdparams"), alone)
    done = run_main(*argv, "-e", "--report", "-pp", str(alone), "--report_args.samples=2")
    assert done.returncode == 0, done.stderr
    page = next((folder / "work").glob("temp/*/report_alone.html"))
    assert opened(page).locator("#list button").count() == 2


def test_a_report_without_an_evaluation_is_one_line(tiny_run):
    _, argv = tiny_run
    done = run_main(*argv, "--report")
    assert done.returncode == 2 and "report: goes with -e or -v" in done.stderr and done.stderr.count("\n") == 1


def test_a_missing_package_is_one_line(tmp_path, monkeypatch):
    scores = make_scores(4, 5)
    data = make_data(scores, [make_look(scores, 0)], list("abcd"))
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(UserError, match=r"needs the package plotly .*pip install '.\[report\]'"):
        write_page(tmp_path / "r.html", data)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match="needs the package matplotlib"):
        save_figures(tmp_path / "f", data, [], list("abcd"), NTU)
    assert not list(tmp_path.iterdir())


@pytest.mark.full
def test_published_weights_on_golden_skeletons(golden, published, tmp_path, opened):
    where = [f"--dataset_args.ntu.ntu60_path={GOLDEN / 'skeletons'}", f"--dataset_args.ntu.root_folder={tmp_path}/npy", f"--work_dir={tmp_path}/work", "-np", "-g"]
    assert run_main("-c", "2001", "-gd", *where).returncode == 0
    done = run_main("-c", "2001", "-v", "-pp", str(published), *where)
    assert done.returncode == 0, done.stderr
    page = opened(next((tmp_path / "work").glob("temp/*/report_xsub.html")))
    assert page.locator("#list button").count() == 4 and page.locator("#curves-note").is_visible()
