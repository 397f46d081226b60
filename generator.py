"""Raw `.skeleton` files to a data set of `.npy` and label files, and a check of raw folders (docs/data.md).

Worker processes parse the files and write each sample to its place in the `.npy` file, so that memory stays flat and
the result does not depend on their number. They write by file position, not through a memory map: a full disk is then
an error to report, where a map would end the process (SIGBUS), and no mapped pages add up.
"""

import math
import multiprocessing
import os
import pickle
import shutil
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from dataset.ntu_feeder import HEADER_BYTES, split_paths, write_header
from reader.ntu_reader import MAX_FRAMES, NUM_AXES, NUM_BODIES, NUM_JOINTS, SkeletonError, parse_name, read_sample
from reader.splits import DATA_SETS, SPLITS, ignored_names
from reader.transformer import view_normalise
from utils.errors import UserError, printable
from utils.files import replacing, replacing_folder
from utils.log import get_logger
from utils.process import cores

SAMPLE_SHAPE = (NUM_AXES, MAX_FRAMES, NUM_JOINTS, NUM_BODIES)
SAMPLE_BYTES = 4 * math.prod(SAMPLE_SHAPE)
BATCH = 32  # files handed to a worker at a time
FILES_A_WORKER = 1000  # that are worth the start of a process: about a second


class Sample(NamedTuple):
    """A file and the row of a split that it goes to; once read, its frames, whether anybody is seen, or what is wrong."""

    path: str
    label: int
    split: str
    row: int
    num_frames: int = 0
    has_skeleton: bool = False
    error: str | None = None


class RawFiles(NamedTuple):
    """What raw folders hold for a data set: {split: [Sample]} in the order of names; lines of text on other entries."""

    samples: dict
    duplicates: list
    unexpected: list  # entries that are not .skeleton files
    bad: list  # .skeleton files of impossible names and, once they are read, damaged ones
    ignored: list
    other: list  # recordings of setups that the data set does not have


def generate(dataset, raw_folders, root_folder, transform, *, workers=None, progress=True, skip_bad=False):
    """Write ROOT/original/DATASET (transformed/DATASET with `transform`) from raw folders; returns that folder.

    The folder gets {train,eval}_data.npy, float32 (N, 3, 300, 25, 2) in metres, and {train,eval}_label.pkl, the lists
    (names, labels, lengths), samples in the order of their names. It replaces an older one once it is complete. Raises
    UserError if there is nothing to read or no room to write, if files are bad (all are named in DATASET_bad_files.txt
    beside the folder; `skip_bad` leaves them out), or if another generation is at work in the same place.
    """
    start, log = time.perf_counter(), get_logger().info
    raw = find_samples(dataset, raw_folders)
    if raw.duplicates:
        raise UserError(f"{raw.duplicates[0]}; {len(raw.duplicates)} such names in all: keep one file of each")
    files = {split: split_paths(root_folder, transform, dataset, split) for split in SPLITS}
    folder = files["train"][0].parent.resolve()
    files = {split: (folder / data.name, folder / labels.name) for split, (data, labels) in files.items()}
    with replacing_folder(folder, {path.name for pair in files.values() for path in pair}) as new:
        written = _write_data_set(raw, new, files, skip_bad, partial(_read_all, transform, workers, progress))
    for split, samples in written.items():
        log(f"{split}: {len(samples)} samples, {files[split][0]}")
    log(f"Left out: {len(raw.ignored)} named in reader/ignore.txt, {len(raw.other)} of other setups")
    log(f"Left out: {len(raw.bad)} bad files" + f", see {folder}_bad_files.txt" * bool(raw.bad))
    empty = [os.path.basename(s.path) for samples in written.values() for s in samples if not s.has_skeleton]
    log(f"Samples without any skeleton, all zero: {len(empty)} {' '.join(empty)}".rstrip())
    log(f"Generation time: {time.perf_counter() - start:.2f}s")
    return folder


def check(dataset, raw_folders, workers=None, progress=True):
    """What is in the raw folders, as (lines of text, whether all is as it should be); writes nothing."""
    raw = find_samples(dataset, raw_folders)
    samples = _read_all(False, workers, progress, raw)
    lines = [f"Data set {dataset}, raw folders: {', '.join(map(str, raw_folders))}"]
    expected = DATA_SETS[dataset].num_samples
    for split, count in expected.items():
        found, unreadable = len(samples[split]), sum(sample.error is not None for sample in samples[split])
        lines.append(f"{split}: {found} files of {count}, {max(0, count - found)} missing, {unreadable} unreadable")
    lines.append(f"left out: {len(raw.ignored)} named in reader/ignore.txt, {len(raw.other)} of other setups")
    problems = {"duplicates": raw.duplicates, "unexpected names": raw.unexpected, "bad files": raw.bad}
    for kind, entries in problems.items():
        lines += [f"{kind}: {len(entries)}", *(f"  {entry}" for entry in entries)]
    complete = all(len(samples[split]) == count for split, count in expected.items())
    return lines, complete and not any(problems.values())


def find_samples(dataset, raw_folders):
    """RawFiles of a data set; raises UserError if there is none."""
    if dataset not in DATA_SETS:
        raise UserError(f"{dataset}: no such data set; there are {', '.join(DATA_SETS)}")
    raw, folders = RawFiles({split: [] for split in SPLITS}, [], [], [], [], []), {}
    for folder in dict.fromkeys(Path(folder).resolve() for folder in raw_folders):
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            hint = "name your folder of .skeleton files: --dataset_args.ntu.ntu60_path FOLDER (and ntu120_path)"
            raise UserError(f"{folder}: can't be listed ({error.strerror}); {hint}") from error
        for name in names:
            if not name.lower().endswith(".skeleton"):
                raw.unexpected.append(printable(folder / name))
            elif name in folders:
                raw.duplicates.append(f"{printable(name)} is in {folders[name]} and in {folder}")
            else:
                folders[name] = folder
    for name in sorted(folders):
        _sort_in(raw, name, os.path.join(folders[name], name), DATA_SETS[dataset])
    if not any(raw.samples.values()) and not raw.bad:
        below = next((path.parent for folder in raw_folders for path in Path(folder).glob("*/*.[sS][kK][eE]*")), None)
        hint = f"; there are some in {below}: name that folder" if below else ""
        raise UserError(f"{', '.join(map(str, raw_folders))}: no .skeleton files of {dataset} there{hint}")
    return raw


def _sort_in(raw, name, path, data_set):
    """Add a .skeleton file to RawFiles where its name says that it belongs."""
    try:
        parsed = parse_name(name)
        if data_set.holds(parsed) and parsed.action > data_set.num_classes:
            raise SkeletonError(name, None, f"action {parsed.action} in the name; there are {data_set.num_classes}")
    except SkeletonError as error:
        raw.bad.append(str(SkeletonError(path, None, error.reason)))
        return
    if not data_set.holds(parsed):
        raw.other.append(path)
    elif os.path.splitext(name)[0] in ignored_names():
        raw.ignored.append(path)
    else:
        split = "train" if data_set.is_train(parsed) else "eval"
        raw.samples[split].append(Sample(path, parsed.action - 1, split, len(raw.samples[split])))


# ---------------------------------------------------------------- parsing and writing samples


def _read_all(transform, workers, progress, raw, paths=None):
    """raw.samples once they are read, by up to `workers` processes; damaged files join raw.bad. For `paths` see `_read`."""
    read, todo = partial(_read, transform=transform, paths=paths), [*raw.samples["train"], *raw.samples["eval"]]
    bar = partial(tqdm, total=len(todo), unit=" files", disable=None if progress else True)
    workers = min(workers or cores(), math.ceil(len(todo) / FILES_A_WORKER))
    done = _in_workers(read, todo, workers, bar) if workers > 1 else list(bar(map(read, todo)))
    raw.bad[:] = sorted([*raw.bad, *(sample.error for sample in done if sample.error)])
    return {split: [sample for sample in done if sample.split == split] for split in SPLITS}


def _in_workers(read, samples, workers, bar):
    """[read(sample)], from worker processes; raises UserError if one of them dies."""
    context = multiprocessing.get_context("spawn")  # a fork would take along threads and locks of whoever calls this
    others = multiprocessing.active_children()
    pool = ProcessPoolExecutor(workers, context, initializer=_end_with_parent)
    try:
        late = []  # SIGTERM while workers are being started, one of which would be left half made
        previous = {
            signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),  # workers inherit that Ctrl-C is for this process alone
            signal.SIGTERM: signal.signal(signal.SIGTERM, lambda number, _: late.append(number)),
        }
        try:
            results = pool.map(read, samples, chunksize=BATCH)
        except OSError as error:  # the pool broke while it was still starting workers
            raise BrokenProcessPool(str(error)) from error
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
        if late:
            signal.raise_signal(signal.SIGTERM)
        return list(bar(results))
    except BrokenProcessPool as error:
        for child in set(multiprocessing.active_children()).difference(others):
            child.kill()  # one started while the pool broke would be waited for without end
        raise UserError("a worker process ended while it worked; if it lacked memory, use fewer workers") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent():
    """In a worker: end when the main process is killed, which nobody else would tell it."""
    threading.Thread(target=lambda: multiprocessing.parent_process().join() or os._exit(1), daemon=True).start()


def _read(sample, transform, paths):
    """The Sample with what its file says; its data goes to its row in the `.npy` file paths[split], if there are any."""
    try:
        data, num_frames = read_sample(sample.path)
    except SkeletonError as error:
        return sample._replace(error=str(error))
    if paths:
        with open(paths[sample.split], "rb+") as file:
            file.seek(_offset(sample.row))
            file.write(view_normalise(data) if transform else data)
    return sample._replace(num_frames=num_frames, has_skeleton=bool(data.any()))


# ---------------------------------------------------------------- the files of a data set


def _write_data_set(raw, new, files, skip_bad, read_all):
    """Fill the folder `new`, which is to become that of `files` {split: (data, labels)}; returns {split: [Sample written]}."""
    folder = files["train"][0].parent
    _refuse_empty(raw.samples, folder)
    needed, free = sum(map(len, raw.samples.values())) * SAMPLE_BYTES, shutil.disk_usage(new).free
    if free < needed:
        raise UserError(f"{folder}: needs {needed / 1e9:.2f} GB of free disk space, there are {free / 1e9:.2f}")
    paths = {split: new / data.name for split, (data, _) in files.items()}
    for split, path in paths.items():
        _make_data_file(path, len(raw.samples[split]))
    samples, bad = read_all(raw, paths), raw.bad
    report = folder.with_name(f"{folder.name}_bad_files.txt")
    if bad:
        with replacing(report) as temporary:
            temporary.write_text("\n".join(bad) + "\n", encoding="utf-8")
        if not skip_bad:
            found = f"{len(bad)} bad files, the first: {bad[0]}; all are named in {report}"
            raise UserError(f"{found}: repair or remove them, or leave them out with --skip_bad")
    good = {split: [sample for sample in samples[split] if not sample.error] for split in SPLITS}
    _refuse_empty(good, folder)
    for split in SPLITS:
        _keep_rows(paths[split], [sample.row for sample in good[split]])
        columns = zip(*((os.path.basename(s.path), s.label, s.num_frames) for s in good[split]), strict=True)
        (new / files[split][1].name).write_bytes(pickle.dumps(tuple(map(list, columns)), protocol=4))
    for path in new.iterdir():
        with open(path, "rb+") as file:
            os.fsync(file.fileno())
    if not bad:
        report.unlink(missing_ok=True)
    return good


def _refuse_empty(samples, folder):
    for split in SPLITS:
        if not samples[split]:
            raise UserError(f"{folder.name}: no usable file belongs to the {split} split; are all raw files there?")


def _offset(row):
    return HEADER_BYTES + row * SAMPLE_BYTES


def _make_data_file(path, num_rows):
    """A `.npy` file of zeros whose room on the disk is taken from the start, where the system can do that."""
    with open(path, "wb") as file:
        write_header(file, (num_rows, *SAMPLE_SHAPE))
        file.truncate(_offset(num_rows))
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, _offset(num_rows))


def _keep_rows(path, rows):
    """Leave only the given rows, in ascending order, in a `.npy` file."""
    with open(path, "rb+") as file:
        for row, source in enumerate(rows):
            if row != source:
                file.seek(_offset(source))
                sample = file.read(SAMPLE_BYTES)
                file.seek(_offset(row))
                file.write(sample)
        write_header(file, (len(rows), *SAMPLE_SHAPE))
        file.truncate(_offset(len(rows)))
