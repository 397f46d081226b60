"""Top-1 and top-5 of several networks together: the weighted sum of their logits, from the score files of main.py -e.

python tools/ensemble.py J/scores.npz V/scores.npz B/scores.npz --weights 1 0.5 1
"""

import argparse
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dataset.scores import Scores
from utils import UserError, run_command


def combine(files, weights):
    """Scores of samples in the first file's order: the weighted sum of all files' logits.

    Raises UserError where two files do not hold the same samples, labels and classes, or a sample stands twice in one.
    """
    first, total = None, 0
    for path, weight in zip(files, weights, strict=True):
        scores = Scores.load(path)
        row = {name: i for i, name in enumerate(scores.names)}
        if len(row) < len(scores.names):
            raise UserError(f"{path}: {len(scores.names) - len(row)} samples stand in it twice")
        first = first or scores
        strange = sorted(row.keys() ^ set(first.names))
        if strange:
            raise UserError(f"{path} and {files[0]}: {len(strange)} samples are only in one of them, as {strange[0]!r}")
        order = [row[name] for name in first.names]
        differing = [name for name, a, b in zip(first.names, first.labels, scores.labels[order], strict=True) if a != b]
        if differing:
            raise UserError(f"{path} and {files[0]}: labels of {len(differing)} samples differ, as of {differing[0]!r}")
        if scores.logits.shape != first.logits.shape:
            raise UserError(f"{path}: {scores.logits.shape[1]} classes, {files[0]} has {first.logits.shape[1]}")
        total = total + weight * scores.logits[order].astype("float64")
    return Scores(first.names, first.labels, total)


def describe(title, scores):
    """One line: hits among the one and the five highest logits."""
    parts = [f"{(hits := scores.hits(k)).sum()}/{len(hits)} ({hits.mean():.2%})" for k in (1, 5)]
    return f"{title}: Top-1 {parts[0]}, Top-5 {parts[1]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="scores.npz")
    parser.add_argument("--weights", nargs="+", type=float, help="one for each file; default: all 1")
    parser.add_argument("--output", help="write the combined scores to this .npz file")
    options = parser.parse_args()
    weights = options.weights or [1.0] * len(options.files)
    if len(weights) != len(options.files) or not all(map(math.isfinite, weights)):
        raise UserError(f"--weights {weights}: must be a number for each of the {len(options.files)} files")
    scores = combine(options.files, weights)
    for path, weight in zip(options.files, weights, strict=True):
        print(describe(f"{path} x {weight:g}", Scores.load(path)))
    print(describe("together", scores))
    if options.output:
        scores.save(options.output)
        print(f"Written: {options.output}")


if __name__ == "__main__":
    sys.exit(run_command(main))
