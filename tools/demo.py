"""The whole chain on synthetic data: .skeleton files -> data set -> train -> evaluate -> export -> one file's action.

Writes only below ./demo. Fails if the network has not learned: under 90 % top-1 on people it has not seen, or, with --quick,
under 3 times chance.
"""

import os
import sys

if __name__ == "__main__":  # before the imports, so that a signal during them is one line too
    sys.path.insert(0, os.path.realpath(f"{__file__}/../.."))
    from utils.command import run_command

    sys.exit(run_command("tools.demo"))

import re
import shutil
import subprocess
import time
from pathlib import Path

from tools.demo_data import ACTIONS, write_demo
from utils.errors import UserError
from utils.terminal import Parser

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path("demo")
HELD_BACK = "S013C002P003R001A023"  # hand waving, by someone who is in no training sample


def run(title, *command):
    """Run a command of the project, showing it and all that it prints; returns its output."""
    print(f"\n== {title}\n$ python {' '.join(command)}", flush=True)
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True)  # noqa: S603
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line)
    if process.wait():
        raise UserError(f"the step above failed (exit code {process.returncode}): {' '.join(command)}")
    return "".join(lines)


def main():
    parser = Parser(prog="tools/demo.py", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer, shorter clips and epochs: under 2 minutes")
    quick = parser.parse_args().quick
    start, motions = time.time(), f"{FOLDER}/skeletons"
    shutil.rmtree(ROOT / motions, ignore_errors=True)  # made by this command before
    print("== Synthetic motions in NTU RGB+D's format: ten actions, three cameras, people of several sizes")
    performers, epochs = (6, 6) if quick else (10, 8)
    files = write_demo(ROOT / motions, performers=performers, frames=(40, 70))
    print(f"{len(files)} files in {motions}")
    settings = ["-c", "demo", "-np", "--scheduler_args.cosine.max_epoch", str(epochs)]
    if quick:
        settings += ["--dataset_args.ntu.num_frame", "32"]
    program = f"{FOLDER}/export/best"
    run("Data set", "main.py", *settings, "-gd")
    run("Train", "main.py", *settings)
    scored = run("Evaluate on people not seen in training", "main.py", *settings, "-e", "-pp", "best")
    run("Export", "main.py", *settings, "-ex", "-pp", "best", "--save_inference_dir", f"{FOLDER}/export")
    answer = run("Recognise one file", "infer.py", "--model_file", program, "--data_file", f"{motions}/{HELD_BACK}.skeleton")
    top1 = float(re.search(r"Top-1 accuracy: \d+/\d+\(([\d.]+)%\)", scored)[1])
    first = re.search(r"^A\d{3} .*", answer, re.M)[0]
    needed = 300 / len(ACTIONS) if quick else 90
    print(f"""
== Done in {time.time() - start:.0f} s. All scores here are of synthetic data and say nothing about NTU RGB+D.
top-1 on unseen people: {top1:.2f} % (chance {100 / len(ACTIONS):.0f} %)
{HELD_BACK} (hand waving) was recognised as: {first}
motions {motions}, data set {FOLDER}/npy_dataset, runs {FOLDER}/workdir, program {program}
next: python main.py -c demo -v -pp best (a page for the browser: pip install '.[report]'); README, "Recognise something";
or get NTU RGB+D (README, "Data"), then python main.py -c 2001 -gd and python main.py -c 2001""")
    if top1 < needed:
        raise UserError(f"top-1 {top1:.2f} % is below the {needed:.0f} % that this demo must reach")
