"""What a program said of recordings, printed and written."""

import csv
import json
import sys
from dataclasses import dataclass

import numpy as np

from utils.errors import printable
from utils.files import replacing
from utils.terminal import paint


@dataclass
class Prediction:
    """The best classes of a sample, best first: labels (from 0), class names, probabilities; `seconds`: span of a window.

    `error`: why a recording has none of these.
    """

    name: str
    labels: list
    classes: list
    probabilities: list
    seconds: tuple | None = None
    error: str | None = None

    def ranked(self):
        """[(label, class name, probability)], best first."""
        return list(zip(self.labels, self.classes, self.probabilities, strict=True))

    def lines(self):
        """Printable lines like `A007 throw 0.993`."""
        return [f"A{label + 1:03d} {name} {value:.3f}" for label, name, value in self.ranked()]


def save(path, predictions):
    """Write Predictions to a .csv or .jsonl file as they come; the file appears whole at the end, or not at all."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        if path.endswith(".jsonl"):
            file.writelines(json.dumps(vars(prediction), ensure_ascii=False) + "\n" for prediction in predictions)
            return
        table = csv.writer(file)
        table.writerow(["name", "start_s", "end_s", "rank", "label", "class", "probability", "error"])
        for prediction in predictions:
            start = [prediction.name, *(prediction.seconds or ("", ""))]
            table.writerows([*start, rank, *values, ""] for rank, values in enumerate(prediction.ranked(), start=1))
            if prediction.error:
                table.writerow([*start, *[""] * 4, prediction.error])


def show(prediction, last):
    """Print the name, and the best classes or a line of the recording's time line; `last`: name of the sample before."""
    if prediction.seconds is None or prediction.name != last:
        print(prediction.name)
    if prediction.error:
        print(f"error: {printable(prediction.error)}")
    elif prediction.seconds is None:
        print("\n".join(prediction.lines()))
    else:
        print("{:7.1f} - {:7.1f} s  {}".format(*prediction.seconds, prediction.lines()[0]))


def show_batch(samples, predictions, classes):
    """Print the line of a batch with labels, on a terminal a line for each sample; returns for each whether it was recognised.

    `classes`: names of the action classes.
    """
    predicted, labels = np.array([p.labels[0] for p in predictions]), [sample.label for sample in samples]
    right = (predicted == labels).tolist()
    if sys.stdout.isatty():
        for sample, prediction, good in zip(samples, predictions, right, strict=True):
            line = f"{sample.name:32} {'right' if good else 'wrong'}  {prediction.lines()[0]}"
            print(line if good else paint(f"{line}, is A{sample.label + 1:03d} {classes[sample.label]}", "red"))
        return right
    print(
        f"Batch action class Predict:  {np.array2string(predicted, max_line_width=sys.maxsize, threshold=sys.maxsize)} "
        f"Batch action class True:  {labels} "
        f"Batch Accuracy:  {round(sum(right) / len(right), 6)} Batch sample Name:  {[sample.name for sample in samples]}"
    )
    return right
