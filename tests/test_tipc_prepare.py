"""The data and the weights that the TIPC scripts take: what is prepared, found and left alone."""

import shutil

import numpy as np
import pytest

from tests.helpers.raw_folders import contents
from tests.helpers.small import write_split
from tests.helpers.tipc import INNER, LITE, WHOLE, X_SUB, epochs_of, is_one_error_line

pytest_plugins = ["tests.helpers.tipc"]


# ---------------------------------------------------------------- prepare.sh


@pytest.mark.parametrize(
    "mode, train, evaluate",
    [(LITE, 16, 16), ("lite_train_whole_infer", 16, "link"), (WHOLE, "link", "link"), ("whole_infer", 16, "link")],
)
def test_lite_cuts_a_few_samples_and_whole_links_to_all(repo, mode, train, evaluate):
    before = contents(repo.source)
    repo.prepare(mode)
    for split, wanted in (("train", train), ("eval", evaluate)):
        for name in (f"{split}_data.npy", f"{split}_label.pkl"):
            path = repo.root / "data/ntu/tiny_dataset" / INNER / name
            assert path.is_symlink() == (wanted == "link")
            if wanted == "link":
                assert path.resolve() == (repo.source / INNER / name).resolve()
            elif name.endswith(".npy"):
                assert len(np.load(path)) == wanted
    repo.prepare(LITE)
    assert not any(path.is_symlink() for path in (repo.root / "data/ntu/tiny_dataset" / INNER).iterdir())
    assert contents(repo.source) == before


def test_the_published_form_takes_source_folder_and_mode(repo):
    done = repo.run("prepare.sh", repo.source, "./data/ntu/tiny_dataset", "eval")
    assert done.returncode == 0, done.stderr
    made = sorted(path.name for path in (repo.root / "data/ntu/tiny_dataset" / INNER).iterdir())
    assert made == ["eval_data.npy", "eval_label.pkl", "tiny.txt"]


def test_data_made_in_another_folder_is_found_by_a_link(repo, tmp_path):
    done = repo.run("prepare.sh", repo.source, tmp_path / "an other", LITE)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "an other" / INNER / "eval_data.npy").is_file()
    assert repo.train().returncode == 0
    again = repo.run("prepare.sh", repo.source, tmp_path / "a third", LITE)
    assert again.returncode == 0, again.stderr
    assert (repo.root / "data/ntu/tiny_dataset").resolve() == (tmp_path / "a third").resolve()


def test_nothing_is_deleted_that_the_scripts_did_not_make(repo, tmp_path):
    mine = repo.root / "data/ntu/tiny_dataset"
    write_split(mine / INNER, "eval", 2, frames=4)
    (mine / "notes.txt").write_text("mine")
    before = contents(mine)
    for arguments in ([repo.source, mine, LITE], [repo.source, tmp_path / "other", LITE], [X_SUB, WHOLE, repo.source]):
        assert repo.run("prepare.sh", *arguments).returncode != 0
    assert contents(mine) == before


def test_a_link_that_prepare_did_not_make_stays(repo, tmp_path):
    (tmp_path / "disk").mkdir()
    (repo.root / "data/ntu").mkdir(parents=True)
    (repo.root / "data/ntu/tiny_dataset").symlink_to(tmp_path / "disk")
    assert is_one_error_line(repo.run("prepare.sh", repo.source, tmp_path / "other", LITE))
    assert (repo.root / "data/ntu/tiny_dataset").resolve() == (tmp_path / "disk").resolve()


def test_without_a_source_the_generated_data_set_is_taken_or_else_demo_data(repo):
    assert repo.run("prepare.sh", X_SUB, LITE).returncode == 0
    assert any("tools/demo_data.py" in command for command in repo.commands)
    shutil.copytree(repo.source, repo.root / "data/npy_dataset")
    assert repo.run("prepare.sh", X_SUB, LITE).returncode == 0
    assert [command[1] for command in repo.commands] == ["dataset/tiny_data_gen.py"]
    assert "--source_path=./data/npy_dataset" in repo.commands[0]


def test_demo_data_is_made_once(repo):
    for count in (3, 1):
        assert repo.run("prepare.sh", "-", "./data/ntu/tiny_dataset", LITE).returncode == 0
        assert len(repo.commands) == count


@pytest.mark.parametrize(
    "arguments, named",
    [
        ([], "SOURCE_PATH SAVE_DIR MODE"),
        (["-", "x"], "SOURCE_PATH SAVE_DIR MODE"),
        (["-", "x", "all"], "all"),
        (["-", "x", LITE, "weights"], "whole_infer"),
        (["-", "x", "whole_infer", "no weights"], "no weights"),
        (["none.txt", LITE], "none.txt"),
        (["no source", "./data/ntu/tiny_dataset", LITE], "no source"),
    ],
)
def test_prepare_names_what_is_wrong_in_one_line(repo, arguments, named):
    done = repo.run("prepare.sh", *arguments)
    assert is_one_error_line(done)
    assert named in done.stderr


def test_relative_paths_are_looked_for_in_the_callers_folder_first(repo):
    shutil.copytree(repo.source, repo.elsewhere / "here")
    done = repo.run("prepare.sh", "here", "./data/ntu/tiny_dataset", LITE)
    assert done.returncode == 0, done.stderr
    assert (repo.root / "data/ntu/tiny_dataset" / INNER / "eval_data.npy").is_file()
    assert not (repo.elsewhere / "data").exists()


# ---------------------------------------------------------------- whole_infer and its weights


def test_whole_infer_exports_and_infers_given_weights(repo, tmp_path):
    weights = tmp_path / "my weights.pdparams"
    weights.write_text("mine")
    repo.prepare("whole_infer", weights)
    place = "./log/EfficientGCNB0/whole_infer"
    assert (repo.root / place / "model.pdparams").read_text() == "mine"
    assert f"Weights: {weights}, as given" in repo.status("whole_infer")
    assert repo.train("whole_infer", "1", GPUS="1").returncode == 0
    export, *inferences = repo.commands
    weights = f"--pretrained={place}/model.pdparams"
    assert export[1:] == [
        "main.py",
        "-ex",
        "-c",
        "2001_infer",
        f"--pretrained={place}/model.pdparams",
        f"--save-inference-dir={place}",
    ]
    assert len(inferences) == 2 + 8
    assert {word for command in inferences for word in command if word.startswith("--model")} == {f"--model_file={place}"}


def test_whole_infer_takes_what_an_earlier_mode_left(ready):
    ready.train()
    ready.prepare("whole_infer")
    weights = f"./log/EfficientGCNB0/{LITE}/norm_train_gpus_-1_autocast_null/model.pdparams"
    assert f"Weights: {weights}, of an earlier mode" in ready.status("whole_infer")
    assert LITE in (ready.root / "log/EfficientGCNB0/whole_infer/model.pdparams").read_text()


def test_whole_infer_without_any_weights_trains_one_epoch(repo):
    repo.prepare("whole_infer")
    assert epochs_of(repo) == ["1"]
    assert "training one epoch" in repo.status("whole_infer")
    assert (repo.root / "log/EfficientGCNB0/whole_infer/model.pdparams").is_file()


def test_whole_infer_without_prepared_weights_names_the_command(ready):
    done = ready.train("whole_infer")
    assert is_one_error_line(done)
    assert "prepare.sh" in done.stderr
