"""Own data: any skeleton, number of bodies, coordinates and classes, from a folder of arrays to scores."""

import numpy as np
import pytest
import yaml

from dataset.features import branch_features
from dataset.graph import NTU, Graph
from evaluation.scores import Scores
from initializer import build_feeder, build_model, class_names, data_shape, skeleton_graph
from main import main
from options.schema import FOLDER, load_config
from tests.helpers.own_data import CLASSES, write_source
from tests.helpers.small import TINY
from tools import convert_arrays
from utils.errors import UserError

pytest_plugins = ["tests.helpers.own_data"]

CHAIN = {
    "joints": ["hip", "chest", "head"],
    "bones": [["hip", "chest"], ["chest", "head"]],
    "parents": {"hip": "chest", "head": "chest"},
    "parts": {"low": ["hip"], "high": ["chest", "head"]},
    "centre": "chest",
}


# ---------------------------------------------------------------- the skeleton


def test_coco18_is_one_tree_with_the_bones_that_its_parents_say():
    content = yaml.safe_load((FOLDER / "graphs" / "coco18.yaml").read_text())
    graph = Graph.from_names("coco18", **content)
    assert graph.num_joints == 18 and len(graph.bones) == 17
    assert {frozenset(bone) for bone in graph.bones} == {
        frozenset((joint, parent)) for joint, parent in enumerate(graph.parents) if joint != parent
    }
    assert graph.hop_distance().max() <= 8  # every joint is reached from every other
    assert [content["joints"][i] for i in (0, 1, 4, 7, 17)] == ["nose", "neck", "right wrist", "left wrist", "left ear"]
    assert graph.centre == 1 and sorted(sum(graph.parts.values(), ())) == list(range(18))


def test_names_become_numbers_in_the_order_of_the_joints():
    graph = Graph.from_names("chain", **CHAIN)
    assert graph == Graph("chain", ((0, 1), (1, 2)), (1, 1, 1), {"low": (0,), "high": (1, 2)}, 1)
    assert graph.part_of_joint.tolist() == [0, 1, 1]
    features = branch_features(np.arange(2 * 4 * 3, dtype="float32").reshape(2, 4, 3, 1), graph, "JB")
    assert features.shape == (2, 4, 4, 3, 1)
    assert (features[0, 2:, :, 1] == 0).all() and (features[1, :2, :, 1] == 0).all()  # the centre, and the joint without bone
    assert (features[1, :2, :, 0] == -1).all() and (features[1, :2, :, 2] == 1).all()


def test_the_ntu_layout_is_the_default():
    assert skeleton_graph(load_config("2001")) is NTU
    assert data_shape(load_config("2001")) == (3, 6, 288, 25, 2)


def test_a_layout_of_ones_own_is_stored_with_the_configuration(own, tmp_path):
    (tmp_path / "chain.yaml").write_text(yaml.safe_dump(CHAIN))
    config = load_config(own(graph=str(tmp_path / "chain.yaml")))
    assert skeleton_graph(config) == Graph.from_names("chain", **CHAIN)
    (tmp_path / "chain.yaml").unlink()
    (tmp_path / "stored.yaml").write_text(yaml.safe_dump(config.plain()))
    again = load_config(str(tmp_path / "stored.yaml"))
    assert again.plain() == config.plain() | {"config": "stored"}


@pytest.mark.parametrize(
    "change, part",
    [
        ({"centre": "knee"}, "'knee'"),
        ({"parents": {"hip": "foot"}}, "'foot'"),
        ({"bones": [["hip", "ches"]]}, "'ches'"),
        ({"bones": [["hip"]]}, "bones"),
        ({"parts": {"low": ["hip"], "high": ["chest"]}}, "'head'.*no part"),
        ({"parts": {"low": ["hip", "chest"], "high": ["chest", "head"]}}, "'chest'.*twice in parts"),
        ({"joints": 3}, "joints"),
        ({"joints": ["hip", "chest", "head", "hip"]}, "'hip'.*twice in joints"),
        ({"centr": "hip"}, "centr"),
        ({"parts": {}}, "parts"),
    ],
)
def test_a_mistake_in_a_layout_is_named(own, tmp_path, change, part):
    (tmp_path / "chain.yaml").write_text(yaml.safe_dump(CHAIN | change))
    with pytest.raises(UserError, match=part) as error:
        load_config(own(graph=str(tmp_path / "chain.yaml")))
    assert "\n" not in str(error.value)


# ---------------------------------------------------------------- the configuration


@pytest.mark.parametrize(
    "changes, overrides, part",
    [
        ({}, [("dataset", "custom")], "custom-NAME"),
        ({}, [("dataset", "custom-../x")], "custom-NAME"),
        ({"class_names": None}, [], "class_names"),
        ({"graph": "coco17"}, [], "coco18"),
        ({"num_person": 0}, [], "num_person"),
        ({}, [("generate_data", True)], "convert_arrays"),
        ({}, [("check", True)], "convert_arrays"),
        ({"ntu60_path": "x"}, [], "ntu60_path"),
        ({"graph": 5}, [], "graph"),
    ],
)
def test_a_mistake_in_the_configuration_is_named(own, changes, overrides, part):
    with pytest.raises(UserError, match=part):
        load_config(own(**changes), overrides)


def test_classes_come_from_the_text_file(own):
    assert class_names(load_config(own())) == CLASSES
    assert build_model(load_config(own())).classifier.fc.weight.shape[0] == 3


@pytest.mark.parametrize(
    "text, part", [("", "no class"), ("# only\n", "no class"), ("a\nb\na\n", "'a' stands twice"), (None, "read")]
)
def test_a_class_file_that_can_not_be_used_is_named(own, tmp_path, text, part):
    config = load_config(own())
    (tmp_path / "classes.txt").unlink()
    if text is not None:
        (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(UserError, match=rf"classes\.txt.*{part}"):
        class_names(config)


@pytest.mark.parametrize(
    "changes, part",
    [
        ({"num_person": 2}, "num_person"),
        ({"num_channel": 3}, "num_channel"),
        ({"graph": None}, "V = 25"),
        ({"num_frame": 9}, "T = 9"),
    ],
)
def test_data_of_another_shape_stops_before_training(own, tmp_path, changes, part):
    write_source(tmp_path / "source")
    convert_arrays.convert(tmp_path / "source", load_config(own()))
    with pytest.raises(UserError, match=part):
        build_feeder(load_config(own(**changes)), "train")


# ---------------------------------------------------------------- the whole way


def test_own_data_are_trained_on_and_scored_by_name(own, tmp_path, capsys):
    write_source(tmp_path / "source")
    path = own()
    convert_arrays.convert(tmp_path / "source", load_config(path))
    options = {key: value for key, value in TINY.items() if not key.startswith("dataset_args")} | {
        "scheduler_args.cosine.max_epoch": "1",
        "work_dir": str(tmp_path / "work"),
    }
    command = ["-c", path, *(f"--{key}={value}" for key, value in options.items())]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "Data shape (branch, channel, frame, joint, person): [3, 4, 8, 18, 1]" in out
    assert "Number of action classes: 3" in out
    assert main([*command, "-e", "-pp", str(tmp_path / "work" / "model.pdparams")]) == 0
    (file,) = (tmp_path / "work" / "temp").glob("*/scores.npz")
    scores = Scores.load(file)
    assert sorted(scores.names) == [f"eval{i}" for i in range(6)] and scores.logits.shape == (6, 3)
