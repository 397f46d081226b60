"""The small data set: which samples it takes, that it is seeded, and what it never overwrites."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dataset.ntu_feeder import load_labels
from dataset.tiny_data_gen import cut
from tests.helpers.places import ROOT
from tests.helpers.raw_folders import contents
from tests.helpers.small import write_split
from utils.errors import UserError

INNER = Path("original", "ntu-xsub")
COMMAND = ROOT / "dataset" / "tiny_data_gen.py"


@pytest.fixture
def source(tmp_path):
    for split, count in (("train", 9), ("eval", 5)):
        write_split(tmp_path / "source" / INNER, split, count, seed=count, frames=4)
    return tmp_path / "source"


def read(root, split):
    folder = root / INNER
    return np.load(folder / f"{split}_data.npy"), load_labels(folder / f"{split}_label.pkl")


def run(*command, **options):
    return subprocess.run([sys.executable, *command], check=False, capture_output=True, text=True, **options)


def test_takes_samples_with_their_own_labels_in_the_order_of_the_source(source, tmp_path):
    assert cut(source, tmp_path / "tiny", data_num=4) == {"train": (4, 9), "eval": (4, 5)}
    for split in ("train", "eval"):
        data, labels = read(source, split)
        tiny, chosen = read(tmp_path / "tiny", split)
        rows = [labels[0].index(name) for name in chosen[0]]
        assert rows == sorted(set(rows))
        assert len(rows) == 4
        np.testing.assert_array_equal(tiny, data[rows])
        assert chosen == tuple([part[i] for i in rows] for part in labels)


def test_takes_all_of_a_split_that_is_smaller(source, tmp_path):
    cut(source, tmp_path / "tiny")
    for split in ("train", "eval"):
        assert read(tmp_path / "tiny", split)[1] == read(source, split)[1]


def test_same_seed_same_bytes_other_seed_other_samples(source, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        cut(source, tmp_path / name, data_num=3, seed=seed)
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b
    assert a[f"{INNER}/train_label.pkl"] != c[f"{INNER}/train_label.pkl"]


def test_mode_eval_leaves_the_training_side_alone(source, tmp_path):
    cut(source, tmp_path / "tiny", data_num=3)
    before = contents(tmp_path / "tiny")
    cut(source, tmp_path / "tiny", mode="eval", data_num=2)
    after = contents(tmp_path / "tiny")
    changed = {Path(path).name for path in before if before[path] != after[path]}
    assert changed == {"eval_data.npy", "eval_label.pkl"}


def test_view_normalised_data_lies_in_its_own_folder(source, tmp_path):
    shutil.move(source / "original" / "ntu-xsub", source / "transformed" / "ntu-xview")
    cut(source, tmp_path / "tiny", data_num=2, dataset="ntu-xview", transform=True)
    assert (tmp_path / "tiny" / "transformed" / "ntu-xview" / "train_data.npy").is_file()


def test_never_overwrites_a_data_set_that_it_did_not_make(source, tmp_path):
    shutil.copytree(source, tmp_path / "mine")
    before = contents(tmp_path / "mine")
    with pytest.raises(UserError, match="did not make"):
        cut(source, tmp_path / "mine", data_num=2)
    with pytest.raises(UserError, match="source itself"):
        cut(source, source, data_num=2)
    assert contents(tmp_path / "mine") == contents(source) == before


def test_replaces_a_link_and_not_what_it_leads_to(source, tmp_path):
    before = contents(source)
    cut(source, tmp_path / "tiny", data_num=2)
    link = tmp_path / "tiny" / INNER / "eval_data.npy"
    link.unlink()
    link.symlink_to(source / INNER / "eval_data.npy")
    cut(source, tmp_path / "tiny", data_num=2)
    assert not link.is_symlink()
    assert contents(source) == before


@pytest.mark.parametrize("file", ["eval_label.pkl", "eval_data.npy"])
def test_a_damaged_source_leaves_the_earlier_set_as_it_was(source, tmp_path, file):
    cut(source, tmp_path / "tiny", data_num=2)
    before = contents(tmp_path / "tiny")
    damaged = source / INNER / file
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with pytest.raises(UserError, match=file):
        cut(source, tmp_path / "tiny", data_num=3)
    assert contents(tmp_path / "tiny") == before


def test_a_full_disk_leaves_the_earlier_set_as_it_was(source, tmp_path):
    cut(source, tmp_path / "tiny", data_num=2)
    before = contents(tmp_path / "tiny")
    small = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000));"
    code = f"{small} import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); sys.path.insert(0, {str(ROOT)!r});"
    code += "from dataset.tiny_data_gen import main; from utils.command import run_command; sys.exit(run_command(main))"
    done = run("-c", code, "--source_path", source, "--save_dir", tmp_path / "tiny")
    assert done.returncode == 2
    assert "can't be written" in done.stderr
    assert contents(tmp_path / "tiny") == before


@pytest.mark.parametrize(
    "arguments, named",
    [
        (["--data_num", "0"], "--data_num 0"),
        (["--mode", "test"], "test"),
        (["--transform", "maybe"], "maybe"),
        (["--dataset", "ntu-none"], "ntu-none"),
        (["--nothing", "1"], "--nothing"),
    ],
)
def test_a_wrong_argument_is_one_line_and_exit_code_2(source, tmp_path, arguments, named):
    done = run(COMMAND, "--source_path", source, "--save_dir", tmp_path / "tiny", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert named in done.stderr
    assert not (tmp_path / "tiny").exists()


def test_the_command_says_what_it_took(source, tmp_path):
    done = run(COMMAND, "--source_path=source", "--save_dir=a b", "--data_num=3", "--transform=False", cwd=tmp_path)
    assert done.stdout.splitlines() == ["train: 3 of 9 samples, seed 1, in a b", "eval: 3 of 5 samples, seed 1, in a b"]
    assert done.returncode == 0
