"""The code that docs/deployment.md offers to other programs: run as it stands, it gives the logits of infer.py."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from infer import Recognizer
from options.schema import load_config
from reader.recordings import read_samples
from tests.helpers.exported import SETTINGS, export, wide_network
from tests.helpers.pages import runtime_or_skip
from tests.helpers.places import ROOT

MOST, FRAMES = 64, {"a short recording": 10, "one frame": 1, "all frames": 64}  # of 10 frames, 26 are computed


def code(language):
    """The first block of that language after the heading "In a program of your own"."""
    text = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8").split("## In a program of your own")[1]
    return re.search(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)[1]


def recording(frames):
    """(C, T, V, M) float32: one body that drifts; the second body is not there."""
    x = np.random.default_rng(frames).normal(0, 0.05, (3, frames, 25, 2)).cumsum(1).astype("float32")
    x[..., 1] = 0
    return x


def padded(x):
    return np.concatenate([x, np.zeros((3, MOST - x.shape[1], 25, 2), "float32")], axis=1)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """An ONNX file alone, of a small network that takes up to 64 frames."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "weights").write_bytes(b"any")
    config = load_config("2001", {**SETTINGS, "dataset_args.ntu.num_frame": str(MOST)}.items())
    export(wide_network("2001"), config, folder / "best", folder / "weights", to="onnx")
    (folder / "best.yaml").unlink()
    return folder / "best.onnx"


@pytest.fixture(scope="module")
def logits(program):
    """logits(x): infer.py's, of a recording (C, T, V, M)."""
    recognizer = Recognizer(program)
    assert recognizer.program.notes == []  # the file alone says what it takes
    return lambda x: recognizer.logits(*recognizer.prepare(list(read_samples(x))))[0]


def output(command, folder):
    """Lines that a command prints; it runs outside the project, which it can't import."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("frames", FRAMES.values(), ids=FRAMES)
def test_the_python_of_the_page_gives_the_logits_of_infer(tmp_path, program, logits, frames):
    x = recording(frames)
    np.save(tmp_path / "recording.npy", x)
    (tmp_path / "recognise.py").write_text(code("python") + "print(json.dumps(logits.tolist()))\n")
    *best, found = output([sys.executable, "recognise.py", program, "recording.npy"], tmp_path)
    np.testing.assert_allclose(json.loads(found), logits(x), rtol=1e-5, atol=1e-5)
    prediction = Recognizer(program).predict(x)[0]
    assert best == [f"{value:.3f} {name}" for _, name, value in prediction.ranked()]


@pytest.mark.parametrize("frames", FRAMES.values(), ids=FRAMES)
def test_padding_changes_no_logit(program, frames):
    import onnxruntime

    session, x = onnxruntime.InferenceSession(program), recording(frames)
    alone, filled = (session.run(["logits"], {"x": array[None]})[0] for array in (x, padded(x)))
    np.testing.assert_allclose(alone, filled, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def node_modules():
    """The folder with onnxruntime-web, where an export of the page looks for it."""
    if not shutil.which("node"):
        pytest.skip("no node on PATH (Debian: apt-get install nodejs)")
    runtime_or_skip()
    return Path(sys.prefix) / "npm" / "node_modules"


DRIVER = """
import { readFileSync } from "node:fs";
import { recognise } from "./recognise.mjs";
const coordinates = new Float32Array(new Uint8Array(readFileSync("recording.bin")).buffer);
const { logits, probabilities } = await recognise(coordinates);
console.log(JSON.stringify([Array.from(logits), Array.from(probabilities)]));
"""


def test_the_javascript_of_the_page_gives_the_logits_of_infer(tmp_path, node_modules, program, logits):
    x = recording(FRAMES["a short recording"])
    (tmp_path / "node_modules").symlink_to(node_modules)
    shutil.copyfile(program, tmp_path / "best.onnx")
    (tmp_path / "recording.bin").write_bytes(x.tobytes())
    (tmp_path / "recognise.mjs").write_text(code("js"))
    (tmp_path / "driver.mjs").write_text(DRIVER)
    found, probabilities = json.loads(output(["node", "driver.mjs"], tmp_path)[-1])
    np.testing.assert_allclose(found, logits(x), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(sum(probabilities), 1, rtol=1e-5)
    assert np.argmax(probabilities) == np.argmax(logits(x))
