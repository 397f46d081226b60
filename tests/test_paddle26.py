"""What is made with Paddle 2.6 works with Paddle 3, and the other way round; `make test-paddle26` makes its environment and runs this.

The commands are a user's. Data are the golden recordings, weights the published ones, their logits those of the published code.
"""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers.places import GOLDEN, ROOT
from tests.helpers.small import prepare_run

PADDLE26 = ROOT / ".venv-paddle26" / "bin" / "python"
pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(not PADDLE26.exists(), reason=f"{PADDLE26} is absent: make test-paddle26"),
]
BOTH = pytest.mark.parametrize("python", [PADDLE26, sys.executable], ids=["2.6", "3"])
TRIO = ["xsub.pdiparams", "xsub.pdiparams.info", "xsub.pdmodel", "xsub.yaml"]

# As the published code writes programs: the network as it is trained, logits and feature map, a batch of 16, no record beside them.
FIXED_BATCH = """
import sys
from utils.process import start_paddle
start_paddle()
import paddle, initializer
from options.schema import load_config
from training.checkpoint import load_weights, read_checkpoint

network = initializer.build_model(load_config("2001"))
load_weights(network, read_checkpoint(sys.argv[1]), sys.argv[1])
network.eval()
spec = [paddle.static.InputSpec([16, 3, 6, 288, 25, 2], "float32", "x")]
paddle.jit.save(network, sys.argv[2], input_spec=spec)
"""


def run(python, *argv):
    """What a command prints, that of one of the two Pythons."""
    words = [str(word) for word in (python, *argv)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory, published):
    """Made with Paddle 2.6: the golden data set in npy, the published weights exported as xsub, and with a fixed batch as fixed."""
    folder = tmp_path_factory.mktemp("paddle26")
    where = (f"--dataset_args.ntu.ntu60_path={GOLDEN}/skeletons", f"--dataset_args.ntu.root_folder={folder}/npy")
    run(PADDLE26, "main.py", "-gd", "-np", f"-w={folder}/work", *where)
    exported = run(PADDLE26, "main.py", "-ex", "-np", "-pp", published, f"-w={folder}/work", f"--save_inference_dir={folder}")
    assert exported.count(": verified, logits within") == 2, exported
    (folder / "fixed").mkdir()
    run(PADDLE26, "-c", FIXED_BATCH, published, folder / "fixed" / "program")
    return folder


def scores(folder):
    with np.load(next(folder.glob("temp/*/scores.npz"))) as arrays:
        return arrays["logits"]


def predictions(folder, name, python, *model):
    output = folder / f"{name}.jsonl"
    data = folder / "npy" / "original" / "ntu-xsub"
    printed = run(
        python, "infer.py", "--model_file", *model, f"--data_file={data}/eval_data.npy", f"--label_file={data}/eval_label.pkl",
        f"--output={output}")  # fmt: skip
    assert "Infer Mean Accuracy:" in printed
    return [json.loads(line) for line in output.read_text().splitlines()]


def are_golden(found, logits):
    """Whether labels and probabilities of the best five are those of the golden logits."""
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.argsort(-logits, 1)[:, :5]
    best = np.take_along_axis(probabilities, labels, 1)
    return [p["labels"] for p in found] == labels.tolist() and np.allclose([p["probabilities"] for p in found], best, atol=1e-4)


def test_the_published_checkpoint_scores_the_golden_logits_with_paddle_2(folder, golden, published, tmp_path):
    printed = run(
        PADDLE26, "main.py", "-e", "-np", "-pp", published, f"-w={tmp_path}", f"--dataset_args.ntu.root_folder={folder}/npy")  # fmt: skip
    wanted = golden("model_xsub")["eval_logits"]
    np.testing.assert_allclose(scores(tmp_path), wanted, atol=1e-4 * np.abs(wanted).max())
    assert "Paddle 2.6" in printed


def test_forward_gradients_steps_and_checkpoints_hold_with_paddle_2(published):
    printed = run(PADDLE26, "-m", "pytest", "tests/test_model.py", "tests/test_checkpoint.py", "-rs", "-p", "no:cacheprovider")
    assert " passed" in printed and "is absent" not in printed, printed


def test_paddle_2_exports_the_three_files_of_its_kind_with_their_record(folder):
    assert sorted(path.name for path in folder.glob("xsub.*")) == TRIO


@BOTH
@pytest.mark.parametrize("engine", ["False", "True"], ids=["native", "onednn"])
def test_an_export_of_paddle_2_names_the_golden_actions_with_both(folder, golden, python, engine):
    found = predictions(folder, "trio", python, folder / "xsub", f"--enable_mkldnn={engine}")
    assert are_golden(found, golden("model_xsub")["eval_logits"])


@BOTH
def test_a_paddle_2_program_with_a_fixed_batch_and_no_record_names_the_golden_actions_with_both(folder, golden, python):
    assert not list(folder.glob("fixed/*.yaml")) and (folder / "fixed" / "program.pdmodel").is_file()
    assert are_golden(predictions(folder, "fixed", python, folder / "fixed", "-b=3"), golden("model_xsub")["eval_logits"])


def test_the_export_of_paddle_3_and_the_fixed_batch_program_of_paddle_2_rank_the_same_classes(folder, published, tmp_path):
    run(sys.executable, "main.py", "-ex", "-np", "-pp", published, f"-w={tmp_path}", f"--save_inference_dir={tmp_path}")
    ours = predictions(folder, "ours", sys.executable, tmp_path / "xsub.json")
    theirs = predictions(folder, "theirs", sys.executable, folder / "fixed" / "program.pdmodel")
    assert [p["labels"] for p in ours] == [p["labels"] for p in theirs] and len(ours) == 4
    np.testing.assert_allclose([p["probabilities"] for p in ours], [p["probabilities"] for p in theirs], atol=1e-4)


@pytest.mark.parametrize("first, second", [(PADDLE26, sys.executable), (sys.executable, PADDLE26)], ids=["2.6 to 3", "3 to 2.6"])
def test_a_run_begun_with_one_goes_on_and_is_scored_the_same_with_the_other(tmp_path, first, second):
    flags, work = [*prepare_run(tmp_path), "--scheduler_args.cosine.max_epoch=1"], tmp_path / "work"
    run(first, "main.py", *flags, f"-w={work}")
    checkpoint = shutil.copy(work / "model.pdparams", tmp_path)
    for name, python in (("first", first), ("second", second)):
        run(python, "main.py", *flags, "-e", "-pp", checkpoint, f"-w={tmp_path / name}")
    np.testing.assert_allclose(scores(tmp_path / "first"), scores(tmp_path / "second"), atol=1e-5)
    printed = run(second, "main.py", *flags, "--scheduler_args.cosine.max_epoch=2", "-r", f"-w={work}")
    assert "Resuming from" in printed and "Epoch: 2/2" in printed and "Loss: nan" not in printed
