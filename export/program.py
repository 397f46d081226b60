"""Export: a network as a program for Paddle Inference, ONNX Runtime or Triton, proven equal to it before it is kept."""

import json
import shutil
import tempfile
from pathlib import Path

import paddle
import yaml

from options.yaml_file import read_yaml
from utils.errors import UserError
from utils.files import replacing, sha256
from utils.process import signals_later

from .folded import TrainedGCN
from .joint_major import JointMajorGCN
from .products import ProductGCN
from .proof import describe, prove
from .record import Preprocessing
from .web import web_runtime, write_page

OUTPUTS = ["logits", "probabilities"]
TRITON_BATCH = 16
PADDLE_FORMS = {"cpu": ProductGCN, "gpu": TrainedGCN}  # by what is to run the program well; each runs on both
PPHUMAN_INPUT = "data_batch_0"  # the name that its pipeline feeds
LICENCE = "code: Apache-2.0; weights: as their author says"
PADDLE_FILES = (".json", ".pdmodel", ".pdiparams", ".pdiparams.info")  # of Paddle 3 and 2
HEADER = "# What this export takes, where it comes from, and which engines gave the network's logits (read by infer.py)\n"


def export_program(
    model, prefix, *, data_shape, record, open_engine, to="paddle", runtime=None, camera=False,
    softmax=False, one_body=False, coordinates=False, device="cpu",
):  # fmt: skip
    """Write `model` as a program PREFIX.* with its record PREFIX.yaml; returns lines that say what was made and measured.

    `data_shape` is a sample's (I, C, T, V, M). With `one_body` the program takes M = 1, and a sample's logits are the mean over
    its bodies. `to`: paddle (PREFIX.json or .pdmodel, and .pdiparams), onnx (PREFIX.onnx), triton (a model repository
    PREFIX.triton), pphuman (a folder PREFIX.pphuman for PaddleDetection's pipeline), web (a page PREFIX.html for one body, with a
    `camera` or without; `runtime`, the folder of onnxruntime-web: see web.py). All but paddle take coordinates (N, C / 2, T, V,
    M), any T up to data_shape's; Paddle's programs take features (N, I, C, T, V, M), as the published ones do, or `coordinates`
    too. `record`: what PREFIX.yaml says of source, preprocessing and classes. `open_engine(file, engine)` returns a function
    input -> logits; by it the written program is compared with `model`. `device`: cpu or gpu, what a Paddle program is to be
    quick on.

    Raises UserError, an older export left as it was, where the logits differ by more than 1e-3 of the largest on the engine
    that decides (Paddle's native one, ONNX Runtime), and where files can't be written or a package is missing. Paddle's other
    engines are recorded as verified or not.
    """
    prefix, training = Path(prefix), model.training
    shape = [*data_shape[:4], 1 if one_body or to == "web" else data_shape[4]]
    runtime = web_runtime(runtime, camera) if to == "web" else None
    settings = Preprocessing.model_validate(record["preprocessing"])
    features = (settings.graph, settings.inputs) if coordinates or to != "paddle" else None
    outputs = OUTPUTS[: 1 + softmax]
    if to == "pphuman":
        _check_for_pphuman(shape, settings.graph.name)
    model.eval()
    try:
        with tempfile.TemporaryDirectory() as stage:
            file, nodes = write_program(model, to, Path(stage) / prefix.name, shape, features, softmax, record, device)
            engines = prove(model, file, prefix, shape, settings, open_engine, coordinates=features is not None)
            shape = program_input(shape, features)
            if to == "triton":
                _arrange_for_triton(file, [shape[0], -1, *shape[2:]], outputs, record["classes"])
            elif to == "pphuman":
                _arrange_for_pphuman(file, settings.num_frame)
            if runtime:
                write_page(file, record, shape, LICENCE, runtime)
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
    shown = f"[N, {shape[0]}, T up to {shape[1]}, {shape[2]}, {shape[3]}]" if features else ["N", *shape]
    return [
        f"Exported {', '.join(str(prefix.parent / name) for name in files)}: {entry['bytes'] / 1e6:.2f} MB, {nodes} nodes, "
        f"input {shown}, output {', '.join(outputs)}",
        *(describe(engine, result) for engine, result in engines.items()),
    ]


# ---------------------------------------------------------------- programs


def program_input(data_shape, features):
    """The input of a program, without N: data_shape, or that of coordinates."""
    return [data_shape[1] // 2, *data_shape[2:]] if features else list(data_shape)


def write_program(model, to, prefix, data_shape, features=None, softmax=False, record=None, device="cpu"):
    """(program file, number of operations) of `model` in the form of `to`; see FoldedGCN for its input. Not compared with it."""
    for_paddle = to in ("paddle", "pphuman")
    program = (PADDLE_FORMS[device] if for_paddle else JointMajorGCN)(model, data_shape, features, softmax)
    program.eval()
    shape = [None, *program_input(data_shape, features)]
    if features:
        shape[2] = None
    if for_paddle:
        return write_paddle(program, prefix, shape, PPHUMAN_INPUT if to == "pphuman" else "x")
    return write_onnx(program, prefix, shape, OUTPUTS[: 1 + softmax], record)


def write_paddle(program, prefix, shape, name="x"):
    """(program file, number of operations) of `program`, written to `prefix` for Paddle; None in its input's `shape` is free.

    Raises UserError where it does not fit on the disk.
    """
    spec = [paddle.static.InputSpec(shape, "float32", name)]
    static = paddle.jit.to_static(program, input_spec=spec, full_graph=True)
    with signals_later():  # Paddle asks Python for the stack at each operation, and crashes where that raises
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
        raise UserError(f"{tempfile.gettempdir()}: no room for a program of {size} bytes; free some space, or set TMPDIR")


def write_onnx(program, prefix, shape, outputs, record):
    """(program file, number of nodes) of `program`, written to `prefix` as ONNX by way of a Paddle program.

    What the `record` says stands in the file too (metadata_props, each value as JSON), so that it is usable alone. Raises
    UserError where a package is missing or the disk is full.
    """
    try:
        import onnx
        import paddle2onnx
    except ImportError as error:
        raise UserError(f"an ONNX export needs {error.name}: pip install '.[onnx]'") from error
    with tempfile.TemporaryDirectory(dir=prefix.parent) as folder:
        source, _ = write_paddle(program, Path(folder) / "program", shape)
        # its own optimizers install packages at run time: none
        text = paddle2onnx.export(str(source), f"{folder}/program.pdiparams", opset_version=17, optimize_tool=None)
    network = onnx.load_from_string(text)
    names = {value.name: name for value, name in zip(network.graph.output, outputs, strict=True)}
    for value in network.graph.output:
        value.name = names[value.name]
    for node in network.graph.node:
        for ends in (node.input, node.output):
            ends[:] = [names.get(end, end) for end in ends]
    used = {name for node in network.graph.node for name in node.input}
    for unused in [tensor for tensor in network.graph.initializer if tensor.name not in used]:
        network.graph.initializer.remove(unused)  # ONNX Runtime warns of each
    known = {**(record or {}), "licence": LICENCE}
    onnx.helper.set_model_props(network, {key: json.dumps(value, ensure_ascii=False) for key, value in known.items()})
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
    fields += [f'input [{{ name: "x" data_type: TYPE_FP32 dims: {shape} }}]']
    described = (
        f'{{ name: "{name}" data_type: TYPE_FP32 dims: [{len(classes)}] label_filename: "labels.txt" }}' for name in outputs
    )
    fields += [f"output [{', '.join(described)}]", "dynamic_batching { max_queue_delay_microseconds: 1000 }"]
    (folder / "config.pbtxt").write_text("\n".join(fields) + "\n", encoding="utf-8")


def _check_for_pphuman(data_shape, skeleton):
    """Raise UserError where samples of `data_shape` are not what PP-Human's pipeline feeds: joints of COCO, one body.

    Source of this and the next: PaddleDetection, deploy/pipeline/pphuman/action_infer.py and deploy/python/infer.py. The input is
    (1, 2, T, 17, 1), pixels of the person's box, which is stretched to 384 x 512.
    """
    _, C, _, V, M = data_shape
    if (C // 2, V, M, skeleton) != (2, 17, 1, "coco17"):
        found = f"num_channel {C // 2}, {skeleton} with {V} joints, num_person {M}"
        raise UserError(f"export_to pphuman: needs num_channel 2, graph coco17, num_person 1; the configuration has {found}")


def _arrange_for_pphuman(file, num_frame):
    """Move a Paddle program and its parameters into a folder NAME.pphuman beside it, with the pipeline's infer_cfg.yml."""
    folder = file.with_suffix(".pphuman")
    folder.mkdir()
    for path in (file, file.with_suffix(".pdiparams")):
        path.rename(folder / f"model{path.suffix}")
    settings = Path(__file__).with_name("pphuman.yaml").read_text(encoding="utf-8").replace("NUM_FRAME", str(num_frame))
    (folder / "infer_cfg.yml").write_text(settings, encoding="utf-8")


# ---------------------------------------------------------------- files


def _publish(files, prefix, record, to, entry):
    """Put the `files` {name: path} of an export in place with its record; readers know a mixture by the hashes in it."""
    path = prefix.with_name(f"{prefix.name}.yaml")
    whole = {**record, "programs": {**_other_programs(path, record), to: entry}}
    text = HEADER + yaml.safe_dump(whole, sort_keys=False, width=120, allow_unicode=True, default_flow_style=None)
    with replacing(*(prefix.parent / name for name in files), path) as (*new_files, new_record):
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
