"""Small networks, exported; recordings and data sets for them."""

import pickle

import numpy as np
import paddle
import pytest

import infer
import initializer
from dataset.actions import action_names
from dataset.features import branch_features
from dataset.graph import NTU
from export.program import export_program
from export.record import export_record
from inference.engines import open_engine
from options.schema import load_config
from tests.helpers.skeleton_corpus import skeleton_bytes
from tests.helpers.small import TINY, fill
from utils.command import run_command

SETTINGS = {**TINY, "model_args.block_args": "[[16, 1, 0]]", "model_args.fusion_stage": "0"}  # exports take half the time of TINY's
NAMES = [f"S001C001P001R001A{number:03}.skeleton" for number in (1, 2, 3)]


def wide_network(number):
    """A small network of a configuration whose classes are well apart."""
    network = fill(initializer.build_model(load_config(number, SETTINGS.items())))
    network.classifier.fc.weight.set_value(network.classifier.fc.weight * 5)
    network.eval()
    return network


def export(network, config, prefix, checkpoint, **options):
    record = export_record(config, checkpoint, NTU, action_names(60))
    shape = initializer.data_shape(config)
    export_program(network, prefix, data_shape=shape, record=record, open_engine=open_engine, **options)


@pytest.fixture(scope="session")
def exports(tmp_path_factory):
    """Folder with a small network, T = 8, exported.

    net (two bodies; Paddle and ONNX), one (one body), recordings (Paddle, of coordinates), view (normalised).
    """
    folder = tmp_path_factory.mktemp("exports")
    checkpoint = folder / "weights"
    checkpoint.write_bytes(b"any")
    for name, number, to, options in (
        ("net", "2001", "paddle", {}),
        ("net", "2001", "onnx", {}),
        ("one", "2001", "paddle", {"one_body": True}),
        ("one", "2001", "onnx", {"one_body": True}),
        ("recordings", "2001", "paddle", {"coordinates": True}),
        ("view", "2002", "onnx", {}),
    ):
        config = load_config(number, SETTINGS.items())
        export(wide_network(number), config, folder / name, checkpoint, to=to, **options)
    return folder


@pytest.fixture
def model():
    return wide_network("2001")


@pytest.fixture
def recordings(tmp_path):
    """A folder with three .skeleton files: three bodies, one body, one that comes late."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    for seed, (name, bodies) in enumerate(zip(NAMES, ((3,) * 12, (1,) * 9, (0, 0, 1, 1, 1, 1)), strict=True)):
        (folder / name).write_bytes(skeleton_bytes(seed, bodies))
    return folder


@pytest.fixture
def dataset(tmp_path):
    """Paths of (data, labels) with seven samples, every second one with one body, the last one empty."""
    data = np.random.default_rng(5).normal(0, 0.4, (7, 3, 300, 25, 2)).astype("float32")
    data[::2, ..., 1] = 0
    data[6] = 0
    names = [f"folder/S001C001P00{i}R001A00{i}.skeleton" for i in range(1, 8)]
    np.save(tmp_path / "data.npy", data)
    with open(tmp_path / "label.pkl", "wb") as file:
        pickle.dump((names, [0, 1, 2, 3, 4, 5, 6], [300] * 7), file, 4)
    return tmp_path / "data.npy", tmp_path / "label.pkl"


def live_logits(model, coordinates):
    with paddle.no_grad():
        return model(paddle.to_tensor(branch_features(coordinates[:, :, :8], NTU)))[0].numpy()


def probabilities(logits):
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def run(capsys, *argv):
    """(exit code, stdout, stderr) of the command in this process."""
    code = run_command(lambda: infer.main([str(word) for word in argv]))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def results(out):
    """Lines of a command's output without its notes, as that these small programs take few frames."""
    return [line for line in out.splitlines() if not line.startswith("note: ")]


def linear_network():
    """The simplest network of features; Paddle 3 can still write it in the form of Paddle 2."""
    return fill(paddle.nn.Sequential(paddle.nn.Flatten(), paddle.nn.Linear(3 * 6 * 8 * 25 * 2, 60)))
