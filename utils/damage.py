"""Damaged files as a user's mistake."""

import contextlib
import csv
import pickle
import struct
import tokenize
import zipfile
import zlib

from .errors import UserError, printable

# what Python and NumPy raise of files that are cut short, of another kind, or odd in any other way
BROKEN = (ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError, SyntaxError, TypeError)
BROKEN += (ValueError, csv.Error, pickle.UnpicklingError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error)


@contextlib.contextmanager
def usable(path, otherwise):
    """Turn what is raised in the block, while a file is read, into the UserError `path: otherwise`, with the reason for {}."""
    try:
        yield
    except BROKEN as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{printable(path)}: {otherwise.format(reason)}") from error
