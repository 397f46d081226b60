"""All bad inputs of cases.py and all faults of faults_*.py against the real commands; writes docs/reliability.md from its log.

    python -m tests.torture [--seed 1] [--only kill] [--quick] [--log log/torture.jsonl]

Jobs run two at a time, each in a process and a copy of a prepared folder of its own. Exit code 1 if anything was lost.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.helpers.places import ROOT, environment
from tests.torture.jobs import jobs
from tests.torture.page import page

LIMIT = 1500  # seconds that a job may take


def work(name, seed, quick, log):
    """Do one job in the current folder, writing each record to its log at once."""
    with open(log, "a") as file:
        for record in jobs()[name](f"{seed} {name}", quick):
            print(json.dumps({"job": name, **record}), file=file, flush=True)


def run_job(name, options, template, folder):
    """The records of a job done in a process of its own; its death is one more."""
    shutil.copytree(template, folder / "at")
    log, started = folder / "log", time.perf_counter()
    command = [sys.executable, "-m", "tests.torture", "--job", name, "--seed", str(options.seed), "--log", str(log)]
    variables = {**environment(), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with open(folder / "output", "w") as output:
        process = subprocess.Popen(
            [*command, *(["--quick"] if options.quick else [])], cwd=folder / "at", env=variables, stdout=output, stderr=output
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
        prepare = "import sys; from tests.torture import attempts; attempts.prepare(sys.argv[1])"
        subprocess.run([sys.executable, "-c", prepare, folder / "template"], env=environment(), check=True, capture_output=True)
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


if __name__ == "__main__":
    sys.exit(main())
