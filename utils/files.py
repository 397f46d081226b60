"""Files that appear whole or not at all, folders that one process at a time may write."""

import contextlib
import errno
import hashlib
import os
import shutil
import time
from pathlib import Path

from .errors import UserError
from .log import get_logger


@contextlib.contextmanager
def replacing(*paths):
    """Yield a temporary path beside `path`; when the block ends well it replaces `path` in one step, else it is removed.

    For several paths it is a list, and none is replaced before all are complete and on the disk. What a killed process left
    behind for the same paths is removed too. Raises UserError if the folder can't be written.
    """
    paths = [Path(path) for path in paths]
    temporaries = [path.with_name(f".{path.name}.{os.getpid()}.tmp") for path in paths]
    path = paths[0]
    try:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            for left in path.parent.glob(f".{path.name}.*.tmp"):
                import psutil  # takes long, and is rarely needed

                pid = left.name.split(".")[-2]
                if pid.isdigit() and not psutil.pid_exists(int(pid)):
                    left.unlink(missing_ok=True)
        yield temporaries if len(paths) > 1 else temporaries[0]
        _to_disk(temporaries)
        for path, temporary in zip(paths, temporaries, strict=True):
            os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path}: can't be written ({error.strerror or error})") from error
    finally:
        for temporary in temporaries:
            with contextlib.suppress(OSError):
                temporary.unlink()


def _to_disk(paths):
    for path in paths:
        with open(path, "rb+") as file:
            os.fsync(file.fileno())


@contextlib.contextmanager
def replacing_folder(folder, may_hold):
    """Yield a new empty folder that takes the place of `folder` if the block ends well, and is removed if not.

    `may_hold`: names of the files that an old one has. Raises UserError where it has others, which would be lost, where it
    can't be written, or where another process is replacing it.
    """
    new, old = (folder.with_name(f".{folder.name}.{state}") for state in ("new", "old"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            _tidy(folder, new, old)
            there = {path.name for path in folder.iterdir()} if folder.exists() else set()
            if foreign := sorted(there.difference(may_hold)):
                raise UserError(f"{folder / foreign[0]}: is not written by this command and would be lost; move it first")
            try:
                new.mkdir()
                yield new
                _to_disk(new.iterdir())
                if folder.exists():
                    folder.rename(old)
                new.rename(folder)
            finally:
                try:
                    _tidy(folder, new, old)
                except KeyboardInterrupt:
                    _tidy(folder, new, old)
                    raise
    except OSError as error:
        raise UserError(f"{folder}: can't be written ({error.strerror or error})") from error


def _tidy(folder, new, old):
    """Finish a swap that was cut short, and remove what a run left behind."""
    if old.exists() and not folder.exists():  # between the two renames; `new` was complete before the first
        (new if new.exists() else old).rename(folder)
    for left in (new, old):
        if left.exists():
            shutil.rmtree(left)


@contextlib.contextmanager
def _locked(folder):
    """Keep other generations of `folder` away during the block; the system frees the lock of a killed process."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder.with_name(f".{folder.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise UserError(f"{folder}: another process is writing there; wait for it") from error
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):  # some network file systems have no locks
            raise
        get_logger().info(f"{folder}: can't be locked ({error.strerror}); let no other -gd write there")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows removes no open file
            os.unlink(lock.lock_file)
        lock.release()


def make_run_folder(parent):
    """Make and return PARENT/TIME (like 2022-06-06_06-25-40), a folder that no other run has: a taken second is waited out."""
    while True:
        folder = Path(parent) / time.strftime("%Y-%m-%d_%H-%M-%S")
        try:
            folder.mkdir(parents=True)
            return folder
        except OSError as error:
            if not folder.is_dir():
                raise UserError(f"{folder}: can't be made ({error.strerror}); choose another --work_dir") from error
            time.sleep(0.1)


def read_bytes(path, limit=4 << 30):
    """All bytes of a file; raises UserError if it is missing, unreadable, no file, or larger than `limit` bytes."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise UserError(f"{path}: is not a file")
        if size > limit:
            raise UserError(f"{path}: {size} bytes, more than the {limit} that such a file may have")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror})") from error


def read_text(path, limit=1 << 20):
    """The text of a file in UTF-8, without its byte order mark; raises UserError where it is none, as `read_bytes` does."""
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not text in UTF-8 ({error})") from error


def read_safetensors(path):
    """{name: array} of a safetensors file; raises UserError where it is damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(read_bytes(path))
    except (SafetensorError, TypeError, KeyError) as error:  # a type that NumPy lacks is a KeyError
        raise UserError(f"{path}: holds no weights, or is damaged ({' '.join(str(error).split())})") from error


def sha256(path):
    """Hexadecimal SHA-256 of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
