"""Arrays of one's own, in files or in memory, and what others store as arrays: in NumPy's files or in pickles.

Sources: NTURGB-D, Python/txt2npy.py; CTR-GCN, data/ntu/seq_transformation.py; 2s-AGCN, data_gen/ntu_gendata.py and preprocess.py,
which turns the view; PaddleVideo, docs/en/dataset; pyskl, tools/data/README.md and pyskl/datasets/pose_dataset.py.
"""

import math
import os
import re
import zipfile
from functools import partial

import numpy as np

from dataset.graph import NTU
from dataset.ntu_feeder import load_labels, open_array
from utils.pickles import OBJECT_ARRAYS, load_pickle, unpickle

from . import CENTRED, DENOISED, LARGEST, NORMALISED, STORED, Recording

MOST_ROWS = 10**6  # of an array in a npz file
_DATA = re.compile(r"(.*(train|val|eval|test)_)data(_joint)?\.npy")
_SPINE, _LOOKED_AT = 1, 8  # a joint; samples
_PYSKL = {(25, 3): (NTU.name, (DENOISED,)), (17, 2): ("coco17", ())}  # skeleton, what is done, by joints and coordinates


def read_npy(path, wanted):
    """Recordings of a .npy file of numbers, or the one in a dict of txt2npy.py, which is read as a pickle is: nothing is run."""
    with open(path, "rb") as file:
        if not _header(file)[2].hasobject:
            return of_array(open_array(path), path.name, wanted)
        (content,) = unpickle(file.read(LARGEST), path, OBJECT_ARRAYS)
    bodies = [content[f"skel_body{number}"] for number in range(max(content["nbodys"], default=0))]
    return [Recording(path.name, np.stack(bodies or [np.zeros((1, NTU.num_joints, 3))]), "MTVC", NTU.name)]


def _header(file):
    """(shape, whether the first axis is the quickest, type) of a npy file, which is then at its data."""
    version = np.lib.format.read_magic(file)
    return (np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0)(file)


def of_array(data, name, wanted):
    """Recordings of an array of any numbers: (T, V, C) or (T, M, V, C) as a sensor gives it, (C, T, V, M) or (N, C, T, V, M) as a
    data set stores it. More channels than are wanted may be there.
    """
    C, V, shape = wanted.num_channel, wanted.num_joints, data.shape
    if data.dtype.kind in "fiu" and 0 not in shape and V in shape[-2:-1]:
        if len(shape) == 5 and shape[1] >= C:
            return [Recording(str(number), sample, done=(STORED,)) for number, sample in enumerate(data)]
        if len(shape) == 4 and shape[0] >= C and (shape[0] == C or shape[3] < C):
            return [Recording(name, data, done=(STORED,))]
        if len(shape) in (3, 4) and shape[-1] >= C:
            return [Recording(name, data.reshape(len(data), -1, *shape[-2:]), "TMVC")]
    forms = f"numbers (T, V, C), (T, M, V, C), (C, T, V, M) or (N, C, T, V, M) with C = {C}, V = {V}, M = {wanted.num_person}"
    raise ValueError(f"holds {data.dtype} {shape}; needed are {forms}")


def read_folder(folder):
    """Recordings of a folder of ST-GCN, 2s-AGCN, AAGCN or PaddleVideo, (N, C, T, V, M) with labels in a pickle or .npy file."""
    for match in filter(None, map(_DATA.fullmatch, sorted(os.listdir(folder)))):
        labels_file = next(folder.glob(f"{match[1]}label.npy"), folder / f"{match[1]}label.pkl")
        data, (names, labels, *_) = open_array(folder / match[0]), load_labels(labels_file)
        if data.ndim != 5 or len(data) != len(names):
            raise ValueError(f"{match[0]} holds {data.shape} for {len(names)} labels; needed is (N, C, T, V, M)")
        spine = data[:_LOOKED_AT, :, :, _SPINE, 0].any() or data.shape[1:4:2] != (3, 25)  # NTU's, 0 where the view is normalised
        done = () if spine or not data[:_LOOKED_AT].any() else (NORMALISED,)
        for x, name, label in zip(data, names, labels, strict=True):
            yield Recording(name, x, done=done, label=label, splits=(match[2],))


def read_npz(path, _):
    """Yield the Recordings of CTR-GCN's x_train and x_test (N, T, 150), two bodies of 25 joints, which have no names."""
    archive = zipfile.ZipFile(path)
    for split in ("train", "test"):
        for number, (row, one_hot) in enumerate(zip(*(_rows(archive, f"{part}_{split}.npy") for part in "xy"), strict=True)):
            x, label = row.reshape(len(row), 2, NTU.num_joints, 3), int(one_hot.argmax() if one_hot.ndim else one_hot)
            yield Recording(f"{split}_{number:06}", x, "TMVC", NTU.name, (CENTRED, DENOISED), label, (split,))


def _rows(archive, name):
    """Yield the rows of an array in a npz file; no size is believed before its bytes are there."""
    with archive.open(name) as file:
        shape, fortran, dtype = _header(file)
        size = math.prod(shape[1:]) * dtype.itemsize
        if fortran or dtype.kind not in "fiub" or not 0 < shape[0] < MOST_ROWS or not 0 < size < LARGEST:
            raise ValueError(f"{name} {dtype} {shape}")
        for _ in range(shape[0]):
            yield np.frombuffer(file.read(size), dtype).reshape(shape[1:])


def read_pickle(path, _):
    """Yield the Recordings of pyskl or MMAction2: {split, annotations} or a list of annotations, of which some may be None.

    They come in the order of their names, as -gd has them. 3D is in metres, 2D in pixels with scores.
    """
    content = load_pickle(path)
    whole = content if isinstance(content, dict) else {"annotations": content}
    if not isinstance(whole.get("annotations"), list) or not all(isinstance(item, dict | None) for item in whole["annotations"]):
        raise ValueError("a pickle, but not of pyskl or MMAction2: needed are annotations with frame_dir and keypoint")
    splits = {split: set(names) for split, names in whole.get("split", {}).items()}
    items = [item or {} for item in whole["annotations"]]
    for number, item in enumerate(sorted(items, key=lambda item: str(item.get("filename", item.get("frame_dir", ""))))):
        name, label = item.get("filename", item.get("frame_dir", number)), item.get("label")
        form = _PYSKL.get(getattr(item.get("keypoint"), "shape", ())[2:], (None, ()))
        belongs = tuple(split for split, names in splits.items() if name in names)
        points = partial(_points, item) if item else None
        yield Recording(str(name), points, "MTVC", *form, None if label is None else int(label), belongs)


def _points(item):
    """(M, T, V, C) of an annotation: the scores are the last channel, where it has any."""
    x, score = item["keypoint"], item.get("keypoint_score")
    return x if score is None else np.concatenate([x, score[..., None]], axis=-1)
