"""An exported program and the engines that run it. Paddle is imported only where one of its engines is asked for."""

import json
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from export.record import Record, preprocessing, read_record
from utils.errors import UserError
from utils.process import cores, start_paddle

KINDS = {".json": "paddle", ".pdmodel": "paddle", ".onnx": "onnx"}  # of programs, by the file's name
ENGINES = {"native": "paddle", "onednn": "paddle", "gpu": "paddle", "onnxruntime": "onnx"}  # and the kind of program of each


def find_program(path, kind=None):
    """(file, kind) of the program that `path` names: a program file, its prefix, or a folder with one program.

    Where there are several kinds, `kind` or Paddle's comes first. Raises UserError where there is none or no single one.
    """
    path = Path(path)
    kinds = {suffix: name for suffix, name in KINDS.items() if kind in (None, name)}
    if path.is_file():
        found = [path] if path.suffix in kinds else []
    else:
        folder, stem = (path, None) if path.is_dir() else (path.parent, path.name)
        found = [file for suffix in kinds for file in sorted(folder.glob(f"*{suffix}")) if stem in (None, file.stem)]
        found = [file for file in found if file.suffix != ".json" or file.with_suffix(".pdiparams").is_file()]
    if not found:
        raise UserError(f"{path}: no {kind or 'exported'} program there ({', '.join(kinds)}); make one: main.py -ex -pp FILE")
    if len({file.stem for file in found}) > 1:
        raise UserError(f"{path}: several programs there ({', '.join(file.name for file in found)}); name one of them")
    return found[0], kinds[found[0].suffix]


# ---------------------------------------------------------------- engines


class PaddleEngine:
    """Paddle Inference: features (N, I, C, T, V, M) or coordinates (N, C, T, V, M) float32 -> logits (N, classes)."""

    def __init__(self, path, engine, *, params_file=None, cpu_threads=None, precision="fp32", gpu_mem=8000, gpu_id=0):
        start_paddle()
        import paddle
        from paddle import inference

        params = Path(params_file) if params_file else path.with_suffix(".pdiparams")
        if not params.is_file():
            raise UserError(f"{params}: no such file; name the parameters with --params_file")
        self.threads = cpu_threads or cores()
        config = inference.Config(str(path), str(params))
        config.disable_glog_info()
        if engine == "gpu":
            if not paddle.is_compiled_with_cuda() or paddle.device.cuda.device_count() == 0:
                raise UserError("--use_gpu: Paddle finds no GPU on this machine; leave it out to run on the CPU")
            if gpu_id >= paddle.device.cuda.device_count():
                raise UserError(f"--gpu_id {gpu_id}: Paddle finds GPUs 0 to {paddle.device.cuda.device_count() - 1} here")
            kinds = {"fp32": inference.PrecisionType.Float32, "fp16": inference.PrecisionType.Half}
            config.enable_use_gpu(gpu_mem, gpu_id, kinds[precision])
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
        self.path, self.version = path, f"paddle_version: {paddle.__version__}, paddle_commit: {paddle.version.commit}"
        self.input_name = self.predictor.get_input_names()[0]
        self.output_name = self.predictor.get_output_names()[0]

    def __call__(self, features):
        handle = self.predictor.get_input_handle(self.input_name)
        handle.reshape(features.shape)
        handle.copy_from_cpu(np.ascontiguousarray(features))
        self.predictor.run()
        return self.predictor.get_output_handle(self.output_name).copy_to_cpu()

    def each(self, batches):
        """[logits] of each batch."""
        return list(map(self, batches))

    def input_shape(self):
        """(N or -1, I, C, T, V, M) or (-1, C, -1, V, M), read off the file: the predictor does not tell."""
        if self.path.suffix == ".pdmodel":
            from paddle.base.core import ProgramDesc

            program = ProgramDesc(self.path.read_bytes())  # kept in a variable: its blocks do not keep it alive
            return program.block(0).find_var(self.input_name.encode()).shape()
        operations = json.loads(self.path.read_bytes())["program"]["regions"][0]["blocks"][0]["ops"]
        attributes = next(operation["A"] for operation in operations if operation["#"] == "1.data")
        return next(item["AT"]["D"] for item in attributes if item["N"] == "shape")


class OnnxEngine:
    """ONNX Runtime on the CPU: coordinates (N, C, T, V, M) or, in older exports, features (N, I, C, T, V, M) -> logits."""

    def __init__(self, path, _engine, *, cpu_threads=None, **_options):
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError("ONNX Runtime is not installed: pip install onnxruntime") from error
        self.onnxruntime, self.path, self.threads = onnxruntime, path, cpu_threads or cores()
        self.session = self.open(self.threads)
        self.version = f"onnxruntime_version: {onnxruntime.__version__}"
        self.input, self.output = self.session.get_inputs()[0], self.session.get_outputs()[0]

    def open(self, threads):
        """A session that computes a batch on so many threads."""
        options = self.onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3  # errors
        try:
            return self.onnxruntime.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors share no base class
            raise UserError(f"{self.path}: ONNX Runtime can't load it ({_first_line(error)})") from error

    def __call__(self, x, session=None):
        return (session or self.session).run([self.output.name], {self.input.name: x})[0]

    def each(self, batches):
        """[logits] of each batch: side by side, each on one thread, they take less time than one by one on all threads."""
        if len(batches) == 1 or self.threads == 1:
            return list(map(self, batches))
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(partial(self, session=self.on_one_thread), batches))

    @cached_property
    def on_one_thread(self):
        return self.open(1)

    def input_shape(self):
        """(N or -1, I, C, T, V, M) or (N or -1, C, T or -1, V, M)."""
        return [size if isinstance(size, int) else -1 for size in self.input.shape]

    def record(self):
        """The Record that stands in the file itself, its one program this one; None in files of others."""
        values = self.session.get_modelmeta().custom_metadata_map
        try:
            known = {key: json.loads(values[key]) for key in ("preprocessing", "classes")}
            shape = [known["preprocessing"]["num_frame"] if size == -1 else size for size in self.input_shape()[1:]]
            entry = {"input": shape, "engines": {"onnxruntime": {"verified": True}}, "files": {}}  # else it had not been written
            return Record.model_validate({**known, "programs": {"onnx": entry}})
        except (KeyError, TypeError, ValueError):
            return None


def _first_line(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if "Error" in line), lines[0] if lines else type(error).__name__)[:200]


def open_engine(path, engine, **options):
    """The program file `path` as a function: its input, float32 -> logits (N, classes).

    `engine` is a key of ENGINES; options: those of PaddleEngine. Raises UserError where there is none.
    """
    if options.get("precision") == "fp16" and engine != "gpu":
        raise UserError(f"--precision fp16: {engine} has fp32")
    return (OnnxEngine if engine == "onnxruntime" else PaddleEngine)(Path(path), engine, **options)


class Program:
    """An exported program, checked against its record. Calling it runs its input to logits (N, classes).

    `shape` is its input's: features (N or -1, I, C, T, V, M), or coordinates (-1, C, T, V, M) with any number of frames up to T.
    `at_once` recordings together are computed fastest; `notes` are lines that a user should see. Raises UserError where its files
    are not those of the record, or where the engine was not verified at the export and `allow_unverified` is False.
    """

    def __init__(self, path, engine=None, *, allow_unverified=False, precision="fp32", params_file=None, **options):
        path, kind = find_program(path, engine and ENGINES[engine])
        decides = "native" if kind == "paddle" else "onnxruntime"  # whether an export is kept
        engine, record = engine or decides, read_record(path)
        self.path, self.engine, self.precision, self.notes = path, engine, precision, []
        entry = record and record.entry(kind, path, params_file)
        self.infer = open_engine(path, engine, precision=precision, params_file=params_file, **options)
        if record is None and kind == "onnx" and (record := self.infer.record()):
            entry = record.programs[kind]
        name = engine if precision == "fp32" else f"{engine} {precision}"
        verified = entry.engines.get(name, {}).get("verified") is True if entry else name == decides
        if not verified:
            text = f"{path}: not verified with {engine} {precision}, its logits may be wrong"
            if not allow_unverified:
                export = "export on a machine with a GPU, which verifies it, " if engine == "gpu" else ""
                raise UserError(f"{text}; {export}choose another engine or add --allow_unverified True")
            self.notes.append(text)
        if record:
            self.shape, self.preprocessing, self.classes = [-1, *entry.input], record.preprocessing, record.classes
        else:
            self.notes.append(f"{path}: has no {path.stem}.yaml; taking configuration 2001's preprocessing, NTU's names")
            self.shape = self.infer.input_shape()
            known = {"num_frame": self.shape[-3]} if self.shape[-3] > 0 else {}  # T is free where coordinates are taken
            self.preprocessing, self.classes = preprocessing(**known), None
        self.at_once = 4 * self.infer.threads if engine == "onnxruntime" else 1
        self.takes_coordinates = len(self.shape) == 5
        self.num_channel, self.num_joints, self.num_bodies = self.shape[-4] // (2 - self.takes_coordinates), *self.shape[-2:]

    def __call__(self, x):
        rows = self.shape[0] if self.shape[0] > 0 else len(x) if self.engine == "gpu" else 1
        missing = -len(x) % rows
        padded = np.concatenate([x, np.zeros((missing, *x.shape[1:]), "float32")]) if missing else x
        # one at a time stays in a CPU's cache, and has the frames that it needs alone
        return np.concatenate(self.infer.each(np.split(padded, len(padded) // rows)))[: len(x)]
