"""tools/publish.py: a checkpoint as a folder that others can use, with nothing of this machine in it."""

import json
import subprocess
import sys

import numpy as np
import paddle
import pytest

from initializer import build_model
from options.schema import load_config
from tests.helpers.places import ROOT, environment
from tools.publish import FILES, publish
from training.checkpoint import read_checkpoint, weight_arrays
from utils.errors import UserError


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """(folder, arrays of the checkpoint) of a view-normalised configuration with 3 blocks."""
    place = tmp_path_factory.mktemp("publish")
    (place / "mine.yaml").write_text(
        f"dataset: ntu-xview\nwork_dir: {place}\ndataset_args: {{ntu: {{transform: true, num_frame: 60, root_folder: {place}}}}}\n"
        "model_args: {block_args: [[16, 1, 1], [16, 2, 1], [16, 1, 0]], fusion_stage: 1}\n"
    )
    config = load_config(str(place / "mine.yaml"))
    paddle.seed(0)
    model = build_model(config)
    state = {"model": model.state_dict(), "opt": {"moment": paddle.zeros([9])}, "best_state": {"acc_top1": 0.875, "cm": np.eye(60)}}
    paddle.save(state, str(place / "best.pdparams"))
    publish(place / "best.pdparams", place / "out", config, "CC0-1.0")
    return place / "out", weight_arrays(read_checkpoint(place / "best.pdparams"))


def test_the_folder_holds_the_weights_and_is_a_checkpoint_itself(published):
    folder, arrays = published
    assert {path.name for path in folder.iterdir()} == set(FILES)
    found = weight_arrays(read_checkpoint(folder))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_its_configuration_builds_the_same_network_and_input(published):
    folder, arrays = published
    config = load_config(str(folder / "config.yaml"))
    assert {name: tuple(tensor.shape) for name, tensor in build_model(config).state_dict().items()} == {
        name: array.shape for name, array in arrays.items()
    }
    assert (config.dataset, config.data.transform, config.data.num_frame) == ("ntu-xview", True, 60)


def test_texts_tell_what_is_known_and_nothing_of_the_machine(published):
    folder, _ = published
    texts = {name: (folder / name).read_text() for name in FILES[1:]}
    assert not [name for name, text in texts.items() if str(folder.parent) in text]
    assert "| 87.50% | not recorded |" in texts["README.md"] and "$" not in texts["README.md"]
    assert texts["class_names.txt"].splitlines() == json.loads(texts["record.json"])["classes"]
    done = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_stands_in_the_folder_is_not_lost(published, tmp_path):
    folder, _ = published
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"notes\.txt: is not written by this command"):
        publish(folder, tmp_path, load_config(str(folder / "config.yaml")), "CC0-1.0")
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["notes.txt"]


def test_weights_of_another_network_are_one_line(published, tmp_path):
    command = [sys.executable, "tools/publish.py", str(published[0]), str(tmp_path / "out"), "-c", "2001", "--license", "CC0-1.0"]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert not (tmp_path / "out").exists()
