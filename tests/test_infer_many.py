"""infer.py over many recordings: bad ones do not end it, odd ones get a note."""

import csv
import io
import json
import pickle
import sys

import numpy as np
import pytest

from tests.helpers.exported import NAMES, results, run
from tests.helpers.people import people

pytest_plugins = ["tests.helpers.exported"]


@pytest.fixture
def one_bad(recordings):
    """Four recordings, of which the second is damaged."""
    (recordings / "S001C001P001R001A001a.skeleton").write_text("nothing")
    return recordings


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_one_bad_recording_is_named_and_does_not_end_a_batch(exports, one_bad, tmp_path, capsys, suffix):
    output = tmp_path / f"out.{suffix}"
    argv = ("--model_file", exports / "net.onnx", "--data_file", one_bad, "--top_k", 1, "--output", output, "-b", 2)
    code, out, error = run(capsys, *argv)
    assert code == 1 and error == "error: not recognised: S001C001P001R001A001a.skeleton\n"
    assert results(out)[0] == "S001C001P001R001A001a.skeleton" and results(out)[1].startswith("error: ") and f"Written: {output}" in out
    if suffix == "csv":
        with open(output, newline="") as file:
            rows = list(csv.DictReader(file))
        assert [bool(row["label"]) for row in rows] == [True] * 3 + [False]
    else:
        rows = [json.loads(line) for line in output.read_text().splitlines()]
        assert [len(row["labels"]) for row in rows] == [1, 1, 1, 0]
    assert [row["name"] for row in rows] == [*NAMES, "S001C001P001R001A001a.skeleton"]
    assert [bool(row["error"]) for row in rows] == [False] * 3 + [True] and "line 1" in rows[3]["error"]


def test_one_bad_sample_of_an_array_file_or_of_a_list_does_not_end_a_batch(exports, one_bad, dataset, tmp_path, monkeypatch, capsys):
    data = np.load(dataset[0])
    data[2, 0, 3] = np.nan
    np.save(tmp_path / "nan.npy", data)
    code, out, error = run(capsys, "--model_file", exports / "net.json", "--data_file", tmp_path / "nan.npy", "--top_k", 1)
    assert code == 1 and results(out)[::2] == ["0", "1", "3", "4", "5", "6", "2"] and "not recognised: 2\n" in error
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{path}\n" for path in (one_bad / "none.skeleton", one_bad / NAMES[0]))))
    code, out, error = run(capsys, "--model_file", exports / "net.onnx", "--data_file", "-", "--top_k", 1)
    assert code == 1 and results(out)[::2] == [NAMES[0], "none.skeleton"] and error.startswith("error: not recognised: ")


def test_a_bad_recording_stops_where_that_is_asked_for_and_leaves_an_older_output_as_it_was(exports, one_bad, tmp_path, capsys):
    output = tmp_path / "out.jsonl"
    output.write_text("older")
    argv = ("--model_file", exports / "net.onnx", "--data_file", one_bad, "--output", output, "--stop_on_error")
    code, _, error = run(capsys, *argv)
    assert code == 2 and error.count("\n") == 1 and "S001C001P001R001A001a.skeleton" in error
    assert output.read_text() == "older" and [p.name for p in tmp_path.glob("*out*")] == ["out.jsonl"]


def test_where_no_recording_can_be_recognised_the_first_reason_is_one_line(exports, tmp_path, capsys):
    for number in range(3):
        (tmp_path / f"{number}.skeleton").write_text("nothing")
    code, out, error = run(capsys, "--model_file", exports / "net.onnx", "--data_file", tmp_path, "--output", tmp_path / "a.csv")
    assert (code, out, error.count("\n")) == (2, "", 1) and "0.skeleton: line 1" in error and "3 recordings" in error
    assert not (tmp_path / "a.csv").exists()


def test_a_recording_longer_than_the_program_is_cut_with_a_word_or_slid_over(exports, dataset, tmp_path, capsys):
    np.save(tmp_path / "long.npy", np.random.default_rng(0).normal(size=(3, 20, 25, 2)).astype("float32")[None])
    argv = ("--model_file", exports / "net.onnx", "--data_file", tmp_path / "long.npy")
    code, out, _ = run(capsys, *argv)
    assert code == 0 and "note: 0: longer than the program's 8 frames, the rest was left out; --window" in out
    code, out, _ = run(capsys, *argv, "--window", 8)
    assert code == 0 and "longer" not in out and len(results(out)) == 4  # the name, and windows from 0, 8 and 12
    np.save(tmp_path / "short.npy", np.ones((1, 3, 8, 25, 2), "float32"))
    assert "longer" not in run(capsys, *argv[:3], tmp_path / "short.npy")[1]


@pytest.mark.parametrize("change, word", [(1000, "millimetres"), (100, "centimetres"), (1, None)])
def test_recordings_that_can_t_be_of_people_in_metres_get_one_note_for_all(exports, tmp_path, capsys, change, word):
    samples = np.stack([people(50, seed) for seed in range(3)])[:, :, :8]
    np.save(tmp_path / "a.npy", (samples * change).astype("float32"))
    code, out, _ = run(capsys, "--model_file", exports / "net.onnx", "--data_file", tmp_path / "a.npy")
    notes = [line for line in out.splitlines() if line.startswith("note")]
    assert code == 0 and len(notes) == bool(word)
    assert all(note.startswith("note: 0 and 2 more: ") and word in note for note in notes)


def test_labels_that_contradict_the_names_stop_unless_they_are_trusted(exports, dataset, tmp_path, capsys):
    names, labels, lengths = pickle.loads(dataset[1].read_bytes())
    dataset[1].write_bytes(pickle.dumps((names, [*labels[:4], 9, 5, 8], lengths)))
    argv = ("--model_file", exports / "net.onnx", "--data_file", dataset[0], "--label_file", dataset[1])
    code, out, error = run(capsys, *argv)
    assert (code, out) == (2, "") and "2 of 7 labels contradict the names" in error
    assert "S001C001P005R001A005.skeleton has label 9, which is A010" in error
    assert run(capsys, *argv, "--trust_labels")[0] == 0
