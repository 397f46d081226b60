"""Weights of other programs become ours: those of PyTorch, of other Paddle ports, safetensors."""

import pickle
import sys
from collections import OrderedDict

import numpy as np
import paddle
import pytest

from dataset.features import branch_features
from dataset.graph import NTU
from initializer import build_model, data_shape
from model.nets import EfficientGCN
from options.schema import load_config
from tests.helpers.places import SHARED
from tests.helpers.small import fill
from tools.convert_weights import convert, main, read_weights
from training.checkpoint import load_weights, read_checkpoint, weight_arrays
from utils.command import run_command
from utils.errors import UserError
from utils.pickles import load_pickle

pytest_plugins = ["tests.helpers.torch_saved"]


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


@pytest.mark.parametrize("name", ["a.pth.tar", "a.pth", "a.pt"])
def test_a_file_that_is_not_converted_says_how_where_a_checkpoint_is_wanted(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match=r"tools/convert_weights\.py"):
        read_checkpoint(tmp_path / name)


def test_tables_of_joints_that_a_file_lacks_come_from_the_graph_and_A_from_the_hops_that_are_said(small, tmp_path):
    config, model, _ = small
    state = {name: value for name, value in as_torch(model).items() if not name.endswith((".A", ".joints"))}
    (tmp_path / "a.pdparams").write_bytes(pickle.dumps(state))
    with pytest.raises(UserError, match=r"a\.pdparams: holds no A, .* --hops 10 .* --hops 3"):
        convert(tmp_path / "a.pdparams", tmp_path / "b.pdparams", config, lambda line: None)
    lines = []
    convert(tmp_path / "a.pdparams", tmp_path / "b.pdparams", config, lines.append, hops=10)
    check_same(tmp_path / "b.pdparams", model, config)
    assert sum(line.startswith("not in file") for line in lines) == sum(n.endswith((".A", ".joints")) for n in model.state_dict())
    convert(tmp_path / "a.pdparams", tmp_path / "c.pdparams", config, lines.append, hops=3)
    for name, array in weight_arrays(read_checkpoint(tmp_path / "c.pdparams")).items():
        if name.endswith(".A"):
            np.testing.assert_allclose(array, NTU.adjacency(3)[:3], rtol=1e-6)


@pytest.fixture(scope="module")
def sep():
    """Path of a case's weights of configuration 2013."""

    def case(name):
        path = SHARED / "cases" / name
        return path if path.is_file() else pytest.skip(f"{path} is absent")

    return case


def test_weights_whose_A_is_normalised_over_3_hops_are_converted_exported_and_saved_with_it(sep, tmp_path):
    source, config = sep("sep_A_of_3_hops.safetensors"), load_config("2013")
    convert(source, tmp_path / "a.pdparams", config, lambda line: None)
    model = build_model(config)
    load_weights(model, read_checkpoint(tmp_path / "a.pdparams"), "a")
    theirs = read_weights(source)
    args = [data_shape(config), 60, NTU.adjacency(3), NTU.part_of_joint]
    by_hand = EfficientGCN(*args, model_type=config.model_type, **dict(config.model_args))
    for name, tensor in by_hand.state_dict().items():
        if not name.endswith(".A"):
            tensor.set_value(theirs[name])
    x = branch_features(np.random.default_rng(0).normal(size=(1, 3, 8, 25, 2)).astype("float32"), NTU, "JVB")
    for network in (model, by_hand):
        network.eval()
    logits = [network(paddle.to_tensor(x))[0].numpy() for network in (model, by_hand)]
    np.testing.assert_allclose(*logits, atol=1e-5)
    convert(tmp_path / "a.pdparams", tmp_path / "b.safetensors", config, lambda line: None)
    for name, array in read_weights(tmp_path / "b.safetensors").items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


def test_weights_without_A_are_never_filled_in_silently(sep, tmp_path):
    source = sep("sep_without_A.safetensors")
    with pytest.raises(UserError, match=r"sep_without_A\.safetensors: holds no A, .* --hops 3"):
        convert(source, tmp_path / "a.pdparams", load_config("2013"), lambda line: None)
    assert not list(tmp_path.iterdir())
    convert(source, tmp_path / "a.safetensors", load_config("2013"), lambda line: None, hops=3)
    whole = read_weights(sep("sep_A_of_3_hops.safetensors"))
    for name, array in read_weights(tmp_path / "a.safetensors").items():
        np.testing.assert_allclose(array, whole[name], rtol=1e-6, err_msg=name)


def test_weights_of_another_configuration_say_of_which(sep, tmp_path):
    said = r"it has layer_type Sep, needed SG; it fits -c 2013, 2014; \d+ entries"
    with pytest.raises(UserError, match=said):
        convert(sep("sep_A_of_3_hops.safetensors"), tmp_path / "a.pdparams", load_config("2001"), lambda line: None)


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


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}", b"\xff" * 20])
def test_damaged_safetensors_are_refused(tmp_path, content):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.safetensors"):
        read_weights(tmp_path / "a.safetensors")


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
