"""Fuzz targets (atheris): every reader of files is fed bytes that its own branches lead to.

    python -m tests.torture.fuzz_files skeleton -runs=100000 -seed=1    (then libFuzzer's options)

A target returns where a file was read or refused as it should be, and raises where anything else happens: another error,
a message of several lines, a file opened or a program started by what was read. Without atheris, `mutants` gives bytes as well.
"""

import codecs
import io
import json
import os
import pickle
import random
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tests.helpers.places import ROOT

FORBIDDEN = {"open", "exec", "os.system", "os.exec", "os.posix_spawn", "os.remove", "subprocess.Popen", "ctypes.dlopen", "socket.connect"}
for codec in ("latin1", "utf-8", "raw_unicode_escape", "unicode_escape"):
    codecs.lookup(codec)  # a codec's first use opens its module
watching = [False]


@contextmanager
def nothing_run():
    """Nothing may be opened, run or removed inside."""
    watching[0] = True
    try:
        yield
    finally:
        watching[0] = False


def _watch(event, arguments):
    if watching[0] and event in FORBIDDEN:
        watching[0] = False
        raise AssertionError(f"{event}{arguments}"[:300])


sys.addaudithook(_watch)


def refused(read, *arguments):
    """What `read` returns, None where it refuses its file in one printable line."""
    from utils.errors import UserError, printable

    try:
        return read(*arguments)
    except UserError as error:
        assert str(error).count("\n") == 0 and len(printable(str(error))) < 5000, str(error)[:500]
        return None


# ---------------------------------------------------------------- targets


def skeleton(data):
    """The quick way takes nothing that the exact way refuses, and reads it alike; what both take is a usable sample."""
    from reader import ntu_reader as reader
    from reader.transformer import view_normalise

    with nothing_run():
        try:
            quick = reader._parse_quickly(data, 300)
        except reader.DOUBT:
            quick = None
        try:
            exact = reader._parse_exactly("x.skeleton", data, 300)
        except reader.SkeletonError as error:
            assert str(error).isprintable(), str(error)
            exact = None
        assert quick is None or np.array_equal(quick, exact)
        if exact is not None:
            sample = reader.layout(reader.select_bodies(exact), 300)
            assert np.isfinite(sample).all() and np.isfinite(view_normalise(sample)).all()


def pickled(data):
    from utils.pickles import unpickle

    with nothing_run():
        refused(unpickle, data, "x.pkl")


def checkpoint(data):
    from training.checkpoint import read_checkpoint, weight_arrays
    from training.progress import ResumeState

    path = _file("x.pdparams", data)
    state = refused(read_checkpoint, path)
    if state is not None:
        refused(weight_arrays, state, path)
        refused(ResumeState.of, state, path)


def labels(data):
    from dataset.ntu_feeder import load_labels

    refused(load_labels, _file("x_label.pkl", data))


def torch(data):
    from utils.pickles import load_torch

    refused(load_torch, _file("x.pt", data))


def array(data):
    from dataset.ntu_feeder import SampleFile

    refused(SampleFile, _file("x_data.npy", data))


def scores(data):
    from evaluation.scores import Scores

    refused(Scores.load, _file("x.npz", data))


def settings(data):
    from options.schema import load_config

    refused(load_config, str(_file("x.yaml", data)))


_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz_", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)


def _file(name, data):
    path = Path(_FOLDER.name, name)
    path.write_bytes(data)
    return path


# ---------------------------------------------------------------- where to start from


def seeds(target):
    """Files that a target's reader takes, and some that it refuses for a reason of its own."""
    from tests.helpers.skeleton_corpus import malformed, skeleton_bytes, well_formed
    from tests.torture import hostile, hostile_pickles

    weights = {"model": {"a.weight": ("conv2d_0.w_0", np.ones((2, 3), "f4"))}, "opt": {"conv2d_0.w_0_velocity_0": np.ones(2)}}
    progress = {"step": 0, "metrics": 0, "world": 1, "seconds": 0.0, "epoch": [0.0] * 4, "window": [0.0] * 4}
    state = {**weights, "epoch": 3, "best_state": {"acc_top1": 0.5, "acc_top5": 0.9, "cm": 0}, "progress": progress}
    names = [f"S001C001P001R001A00{i}.skeleton" for i in (1, 2)]
    files = {
        skeleton: [skeleton_bytes(0, (1,)), *(data for _, data in [*well_formed(), *list(malformed())[::40]])],
        pickled: [*(pickle.dumps(state, protocol) for protocol in (0, 2, 4)), *(data for _, data in hostile_pickles.hostile_pickles())],
        checkpoint: [pickle.dumps(state, 4), pickle.dumps(weights["model"], 2)],
        labels: [pickle.dumps((names, [0, 1], [300, 9]), 4), *(data for _, data in list(hostile.label_files(names))[::9])],
        torch: [data for _, data in hostile_pickles.torch_files(state)],
        array: [data for _, data in hostile.data_files(np.zeros((2, 3, 2, 5, 1), "f4"))],
        scores: [_score_file(names)],
        settings: [(ROOT / "configs" / "defaults.yaml").read_bytes(), b"seed: 3\n", b"model_args: {edge: false}\ndataset: ntu-xview\n",
                   *(data for _, data in hostile.yaml_texts() if len(data) < 5000)],
    }  # fmt: skip
    return files[target]


def _score_file(names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for key, value in {"names": np.array(names), "labels": np.arange(2), "logits": np.eye(2)}.items():
            part = io.BytesIO()
            np.save(part, value)
            archive.writestr(f"{key}.npy", part.getvalue())
    return file.getvalue()


def mutants(target, count, seed):
    """`count` seeds of a target, each changed in a few places: bytes replaced, removed, doubled, taken from another seed."""
    rng, starts = random.Random(f"{target.__name__} {seed}"), seeds(target)
    for _ in range(count):
        data = bytearray(rng.choice(starts))
        for _ in range(rng.randint(1, 4)):
            place, length = rng.randrange(len(data) + 1), rng.choice((1, 1, 2, 8, 100))
            other = rng.choice(starts)
            start = rng.randrange(len(other) + 1)
            data[place : place + rng.choice((0, length))] = rng.choice(
                (rng.randbytes(min(length, 8)), b"", data[place : place + length], other[start : start + length])
            )
        yield bytes(data)


TARGETS = {target.__name__: target for target in (skeleton, pickled, checkpoint, labels, torch, array, scores, settings)}


def main():
    name, *options = sys.argv[1:] or [""]
    if name == "--list":
        print(*TARGETS)
        return 0
    if name not in TARGETS:
        print(f"usage: python -m tests.torture.fuzz_files {{{','.join(TARGETS)}}} [libFuzzer's options]", file=sys.stderr)
        return 2
    import atheris

    from utils.process import start_paddle

    if name == "checkpoint":
        start_paddle()
    with atheris.instrument_imports(include=["pickle", "reader", "dataset", "options", "utils", "training.checkpoint", "yaml"]):
        for data in seeds(TARGETS[name]):  # imports all that a target needs
            TARGETS[name](data)
    corpus = Path(_FOLDER.name, "corpus")
    corpus.mkdir()
    for number, data in enumerate(seeds(TARGETS[name])):
        (corpus / str(number)).write_bytes(data)
    atheris.Setup([sys.argv[0], "-timeout=20", "-rss_limit_mb=2048", *options, str(corpus)], TARGETS[name])
    print(json.dumps({"target": name, "options": options}))
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
