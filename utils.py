"""Errors, files, logging: what every part of the project shares. Imports nothing of the project, no Paddle."""

import contextlib
import io
import json
import logging
import os
import pickle
import pickletools
import sys
import time
import warnings
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
        with contextlib.suppress(OSError):
            temporary.unlink()


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


def _from_buffer(buffer, dtype, shape, order):
    """Stand-in for numpy's _frombuffer (pickle protocol 5)."""
    import numpy as np

    return np.frombuffer(buffer, dtype).reshape(shape, order=order)


def _encode(text, _encoding="latin1"):
    """Stand-in for codecs.encode, by which old pickles write bytes."""
    return text.encode("latin1")


class _ArrayType:
    """Stand-in for the type numpy.ndarray, which files name but must not call."""


def _dtype(*args):
    import numpy as np

    return np.dtype(*args)


_ALLOWED = {
    ("builtins", "tuple"): tuple,
    ("__builtin__", "tuple"): tuple,
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _encode,
    ("numpy", "dtype"): _dtype,
    ("numpy", "ndarray"): _ArrayType,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _empty_array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, data, more, persistent_load):
        super().__init__(io.BytesIO(data))
        self.allowed, self.outside = {**_ALLOWED, **more}, persistent_load

    def find_class(self, module, name):
        if (module, name) not in self.allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no such file needs")
        return self.allowed[module, name]

    def persistent_load(self, key):
        if self.outside is None:
            raise pickle.UnpicklingError("it refers to data outside itself")
        return self.outside(key)


def read_bytes(path, limit=4 << 30):
    """All bytes of a file; raises UserError if it is missing, unreadable or larger than `limit` bytes."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > limit:
            raise UserError(f"{path}: {size} bytes, more than the {limit} that such a file may have")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror})") from error


def unpickle(file, source, more=(), persistent_load=None):
    """The value of the next pickle in a binary stream; `source` is named in errors. Nothing in it is ever run.

    Only dicts, lists, tuples, texts, numbers and NumPy arrays are let through, and what `more` maps (module, name) to;
    `persistent_load(key)` returns what a pickle keeps outside itself. Raises UserError where it is damaged or asks for more.
    """
    try:
        start = file.tell()
        size = file.seek(0, io.SEEK_END)
        file.seek(start)
        for opcode, argument, _ in pickletools.genops(file):  # a huge memo index alone would take all the memory
            if opcode.name in ("PUT", "LONG_BINPUT") and argument > size:
                raise pickle.UnpicklingError("memo index out of range")
        end = file.tell()
        file.seek(start)
        return _Unpickler(file.read(end - start), dict(more), persistent_load).load()
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        ImportError,
        OverflowError,
        RecursionError,
        MemoryError,
    ) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{source}: not a usable file, damaged or of another kind ({reason})") from error


def load_pickle(path, limit=4 << 30):
    """Read a pickle (checkpoint, label file) that may come from a stranger, as `unpickle` does."""
    return unpickle(io.BytesIO(read_bytes(path, limit)), path)


# ---------------------------------------------------------------- logging


def get_logger():
    """The project's one logger; set up by `set_up_logging`, silent before that."""
    return logging.getLogger("efficientgcn")


def set_up_logging(folder=None, quiet=False):
    """Log lines like `[ 2022-06-06 06:25:40,001 ] text` to stdout and, where a folder is given, to its log.txt."""
    logger = get_logger()
    logger.setLevel(logging.ERROR if quiet else logging.INFO)
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


class Recorder:
    """Figures of a run, to metrics.jsonl (a JSON object a line) and TensorBoard. `folder` None: nowhere."""

    def __init__(self, folder=None, position=0):
        """Continue after the first `position` bytes of metrics.jsonl: what a resumed run will do again is cut off."""
        self.path = Path(folder) / "metrics.jsonl" if folder is not None else None
        if folder is None:
            return
        from tensorboardX import SummaryWriter

        with open(self.path, "a+b") as file:
            file.truncate(position)
        self.board = SummaryWriter(str(folder), purge_step=0 if position else None)
        for line in self.path.read_text(encoding="utf-8").splitlines():
            self._plot(json.loads(line))

    @property
    def position(self):
        return self.path.stat().st_size if self.path else 0

    def _plot(self, record):
        step = record.get("step", record["epoch"])
        for key, value in record.items():
            if key not in ("step", "epoch"):
                self.board.add_scalar(f"{'step' if 'step' in record else 'epoch'}/{key}", value, step)

    def add(self, **record):
        """Write one record; it has `epoch` (from 1) and, for figures of single steps, `step` (from 1 over the whole run)."""
        if self.path:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            self._plot(record)


# ---------------------------------------------------------------- the process


def start_paddle():
    """Import Paddle, having set what it leaves unset for speed on a CPU, never over the user's own environment.

    Threads for OpenMP and MKL; MKL's fast code path on AMD processors; memory kept between steps instead of given back
    (glibc). Returns what was set, as text. Silences what Paddle says on import about threads and compilers.
    """
    threads = str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    wanted = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    cpu = Path("/proc/cpuinfo")
    if cpu.exists() and "AuthenticAMD" in cpu.read_text():
        wanted["MKL_DEBUG_CPU_TYPE"] = "5"
    done = {key: value for key, value in wanted.items() if key not in os.environ}
    os.environ.update(done)
    if sys.platform == "linux" and not any(key.startswith("MALLOC_") for key in os.environ):
        import ctypes

        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt") and libc.mallopt(-4, 0) and libc.mallopt(-1, 2**31 - 1):
            done["mallopt"] = "M_MMAP_MAX 0, M_TRIM_THRESHOLD 2 GiB"
    os.environ.setdefault("GLOG_minloglevel", "2")  # errors only
    for said_in_vain in ("When training, we now always track", "Tensor do not have 'place' interface"):
        warnings.filterwarnings("ignore", said_in_vain)
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import paddle  # noqa: F401
    return ", ".join(f"{key}={value}" for key, value in done.items()) or "nothing"


def versions():
    """Text with the versions of Python, Paddle and NumPy and, in a git checkout, the commit."""
    import numpy as np
    import paddle

    head = Path(__file__).parent / ".git" / "HEAD"
    commit = "none"
    if head.is_file():
        commit = head.read_text().strip()
        if commit.startswith("ref: "):
            ref = head.parent / commit[5:]
            commit = ref.read_text().strip() if ref.is_file() else commit[5:]
    return f"Python {sys.version.split()[0]}, Paddle {paddle.__version__}, NumPy {np.__version__}, commit {commit[:12]}"
