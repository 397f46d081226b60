"""The command infer.py: what it prints and writes, and what it says of mistakes."""

import csv
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

import infer
import initializer
from dataset.actions import action_names
from options.schema import load_config
from tests.helpers.exported import NAMES, export, live_logits, probabilities, results, run
from tests.helpers.places import GOLDEN, ROOT, environment
from tests.helpers.skeleton_corpus import skeleton_bytes

pytest_plugins = ["tests.helpers.exported"]


def test_a_skeleton_file_prints_its_name_and_the_five_best_classes(exports, recordings, capsys):
    code, out, error = run(capsys, "--model_file", exports / "net.onnx", "--data_file", recordings / NAMES[0])
    (prediction,) = infer.Recognizer(exports / "net.onnx").predict(recordings / NAMES[0])
    rows = zip(prediction.labels, prediction.classes, prediction.probabilities, strict=True)
    assert results(out) == [NAMES[0], *(f"A{label + 1:03} {name} {p:.3f}" for label, name, p in rows)]
    assert (code, error, len(prediction.labels)) == (0, "", 5)


def test_labels_give_accuracy_lines_by_batch_and_in_the_end(exports, model, dataset, capsys):
    code, out, _ = run(
        capsys, "--model_file", exports / "net.json", "--data_file", dataset[0], "--label_file", dataset[1], "-b", 4)  # fmt: skip
    predicted = live_logits(model, np.load(dataset[0])).argmax(1)
    right = predicted == np.arange(7)
    names = [f"S001C001P00{i}R001A00{i}.skeleton" for i in range(1, 8)]
    wanted = [
        f"Batch action class Predict:  {predicted[part]} Batch action class True:  {list(range(7))[part]} "
        f"Batch Accuracy:  {round(float(right[part].mean()), 6)} Batch sample Name:  {names[part]}"
        for part in (slice(0, 4), slice(4, 7))
    ]
    assert code == 0 and results(out) == [*wanted, f"Infer Mean Accuracy:  {round(float(right.mean()), 6)}"]


def test_on_a_terminal_labels_give_a_table_of_samples(exports, dataset, monkeypatch, capsys):
    monkeypatch.setenv("NO_COLOR", "1")
    argv = ("--model_file", exports / "net.onnx", "--data_file", dataset[0], "--label_file", dataset[1], "-b", 4)
    _, lines, _ = run(capsys, *argv)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    code, out, _ = run(capsys, *argv)
    rows = re.findall(r"^S001\S+(A\d{3})\.skeleton +(right|wrong)  (A\d{3}) .* \d\.\d{3}(?:, is (.*))?$", out, re.M)
    named = [f"A{number:03d} {name}" for number, name in enumerate(action_names(7), start=1)]
    assert code == 0 and [row[0] for row in rows] == [name[:4] for name in named]
    assert all((word, truth) == (("right", "") if true == said else ("wrong", name)) for (true, word, said, truth), name in zip(rows, named, strict=True))
    right = sum(word == "right" for _, word, _, _ in rows)
    assert f"{right} of 7 right, {right / 7:.2%}\n" in out and "Batch" in lines and "Batch" not in out


def test_flags_are_taken_as_tipc_writes_them(exports, dataset, capsys):
    code, out, error = run(
        capsys, f"--model_file={exports}/net.json", f"--params_file={exports}/net.pdiparams", f"--data_file={dataset[0]}",
        f"--label_file={dataset[1]}", "--use-gpu=False", "--batch-size=7", "--precision=fp32", "--enable_mkldnn=True",
        "--cpu_threads=1", "--use_tensorrt=False", "--gpu_mem=200", "--benchmark=True")  # fmt: skip
    assert code == 0, error
    assert "engine: onednn" in out and "cpu_math_library_num_threads: 1" in out and "batch_size: 7" in out
    blocks = [line.strip("- ") for line in out.splitlines() if line.startswith("-----")]
    assert blocks == ["Env info", "Conf info", "Model info", "Data info", "Perf info"]
    perf = out.rpartition("Perf info")[2]
    numbers = dict(part.strip().split(": ") for part in perf.replace("\n", ",").strip("-, ").split(",") if ": " in part)
    for key in ("cpu_rss(MB)", "preprocess_time(ms)", "inference_time(ms)", "postprocess_time(ms)", "samples/s"):
        assert float(numbers[key]) > 0, key


def test_a_list_of_files_comes_from_the_command_line_or_stdin(exports, recordings, monkeypatch, capsys):
    files = [recordings / NAMES[2], recordings / NAMES[0]]
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{files[0]}\n\n{files[1]}\n"))
    for source in (["-"], files):
        code, out, _ = run(capsys, "--model_file", exports / "net.onnx", "--data_file", *source, "--top_k", 1)
        assert code == 0 and results(out)[::2] == [NAMES[2], NAMES[0]]


def test_predictions_are_written_as_csv_and_jsonl(exports, recordings, tmp_path, capsys):
    wanted = infer.Recognizer(exports / "net.onnx", top_k=2).predict(recordings)
    for name in ("out.csv", "out.jsonl"):
        argv = ("--model_file", exports / "net.onnx", "--data_file", recordings, "--top_k", 2, "--output", tmp_path / name)
        code, out, _ = run(capsys, *argv)
        assert (code, results(out)) == (0, [f"Written: {tmp_path / name}"])
    with open(tmp_path / "out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], int(row["label"]), float(row["probability"])) for row in rows] == [
        (p.name, p.labels[rank], p.probabilities[rank]) for p in wanted for rank in range(2)]  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert lines == [vars(prediction) for prediction in wanted]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_file_s_name_of_any_bytes_can_be_printed_and_written(exports, tmp_path, capsys, suffix):
    (tmp_path / os.fsdecode(b"a\xff\x1b[31m.skeleton")).write_bytes(skeleton_bytes(1))
    output = tmp_path / f"out.{suffix}"
    code, out, _ = run(capsys, "--model_file", exports / "net.onnx", "--data_file", tmp_path)
    assert code == 0 and out.splitlines()[0] == r"a\udcff\x1b[31m.skeleton"
    assert run(capsys, "--model_file", exports / "net.onnx", "--data_file", tmp_path, "--output", output)[0] == 0
    assert r"a\udcff\x1b[31m.skeleton" in output.read_text().replace(r"\\", "\\")


def test_the_documented_python_example_runs(exports, recordings, tmp_path, capsys):
    (tmp_path / "exported").mkdir()
    for file in exports.glob("net.*"):
        shutil.copy(file, tmp_path / "exported")
    shutil.copy(recordings / NAMES[0], tmp_path / "S001C001P001R001A007.skeleton")
    for text in (infer.__doc__, (ROOT / "docs" / "deployment.md").read_text()):
        example = text[text.index("from infer import") :].split("```")[0]
        argv = [sys.executable, "-c", example]
        done = subprocess.run(argv, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
        assert done.stdout.startswith("S001C001P001R001A007.skeleton "), done.stderr


def test_onnx_runtime_needs_no_paddle(exports, recordings):
    code = (
        "import sys, infer; infer.main(sys.argv[1:]); "
        "sys.exit(any(name.split('.')[0] in ('paddle', 'model', 'training', 'processor', 'initializer') for name in sys.modules))"
    )
    argv = [sys.executable, "-c", code, "--model_file", exports / "net.onnx", "--data_file", recordings]
    done = subprocess.run(argv, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith(NAMES[0]), done.stderr


# ---------------------------------------------------------------- mistakes


def wrong_arrays(tmp_path):
    good = np.zeros((2, 3, 300, 25, 2), "float32")
    yield "three axes", good[0, 0]
    yield "two coordinates", good[:, :2]
    yield "24 joints", good[:, :, :, :24]
    yield "not a number", np.where(np.arange(2) == 1, np.float32("nan"), good)
    yield "no sample", good[:0]


def bad_inputs(tmp_path, exports):
    """(what is wrong, arguments, words of the message)."""
    net, data, labels, skeleton = (
        ("--model_file", exports / "net.onnx"),
        tmp_path / "d.npy",
        tmp_path / "l.pkl",
        tmp_path / "f.skeleton",
    )
    np.save(data, np.ones((2, 3, 300, 25, 2), "float32"))
    labels.write_bytes(pickle.dumps((["a", "b", "c"], [1, 2, 3], [1, 1, 1])))
    yield "labels of another length", (*net, "--data_file", data, "--label_file", labels), "number of samples 3"
    other = tmp_path / "other.pkl"
    other.write_bytes(pickle.dumps((["a", "b"], [1, 60], [1, 1])))
    yield "label out of range", (*net, "--data_file", data, "--label_file", other), "label 60"
    skeleton.write_bytes(skeleton_bytes(0, (0, 0, 0)))
    yield "no body", (*net, "--data_file", skeleton), "holds no body"
    yield "labels with a skeleton", (*net, "--data_file", skeleton, "--label_file", other), "--label_file"
    broken = tmp_path / "broken.skeleton"
    broken.write_bytes(skeleton_bytes(0)[:-40])
    yield "broken file", (*net, "--data_file", broken), "line"
    yield "no such data", (*net, "--data_file", tmp_path / "none.skeleton"), "none.skeleton"
    yield "no such npy", (*net, "--data_file", tmp_path / "none.npy"), "none.npy"
    (tmp_path / "empty").mkdir()
    yield "empty folder", (*net, "--data_file", tmp_path / "empty"), "holds no .skeleton file"
    yield "no such model", ("--model_file", tmp_path / "none", "--data_file", data), "none: no exported program"
    yield "unknown backend", (*net, "--data_file", data, "--backend", "tvm"), "tvm"
    yield "another precision", (*net, "--data_file", data, "--precision", "int8"), "invalid choice: 'int8'"
    yield "no GPU", ("--model_file", exports / "net", "--data_file", data, "--use_gpu=True"), "GPU"
    yield "half precision on the CPU", (*net, "--data_file", data, "--precision", "fp16"), "--precision fp16: onnxruntime has fp32"
    yield "TensorRT", (*net, "--data_file", data, "--use_gpu=True", "--use_tensorrt=True"), "can't run the .json programs"
    yield ("onnxruntime on a GPU", (*net, "--data_file", data, "--backend", "onnxruntime", "--use_gpu"), "runs on the CPU")
    yield "not a switch", (*net, "--data_file", data, "--use_gpu=maybe"), "True or False"
    yield "unknown flag", (*net, "--data_file", data, "--speed", "9"), "--speed"
    yield "no batch", (*net, "--data_file", data, "-b", "0"), "--batch_size: '0'"
    yield "window too long", (*net, "--data_file", data, "--window", "9"), "--window 9"
    yield "another output", (*net, "--data_file", data, "--output", tmp_path / "o.txt"), "o.txt"
    for what, array in wrong_arrays(tmp_path):
        path = tmp_path / f"{what.replace(' ', '_')}.npy"
        np.save(path, array)
        yield what, (*net, "--data_file", path), ""


def test_every_mistake_is_one_clear_line_and_exit_code_2_with_no_output_file(exports, tmp_path, capsys):
    for what, argv, words in bad_inputs(tmp_path, exports):
        output = () if "--output" in argv else ("--output", tmp_path / "out.csv")
        before = sorted(tmp_path.iterdir())
        code, out, error = run(capsys, *argv, *output)
        assert (code, error.count("\n")) == (2, 1) and error.startswith("error: ") and words in error, (what, error)
        assert sorted(tmp_path.iterdir()) == before and "A0" not in out.replace("Accuracy", ""), (what, out)


@pytest.mark.parametrize("text", ["", "a: [", "programs: 3\npreprocessing: 4\nclasses: []", "- 1"])
def test_a_damaged_record_is_one_clear_line(exports, recordings, tmp_path, capsys, text):
    shutil.copy(exports / "net.onnx", tmp_path)
    (tmp_path / "net.yaml").write_text(text)
    code, _, error = run(capsys, "--model_file", tmp_path / "net.onnx", "--data_file", recordings)
    assert code == 2 and error.count("\n") == 1 and "net.yaml" in error


@pytest.mark.parametrize("name", ["net.json", "net.pdiparams", "net.onnx"])
def test_a_damaged_program_without_a_record_of_its_hash_is_one_clear_line(exports, recordings, tmp_path, capsys, name):
    for part in ("net.json", "net.pdiparams", "net.onnx"):
        shutil.copy(exports / part, tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:5000])
    program = "net.onnx" if name == "net.onnx" else "net.json"
    code, _, error = run(capsys, "--model_file", tmp_path / program, "--data_file", recordings)
    assert code == 2 and error.count("\n") == 1 and program in error


def test_published_weights_recognise_golden_recordings_alike_on_every_engine(tmp_path, golden, published, monkeypatch):
    from training.checkpoint import load_weights, read_checkpoint

    config = load_config("2001")
    network = initializer.build_model(config)
    load_weights(network, read_checkpoint(published), published)
    monkeypatch.setattr("export.proof.BATCHES", ((0.3,),))  # what the programs give is compared below
    for to in ("paddle", "onnx"):
        export(network, config, tmp_path / "xsub", published, to=to, one_body=to == "onnx")
    wanted = golden("model_xsub")["eval_logits"]
    files = [GOLDEN / "skeletons" / name for name in golden("reader")["xsub_eval_name"]]
    for engine in ("native", "onednn", "onnxruntime"):
        found = infer.Recognizer(tmp_path / "xsub", engine).predict(files)
        assert [p.labels for p in found] == np.argsort(-wanted, 1)[:, :5].tolist()
        best = -np.sort(-probabilities(wanted), 1)[:, :5]
        np.testing.assert_allclose([p.probabilities for p in found], best, atol=1e-4)
