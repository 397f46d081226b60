"""Cuts a small data set out of a generated one, its samples drawn with a seed: for TIPC, and for trying things out.

python dataset/tiny_data_gen.py --source_path data/npy_dataset --save_dir data/ntu/tiny_dataset --mode train
"""

import os
import sys

if __name__ == "__main__":  # before the imports, so that a signal during them is one line too
    sys.path.insert(0, os.path.realpath(f"{__file__}/../.."))
    from utils.command import run_command

    sys.exit(run_command("dataset.tiny_data_gen"))

import numpy as np

from dataset.ntu_feeder import SPLITS, SampleFile, load_labels, split_paths, writing_data_set
from utils.errors import UserError
from utils.files import replacing
from utils.terminal import Parser, boolean

MARK = "tiny.txt"  # stands in the folders that this command made, and only there does it replace files


def cut(source_path, save_dir, *, mode="train", data_num=80, dataset="ntu-xsub", transform=False, seed=1):
    """Write the small data set and return {split: (its samples, samples of the source)}.

    `source_path` and `save_dir` are roots, with original/ or transformed/ (`transform`) and the data set's folder
    below. Mode train makes both splits, eval its own only, of `data_num` samples each or of all where there are fewer,
    in the order of the source. Raises UserError where the source is unusable, and where `save_dir` has a data set that
    this command did not make.
    """
    if data_num < 1:
        raise UserError(f"--data_num {data_num}: must be at least 1")
    splits, roots = SPLITS if mode == "train" else ("eval",), (source_path, save_dir)
    source, target = ({split: split_paths(root, transform, dataset, split) for split in splits} for root in roots)
    folder = target["eval"][0].parent
    if folder.resolve() == source["eval"][0].parent.resolve():
        raise UserError(f"--save_dir {save_dir}: is the source itself; choose another folder")
    if not (folder / MARK).is_file() and any(path.exists() for paths in target.values() for path in paths):
        raise UserError(f"{folder}: holds a data set that this command did not make; choose another --save_dir")
    loaded = {split: (SampleFile(data), load_labels(labels)) for split, (data, labels) in source.items()}
    for split, (data, (names, *_)) in loaded.items():
        if not 0 < data.shape[0] == len(names):
            raise UserError(f"{source[split][1]}: number of samples {len(names)}, in the data {data.shape[0]}; make both anew")
    counts = {}
    with replacing(folder / MARK, *(path for pair in target.values() for path in pair)) as (mark, *new):
        mark.write_text(f"Cut out of {source_path} by dataset/tiny_data_gen.py, seed {seed}\n", encoding="utf-8")
        for (split, (data, labels)), *files in zip(loaded.items(), new[::2], new[1::2], strict=True):
            rng = np.random.default_rng((seed, SPLITS.index(split)))
            chosen = np.sort(rng.permutation(data.shape[0])[:data_num])
            with writing_data_set({split: files}, data.shape[1:]) as add:
                for i in chosen:
                    add(split, data.read([i])[0], *(part[i] for part in labels))
            counts[split] = len(chosen), data.shape[0]
    return counts


def main():
    parser = Parser(prog="dataset/tiny_data_gen.py", description=__doc__.splitlines()[0])
    parser.add_argument("--source_path", required=True, help="root of a generated data set")
    parser.add_argument("--save_dir", required=True, help="root of the small one")
    parser.add_argument("--mode", choices=SPLITS, default="train", help="train: both splits (default); eval: only that")
    parser.add_argument("--data_num", type=int, default=80, help="samples of each split (default 80)")
    parser.add_argument("--dataset", default="ntu-xsub", help="default ntu-xsub")
    parser.add_argument("--transform", type=boolean, default=False, metavar="True|False", help="view-normalised data")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for split, (taken, count) in cut(**vars(options)).items():
        print(f"{split}: {taken} of {count} samples, seed {options.seed}, in {options.save_dir}")
