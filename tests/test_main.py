"""Commands as a user runs them."""

import fcntl
import io
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time

import numpy as np
import pytest

from evaluation.scores import Scores
from options.command_line import JOB, parse_command_line, same_command
from tests.helpers.places import GOLDEN, ROOT, environment
from utils.terminal import paint


def command(*argv, cwd=ROOT):
    return subprocess.run(
        [sys.executable, str(ROOT / "main.py"), *map(str, argv)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_published_weights_score_the_golden_skeletons_as_published(golden, published, tmp_path):
    raw, root = GOLDEN / "skeletons", tmp_path / "npy"
    data = {"ntu60_path": raw, "root_folder": root}
    where = [*(f"--dataset_args.ntu.{key}={value}" for key, value in data.items()), f"--work_dir={tmp_path}/work", "-np"]
    made = command("-c", "2001", "-gd", *where)
    assert made.returncode == 0, made.stderr
    np.testing.assert_allclose(np.load(root / "original/ntu-xsub/eval_data.npy"), golden("reader")["xsub_eval_data"], atol=1e-6)
    done = command("-c", "2001", "-g", "-e", "-pp", published, *where)
    assert done.returncode == 0, done.stderr
    names, labels = (golden("reader")[f"xsub_eval_{key}"] for key in ("name", "label"))
    expected = Scores(list(names), labels, golden("model_xsub")["eval_logits"])
    with np.load(next((tmp_path / "work").glob("temp/*/scores.npz"))) as scores:
        np.testing.assert_allclose(scores["logits"], expected.logits, atol=1e-4 * np.abs(expected.logits).max())
        assert [n.removesuffix(".skeleton") for n in scores["names"]] == [n.removesuffix(".skeleton") for n in expected.names]
    top1, top5 = int(expected.hits(1).sum()), int(expected.hits(5).sum())
    assert f"Top-1 accuracy: {top1}/4({top1 / 4:.2%}), Top-5 accuracy: {top5}/4({top5 / 4:.2%})" in done.stdout
    assert f", Mean loss:{expected.mean_loss():.4f}\n" in done.stdout


def test_training_prints_the_lines_that_log_readers_parse(tiny_run):
    folder, argv = tiny_run
    done = command(*argv)
    assert done.returncode == 0, done.stderr
    stamp = r"\[ \d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \] "
    for pattern in (
        r"Epoch: 3/3, Training accuracy: \d+/12\(\d+\.\d\d%\), Training time: \d+\.\d\ds",
        r"Evaluating for epoch 3/3 \.\.\.",
        r"Top-1 accuracy: \d/7\(\d+\.\d\d%\), Top-5 accuracy: \d/7\(\d+\.\d\d%\), Mean loss:\d+\.\d{4}",
        r"Evaluating time: \d+\.\d\ds, Speed: \d+\.\d\d sequences/\(second\*GPU\)",
        r"Saving model for epoch 3/3 \.\.\.",
        r"Best top-1 accuracy: \d+\.\d\d%, Total time: 00d-00h-00m-\d\ds",
        r"Epoch: 1/3, Batch: 3/3, Loss: \d+\.\d{4}, LR: 0\.0667, avg_reader_cost: [\d.]+ s, avg_batch_cost: [\d.]+ s, "
        r"avg_ips: [\d.]+ samples/s",
        r"Data shape \(branch, channel, frame, joint, person\): \[3, 6, 8, 25, 2\]",
        r"Batch size: train-4, eval-3",
        r"Number of action classes: 60",
        r"Successful!",
    ):
        assert re.search(f"^{stamp}{pattern}$", done.stdout, re.M), pattern
    run = next((folder / "work").glob("2001_EfficientGCN-B0_ntu-xsub/*"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d-\d\d-\d\d", run.name)
    expected = {"config.yaml", "log.txt", "model.txt", "last.pdparams", "best.pdparams", "metrics.jsonl"}
    assert expected <= {path.name for path in run.iterdir()}
    assert (folder / "work" / "model.pdparams").read_bytes() == (run / "last.pdparams").read_bytes()
    assert "Successful!" in (run / "log.txt").read_text()
    assert done.stderr == ""


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_says_how_to_go_on(tiny_run, number, code):
    folder, argv = tiny_run
    argv = [*argv, "--scheduler_args.cosine.max_epoch=100000"]
    process = subprocess.Popen(
        [sys.executable, "main.py", *argv], cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if "Epoch: 2/" in line:
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code and "Resume with the same command and -r" in out and "Traceback" not in err
    assert next((folder / "work").glob("*/*/last.pdparams")).is_file()
    again = shlex.split(re.search(r"-r: python main.py (.*)", out)[1])
    done = command(*again, "--scheduler_args.cosine.max_epoch=3")
    assert done.returncode == 0 and "Resuming from" in done.stdout, done.stderr


@pytest.mark.parametrize("argv", [["-c", "a b", "-r", "--seed=3", "-g", "-np", "-pp", "x y.pdparams"], ["-e", "-pp", "f"], ["-g", "0", "1"]])
def test_the_same_command_asks_for_the_same_and_no_job(argv):
    name, overrides = parse_command_line(argv)
    again = shlex.split(same_command(name, overrides))
    assert again[:2] == ["python", "main.py"]
    kept = [(key, "true" if value is True else value) for key, value in overrides if key not in JOB]
    assert parse_command_line(again[2:]) == (name, kept)


def test_a_finished_job_says_what_to_run_next_and_it_runs(tiny_run):
    _, argv = tiny_run
    done = command(*argv)
    after = command(*shlex.split(re.search(r"^    python main.py (.* -ex -pp .*)$", done.stdout, re.M)[1]))
    assert after.returncode == 0, after.stderr
    assert "Exported" in after.stdout and "infer.py --model_file" in after.stdout
    assert "\033" not in done.stdout  # no terminal, no colours


@pytest.mark.parametrize("terminal, variables, coloured", [(True, {}, True), (True, {"NO_COLOR": "1"}, False), (True, {"TERM": "dumb"}, False), (False, {}, False)])
def test_colours_only_on_a_terminal_that_wants_them(monkeypatch, terminal, variables, coloured):
    for key in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(key, raising=False)
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    assert (paint("text", "red", stream) != "text") == coloured


def test_bars_are_for_terminals_alone(tiny_run):
    _, argv = tiny_run
    argv = [sys.executable, str(ROOT / "main.py"), *(word for word in argv if "no_progress_bar" not in word)]
    quiet = subprocess.run(argv, env=environment(), capture_output=True, text=True, check=True)
    assert "\r" not in quiet.stdout + quiet.stderr
    watched = {**{k: v for k, v in environment().items() if k != "CI"}, "TQDM_MININTERVAL": "0"}
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("4H", 40, 120, 0, 0))
    process = subprocess.Popen(argv, env=watched, stdout=follower, stderr=follower)
    os.close(follower)
    seen = b""
    while True:
        try:
            seen += os.read(leader, 65536)
        except OSError:  # how a terminal says that its last user is gone
            break
    assert process.wait() == 0
    assert re.search(rb"epoch 1/3.*loss=\d+\.\d+, top1=[\d.]+%", seen) and re.search(rb"evaluate:.*top1=[\d.]+%", seen)


@pytest.mark.parametrize(
    "argv, part",
    [
        (["-c", "nothing"], "nothing"),
        (["-c", "2001", "-e"], "-pp"),
        (["-e", "-pp", "missing.pdparams"], "missing.pdparams"),
        (["-c", "2001"], "make the data set first"),
        (["-r"], "no run with a usable checkpoint"),
        (["-gd"], "nturgb+d_skeletons60"),
        (["--model_args.edg", "1"], "edge"),
        (["-ex", "-pp", "missing.pdparams"], "missing.pdparams"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2_and_leaves_nothing(tmp_path, argv, part):
    start = time.time()
    done = command(*argv, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert part in done.stderr and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    left = [p for p in tmp_path.rglob("*") if p.is_file() and p.name != "log.txt"]
    assert not left and time.time() - start < 60


def test_a_job_that_can_not_begin_leaves_no_folder(tiny_run):
    folder, options = tiny_run
    for more in (["--sync_bn", "true"], ["--dataset_args.ntu.train_batch_size", "100"]):
        ended = command(*options, *more)
        assert ended.returncode == 2 and ended.stderr.startswith("error: ")
        assert not (folder / "work").exists() or not any((folder / "work").iterdir())
