"""Access to a generated data set: samples read from the file one by one, labels, batches of features. No Paddle."""

import contextlib
import os
import pickle
import threading
from pathlib import Path

import numpy as np

from utils.damage import usable
from utils.errors import UserError
from utils.pickles import load_pickle

from .features import branch_features

SPLITS = ("train", "eval")


def split_paths(root_folder, transform, dataset, split):
    """Paths of (data, label) of one split ('train' or 'eval') of a generated data set."""
    folder = Path(root_folder) / ("transformed" if transform else "original") / dataset
    return folder / f"{split}_data.npy", folder / f"{split}_label.pkl"


def open_array(path):
    """Memory-mapped array of a npy file, of any shape and numbers; raises UserError where it is damaged or holds objects."""
    with usable(path, "not a readable npy array ({}); make it again"), np.errstate(over="ignore"):
        if not Path(path).is_file():
            raise ValueError("no such file")
        data = np.lib.format.open_memmap(path, mode="r")
        if data.dtype.kind not in "fiub" or Path(path).stat().st_size != data.offset + data.nbytes:
            raise ValueError(f"{data.dtype} {data.shape}, not numbers alone")
    return data


class SampleFile:
    """The samples (N, C, T, V, M) float32 of a npy file, whose header raises UserError where it holds anything else.

    They are read one by one: where a file in use is cut short, a memory map would end the process.
    """

    def __init__(self, path):
        data = open_array(path)
        if data.ndim != 5 or data.dtype != np.float32 or not data.flags.c_contiguous:
            raise UserError(f"{path}: holds {data.dtype} {data.shape}, must be one float32 array (N, C, T, V, M); make it again")
        self.path, self.shape, self.start = path, data.shape, data.offset
        self.file = open(path, "rb", buffering=0)  # noqa: SIM115 (for as long as samples are read)
        self.lock = threading.Lock()

    def read(self, indices):
        """Samples (N, C, T, V, M) float32; raises UserError where the file is not as it was."""
        samples = np.empty((len(indices), *self.shape[1:]), np.float32)
        for index, sample in zip(indices, samples, strict=True):
            if self._read_into(sample, self.start + index * sample.nbytes) < sample.nbytes:
                raise UserError(f"{self.path}: was cut short while in use; make it again, then resume with -r")
        return samples

    def _read_into(self, sample, offset):
        """Fill an array from a place in the file, which threads share; returns the number of bytes read."""
        if hasattr(os, "preadv"):
            return os.preadv(self.file.fileno(), [sample], offset)
        with self.lock:
            self.file.seek(offset)
            return self.file.readinto(sample)


def load_labels(path):
    """(names, labels, lengths), or (names, labels) alone as others write it, lists of one length; names lose any folder part.

    A .npy file holds labels alone, and samples are named by their number. Raises UserError where the file is anything else.
    Nothing in it is run (see utils.pickles).
    """
    if str(path).endswith(".npy"):
        labels = open_array(path).ravel()
        value = map(str, range(len(labels))), labels
    else:
        value = load_pickle(path)
    with usable(path, "must hold three lists of one length (names, labels, lengths), or the first two ({})"):
        names, *numbers = map(list, value)
        if len(numbers) not in (1, 2) or any(len(part) != len(names) for part in numbers):
            raise ValueError(f"lists of {[len(part) for part in (names, *numbers)]}")
    whole = all(isinstance(number, (int, np.integer)) and 0 <= number < 2**31 for part in numbers for number in part)
    if not whole or not all(isinstance(name, str) and name.isprintable() for name in names):
        raise UserError(f"{path}: names must be texts that can be printed, labels and lengths whole numbers from 0")
    return [name.replace("\\", "/").rsplit("/", 1)[-1] for name in names], *([int(x) for x in part] for part in numbers)


@contextlib.contextmanager
def writing_data_set(files, shape):
    """Yield a function (split, coordinates, name, label, length) that adds a sample to `files` {split: (data, label)}.

    Coordinates are (C, T, V, M) = `shape`, or have fewer frames, and zeros follow. Samples are written one by one, so that memory
    stays flat.
    """
    rows = {split: [] for split in files}
    with contextlib.ExitStack() as stack:
        data = {split: stack.enter_context(open(path, "wb")) for split, (path, _) in files.items()}

        def write_header(split):
            data[split].seek(0)  # NumPy gives headers the same length for any number of samples
            header = {"descr": "<f4", "fortran_order": False, "shape": (len(rows[split]), *shape)}
            np.lib.format.write_array_header_1_0(data[split], header)

        def add(split, x, *row):
            sample = np.zeros(shape, "<f4")
            sample[:, : x.shape[1]] = x
            data[split].write(sample)
            rows[split].append(row)

        for split in files:
            write_header(split)
        yield add
        for split, (_, path) in files.items():
            write_header(split)
            path.write_bytes(pickle.dumps(tuple(map(list, zip(*rows[split], strict=True))), 4))


class NTUFeeder:
    """One split of a data set. `feeder[i]` = (features (I, 2C, T, V, M) float32, label, name)."""

    def __init__(self, data_path, label_path, *, num_frame, inputs, graph, num_classes, num_channel=3, num_person=2, limit=None):
        self.data = SampleFile(data_path)
        self.names, self.labels, *lengths = load_labels(label_path)
        count, C, T, V, M = self.data.shape
        if count != len(self.names) or count == 0:
            raise UserError(f"{label_path}: number of samples {len(self.names)}, in {data_path} {count}; make them together")
        if num_frame > T or (num_channel, graph.num_joints, num_person) != (C, V, M):
            raise UserError(
                f"{data_path}: samples are (C, T, V, M) = {(C, T, V, M)}; the configuration asks for C = {num_channel} "
                f"(num_channel), T = {num_frame} (num_frame), V = {graph.num_joints} ({graph.name} skeleton) and "
                f"M = {num_person} (num_person)"
            )
        for name, label, length in zip(self.names, self.labels, *(lengths or [[0] * count]), strict=True):
            if label >= num_classes or length > T:
                raise UserError(f"{label_path}: {name} has label {label}, length {length}; at most {num_classes - 1} and {T}")
        self.graph, self.inputs, self.num_frame = graph, inputs, num_frame
        self.count = min(count, limit or count)

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return self.batch([index])[0][0], self.labels[index], self.names[index]

    def batch(self, indices):
        """(features (N, I, 2C, T, V, M), labels (N,) int64, indices (N,) int64) of samples, computed at once."""
        coordinates = self.data.read(indices)[:, :, : self.num_frame]
        labels = np.array([self.labels[i] for i in indices], "int64")
        return branch_features(coordinates, self.graph, self.inputs), labels, np.array(indices, "int64")


class EpochBatches:
    """Batches of sample indices for one rank; the order follows from (seed, epoch) alone, so that a run can go on anywhere.

    Training (`shuffle`): every rank takes its part of each global batch, the last partial one is dropped. Evaluation: in order,
    every sample once over all ranks. `set_epoch(epoch, first)` chooses the epoch and how many batches of it to leave out.
    """

    def __init__(self, count, batch_size, *, shuffle, seed=0, rank=0, world=1):
        self.count, self.batch_size, self.shuffle, self.seed = count, batch_size, shuffle, seed
        self.rank, self.world = rank, world
        self.set_epoch(0)

    def set_epoch(self, epoch, first=0):
        self.epoch, self.first = epoch, first

    @property
    def steps(self):
        """Batches in a whole epoch."""
        if self.shuffle:
            return self.count // (self.batch_size * self.world)
        return -(-len(range(self.rank, self.count, self.world)) // self.batch_size)

    def __len__(self):
        return self.steps - self.first

    def __iter__(self):
        size, order = self.batch_size, np.arange(self.count)
        if self.shuffle:
            np.random.default_rng((self.seed, self.epoch)).shuffle(order)
            order = order[: self.steps * size * self.world].reshape(-1, self.world, size)[:, self.rank].reshape(-1)
        else:
            order = order[self.rank :: self.world]
        for step in range(self.first, self.steps):
            yield order[step * size : (step + 1) * size].tolist()
