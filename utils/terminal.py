"""What commands have in common at the terminal: their command line, colours, whether a person looks on."""

import argparse
import os
import re
import sys

from .errors import UserError


class Parser(argparse.ArgumentParser):
    """A command line that takes no abbreviations, keeps its description's lines, and whose mistakes are one line each."""

    def __init__(self, prog, **options):
        lines_kept = argparse.RawDescriptionHelpFormatter
        super().__init__(prog=f"python {prog}", allow_abbrev=False, formatter_class=lines_kept, **options)

    def parse_known_args(self, args=None, namespace=None):
        """As ever, `~` in paths expanded, which a shell does not do in `--work_dir=~/runs`."""
        words = (re.fullmatch(r"(--[\w.-]+=)?(.*)", word, re.DOTALL) for word in (sys.argv[1:] if args is None else args))
        return super().parse_known_args([(word[1] or "") + os.path.expanduser(word[2]) for word in words], namespace)

    def error(self, message):
        raise UserError(f"{message}; see {self.prog} --help")


def boolean(text):
    """True or False of a command line's text; TIPC passes --use_gpu=True."""
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r}: must be True or False")
    return text.lower() == "true"


def watched():
    """Whether a person looks on: both outputs are a terminal, and none of a continuous integration."""
    return sys.stdout.isatty() and sys.stderr.isatty() and "CI" not in os.environ


def paint(text, style, stream=None):
    """`text` in bold, red or cyan where `stream` (default: stdout) is a terminal and NO_COLOR (no-color.org) is not set."""
    code = {"bold": 1, "red": 31, "cyan": 36}[style]
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not (stream or sys.stdout).isatty()
    return text if plain else f"\033[{code}m{text}\033[0m"
