"""A folder of arrays or JSON files -> the data set of a configuration with `dataset: custom-NAME` (docs/custom_data.md).

SOURCE/train/CLASS/NAME.npy and SOURCE/eval/CLASS/NAME.npy (or .json): CLASS is a line of class_names. A sample is frames x
bodies x joints x coordinates; in .npy files of one body that axis may be left out, in JSON each frame may have its own number.
"""

import os
import sys

if __name__ == "__main__":  # before the imports, so that a signal during them is one line too
    sys.path.insert(0, os.path.realpath(f"{__file__}/../.."))
    from utils.command import run_command

    sys.exit(run_command("tools.convert_arrays"))

import io
import json
from pathlib import Path

import numpy as np

from dataset.actions import read_names
from dataset.graph import NTU
from dataset.ntu_feeder import DAMAGE, split_paths, write_split
from options.schema import DATASETS, load_config
from reader.splits import SPLITS
from utils.errors import UserError
from utils.files import read_bytes, replacing_folder
from utils.terminal import Parser

LARGEST, MOST_FRAMES = 1 << 30, 10**6  # bytes and frames of a sample


def find_samples(folder, classes):
    """[(path, label)] of a split's folder, in order of class and name.

    Raises UserError where it holds none, a class is unknown, or two samples have one name.
    """
    found, seen = [], {}
    for path in sorted(path for path in folder.glob("*/*") if path.suffix in (".npy", ".json")):
        if path.parent.name not in classes:
            raise UserError(f"{path.parent}: {path.parent.name!r} is not in class_names")
        if seen.setdefault(path.stem, path) != path:
            raise UserError(f"{path} and {seen[path.stem]}: two samples of one name; rename one")
        if not path.stem.isprintable():
            raise UserError(f"{path}: a name that can't be printed; rename it")
        found.append((path, classes.index(path.parent.name)))
    if not found:
        raise UserError(f"{folder}: holds no .npy or .json file in a folder SOURCE/{folder.name}/CLASS")
    return sorted(found, key=lambda sample: sample[1])


def read_sample(path, num_person, num_joints, num_channel):
    """Coordinates (T, num_person, V, C) float32 of a file, absent bodies zero; raises UserError naming the frame."""
    try:
        data = read_bytes(path, LARGEST)
        frames = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False) if path.suffix == ".npy" else json.loads(data)
        frames = frames[:, None] if isinstance(frames, np.ndarray) and frames.ndim == 3 else frames
        if not 0 < len(frames) < MOST_FRAMES:
            raise ValueError(f"{len(frames)} frames")
        sample = np.zeros((len(frames), num_person, num_joints, num_channel), "float32")
        for number, frame in enumerate(frames):
            bodies = np.asarray(frame)
            if len(bodies) > num_person or (len(bodies) and bodies.shape[1:] != sample.shape[2:]):
                wanted = f"at most {num_person} x {num_joints} x {num_channel}"
                raise ValueError(f"frame {number}: bodies x joints x coordinates is {bodies.shape}, needed {wanted}")
            if len(bodies) and bodies.dtype.kind not in "fiu":
                raise ValueError(f"frame {number}: values that are no numbers")
            sample[number, : len(bodies)] = bodies if len(bodies) else 0
        if not np.isfinite(sample).all():
            raise ValueError("values that are not finite")
    except (*DAMAGE, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: not a usable sample ({' '.join(str(error).split())})") from error
    return sample


def stored(samples, shape, lengths):
    """Yield samples [(path, label)] as (C, T, V, M): longer ones cut, shorter ones padded; `lengths` takes their lengths."""
    C, T, V, M = shape
    for path, _ in samples:
        frames = read_sample(path, M, V, C)
        lengths.append(len(frames))
        sample = np.zeros(shape, "float32")
        sample[:, : len(frames)] = frames[:T].transpose(3, 0, 2, 1)
        yield sample


def convert(source, config):
    """Write a configuration's data set from the folder `source`; returns report lines. It is complete or as it was before."""
    if config.dataset in DATASETS:
        raise UserError(f"dataset {config.dataset}: is NTU RGB+D's; choose a configuration with dataset: custom-NAME")
    data, report = config.data, []
    classes = read_names(data.class_names)
    num_joints = len(data.graph.joints) if data.graph else NTU.num_joints
    shape = (data.num_channel, data.num_frame, num_joints, data.num_person)
    samples = {split: find_samples(Path(source) / split, classes) for split in SPLITS}
    paths = {split: split_paths(data.root_folder, data.transform, config.dataset, split) for split in SPLITS}
    folder = paths["train"][0].parent
    with replacing_folder(folder, {path.name for pair in paths.values() for path in pair}) as new:
        for split, chosen in samples.items():
            files = [new / path.name for path in paths[split]]
            names, labels, lengths = [path.stem for path, _ in chosen], [label for _, label in chosen], []
            columns = names, labels, (min(length, data.num_frame) for length in lengths)  # taken when all are read
            write_split(files, (len(chosen), *shape), stored(chosen, shape, lengths), columns)
            used, cut = len(set(labels)), sum(length > data.num_frame for length in lengths)
            report.append(
                f"{split}: {len(chosen)} samples of {used} of {len(classes)} classes, {cut} cut to {data.num_frame} frames"
            )
    return [*report, f"Written: {folder}"]


def main():
    parser = Parser(prog="tools/convert_arrays.py", description=__doc__)
    parser.add_argument("source", help="folder with train/CLASS/ and eval/CLASS/")
    parser.add_argument("-c", "--config", required=True, help="YAML file with dataset: custom-NAME")
    options = parser.parse_args()
    print("\n".join(convert(options.source, load_config(options.config))))
