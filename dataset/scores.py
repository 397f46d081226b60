"""Scores of an evaluation: logits keyed by sample name, and what follows from them."""

from dataclasses import dataclass

import numpy as np

from utils import replacing


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
        return float(
            (top + np.log(np.exp(logits - top[:, None]).sum(1)) - logits[np.arange(len(logits)), self.labels]).mean()
        )

    def confusion(self):
        """(classes, classes) int64: samples by true (row) and predicted (column) class."""
        count = self.logits.shape[1]
        predicted = self.logits.argmax(1)
        return np.bincount(self.labels * count + predicted, minlength=count * count).reshape(count, count)

    def save(self, path):
        """Write names, labels and logits as npz."""
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, names=np.array(self.names), labels=self.labels, logits=self.logits)
