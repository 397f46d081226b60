"""The jobs of `make torture`: each yields records for the log."""

import random
import tempfile
import time
from itertools import islice
from pathlib import Path

from tests.torture import attempts, cases, faults_commands, faults_disks, faults_generation, faults_training

SHARDS = 4  # jobs that share the bad inputs


def bad_inputs(shard, seed, quick):
    """A part of the cases; the place in the list, not the seed, says which."""
    for case in islice(cases.cases(), shard, None, SHARDS * (20 if quick else 1)):
        result = attempts.attempt(case)
        yield {"kind": case.kind, "rule": case.rule, "problem": result.problem, "line": result.line, "taken": result.taken}


def raw_folder(seed, quick):
    """Bad .skeleton files, all in one folder: -gd, --check, -gd --skip_bad."""
    for command, rule, problem, line in cases.bad_folder():
        yield {"kind": f".skeleton file, {command}", "rule": rule, "problem": problem, "line": line, "taken": False}


def trials(function, wanted, *arguments):
    """Trials of `function(rng, *arguments)`, each with its own seed, until `wanted` of them have struck."""

    def run(seed, quick):
        left = max(2, wanted // 20) if quick else wanted
        for number in range(3 * left):
            if left <= 0:
                break
            started = time.perf_counter()
            found = function(random.Random(f"{seed} {function.__name__} {number}"), *arguments)
            for trial in found if isinstance(found, list) else [found]:
                left -= trial.struck
                yield {**trial._asdict(), "seconds": round(time.perf_counter() - started, 1)}

    return run


def on_disk(build, function, read_only, wanted):
    """The same with a set-up on a small disk of its own, of which the last trials are with a read-only disk."""

    def run(seed, quick):
        with faults_disks.Disk.mounted(Path("mount").resolve()) as disk:
            if disk is None:
                yield {"skipped": "full and read-only disks: this user may not mount a small disk (tmpfs)"}
                return
            set_up = build(disk.folder)
            yield from trials(function, wanted, set_up, disk)(seed, quick)
            for _ in range(1 if quick else 3):
                yield read_only(set_up, disk)._asdict()

    return run


def jobs():
    """{name: function(seed, quick) -> records}; those that take longest stand first. Set-ups are made in a job's own folder."""
    def place():
        return Path(tempfile.mkdtemp(dir=".")).resolve()

    def lazily(build, *parts):
        def run(seed, quick):
            set_up = build(place())
            for function, wanted, *more in parts:
                yield from trials(function, wanted, set_up, *more)(seed, quick)

        return run

    def with_other(build):
        return lambda folder: build(folder, faults_commands.other_weights(folder))

    kill, small = faults_commands.kill_command, faults_disks.small_files
    return {
        "kill -gd": lazily(faults_generation.Generation, (kill, 105)),
        "kill infer": lazily(faults_commands.recognition, (kill, 105)),
        "kill training": lazily(faults_training.Training, (faults_training.kill_training, 24, 4)),
        **{f"inputs {n}": lambda seed, quick, n=n: bad_inputs(n, seed, quick) for n in range(SHARDS)},
        "raw folder": raw_folder,
        "kill export": lazily(with_other(faults_commands.export), (kill, 20)),
        "kill convert": lazily(with_other(faults_commands.conversion), (kill, 20)),
        "workers": lazily(faults_generation.Generation, (faults_generation.kill_worker, 10), (faults_generation.starve_worker, 6), (faults_generation.two_generations, 5)),
        "data set taken": lazily(faults_training.Training, (faults_training.remove_data, 4), (faults_training.cut_data, 4), (faults_training.two_trainings, 4)),
        "small files -gd": lazily(faults_generation.Generation, (small, 12)),
        "small files infer": lazily(faults_commands.recognition, (small, 12)),
        "small files export": lazily(with_other(faults_commands.export), (small, 12)),
        "small files convert": lazily(with_other(faults_commands.conversion), (small, 12)),
        "small files training": lazily(faults_training.Training, (faults_disks.train_with_small_files, 10)),
        "disk -gd": on_disk(faults_generation.Generation, faults_disks.full_disk, faults_disks.read_only_disk, 8),
        "disk infer": on_disk(faults_commands.recognition, faults_disks.full_disk, faults_disks.read_only_disk, 8),
        "disk export": on_disk(with_other(faults_commands.export), faults_disks.full_disk, faults_disks.read_only_disk, 8),
        "disk convert": on_disk(with_other(faults_commands.conversion), faults_disks.full_disk, faults_disks.read_only_disk, 8),
        "disk training": on_disk(faults_training.Training, faults_disks.train_on_full_disk, faults_disks.train_on_read_only_disk, 8),
    }
