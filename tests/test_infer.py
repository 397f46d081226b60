import csv
import io
import json
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import paddle
import pytest

import infer
import initializer
from configs.schema import load_config
from dataset.actions import action_names
from dataset.features import branch_features
from dataset.graph import NTU, Graph
from model.export import export_program
from reader.ntu_reader import layout, read_sample, read_skeleton, select_bodies
from reader.transformer import view_normalise
from tests.conftest import GOLDEN, ROOT, TINY, environment, fill
from tests.skeleton_corpus import skeleton_bytes
from tools.program import open_engine
from tools.record import export_record
from utils import UserError, run_command

NAMES = [f"S001C001P001R001A{number:03}.skeleton" for number in (1, 2, 3)]


def wide_network(number):
    """A small network of a configuration whose classes are well apart."""
    network = fill(initializer.build_model(load_config(number, TINY.items())))
    network.classifier.fc.weight.set_value(network.classifier.fc.weight * 5)
    network.eval()
    return network


def export(network, config, prefix, checkpoint, **options):
    record = export_record(config, checkpoint, NTU, action_names(60))
    shape = initializer.data_shape(config)
    export_program(network, prefix, data_shape=shape, record=record, open_engine=open_engine, **options)


@pytest.fixture(scope="session")
def exports(tmp_path_factory):
    """Folder with a small network, T = 8, exported: net (two bodies; Paddle and ONNX), one (one body), view (normalised)."""
    folder = tmp_path_factory.mktemp("exports")
    checkpoint = folder / "weights"
    checkpoint.write_bytes(b"any")
    for name, number, to, one_body in (
        ("net", "2001", "paddle", False),
        ("net", "2001", "onnx", False),
        ("one", "2001", "paddle", True),
        ("one", "2001", "onnx", True),
        ("view", "2002", "onnx", False),
    ):
        config = load_config(number, TINY.items())
        export(wide_network(number), config, folder / name, checkpoint, to=to, one_body=one_body)
    return folder


@pytest.fixture
def model():
    return wide_network("2001")


@pytest.fixture
def recordings(tmp_path):
    """A folder with three .skeleton files: three bodies, one body, one that comes late."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    for seed, (name, bodies) in enumerate(zip(NAMES, ((3,) * 12, (1,) * 9, (0, 0, 1, 1, 1, 1)), strict=True)):
        (folder / name).write_bytes(skeleton_bytes(seed, bodies))
    return folder


@pytest.fixture
def dataset(tmp_path):
    """Paths of (data, labels) with seven samples, every second one with one body, the last one empty."""
    data = np.random.default_rng(5).normal(0, 0.4, (7, 3, 300, 25, 2)).astype("float32")
    data[::2, ..., 1] = 0
    data[6] = 0
    names = [f"folder/S001C001P00{i}R001A00{i}.skeleton" for i in range(1, 8)]
    np.save(tmp_path / "data.npy", data)
    with open(tmp_path / "label.pkl", "wb") as file:
        pickle.dump((names, [0, 1, 2, 3, 4, 5, 6], [300] * 7), file, 4)
    return tmp_path / "data.npy", tmp_path / "label.pkl"


def live_logits(model, coordinates):
    with paddle.no_grad():
        return model(paddle.to_tensor(branch_features(coordinates[:, :, :8], NTU)))[0].numpy()


def probabilities(logits):
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def run(capsys, *argv):
    """(exit code, stdout, stderr) of the command in this process."""
    code = run_command(lambda: infer.main([str(word) for word in argv]))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


PROGRAMS = [("net.json", None), ("net", "onednn"), ("net.onnx", None), ("one", "onnxruntime"), ("one", None)]


@pytest.mark.parametrize(("program", "engine"), PROGRAMS)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_arrays_give_the_live_network_s_probabilities(exports, model, dataset, program, engine, batch_size):
    data = np.load(dataset[0])
    wanted = probabilities(live_logits(model, data))
    found = infer.Recognizer(exports / program, engine, batch_size=batch_size, top_k=60).predict(data)
    for prediction, row in zip(found, wanted, strict=True):
        np.testing.assert_allclose(prediction.probabilities, np.sort(row)[::-1], atol=1e-5)
        np.testing.assert_allclose(row[prediction.labels], prediction.probabilities, atol=1e-5)


def test_a_one_body_program_computes_no_body_that_is_not_there(exports, dataset):
    recognizer = infer.Recognizer(exports / "one.onnx", batch_size=7)
    rows, run_program = [], recognizer.program.run
    recognizer.program.run = lambda features: rows.append(len(features)) or run_program(features)
    recognizer.predict(np.load(dataset[0]))
    assert sum(rows) == 3 + 2 * 3 + 1  # samples of one body, of two, and the empty body once
    recognizer.predict(np.load(dataset[0]))
    assert sum(rows) == 2 * (3 + 2 * 3) + 1


def test_skeleton_files_go_the_way_of_the_data_set(exports, recordings):
    recognizer = infer.Recognizer(exports / "net.onnx")
    for name in NAMES:
        (from_file,) = recognizer.predict(recordings / name)
        (from_array,) = recognizer.predict(read_sample(recordings / name)[0])
        assert from_file.name == name
        assert (from_file.labels, from_file.probabilities) == (from_array.labels, from_array.probabilities)


def test_the_view_is_normalised_where_the_record_says_so(exports, recordings):
    recognizer = infer.Recognizer(exports / "view.onnx")
    (from_file,) = recognizer.predict(recordings / NAMES[0])
    (from_array,) = recognizer.predict(view_normalise(read_sample(recordings / NAMES[0])[0]))
    assert from_file.probabilities == from_array.probabilities


def test_folders_lists_and_npy_files_give_the_same_as_their_parts(exports, recordings, dataset):
    recognizer = infer.Recognizer(exports / "net.onnx")
    singly = [recognizer.predict(recordings / name)[0] for name in NAMES]
    assert recognizer.predict(recordings) == singly
    assert recognizer.predict([recordings / name for name in NAMES]) == singly
    data = np.load(dataset[0])
    assert recognizer.predict(str(dataset[0])) == recognizer.predict(data)
    assert recognizer.predict(data[2])[0].probabilities == recognizer.predict(data)[2].probabilities


def test_windows_are_recognised_as_if_they_were_recordings_and_cover_the_end(exports, recordings):
    recognizer = infer.Recognizer(exports / "net.onnx")
    bodies = read_skeleton(recordings / NAMES[0])
    found = recognizer.predict(recordings / NAMES[0], window=5, stride=3)
    assert [prediction.seconds for prediction in found] == [(s / 30, (s + 5) / 30) for s in (0, 3, 6, 7)]
    cut = layout(select_bodies(bodies[:, 3:8]), 300)
    assert found[1].probabilities == recognizer.predict(cut)[0].probabilities


def test_windows_in_which_nobody_is_seen_are_left_out(exports, tmp_path):
    path = tmp_path / NAMES[0]
    path.write_bytes(skeleton_bytes(3, (1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1)))
    found = infer.Recognizer(exports / "net.onnx").predict(path, window=4)
    assert [prediction.seconds for prediction in found] == [(0, 4 / 30), (8 / 30, 12 / 30)]


def test_a_recording_longer_than_a_sample_needs_a_window(exports, tmp_path, capsys):
    path = tmp_path / NAMES[0]
    path.write_bytes(skeleton_bytes(4, (1,) * 310))
    code, out, error = run(capsys, "--model_file", exports / "net.onnx", "--data_file", path)
    assert (code, out, error.count("\n")) == (2, "", 1) and "--window" in error
    code, out, _ = run(capsys, "--model_file", exports / "net.onnx", "--data_file", path, "--window", 8, "--stride", 100)
    lines = out.splitlines()
    assert code == 0 and lines[0] == NAMES[0] and len(lines) == 6
    assert lines[2].startswith("    3.3 -     3.6 s  A0")


# ---------------------------------------------------------------- the command


def test_a_skeleton_file_prints_its_name_and_the_five_best_classes(exports, recordings, capsys):
    code, out, error = run(capsys, "--model_file", exports / "net.onnx", "--data_file", recordings / NAMES[0])
    (prediction,) = infer.Recognizer(exports / "net.onnx").predict(recordings / NAMES[0])
    rows = zip(prediction.labels, prediction.classes, prediction.probabilities, strict=True)
    assert out.splitlines() == [NAMES[0], *(f"A{label + 1:03} {name} {p:.3f}" for label, name, p in rows)]
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
    assert code == 0 and out.splitlines() == [*wanted, f"Infer Mean Accuracy:  {round(float(right.mean()), 6)}"]


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


def test_a_list_of_files_comes_from_stdin(exports, recordings, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{recordings / NAMES[2]}\n\n{recordings / NAMES[0]}\n"))
    code, out, _ = run(capsys, "--model_file", exports / "net.onnx", "--data_file", "-", "--top_k", 1)
    assert code == 0 and out.splitlines()[::2] == [NAMES[2], NAMES[0]]


def test_predictions_are_written_as_csv_and_jsonl(exports, recordings, tmp_path, capsys):
    wanted = infer.Recognizer(exports / "net.onnx", top_k=2).predict(recordings)
    for name in ("out.csv", "out.jsonl"):
        argv = ("--model_file", exports / "net.onnx", "--data_file", recordings, "--top_k", 2, "--output", tmp_path / name)
        assert run(capsys, *argv)[0] == 0
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
    code, out, _ = run(capsys, "--model_file", exports / "net.onnx", "--data_file", tmp_path, "--output", output)
    assert code == 0 and out.splitlines()[0] == r"a\udcff\x1b[31m.skeleton"
    assert r"a\udcff\x1b[31m.skeleton" in output.read_text().replace(r"\\", "\\")


def test_the_documented_python_example_runs(exports, recordings, tmp_path, capsys):
    shutil.copytree(exports, tmp_path / "workdir")
    for file in list((tmp_path / "workdir").glob("net.*")):
        file.rename(file.with_name(file.name.replace("net.", "model.")))
    record = tmp_path / "workdir" / "model.yaml"
    record.write_text(record.read_text().replace("net.", "model."))
    shutil.copy(recordings / NAMES[0], tmp_path / "S001C001P001R001A007.skeleton")
    for text in (infer.__doc__, (ROOT / "docs" / "deployment.md").read_text()):
        example = text[text.index("from infer import") :].split("```")[0]
        argv = [sys.executable, "-c", example]
        done = subprocess.run(argv, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
        assert done.stdout.startswith("S001C001P001R001A007.skeleton "), done.stderr


def test_onnx_runtime_needs_no_paddle(exports, recordings):
    code = (
        "import sys, infer; infer.main(sys.argv[1:]); "
        "sys.exit(any(name.split('.')[0] in ('paddle', 'model', 'processor', 'initializer') for name in sys.modules))"
    )
    argv = [sys.executable, "-c", code, "--model_file", exports / "net.onnx", "--data_file", recordings]
    done = subprocess.run(argv, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith(NAMES[0]), done.stderr


# ---------------------------------------------------------------- programs


def test_an_engine_that_was_not_verified_is_refused_unless_asked_for(exports, recordings, tmp_path, capsys):
    for name in ("net.json", "net.pdiparams"):
        shutil.copy(exports / name, tmp_path)
    text = (exports / "net.yaml").read_text()
    assert text.count("onednn: {verified: true") == 1
    (tmp_path / "net.yaml").write_text(text.replace("onednn: {verified: true", "onednn: {verified: false"))
    argv = ("--model_file", tmp_path / "net", "--data_file", recordings, "--enable_mkldnn")
    code, out, error = run(capsys, *argv)
    assert (code, out) == (2, "") and "not verified with onednn" in error and "--allow_unverified" in error
    code, out, _ = run(capsys, *argv, "--allow_unverified")
    assert code == 0 and out.startswith("note: ") and "its logits may be wrong" in out


def test_a_program_without_a_record_runs_with_2001_s_settings_and_says_so(exports, recordings, tmp_path, capsys):
    for name in ("net.json", "net.pdiparams", "net.onnx"):
        shutil.copy(exports / name, tmp_path)
    with_record = infer.Recognizer(exports / "net.onnx").predict(recordings)
    for name in ("net.json", "net.onnx"):
        recognizer = infer.Recognizer(tmp_path / name)
        found = recognizer.predict(recordings)
        assert [p.classes for p in found] == [p.classes for p in with_record]
        assert [("configuration 2001's" in note) for note in recognizer.program.notes] == [True]
    with pytest.raises(UserError, match="not verified with onednn"):
        infer.Recognizer(tmp_path / "net.json", "onednn")


FIXED_BATCH = """
import sys, paddle
from tests.test_infer import linear_network

spec = [paddle.static.InputSpec([4, 3, 6, 8, 25, 2], "float32", "x")]
paddle.jit.save(linear_network(), sys.argv[1], input_spec=spec)
"""


def linear_network():
    """The simplest network of features; Paddle 3 can still write it in the form of Paddle 2."""
    return fill(paddle.nn.Sequential(paddle.nn.Flatten(), paddle.nn.Linear(3 * 6 * 8 * 25 * 2, 60)))


@pytest.mark.parametrize(("api", "suffix"), [("1", ".json"), ("0", ".pdmodel")], ids=["Paddle 3", "Paddle 2"])
def test_programs_with_a_fixed_batch_are_padded_and_cut(dataset, tmp_path, api, suffix):
    argv = [sys.executable, "-c", FIXED_BATCH, tmp_path / "fixed"]
    subprocess.run(argv, cwd=ROOT, env={**environment(), "FLAGS_enable_pir_api": api}, check=True, capture_output=True)
    assert (tmp_path / f"fixed{suffix}").is_file()
    data = np.load(dataset[0])
    wanted = linear_network()(paddle.to_tensor(branch_features(data[:, :, :8], NTU))).numpy()
    for batch_size in (1, 3, 16):
        found = infer.Recognizer(tmp_path / "fixed", batch_size=batch_size).predict(data)
        assert [p.labels for p in found] == np.argsort(-wanted, 1)[:, :5].tolist()


@pytest.mark.parametrize("engine", ["native", "onednn"])
def test_onednn_is_on_where_it_is_asked_for_and_only_there(exports, monkeypatch, engine):
    seen, create = [], paddle.inference.create_predictor
    monkeypatch.setattr(paddle.inference, "create_predictor", lambda config: seen.append(config) or create(config))
    infer.Recognizer(exports / "net.json", engine, cpu_threads=1)
    assert [(config.mkldnn_enabled(), config.cpu_math_library_num_threads()) for config in seen] == [(engine == "onednn", 1)]


def test_another_skeleton_with_other_numbers_of_coordinates_bodies_and_classes(tmp_path, small_network):
    network = small_network(data_shape=(3, 4, 8, 3, 1))
    network.eval()
    skeleton = {"name": "chain", "centre": 0, "parents": [0, 0, 1]}
    record = {
        "source": {}, "classes": ["no", "1", "yes", "e"],
        "preprocessing": {"inputs": "JVB", "num_frame": 8, "transform": False, "graph": skeleton}}  # fmt: skip
    shape = (3, 4, 8, 3, 1)
    export_program(network, tmp_path / "net", data_shape=shape, record=record, open_engine=open_engine, to="onnx")
    data = np.random.default_rng(3).normal(0, 1, (2, 2, 8, 3, 1)).astype("float32")
    graph = Graph("chain", (), (0, 0, 1), {}, 0)
    wanted = np.argsort(-network(paddle.to_tensor(branch_features(data, graph)))[0].numpy(), 1)
    recognizer = infer.Recognizer(tmp_path / "net")
    found = recognizer.predict(data)
    assert [p.labels for p in found] == wanted.tolist()
    assert found[0].classes == [record["classes"][label] for label in wanted[0]]
    with pytest.raises(UserError, match="the program takes C = 2, V = 3, M = 1"):
        recognizer.predict(np.zeros((3, 8, 25, 2), "float32"))


def test_a_prefix_a_folder_and_either_file_name_the_program(exports, tmp_path):
    for name in ("net.json", "net.pdiparams", "net.onnx", "net.yaml"):
        shutil.copy(exports / name, tmp_path)
    for path, engine, wanted in (
        (tmp_path, None, "native"), (tmp_path / "net", None, "native"), (tmp_path, "onnxruntime", "onnxruntime"),
        (tmp_path / "net.onnx", None, "onnxruntime"), (str(tmp_path / "net.json"), "native", "native"),
    ):  # fmt: skip
        assert infer.Recognizer(path, engine).program.engine == wanted


def test_a_program_that_changed_or_is_of_another_export_is_refused(exports, tmp_path):
    for name in ("net.json", "net.pdiparams", "net.yaml"):
        shutil.copy(exports / name, tmp_path)
    shutil.copy(exports / "one.onnx", tmp_path / "net.onnx")
    with pytest.raises(UserError, match="not the file of this export"):
        infer.Recognizer(tmp_path / "net.onnx")
    infer.Recognizer(tmp_path / "net.json")
    other = bytearray((exports / "net.pdiparams").read_bytes())
    other[-1] ^= 1  # one bit of the last weight
    (tmp_path / "other.pdiparams").write_bytes(other)
    with pytest.raises(UserError, match=r"other\.pdiparams: not the file of this export"):
        infer.Recognizer(tmp_path / "net.json", params_file=tmp_path / "other.pdiparams")
    (tmp_path / "net.pdiparams").unlink()
    with pytest.raises(UserError, match=r"net\.pdiparams: missing"):
        infer.Recognizer(tmp_path / "net.json")


# ---------------------------------------------------------------- mistakes


def wrong_arrays(tmp_path):
    good = np.zeros((2, 3, 300, 25, 2), "float32")
    yield "float64", good.astype("float64")
    yield "three axes", good[0, 0]
    yield "two coordinates", good[:, :2]
    yield "24 joints", good[:, :, :, :24]
    yield "three bodies", np.concatenate([good, good[..., :1]], -1)
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
    yield "labels of another length", (*net, "--data_file", data, "--label_file", labels), "names 3 samples"
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
    yield "another precision", (*net, "--data_file", data, "--precision", "int8"), "--precision int8"
    yield "no GPU", ("--model_file", exports / "net", "--data_file", data, "--use_gpu=True"), "GPU"
    yield ("TensorRT on the CPU", ("--model_file", exports / "net", "--data_file", data, "--use_tensorrt=True"), "--use_gpu")
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


def test_a_mistake_late_in_the_data_leaves_an_older_output_as_it_was(exports, recordings, tmp_path, capsys):
    (recordings / "S001C001P001R001A009.skeleton").write_text("nothing")
    output = tmp_path / "out.jsonl"
    output.write_text("older")
    assert run(capsys, "--model_file", exports / "net.onnx", "--data_file", recordings, "--output", output)[0] == 2
    assert output.read_text() == "older" and [p.name for p in tmp_path.glob("*out*")] == ["out.jsonl"]


@pytest.mark.parametrize("text", ["", "a: [", "programs: 3\npreprocessing: 4\nclasses: []", "- 1"])
def test_a_damaged_record_is_one_clear_line(exports, recordings, tmp_path, capsys, text):
    shutil.copy(exports / "net.onnx", tmp_path)
    (tmp_path / "net.yaml").write_text(text)
    code, _, error = run(capsys, "--model_file", tmp_path / "net.onnx", "--data_file", recordings)
    assert code == 2 and error.count("\n") == 1 and "net.yaml" in error


@pytest.mark.parametrize("name", ["net.json", "net.pdiparams", "net.onnx"])
def test_a_damaged_program_is_one_clear_line(exports, recordings, tmp_path, capsys, name):
    for part in ("net.json", "net.pdiparams", "net.onnx"):
        shutil.copy(exports / part, tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:5000])
    program = "net.onnx" if name == "net.onnx" else "net.json"
    code, _, error = run(capsys, "--model_file", tmp_path / program, "--data_file", recordings)
    assert code == 2 and error.count("\n") == 1 and program in error


def test_published_weights_recognise_golden_recordings_alike_on_every_engine(tmp_path, golden, published):
    from model.checkpoint import load_weights, read_checkpoint

    config = load_config("2001")
    network = initializer.build_model(config)
    load_weights(network, read_checkpoint(published), published)
    for to in ("paddle", "onnx"):
        export(network, config, tmp_path / "xsub", published, to=to, one_body=to == "onnx")
    wanted = golden("model_xsub")["eval_logits"]
    files = [GOLDEN / "skeletons" / name for name in golden("reader")["xsub_eval_name"]]
    for engine in ("native", "onednn", "onnxruntime"):
        found = infer.Recognizer(tmp_path / "xsub", engine).predict(files)
        assert [p.labels for p in found] == np.argsort(-wanted, 1)[:, :5].tolist()
        np.testing.assert_allclose([p.probabilities[0] for p in found], probabilities(wanted).max(1), atol=1e-4)
