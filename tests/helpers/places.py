"""Where files lie, and subprocesses that run the project's commands. ../shared lies outside the repository."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
GOLDEN = SHARED / "golden"
PUBLISHED = SHARED / "pretrained" / "xsub.pdparams"


def environment():
    """Environment of a subprocess that runs the project's commands."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def with_memory_of_its_own(command):
    """A command whose largest memory (ru_maxrss) is its own: Linux lets a program begin with that of the one that starts it."""
    return ["sh", "-c", '"$@"; exit $?', "sh", *command]
