"""A user's mistake as an exception, and texts of any origin on one line."""

import os


class UserError(Exception):
    """A mistake that the user can mend. Its text is one line that names the file, key or value and says what to do."""


def printable(text):
    """A text, path or bytes on one line without control codes, whatever a file name or a damaged file brings."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in os.fsdecode(text))
