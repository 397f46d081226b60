"""-gd: milliseconds a file against a line-by-line reader and loops, and the memory of all its processes together.

Takes 6 GB in the folder for temporary files (TMPDIR), which should be on a disk.
"""

import contextlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from benchmarks.plain import data as plain
from benchmarks.recordings import make_recordings
from benchmarks.timing import in_turn, python, start
from dataset.ntu_feeder import split_paths

NTU120 = 114_480  # files
WORKERS = 2
SMALL = 300  # files of which worker processes would take longer to start than to read
JOBS = {"-gd x-sub": ("2001", False, 9.0), "-gd x-view": ("2002", True, 25.0)}  # configuration, normalised, asked


def generate(config, raw, root, workers=WORKERS):
    """Words of -gd of a folder of files as users run it."""
    options = {"dataset_args.ntu.ntu60_path": raw, "dataset_args.ntu.root_folder": root, "work_dir": f"{root}/workdir"}
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    return ["main.py", "-c", config, "-gd", "--workers", str(workers), "-np", *words]


def plain_generate(paths, transform, target):
    """Side: the plain way, which holds all samples until it writes them."""

    def run():
        samples = [plain.read_sample(path) for path in paths]
        np.save(target, [plain.view_normalise(sample) for sample in samples] if transform else samples)

    return run


def check_equal(root, dataset, transform, paths):
    """Stop where the data set is not what the plain way makes of the same files."""
    for split in ("train", "eval"):
        data_path, label_path = split_paths(root, transform, dataset, split)
        names = np.load(label_path, allow_pickle=True)[0]
        data, folder = np.load(data_path, mmap_mode="r"), paths[0].parent
        for i in range(0, len(names), max(1, len(names) // 20)):
            sample = plain.read_sample(folder / names[i])
            expected = plain.view_normalise(sample) if transform else sample
            if np.abs(data[i] - expected).max() > 1e-5:
                raise SystemExit(f"error: {names[i]} differs from the plain reader's by {np.abs(data[i] - expected).max():.1e}")


def measure_speed(report, repeats, folder, many, few, plain_count):
    raw = {count: make_recordings(folder / f"raw{count}", count) for count in (many, few)}
    size = np.mean([path.stat().st_size for path in raw[many]])
    report.note(f"files: {many}, 94 frames, {size / 1e3:.0f} KB on average; start-up apart: time of {many} less time of {few}")
    for job, (config, transform, wanted) in JOBS.items():
        dataset = "ntu-xview" if transform else "ntu-xsub"
        taken = in_turn(
            {
                "plain": (plain_generate, raw[many][:plain_count], transform, folder / "plain.npy"),
                "few": (python, *generate(config, raw[few][0].parent, folder / "few")),
                "many": (python, *generate(config, raw[many][0].parent, folder / "many")),
            },
            repeats,
        )
        check_equal(folder / "many", dataset, transform, raw[many])
        pairs = zip(taken["many"].seconds, taken["few"].seconds, strict=True)
        ours = report.add(job, [1000 * (a - b) / (many - few) for a, b in pairs], "ms/file", f"{WORKERS} workers")
        slow = [1000 * seconds / plain_count for seconds in taken["plain"].seconds]
        other = report.add(f"plain reader for {job}", slow, "ms/file", f"{plain_count} files")
        report.compare(f"{job}, {WORKERS} workers", ours, other, wanted)


def measure_small(report, repeats, folder):
    raw = make_recordings(folder / "small", SMALL)[0].parent
    sides = {workers: (python, *generate("2001", raw, folder / f"by{workers}", workers)) for workers in (1, WORKERS)}
    taken = in_turn(sides, repeats)
    one, many = (report.add(f"-gd of {SMALL} files, --workers {n}", side.seconds, "s") for n, side in taken.items())
    report.compare(f"-gd of {SMALL} files, --workers {WORKERS} against 1", many, one, 0.95)


def peak_memory(words):
    """Largest sum of the proportional set sizes of a Python command's processes, in bytes; the page cache is in none of them."""
    process, peak = psutil.Popen([sys.executable, *words], stdout=subprocess.DEVNULL), 0
    while process.poll() is None:
        total = 0
        for one in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):  # it ended meanwhile
                total += one.memory_full_info().pss
        peak = max(peak, total)
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"error: {' '.join(words)} ended with {process.returncode}")
    return peak


def measure_memory(report, folder, few, many):
    config, peaks = JOBS["-gd x-view"][0], []
    for count in (few, many):
        raw = make_recordings(folder / f"memory{count}", count)[0].parent
        peak = peak_memory(generate(config, raw, folder / f"set{count}")) / 1e9
        note = "all processes, PSS sampled every 0.1 s"
        peaks.append(report.add(f"memory of -gd x-view, {count} files", [peak], "GB", note))
    report.compare(f"memory of -gd, {many} files against {few}", *peaks[::-1], 1.15, at_most=True)
    growth = (peaks[1].median - peaks[0].median) / (many - few)
    full = peaks[1].median + max(growth, 0) * (NTU120 - many)
    job = f"memory of -gd, NTU120's {NTU120} files, by the growth of {1e9 * growth:.0f} bytes a file"
    report.row(job, f"{full:.3f} GB", "", full, 1.0, at_most=True, unit="GB")


def main(argv=None):
    options, report = start(__spec__.name, __doc__, 5, argv)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        measure_speed(report, options.repeats, folder, *((300, 60, 30) if options.quick else (3000, 60, 200)))
        measure_small(report, options.repeats, folder)
        measure_memory(report, folder, *((200, 800) if options.quick else (5000, 20000)))
    return report


if __name__ == "__main__":
    main()
