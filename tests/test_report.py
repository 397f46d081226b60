"""What the report is made of, and the command that makes it."""

import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest

from evaluation.report import MISSING, check_report, choose_samples, describe_sample, read_curves
from evaluation.scores import Scores, top_confusions
from tests.helpers.pages import make_look, make_scores
from tests.helpers.places import GOLDEN, ROOT, environment
from utils.errors import UserError

pytest_plugins = ["tests.helpers.pages"]


# ---------------------------------------------------------------- numbers


def test_samples_are_chosen_from_both_sides_and_by_name():
    scores = make_scores(6, 200)
    chosen = choose_samples(scores, 8)
    right = scores.hits(1)[chosen]
    assert len(set(chosen)) == 8 and right.sum() == 4 and not right[:4].any()
    pairs = [(int(scores.labels[i]), int(scores.logits[i].argmax())) for i in chosen]
    assert pairs[:4] == [pair[:2] for pair in top_confusions(scores.confusion(), 4)]
    assert choose_samples(scores, 8, [scores.names[7], scores.names[3]]) == [7, 3]
    with pytest.raises(UserError, match="'nobody' is not among the 200 samples"):
        check_report(scores.names, ["nobody"])
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


def test_curves_of_a_run_without_or_with_damaged_figures(tmp_path):
    assert read_curves(None) == read_curves(tmp_path) == ({}, None)
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1, "step": 3, "loss": 2}\n{"epoch": 1, "eval_top1": 0.5, "lr": NaN}\n')
    assert read_curves(tmp_path) == ({"eval_top1": [[1], [0.5]]}, None)
    (tmp_path / "metrics.jsonl").write_text("no json\n")
    assert read_curves(tmp_path)[0] == {} and "can't be read" in read_curves(tmp_path)[1]


# ---------------------------------------------------------------- pictures and commands


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
    assert shown.locator("#curves").is_visible()
    alone = folder / "alone.pdparams"
    shutil.copyfile(page.with_name("best.pdparams"), alone)
    done = run_main(*argv, "-e", "--report", "-pp", str(alone), "--report_args.samples=2")
    assert done.returncode == 0, done.stderr
    page = next((folder / "work").glob("temp/*/report_alone.html"))
    assert opened(page).locator("#list button").count() == 2


@pytest.mark.parametrize("module, package", [("plotly.offline", "plotly"), ("matplotlib", "matplotlib")])
def test_a_missing_package_is_one_line_before_any_work(tmp_path, monkeypatch, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "evaluation.figures", raising=False)
    with pytest.raises(UserError, match=rf"the report needs the package {package}.*pip install '.\[report\]'"):
        check_report(["a"], [], tmp_path / "figures")
    assert not list(tmp_path.iterdir())


@pytest.mark.full
def test_published_weights_on_golden_skeletons(golden, published, tmp_path, opened):
    where = [f"--dataset_args.ntu.ntu60_path={GOLDEN / 'skeletons'}", f"--dataset_args.ntu.root_folder={tmp_path}/npy", f"--work_dir={tmp_path}/work", "-np", "-g"]
    assert run_main("-c", "2001", "-gd", *where).returncode == 0
    done = run_main("-c", "2001", "-v", "-pp", str(published), *where)
    assert done.returncode == 0, done.stderr
    page = opened(next((tmp_path / "work").glob("temp/*/report_xsub.html")))
    assert page.locator("#list button").count() == 4 and not page.locator("#training").count()
