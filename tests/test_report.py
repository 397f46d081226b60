"""The numbers behind the report, pictures for papers, and the commands that make them."""

import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest

from dataset.graph import NTU, Graph
from evaluation.figures import save_figures
from evaluation.report import MISSING, choose_samples, describe_sample, read_curves, write_page
from evaluation.saliency import attention_maps, sample_saliency, viewer_axes
from evaluation.scores import Scores, top_confusions
from tests.helpers.pages import HOSTILE, TWO_D, make_data, make_look, make_scores
from tests.helpers.places import GOLDEN, ROOT, environment
from utils.errors import UserError

pytest_plugins = ["tests.helpers.pages"]


# ---------------------------------------------------------------- numbers


def test_calibration_error_of_cases_done_by_hand():
    logits = np.log(np.array([[0.8, 0.2], [0.8, 0.2], [0.4, 0.6], [0.98, 0.02]]))
    scores = Scores(list("abcd"), np.array([0, 1, 1, 0]), logits)
    ece, counts, confidence, accuracy = scores.calibration(bins=10)
    assert counts.tolist() == [0, 0, 0, 0, 0, 1, 0, 2, 0, 1]
    np.testing.assert_allclose(confidence[[5, 7, 9]], [0.6, 0.8, 0.98])
    np.testing.assert_allclose(accuracy[[5, 7, 9]], [1, 0.5, 1])
    assert ece == pytest.approx((0.4 + 2 * 0.3 + 0.02) / 4)


def test_confusions_come_most_frequent_first():
    assert top_confusions(np.array([[5, 2, 0], [3, 1, 2], [0, 0, 9]]), 3) == [(1, 0, 3), (0, 1, 2), (1, 2, 2)]
    assert top_confusions(np.eye(3, dtype=int), 3) == []


def test_samples_are_chosen_from_both_sides_and_by_name():
    scores = make_scores(6, 200)
    chosen = choose_samples(scores, 8)
    right = scores.hits(1)[chosen]
    assert len(set(chosen)) == 8 and right.sum() == 4 and not right[:4].any()
    pairs = [(int(scores.labels[i]), int(scores.logits[i].argmax())) for i in chosen]
    assert pairs[:4] == [pair[:2] for pair in top_confusions(scores.confusion(), 4)]
    assert choose_samples(scores, 8, [scores.names[7], scores.names[3]]) == [7, 3]
    with pytest.raises(UserError, match="'nobody' is not among the 200 samples"):
        choose_samples(scores, 8, ["nobody"])
    sure = make_scores(6, 50, sure=100.0)
    assert sure.hits(1).all() and len(choose_samples(sure, 8)) == 6
    wrong = Scores(sure.names, (sure.labels + 1) % 6, sure.logits)
    assert not wrong.hits(1).any() and len(choose_samples(wrong, 4)) == 4


def test_coordinates_come_back_from_their_differences():
    scores = make_scores(3, 3)
    sample = make_look(scores, 0)
    sample.seen[3, 1, 4] = sample.seen[:, 0, 2] = False
    packed = describe_sample(sample)
    motion = np.cumsum(np.reshape(packed["motion"], (*sample.seen.shape, 3)), axis=0)
    assert (motion[~sample.seen] == MISSING).all()
    back, points = motion[sample.seen], sample.motion[sample.seen]
    scale = np.ptp(points[:, 0]) / np.ptp(back[:, 0])
    np.testing.assert_allclose(back * scale - back[0] * scale, points - points[0], atol=2 * scale)
    assert np.abs(back).max() == 1000


def test_a_viewer_sees_left_and_right_as_the_sensor_did():
    one = np.array([1.0, 2.0, 3.0]).reshape(3, 1, 1, 1)
    for up, expected in (("y", [-1, 2, 3]), ("-y", [1, -2, 3]), ("z", [-1, 3, -2])):
        assert viewer_axes(one, up).ravel().tolist() == expected
    assert viewer_axes(one[:2], "-y").ravel().tolist() == [1, -2, 0]


def test_curves_of_a_run_without_or_with_damaged_figures(tmp_path):
    assert read_curves(None)[0] == {} and "no curves" in read_curves(None)[1]
    assert read_curves(tmp_path)[0] == {} and "no finished epoch" in read_curves(tmp_path)[1]
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1, "step": 3, "loss": 2}\n{"epoch": 1, "eval_top1": 0.5, "lr": NaN}\n')
    assert read_curves(tmp_path) == ({"eval_top1": [[1], [0.5]]}, None)
    (tmp_path / "metrics.jsonl").write_text("no json\n")
    assert read_curves(tmp_path)[0] == {} and "can't be read" in read_curves(tmp_path)[1]


class OneSample:
    """What `sample_saliency` asks of a feeder: features and coordinates of one sample."""

    def __init__(self, graph, shape=(3, 8, 3, 2), num_frame=8):
        self.graph, self.num_frame, self.data = graph, num_frame, self
        self.coordinates = np.random.default_rng(0).normal(size=shape).astype("float32")
        self.coordinates[:, 5:] = 0
        self.coordinates[..., 1] = 0
        self.features = np.random.default_rng(1).normal(size=(3, 6, *shape[1:])).astype("float32")

    def __getitem__(self, index):
        return self.features, 2, "sample"

    def read(self, indices):
        return self.coordinates[None]


CHAIN = Graph("chain", ((0, 1), (1, 2)), (0, 0, 1), {}, 0)


@pytest.mark.parametrize("att_type", ["stja", "pa", "ca", "fa", "ja", "none"])
def test_maps_are_those_of_the_network(small_network, att_type):
    import paddle

    model = small_network(att_type=att_type)
    model.eval()
    feeder = OneSample(CHAIN)
    seen = sample_saliency(model, feeder, 0, list("abcd"), "y")
    logits, features = model(paddle.to_tensor(feeder.features[None]))
    assert seen.motion.shape == (5, 2, 3, 3) and seen.seen[:, 0].all() and not seen.seen[:, 1].any()
    np.testing.assert_allclose(seen.probabilities, paddle.nn.functional.softmax(logits)[0].numpy(), rtol=1e-5)
    activation = next(values for title, values in seen.maps.items() if title.startswith("class activation, predicted"))
    guess = int(logits.argmax())
    weight = model.classifier.fc.weight[guess].reshape([-1]).numpy()
    whole = np.einsum("c,ctvm->tmv", weight, features[0].numpy())
    np.testing.assert_allclose(activation, np.maximum(whole, 0)[: len(activation)], atol=1e-5)
    bias = model.classifier.fc.bias[guess].item()
    np.testing.assert_allclose(whole.mean() + bias, logits[0, guess].item(), rtol=1e-4)  # the map adds up to the logit
    attention = [values for title, values in seen.maps.items() if title.startswith("attention")]
    assert len(attention) == (0 if att_type == "none" else 1)
    for values in attention:
        assert values.shape == (3, 2, 3)  # 5 of 8 frames, at half the rate
    if att_type == "stja":
        layer = dict(model.named_sublayers())["main_stream.block-0_att"]
        kept = []
        hook = layer.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
        model(paddle.to_tensor(feeder.features[None]))
        hook.remove()
        expected = layer.att(kept[0]).numpy().mean(1)  # (M, T', V)
        np.testing.assert_allclose(attention[0], expected.transpose(1, 0, 2)[:3], atol=1e-6)


def test_hooks_are_gone_afterwards(small_network):
    model = small_network()
    with attention_maps(model) as maps:
        pass
    import paddle

    model(paddle.zeros([1, 3, 6, 8, 3, 2]))
    assert maps == {}


def test_the_zero_centre_of_normalised_bodies_is_not_missing(small_network):
    model = small_network()
    model.eval()
    feeder = OneSample(CHAIN)
    feeder.coordinates[:, :, 0, 0] = 0
    assert sample_saliency(model, feeder, 0, list("abcd"), "z").seen[:, 0].all()
    feeder.coordinates[0, 2, 0, 0] = 1  # a centre that is somewhere is missing where it is zero
    assert sample_saliency(model, feeder, 0, list("abcd"), "z").seen[:, 0, 0].tolist() == [False, False, True, False, False]


# ---------------------------------------------------------------- pictures and commands


@pytest.mark.parametrize("options", [{}, {"attention": False, "joints": 18, "bodies": 1, "flat": True}])
def test_pictures_of_every_kind_with_embedded_fonts(tmp_path, options):
    from PIL import Image

    scores = make_scores(4, 30)
    scores.names[0] = "../../a b/<c>"
    looks = [make_look(scores, 0, frames=12, **options)]
    data = make_data(scores, looks, HOSTILE, TWO_D if options else NTU)
    data["curves"] = {"train_loss": [[1, 2], [2.0, 1.0]]}
    save_figures(tmp_path / "figures", data, looks, HOSTILE, TWO_D if options else NTU)
    files = {path.name for path in (tmp_path / "figures").iterdir()}
    stems = {"confusion", "curves", "attention_01_______a_b__c_"}
    assert files >= {f"{stem}.{suffix}" for stem in stems for suffix in ("png", "svg", "pdf")} | {"skeleton_01_______a_b__c_.gif"}
    assert ("skeleton_01_______a_b__c_.mp4" in files) == bool(shutil.which("ffmpeg"))
    for path in (tmp_path / "figures").glob("*.pdf"):
        assert b"/FontFile2" in path.read_bytes() and b"/Type3" not in path.read_bytes(), path
    for path in (tmp_path / "figures").glob("*.svg"):
        assert "<text" not in path.read_text() and "<path" in path.read_text(), path
    with Image.open(tmp_path / "figures" / "skeleton_01_______a_b__c_.gif") as animation:
        assert animation.n_frames == 6
    assert not [path for path in (tmp_path).iterdir() if path.name != "figures"]


def test_names_that_no_font_has_become_numbers(tmp_path, caplog):
    import logging

    logging.getLogger("efficientgcn").propagate = True
    names = ["a", "b\U0010fff0", "c", "d"]
    scores = make_scores(4, 30)
    with caplog.at_level(logging.INFO, "efficientgcn"):
        save_figures(tmp_path, make_data(scores, [], names), [], names, NTU)
    assert "pictures give numbers" in caplog.text and (tmp_path / "confusion.png").is_file()


def run_main(*argv):
    return subprocess.run([sys.executable, str(ROOT / "main.py"), *argv], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)


def test_v_writes_the_report_into_the_run_folder(tiny_run, opened):
    folder, argv = tiny_run
    trained = run_main(*argv)
    assert trained.returncode == 0, trained.stderr
    done = run_main(*shlex.split(re.search(r"^    python main.py (.* -v -pp .*)$", trained.stdout, re.M)[1]), "--save_figures", str(folder / "figures"), "--report_args.samples=1")
    assert done.returncode == 0, done.stderr
    page = next((folder / "work").glob("2001_*/*/report_best.html"))
    assert f"report        {page}" in done.stdout and (folder / "figures" / "curves.pdf").is_file()
    shown = opened(page)
    accuracy = re.search(r"Top-1 accuracy: \d+/7\(([\d.]+)%\)", done.stdout)[1]
    assert shown.locator(".card").first.inner_text().startswith(f"{accuracy} %")
    assert "attention, block 1 of 1 after fusion" in shown.locator("#colour").inner_text()
    assert shown.locator("#curves").is_visible() and "throw" not in shown.locator("#curves-note").inner_text()
    alone = folder / "alone.pdparams"
    shutil.copyfile(page.with_name("best.pdparams"), alone)
    done = run_main(*argv, "-e", "--report", "-pp", str(alone), "--report_args.samples=2")
    assert done.returncode == 0, done.stderr
    page = next((folder / "work").glob("temp/*/report_alone.html"))
    assert opened(page).locator("#list button").count() == 2


def test_a_report_without_an_evaluation_is_one_line(tiny_run):
    _, argv = tiny_run
    done = run_main(*argv, "--report")
    assert done.returncode == 2 and "report: goes with -e or -v" in done.stderr and done.stderr.count("\n") == 1


def test_a_missing_package_is_one_line(tmp_path, monkeypatch):
    scores = make_scores(4, 5)
    data = make_data(scores, [make_look(scores, 0)], list("abcd"))
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(UserError, match=r"needs the package plotly .*pip install '.\[report\]'"):
        write_page(tmp_path / "r.html", data)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match="needs the package matplotlib"):
        save_figures(tmp_path / "f", data, [], list("abcd"), NTU)
    assert not list(tmp_path.iterdir())


@pytest.mark.full
def test_published_weights_on_golden_skeletons(golden, published, tmp_path, opened):
    where = [f"--dataset_args.ntu.ntu60_path={GOLDEN / 'skeletons'}", f"--dataset_args.ntu.root_folder={tmp_path}/npy", f"--work_dir={tmp_path}/work", "-np", "-g"]
    assert run_main("-c", "2001", "-gd", *where).returncode == 0
    done = run_main("-c", "2001", "-v", "-pp", str(published), *where)
    assert done.returncode == 0, done.stderr
    page = opened(next((tmp_path / "work").glob("temp/*/report_xsub.html")))
    assert page.locator("#list button").count() == 4 and page.locator("#curves-note").is_visible()
