"""Features of a sample against plain loops, and what the loader feeds with 2 workers."""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.networks import FRAMES, coordinates
from benchmarks.plain.data import sample_features
from benchmarks.timing import in_turn, start
from dataset.features import branch_features
from dataset.graph import NTU
from dataset.loader import Loader
from dataset.ntu_feeder import EpochBatches, NTUFeeder, writing_data_set

BODIES = 1.5  # in every second sample the second body is not seen
BATCH, WORKERS = 16, 2
GPU_RATE = 58  # sequences/s that the published training took from its loader, one GPU


def ours(count):
    """Side: the features of a batch, as the feeder computes them."""
    x = coordinates(count, BODIES)
    return lambda: branch_features(x, NTU).shape


def plain(count):
    """Side: each sample's features with loops."""
    x = coordinates(count, BODIES)
    return lambda: np.stack([sample_features(sample, NTU.parents, NTU.centre) for sample in x]).shape


def loader(paths, workers):
    """Side: one epoch of shuffled batches, drawn and thrown away. The file is in the page cache from the first epoch on."""
    feeder = NTUFeeder(*paths, num_frame=FRAMES, inputs="JVB", graph=NTU, num_classes=60)
    batches = EpochBatches(len(feeder), BATCH, shuffle=True)
    return lambda: sum(len(labels) for _, labels, _ in Loader(feeder, batches, workers))


def write_data_set(folder, count):
    """(data, label) paths of a data set of `count` samples, as -gd writes them."""
    paths, few = (folder / "train_data.npy", folder / "train_label.pkl"), coordinates(BATCH, BODIES, 300)
    with writing_data_set({"train": paths}, few.shape[1:]) as add:
        for i in range(count):
            add("train", few[i % BATCH], f"sample{i}", i % 60, 300)
    return paths


def main(argv=None):
    options, report = start(__spec__.name, __doc__, 15, argv)
    count = BATCH * (4 if options.quick else 200)
    x = coordinates(4, BODIES)
    expected = np.stack([sample_features(sample, NTU.parents, NTU.centre) for sample in x])
    difference = np.abs(branch_features(x, NTU) - expected).max()
    report.note(f"features are those of the loops within {difference:.1e}")
    if not difference <= 1e-5:
        raise SystemExit("error: features differ from the plain loops'")
    taken = in_turn({"ours": (ours, BATCH), "plain": (plain, BATCH)}, options.repeats)
    fast, slow = (
        report.add(name, [1000 * seconds / BATCH for seconds in taken[key].seconds], "ms/sample", "one core")
        for key, name in (("ours", "J, V, B of a batch"), ("plain", "J, V, B with loops"))
    )
    report.compare("features J, V, B of a sample, one core", fast, slow, 6.0)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_data_set(Path(folder), count)
        sides = {workers: (loader, paths, workers) for workers in (0, 1, WORKERS)}
        taken = in_turn(sides, max(1, options.repeats // 3))
    for workers, side in taken.items():
        rates = [side.values[0] / seconds for seconds in side.seconds]
        rate = report.add(f"loader, {workers} workers", rates, "sequences/s", f"batch {BATCH}")
    job = f"loader, {WORKERS} workers, against {GPU_RATE} sequences/s"
    report.row(job, rate.text(), "one GPU, published", rate.median / GPU_RATE, 10)
    return report


if __name__ == "__main__":
    main()
