"""Weights of other programs: PyTorch's files (written here without PyTorch), other Paddle ports, safetensors."""

import io
import pickle
import subprocess
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from conftest import ROOT, fill

from configs.schema import load_config
from dataset.pickles import load_pickle
from initializer import build_model
from model.checkpoint import load_weights, read_checkpoint, weight_arrays
from tools.convert_weights import convert, main, read_weights
from tools.torch_file import load_torch
from utils import UserError, run_command

STORAGES = {"float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage", "int64": "LongStorage"}


class TorchPickler(pickle.Pickler):
    """Pickles NumPy arrays as torch.save does tensors, views as views of one storage; `storages` are left outside."""

    def __init__(self, file):
        super().__init__(file, protocol=2)
        self.storages = {}

    def reducer_override(self, value):
        if not isinstance(value, np.ndarray):
            return NotImplemented
        whole = value if value.base is None else value.base
        offset = (value.ctypes.data - whole.ctypes.data) // value.itemsize
        strides = tuple(step // value.itemsize for step in value.strides)
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (Storage(whole), offset, value.shape, strides, False, OrderedDict())

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        key = str(self.storages.setdefault(id(value.whole), (len(self.storages), value.whole))[0])
        kind = getattr(sys.modules["torch"], STORAGES[str(value.whole.dtype)])
        return ("storage", kind, key, "cpu", value.whole.size)


class Storage:
    def __init__(self, whole):
        self.whole = whole


@pytest.fixture
def torch_save(monkeypatch):
    """torch_save(value, path): a file as PyTorch since 1.6 writes it."""
    module, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    utils._rebuild_tensor_v2 = types.FunctionType(compile("0", "", "eval"), {}, "_rebuild_tensor_v2")
    utils._rebuild_tensor_v2.__module__ = "torch._utils"
    utils._rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    for name in STORAGES.values():
        setattr(module, name, type(name, (), {"__module__": "torch"}))
    monkeypatch.setitem(sys.modules, "torch", module)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    def save(value, path):
        file = io.BytesIO()
        pickler = TorchPickler(file)
        pickler.dump(value)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("archive/data.pkl", file.getvalue())
            archive.writestr("archive/byteorder", "little")
            for number, whole in pickler.storages.values():
                archive.writestr(f"archive/data/{number}", whole.tobytes())
        return path

    return save


def test_tensors_are_read_as_stored(torch_save, tmp_path):
    base = np.arange(24, dtype="float32")
    values = {
        "large": np.arange(10**5, dtype="int64"),  # far more than the pickle that describes it
        "whole": base,
        "matrix": base[4:16].reshape(3, 4),
        "turned": base[4:16].reshape(3, 4).T,
        "every other": base[1::2],
        "count": np.array(7),
        "half": np.ones((2, 0), "float16"),
        "double": np.full((2, 1, 3), 0.5),
    }
    read = load_torch(torch_save({"model": values, "epoch": 3, "best": {"acc": 0.5}}, tmp_path / "a.pth.tar"))
    assert (read["epoch"], read["best"]) == (3, {"acc": 0.5})
    for name, value in values.items():
        array = read["model"][name].array
        assert array.dtype == value.dtype and array.shape == value.shape
        np.testing.assert_array_equal(array, value)


# ---------------------------------------------------------------- conversion


@pytest.fixture
def small(tmp_path):
    """(configuration, its network with weights by name, path of the configuration's file)."""
    path = tmp_path / "small.yaml"
    path.write_text(
        "dataset_args: {ntu: {num_frame: 8}}\n"
        "model_args: {stem_channel: 8, block_args: [[16, 1, 0], [16, 2, 1]], fusion_stage: 1, att_type: pa}\n"
    )
    config = load_config(str(path))
    return config, fill(build_model(config)), path


def as_torch(model, prefix="module."):
    """A network's weights under the names of the papers' authors' code."""
    state = {}
    for name, tensor in model.state_dict().items():
        *layer, last = name.split(".")
        word = {"_mean": "running_mean", "_variance": "running_var"}.get(last, last)
        state[prefix + ".".join([*layer, word])] = tensor.numpy().copy()
        if last == "_variance":
            state[prefix + ".".join([*layer, "num_batches_tracked"])] = np.array(100)
    return state


def check_same(path, model, config):
    other = build_model(config)
    load_weights(other, read_checkpoint(path), path)
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name].numpy(), tensor.numpy(), err_msg=name)


def test_a_checkpoint_of_the_authors_form_becomes_ours(torch_save, small, tmp_path):
    config, model, _ = small
    state = {"model": as_torch(model), "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}, "epoch": 69}
    source = torch_save(state, tmp_path / "2001.pth.tar")
    lines = []
    convert(source, tmp_path / "ours.pdparams", config, lines.append)
    check_same(tmp_path / "ours.pdparams", model, config)
    mapped = [line for line in lines if line.startswith("mapped")]
    assert len(mapped) == len(model.state_dict())
    assert any("module.main_stream.block-0_scn.bn.running_var -> main_stream.block-0_scn.bn._variance (16,)" in m for m in mapped)
    assert sum(line.startswith("unused") for line in lines) == sum(name.endswith("_mean") for name in model.state_dict())
    assert len(lines) == len(state["model"])


def test_a_checkpoint_of_another_paddle_port_becomes_ours(small, tmp_path):
    config, model, _ = small
    state = {name: (f"conv2d_{i}.w_0", value) for i, (name, value) in enumerate(as_torch(model, "backbone.").items())}
    state["backbone.classifier.fc.weight"] = (None, state["backbone.classifier.fc.weight"][1].reshape(60, 16))  # a linear layer
    state["StructuredToParameterName@@"] = {"a": "b"}
    (tmp_path / "port.pdparams").write_bytes(pickle.dumps({"state_dict": state}))
    convert(tmp_path / "port.pdparams", tmp_path / "ours.pdparams", config, lambda line: None)
    check_same(tmp_path / "ours.pdparams", model, config)


def test_safetensors_go_out_and_come_back(small, tmp_path):
    config, model, _ = small
    (tmp_path / "a.pdparams").write_bytes(pickle.dumps(as_torch(model, "")))
    convert(tmp_path / "a.pdparams", tmp_path / "b.safetensors", config, lambda line: None)
    assert set(read_weights(tmp_path / "b.safetensors")) == set(model.state_dict())
    convert(tmp_path / "b.safetensors", tmp_path / "c.pdparams", config, lambda line: None)
    check_same(tmp_path / "c.pdparams", model, config)


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth.tar", "a.pth", "a.pt"])
def test_a_file_that_is_not_converted_says_how_where_a_checkpoint_is_wanted(small, tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match=r"tools/convert_weights\.py"):
        read_checkpoint(tmp_path / name)


def test_fixed_tables_that_a_file_lacks_come_from_the_graph(small, tmp_path):
    config, model, _ = small
    state = {name: value for name, value in as_torch(model).items() if not name.endswith((".A", ".joints"))}
    (tmp_path / "a.pdparams").write_bytes(pickle.dumps(state))
    lines = []
    convert(tmp_path / "a.pdparams", tmp_path / "b.pdparams", config, lines.append)
    check_same(tmp_path / "b.pdparams", model, config)
    assert sum(line.startswith("from graph") for line in lines) == sum(n.endswith((".A", ".joints")) for n in model.state_dict())


def test_every_name_that_does_not_fit_is_reported_and_nothing_is_written(small, tmp_path, monkeypatch, capsys):
    _, model, path = small
    state = as_torch(model)
    state["module.extra.weight"] = np.zeros(3, "float32")
    state["classifier.fc.bias"] = state["module.classifier.fc.bias"]
    state["module.classifier.fc.weight"] = np.zeros((61, 16, 1, 1, 1), "float32")
    del state["module.input_branches.0.init_bn.weight"]
    (tmp_path / "a.pdparams").write_bytes(pickle.dumps(state))
    target = tmp_path / "b.pdparams"
    target.write_text("precious")
    monkeypatch.setattr(sys, "argv", ["convert_weights.py", str(tmp_path / "a.pdparams"), str(target), "-c", str(path)])
    assert run_command(main) == 2
    out, error = capsys.readouterr()
    assert "unexpected  module.extra.weight (3,)" in out and "missing     input_branches.0.init_bn.weight (6,)" in out
    assert "other shape module.classifier.fc.weight (61, 16, 1, 1, 1), needed (60, 16, 1, 1, 1)" in out
    assert "twice       classifier.fc.bias" in out
    assert error.count("\n") == 1 and "4 entries do not fit configuration small" in error
    assert target.read_text() == "precious" and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["x.bin", "x"])
def test_a_target_of_another_kind_is_refused(small, name):
    with pytest.raises(UserError, match="must end with"):
        convert("no matter", name, small[0])


# ---------------------------------------------------------------- files that can't be trusted


def hostile(name, tmp_path, torch_save):
    """Path of a PyTorch file that is damaged, or would do harm if it were believed."""
    path = torch_save({"w": np.arange(6, dtype="float32").reshape(2, 3)}, tmp_path / "a.pth")
    if name == "text":
        path.write_text("hello")
    elif name == "runs a command":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    elif name in ("view beyond the storage", "view larger than the storage", "negative offset", "no such storage"):
        with zipfile.ZipFile(path) as archive:
            data = archive.read("archive/data.pkl")
        changed = {  # the view's size (2, 3), strides (3, 1); BININT1 is K
            "view beyond the storage": data.replace(b"K\x03K\x01\x86", b"K\x09K\x01\x86"),
            "view larger than the storage": data.replace(b"K\x02K\x03\x86", b"J\xff\xff\xff\x7fK\x03\x86").replace(
                b"K\x03K\x01\x86", b"K\x00K\x00\x86"
            ),
            "negative offset": data.replace(b"QK\x00", b"QJ\xfd\xff\xff\xff"),
            "no such storage": data.replace(b"X\x01\x00\x00\x000", b"X\x01\x00\x00\x009"),
        }[name]
        assert changed != data
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", changed)
            archive.writestr("archive/data/0", np.arange(6, dtype="float32").tobytes())
    else:  # "compressed", which could become any size, or "no pickle"
        with zipfile.ZipFile(path) as archive:
            contents = {entry: archive.read(entry) for entry in archive.namelist()}
        if name == "no pickle":
            del contents["archive/data.pkl"]
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if name == "compressed" else zipfile.ZIP_STORED) as archive:
            for entry, content in contents.items():
                archive.writestr(entry, content)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "text",
        "runs a command",
        "view beyond the storage",
        "view larger than the storage",
        "negative offset",
        "no such storage",
        "compressed",
        "no pickle",
    ],
)
def test_a_hostile_or_damaged_file_is_one_clear_error(name, torch_save, tmp_path):
    path = hostile(name, tmp_path, torch_save)
    with pytest.raises(UserError, match=r"a\.pth") as error:
        read_weights(path)
    assert "\n" not in str(error.value) and not (tmp_path / "ran").exists()


def test_a_file_of_pytorch_before_1_6_says_what_to_do(tmp_path):
    parts = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {}, [])
    (tmp_path / "a.pth").write_bytes(b"".join(pickle.dumps(part, 2) for part in parts))
    with pytest.raises(UserError, match=r"a\.pth: saved by PyTorch before 1\.6.*load and save it with a newer one"):
        read_weights(tmp_path / "a.pth")


def test_a_file_cut_anywhere_is_refused(torch_save, tmp_path):
    path = torch_save({"model": {"w": np.ones((2, 3), "float32"), "b": np.zeros(4)}}, tmp_path / "a.pth")
    whole = path.read_bytes()
    assert len(read_weights(path)) == 2
    for length in [*range(0, len(whole), 7), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(UserError):
            read_weights(path)


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}", b"\xff" * 20])
def test_damaged_safetensors_are_refused(tmp_path, content):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.safetensors"):
        read_weights(tmp_path / "a.safetensors")


def test_torch_is_not_imported():
    command = "import sys, tools.convert_weights; sys.exit('torch' in sys.modules or 'paddle' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], cwd=ROOT, check=False).returncode == 0


@pytest.mark.full
def test_what_pytorch_itself_writes_is_read(published, tmp_path):
    torch = pytest.importorskip("torch")
    weights = weight_arrays({"model": load_pickle(published)["model"]})
    words = {"_mean": "running_mean", "_variance": "running_var"}
    state = OrderedDict()
    for name, value in weights.items():
        *layer, last = name.split(".")
        state[".".join(["module", *layer, words.get(last, last)])] = torch.nn.Parameter(torch.from_numpy(value.copy()), False)
    torch.save({"model": state, "best_state": {"cm": np.eye(60)}}, tmp_path / "a.pth.tar")
    convert(tmp_path / "a.pth.tar", tmp_path / "b.pdparams", load_config("2001"), lambda line: None)
    for name, value in weight_arrays(read_checkpoint(tmp_path / "b.pdparams")).items():
        np.testing.assert_array_equal(value, weights[name], err_msg=name)
