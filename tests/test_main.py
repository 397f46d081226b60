"""The command main.py, as a user runs it."""

import fcntl
import os
import pty
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import termios

import numpy as np
import paddle
import pytest

import main
from evaluation.scores import Scores
from initializer import with_newest_checkpoint
from options.schema import load_config
from tests.helpers.places import GOLDEN, ROOT, environment
from tests.helpers.small import prepare_run
from training import device
from utils.command import run_command
from utils.errors import UserError


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


@pytest.mark.skipif(paddle.__version__ < "3", reason="has no such flag")
def test_an_export_without_paddle_s_new_programs_is_one_clear_line(monkeypatch, tmp_path):
    monkeypatch.setenv("FLAGS_enable_pir_api", "0")
    done = command("-c", "2001", "-ex", "-pp", "any.pdparams", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "FLAGS_enable_pir_api=0: " in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(folder, command line, how it ended) of a training run with all that is shown where there is no terminal."""
    folder = tmp_path_factory.mktemp("trained")
    argv = [word for word in prepare_run(folder) if "no_progress_bar" not in word]
    return folder, argv, command(*argv)


STAMP = r"^\[ \d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \] "
PUBLISHED_LINES = [
    f"{STAMP}{pattern}$"
    for pattern in (
        r"Epoch: 3/3, Training accuracy: \d+/12\(\d+\.\d\d%\), Training time: \d+\.\d\ds",
        r"Evaluating for epoch 3/3 \.\.\.",
        r"Top-1 accuracy: \d/7\(\d+\.\d\d%\), Top-5 accuracy: \d/7\(\d+\.\d\d%\), Mean loss:\d+\.\d{4}",
        r"Evaluating time: \d+\.\d\ds, Speed: \d+\.\d\d sequences/\(second\*GPU\)",
        r"Saving model for epoch 3/3 \.\.\.",
        r"Best top-1 accuracy: \d+\.\d\d%, Total time: \d\dd-\d\dh-\d\dm-\d\ds",
        r"Epoch: 1/3, Batch: 3/3, Loss: \d+\.\d{4}, LR: 0\.0667, avg_reader_cost: [\d.]+ s, avg_batch_cost: [\d.]+ s, "
        r"avg_ips: [\d.]+ samples/s",
        r"Data shape \(branch, channel, frame, joint, person\): \[3, 6, 8, 25, 2\]",
        r"Batch size: train-4, eval-3",
        r"Number of action classes: 60",
        r"Successful!",
    )
]


def test_training_prints_the_lines_that_log_readers_parse(trained):
    folder, _, done = trained
    assert (done.returncode, done.stderr) == (0, "")
    for pattern in PUBLISHED_LINES:
        assert re.search(pattern, done.stdout, re.M), pattern
    run = next((folder / "work").glob("2001_EfficientGCN-B0_ntu-xsub/*"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", run.name)
    expected = {"config.yaml", "log.txt", "model.txt", "last.pdparams", "best.pdparams", "metrics.jsonl"}
    assert expected <= {path.name for path in run.iterdir()}
    assert (folder / "work" / "model.pdparams").read_bytes() == (run / "last.pdparams").read_bytes()
    assert "Successful!" in (run / "log.txt").read_text()


def test_a_finished_job_says_what_to_run_next_and_it_runs(trained, capsys):
    assert main.main(shlex.split(re.search(r"^    python main.py (.* -ex -pp .*)$", trained[2].stdout, re.M)[1])) == 0
    out = capsys.readouterr().out
    assert "Exported" in out and "infer.py --model_file" in out


def test_best_and_last_are_those_of_the_newest_run_also_of_one_with_a_blank_in_its_name(tmp_path):
    runs = tmp_path / "2001_EfficientGCN-B0_ntu-xsub"
    for run, names in {"2022-06-06 09-00-00": ["best", "last"], "2022-06-06_08-00-00": ["last"], "2022-06-07_00-00-00": []}.items():
        (runs / run).mkdir(parents=True)
        for name in names:
            (runs / run / f"{name}.pdparams").touch()

    def chosen(name):
        return with_newest_checkpoint(load_config("b0_xsub", [("work_dir", str(tmp_path)), ("pretrained_path", name)])).pretrained_path

    assert chosen("last") == str(runs / "2022-06-06_08-00-00" / "last.pdparams")
    with pytest.raises(UserError, match=r"-pp best: .*2022-06-06_08-00-00 has none yet; -pp last"):
        chosen("best")
    shutil.rmtree(runs / "2022-06-06_08-00-00")
    assert chosen("best") == str(runs / "2022-06-06 09-00-00" / "best.pdparams")
    shutil.rmtree(runs)
    with pytest.raises(UserError, match=r"-pp last: no run in .*; train"):
        chosen("last")


@pytest.mark.parametrize("wrong, part", [(["--report_args.names=nobody"], "'nobody' is not among the 7 samples"), (["--save_figures={0}/taken"], "taken: is a file; name a folder")])
def test_what_is_wrong_with_a_report_is_said_before_the_evaluation(trained, monkeypatch, capsys, wrong, part):
    folder, argv, _ = trained
    (folder / "taken").touch()
    monkeypatch.setattr("processor.evaluate", None)
    assert run_command(lambda: main.main([*argv, "-v", "-pp", "best", *(word.format(folder) for word in wrong)])) == 2
    assert part in capsys.readouterr().err


def test_colours_and_bars_are_for_terminals_alone(trained):
    folder, argv, quiet = trained
    assert "\033" not in quiet.stdout and "\r" not in quiet.stdout
    watched = {**{k: v for k, v in environment().items() if k != "CI"}, "TQDM_MININTERVAL": "0"}
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("4H", 40, 120, 0, 0))
    argv = [sys.executable, str(ROOT / "main.py"), *argv, f"--work_dir={folder}/watched"]
    process = subprocess.Popen(argv, env=watched, stdout=follower, stderr=follower)
    os.close(follower)
    seen = b""
    while True:
        try:
            seen += os.read(leader, 65536)
        except OSError:  # how a terminal says that its last user is gone
            break
    assert process.wait() == 0
    before, after = re.split(r"(?=\repoch 1/3)", seen.decode(), maxsplit=1)
    assert before.count("\n") == 3 and "Successful!" not in seen.decode() and "[ 20" not in seen.decode()
    assert "Epoch 1 of 3: top-1 " in after and "(the best so far)" in after and re.search(r"best top-1 +\d+\.\d\d% \(top-5", after)
    (log,) = (folder / "watched").glob("*/*/log.txt")
    assert len(PUBLISHED_LINES) == len([line for line in PUBLISHED_LINES if re.search(line, log.read_text(), re.M)]) + 1  # that of bars
    assert re.search(rb"epoch 1/3.*loss=\d+\.\d+, top1=[\d.]+%", seen) and re.search(rb"evaluate:.*top1=[\d.]+%", seen)


def test_one_epoch_is_no_epochs(tiny_run, capsys):
    assert main.main([*tiny_run[1], "--scheduler_args.cosine.max_epoch=1"]) == 0
    assert "Training 1 epoch; Ctrl-C saves" in capsys.readouterr().out


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_says_how_to_go_on(tiny_run, capsys, number, code):
    argv = [*tiny_run[1], "--scheduler_args.cosine.max_epoch=100000"]
    process = subprocess.Popen(
        [sys.executable, "main.py", *argv], cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if "Epoch: 2/" in line:
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code and "Traceback" not in err
    again = shlex.split(re.search(r"Resume with the same command and -r: python main.py (.*)", out)[1])
    assert main.main([*again, "--scheduler_args.cosine.max_epoch=3"]) == 0
    assert "Resuming from" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv, part",
    [
        (["-c", "nothing"], "nothing"),
        (["-c", "2001", "-e"], "-pp"),
        (["-e", "-pp", "missing.pdparams"], "missing.pdparams"),
        (["-c", "b0_xview"], "make the data set first: python main.py -c 2002 -gd"),
        (["-e", "-pp", "best"], "-pp best: no run in workdir/2001_EfficientGCN-B0_ntu-xsub; train, or give a file"),
        (["-r"], "no run with a usable checkpoint"),
        (["-gd"], "nturgb+d_skeletons60"),
        (["--model_args.edg", "1"], "edge"),
        (["-ex", "-pp", "missing.pdparams"], "missing.pdparams"),
        (["--report"], "report: goes with -e or -v"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2_and_leaves_nothing(tmp_path, monkeypatch, capsys, argv, part):
    monkeypatch.chdir(tmp_path)
    assert run_command(lambda: main.main(argv)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and part in error and error.count("\n") == 1
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p.name != "log.txt"]


@pytest.mark.parametrize("more", [["--sync_bn", "true"], ["--dataset_args.ntu.train_batch_size", "100"]], ids=" ".join)
def test_a_job_that_can_not_begin_leaves_no_folder(tiny_run, capsys, more):
    folder, argv = tiny_run
    assert run_command(lambda: main.main([*argv, *more])) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not (folder / "work").exists() or not any((folder / "work").iterdir())


def test_several_gpus_are_one_process_each_where_there_are_gpus_and_one_line_where_not(tiny_run, capsys, monkeypatch):
    argv = [*tiny_run[1], "-g", "0", "1", "--scheduler_args.cosine.max_epoch=1"]
    assert main.main(argv) == 0
    assert "No GPU present: running on the CPU, in one process instead of 2" in capsys.readouterr().out
    started = []

    def execv(program, command):
        started.append((program, command))
        raise SystemExit

    monkeypatch.setattr(os, "execv", execv)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "all")
    monkeypatch.setattr(device, "gpu_count", lambda: 2)
    with pytest.raises(SystemExit):
        main.main(argv)
    ((program, command),) = started
    assert program == command[0] == sys.executable and command[1:5] == ["-m", "paddle.distributed.launch", "--gpus", "0,1"]
    assert command[-len(argv) - 1 :] == [str(ROOT / "main.py"), *argv]
    with pytest.raises(UserError, match="--gpus 2: Paddle finds GPUs 0 to 1 here"):
        main.main([*argv, "-g", "1", "2"])
    monkeypatch.setenv("PADDLE_TRAINERS_NUM", "2")  # a launcher's process starts no launcher
    monkeypatch.setattr(main, "train", lambda *job: "trained")
    assert main.main(argv) == "trained"


def test_an_export_on_a_gpu_compares_with_the_network_on_the_cpu(tiny_run, monkeypatch):
    import paddle

    import initializer

    asked, built, build_model = [], [], initializer.build_model
    folder, argv = tiny_run
    assert main.main([*argv, "--scheduler_args.cosine.max_epoch=1"]) == 0
    monkeypatch.setattr(device, "gpu_count", lambda: 1)
    monkeypatch.setattr(device, "on_gpu", lambda: True)
    monkeypatch.setattr(paddle, "set_device", asked.append)
    monkeypatch.setattr(initializer, "build_model", lambda config: built.append(asked[-1]) or build_model(config))
    assert main.main([*argv, "-ex", "-pp", str(folder / "work" / "model.pdparams"), f"--save_inference_dir={folder}", "-g", "0"]) == 0
    assert asked[0] == "gpu:0" and built == ["cpu"]
    with pytest.raises(UserError, match="--gpus 1: Paddle finds GPUs 0 to 0 here"):
        main.main([*argv, "-ex", "-pp", str(folder / "work" / "model.pdparams"), "-g", "1"])
