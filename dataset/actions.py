"""Names of action classes: those of NTU RGB+D, and those of a text file."""

from collections import Counter
from pathlib import Path

from utils.errors import UserError
from utils.files import read_text


def read_names(path):
    """Names in a text file, one a line, in the order of the labels; empty lines and those that begin with # are left out.

    Raises UserError where the file can't be read, names nothing, or names a class twice.
    """
    names = [line.strip() for line in read_text(path).splitlines() if line.strip() and not line.startswith("#")]
    wrong = [f"{name!r} stands twice" for name, count in Counter(names).items() if count > 1]
    wrong += [f"{name!r} is not printable" for name in names if not name.isprintable()]
    if wrong or not names:
        raise UserError(f"{path}: {wrong[0] if wrong else 'names no class'}; it must hold a class name a line")
    return names


def action_names(count):
    """Names of the first `count` actions, A001 first; `class N` beyond the 120 that NTU RGB+D 120 has."""
    names = read_names(Path(__file__).with_name("ntu_actions.txt"))[:count]
    return names + [f"class {number + 1}" for number in range(len(names), count)]
