"""Raw `.skeleton` files to a data set of `.npy` and label files, and a check of raw folders (docs/data.md).

Worker processes parse the files and write each sample to its place in the `.npy` file, so that memory stays flat and
the result does not depend on their number. They write by file position, not through a memory map: a full disk is then
an error to report, where a map would end the process (SIGBUS), and no mapped pages add up.
"""

import contextlib
import io
import math
import multiprocessing
import multiprocessing.connection
import os
import pickle
import shutil
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from reader import ntu_reader
from reader.ntu_reader import SkeletonError, printable
from reader.splits import DATA_SETS, SPLITS, ignored_names
from reader.transformer import view_normalise
from utils import UserError, get_logger, replacing

try:
    import fcntl
except ImportError:  # Windows: there a second -gd into the same folder is not noticed
    fcntl = None

SAMPLE_SHAPE = (ntu_reader.NUM_AXES, ntu_reader.MAX_FRAMES, ntu_reader.NUM_JOINTS, ntu_reader.NUM_BODIES)
SAMPLE_BYTES = 4 * math.prod(SAMPLE_SHAPE)
DATA_FILES = {split: f"{split}_data.npy" for split in SPLITS}
LABEL_FILES = {split: f"{split}_label.pkl" for split in SPLITS}
BATCH = 32  # files handed to a worker at a time
IN_FLIGHT = 2  # batches that a worker has at most: one at work, one waiting


class Job(NamedTuple):
    """One file to parse, and where its sample goes: the row of a split."""

    path: str
    label: int
    split: str
    row: int


class Outcome(NamedTuple):
    """What became of a job: number of frames in the file, whether there is any skeleton, the error or None."""

    num_frames: int
    has_skeleton: bool
    error: SkeletonError | None


@dataclass
class RawFiles:
    """What raw folders hold for a data set; `duplicates`, `unexpected` and `bad` are lines of text."""

    jobs: list = field(default_factory=list)
    duplicates: list = field(default_factory=list)
    unexpected: list = field(default_factory=list)  # entries that are not .skeleton files
    bad: list = field(default_factory=list)  # .skeleton files of impossible names
    num_ignored: int = 0
    num_other: int = 0  # recordings of setups that the data set does not have

    def count(self, split):
        """Number of files that belong to the split."""
        return sum(job.split == split for job in self.jobs)


@dataclass
class Summary:
    """What a generation did; `no_skeleton`: names of samples that stay zero, `skipped`: the bad files left out."""

    folder: Path
    num_samples: dict
    no_skeleton: list
    skipped: list
    num_ignored: int
    num_other: int
    seconds: float = 0.0


def generate(dataset, raw_folders, root_folder, transform, *, workers=None, progress=True, skip_bad=False):
    """Write ROOT/original/DATASET (transformed/DATASET with `transform`) from raw folders; returns a Summary.

    The folder gets {train,eval}_data.npy, float32 (N, 3, 300, 25, 2) in metres, and {train,eval}_label.pkl, the lists
    (names, labels, lengths), samples in the order of their names. It replaces an older one once it is complete. Raises
    UserError if there is nothing to read or no room to write, if files are bad (all are named in DATASET_bad_files.txt
    beside the folder; `skip_bad` leaves them out), or if another generation is at work in the same place.
    """
    start = time.perf_counter()
    raw = find_samples(dataset, raw_folders)
    if raw.duplicates:
        raise UserError(f"{raw.duplicates[0]}; {len(raw.duplicates)} such names in all: keep one file of each")
    folder = (Path(root_folder) / ("transformed" if transform else "original") / dataset).resolve()
    with _failures_named(folder), _handled(signal.SIGTERM, _stop):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder), replacing_folder(folder) as new:
            how = {"transform": transform, "workers": workers, "progress": progress}
            summary = _write_data_set(raw, new, folder, skip_bad, how)
    summary.seconds = time.perf_counter() - start
    _log(summary)
    return summary


def check(dataset, raw_folders, workers=None, progress=True):
    """What is in the raw folders, as (lines of text, whether all is as it should be); writes nothing."""
    raw = find_samples(dataset, raw_folders)
    outcomes = _run(raw.jobs, {}, transform=False, workers=workers, progress=progress)
    damaged = [job.split for job, outcome in zip(raw.jobs, outcomes, strict=True) if outcome.error]
    lines = [f"Data set {dataset}, raw folders: {', '.join(map(str, raw_folders))}"]
    complete = True
    for split, expected in DATA_SETS[dataset].num_samples.items():
        found = raw.count(split)
        complete &= found == expected
        missing = max(0, expected - found)
        lines.append(f"{split}: {found} files of {expected}, {missing} missing, {damaged.count(split)} unreadable")
    lines.append(f"left out: {raw.num_ignored} named in reader/ignore.txt, {raw.num_other} of other setups")
    problems = {
        "duplicates": raw.duplicates,
        "unexpected names": raw.unexpected,
        "bad files": sorted(raw.bad + [str(outcome.error) for outcome in outcomes if outcome.error]),
    }
    for kind, entries in problems.items():
        lines += [f"{kind}: {len(entries)}", *(f"  {entry}" for entry in entries)]
    return lines, complete and not any(problems.values())


def find_samples(dataset, raw_folders):
    """RawFiles of a data set, jobs in the order of their names; raises UserError if there is none."""
    if dataset not in DATA_SETS:
        raise UserError(f"{dataset}: no such data set; there are {', '.join(DATA_SETS)}")
    raw, folders = RawFiles(), {}
    for folder in dict.fromkeys(Path(folder).resolve() for folder in raw_folders):
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            hint = "dataset_args.ntu.ntu60_path and ntu120_path name the folders of raw .skeleton files"
            raise UserError(f"{folder}: can't be listed ({error.strerror}); {hint}") from error
        for name in names:
            if not name.lower().endswith(".skeleton"):
                raw.unexpected.append(printable(folder / name))
            elif name in folders:
                raw.duplicates.append(f"{printable(name)} is in {folders[name]} and in {folder}")
            else:
                folders[name] = folder
    _sort_out(raw, DATA_SETS[dataset], folders)
    if not raw.jobs and not raw.bad:
        raise UserError(f"{', '.join(map(str, raw_folders))}: no .skeleton files of {dataset} there")
    return raw


def _sort_out(raw, data_set, folders):
    """Fill RawFiles from {name: folder}."""
    rows = dict.fromkeys(SPLITS, 0)
    for name in sorted(folders):
        path = os.path.join(folders[name], name)
        try:
            sample = ntu_reader.parse_name(name)
            if data_set.holds(sample) and sample.action > data_set.num_classes:
                raise SkeletonError(name, None, f"action {sample.action} in the name; there are {data_set.num_classes}")
        except SkeletonError as error:
            raw.bad.append(str(SkeletonError(path, None, error.reason)))
            continue
        if not data_set.holds(sample):
            raw.num_other += 1
        elif name.removesuffix(".skeleton") in ignored_names():
            raw.num_ignored += 1
        else:
            split = "train" if data_set.is_train(sample) else "eval"
            raw.jobs.append(Job(path, sample.action - 1, split, rows[split]))
            rows[split] += 1


# ---------------------------------------------------------------- parsing and writing samples


def _run(jobs, paths, *, transform, workers, progress):
    """The Outcome of each job, in order; samples go to the `.npy` files `paths` (by split; empty: nowhere)."""
    batches = [(start, jobs[start : start + BATCH]) for start in range(0, len(jobs), BATCH)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    workers = min(workers or cores, len(batches))
    run = _in_workers(batches, transform, paths, workers) if workers > 1 else _in_process(batches, transform, paths)
    outcomes = [None] * len(jobs)
    with contextlib.closing(run), tqdm(total=len(jobs), unit=" files", disable=None if progress else True) as bar:
        for start, some in run:
            outcomes[start : start + len(some)] = some
            bar.update(len(some))
    return outcomes


def _in_process(batches, transform, paths):
    with _opened(paths) as files:
        for start, jobs in batches:
            yield start, _process(jobs, transform, files)


def _in_workers(batches, transform, paths, workers):
    """Yield (start, outcomes) of the batches in the order in which `workers` processes finish them."""
    with _started(workers, transform, paths) as processes:
        batches, pending, idle = iter(batches), 0, list(processes) * IN_FLIGHT
        try:
            while True:
                for connection, batch in zip(idle, batches, strict=False):
                    connection.send(batch)
                    pending += 1
                if not pending:
                    return
                idle = multiprocessing.connection.wait(processes)
                for connection in idle:
                    start, outcomes = connection.recv()
                    pending -= 1
                    if isinstance(outcomes, Exception):
                        raise outcomes
                    yield start, outcomes
        except (EOFError, ConnectionError) as error:
            processes[connection].join()
            code = processes[connection].exitcode
            advice = "if it was killed for lack of memory, use fewer workers"
            raise UserError(f"a worker process ended amid its work (exit code {code}); {advice}") from error


@contextlib.contextmanager
def _started(workers, transform, paths):
    """Yield {connection: process} of running workers, which end with the block."""
    context = multiprocessing.get_context("spawn")  # a fork would take along threads and locks of whoever calls this
    processes = {}
    try:
        with _handled(signal.SIGINT, signal.SIG_IGN):  # inherited: Ctrl-C is for this process, which ends the others
            for _ in range(workers):
                connection, other_end = context.Pipe()
                process = context.Process(target=_work, args=(other_end, transform, paths), daemon=True)
                process.start()
                other_end.close()
                processes[connection] = process
        yield processes
    finally:
        for connection, process in processes.items():
            process.kill()
            process.join()
            connection.close()


def _work(connection, transform, paths):
    """A worker process: answers batches until the other end is closed, which it is too when the main process dies."""
    try:
        with _opened(paths) as files:
            while True:
                start, jobs = connection.recv()
                connection.send((start, _process(jobs, transform, files)))
    except (EOFError, ConnectionError):
        return
    except (OSError, MemoryError) as error:
        connection.send((None, error))


def _process(jobs, transform, files):
    """Parse the files of some jobs and write their samples, where there are files to write to."""
    outcomes = []
    for job in jobs:
        try:
            sample, num_frames = ntu_reader.read_sample(job.path)
        except SkeletonError as error:
            outcomes.append(Outcome(0, False, error))
            continue
        outcomes.append(Outcome(num_frames, bool(sample.any()), None))
        if files:
            rest = memoryview(view_normalise(sample) if transform else sample).cast("B")
            files[job.split].seek(_offset(job.row))
            while rest:
                rest = rest[files[job.split].write(rest) :]
    return outcomes


@contextlib.contextmanager
def _opened(paths):
    with contextlib.ExitStack() as stack:
        yield {split: stack.enter_context(open(path, "rb+", buffering=0)) for split, path in paths.items()}


# ---------------------------------------------------------------- the files of a data set


def _write_data_set(raw, new, folder, skip_bad, how):
    """Fill the folder `new`, which is to become `folder`; returns the Summary. `how`: for `_run`."""
    _refuse_empty({split: raw.count(split) for split in SPLITS}, folder)
    needed, free = len(raw.jobs) * SAMPLE_BYTES, shutil.disk_usage(new).free
    if free < needed:
        raise UserError(f"{folder}: needs {needed / 1e9:.2f} GB of free disk space, there are {free / 1e9:.2f}")
    paths = {split: new / DATA_FILES[split] for split in SPLITS}
    for split, path in paths.items():
        _make_data_file(path, raw.count(split))
    outcomes = _run(raw.jobs, paths, **how)
    bad = sorted(raw.bad + [str(outcome.error) for outcome in outcomes if outcome.error])
    report = folder.with_name(f"{folder.name}_bad_files.txt")
    if bad:
        with replacing(report) as temporary:
            temporary.write_text("\n".join(bad) + "\n", encoding="utf-8")
        if not skip_bad:
            advice = "mend or remove them, or leave them out with --skip_bad"
            raise UserError(f"{len(bad)} bad files, the first: {bad[0]}; all are named in {report}: {advice}")
    good = [(job, outcome) for job, outcome in zip(raw.jobs, outcomes, strict=True) if not outcome.error]
    samples = {split: [pair for pair in good if pair[0].split == split] for split in SPLITS}
    _refuse_empty({split: len(samples[split]) for split in SPLITS}, folder)
    for split in SPLITS:
        _keep_rows(paths[split], [job.row for job, _ in samples[split]])
        names = [os.path.basename(job.path) for job, _ in samples[split]]
        labels = [job.label for job, _ in samples[split]]
        lengths = [outcome.num_frames for _, outcome in samples[split]]
        (new / LABEL_FILES[split]).write_bytes(pickle.dumps((names, labels, lengths), protocol=4))
    for path in new.iterdir():
        with open(path, "rb+") as file:
            os.fsync(file.fileno())
    if not bad:
        report.unlink(missing_ok=True)
    return Summary(
        folder=folder,
        num_samples={split: len(samples[split]) for split in SPLITS},
        no_skeleton=[os.path.basename(job.path) for job, outcome in good if not outcome.has_skeleton],
        skipped=bad,
        num_ignored=raw.num_ignored,
        num_other=raw.num_other,
    )


def _refuse_empty(num_samples, folder):
    for split, count in num_samples.items():
        if not count:
            raise UserError(f"{folder.name}: no usable file belongs to the {split} split; are all raw files there?")


def _header(num_rows):
    """The first bytes of a `.npy` file; NumPy pads them, so that they are as many for any number of rows."""
    file = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (num_rows, *SAMPLE_SHAPE)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


_HEADER_BYTES = len(_header(1))


def _offset(row):
    return _HEADER_BYTES + row * SAMPLE_BYTES


def _make_data_file(path, num_rows):
    """A `.npy` file of zeros whose room on the disk is taken from the start, where the system can do that."""
    with open(path, "wb") as file:
        file.write(_header(num_rows))
        file.truncate(_offset(num_rows))
        file.flush()
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
        file.truncate(_offset(len(rows)))
        file.seek(0)
        file.write(_header(len(rows)))


# ---------------------------------------------------------------- complete or absent, whatever happens


@contextlib.contextmanager
def replacing_folder(folder):
    """Yield a new empty folder that takes the place of `folder` if the block ends well, and is removed if not."""
    new, old = (folder.with_name(f".{folder.name}.{state}") for state in ("new", "old"))
    _tidy(folder, new, old)
    if folder.exists():
        foreign = sorted({path.name for path in folder.iterdir()} - {*DATA_FILES.values(), *LABEL_FILES.values()})
        if foreign:
            raise UserError(f"{folder / foreign[0]}: is not part of a data set and would be lost; move it away first")
    new.mkdir()
    try:
        yield new
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    finally:
        _tidy(folder, new, old)


def _tidy(folder, new, old):
    """Finish a swap that was cut short, and remove what a run left behind."""
    if old.exists() and not folder.exists():  # between the two renames; `new` was complete before the first
        (new if new.exists() else old).rename(folder)
    for left in (new, old):
        if left.exists():
            shutil.rmtree(left)


@contextlib.contextmanager
def _locked(folder):
    """Keep other generations of `folder` away during the block; the system frees the lock of a killed process."""
    path = folder.with_name(f".{folder.name}.lock")
    with contextlib.ExitStack() as stack:
        while fcntl:
            file = stack.enter_context(open(path, "a+"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                who = f"another -gd (process {file.read()})"
                raise UserError(f"{folder}: {who} is at work there; wait for it") from error
            except OSError as error:  # some network file systems have no locks
                get_logger().info(f"{folder}: can't be locked ({error.strerror}); let no other -gd write there")
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                file.truncate(0)
                file.write(str(os.getpid()))
                file.flush()
                stack.callback(path.unlink)
                break  # else another run removed the file in this moment: take a new one
        yield


@contextlib.contextmanager
def _failures_named(folder):
    try:
        yield
    except OSError as error:
        raise UserError(f"{folder}: can't be written ({error.strerror or error})") from error
    except MemoryError as error:
        raise UserError(f"{folder}: out of memory; use fewer workers") from error


@contextlib.contextmanager
def _handled(number, handler):
    """Handle a signal so within the block; outside the main thread, where Python allows no handlers, as before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, previous)


def _stop(number, _):
    raise SystemExit(128 + number)


def _log(summary):
    log = get_logger().info
    for split, count in summary.num_samples.items():
        log(f"{split}: {count} samples, {summary.folder / DATA_FILES[split]}")
    log(f"Left out: {summary.num_ignored} named in reader/ignore.txt, {len(summary.skipped)} bad files")
    if summary.num_other:
        log(f"Not of this data set, by their setup: {summary.num_other} files")
    if summary.skipped:
        log(f"Bad files are named in {summary.folder}_bad_files.txt")
    log(f"Samples without any skeleton, all zero: {len(summary.no_skeleton)} {' '.join(summary.no_skeleton)}".rstrip())
    log(f"Generation time: {summary.seconds:.2f}s")
