"""Disks that are full or read-only, files that may not grow, for every command."""

import contextlib
import resource
import shutil
import subprocess
from pathlib import Path

from tests.torture.faults import Trial, refused, run
from tests.torture.faults_training import train_in


class Disk:
    """A small disk of its own (tmpfs); `Disk.mounted` yields None where this user may not mount one."""

    def __init__(self, folder):
        self.folder = folder

    @classmethod
    @contextlib.contextmanager
    def mounted(cls, place):
        folder = place / "disk"
        folder.mkdir(parents=True, exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", str(folder)]
        allowed = shutil.which("mount") and subprocess.run(mount, capture_output=True, check=False).returncode == 0
        try:
            yield cls(folder) if allowed else None
        finally:
            if allowed:
                subprocess.run(["umount", "-l", str(folder)], check=True)

    def remount(self, options):
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.folder)], check=True)

    @contextlib.contextmanager
    def room(self, size):
        """Only so many bytes more during the block."""
        self.remount(f"size={(shutil.disk_usage(self.folder).used + size) // 4096 * 4096 + 4096}")
        try:
            yield
        finally:
            self.remount("size=512m")

    @contextlib.contextmanager
    def read_only(self):
        self.remount("ro")
        try:
            yield
        finally:
            self.remount("rw")


def size_of(folder):
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def limit_files(size):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def small_files(rng, set_up):
    """No file may grow beyond a random size."""
    size = rng.randrange(100, max(len(data) for data in set_up.new.values()))
    ended = run(set_up.second, before=limit_files(size))
    problem = None if ended.code == 0 else refused(ended)
    return Trial("file size limited", set_up.name, f"{size} bytes", problem or set_up.lost(ended.code, True), ended.code != 0)


def full_disk(rng, set_up, disk):
    """A disk with a random amount of room, mostly too little."""
    size = int(sum(map(len, set_up.new.values())) * rng.uniform(0, 1.1))
    with disk.room(size):
        ended = run(set_up.second)
    problem = None if ended.code == 0 else refused(ended)
    return Trial("disk full", set_up.name, f"{size} bytes", problem or set_up.lost(ended.code, True), ended.code != 0)


def read_only_disk(set_up, disk):
    with disk.read_only():
        ended = run(set_up.second)
    return Trial("disk read-only", set_up.name, "", refused(ended) or set_up.lost(ended.code, True))


def goes_on(set_up, work, ended):
    """What is wrong with a training that stopped for lack of room, and with its end once there is room."""
    problem = None if ended.code == 0 else refused(ended)
    if ended.code and not problem:
        again = run([*train_in(work), *(["-r"] if any(work.glob("*/*/*.pdparams")) else [])])
        problem = f"can't go on: {again.err[-300:]}" if again.code else set_up.differs(work)
    shutil.rmtree(work, ignore_errors=True)
    return problem


def train_with_small_files(rng, set_up):
    work = set_up.new_folder()
    size = rng.choice([rng.randrange(100, 5000), rng.randrange(5000, 400_000)])
    ended = run(train_in(work), before=limit_files(size))
    return Trial("file size limited", "training", f"{size} bytes", goes_on(set_up, work, ended), ended.code != 0)


def train_on_full_disk(rng, set_up, disk):
    """A disk that is full at once or after a few checkpoints, then has room again."""
    work = disk.folder / set_up.new_folder().name
    size = rng.randrange(0, int(1.2 * size_of(set_up.place / "straight")))
    with disk.room(size):
        ended = run(train_in(work))
    return Trial("disk full", "training", f"{size} bytes", goes_on(set_up, work, ended), ended.code != 0)


def train_on_read_only_disk(set_up, disk):
    work = disk.folder / set_up.new_folder().name
    with disk.read_only():
        problem = refused(run(train_in(work)))
    return Trial("disk read-only", "training", "", problem)
