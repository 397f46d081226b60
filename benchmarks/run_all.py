"""Runs every benchmark and prints one table, which a run of all in full writes to benchmarks/RESULTS.md."""

import argparse
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

from benchmarks.timing import environment, processor
from utils.files import replacing
from utils.process import cores

PROGRAMS = ("reader", "feeder", "training", "inference", "startup")
PACKAGES = ("paddlepaddle", "torch", "onnxruntime", "numpy", "pysimdjson")
HEAD = """# Results of `make bench`

Each ratio compares the medians of two sides, which one program measured in turn on the same machine and in the same
environment. Times and rates are medians, with lowest and highest in brackets. What the sides are, and why the code is
fast: [docs/performance.md](../docs/performance.md). What was tried: [docs/findings.md](../docs/findings.md).
"""


def machine():
    """Lines on machine, system, versions and environment."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    words = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    return [
        f"Machine: {processor()}, {cores()} cores, {memory:.0f} GiB; {platform.platform()}",
        f"Versions: Python {platform.python_version()}, {versions}; commit {commit or 'unknown'}",
        f"Environment of every side: {', '.join(f'{key}={value}' for key, value in environment().items())}",
        f"Date: {time.strftime('%Y-%m-%d')}",
    ]


def tables(reports):
    """Lines of the table of demands, and of all sides that were measured."""
    yield from ("| job | ours | compared with | ratio or value | target | |", "| --- | --- | --- | --- | --- | --- |")
    for report in reports:
        yield from (f"| {' | '.join(row)} |" for row in report.rows)
    for report in reports:
        yield from ("", f"## `{report.command}`", "")
        yield from ("| side | median (lowest to highest) | repeats | |", "| --- | --- | --- | --- |")
        yield from (f"| {side.side} | {side.text()} | {len(side.values)} | {side.note} |" for side in report.sides)
        yield from ("", *(f"- {note}" for note in report.notes))


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run_all", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*PROGRAMS, []], help=f"of {', '.join(PROGRAMS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="little work, to try the programs: the figures mean nothing")
    options = parser.parse_args()
    begin, load, reports, failed = time.time(), os.getloadavg()[0], [], []
    for name in options.names or PROGRAMS:
        try:
            reports.append(import_module(f"benchmarks.bench_{name}").main(["--quick"] * options.quick))
        except (SystemExit, Exception) as error:  # whatever a side raised, the others' figures stand
            print(error, file=sys.stderr)
            failed.append(name)
    minutes = (time.time() - begin) / 60
    lines = [*HEAD.splitlines(), "", *(f"- {line}" for line in machine())]
    busy = ": other programs were at work, the figures are unsafe" if load > 0.5 else ""
    lines += [f"- Taken in {minutes:.0f} minutes; load of the machine before it: {load:.1f}{busy}", ""]
    lines += [f"**Failed, so without figures: {', '.join(failed)}**", ""] * bool(failed)
    text = "\n".join([*lines, *tables(reports)]) + "\n"
    print(text)
    if not options.quick and not options.names:
        output = Path(__file__).with_name("RESULTS.md")
        with replacing(output) as temporary:
            temporary.write_text(text, encoding="utf-8")
        print(f"Written: {output}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
