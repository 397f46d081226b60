"""A folder of arrays or JSON files becomes a data set, or is refused by name."""

import json
import sys

import numpy as np
import pytest

from dataset.ntu_feeder import load_data, load_labels
from options.schema import load_config
from tests.helpers.own_data import write_source
from tools import convert_arrays
from utils.command import run_command
from utils.errors import UserError

pytest_plugins = ["tests.helpers.own_data"]


def test_arrays_and_json_become_a_data_set(own, tmp_path):
    samples = write_source(tmp_path / "source")
    report = convert_arrays.convert(tmp_path / "source", load_config(own()))
    assert report[0] == "train: 6 samples of 2 of 3 classes, 3 cut to 8 frames"
    folder = tmp_path / "npy" / "original" / "custom-mine"
    for split in ("train", "eval"):
        data, (names, labels, lengths) = load_data(folder / f"{split}_data.npy"), load_labels(folder / f"{split}_label.pkl")
        assert data.shape == (6, 2, 8, 18, 1) and sorted(names) == [f"{split}{i}" for i in range(6)]
        for row, name, label, length in zip(data, names, labels, lengths, strict=True):
            sample = samples[name]
            assert (label, length) == (int(name[-1]) % 2, min(len(sample), 8))
            np.testing.assert_array_equal(row[:, :length, :, 0], sample[:8].transpose(2, 0, 1).astype("float32"))
            assert (row[:, length:] == 0).all()


def test_bodies_may_come_and_go_in_json(tmp_path):
    one, two = [[1, 2], [3, 4]], [[5, 6], [7, 8]]
    (tmp_path / "a.json").write_text(json.dumps([[], [one], [one, two]]))
    sample = convert_arrays.read_sample(tmp_path / "a.json", 3, 2, 2)
    with pytest.raises(UserError, match=r"frame 2.*at most 1 x 2 x 2"):
        convert_arrays.read_sample(tmp_path / "a.json", 1, 2, 2)
    assert sample.tolist() == [[[[0, 0]] * 2] * 3, [one, [[0, 0]] * 2, [[0, 0]] * 2], [one, two, [[0, 0]] * 2]]


@pytest.mark.parametrize(
    "content",
    [b"", b"[", b"3", b"{}", b"[]", b"[3]", b"\xff", b"[[[[1, 2], [3]]]]", b"[[[[1, 2]]]]", b"[[[[1, NaN], [3, 4]]]]",
     b"[[[[1, 1e400], [3, 4]]]]", b"[[[[1, 2], [3, 4]], [[1, 2], [3, 4]]]]", b'[[[["x", 2], [3, 4]]]]',
     b"[[[[1" + b"0" * 400 + b", 2], [3, 4]]]]"],
)  # fmt: skip
@pytest.mark.parametrize("ending", [".json", ".npy"])
def test_a_sample_that_can_not_be_used_is_named(tmp_path, content, ending):
    path = tmp_path / f"a{ending}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.(json|npy): not a usable sample") as error:
        convert_arrays.read_sample(path, 1, 2, 2)
    assert "\n" not in str(error.value)


def broken_source(folder, how):
    write_source(folder)
    if how == "no eval folder":
        (folder / "eval").rename(folder / "test")
    elif how == "unknown class":
        (folder / "train" / "wave").rename(folder / "train" / "wafe")
    elif how == "a name twice":
        np.save(folder / "train" / "wave" / "train1.npy", np.zeros((3, 18, 2)))
    elif how == "empty split":
        for path in folder.glob("eval/*/*"):
            path.unlink()
    else:
        np.save(folder / "eval" / "wave" / "more joints.npy", np.zeros((3, 19, 2)))


@pytest.mark.parametrize(
    "how, part",
    [
        ("no eval folder", "SOURCE/eval/CLASS"),
        ("unknown class", "'wafe'"),
        ("a name twice", "train1"),
        ("empty split", "eval"),
        ("more joints", r"more joints\.npy.*frame 0"),
    ],
)
def test_a_source_that_does_not_fit_leaves_the_data_set_as_it_was(own, tmp_path, how, part, monkeypatch, capsys):
    config = own()
    write_source(tmp_path / "good")
    convert_arrays.convert(tmp_path / "good", load_config(config))
    before = {path: path.read_bytes() for path in (tmp_path / "npy").rglob("*.*") if path.is_file()}
    broken_source(tmp_path / "source", how)
    monkeypatch.setattr(sys, "argv", ["convert_arrays.py", str(tmp_path / "source"), "-c", config])
    assert run_command(convert_arrays.main) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    with pytest.raises(UserError, match=part):
        convert_arrays.convert(tmp_path / "source", load_config(config))
    assert {path: path.read_bytes() for path in (tmp_path / "npy").rglob("*.*") if path.is_file()} == before and len(before) == 4


def test_the_converter_leaves_ntu_data_alone(tmp_path):
    with pytest.raises(UserError, match="custom-NAME"):
        convert_arrays.convert(tmp_path, load_config("2001"))
