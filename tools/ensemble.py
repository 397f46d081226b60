"""Top-1 and top-5 of several networks together: the weighted sum of their logits, from the score files of main.py -e.

python tools/ensemble.py J/scores.npz V/scores.npz B/scores.npz --weights 1 0.5 1
"""

import os
import sys

if __name__ == "__main__":  # before the imports, so that a signal during them is one line too
    sys.path.insert(0, os.path.realpath(f"{__file__}/../.."))
    from utils.command import run_command

    sys.exit(run_command("tools.ensemble"))

import numpy as np

from evaluation.scores import Scores
from utils.errors import UserError
from utils.terminal import Parser


def combine(files, weights):
    """Scores of samples in the first file's order: the weighted sum of all files' logits.

    Raises UserError where two files do not hold the same samples, labels and classes, or a sample stands twice in one.
    """
    loaded = [Scores.load(path) for path in files]
    first, total = loaded[0], 0
    for path, weight, scores in zip(files, weights, loaded, strict=True):
        row = {name: i for i, name in enumerate(scores.names)}
        if len(row) < len(scores.names):
            raise UserError(f"{path}: samples occur twice in it: {len(scores.names) - len(row)}")
        if strange := sorted(row.keys() ^ set(first.names)):
            raise UserError(f"{path} and {files[0]}: samples only in one of them: {len(strange)}, such as {strange[0]!r}")
        order = [row[name] for name in first.names]
        if differing := [first.names[i] for i in np.flatnonzero(first.labels != scores.labels[order])]:
            raise UserError(f"{path} and {files[0]}: samples whose labels differ: {len(differing)}, such as {differing[0]!r}")
        if scores.logits.shape != first.logits.shape:
            raise UserError(f"{path}: {scores.logits.shape[1]} classes, {files[0]} has {first.logits.shape[1]}")
        total = total + weight * scores.logits[order].astype("float64")
    return Scores(first.names, first.labels, total)


def describe(title, scores):
    """One line: hits among the one and the five highest logits."""
    parts = [f"Top-{k} {(hits := scores.hits(k)).sum()}/{len(hits)} ({hits.mean():.2%})" for k in (1, 5)]
    return f"{title}: {', '.join(parts)}"


def main():
    parser = Parser(prog="tools/ensemble.py", description=__doc__)
    parser.add_argument("files", nargs="+", metavar="scores.npz")
    parser.add_argument("--weights", nargs="+", type=float, help="one for each file; default: all 1")
    parser.add_argument("--output", help="write the combined scores to this .npz file")
    options = parser.parse_args()
    weights = options.weights or [1.0] * len(options.files)
    if len(weights) != len(options.files) or not np.isfinite(weights).all():
        raise UserError(f"--weights {weights}: must be a number for each of the {len(options.files)} files")
    scores = combine(options.files, weights)
    for path, weight in zip(options.files, weights, strict=True):
        print(describe(f"{path} x {weight:g}", Scores.load(path)))
    print(describe("together", scores))
    if options.output:
        scores.save(options.output)
        print(f"Written: {options.output}")
