"""Runs of main.py in this process, and what they leave."""

import json

import numpy as np

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


def largest_difference(a, b):
    """Of two runs' weights by name."""
    return max(float(np.abs(value - b[name]).max()) for name, value in a.items() if value.size)


def end_state(work_dir):
    """All that two runs which end alike have in common."""
    folder = run_folder(work_dir)
    last, best = (read_checkpoint(folder / f"{name}.pdparams") for name in ("last", "best"))
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {
        "weights": [value[1] for value in last["model"].values()],
        "optimizer": [last["opt"].get(f"{value[0]}_velocity_0", (0, 0))[1] for value in last["model"].values()],
        "best weights": [value[1] for value in best["model"].values()],
        "best state": list(last["best_state"].values()) + list(best["best_state"].values()),
        "schedule": [last["epoch"], best["epoch"], last["scheduler"]["last_epoch"], last["scheduler"]["last_lr"]],
        "metrics": [{key: x for key, x in line.items() if key not in ("ips", "reader_cost", "batch_cost")} for line in lines],
        "classes": (folder / "best_classes.csv").read_text(),
        "final": (work_dir / "model.pdparams").read_bytes() == (folder / "last.pdparams").read_bytes(),
    }
