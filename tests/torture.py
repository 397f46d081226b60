"""All bad inputs of cases.py and all faults of faults_*.py against the real commands; writes docs/reliability.md from its log.

    python tests/torture.py [--seed 1] [--only kill] [--quick] [--log log/torture.jsonl]

Jobs run two at a time, each in a process and a copy of a prepared folder of its own. Exit code 1 if anything was lost.
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

SHARDS = 4  # jobs that share the bad inputs
LIMIT = 1500  # seconds that a job may take


# ---------------------------------------------------------------- jobs: each yields records for the log


def bad_inputs(shard, seed, quick):
    """A part of the cases; the place in the list, not the seed, says which."""
    import attempts
    import cases

    for case in islice(cases.cases(), shard, None, SHARDS * (20 if quick else 1)):
        result = attempts.attempt(case)
        yield {"kind": case.kind, "rule": case.rule, "problem": result.problem, "line": result.line, "taken": result.taken}


def raw_folder(seed, quick):
    """Bad .skeleton files, all in one folder: -gd, --check, -gd --skip_bad."""
    import cases

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
        import faults_disks

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
    import faults_commands
    import faults_disks
    import faults_generation
    import faults_training

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


def work(name, seed, quick, log):
    """Do one job in the current folder, writing each record to its log at once."""
    with open(log, "a") as file:
        for record in jobs()[name](f"{seed} {name}", quick):
            print(json.dumps({"job": name, **record}), file=file, flush=True)


# ---------------------------------------------------------------- all jobs


def run_job(name, options, template, folder):
    """The records of a job done in a process of its own; its death is one more."""
    shutil.copytree(template, folder / "at")
    log, started = folder / "log", time.perf_counter()
    command = [sys.executable, __file__, "--job", name, "--seed", str(options.seed), "--log", str(log)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with open(folder / "output", "w") as output:
        process = subprocess.Popen(
            [*command, *(["--quick"] if options.quick else [])], cwd=folder / "at", env=environment, stdout=output, stderr=output
        )
        try:
            code = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
    records = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    if code != 0:
        said = (folder / "output").read_text()[-2000:]
        records.append({"job": name, "died": code, "problem": f"the job ended with exit code {code}: {said}"})
    problems = [record for record in records if record.get("problem")]
    print(f"{name}: {len(records)} in {time.perf_counter() - started:.0f} s, {len(problems)} failures", flush=True)
    for record in problems:
        print(f"  {record}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    return records


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="jobs whose name has a match of this regular expression")
    parser.add_argument("--quick", action="store_true", help="a twentieth of it")
    parser.add_argument("--log", type=Path, default=ROOT / "log" / "torture.jsonl")
    parser.add_argument("--page", type=Path, help="write the table here (docs/reliability.md)")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        work(options.job, options.seed, options.quick, options.log)
        return 0
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="torture_") as name:
        folder = Path(name)
        (folder / "template").mkdir()
        prepare = "import sys, attempts; attempts.prepare(sys.argv[1])"
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
        subprocess.run([sys.executable, "-c", prepare, folder / "template"], env=environment, check=True, capture_output=True)
        names = [name for name in jobs() if re.search(options.only, name)]
        for number in range(len(names)):
            (folder / str(number)).mkdir()
        with ThreadPoolExecutor(2) as pool:
            done = [
                pool.submit(run_job, name, options, folder / "template", folder / str(number)) for number, name in enumerate(names)
            ]
            records = [record for job in done for record in job.result()]
    options.log.parent.mkdir(parents=True, exist_ok=True)
    head = {"seed": options.seed, "seconds": round(time.perf_counter() - started), "quick": options.quick, **machine()}
    options.log.write_text("".join(json.dumps(record) + "\n" for record in [head, *records]))
    text = page(options.log)
    print(text)
    if options.page:
        options.page.write_text(text)
    return int(any(record.get("problem") for record in records))


def machine():
    from utils.process import cores, start_paddle, versions

    start_paddle()
    return {"versions": versions(), "cores": cores()}


# ---------------------------------------------------------------- the page

INTRODUCTION = """# Reliability

What happens when files are damaged or hostile, when a process is killed, when a disk is full. `make torture` tries all of it with
the real commands and writes this page from its log; a reduced form is part of `make test`. It ends with exit code 1 if anything
is lost. What is promised, and which files may be untrusted, is in [SECURITY.md](../SECURITY.md).
"""

INPUTS = """## Bad inputs

A case is a command with one bad file in place of a good one. Refused means: exit code 2, exactly one line on stderr that begins
with `error:`, nothing that the file asks for is run, no file made, changed or removed, at most 20 seconds and 1 GB more memory.
Accepted are values that may be changed, such as another seed in a YAML file, and files that read as they should in spite of
an odd value: the command then ran to its end. Two cases of a row differ in the rule that they break.
"""

FAULTS = """## Faults

Each is brought upon the command at a random moment, or with a random limit, drawn from the seed. Survived means: it ends by itself
with an exit code that is not 0 and one line that says why (SIGKILL: none; where it had finished before the fault, which is not
counted, 0), no process stays, earlier output is whole or replaced by whole new output, and the next run of the same command
leaves no temporary files and what it would have left in peace: bit for bit the same files; in training the same weights, optimizer
state, metrics and best checkpoint as a run that was never disturbed.

SIGTERM and Ctrl-C are sent once the program minds them, after the first tenths of a second, in which Python ends without our line
and nothing is at work. Not promised: pictures and programs in the making, in the system's folder for temporary files, may stay there
after SIGKILL. An export of several files renames them one after the other once all are complete; should it be killed between two
renames (none of the kills below was), `infer.py` notices the mixture by the hashes in the record and refuses it. Too little memory is
one line wherever Python or Paddle says so; where there is none to load Paddle's own libraries, the text is Paddle's.
"""


def table(head, rows):
    """A Markdown table; the first column is text, the others are numbers."""
    lines = [" | ".join(head), " | ".join(["---", *["--:"] * (len(head) - 1)]), *(" | ".join(map(str, row)) for row in rows)]
    return "".join(f"| {line} |\n" for line in lines)


def page(log):
    """The text of docs/reliability.md from the log of a run."""
    head, *records = map(json.loads, log.read_text().splitlines())
    inputs = [record for record in records if "kind" in record]
    faults = [record for record in records if "fault" in record and record["struck"]]
    missed = sum(not record["struck"] for record in records if "fault" in record)
    rows, kinds = [], Counter(record["kind"] for record in inputs)
    for kind, count in kinds.items():
        mine = [record for record in inputs if record["kind"] == kind]
        taken, failed = sum(r["taken"] and not r["problem"] for r in mine), sum(bool(r["problem"]) for r in mine)
        rows.append((kind, count, count - taken - failed, taken, failed))
    rows.append(("**all**", *(sum(row[i] for row in rows) for i in range(1, 5))))
    rules = {(record["kind"].split(",")[0], record["rule"]) for record in inputs}
    struck = Counter((record["command"], record["fault"]) for record in faults)
    lost = Counter((record["command"], record["fault"]) for record in faults if record["problem"])
    late = [record for record in records if record.get("problem") and not ("kind" in record or record.get("struck"))]
    of_faults = [(f"{command}: {fault}", n, n - lost[command, fault]) for (command, fault), n in sorted(struck.items())]
    of_faults.append(("**all**", struck.total(), struck.total() - lost.total()))
    kills = Counter(record["command"] for record in faults if record["fault"].startswith("SIG"))
    failures = [f"- {record}\n" for record in records if record.get("problem")]
    skipped = sorted({record["skipped"] for record in records if "skipped" in record})
    return "\n".join([
        INTRODUCTION,
        f"Last run: seed {head['seed']}, {head['seconds'] // 60} min {head['seconds'] % 60} s on {head['cores']} cores, "
        f"{head['versions']}{' (`--quick`: a twentieth)' * head['quick']}. "
        f"**{len(inputs)} bad inputs, {len(rules)} distinct rules broken, {struck.total()} faults, {len(failures)} failures.**\n",
        INPUTS, table(("file, command", "tried", "refused", "accepted", "failed"), rows),
        FAULTS, table(("command: fault", "struck", "survived"), of_faults),
        f"Kills that struck: {', '.join(f'{command} {n}' for command, n in sorted(kills.items()))}. "
        f"{missed} faults came after the command had done its work; {len(late)} of these went wrong.\n",
        *(f"Not tried: {reason}.\n" for reason in skipped),
        *(["## Failures\n", "".join(failures)] if failures else []),
    ]).rstrip() + "\n"  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
