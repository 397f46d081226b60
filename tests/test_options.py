"""Configurations: defaults, files, command line, and one clear line for every mistake."""

import copy
import random
import shlex

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset.actions import read_names
from options import schema
from options.command_line import JOB, parse_command_line, same_command
from options.schema import FOLDER, load_config
from tests.helpers.places import SHARED
from utils.errors import UserError


def test_2001_is_the_published_setting():
    values = load_config("2001").plain()
    expected = {
        "dataset": "ntu-xsub", "gpus": [0], "seed": 1, "work_dir": "./workdir", "no_progress_bar": False,
        "model_type": "EfficientGCN-B0", "optimizer": "Momentum", "lr_scheduler": "cosine",
    }  # fmt: skip
    assert {key: values[key] for key in expected} == expected
    assert values["dataset_args"]["ntu"] == {
        "train_batch_size": 16, "eval_batch_size": 16, "num_frame": 288, "inputs": "JVB", "transform": False,
        "root_folder": "./data/npy_dataset", "ntu60_path": "./data/nturgb+d_skeletons60",
        "ntu120_path": "./data/nturgb+d_skeletons120",
    }  # fmt: skip
    assert values["model_args"] == {
        "stem_channel": 64, "block_args": [[48, 1, 0.5], [24, 1, 0.5], [64, 2, 1.0], [128, 2, 1.0]], "fusion_stage": 2,
        "act_type": "swish", "att_type": "stja", "layer_type": "SG", "drop_prob": 0.25, "kernel_size": [5, 2],
        "scale_args": [1.2, 1.35], "expand_ratio": 0, "reduct_ratio": 2, "bias": True, "edge": True,
    }  # fmt: skip
    assert values["optimizer_args"] == {
        "Momentum": {"learning_rate": 0.1, "momentum": 0.9, "use_nesterov": True, "weight_decay": 1e-4},
        "Adam": {"learning_rate": 0.1, "beta1": 0.9, "beta2": 0.99, "weight_decay": 1e-4},
    }
    cosine = {"max_epoch": 70, "warm_up": 10}
    assert values["scheduler_args"] == {"cosine": cosine, "step": {**cosine, "step_lr": [20, 50]}}


def test_2002_differs_in_data_set_and_view_normalisation():
    a, b = load_config("2001").plain(), load_config("2002").plain()
    differing = {key for key in a if a[key] != b[key]}
    assert differing == {"config", "dataset", "dataset_args"} and b["dataset_args"]["ntu"]["transform"]


def test_2001_infer_is_one_epoch_with_the_same_warm_up():
    assert load_config("2001_infer").schedule.model_dump() == {"max_epoch": 1, "warm_up": 10}


def test_the_command_line_beats_the_file_and_the_file_the_defaults(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("seed: 5\nmodel_args: {drop_prob: 0.5}\n")
    config = load_config(str(path), [("seed", "7")])
    assert (config.config, config.seed, config.model_args.drop_prob, config.model_args.edge) == ("mine", 7, 0.5, True)


def test_both_forms_of_overrides_and_all_short_flags():
    name, overrides = parse_command_line(
        ["-c", "2002", "--a.b", "1", "--c.d=2e-3", "-s", "3", "-np", "-g", "0", "1", "--skip_bad", "--pretrained=x", "-w=y"]
    )
    assert name == "2002"
    assert dict(overrides) == {
        "a.b": "1",
        "c.d": "2e-3",
        "seed": "3",
        "no_progress_bar": True,
        "gpus": "[0,1]",
        "skip_bad": "true",
        "pretrained_path": "x",
        "work_dir": "y",
    }


@pytest.mark.parametrize("argv", [["-c", "a b", "-r", "--seed=3", "-g", "-np", "-pp", "x y.pdparams"], ["-e", "-pp", "f"], ["-g", "0", "1"]])
def test_the_same_command_asks_for_the_same_and_no_job(argv):
    name, overrides = parse_command_line(argv)
    again = shlex.split(same_command(name, overrides))
    assert again[:2] == ["python", "main.py"]
    kept = [(key, "true" if value is True else value) for key, value in overrides if key not in JOB]
    assert parse_command_line(again[2:]) == (name, kept)


@pytest.mark.parametrize("given", [["-g"], ["-g", "[]"], ["--gpus=[]"], ["-g", "cpu"]])
def test_no_gpus_means_cpu(given):
    assert load_config("2001", parse_command_line(given)[1]).gpus == []


def test_numbers_without_a_point_are_numbers():
    config = load_config("2001", [("optimizer_args.Momentum.weight_decay", "1e-3"), ("work_dir", "2022")])
    assert config.optimizer_args.Momentum.weight_decay == 0.001 and config.work_dir == "2022"


@pytest.mark.parametrize(
    "name, overrides, parts",
    [
        ("20001", [], ["20001", "2001"]),
        ("2001", [("model_args.fusion_stag", "1")], ["model_args.fusion_stag", "fusion_stage"]),
        ("2001", [("sed", "1")], ["sed", "seed"]),
        ("2001", [("seed", "abc")], ["seed", "abc", "integer"]),
        ("2001", [("seed", "yes")], ["seed", "True"]),
        ("2001", [("dataset_args.ntu.num_frame", "301")], ["dataset_args.ntu.num_frame", "301", "300"]),
        ("2001", [("model_args.act_type", "swich")], ["model_args.act_type", "swich", "swish"]),
        ("2001", [("model_args.block_args", "[[1,2]]")], ["model_args.block_args.0", "stride"]),
        ("2001", [("model_args.kernel_size", "[4, 2]")], ["kernel_size", "odd"]),
        ("2001", [("dataset_args", "3")], ["dataset_args", "3"]),
        ("2001", [("dataset", "ntu-xsup")], ["dataset", "ntu-xsup", "ntu-xsub"]),
        ("2001", [("optimizer", "SGD")], ["optimizer", "SGD", "Momentum"]),
        ("2001", [("seed", "[1")], ["--seed", "YAML"]),
        ("2001", [("evaluate", True)], ["evaluate", "-pp"]),
        ("2001", [("evaluate", True), ("extract", True), ("pretrained_path", "x")], ["--evaluate and --extract: one at a time"]),
        ("2001", [("optimizer_args.Momentum.learning_rate", ".nan")], ["learning_rate", "finite"]),
    ],
)
def test_a_mistake_names_key_value_and_what_is_allowed(name, overrides, parts):
    with pytest.raises(UserError) as error:
        load_config(name, overrides)
    assert all(part in str(error.value) for part in parts) and "\n" not in str(error.value), str(error.value)


@pytest.mark.parametrize(
    "argv, meant",
    [
        (["--epochs", "3"], "--scheduler_args.cosine.max_epoch"),
        (["--epochs", "3", "-ls", "step"], "--scheduler_args.step.max_epoch"),
        (["--max-epoch=3"], "--scheduler_args.cosine.max_epoch"),
        (["--lr", "0.1"], "--optimizer_args.Momentum.learning_rate"),
        (["--lr", "0.1", "-o", "Adam"], "--optimizer_args.Adam.learning_rate"),
        (["--batch_size", "8"], "--dataset_args.ntu.train_batch_size"),
        (["--batch-size", "8", "-d", "custom-x"], "--dataset_args.custom.train_batch_size"),
        (["--train_batch_size", "8"], "--dataset_args.ntu.train_batch_size"),
        (["--dataset_args.train_batch_size", "8"], "--dataset_args.ntu.train_batch_size"),
        (["--device", "cpu"], "--gpus"),
        (["--model_arg.edge", "true"], "--model_args"),
    ],
)
def test_a_name_that_other_programs_use_leads_to_the_key_that_is_meant(argv, meant):
    with pytest.raises(UserError, match=rf"no such key; did you mean {meant}\?$"):
        load_config(*parse_command_line(argv))


def test_no_message_lists_all_keys_or_shows_a_regular_expression():
    for overrides in ([("xyzzy", "1")], [("model_type", "B0")], [("dataset", "ntu")]):
        with pytest.raises(UserError) as error:
            load_config("2001", overrides)
        assert len(str(error.value)) < 300 and not set("^\\$") & set(str(error.value))


@pytest.mark.parametrize(
    "text, part",
    [
        ("a: [", "line"),
        ("- 1", "keys and values"),
        ("seed: 1\nseed: 2", "stands twice"),
        ("seed: !!python/object:os.x {}", "YAML"),
        ("3: 4", "no such key"),
        ("a: *b", "YAML"),
        ("seed: &a [1]\ngpus: *a", "aliases are not taken"),
        ("\ufeff- \x80", "YAML"),
    ],
)
def test_broken_files_are_named(tmp_path, text, part):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=part) as error:
        load_config(str(path))
    assert "x.yaml" in str(error.value)


def test_every_stray_argument_is_refused():
    for argv in (["stray"], ["-z"], ["--", "x"], ["-e", "5"]):
        with pytest.raises(UserError, match="see python main"):
            parse_command_line(argv)


def leaves(values, path=()):
    for key, value in values.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))


STRANGE = [None, True, False, -1, 0, 1, 2**63, 10**30, 0.5, -0.5, 1e308, float("inf"), "", "x", "JVB", "\0", "..", b"x", [], [1], [[1]],
           [None], {}, {"x": 1}, {1: 2}]  # fmt: skip


def test_any_single_change_gives_a_configuration_or_one_clear_line():
    defaults = yaml.safe_load((FOLDER / "defaults.yaml").read_text())
    rng = random.Random(1)
    refused = accepted = 0
    for path in leaves(defaults):
        for value in [*STRANGE, rng.choice("abc") * 3]:
            try:
                load_config("2001", [(".".join(path), value)]) if not isinstance(value, str) else load_config(
                    "2001", [(".".join(path), yaml.safe_dump(value))]
                )
                accepted += 1
            except UserError as error:
                assert "\n" not in str(error)
                refused += 1
    assert refused > 500 and accepted > 50


NEAR = st.sampled_from([-1, 0, 0.5, 1, 2, 10, 1e3, 1e6, 1e12])  # times a number's default
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=2),
    max_leaves=5,
)


def test_ranges_and_types_are_of_settings_that_there_are():
    settings = {path[-1] for path in leaves(schema.DEFAULTS)} | {".".join(path[-2:]) for path in leaves(schema.DEFAULTS)}
    assert schema.RANGES.keys() <= settings and schema.TYPES.keys() <= settings


@given(st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_with_any_one_change_is_taken_or_one_clear_line(tmp_path_factory, data):
    """A value of another type or size, a key renamed, moved one up, or gone."""
    defaults = schema.DEFAULTS
    *outer, key = data.draw(st.sampled_from(list(leaves(defaults))), "path")
    section = (*outer, key)[0]
    at = values = {section: copy.deepcopy(defaults[section])}
    for part in outer:
        at = at[part]
    kind = data.draw(st.sampled_from(["value", "number", "key", "up", "gone"]), "kind")
    if kind == "value":
        at[key] = data.draw(VALUES, "value")
    elif kind == "number" and isinstance(at[key], int | float):
        at[key] = at[key] * data.draw(NEAR, "factor")
    else:
        value = at.pop(key)
        if kind == "key":
            at[data.draw(st.text(max_size=8) | st.integers() | st.none() | st.sampled_from([key + "s", key.upper()]), "key")] = value
        elif kind == "up":
            values[key] = value
    path = tmp_path_factory.getbasetemp() / "changed.yaml"
    path.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    try:
        load_config(str(path))
    except UserError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error), str(error)


def test_the_home_folder_is_put_for_a_tilde_in_every_path_of_a_file_and_of_the_command_line(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.yaml").write_text(
        "\ufeffdataset: custom-mine\nwork_dir: ~/runs\npretrained_path: ~/a.pdparams\nsave_inference_dir: ~/out\n"
        "dataset_args: {ntu: {ntu60_path: ~/raw, ntu120_path: ~/more}, custom: {root_folder: ~/npy, class_names: ~/classes.txt, graph: ~/g.yaml}}\n",
        encoding="utf-8",
    )  # with a byte order mark, as some editors write it
    (tmp_path / "g.yaml").write_text("joints: [a, b]\nbones: [[a, b]]\nparents: {b: a}\nparts: {all: [a, b]}\ncentre: a\n")
    config = load_config("~/mine.yaml", [("save_figures", "~/pictures"), ("evaluate", True)])
    data = config.dataset_args
    paths = [config.work_dir, config.pretrained_path, config.save_inference_dir, config.save_figures, data.ntu.ntu60_path, data.ntu.ntu120_path]
    names = ["runs", "a.pdparams", "out", "pictures", "raw", "more", "npy", "classes.txt"]
    assert [*paths, data.custom.root_folder, data.custom.class_names] == [str(tmp_path / name) for name in names]
    assert data.custom.graph.joints == ["a", "b"]
    name, overrides = parse_command_line(["-c", "~/mine.yaml", "--work_dir=~/other", "--dataset_args.ntu.root_folder=~/npy"])
    assert load_config(name, overrides).work_dir == str(tmp_path / "other")


@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_class_lists_are_read_with_a_byte_order_mark_and_with_line_ends_of_windows(tmp_path, start):
    (tmp_path / "classes.txt").write_bytes(f"{start}# classes\r\nwalk\r\n\r\nsit down\r\n".encode())
    assert read_names(tmp_path / "classes.txt") == ["walk", "sit down"]


def test_the_class_list_of_the_case_is_read():
    path = SHARED / "cases" / "classes_bom_crlf.txt"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    names = read_names(path)
    assert len(names) == len(path.read_bytes().split()) or len(names) == len(path.read_text("utf-8-sig").splitlines())
    assert not any("\ufeff" in name or "\r" in name for name in names)
