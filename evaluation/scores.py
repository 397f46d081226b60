"""Scores of an evaluation: logits keyed by sample name, and what follows from them."""

import csv
import io
import zipfile
from dataclasses import dataclass

import numpy as np

from utils.damage import usable
from utils.errors import UserError
from utils.files import read_bytes, replacing

LARGEST = 1 << 30  # bytes of a score file, unpacked


def softmax(logits):
    """Probabilities (..., classes) of logits, in the precision that these have."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


@dataclass
class Scores:
    """Logits (N, classes) of samples in order, with their labels (N,) and names."""

    names: list
    labels: np.ndarray
    logits: np.ndarray

    def hits(self, k):
        """(N,) bool: whether the true class is among the k highest logits, ties to the lower class number."""
        order = np.argsort(-self.logits, axis=1, kind="stable")[:, :k]
        return (order == self.labels[:, None]).any(1)

    def mean_loss(self):
        """Cross-entropy in nats, mean over samples."""
        logits = self.logits.astype("float64")
        top = logits.max(1)
        return float((top + np.log(np.exp(logits - top[:, None]).sum(1)) - logits[np.arange(len(logits)), self.labels]).mean())

    def confusion(self):
        """(classes, classes) int64: samples by true (row) and predicted (column) class."""
        count = self.logits.shape[1]
        predicted = self.logits.argmax(1)
        return np.bincount(self.labels * count + predicted, minlength=count * count).reshape(count, count)

    def probabilities(self):
        """(N, classes) float64: softmax of the logits."""
        return softmax(self.logits.astype("float64"))

    def calibration(self, bins=15):
        """(ECE, counts, mean confidence, accuracy), the last three of each of `bins` equal bins of confidence; empty: 0.

        Confidence is the highest probability; the expected calibration error is the mean gap between it and accuracy over
        samples (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3).
        """
        confidence = self.probabilities().max(1)
        place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
        counts = np.bincount(place, minlength=bins)
        means = [np.bincount(place, of, bins) / np.maximum(counts, 1) for of in (confidence, self.hits(1))]
        return float((counts * np.abs(means[0] - means[1])).sum() / counts.sum()), counts, *means

    def save(self, path):
        """Write names, labels and logits as npz."""
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, names=np.array(self.names), labels=self.labels, logits=self.logits)

    @classmethod
    def load(cls, path):
        """Scores that `save` wrote; raises UserError where the file holds anything else. Nothing in it is run."""
        with usable(path, "not a readable score file ({}); main.py -e writes them"):
            archive = zipfile.ZipFile(io.BytesIO(read_bytes(path, LARGEST)))
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
                raise ValueError("it would take too much memory")
            parts = (io.BytesIO(archive.read(f"{key}.npy")) for key in ("names", "labels", "logits"))
            names, labels, logits = (np.lib.format.read_array(part, allow_pickle=False) for part in parts)
        kinds = names.dtype.kind + labels.dtype.kind + logits.dtype.kind
        shapes = names.shape + labels.shape == 2 * logits.shape[:1]
        if kinds not in ("Uif", "Uuf") or not shapes or logits.ndim != 2 or 0 in logits.shape:
            raise UserError(f"{path}: must hold names (N,), labels (N,) and logits (N, classes); main.py -e writes them")
        if labels.min() < 0 or labels.max() >= logits.shape[1] or not np.isfinite(logits).all():
            raise UserError(f"{path}: labels must be 0 to {logits.shape[1] - 1} and logits finite")
        return cls(names.tolist(), labels, logits)


def top_confusions(confusion, count):
    """[(true, predicted, samples)]: the `count` most frequent mistakes, most first, then by class."""
    wrong = confusion - np.diag(np.diag(confusion))
    true, predicted = np.nonzero(wrong)
    samples = wrong[true, predicted]
    order = np.argsort(-samples, kind="stable")[:count]
    return list(zip(true[order].tolist(), predicted[order].tolist(), samples[order].tolist(), strict=True))


def save_class_table(path, confusion, names):
    """Write a CSV with a row for each true class: name, samples, accuracy, and how many were taken for each class."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["class", "samples", "accuracy", *names])
        for i, (name, row) in enumerate(zip(names, confusion, strict=True)):
            accuracy = f"{row[i] / row.sum():.4f}" if row.sum() else ""
            writer.writerow([name, row.sum(), accuracy, *row])
