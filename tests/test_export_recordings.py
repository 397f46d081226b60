"""Programs take recordings as they are, of any length, and give the logits of the network on all frames."""

import json

import numpy as np
import paddle
import pytest

import initializer
from dataset.actions import action_names
from dataset.features import branch_features
from dataset.graph import NTU
from export.joint_major import JointMajorGCN
from export.products import ProductGCN
from infer import Recognizer
from inference.engines import open_engine
from options.schema import load_config
from tests.helpers.lengths import coordinates
from tests.helpers.programs import REAL, export, live_logits, record
from tests.helpers.small import CHAIN, fill, small
from training.checkpoint import load_weights, read_checkpoint

onnx = pytest.importorskip("onnx")
T = 62  # of which the network needs 15 more than the recording has
KINDS = {  # bodies, coordinates, how it is exported, who runs it
    "ONNX": (2, 3, {"to": "onnx"}, "net.onnx", "onnxruntime"),
    "ONNX, one body": (1, 3, {"to": "onnx"}, "net.onnx", "onnxruntime"),
    "ONNX, 2D": (1, 2, {"to": "onnx"}, "net.onnx", "onnxruntime"),
    "ONNX, three bodies": (3, 3, {"to": "onnx"}, "net.onnx", "onnxruntime"),
    "Paddle": (2, 3, {"coordinates": True}, "net.json", "native"),
}


class Exported:
    """A small network and its program."""

    def __init__(self, folder, bodies, channels, options, file, engine):
        self.bodies, self.channels, self.file = bodies, channels, folder / file
        shape = (3, 2 * channels, T, 3, bodies)
        self.model = small(data_shape=shape)
        self.lines = export(self.model, folder / "net", shape, record(T), **options)
        self.run = open_engine(self.file, engine)

    def recordings(self, longest):
        """Coordinates of recordings whose bodies are there for up to so many frames each, the later ones for less."""
        lengths = [[length // (1 + 2 * body) for body in range(self.bodies)] for length in longest]
        return coordinates(lengths, T, channels=self.channels, seed=len(longest))

    def differs(self, x, **given):
        """How far the logits of coordinates x (N, C, T, V, M), or of what is `given`, are from those of the network."""
        wanted = live_logits(self.model, branch_features(x, CHAIN))
        return np.abs(self.run(given.get("given", x)) - wanted).max() / np.abs(wanted).max()


@pytest.fixture(scope="module", params=KINDS)
def program(request, tmp_path_factory):
    return Exported(tmp_path_factory.mktemp("program"), *KINDS[request.param])


@pytest.mark.parametrize("longest", [[30], [1], [62], [9, 25], [40, 40], [3, 0, 20, 1, 33], [0]], ids=str)
def test_recordings_with_and_without_frames_behind_them_give_the_live_logits(program, longest):
    x, end = program.recordings(longest), max(*longest, 1)
    for frames in {end, (end + T) // 2, T}:
        assert program.differs(x, given=x[:, :, :frames]) < 1e-5, frames


def test_every_number_of_frames_is_taken(program):
    for frames in range(1, T + 1):
        x = program.recordings([frames])
        assert program.differs(x, given=x[:, :, :frames]) < 1e-5, frames


def test_frames_after_those_that_the_network_takes_count_for_nothing(program):
    x = program.recordings([T, 20])
    longer = np.concatenate([x, x + 1], axis=2)
    assert program.differs(x, given=longer) < 1e-5


def test_what_is_zero_between_frames_is_no_end(program):
    x = program.recordings([50, 20])
    x[:, :, 5:45] = 0
    assert program.differs(x) < 1e-5


@pytest.mark.parametrize("form", [JointMajorGCN, ProductGCN])
def test_the_programs_leave_frames_out(form):
    model, x = small(data_shape=(3, 6, 288, 3, 2)), coordinates([[30, 9], [4, 0]], 288)
    program = form(model, (3, 6, 288, 3, 2), (CHAIN, "JVB"))
    program.eval()
    seen, computed = [], model.frames.needed(30, 288, program.frames_step)
    program.main_stream[-1].register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].shape[-1]))
    with paddle.no_grad():
        found = program(paddle.to_tensor(x))
    np.testing.assert_allclose(found.numpy(), live_logits(model, branch_features(x, CHAIN)), atol=1e-5)
    assert seen == [-(-computed // 2)] and computed < 100


def test_features_of_288_frames_are_cut_as_well_where_a_program_takes_these():
    model, x = small(data_shape=(3, 6, 288, 3, 2)), branch_features(coordinates([[30, 9], [4, 0]], 288), CHAIN)
    program = ProductGCN(model, (3, 6, 288, 3, 2))
    program.eval()
    seen = []
    program.main_stream[-1].register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].shape[-1]))
    repeated = np.tile(x[:, :, :, :18], (1, 1, 1, 16, 1, 1))  # as x-view's recordings are
    for given, fewer in ((x, True), (repeated, False)):
        with paddle.no_grad():
            found = program(paddle.to_tensor(given)).numpy()
        np.testing.assert_allclose(found, live_logits(model, given), atol=1e-5)
        assert (seen[-1] < 144) == fewer


# ---------------------------------------------------------------- what stands in the file


def test_an_onnx_file_says_what_it_takes_and_where_it_is_from(tmp_path):
    known = record(T, classes=["sitzen", "站", "walk", 'with "quotes"'])
    export(small(data_shape=(3, 6, T, 3, 2)), tmp_path / "net", (3, 6, T, 3, 2), known, to="onnx")
    found = {entry.key: json.loads(entry.value) for entry in onnx.load(tmp_path / "net.onnx").metadata_props}
    assert found.pop("licence").startswith("code: Apache-2.0")
    assert found == known
    assert found["preprocessing"]["graph"]["parents"] == [0, 0, 1] and found["preprocessing"]["num_frame"] == T


def test_two_exports_hold_the_same_numbers_and_no_padding_of_an_undefined_value(tmp_path):
    """Paddle2ONNX writes Pad's value from memory that it did not set; every other operation has its numbers."""
    for name in "ab":
        export(small(data_shape=(3, 6, T, 3, 2)), tmp_path / name, (3, 6, T, 3, 2), record(T), to="onnx")
    graphs = [onnx.load(tmp_path / f"{name}.onnx").graph for name in "ab"]
    fields = [[field.t for node in graph.node for field in node.attribute if field.HasField("t")] for graph in graphs]
    first, again = (sorted(tensor.raw_data for tensor in (*graph.initializer, *more)) for graph, more in zip(graphs, fields, strict=True))
    assert first == again and len(first) > 100 and "Pad" not in {node.op_type for node in graphs[0].node}


def test_no_layer_of_a_program_computes_shapes(tmp_path):
    model = small(data_shape=(3, 6, T, 3, 2), block_args=[[16, 1, 1], [16, 2, 2], [16, 2, 2]])
    export(model, tmp_path / "net", (3, 6, T, 3, 2), record(T), to="onnx")
    kinds = [node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node]
    assert kinds.count("Conv") > 40 and kinds.count("Shape") < 6


# ---------------------------------------------------------------- who runs them


def test_a_recogniser_gives_coordinates_of_any_length_to_the_program(program):
    x = program.recordings([30, 62, 5, 0])
    wanted = live_logits(program.model, branch_features(x, CHAIN)).argmax(1)
    recognizer = Recognizer(program.file, batch_size=3)
    assert recognizer.program.takes_coordinates and recognizer.program.num_channel == program.channels
    for array in (x, x[:, :, :T], np.concatenate([x, x[:, :, :5]], axis=2)):
        assert [prediction.labels[0] for prediction in recognizer.predict(array)] == wanted.tolist()


def test_paddle_s_program_takes_features_unless_coordinates_are_asked_for(tmp_path):
    shape = (3, 6, T, 3, 2)
    for name, coordinates_too in (("features", False), ("recordings", True)):
        lines = export(small(data_shape=shape), tmp_path / name, shape, record(T), coordinates=coordinates_too)
        wanted = "[N, 3, T up to 62, 3, 2]" if coordinates_too else "['N', 3, 6, 62, 3, 2]"
        assert f"input {wanted}, " in lines[0] and lines[1].startswith("native: verified") and lines[2].startswith("onednn: ")
        assert Recognizer(tmp_path / name).program.takes_coordinates == coordinates_too
    x = coordinates([[30, 0], [7, 9]], T)
    found = [Recognizer(tmp_path / name, top_k=4).predict(x) for name in ("features", "recordings")]
    assert [p.labels for p in found[0]] == [p.labels for p in found[1]]
    np.testing.assert_allclose(*([p.probabilities for p in predictions] for predictions in found), atol=1e-6)


MEMBERS = {
    "B0 SG": {},
    "B4 SG": {"model_type": "EfficientGCN-B4"},
    "B0 Sep": {"model_args.layer_type": "Sep", "model_args.expand_ratio": 2, "model_args.reduct_ratio": 4},
}
NTU_RECORD = record(288, NTU, action_names(60))
NTU_LENGTHS = [[[94, 0]], [[42, 40], [227, 0]], [[74, 0], [1, 0], [288, 105], [86, 86], [0, 0]]]
PROGRAMS = (("net.json", "native"), ("net.json", "onednn"), ("net.onnx", "onnxruntime"))


@pytest.mark.parametrize("member", ["B0 SG", *(pytest.param(name, marks=pytest.mark.full) for name in ("B4 SG", "B0 Sep"))])
def test_exports_give_the_live_logits_on_every_engine_at_batches_1_2_and_5(tmp_path, member):
    model = fill(initializer.build_model(load_config("2001", MEMBERS[member].items())))
    for to in ("paddle", "onnx"):
        export(model, tmp_path / "net", REAL, NTU_RECORD, to=to)
    runs, found = {engine: open_engine(tmp_path / file, engine) for file, engine in PROGRAMS}, {}
    for lengths in NTU_LENGTHS:
        x = coordinates(lengths, 288, joints=25)
        features = branch_features(x, NTU)
        wanted = live_logits(model, features)
        for engine, run in runs.items():
            logits = run(x[:, :, : np.max(lengths)] if engine == "onnxruntime" else features)
            found.setdefault(engine, []).append(np.abs(logits - wanted).max() / np.abs(wanted).max())
    for engine, differences in found.items():
        print(f"{member} | {engine} | " + " | ".join(f"{difference:.1e}" for difference in differences))  # pytest -rP shows it
        assert max(differences) < 1e-5, engine


@pytest.mark.parametrize("to", ["paddle", "onnx"])
def test_the_published_weights_give_the_golden_eval_logits_once_exported(tmp_path, golden, published, to):
    model = initializer.build_model(load_config("2001"))
    load_weights(model, read_checkpoint(published), published)
    export(model, tmp_path / "net", REAL, NTU_RECORD, to=to)
    wanted, x = golden("model_xsub")["eval_logits"], golden("reader")["xsub_eval_data"][:, :, :288]
    for file, engine in PROGRAMS:
        if (tmp_path / file).exists():
            logits = open_engine(tmp_path / file, engine)(x if to == "onnx" else branch_features(x, NTU))
            assert np.abs(logits - wanted).max() < 1e-4 * np.abs(wanted).max(), engine


def test_an_onnx_file_holds_no_weight_that_nothing_reads(tmp_path):
    export(small(data_shape=(3, 6, T, 3, 2)), tmp_path / "net", (3, 6, T, 3, 2), record(T), to="onnx")
    graph = onnx.load(tmp_path / "net.onnx").graph
    assert {tensor.name for tensor in graph.initializer} <= {name for node in graph.node for name in node.input}
