"""Exported programs: the logits of the network that they come from on every engine, or no export."""

import os
import shutil
import signal
from types import SimpleNamespace

import numpy as np
import paddle
import pytest
import yaml

from dataset.actions import action_names
from dataset.graph import NTU
from inference.engines import Program, open_engine
from options.schema import load_config
from tests.helpers.lengths import coordinates
from tests.helpers.programs import LEAST, LEAST_RECORD, export, export_least, least, live_logits, record
from tests.helpers.raw_folders import contents
from training.checkpoint import load_weights
from utils.errors import UserError

FAMILY = [
    *({"layer_type": layer, "expand_ratio": ratio} for layer in ("Basic", "Bottleneck", "Sep", "SG") for ratio in (0, 2)),
    *({"att_type": name} for name in ("pa", "ca", "fa", "ja", "none")),
    *({"act_type": name} for name in ("relu", "relu6", "hswish")),
    {"edge": False}, {"bias": False}, {"fusion_stage": 0}, {"reduct_ratio": 4}, {"kernel_size": [3, 0]},
    {"kernel_size": [5, 1]}, {"kernel_size": [1, 2], "block_args": [[16, 1, 1]], "fusion_stage": 0}, {"model_type": "EfficientGCN-B4"}, {"block_args": [[16, 2, 1], [16, 3, 2], [32, 1, 0]]},
]  # fmt: skip


def features(size, shape, seed=7):
    return np.random.default_rng((seed, size)).normal(0, 0.5, (size, *shape)).astype("float32")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The least network, in training before it was exported for Paddle and ONNX as `folder`/net."""
    model, folder = least(), tmp_path_factory.mktemp("exported")
    model.train()
    for to in ("paddle", "onnx"):
        export_least(model, folder / "net", to=to)
    return SimpleNamespace(model=model, training=model.training and model.main_stream.training, folder=folder)


def engines(folder):
    programs = yaml.safe_load(next(folder.glob("*.yaml")).read_text())["programs"]
    return {engine: result for entry in programs.values() for engine, result in entry["engines"].items()}


@pytest.mark.parametrize(
    "changes", [FAMILY[0], FAMILY[9], *(pytest.param(c, marks=pytest.mark.full) for c in FAMILY[1:9] + FAMILY[10:])], ids=str
)
def test_every_member_of_the_family_exports_to_each_engine(tmp_path, small_network, changes):
    shape = (3, 6, 120, 3, 2)  # of which frames are left out
    model = small_network(data_shape=shape, **changes)
    for to in ("paddle", "onnx"):
        export(model, tmp_path / "net", shape, record(120), to=to)
    assert engines(tmp_path).keys() == {"native", "onednn", "onnxruntime"}
    assert all(result["verified"] for result in engines(tmp_path).values()), engines(tmp_path)


@pytest.mark.parametrize("to", ["paddle", "onnx"])
def test_a_program_has_the_adjacency_of_its_checkpoint_however_that_is_normalised(tmp_path, to):
    model, x = least(), features(2, LEAST)
    before = live_logits(model, x)
    weights = {name: tensor.numpy() * (0.5 if name.endswith(".A") else 1) for name, tensor in model.state_dict().items()}
    load_weights(model, {"model": weights}, "c")
    export_least(model, tmp_path / "net", to=to)
    assert abs(live_logits(model, x) - before).max() > 1e-2
    assert all(result["verified"] for result in engines(tmp_path).values()), engines(tmp_path)


def test_a_program_for_one_body_gives_logits_whose_mean_over_bodies_is_the_sample_s(tmp_path, small_network):
    model = small_network(data_shape=LEAST, block_args=[[16, 1, 0]], fusion_stage=0)
    export_least(model, tmp_path / "net", one_body=True)
    x = features(4, LEAST)
    run = open_engine(tmp_path / "net.json", "native")
    bodies = np.mean([run(x[..., body : body + 1]) for body in range(2)], axis=0)
    np.testing.assert_allclose(bodies, live_logits(model, x), atol=1e-5)


def test_softmax_comes_as_a_second_output(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    export_least(least(), tmp_path / "net", to="onnx", softmax=True)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    assert [output.name for output in session.get_outputs()] == ["logits", "probabilities"]
    logits, probabilities = session.run(None, {"x": coordinates([[8, 3], [5, 0]], 8)})
    np.testing.assert_allclose(probabilities, np.exp(logits) / np.exp(logits).sum(1, keepdims=True), atol=1e-6)


def test_a_triton_repository_holds_a_program_that_fits_its_description(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    export_least(least(), tmp_path / "net", to="triton")
    folder = tmp_path / "net.triton" / "net"
    text = (folder / "config.pbtxt").read_text()
    session = onnxruntime.InferenceSession(folder / "1" / "model.onnx")
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    (batch, *dims), (_, *classes) = ([n if isinstance(n, int) else -1 for n in value.shape] for value in (given, made))
    assert f'name: "{given.name}" data_type: TYPE_FP32 dims: {dims}' in text and dims == [3, -1, 3, 2]
    assert f'name: "{made.name}" data_type: TYPE_FP32 dims: {classes}' in text and classes == [4]
    assert batch == -1 and "max_batch_size: 16" in text and "dynamic_batching" in text
    assert (folder / "labels.txt").read_text().split() == LEAST_RECORD["classes"]


def lying(wrong_engine):
    """open_engine whose `wrong_engine` returns logits that are a little off."""

    def open_wrongly(file, engine):
        run = open_engine(file, engine)
        return lambda x: run(x) * (1.01 if engine == wrong_engine else 1)

    return open_wrongly


@pytest.mark.parametrize(("to", "engine"), [("paddle", "native"), ("onnx", "onnxruntime")])
def test_a_program_with_other_logits_is_refused_and_the_older_export_stays(exported, tmp_path, to, engine):
    shutil.copytree(exported.folder, tmp_path, dirs_exist_ok=True)
    with pytest.raises(UserError, match=f"nothing exported; {engine}: not verified .logits off by 1.0e-02"):
        export_least(exported.model, tmp_path / "net", to=to, engine=lying(engine))
    assert contents(tmp_path) == contents(exported.folder)


@pytest.mark.parametrize("cut", ["json", "pdiparams"])
@pytest.mark.parametrize("to", ["paddle", "onnx"])
def test_a_program_that_paddle_cut_short_is_no_export(tmp_path, monkeypatch, to, cut):
    """On a full disk Paddle writes what fits, and says nothing."""
    save = paddle.jit.save

    def cut_short(layer, prefix):
        save(layer, prefix)
        os.truncate(f"{prefix}.{cut}", os.path.getsize(f"{prefix}.{cut}") // 2)

    monkeypatch.setattr(paddle.jit, "save", cut_short)
    with pytest.raises(UserError, match=r"no room for a program of \d+ bytes"):
        export_least(least(), tmp_path / "small", to=to)
    assert not list(tmp_path.iterdir())


def test_ctrl_c_while_paddle_makes_a_program_waits_until_it_is_made(tmp_path, monkeypatch):
    """It asks Python for the stack at each operation, and the process crashes where a signal is raised there."""
    save, made = paddle.jit.save, []

    def struck(layer, prefix):
        signal.raise_signal(signal.SIGINT)
        save(layer, prefix)
        made.append(prefix)

    monkeypatch.setattr(paddle.jit, "save", struck)
    old = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            export_least(least(), tmp_path / "small")
    finally:
        signal.signal(signal.SIGINT, old)
    assert made and not list(tmp_path.iterdir())


@pytest.mark.parametrize("bad", [lambda x: np.full((len(x), 4), np.nan), lambda x: np.zeros((len(x), 5))], ids=["nan", "size"])
def test_logits_that_are_not_numbers_or_of_another_size_are_refused_and_leave_nothing(tmp_path, bad):
    with pytest.raises(UserError, match=r"nothing exported; native: not verified \(logits off by inf"):
        export_least(least(), tmp_path / "net", engine=lambda file, engine: bad)
    assert not list(tmp_path.iterdir())


def test_an_engine_that_differs_or_fails_is_recorded_as_not_verified(tmp_path):
    lines = export_least(least(), tmp_path / "net", engine=lying("onednn"))
    assert engines(tmp_path)["native"]["verified"] and not engines(tmp_path)["onednn"]["verified"]
    assert any(line.startswith("onednn: not verified (logits off by 1.0e-02") for line in lines)

    def fails(file, engine):
        if engine == "onednn":
            raise RuntimeError("no such thing\nhere")
        return open_engine(file, engine)

    export_least(least(), tmp_path / "net", engine=fails)
    assert engines(tmp_path)["onednn"] == {"verified": False, "reason": "no such thing here"}


def test_gpu_engines_have_tolerances_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(paddle, "is_compiled_with_cuda", lambda: True)
    monkeypatch.setattr(paddle.device.cuda, "device_count", lambda: 1)
    network = least()

    def gpu(tf32, half):
        def open_gpu(file, engine, precision="fp32"):
            program, error = open_engine(file, "native" if engine == "gpu" else engine), half if precision == "fp16" else tf32
            return lambda x: program(x) * (1 + error if engine == "gpu" else 1)

        return open_gpu

    export_least(network, tmp_path / "net", engine=gpu(3e-3, 1e-2))
    assert engines(tmp_path)["gpu"]["verified"] and engines(tmp_path)["gpu fp16"]["verified"]
    export_least(network, tmp_path / "net", engine=gpu(1e-2, 5e-2))
    assert not engines(tmp_path)["gpu"]["verified"] and not engines(tmp_path)["gpu fp16"]["verified"]
    monkeypatch.setattr("inference.engines.open_engine", lambda *a, **k: None)
    with pytest.raises(UserError, match=r"not verified with gpu fp16.*; export on a machine with a GPU, which verifies it"):
        Program(tmp_path / "net", "gpu", precision="fp16")


def test_programs_of_one_checkpoint_share_a_record_and_those_of_another_are_dropped_from_it(exported, tmp_path):
    shutil.copytree(exported.folder, tmp_path, dirs_exist_ok=True)
    programs = yaml.safe_load((tmp_path / "net.yaml").read_text())["programs"]
    assert {name for entry in programs.values() for name in entry["files"]} == {"net.json", "net.pdiparams", "net.onnx"}
    other = {**LEAST_RECORD, "source": {"checkpoint": "last.pdparams", "sha256": "1" * 64}}
    export_least(exported.model, tmp_path / "net", record=other)
    assert list(yaml.safe_load((tmp_path / "net.yaml").read_text())["programs"]) == ["paddle"]


def test_exporting_leaves_the_network_training_as_it_was(exported):
    assert exported.training


def test_a_folder_that_can_t_be_made_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"net\.json: can't be written"):
        export_least(least(), tmp_path / "file" / "net")


def test_an_export_killed_while_it_is_put_in_place_is_never_run_as_a_mixture(exported, tmp_path, monkeypatch):
    network, folder = least(), tmp_path / "at"
    shutil.copytree(exported.folder, folder, ignore=shutil.ignore_patterns("*.onnx"))
    before = Program(folder / "net", "native")(features(1, LEAST))
    network.classifier.fc.bias.set_value(network.classifier.fc.bias * 0 + 9)
    kills = []  # what a SIGKILL would leave before each file that is put in place

    def replace(*paths, replace=os.replace):
        kills.append(shutil.copytree(folder, tmp_path / f"killed{len(kills)}"))
        replace(*paths)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        patch.setattr(os, "getpid", lambda: 4194304)  # of no process that lives
        export_least(network, folder / "net")
    assert len(kills) == 3
    np.testing.assert_array_equal(Program(kills[0] / "net", "native")(features(1, LEAST)), before)
    with pytest.raises(UserError, match="not the file of this export; export again"):
        Program(kills[2] / "net", "native")
    assert any(path.suffix == ".tmp" for path in kills[2].iterdir())
    export_least(network, kills[2] / "net")
    assert contents(kills[2]).keys() == {"net.json", "net.pdiparams", "net.yaml"}


def test_a_record_tells_where_the_program_comes_from(tmp_path):
    from export.record import export_record
    from utils.files import sha256

    path = tmp_path / "best.pdparams"
    path.write_bytes(b"weights")
    record = export_record(load_config("2002"), path, NTU, action_names(60))
    assert record["source"] == {
        "checkpoint": "best.pdparams", "sha256": sha256(path), "config": "2002", "dataset": "ntu-xview",
        "model": "EfficientGCN-B0"}  # fmt: skip
    assert record["preprocessing"]["transform"] is True and record["preprocessing"]["num_frame"] == 288
    assert len(record["classes"]) == 60 and record["classes"][6] == "throw"
    assert SimpleNamespace(**record["preprocessing"]["graph"]).parents == list(NTU.parents)
