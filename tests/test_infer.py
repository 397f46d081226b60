"""What exported programs recognise, and which programs are taken."""

import shutil
import subprocess
import sys

import numpy as np
import paddle
import pytest

import infer
from dataset.features import branch_features
from dataset.graph import NTU, Graph
from export.program import export_program
from inference.engines import open_engine
from reader.ntu_reader import layout, read_sample, read_skeleton, select_bodies
from reader.transformer import view_normalise
from tests.helpers.exported import NAMES, linear_network, live_logits, probabilities, results, run
from tests.helpers.places import ROOT, environment
from tests.helpers.skeleton_corpus import skeleton_bytes
from utils.errors import UserError

pytest_plugins = ["tests.helpers.exported"]

PROGRAMS = [("net.json", None), ("net", "onednn"), ("recordings", None), ("net.onnx", None), ("one", "onnxruntime"), ("one", None)]


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
    rows, run_program = [], recognizer.program.infer.each
    recognizer.program.infer.each = lambda batches: rows.extend(map(len, batches)) or run_program(batches)
    recognizer.predict(np.load(dataset[0]))
    assert sum(rows) == 3 + 2 * 3 + 1  # samples of one body, of two, and the empty body once
    recognizer.predict(np.load(dataset[0]))
    assert sum(rows) == 2 * (3 + 2 * 3) + 1


@pytest.mark.parametrize("threads", [1, 3])
def test_recordings_side_by_side_have_the_logits_of_each_alone(exports, dataset, threads):
    x = np.load(dataset[0])[:, :, :8]
    program = infer.Recognizer(exports / "net.onnx", cpu_threads=threads).program
    together, alone = program(x), np.concatenate([program(x[i : i + 1]) for i in range(len(x))])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6 * np.abs(alone).max())


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


def test_a_recording_longer_than_a_sample_is_cut_with_a_note_or_slid_over(exports, tmp_path, capsys):
    path = tmp_path / NAMES[0]
    path.write_bytes(skeleton_bytes(4, (1,) * 310))
    code, out, error = run(capsys, "--model_file", exports / "net.onnx", "--data_file", path)
    assert (code, error) == (0, "") and "note: " in out and "the rest was left out; --window slides over all" in out
    code, out, _ = run(capsys, "--model_file", exports / "net.onnx", "--data_file", path, "--window", 8, "--stride", 100)
    lines = results(out)
    assert code == 0 and lines[0] == NAMES[0] and len(lines) == 6
    assert lines[2].startswith("    3.3 -     3.6 s  A0")


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
    onnx = pytest.importorskip("onnx")
    for name in ("net.json", "net.pdiparams", "recordings.json", "recordings.pdiparams"):
        shutil.copy(exports / name, tmp_path)
    bare = onnx.load(exports / "net.onnx")
    del bare.metadata_props[:]
    onnx.save(bare, tmp_path / "net.onnx")
    with_record = infer.Recognizer(exports / "net.onnx").predict(recordings)
    for name in ("net.json", "recordings.json", "net.onnx"):
        recognizer = infer.Recognizer(tmp_path / name)
        found = recognizer.predict(recordings)
        assert [p.classes for p in found] == [p.classes for p in with_record]
        assert [("configuration 2001's" in note) for note in recognizer.program.notes] == [True]
    with pytest.raises(UserError, match="not verified with onednn"):
        infer.Recognizer(tmp_path / "net.json", "onednn")


@pytest.mark.parametrize("name", ["net", "one", "view"])
def test_an_onnx_file_alone_gives_the_same_lines_as_with_its_record(exports, recordings, tmp_path, capsys, name):
    shutil.copy(exports / f"{name}.onnx", tmp_path / "elsewhere.onnx")
    found, wanted = (
        run(capsys, "--model_file", file, "--data_file", recordings) for file in (tmp_path / "elsewhere.onnx", exports / f"{name}.onnx")
    )
    assert found == wanted and found[0] == 0 and "configuration 2001's" not in found[1]


@pytest.mark.parametrize("key, value", [("preprocessing", "{}"), ("preprocessing", "3"), ("classes", "[1"), ("classes", '"walk"')])
def test_what_others_wrote_into_an_onnx_file_is_not_taken_for_a_record(exports, recordings, tmp_path, key, value):
    onnx = pytest.importorskip("onnx")
    other = onnx.load(exports / "net.onnx")
    next(entry for entry in other.metadata_props if entry.key == key).value = value
    onnx.save(other, tmp_path / "other.onnx")
    recognizer = infer.Recognizer(tmp_path / "other.onnx")
    assert "has no other.yaml" in recognizer.program.notes[0] and len(recognizer.predict(recordings)) == 3


FIXED_BATCH = """
import sys, paddle
from tests.helpers.exported import linear_network

spec = [paddle.static.InputSpec([4, 3, 6, 8, 25, 2], "float32", "x")]
paddle.jit.save(linear_network(), sys.argv[1], input_spec=spec)
"""


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
    with pytest.raises(UserError, match="C = 2, V = 3, M = 1"):
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
