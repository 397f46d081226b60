"""Runs of main.py in this process, and what they leave."""

import json

from training.checkpoint import read_checkpoint


def run(argv):
    from main import main

    assert main([str(word) for word in argv]) == 0


def run_folder(work_dir):
    (folder,) = (path.parent for path in work_dir.glob("*/*/last.pdparams"))
    return folder


def final(work_dir):
    """(weights by name, figures without times, run folder) of the one run in a work_dir."""
    folder = run_folder(work_dir)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    figures = [{key: value for key, value in line.items() if key not in ("ips", "reader_cost", "batch_cost")} for line in lines]
    return ({name: value[1] for name, value in read_checkpoint(folder / "last.pdparams")["model"].items()}, figures, folder)
