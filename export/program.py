"""Export: a network as a program for Paddle Inference, ONNX Runtime or Triton, proven equal to it before it is kept."""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import paddle
import yaml

from options.yaml_file import read_yaml
from utils.errors import UserError
from utils.files import replacing_together, sha256

from .joint_major import JointMajorGCN
from .products import ProductGCN

LARGEST_DIFFERENCE = 1e-3  # of logits, relative to the largest
BATCHES = (1, 2, 5)
OUTPUTS = ["logits", "probabilities"]
TRITON_BATCH = 16
PADDLE_FILES = (".json", ".pdmodel", ".pdiparams", ".pdiparams.info")  # of Paddle 3 and 2
HEADER = "# What this export takes, where it comes from, and which engines gave the network's logits (read by infer.py)\n"


def export_program(model, prefix, *, data_shape, record, open_engine, to="paddle", softmax=False, one_body=False):
    """Write `model` as a program PREFIX.* with its record PREFIX.yaml; returns lines that say what was made and measured.

    `data_shape` is a sample's (I, C, T, V, M). With `one_body` the program takes M = 1, and a sample's logits are the mean
    over its bodies. `to`: paddle (PREFIX.json or .pdmodel, and .pdiparams), onnx (PREFIX.onnx), triton (a model repository
    PREFIX.triton). `record`: what PREFIX.yaml says of source, preprocessing and classes. `open_engine(file, engine)` returns
    a function features -> logits; by it the written program is compared with `model`.

    Raises UserError, an older export left as it was, where the logits differ by more than 1e-3 of the largest on the engine
    that decides (Paddle's native one, ONNX Runtime), and where files can't be written or a package is missing. Paddle's other
    engines are recorded as verified or not.
    """
    prefix, training = Path(prefix), model.training
    shape = [*data_shape[:4], 1 if one_body else data_shape[4]]
    outputs = OUTPUTS[: 1 + softmax]
    model.eval()
    try:
        with tempfile.TemporaryDirectory() as stage:
            file, nodes = write_program(model, to, Path(stage) / prefix.name, shape, softmax)
            engines = _compare(model, file, prefix, shape, open_engine)
            if to == "triton":
                _arrange_for_triton(file, shape, outputs, record["classes"])
            files = {path.relative_to(stage).as_posix(): path for path in sorted(Path(stage).rglob("*")) if path.is_file()}
            entry = {
                "input": shape,
                "outputs": outputs,
                "nodes": nodes,
                "bytes": sum(path.stat().st_size for path in files.values()),
                "paddle": paddle.__version__,
                "engines": engines,
                "files": {name: sha256(path) for name, path in files.items()},
            }
            _publish(files, prefix, record, to, entry)
    finally:
        if training:
            model.train()
    return [
        f"Exported {', '.join(str(prefix.parent / name) for name in files)}: {entry['bytes'] / 1e6:.2f} MB, {nodes} nodes, "
        f"input {['N', *shape]}, output {', '.join(outputs)}",
        *(_describe(engine, result) for engine, result in engines.items()),
    ]


def _describe(engine, result):
    if result["verified"]:
        return f"{engine}: verified, logits within {result['difference']:.1e} of the largest (batches {BATCHES})"
    found = f"logits off by {result['difference']:.1e} of the largest" if "difference" in result else result["reason"]
    return f"{engine}: not verified ({found}); infer.py refuses it"


# ---------------------------------------------------------------- programs


def write_program(model, to, prefix, shape, softmax=False):
    """(program file, number of operations) of `model` in the form of `to`, input (N, *shape); not compared with it."""
    form, write = (ProductGCN, write_paddle) if to == "paddle" else (JointMajorGCN, write_onnx)
    program = form(model, softmax)
    program.eval()
    return write(program, prefix, shape, OUTPUTS[: 1 + softmax])


def write_paddle(program, prefix, shape, _outputs):
    """(program file, number of operations) of `program`, written to `prefix` for Paddle; input (N, *shape), N is free.

    Raises UserError where it does not fit on the disk.
    """
    spec = [paddle.static.InputSpec([None, *shape], "float32", "x")]
    static = paddle.jit.to_static(program, input_spec=spec, full_graph=True)
    paddle.jit.save(static, str(prefix))
    file = next(path for path in (Path(f"{prefix}.json"), Path(f"{prefix}.pdmodel")) if path.is_file())
    _check_whole(file, sum(tensor.numpy().nbytes for tensor in program.state_dict().values()))
    return file, len(static.forward.main_program.global_block().ops)


def _check_whole(file, size):
    """Raise UserError where Paddle cut its files short, at less than `size` bytes of weights: a full disk it does not tell."""
    try:
        whole = file.with_suffix(".pdiparams").stat().st_size >= size
        if file.suffix == ".json":
            json.loads(file.read_bytes())
    except (OSError, ValueError):
        whole = False
    if not whole:
        raise UserError(f"{tempfile.gettempdir()}: no room for a program of {size} bytes; make some, or set TMPDIR")


def write_onnx(program, prefix, shape, outputs):
    """(program file, number of nodes) of `program`, written to `prefix` as ONNX by way of a Paddle program.

    Raises UserError where a package is missing or the disk is full.
    """
    try:
        import onnx
        import paddle2onnx
    except ImportError as error:
        raise UserError(f"an ONNX export needs {error.name}: pip install '.[onnx]'") from error
    with tempfile.TemporaryDirectory(dir=prefix.parent) as folder:
        source, _ = write_paddle(program, Path(folder) / "program", shape, outputs)
        # its own optimizers install packages at run time: none
        text = paddle2onnx.export(str(source), f"{folder}/program.pdiparams", opset_version=17, optimize_tool=None)
    network = onnx.load_from_string(text)
    names = {value.name: name for value, name in zip(network.graph.output, outputs, strict=True)}
    for value in network.graph.output:
        value.name = names[value.name]
    for node in network.graph.node:
        for ends in (node.input, node.output):
            ends[:] = [names.get(end, end) for end in ends]
    onnx.checker.check_model(network, full_check=True)
    onnx.save(network, f"{prefix}.onnx")
    return Path(f"{prefix}.onnx"), len(network.graph.node)


def _arrange_for_triton(file, shape, outputs, classes):
    """Move an ONNX program into a model repository NAME.triton beside it: NAME/config.pbtxt, labels, version 1."""
    folder = file.with_suffix(".triton") / file.stem
    (folder / "1").mkdir(parents=True)
    file.rename(folder / "1" / "model.onnx")
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
    fields = [f'name: "{file.stem}"', 'backend: "onnxruntime"', f"max_batch_size: {TRITON_BATCH}"]
    fields += [f'input [{{ name: "x" data_type: TYPE_FP32 dims: {list(shape)} }}]']
    described = (
        f'{{ name: "{name}" data_type: TYPE_FP32 dims: [{len(classes)}] label_filename: "labels.txt" }}' for name in outputs
    )
    fields += [f"output [{', '.join(described)}]", "dynamic_batching { max_queue_delay_microseconds: 1000 }"]
    (folder / "config.pbtxt").write_text("\n".join(fields) + "\n", encoding="utf-8")


# ---------------------------------------------------------------- proof


def _compare(model, file, prefix, shape, open_engine):
    """{engine: {verified, difference or reason}} of the program `file`; raises UserError where the first one fails."""
    engines = ["onnxruntime"] if file.suffix == ".onnx" else ["native", "onednn"]
    if engines[0] == "native" and paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0:
        engines.append("gpu")
    samples = [np.random.default_rng(size).standard_normal((size, *shape), dtype="float32") for size in BATCHES]
    with paddle.no_grad():
        expected = [model(paddle.to_tensor(x))[0].numpy() for x in samples]
    results = {}
    for engine in engines:
        try:
            run = open_engine(file, engine)
            difference = max(_difference(run(x), y) for x, y in zip(samples, expected, strict=True))
            results[engine] = {"verified": difference <= LARGEST_DIFFERENCE, "difference": float(f"{difference:.2g}")}
        except Exception as error:  # each engine has errors of its own; whatever it is, the engine can't be used
            results[engine] = {"verified": False, "reason": " ".join(str(error).split())[:200]}
        if not results[engines[0]]["verified"]:
            raise UserError(f"{prefix}: nothing exported; {_describe(engines[0], results[engines[0]])}")
    return results


def _difference(got, expected):
    """Largest difference relative to the largest expected value; infinite where values or sizes are unusable."""
    if got.shape != expected.shape or not np.isfinite(got).all():
        return np.inf
    return float(np.abs(got - expected).max() / np.abs(expected).max())


# ---------------------------------------------------------------- files


def _publish(files, prefix, record, to, entry):
    """Put the `files` {name: path} of an export in place with its record; readers know a mixture by the hashes in it."""
    path = prefix.with_name(f"{prefix.name}.yaml")
    whole = {**record, "programs": {**_other_programs(path, record), to: entry}}
    text = HEADER + yaml.safe_dump(whole, sort_keys=False, width=120, allow_unicode=True, default_flow_style=None)
    with replacing_together(*(prefix.parent / name for name in files), path) as (*new_files, new_record):
        new_record.write_text(text, encoding="utf-8")
        for source, new in zip(files.values(), new_files, strict=True):
            shutil.copyfile(source, new)
    for name in {f"{prefix.name}{suffix}" for suffix in PADDLE_FILES if to == "paddle"} - set(files):
        (prefix.parent / name).unlink(missing_ok=True)


def _other_programs(path, record):
    """{kind: entry} of an older export's record, if it is of the same `record`; of none that can be used, {}."""
    try:
        old = read_yaml(path)
    except UserError:
        return {}
    same = all(old.get(key) == value for key, value in record.items()) and isinstance(old.get("programs"), dict)
    return old["programs"] if same else {}
