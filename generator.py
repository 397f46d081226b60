"""Raw `.skeleton` files to a data set of `.npy` and label files, and a check of raw folders (docs/data.md).

Worker processes parse the files, this one writes the samples as they come, in the order of their names: memory stays flat, and
the result does not depend on the number of workers.
"""

import _thread
import math
import multiprocessing
import os
import shutil
import signal
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from dataset.ntu_feeder import SPLITS, split_paths, writing_data_set
from reader.ntu_reader import MAX_FRAMES, NUM_AXES, NUM_BODIES, NUM_JOINTS, SkeletonError, parse_name, read_sample
from reader.splits import DATA_SETS, ignored_names
from reader.transformer import view_normalise
from utils.errors import UserError, printable
from utils.files import replacing, replacing_folder
from utils.log import get_logger
from utils.process import cores, signals_later

SAMPLE_SHAPE = (NUM_AXES, MAX_FRAMES, NUM_JOINTS, NUM_BODIES)
SAMPLE_BYTES = 4 * math.prod(SAMPLE_SHAPE)
BATCH = 32  # files handed to a worker at a time
AHEAD = 4  # such batches of each worker that may be done before they are written
FILES_A_WORKER = 1000  # that are worth the start of a process: about a second


class Sample(NamedTuple):
    """A file and the split that it goes to; once read, its frames, whether anybody is seen, or what is wrong."""

    path: str
    label: int
    split: str
    num_frames: int = 0
    has_skeleton: bool = False
    error: str | None = None


class RawFiles(NamedTuple):
    """What raw folders hold for a data set: Samples in the order of their names; lines of text on other entries."""

    samples: list
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
    names = {split: [path.name for path in split_paths("", transform, dataset, split)] for split in SPLITS}
    folder = split_paths(root_folder, transform, dataset, "train")[0].parent.resolve()
    with replacing_folder(folder, {*names["train"], *names["eval"]}) as new:
        _refuse_empty(raw.samples, folder)
        needed, free = len(raw.samples) * SAMPLE_BYTES, shutil.disk_usage(new).free
        if free < needed:
            raise UserError(f"{folder}: needs {needed / 1e9:.2f} GB of free disk space, there are {free / 1e9:.2f}")
        files, written = {split: [new / name for name in pair] for split, pair in names.items()}, []
        with closing(_read_all(raw, transform, workers, progress)) as read, writing_data_set(files, SAMPLE_SHAPE) as add:
            for sample, x in read:
                if not sample.error:
                    add(sample.split, x, os.path.basename(sample.path), sample.label, sample.num_frames)
                    written.append(sample)
        _report_bad(raw.bad, folder.with_name(f"{folder.name}_bad_files.txt"), skip_bad)
        _refuse_empty(written, folder)
    for split in SPLITS:
        count = sum(sample.split == split for sample in written)
        log(f"{split}: {count} sample{'s' * (count > 1)}, {folder / names[split][0]}")
    log(f"Left out: {len(raw.ignored)} named in reader/ignore.txt, {len(raw.other)} of other setups")
    log(f"Left out: {len(raw.bad)} bad file{'s' * (len(raw.bad) != 1)}" + f", see {folder}_bad_files.txt" * bool(raw.bad))
    empty = [os.path.basename(s.path) for s in written if not s.has_skeleton]
    log(f"Samples without any skeleton, all zero: {len(empty)} {' '.join(empty)}".rstrip())
    log(f"Generation time: {time.perf_counter() - start:.2f}s")
    return folder


def check(dataset, raw_folders, workers=None, progress=True):
    """What is in the raw folders, as (lines of text, whether all is as it should be); writes nothing."""
    raw = find_samples(dataset, raw_folders)
    samples = [sample for sample, _ in _read_all(raw, False, workers, progress)]
    lines = [f"Data set {dataset}, raw folders: {', '.join(map(str, raw_folders))}"]
    found, unreadable = Counter(s.split for s in samples), Counter(s.split for s in samples if s.error)
    for split, count in DATA_SETS[dataset].num_samples.items():
        missing = max(0, count - found[split])
        lines.append(f"{split}: {found[split]} of {count} files, {missing} missing, {unreadable[split]} unreadable")
    lines.append(f"left out: {len(raw.ignored)} named in reader/ignore.txt, {len(raw.other)} of other setups")
    problems = {"duplicates": raw.duplicates, "unexpected names": raw.unexpected, "bad files": raw.bad}
    for kind, entries in problems.items():
        lines += [f"{kind}: {len(entries)}", *(f"  {entry}" for entry in entries)]
    return lines, found == DATA_SETS[dataset].num_samples and not any(problems.values())


def find_samples(dataset, raw_folders):
    """RawFiles of a data set; raises UserError if there is none."""
    if dataset not in DATA_SETS:
        raise UserError(f"{dataset}: no such data set; there are {', '.join(DATA_SETS)}")
    raw, folders = RawFiles([], [], [], [], [], []), {}
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
    if not raw.samples and not raw.bad:
        below = next((path.parent for folder in raw_folders for path in Path(folder).glob("*/*.[sS][kK][eE]*")), None)
        hint = f"; there are some in {below}: name that folder" if below else ""
        raise UserError(f"{', '.join(map(str, raw_folders))}: no .skeleton files of {dataset} there{hint}")
    return raw


def _sort_in(raw, name, path, data_set):
    """Add a .skeleton file to RawFiles where its name says that it belongs."""
    try:
        parsed = parse_name(name)
        split = data_set.split(parsed)
        if split and parsed.action > data_set.num_classes:
            raise SkeletonError(f"{name}: action {parsed.action} in the name; there are {data_set.num_classes}")
    except SkeletonError as error:
        raw.bad.append(printable(path.removesuffix(name)) + str(error))
        return
    if not split:
        raw.other.append(path)
    elif os.path.splitext(name)[0] in ignored_names():
        raw.ignored.append(path)
    else:
        raw.samples.append(Sample(path, parsed.action - 1, split))


# ---------------------------------------------------------------- reading samples


def _read_all(raw, transform, workers, progress):
    """Yield (Sample, its coordinates (C, T, V, M), None where it is damaged) of raw.samples, read by up to `workers` processes.

    At the end the damaged ones are among raw.bad.
    """
    read, total = partial(_read, transform=transform), len(raw.samples)
    workers = min(workers or cores(), math.ceil(total / FILES_A_WORKER))
    done = _in_workers(read, raw.samples, workers) if workers > 1 else map(read, raw.samples)
    for sample, x in tqdm(done, total=total, unit=" files", disable=None if progress else True):
        if sample.error:
            raw.bad.append(sample.error)
        yield sample, x
    raw.bad.sort()


def _in_workers(read, samples, workers):
    """Yield read(sample) of each, from worker processes; raises UserError if one of them dies."""
    context = multiprocessing.get_context("spawn")  # a fork would take along threads and locks of whoever calls this
    others, pool = multiprocessing.active_children(), ProcessPoolExecutor(workers, context, initializer=_end_with_parent)
    size = AHEAD * BATCH * workers
    parts = (samples[start : start + size] for start in range(0, len(samples), size))
    try:
        with signals_later():  # SIGTERM now would leave a worker half made
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # workers inherit that Ctrl-C is for this process alone
            results = pool.map(read, next(parts), chunksize=BATCH)
        for part in parts:
            more = pool.map(read, part, chunksize=BATCH)  # so that no worker waits for what is written meanwhile
            yield from results
            results = more
        yield from results
    except (BrokenProcessPool, OSError) as error:  # OSError: while it was still starting workers
        for child in set(multiprocessing.active_children()).difference(others):
            child.kill()  # one started while the pool broke would be waited for without end
            child.join()
        raise UserError("a worker process died; if memory ran out, use fewer workers") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent():
    """In a worker: end when the main process is killed, which nobody else would tell it.

    Not by threading.Thread: where memory lacks for the thread's first frame, its start() waits without end.
    """
    _thread.start_new_thread(lambda: multiprocessing.parent_process().join() or os._exit(1), ())


def _read(sample, transform):
    """(the Sample with what its file says, its coordinates (C, T, V, M): those of its frames or, view-normalised, of all)."""
    try:
        x, num_frames = read_sample(sample.path)
    except UserError as error:
        return sample._replace(error=printable(str(error))), None
    x = view_normalise(x) if transform else x[:, :num_frames]
    return sample._replace(num_frames=num_frames, has_skeleton=bool(x.any())), x


# ---------------------------------------------------------------- what is written


def _report_bad(bad, report, skip_bad):
    """Name bad files in the file `report`, which goes where there are none; raises UserError unless they are left out."""
    if not bad:
        report.unlink(missing_ok=True)
        return
    with replacing(report) as temporary:
        temporary.write_text("\n".join(bad) + "\n", encoding="utf-8")
    if not skip_bad:
        found = f"bad files: {len(bad)}, the first: {bad[0]}; all are named in {report}"
        raise UserError(f"{found}: repair or remove them, or leave them out with --skip_bad")


def _refuse_empty(samples, folder):
    for split in SPLITS:
        if not any(sample.split == split for sample in samples):
            raise UserError(f"{folder.name}: no usable file belongs to the {split} split; are all raw files there?")
