"""Skeleton recordings of every form that infer.py takes, as samples of joint coordinates."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dataset.ntu_feeder import load_data, load_labels
from reader.ntu_reader import MAX_FRAMES, SkeletonError, layout, printable, read_skeleton, select_bodies
from reader.transformer import view_normalise
from utils.errors import UserError


@dataclass
class Sample:
    """Coordinates (C, T, V, M) in metres of a recording, or of its frames `span` = (start, end); `label` None: not known.

    Names can be printed and written, whatever bytes a file's name has.
    """

    name: str
    coordinates: np.ndarray
    label: int | None = None
    span: tuple | None = None


def read_samples(source, label_file=None, *, transform=False, window=None, stride=None):
    """Yield the Samples of `source`: a .skeleton file, a folder of them, a list of them, a .npy file, an array.

    Arrays are (C, T, V, M) or (N, C, T, V, M) float32, as a data set stores them: `transform`, view normalisation, is for
    .skeleton files only. `label_file` belongs to a .npy file. With `window` (frames) a recording of any length gives one
    sample every `stride` frames. Raises UserError where something can't be read or holds no body.
    """

    def arrange(bodies):
        sample = layout(select_bodies(bodies), MAX_FRAMES)
        return view_normalise(sample) if transform else sample

    if isinstance(source, np.ndarray) or str(source).endswith(".npy"):
        recordings, arrange = _array_samples(source, label_file), np.asarray
    elif label_file is not None:
        raise UserError(f"--label_file {label_file}: goes with a .npy file of samples, not with {source}")
    else:
        recordings = (_read_file(path, None if window else MAX_FRAMES) for path in recording_files(source))
    for name, label, frames in recordings:
        for start, end in _cut(frames.shape[1], window, stride or window):
            coordinates = arrange(frames[:, start:end])
            if window is None or coordinates.any():  # a window in which nobody is seen has no action
                yield Sample(name, coordinates, label, (start, end) if window else None)


def _cut(length, window, stride):
    """[(start, end)] of windows over `length` frames, the last one ending with them; the whole where `window` is None."""
    if window is None or length <= window:
        return [(0, length)]
    last = length - window
    return [(start, start + window) for start in [*range(0, last, stride), last]]


def _read_file(path, max_frames):
    """(name, no label, bodies (4, T, 25, 3)) of a .skeleton file."""
    try:
        bodies = read_skeleton(path, max_frames)
    except SkeletonError as error:
        hint = "; --window reads recordings of any length" if error.reason.startswith("the number of frames") else ""
        raise UserError(f"{error}{hint}") from error
    if not bodies.any():
        raise UserError(f"{path}: holds no body in any frame")
    return printable(Path(path).name), None, bodies


def recording_files(source):
    """Paths of a .skeleton file, of a folder's .skeleton files in order of name, or of a list of files."""
    if not isinstance(source, str | Path):
        return source
    path = Path(source)
    files = sorted(path.glob("*.skeleton")) if path.is_dir() else [path]
    if not files:
        raise UserError(f"{path}: holds no .skeleton file")
    return files


def _array_samples(source, label_file):
    """[(name, label, coordinates (C, T, V, M))] of an array or .npy file."""
    data, what = (source, "array") if isinstance(source, np.ndarray) else (load_data(source), source)
    data = data[None] if data.ndim == 4 else data
    if data.ndim != 5 or data.dtype != np.float32:
        raise UserError(f"{what}: holds {data.dtype} {data.shape}, needed is float32 (N, C, T, V, M)")
    names, labels = [str(number) for number in range(len(data))], [None] * len(data)
    if label_file is not None:
        names, labels, _ = load_labels(label_file)
        if len(names) != len(data):
            raise UserError(f"{label_file}: names {len(names)} samples, {what} holds {len(data)}")
    return zip(names, labels, data, strict=True)
