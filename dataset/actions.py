"""Names of action classes: those of NTU RGB+D, and those of a text file."""

from pathlib import Path

from utils import UserError


def read_names(path):
    """Names in a text file, one a line, in the order of the labels; empty lines and those that begin with # are left out.

    Raises UserError where the file can't be read, names nothing, or names a class twice.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read ({error}); it must hold a class name a line") from error
    names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    twice = [name for name in names if names.count(name) > 1]
    if twice or not names:
        raise UserError(f"{path}: {f'{twice[0]!r} stands twice' if twice else 'names no class'}; a class name a line")
    return names


def action_names(count):
    """Names of the first `count` actions, A001 first; `class N` beyond the 120 that NTU RGB+D 120 has."""
    names = read_names(Path(__file__).with_name("ntu_actions.txt"))[:count]
    return names + [f"class {number + 1}" for number in range(len(names), count)]
