"""How long the page of --export_to web takes in Chromium: from opening to ready, and from file to answer, one core at most.

taskset -c 0 python -m benchmarks.bench_page xsub.html   (pip install playwright; Chromium on PATH)
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.recordings import make_recordings
from benchmarks.timing import Measured

OPENED, FILES, REST = 3, 20, 3  # times; files each time; seconds from ready to the first of them
ONE_BODY = 6  # a seed with which all files show one body and nothing that was taken for another


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_page", description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path)
    address = parser.parse_args().page.resolve().as_uri()
    ready, answers = [], []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        paths = make_recordings(Path(folder, "recordings"), FILES, seed=ONE_BODY)
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
        print(f"{what}: {Measured(what, seconds, 's').text()}, median of {len(seconds)}")


if __name__ == "__main__":
    main()
