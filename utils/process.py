"""The process: signals that it puts off, its cores, and Paddle started well in it."""

import contextlib
import io
import os
import platform
import signal
import sys
import warnings
from pathlib import Path

from .errors import UserError


@contextlib.contextmanager
def stop_signals():
    """Yield a list that SIGINT or SIGTERM fills with its number, instead of ending the process, so that it can save first."""
    seen = []
    old = {number: signal.signal(number, lambda number, _: seen.append(number)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def signals_later():
    """Put SIGINT and SIGTERM off until the block has ended, for what does not survive an exception at any moment."""
    with stop_signals() as seen:
        yield
    for number in seen:
        signal.raise_signal(number)


def cores():
    """Number of processor cores that this process may use: its share of them, where Paddle's launcher started several."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(count // int(os.environ.get("PADDLE_LOCAL_SIZE", "1")), 1)


def threads():
    """Number of threads for computing: OMP_NUM_THREADS, of which the first counts (it may be a list), or that of the cores."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return max(int(first), 1) if first.isdecimal() else cores()


def start_paddle():
    """Import Paddle, having set what it leaves unset for speed on a CPU, never over the user's own environment.

    Threads for OpenMP and MKL; MKL's fast code path on AMD processors; memory kept between steps instead of given back
    (glibc). Returns what was set, as text. Silences what Paddle says on import about threads and compilers.
    """
    wanted, cpu = {"OMP_NUM_THREADS": str(cores()), "MKL_NUM_THREADS": str(cores())}, Path("/proc/cpuinfo")
    if cpu.exists() and "AuthenticAMD" in cpu.read_text():
        wanted["MKL_DEBUG_CPU_TYPE"] = "5"
    done = {key: value for key, value in wanted.items() if key not in os.environ}
    os.environ.update(done)
    if sys.platform == "linux" and not any(key.startswith("MALLOC_") for key in os.environ):
        import ctypes

        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt") and libc.mallopt(-4, 0) and libc.mallopt(-1, -1) and libc.mallopt(-8, 1):
            done["mallopt"] = "M_MMAP_MAX 0, M_TRIM_THRESHOLD -1, M_ARENA_MAX 1"
    os.environ.setdefault("GLOG_minloglevel", "2")  # errors only
    for said_in_vain in ("When training, we now always track", "Tensor do not have 'place' interface"):
        warnings.filterwarnings("ignore", said_in_vain)
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import zlib  # noqa: F401  (Paddle 2.6 crashes where it is first loaded after Paddle)

        try:
            import paddle  # noqa: F401
        except ModuleNotFoundError as error:
            how = "README.md, Installation, says how, for CPUs and GPUs"
            raise UserError(f"the package {error.name} is not installed; {how}") from error
    return ", ".join(f"{key}={value}" for key, value in done.items()) or "nothing"


def versions():
    """Text with the versions of Python, Paddle and NumPy and, in a git checkout, the commit."""
    import numpy as np
    import paddle

    git = Path(__file__).parents[1] / ".git"
    name = (git / "HEAD").read_text().strip().removeprefix("ref: ") if (git / "HEAD").is_file() else "none"
    commit = (git / name).read_text() if (git / name).is_file() else name  # else detached, or in a packed file
    return f"Python {platform.python_version()}, Paddle {paddle.__version__}, NumPy {np.__version__}, commit {commit[:12]}"
