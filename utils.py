"""Errors, files, logging: what every part of the project shares. Imports nothing of the project, no Paddle."""

import contextlib
import io
import logging
import os
import pickle
import pickletools
import sys
import time
from collections import OrderedDict
from pathlib import Path


class UserError(Exception):
    """A mistake that the user can mend. Its text is one line that names the file, key or value and says what to do."""


def run_command(main):
    """Run `main()` as a program: returns its exit code; a UserError becomes one line on stderr and exit code 2."""
    try:
        return main() or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped by Ctrl-C", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away: `main.py --check | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


# ---------------------------------------------------------------- files


def process_alive(pid):
    """Whether a process of this number runs on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def replacing(path):
    """Yield a temporary path beside `path`; when the block ends well it replaces `path` in one step, else it is removed.

    What a killed process left behind for the same `path` is removed too. Raises UserError if the folder can't be written.
    """
    path = Path(path)
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        pid = left.name.split(".")[-2]
        if pid.isdigit() and not process_alive(int(pid)):
            left.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path}: can't be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def make_run_folder(parent):
    """Make and return PARENT/TIME (like 2022-06-06 06-25-40), a folder that no other run has: a taken second is waited out."""
    while True:
        folder = Path(parent) / time.strftime("%Y-%m-%d %H-%M-%S")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
            return folder
        except FileExistsError:
            if not folder.is_dir():
                raise UserError(f"{folder.parent}: is a file, not a folder; choose another --work_dir") from None
            time.sleep(0.1)
        except OSError as error:
            raise UserError(f"{folder}: can't be made ({error.strerror}); choose another --work_dir") from error


# ---------------------------------------------------------------- pickles, never trusted


def _empty_array(*_):
    """Stand-in for numpy's _reconstruct: the array's state brings shape and bytes, so no size is believed before that."""
    import numpy as np

    return np.ndarray((0,), "b")


def _scalar(dtype, data=b""):
    """Stand-in for numpy's scalar: takes no more memory than the file has bytes."""
    import numpy as np

    return np.frombuffer(data, dtype)[0]


class _ArrayType:
    """Stand-in for the type numpy.ndarray, which files name but must not call."""


def _dtype(*args):
    import numpy as np

    return np.dtype(*args)


_ALLOWED = {
    ("builtins", "tuple"): tuple,
    ("__builtin__", "tuple"): tuple,
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "dtype"): _dtype,
    ("numpy", "ndarray"): _ArrayType,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _empty_array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no such file needs")
        return _ALLOWED[module, name]


def load_pickle(path, limit=4 << 30):
    """Read a pickle (checkpoint, label file) that may come from a stranger; nothing in it is ever run.

    Only dicts, lists, tuples, texts, numbers and NumPy arrays are let through. Raises UserError if the file is missing,
    larger than `limit` bytes, damaged or asks for anything else.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > limit:
            raise UserError(f"{path}: {size} bytes, more than the {limit} that such a file may have")
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror})") from error
    try:
        for opcode, argument, _ in pickletools.genops(data):  # a huge memo index alone would take all the memory
            if opcode.name in ("PUT", "LONG_BINPUT") and argument > len(data):
                raise pickle.UnpicklingError("memo index out of range")
        return _Unpickler(io.BytesIO(data)).load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, ImportError,
            OverflowError, RecursionError, MemoryError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: not a usable file, damaged or of another kind ({reason})") from error


# ---------------------------------------------------------------- logging


def get_logger():
    """The project's one logger; set up by `set_up_logging`, silent before that."""
    return logging.getLogger("efficientgcn")


def set_up_logging(folder=None):
    """Log lines like `[ 2022-06-06 06:25:40,001 ] text` to stdout and, where a folder is given, to its log.txt."""
    logger = get_logger()
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    handlers = [logging.StreamHandler(sys.stdout)]
    if folder is not None:
        handlers.append(logging.FileHandler(Path(folder) / "log.txt", encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(logging.Formatter("[ %(asctime)s ] %(message)s"))
        logger.addHandler(handler)
    return logger
