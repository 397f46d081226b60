"""What a configuration becomes: feeders of data that may not be what it seems, a new head, rates; and what is refused."""

import pickle

import numpy as np
import pytest

from dataset.ntu_feeder import load_labels
from initializer import build_feeder, build_model, implausible_samples, log_setup
from options.command_line import parse_command_line
from options.schema import load_config
from reader.splits import check_labels
from tests.helpers.people import people
from tests.helpers.places import SHARED
from tests.helpers.runs import final, largest_difference, run
from tests.helpers.small import write_split
from utils.errors import UserError
from utils.log import set_up_logging


def test_labels_that_contradict_the_names_stop_unless_they_are_trusted(tiny_run):
    folder, argv = tiny_run
    path = folder / "npy" / "original" / "ntu-xsub" / "eval_label.pkl"
    names, labels, lengths = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps((names, [*labels[:5], 40, 50], lengths)))
    said = r"eval_label\.pkl: 2 of 7 labels contradict the names, the first: \S+A002\.skeleton has label 40, which is A041; .*--trust_labels"
    with pytest.raises(UserError, match=said):
        build_feeder(load_config("2001", parse_command_line(argv)[1]), "eval")
    assert len(build_feeder(load_config("2001", [*parse_command_line(argv)[1], ("trust_labels", True)]), "eval")) == 7


def test_labels_of_the_case_that_contradict_names_are_counted_and_the_first_is_named():
    path = SHARED / "cases" / "label_contradicts_name.pkl"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    names, labels, _ = load_labels(path)
    wrong = [name for name, label in zip(names, labels, strict=True) if int(name[17:20]) != label + 1]
    with pytest.raises(UserError, match=f"{len(wrong)} of {len(names)} labels contradict the names, the first: {wrong[0]} has label"):
        check_labels(names, labels, path)


@pytest.mark.parametrize("change, notes", [(1, []), (1000, ["7 of 7 samples: larger than any person: looks like millimetres"])])
def test_a_data_set_that_can_t_be_of_people_in_metres_is_noted(tiny_run, change, notes):
    folder, argv = tiny_run
    path = folder / "npy" / "original" / "ntu-xsub" / "eval_data.npy"
    data = np.zeros(np.load(path).shape, "float32")
    data[:, :, :60] = np.stack([people(50, seed) for seed in range(7)]) * change
    np.save(path, data)
    feeder = build_feeder(load_config("2001", parse_command_line(argv)[1]), "eval")
    assert [note.partition(";")[0] for note in implausible_samples(feeder, transform=False)] == notes


def test_debug_uses_the_first_300_samples_of_each_split_and_says_so(tmp_path, capsys):
    config = load_config("2001", [("debug", True), ("dataset_args.ntu.root_folder", str(tmp_path)), ("dataset_args.ntu.num_frame", 8)])
    for split in ("train", "eval"):
        write_split(tmp_path / "original" / "ntu-xsub", split, 305, frames=8)
        feeder = build_feeder(config, split)
        assert len(feeder) == 300 and feeder[299][2] == feeder.names[299]
    set_up_logging()
    log_setup(config, feeder, build_model(config))
    assert "Dataset: ntu-xsub, debug: 300 samples" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["data", "label"])
def test_a_data_set_mixed_up_with_another_split_stops_before_training(tiny_run, name):
    folder, argv = tiny_run
    data = folder / "npy" / "original" / "ntu-xsub"
    ending = {"data": "npy", "label": "pkl"}[name]
    (data / f"train_{name}.{ending}").write_bytes((data / f"eval_{name}.{ending}").read_bytes())
    with pytest.raises(UserError, match="make them together"):
        run(argv)
    for other in ("data.npy", "label.pkl"):
        (data / f"train_{other}").write_bytes((data / f"eval_{other}").read_bytes())
    with pytest.raises(UserError, match=r"7 of 7 samples do not belong to the train split of ntu-xsub, as S001C001P003R001A001"):
        run(argv)
    assert not (folder / "work").exists()


def test_scaling_the_learning_rate_is_said(tiny_run, capsys):
    _, argv = tiny_run
    run([*argv, "--scale_lr", "--accumulate=3", "--dataset_args.ntu.train_batch_size=4"])
    assert "--scale_lr: learning rate 0.075 for 12 samples a step" in capsys.readouterr().out


def test_batch_norm_over_several_gpus_is_refused_on_a_cpu(tiny_run):
    with pytest.raises(UserError, match="--sync_bn true: Paddle synchronises batch norm on GPUs only"):
        run([*tiny_run[1], "--sync_bn"])


def test_a_new_head_takes_all_but_the_classifier_and_says_so(tiny_run, capsys):
    folder, argv = tiny_run
    run([*argv, "--work_dir", folder / "first"])
    source = folder / "first" / "model.pdparams"
    for split, count in (("train", 8), ("eval", 3)):
        write_split(folder / "npy" / "original" / "ntu-xsub120", split, count)
    other = [*argv, "-d", "ntu-xsub120", "-pp", source, "--scheduler_args.cosine.warm_up=3"]
    with pytest.raises(UserError, match=r"2 entries differ: classifier\.fc\.weight is \(60, 16, 1, 1, 1\), needed \(120,"):
        run(other)
    capsys.readouterr()
    run([*other, "--new_head", "--optimizer_args.Momentum.learning_rate=1e-30", "--work_dir", folder / "second"])
    said = f"--new_head: classifier.fc.weight, classifier.fc.bias start anew; all else is from {source}"
    assert said in capsys.readouterr().out
    before, after = final(folder / "first")[0], final(folder / "second")[0]
    assert after["classifier.fc.weight"].shape[0] == 120
    kept = [name for name in before if not name.startswith("classifier") and not name.endswith(("_mean", "_variance"))]
    assert kept and largest_difference({name: before[name] for name in kept}, after) == 0


@pytest.mark.parametrize("more", [[], ["-r"], ["-r", "-pp", "x"]], ids=str)
def test_a_new_head_needs_a_checkpoint_and_a_fresh_run(tiny_run, more):
    with pytest.raises(UserError, match="--new_head"):
        run([*tiny_run[1], "--new_head", *more])
