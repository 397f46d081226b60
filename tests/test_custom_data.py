"""Own data: any skeleton, number of bodies, coordinates and classes, from a folder of arrays to scores."""

import re

import numpy as np
import pytest
import yaml

import infer
from dataset.features import branch_features
from dataset.graph import MAX_HOP, NTU, Graph
from evaluation.scores import Scores
from initializer import build_feeder, build_model, class_names, data_shape, skeleton_graph
from main import main
from options.schema import FOLDER, load_config
from tests.helpers.exported import results
from tests.helpers.own_data import CLASSES, write_source
from tests.helpers.places import ROOT
from tests.helpers.small import TINY
from tools import import_data
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


LAYOUTS = {
    path.stem: yaml.safe_load(path.read_text()) for path in sorted((FOLDER / "graphs").glob("*.yaml")) if path.stem != "ntu"
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_has_its_joints_once_in_one_tree_whose_sides_mirror_each_other(own, name):
    graph = skeleton_graph(load_config(own(graph=name)))
    joints, count = graph.joint_names, int(name[-2:])
    assert len(set(joints)) == len(joints) == graph.num_joints == count
    roots = [joint for joint, parent in enumerate(graph.parents) if joint == parent]
    assert len(roots) == 1 and len(graph.bones) == count - 1
    assert {frozenset(bone) for bone in graph.bones} == {
        frozenset(pair) for pair in enumerate(graph.parents) if len(set(pair)) > 1
    }
    assert graph.hop_distance().max() <= MAX_HOP + 1 and reached_from(graph, roots[0]) == set(range(count))
    assert sorted(sum(graph.parts.values(), ())) == list(range(count))
    other = {"left": "right", "right": "left"}
    mirror = [joints.index(" ".join(other.get(word, word) for word in joint.split())) for joint in joints]
    assert [mirror[parent] for parent in graph.parents] == [graph.parents[joint] for joint in mirror]
    assert {frozenset(mirror[v] for v in part) for part in graph.parts.values()} == set(map(frozenset, graph.parts.values()))
    assert mirror[graph.centre] == graph.centre


def reached_from(graph, joint):
    """All joints that bones lead to from one."""
    reached = {joint}
    while more := {v for bone in graph.bones if reached & set(bone) for v in bone} - reached:
        reached |= more
    return reached


@pytest.mark.parametrize(
    "name, joints",
    [
        ("coco17", {0: "nose", 5: "left shoulder", 10: "right wrist", 16: "right ankle"}),
        ("openpose18", {0: "nose", 1: "neck", 4: "right wrist", 7: "left wrist", 17: "left ear"}),
        ("openpose25", {8: "mid hip", 4: "right wrist", 14: "left ankle", 19: "left big toe", 24: "right heel"}),
        ("halpe26", {9: "left wrist", 17: "head", 19: "hip", 21: "right big toe", 24: "left heel"}),
        ("mediapipe33", {0: "nose", 11: "left shoulder", 16: "right wrist", 23: "left hip", 32: "right foot index"}),
        ("h36m17", {1: "right hip", 4: "left hip", 8: "thorax", 13: "left wrist", 16: "right wrist"}),
        ("kinect20", {0: "hip centre", 3: "head", 7: "left hand", 19: "right foot"}),
        ("azure32", {2: "spine chest", 10: "left thumb", 15: "right hand", 26: "head", 31: "right ear"}),
        ("smpl24", {1: "left hip", 9: "spine 3", 15: "head", 23: "right hand"}),
        ("hand21", {0: "wrist", 4: "thumb 4", 8: "index 4", 20: "pinky 4"}),
    ],
)
def test_joints_of_a_layout_stand_in_the_order_of_its_files(name, joints):
    assert {number: LAYOUTS[name]["joints"][number] for number in joints} == joints


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
        ({"graph": "coco71"}, [], "coco17"),
        ({"num_person": 0}, [], "num_person"),
        ({}, [("generate_data", True)], "import_data"),
        ({}, [("check", True)], "import_data"),
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
    import_data.import_data(tmp_path / "source", load_config(own()))
    with pytest.raises(UserError, match=part):
        build_feeder(load_config(own(**changes)), "train")


# ---------------------------------------------------------------- the whole way


def test_own_data_are_trained_on_scored_by_name_exported_and_recognised_from_the_same_files(own, tmp_path, capsys):
    write_source(tmp_path / "source")
    path = own()
    import_data.import_data(tmp_path / "source", load_config(path))
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
    capsys.readouterr()
    assert main([*command, "-ex", "-pp", str(tmp_path / "work" / "model.pdparams")]) == 0
    capsys.readouterr()
    recognise = ["--model_file", str(tmp_path / "work" / "model"), "--top_k", "1"]
    for source in (tmp_path / "source" / "eval" / "wave", tmp_path / "source" / "eval" / "sit down"):
        assert infer.main([*recognise, "--data_file", str(source)]) == 0
    lines = results(capsys.readouterr().out)
    recognised = {
        name.rsplit(".", 1)[0]: line.split(" ", 1)[1].rsplit(" ", 1)[0]
        for name, line in zip(lines[::2], lines[1::2], strict=True)
    }
    best = dict(zip(scores.names, scores.logits.argmax(axis=1), strict=True))
    assert recognised == {name: CLASSES[label] for name, label in best.items()}


# ---------------------------------------------------------------- the table of what a user may have

TESTED = {  # form in docs/custom_data.md, without code: (file, test)
    "folder of NTU RGB+D's files": ("generator", "test_data_set_equals_the_published_one"),
    "pyskl or MMAction2 pickle, 3D": ("import_data", "test_a_pickle_of_pyskl_gives_what_gd_gives"),
    "pyskl or MMAction2 pickle, 2D": ("import_data", "test_a_2d_pickle_is_imported_for_a_configuration_of_coco17"),
    "CTR-GCN npz": ("import_data", "test_npz_files_of_ctr_gcn_are_imported_and_what_was_done_to_them_is_said"),
    "ST-GCN folder": ("import_data", "test_folders_of_st_gcn_are_imported"),
    "2s-AGCN folder": ("import_data", "test_samples_of_2s_agcn_are_refused_without_view_normalisation_unless_asked_for"),
    "PaddleVideo folder": ("import_data", "test_folders_of_st_gcn_are_imported"),
    "folder of txt2npy.py's dicts": ("import_data", "test_a_folder_of_txt2npy_s_dicts_is_imported"),
    "your own folder": ("import_data", "test_arrays_and_json_become_a_data_set"),
    "file of a Kinect v2, up to 6 bodies": ("recordings", "test_what_nobody_uses_may_be_damaged_and_six_bodies_may_be_seen"),
    "array (T, V, C)": ("recordings", "test_arrays_are_told_apart_by_their_axes"),
    "array (T, M, V, C) of a pose estimator": ("recordings", "test_arrays_of_pose_estimators"),
    "nested lists in JSON": ("recordings", "test_own_json_takes_bodies_that_come_and_go"),
    "OpenPose's folder": ("recordings", "test_a_folder_of_openpose_is_one_recording"),
    "Azure Kinect's JSON": ("recordings", "test_azure_kinect_is_taken_as_it_is_and_as_ntu_s_joints_in_metres_with_y_up"),
    "ZED's": ("recordings", "test_zed_joints_that_are_not_seen_are_zero"),
    "Kinetics-skeleton's JSON": ("recordings", "test_kinetics_has_the_joints_of_openpose"),
    "MediaPipe's landmarks, array": ("recordings", "test_landmarks_of_mediapipe_are_an_array"),
    "MediaPipe's landmarks, CSV": ("recordings", "test_mediapipe_csv_with_a_row_a_frame"),
    "arrays in Python": ("recordings", "test_arrays_are_told_apart_by_their_axes"),
}  # fmt: skip


def test_every_form_in_the_table_of_the_docs_is_tested():
    table = (ROOT / "docs" / "custom_data.md").read_text(encoding="utf-8").split("| --- | --- |\n")[1].split("\n\n")[0]
    forms = [" ".join(re.sub("`[^`]*`", "", row.split("|")[1]).split()) for row in table.splitlines()]
    assert len(forms) == len(TESTED) == 20
    for form, (name, (file, test)) in zip(forms, TESTED.items(), strict=True):
        assert form.startswith(name), form
        assert f"def {test}(" in (ROOT / "tests" / f"test_{file}.py").read_text(encoding="utf-8"), test
