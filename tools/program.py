"""An exported program: its files, the record PREFIX.yaml beside it, and the engines that run it.

A record says what the program takes (preprocessing, class names) and where it comes from (checkpoint and its sha256). For
each kind of program (paddle, onnx) it lists the files with their sha256, and for each engine whether its logits were equal
to the live network's when it was exported. Paddle is imported only where one of its engines is asked for.
"""

import hashlib
import json
import os
import re
from pathlib import Path

import numpy as np

from configs.yaml_file import read_yaml
from dataset.graph import NTU
from utils import UserError, start_paddle

KINDS = {"paddle": (".json", ".pdmodel"), "onnx": (".onnx",)}
DEFAULT_ENGINES = {"paddle": "native", "onnx": "onnxruntime"}  # what an export is decided by
PRECISIONS = {  # of each engine
    "native": ["fp32"],
    "onednn": ["fp32"],
    "gpu": ["fp32", "fp16"],
    "tensorrt": ["fp32", "fp16", "int8"],
    "onnxruntime": ["fp32"],
}


# ---------------------------------------------------------------- the record


def preprocessing(inputs="JVB", num_frame=288, transform=False, graph=NTU):
    """What is done to a recording before the network sees it; the defaults are configuration 2001's."""
    skeleton = {"name": graph.name, "centre": graph.centre, "parents": list(graph.parents)}
    return {"inputs": inputs, "num_frame": num_frame, "transform": transform, "graph": skeleton}


def export_record(config, checkpoint, graph, classes):
    """The part of a record that is known before the export: source, preprocessing, names of the classes."""
    data = config.data
    return {
        "source": {
            "checkpoint": Path(checkpoint).name,
            "sha256": sha256(checkpoint),
            "config": config.config,
            "dataset": config.dataset,
            "model": config.model_type,
        },
        "preprocessing": preprocessing(data.inputs, data.num_frame, data.transform, graph),
        "classes": classes,
    }


def sha256(path):
    """Hexadecimal SHA-256 of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _read_record(path):
    """A program's record, None where it has none; raises UserError where it is damaged."""
    path = path.with_name(path.stem + ".yaml")
    if not path.is_file():
        return None
    record = read_yaml(path)
    try:
        _check_record(record)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise UserError(f"{path}: not a usable record ({' '.join(repr(error).split())[:100]}); export again") from error
    return record


def _check_record(record):
    """Raise an error of some kind where a record is not one that an export makes."""
    settings, classes = record["preprocessing"], record["classes"]
    name, joints, centre = (settings["graph"][key] for key in ("name", "parents", "centre"))
    sizes = [len(settings["inputs"]), settings["num_frame"], len(joints)]
    good = {
        "inputs": re.fullmatch("J?V?B?", settings["inputs"]) and settings["inputs"],
        "transform": isinstance(settings["transform"], bool),
        "graph": isinstance(name, str) and all(type(joint) is int and 0 <= joint < len(joints) for joint in [centre, *joints]),
        "classes": isinstance(classes, list) and all(isinstance(name, str) and name.isprintable() for name in classes),
    }
    for kind, entry in record["programs"].items():
        I, C, T, V, M = entry["input"]
        good[f"{kind}'s input"] = sizes == [I, T, V] and all(type(n) is int and 0 < n < 10**6 for n in (C, T, M))
        good[f"{kind}'s engines"] = all(isinstance(result, dict) for result in entry["engines"].values())
        good[f"{kind}'s files"] = all(isinstance(name, str) for name in [*entry["files"], *entry["files"].values()])
    if wrong := [what for what, right in good.items() if not right]:
        raise ValueError(wrong[0])


def _check_files(path, kind, record, params):
    """The record's entry for the program at `path`; raises UserError where a file is not the one that was recorded."""
    entry = record["programs"].get(kind, {"files": {}})
    if path.name not in entry["files"]:
        raise UserError(f"{path}: not listed in {path.stem}.yaml beside it, so of another export; export again")
    for name, recorded in entry["files"].items():
        file = Path(params) if params and name.endswith(".pdiparams") else path.parent / Path(name).name
        if not file.is_file() or sha256(file) != recorded:
            raise UserError(f"{file}: {'not the file' if file.is_file() else 'missing, one'} of this export; export again")
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

        program = ProgramDesc(path.read_bytes())  # kept in a variable: its blocks do not keep it alive
        return program.block(0).find_var(engine.input_name.encode()).shape()
    operations = json.loads(path.read_bytes())["program"]["regions"][0]["blocks"][0]["ops"]
    attributes = next(operation["A"] for operation in operations if operation["#"] == "1.data")
    return next(item["AT"]["D"] for item in attributes if item["N"] == "shape")


# ---------------------------------------------------------------- engines


class PaddleEngine:
    """Paddle Inference: features (N, I, C, T, V, M) float32 -> logits (N, classes)."""

    def __init__(self, path, engine, *, params_file=None, cpu_threads=None, precision="fp32", gpu_mem=8000):
        start_paddle()
        import paddle
        from paddle import inference

        params = Path(params_file) if params_file else path.with_suffix(".pdiparams")
        if not params.is_file():
            raise UserError(f"{params}: no such file; name the parameters with --params_file")
        self.threads = cpu_threads or cores()
        config = inference.Config(str(path), str(params))
        config.disable_glog_info()
        if engine in ("gpu", "tensorrt"):
            if not paddle.is_compiled_with_cuda() or paddle.device.cuda.device_count() == 0:
                raise UserError("--use_gpu: Paddle finds no GPU on this machine; leave it out to run on the CPU")
            kinds = {"fp32": "Float32", "fp16": "Half", "int8": "Int8"}
            kind = getattr(inference.PrecisionType, kinds[precision])
            config.enable_use_gpu(gpu_mem, 0, *([kind] if engine == "gpu" else []))
            if engine == "tensorrt":
                config.enable_tensorrt_engine(precision_mode=kind, use_calib_mode=precision == "int8")
        else:
            config.disable_gpu()
            config.set_cpu_math_library_num_threads(self.threads)
            if engine == "onednn":
                config.enable_mkldnn()
            elif hasattr(config, "disable_mkldnn"):  # Paddle 3 has oneDNN on by itself
                config.disable_mkldnn()
        if path.suffix == ".json":
            config.enable_new_executor()  # without it, memory optimisation fails on such a program
        config.enable_memory_optim()
        try:
            self.predictor = inference.create_predictor(config)
        except (RuntimeError, ValueError, OSError) as error:
            raise UserError(f"{path}: Paddle can't load it with {params} ({_first_line(error)})") from error
        self.version = f"paddle_version: {paddle.__version__}, paddle_commit: {paddle.version.commit}"
        self.input_name = self.predictor.get_input_names()[0]
        self.output_name = self.predictor.get_output_names()[0]

    def __call__(self, features):
        handle = self.predictor.get_input_handle(self.input_name)
        handle.reshape(features.shape)
        handle.copy_from_cpu(np.ascontiguousarray(features))
        self.predictor.run()
        return self.predictor.get_output_handle(self.output_name).copy_to_cpu()


class OnnxEngine:
    """ONNX Runtime on the CPU: features (N, I, C, T, V, M) float32 -> logits (N, classes)."""

    def __init__(self, path, _engine, *, cpu_threads=None, **_options):
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError("ONNX Runtime is not installed: pip install onnxruntime") from error
        options = onnxruntime.SessionOptions()
        self.threads = options.intra_op_num_threads = cpu_threads or cores()
        options.log_severity_level = 3  # errors
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors share no base class
            raise UserError(f"{path}: ONNX Runtime can't load it ({_first_line(error)})") from error
        self.version = f"onnxruntime_version: {onnxruntime.__version__}"
        self.input_name = self.session.get_inputs()[0].name
        self.input_shape = self.session.get_inputs()[0].shape
        self.output_name = self.session.get_outputs()[0].name

    def __call__(self, features):
        return self.session.run([self.output_name], {self.input_name: features})[0]


def cores():
    """Number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _first_line(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if "Error" in line), lines[0] if lines else type(error).__name__)[:200]


def open_engine(path, engine, **options):
    """The program file `path` as a function: features (N, I, C, T, V, M) float32 -> logits (N, classes).

    `engine` is a key of PRECISIONS; options: cpu_threads, precision, gpu_mem, params_file. Raises UserError where there is none.
    """
    precision = options.get("precision", "fp32")
    if precision not in PRECISIONS[engine]:
        raise UserError(f"--precision {precision}: {engine} has {', '.join(PRECISIONS[engine])}")
    return (OnnxEngine if engine == "onnxruntime" else PaddleEngine)(Path(path), engine, **options)


class Program:
    """An exported program, checked against its record. Calling it runs features (N, I, C, T, V, M) to logits (N, classes).

    `shape` is its input's (N or -1, I, C, T, V, M); `notes` are lines that a user should see. Raises UserError where its files
    are not those of the record, or where the engine was not verified at the export and `allow_unverified` is False.
    """

    def __init__(self, path, engine, *, allow_unverified=False, precision="fp32", **options):
        path, kind = find_program(path, engine and ("onnx" if engine == "onnxruntime" else "paddle"))
        engine = engine or DEFAULT_ENGINES[kind]
        self.path, self.engine, self.precision, self.notes = path, engine, precision, []
        record = _read_record(path)
        entry = (
            _check_files(path, kind, record, options.get("params_file"))
            if record
            else {"engines": {DEFAULT_ENGINES[kind]: {"verified": True}}}
        )
        self.run = open_engine(path, engine, precision=precision, **options)
        if precision != "fp32" or not entry["engines"].get(engine, {}).get("verified"):
            text = f"{path}: not verified with {engine} {precision}, its logits may be wrong"
            if not allow_unverified:
                raise UserError(f"{text}; choose another engine or add --allow_unverified True")
            self.notes.append(text)
        self.shape = [-1, *entry["input"]] if record else _input_shape(path, kind, self.run)
        if record:
            self.preprocessing, self.classes = record["preprocessing"], record["classes"]
        else:
            self.notes.append(f"{path}: has no {path.stem}.yaml; taking configuration 2001's preprocessing, NTU's names")
            self.preprocessing, self.classes = preprocessing(num_frame=self.shape[3]), None

    def __call__(self, features):
        rows = self.shape[0] if self.shape[0] > 0 else len(features) if self.engine in ("gpu", "tensorrt") else 1
        logits = []
        for start in range(0, len(features), rows):  # one at a time stays in a CPU's cache: up to 1.4 times as fast
            part = features[start : start + rows]
            missing = np.zeros((rows - len(part), *part.shape[1:]), "float32")
            logits.append(self.run(np.concatenate([part, missing]) if len(missing) else part)[: len(part)])
        return np.concatenate(logits)
