"""Skeleton recordings of every form, in files, folders and arrays: as they are for import, as samples for infer.py."""

import codecs
import contextlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dataset.graph import NTU
from dataset.ntu_feeder import SPLITS, load_labels
from reader.formats import HEAD, MOST_VALUES, NORMALISED, STORED, Recording, arrays, kind_of, texts, usable
from reader.ntu_reader import MAX_FRAMES, TRACKED_BODIES, read_skeleton, select_bodies
from reader.transformer import view_normalise
from utils.errors import UserError, printable

LAYOUTS = {path.stem for path in (Path(__file__).parents[1] / "configs" / "graphs").glob("*.yaml")}
SCORED = ("coco17", "openpose18", "openpose25")  # layouts of images: a third channel is the detector's confidence


class Wanted(NamedTuple):
    """What data set or program take: the skeleton's name and sizes, and whether recordings are view-normalised."""

    skeleton: str = NTU.name
    num_joints: int = NTU.num_joints
    num_channel: int = 3
    num_person: int = 2
    transform: bool = False


def read_samples(source, label_file=None, *, wanted=Wanted(), window=None, stride=None, failed=None):  # noqa: B008 (immutable)
    """Yield the Recordings of `source`, a file, array, folder or list of these, with coordinates (C, T, V, M) as `wanted` says.

    docs/custom_data.md has the forms. Arrays (C, T, V, M) and (N, C, T, V, M) are taken as a data set stores them, and not
    view-normalised; `label_file` belongs to a .npy file of them. With `window` (frames) a recording gives a sample every `stride`
    frames. Names can be printed and written, whatever bytes a file's name has. Where a recording can't be read, does not fit or
    holds no body, the list `failed` takes (name, error) and the others follow; without it a UserError is raised.
    """
    recordings = open_recordings(source, wanted, failed)
    if label_file is not None:
        recordings = _labelled(list(recordings), source, label_file)
    for recording in recordings:
        if recording.coordinates is None:
            continue
        with _going_on(recording.name, failed):
            whole = fit(recording, wanted)
            if STORED not in recording.done and not whole.any():
                raise UserError(f"{printable(recording.name)}: holds no body in any frame")
            sample = recording._replace(name=printable(recording.name), label=recording.label if label_file else None)
            for start, end in _cut(whole.shape[1], window, stride or window):
                x = arrange(whole[:, start:end], recording, wanted)
                if window is None or x.any():  # a window in which nobody is seen has no action
                    yield sample._replace(coordinates=x, span=(start, end) if window else None)


def open_recordings(source, wanted, failed=None, number=0):
    """Yield the Recordings of a file, array, folder or list of these, as they are; an array is called by its `number` in a list.

    In a folder train/CLASS/NAME, eval/CLASS/NAME their labels are the names of folders. `failed`: see `read_samples`.
    """
    path = Path(source) if isinstance(source, str | Path) else None
    name = path or f"array {number}"
    with _going_on(name, failed), usable(name):
        if isinstance(source, np.ndarray):
            yield from arrays.of_array(source, str(number), wanted)
        elif path is None:
            for place, item in enumerate(source):
                yield from open_recordings(item, wanted, failed, place)
        elif path.is_dir() and not texts.openpose_files(path):
            stored = list(arrays.read_folder(path))
            yield from stored
            for entry, more in () if stored else _entries(path):
                yield from (recording._replace(**more) for recording in open_recordings(entry, wanted, failed))
        else:
            yield from _open_file(path, wanted)


@contextlib.contextmanager
def _going_on(name, failed):
    try:
        yield
    except UserError as error:
        if failed is None:
            raise
        failed.append((printable(Path(name).name), printable(str(error))))


def _cut(length, window, stride):
    """[(start, end)] of windows over `length` frames, the last one ending with them; the whole where `window` is None."""
    if window is None or length <= window:
        return [(0, length)]
    last = length - window
    return [(start, start + window) for start in [*range(0, last, stride), last]]


def _labelled(recordings, source, label_file):
    """Recordings with the names and labels of a label file."""
    if not (isinstance(source, np.ndarray) or str(source).endswith(".npy")):
        raise UserError(f"--label_file {label_file}: goes with a .npy file of samples, not with {source}")
    names, labels, *_ = load_labels(label_file)
    if len(names) != len(recordings):
        raise UserError(f"{label_file}: number of samples {len(names)}, in {source} {len(recordings)}")
    return [recording._replace(name=name, label=label) for recording, name, label in zip(recordings, names, labels, strict=True)]


# ---------------------------------------------------------------- what is wanted of a recording


def fit(recording, wanted):
    """Coordinates (C, T, V, M) of a Recording, float32, any bodies, up to the last frame in which anybody is seen.

    Raises UserError where they do not fit.
    """
    with usable(recording.name):
        x = recording.coordinates() if callable(recording.coordinates) else recording.coordinates
        x = np.asarray(x).transpose([recording.axes.index(axis) for axis in "CTVM"])
        if recording.skeleton not in (None, wanted.skeleton) and wanted.skeleton in LAYOUTS:
            other = f"a configuration with graph: {recording.skeleton} takes it"
            raise ValueError(f"its skeleton is {recording.skeleton}; needed is {wanted.skeleton}; {other}")
        C, V, numbers = wanted.num_channel, wanted.num_joints, x.dtype.kind in "fiu" and 0 < x.size <= MOST_VALUES
        if len(x) < C or x.shape[2] != V or not numbers:
            raise ValueError(f"(C, T, V, M) = {x.dtype} {x.shape}; needed are C = {C}, V = {V} and at most {MOST_VALUES} numbers")
        with np.errstate(over="ignore"):
            x = x[:C].astype("float32", copy=False)
        if not np.isfinite(x).all():
            raise ValueError(f"frame {np.argwhere(~np.isfinite(x))[:, 1].min()}: holds values that are not finite")
        return x[:, : 1 + np.flatnonzero(x.any(axis=(0, 2, 3))).max(initial=0)]


def arrange(x, recording, wanted):
    """(C, T, V, `num_person`), as a data set stores it and a program takes it, of what `fit` gave, or of a part of its frames.

    Of more bodies, those with the highest scores (2D) or that move most stay; NTU's are put in the order that -gd gives them.
    View normalisation, where it is wanted, fills 300 frames. What is STORED or NORMALISED already is not done again.
    """
    raw, more = not {STORED, NORMALISED} & set(recording.done), x.shape[3] > wanted.num_person
    if more and recording.skeleton in SCORED and len(x) == 3:
        x = x[..., np.sort(np.argsort(-x[2].sum(axis=(0, 1)), kind="stable")[: wanted.num_person])]
    elif more or (raw and wanted.skeleton == NTU.name):
        x = select_bodies(x.transpose(3, 1, 2, 0), wanted.num_person).transpose(3, 1, 2, 0)
    turn = raw and wanted.transform
    x = np.pad(x, [(0, 0), (0, turn * max(0, MAX_FRAMES - x.shape[1])), (0, 0), (0, wanted.num_person - x.shape[3])])
    return view_normalise(x) if turn else x


# ---------------------------------------------------------------- files and folders


_FORMS = {  # by the ending of the name
    ".skeleton": lambda path, _: [Recording(path.name, read_skeleton(path, None, TRACKED_BODIES), "MTVC", NTU.name)],
    ".npy": arrays.read_npy,
    ".npz": arrays.read_npz,
    ".pkl": arrays.read_pickle,
    ".json": texts.read_json,
    ".csv": texts.read_csv,
}


def _open_file(path, wanted):
    """Recordings of a file or of an OpenPose folder."""
    if path.is_dir():
        return texts.read_json(path, wanted)
    if not path.is_file():
        raise UserError(f"{printable(path)}: no such file")
    with open(path, "rb") as file:
        head = file.read(HEAD).removeprefix(codecs.BOM_UTF8)
    suffix, kind = path.suffix.lower(), kind_of(head)
    if kind and not (suffix in _FORMS and kind.endswith(suffix)):
        raise ValueError(kind)
    if suffix not in _FORMS and not head.strip()[:1].isdigit():
        raise ValueError("no recording of a form that is read here")
    return _FORMS.get(suffix, _FORMS[".skeleton"])(path, wanted)


def _entries(folder):
    """[(path, what its place says)] of a folder's .skeleton files in order of name or, where it has none, of other recordings."""
    classes = [(path, split) for split in SPLITS for path in sorted((folder / split).glob("*/*"))]
    entries = [(path, {"name": path.stem, "label": path.parent.name, "splits": (split,)}) for path, split in classes]
    entries = [entry for entry in entries or [(path, {}) for path in sorted(folder.iterdir())] if _is_recording(entry[0])]
    if not entries:
        below = next((f"; there are some in {path.parent}" for path in sorted(folder.glob("*/*")) if _is_recording(path)), "")
        raise UserError(f"{folder}: holds no .skeleton file or other recording{below}")
    return [entry for entry in entries if entry[0].suffix.lower() == ".skeleton"] or entries


def _is_recording(path):
    return path.suffix.lower() in _FORMS or texts.openpose_files(path)
