"""An exported program: its files, the record PREFIX.yaml beside it, and the engines that run it.

A record says what the program takes (preprocessing, class names) and where it comes from (checkpoint and its sha256). For
each kind of program (paddle, onnx) it lists the files with their sha256, and for each engine whether its logits were equal
to the live network's when it was exported. Paddle is imported only where one of its engines is asked for.
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import yaml

from dataset.actions import action_names
from dataset.graph import NTU
from utils import UserError

KINDS = {"paddle": (".json", ".pdmodel"), "onnx": (".onnx",)}
ENGINES = {"native": "paddle", "onednn": "paddle", "gpu": "paddle", "tensorrt": "paddle", "onnxruntime": "onnx"}


# ---------------------------------------------------------------- the record


def preprocessing(inputs="JVB", num_frame=288, transform=False, graph=NTU):
    """What is done to a recording before the network sees it; the defaults are configuration 2001's."""
    skeleton = {"name": graph.name, "centre": graph.centre, "parents": list(graph.parents)}
    return {"inputs": inputs, "num_frame": num_frame, "transform": transform, "graph": skeleton}


def export_record(config, checkpoint, num_classes):
    """The part of a record that is known before the export: source, preprocessing, class names."""
    data = config.data
    return {
        "source": {
            "checkpoint": Path(checkpoint).name,
            "sha256": sha256(checkpoint),
            "config": config.config,
            "dataset": config.dataset,
            "model": config.model_type,
        },
        "preprocessing": preprocessing(data.inputs, data.num_frame, data.transform),
        "classes": action_names(num_classes),
    }


def sha256(path):
    """Hexadecimal SHA-256 of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _read_record(path):
    """A program's record, None where it has none; raises UserError where it is damaged."""
    path = path.with_name(path.stem + ".yaml")
    if not path.is_file():
        return None
    try:
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
        known = all(key in record for key in ("source", "preprocessing", "classes", "programs"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError) as error:
        raise UserError(f"{path}: not a readable record ({' '.join(str(error).split())}); export again") from error
    if not known:
        raise UserError(f"{path}: not the record of an export; export again, or move it away")
    return record


def _check_files(path, kind, record):
    """The record's entry for the program at `path`; raises UserError where a file is not the one that was recorded."""
    entry = record["programs"].get(kind, {})
    files = entry.get("files", {})
    if path.name not in files:
        raise UserError(f"{path}: {path.stem}.yaml beside it does not list it, so it is of another export; export again")
    for name, recorded in files.items():
        file = path.with_name(name)
        if not file.is_file() or sha256(file) != recorded:
            raise UserError(f"{file}: {'changed since' if file.is_file() else 'missing from'} the export; export again")
    return entry


# ---------------------------------------------------------------- files


def find_program(path, kind=None):
    """(file, kind) of the program that `path` names: a program file, its prefix, or a folder with one program.

    Where there are several kinds, `kind` or Paddle's comes first. Raises UserError where there is none or no single one.
    """
    path = Path(path)
    suffixes = [suffix for name in ([kind] if kind else KINDS) for suffix in KINDS[name]]
    if path.is_file():
        found = [path] if path.suffix in suffixes else []
    else:
        folder, stem = (path, None) if path.is_dir() else (path.parent, path.name)
        found = [file for suffix in suffixes for file in sorted(folder.glob(f"*{suffix}")) if stem in (None, file.stem)]
        found = [file for file in found if file.suffix != ".json" or file.with_suffix(".pdiparams").is_file()]
    if not found:
        raise UserError(f"{path}: no {kind or 'exported'} program there ({', '.join(suffixes)}); make one with main.py -ex")
    if len({file.stem for file in found}) > 1:
        raise UserError(f"{path}: several programs there ({', '.join(file.name for file in found)}); name one of them")
    file = found[0]
    ready = file.with_name(f".{file.stem}.export") / file.name  # an export that was stopped while it was put in place
    return (ready if ready.is_file() else file), next(name for name, ends in KINDS.items() if file.suffix in ends)


def _input_shape(path, kind, engine):
    """Input shape of a program without a record, the free batch as -1."""
    if kind == "onnx":
        return [size if isinstance(size, int) else -1 for size in engine.input_shape]
    if path.suffix == ".pdmodel":
        from paddle.base.core import ProgramDesc

        return ProgramDesc(path.read_bytes()).block(0).find_var(engine.input_name.encode()).shape()
    operations = json.loads(path.read_bytes())["program"]["regions"][0]["blocks"][0]["ops"]
    attributes = next(operation["A"] for operation in operations if operation["#"] == "1.data")
    return next(item["AT"]["D"] for item in attributes if item["N"] == "shape")
