"""Commands that must refuse a bad file in one clear line, in a folder with all that such commands need."""

import contextlib
import importlib
import io
import os
import resource
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

from tests.helpers.skeleton_corpus import skeleton_bytes
from tests.helpers.small import TINY, write_split
from utils.command import run_command

PROGRAMS = {  # name: module that has `main()`
    "main.py": "main", "infer.py": "infer", "ensemble.py": "tools.ensemble", "convert_weights.py": "tools.convert_weights",
    "import_data.py": "tools.import_data", "tiny_data_gen.py": "dataset.tiny_data_gen",
}  # fmt: skip
MEMORY = 1 << 30  # bytes that a refusal may take at most
SECONDS = 20  # of the processor that it may take; a busy machine is no fault
COMMON = {**TINY, "dataset_args.ntu.root_folder": "npy", "dataset_args.ntu.ntu60_path": "raw", "work_dir": "work"}
COMMON |= {"scheduler_args.cosine.max_epoch": "1", "model_args.block_args": "[[16, 1, 0]]", "model_args.fusion_stage": "0"}
TRAIN = ["main.py", "-c", "2001", *(f"--{key}={value}" for key, value in COMMON.items())]
EVALUATE = [*TRAIN, "-e", "-pp", "weights.pdparams"]
RUN = "work/2001_EfficientGCN-B0_ntu-xsub/2022-06-06 06-25-40"
EVAL_DATA, EVAL_LABELS = "npy/original/ntu-xsub/eval_data.npy", "npy/original/ntu-xsub/eval_label.pkl"
TRAIN_LABELS = "npy/original/ntu-xsub/train_label.pkl"
INFER = ["infer.py", "--model_file=export/weights.onnx"]
OWN = {
    "dataset": "custom-own",
    "dataset_args": {"custom": {"graph": "openpose18", "num_channel": 2, "num_person": 1, "num_frame": 8,
                                "class_names": "classes.txt", "root_folder": "own_npy"}},
}  # fmt: skip


@dataclass
class Case:
    """A command (its program first) that must refuse what `files` {path: bytes} put in place of others."""

    kind: str
    rule: str
    command: list
    files: dict = field(default_factory=dict)
    may_run: bool = False  # a change that may also be taken


@dataclass
class Result:
    """What came of a case: `problem` is None where it was refused as it should be (or, where it may, was taken)."""

    problem: str | None
    line: str
    seconds: float
    taken: bool = False


def call(command):
    """(exit code, what it wrote to stdout, to stderr) of a command, in this process."""
    out, err, argv = io.StringIO(), io.StringIO(), sys.argv
    main = importlib.import_module(PROGRAMS[command[0]]).main
    sys.argv = list(command)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run_command(main)
    except SystemExit as stop:
        code = stop.code
    except Exception as error:
        code, err = 1, io.StringIO(f"Traceback: {type(error).__name__}: {error}")
    finally:
        sys.argv = argv
    return code, out.getvalue(), err.getvalue()


def prepare(folder):
    """Fill a folder with a data set, a finished run, its weights, program and scores, raw files and a data set of one's own."""
    os.chdir(folder)
    for split, count in (("train", 8), ("eval", 3)):
        write_split(Path("npy/original/ntu-xsub"), split, count)
    Path("raw").mkdir()
    for seed, name in enumerate(("S001C001P001R001A001", "S001C001P003R001A001", "S001C002P001R001A002", "S001C002P003R001A002")):
        Path(f"raw/{name}.skeleton").write_bytes(skeleton_bytes(seed, (1, 2)))
    for command in (
        TRAIN, EVALUATE, [*EVALUATE[:-3], "-ex", "-pp", "weights.pdparams", "--save_inference_dir=export"],
        [*EVALUATE[:-3], "-ex", "-pp", "weights.pdparams", "--save_inference_dir=export", "--export_to=onnx"],
    ):  # fmt: skip
        code, _, err = call(command)
        assert code == 0, err
        if command is TRAIN:
            shutil.copy("work/model.pdparams", "weights.pdparams")
            (made,) = Path(RUN).parent.iterdir()
            made.rename(RUN)
            Path(RUN, "previous.pdparams").unlink()
    shutil.copy(next(Path("work/temp").glob("*/scores.npz")), "scores.npz")
    Path("own.yaml").write_text(yaml.safe_dump(OWN))
    Path("classes.txt").write_text("one\ntwo\n")
    for split in ("train", "eval"):
        for action in ("one", "two"):
            Path(f"own/{split}/{action}").mkdir(parents=True)
            np.save(f"own/{split}/{action}/{split}{action}.npy", np.zeros((4, 18, 2), "float32"))
    for line in ([*INFER, "--data_file=raw"], ["ensemble.py", "scores.npz"], ["import_data.py", "own", "-c", "own.yaml"]):
        code, _, err = call(line)
        assert code == 0, err


def contents(folder="."):
    """{path: (size, time of change)} of all files but logs."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            if name != "log.txt" and not name.startswith("events.out"):
                status = os.lstat(path)
                found[path] = (status.st_size, status.st_mtime_ns)
    return found


def attempt(case):
    """The Result of a case, in a folder that `prepare` filled; the folder is afterwards as before."""
    kept = {path: Path(path).read_bytes() if Path(path).is_file() else None for path in case.files}
    for path, data in case.files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(data)
    before, start, memory = contents(), time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    code, out, err = call(case.command)
    seconds = time.process_time() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) << 10
    after, lines = contents(), err.splitlines()
    problems = {
        f"exit code {code}": code != 2,
        "no single line": len(lines) != 1 or not lines[0].startswith("error: ") or not lines[0].isprintable(),
        f"files changed: {sorted(set(before.items()) ^ set(after.items()))[:3]}": before != after,
    }
    taken = case.may_run and code == 0
    dangers = {
        "it ran what the file asks for": os.path.exists("hacked"),
        f"{seconds:.0f} seconds": seconds > SECONDS and not taken,
        f"{grown >> 20} MB": grown > MEMORY,
        "a traceback": "Traceback" in err,
    }
    found = [what for what, wrong in {**({} if taken else problems), **dangers}.items() if wrong]
    for path, data in kept.items():
        Path(path).write_bytes(data) if data is not None else Path(path).unlink(missing_ok=True)
    for path in set(after) - set(before):
        Path(path).unlink(missing_ok=True)
    return Result("; ".join(found) or None, (err or out)[:300].strip(), seconds, taken)
