"""How long the page of --export_to web takes in Chromium: from opening to ready, and from file to answer, one core at most.

taskset -c 0 python -m benchmarks.bench_page xsub.html   (pip install playwright; Chromium on PATH)
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

from dataset.demo_motion import ACTIONS, PAIRS, draw_body, perform
from reader.ntu_writer import skeleton_text

FRAMES, OPENED, FILES, REST = 94, 3, 20, 3  # of each recording; times; files each time; seconds from ready to the first of them


def write_recordings(folder):
    """.skeleton files of one synthetic person each."""
    alone = [action for action in ACTIONS if action not in PAIRS]
    for number in range(FILES):
        rng = np.random.default_rng(number)
        body = draw_body(rng, False)
        joints = perform(alone[number % len(alone)], FRAMES, body, body, rng)[0][None] + (0, -0.9, 3.2)
        seen = np.ones(joints.shape[:2], bool)
        path = Path(folder) / f"S001C001P{number + 1:03}R001A001.skeleton"
        path.write_text(skeleton_text(joints, np.full(joints.shape[:3], 2), seen, ["72057592000000001"]))
        yield path


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    address = parser.parse_args().page.resolve().as_uri()
    ready, answers = [], []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        paths = [*write_recordings(folder)]
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        for _ in range(OPENED):
            page, began = browser.new_context(offline=True, reduced_motion="reduce").new_page(), time.perf_counter()
            page.goto(address)
            page.wait_for_selector("body[data-ready]")
            ready.append(time.perf_counter() - began)
            time.sleep(REST)
            for number, path in enumerate(paths):
                page.set_input_files("input[type=file]", path)
                while not page.evaluate(f"!!(recordings[{number}] && recordings[{number}].windows)"):
                    time.sleep(0.02)
            answers += page.evaluate("recordings.map(recording => recording.ms / 1000)")
            page.context.close()
    for what, seconds in ("ready", ready), ("answer", answers):
        print(f"{what}: median {statistics.median(seconds):.3f} s of {len(seconds)}, {min(seconds):.3f} to {max(seconds):.3f}")


if __name__ == "__main__":
    main()
