"""Several processes: the gradients of one that runs their shards in turn, every sample scored once, one that writes."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import cache
from types import SimpleNamespace

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from options.command_line import parse_command_line
from options.schema import load_config
from tests.helpers.places import environment
from tests.helpers.small import TINY, write_split
from training import collectives
from training.checkpoint import read_checkpoint
from utils.errors import UserError

# main.py, with its gradients written down where the processes have just exchanged them, and a process that may be killed, or told
# to stop; `LATE`: figures are read a step late, as on a GPU.
SCRIPT = """
import os, signal, sys
import numpy as np
from utils.command import run_command
from utils.process import start_paddle
start_paddle()
import main, processor
from training import collectives
processor.on_gpu = lambda: "LATE" in os.environ
original, rank, steps = collectives.average_gradients, os.environ["PADDLE_TRAINER_ID"], []

def average_gradients(parameters):
    steps.append(1)
    if os.environ.get("KILL") == f"{rank} {len(steps)}":
        os.kill(os.getpid(), signal.SIGKILL)
    if os.environ.get("STOP") == f"{rank} {len(steps)}":
        os.kill(os.getpid(), signal.SIGTERM)
    original(parameters)
    if len(steps) == 1:
        np.savez(os.environ["GRADIENTS"] + rank, *[p.grad.numpy() for p in parameters if p.grad is not None])

collectives.average_gradients = average_gradients
sys.exit(run_command(main.main))
"""

SAMPLES = 42  # five batches an epoch, of 4 samples in each of two processes


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """(folder with a data set of 42 and 11 samples, command line that trains a small network on it)."""
    folder = tmp_path_factory.mktemp("parallel")
    for split, count in (("train", SAMPLES), ("eval", 11)):
        write_split(folder / "npy" / "original" / "ntu-xsub", split, count)
    (folder / "script.py").write_text(SCRIPT)
    options = {**TINY, "dataset_args.ntu.root_folder": folder / "npy", "gpus": "[0,1]", "accumulate": 1}
    return folder, ["-c", "2001", *(f"--{key}={value}" for key, value in options.items())]


def launch(place, processes, work_dir, *more, options=(), **changes):
    """Popen of a job of that many processes; `options` are of Paddle's launcher."""
    folder, argv = place
    command = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", str(processes), *options]
    command += ["--log_dir", str(folder / work_dir / "launch"), str(folder / "script.py")]
    command += [*argv, f"--work_dir={folder / work_dir}", *more]
    surroundings = {**environment(), "GRADIENTS": f"{folder}/{work_dir}-", **changes}
    return subprocess.Popen(command, cwd=folder, env=surroundings, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def without_times(folder):
    """Lines of a run's metrics.jsonl, without what a batch cost."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{key: value for key, value in line.items() if key not in ("ips", "reader_cost", "batch_cost")} for line in lines]


def finish(process, timeout=120):
    out = process.communicate(timeout=timeout)[0]
    return SimpleNamespace(code=process.returncode, out=out)


@pytest.fixture(scope="module")
def finished(place):
    """finished(processes) -> a finished job of that many, run once."""

    @cache
    def run(processes):
        name = f"of{processes}"
        done = finish(launch(place, processes, name))
        assert done.code == 0, done.out
        (last,) = (place[0] / name).glob("*/*/last.pdparams")
        return SimpleNamespace(processes=processes, out=done.out, folder=last.parent, name=name)

    return run


@pytest.fixture(scope="module", params=[2, pytest.param(3, marks=pytest.mark.full)])
def job(finished, request):
    return finished(request.param)


def test_gradients_are_those_of_one_process_that_runs_the_shards_in_turn(place, job):
    import initializer
    from dataset.ntu_feeder import EpochBatches
    from processor import step_seed

    config = load_config("2001", parse_command_line(place[1])[1])
    model, feeder = initializer.build_model(config), initializer.build_feeder(config, "train")
    model.train()
    for rank in range(job.processes):
        shard = next(iter(EpochBatches(SAMPLES, 4, shuffle=True, seed=1, rank=rank, world=job.processes)))
        features, labels, _ = feeder.batch(shard)
        paddle.seed(step_seed(1, 0, 0, rank))
        F.cross_entropy(model(paddle.to_tensor(features))[0], paddle.to_tensor(labels)).backward()
    expected = [p.grad.numpy() / job.processes for p in model.parameters() if p.grad is not None]
    for rank in range(job.processes):
        with np.load(place[0] / f"{job.name}-{rank}.npz") as found:
            assert len(found.files) == len(expected)
            for key, gradient in zip(found.files, expected, strict=True):
                np.testing.assert_allclose(found[key], gradient, atol=1e-5 * max(1, np.abs(gradient).max()))


def test_every_sample_is_scored_once_with_the_weights_that_are_saved(place, job, tmp_path):
    from main import main

    (loss,) = re.findall(r"Evaluating for epoch 3/3.*?/11\(.*?/11\(.*?Mean loss:([\d.]+)", job.out, re.S)
    assert job.out.count("/11(") == 2 * 3
    assert main([*place[1], "-e", "-pp", str(job.folder / "last.pdparams"), f"--work_dir={tmp_path}"]) == 0
    with np.load(next(tmp_path.glob("temp/*/scores.npz"))) as scores:
        assert len(set(scores["names"])) == 11
        alone = F.cross_entropy(paddle.to_tensor(scores["logits"]), paddle.to_tensor(scores["labels"])).item()
    assert alone == pytest.approx(float(loss), abs=1e-4)


def test_one_process_writes_and_counts_the_samples_of_all(job):
    used = SAMPLES // (4 * job.processes) * 4 * job.processes
    assert "Epoch: 3/3, Training accuracy: " in job.out and f"/{used}(" in job.out
    assert job.out.count("Successful!") == 1 and f"Place(cpu), {job.processes} processes" in job.out
    lines = [json.loads(line) for line in (job.folder / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == 6 and [path.name for path in job.folder.parent.iterdir()] == [job.folder.name]


@pytest.mark.full
def test_two_launchers_of_one_process_are_one_job_of_two(place, finished):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nodes = [
        launch(place, 1, "nodes", options=["--nnodes", "2", "--rank", str(rank), "--master", f"127.0.0.1:{port}"])
        for rank in range(2)
    ]
    assert [finish(node).code for node in nodes] == [0, 0]
    (last,) = (place[0] / "nodes").glob("*/*/last.pdparams")
    one_node = finished(2).folder / "last.pdparams"
    for a, b in zip(*(read_checkpoint(path)["model"].values() for path in (last, one_node)), strict=True):
        np.testing.assert_array_equal(a[1], b[1])


def test_a_process_that_dies_ends_the_job_and_one_told_to_stop_stops_all_at_one_step_and_both_go_on_exactly(place, finished):
    done = finish(launch(place, 2, "dies", "--checkpoint_minutes=1e-9", KILL="1 7"))
    said = (place[0] / "dies" / "launch" / "workerlog.0").read_text()  # the launcher may end before it has shown all of it
    assert done.code != 0 and "Traceback" not in done.out + said
    assert "error: another process of this job has ended, or did not answer" in said and "resume with" in said
    (last,) = (place[0] / "dies").glob("*/*/last.pdparams")
    assert read_checkpoint(last)["progress"]["step"] == 1  # of the second epoch of five batches
    done = finish(launch(place, 2, "dies", "-r", LATE="1", STOP="1 1"))
    said = (place[0] / "dies" / "launch" / "workerlog.0").read_text()[len(said) :]
    assert done.code != 0 and "epoch 2, batch 2" in said and "another process" not in done.out + said
    # process 1 is told in batch 2 of epoch 2, and tells it with batch 3, which both read when they have launched batch 4
    assert "Stopped at epoch 2/3, batch 4; saved." in said and read_checkpoint(last)["progress"]["step"] == 4
    assert finish(launch(place, 2, "dies", "-r", LATE="1")).code == 0
    straight = finished(2).folder / "last.pdparams"
    for a, b in zip(*(read_checkpoint(path)["model"].values() for path in (last, straight)), strict=True):
        np.testing.assert_array_equal(a[1], b[1])
    metrics = [without_times(path.parent) for path in (last, straight)]
    assert metrics[0] == metrics[1]


@pytest.mark.full
def test_a_job_that_is_told_to_stop_saves_first(place):
    process = launch(place, 2, "told", "--scheduler_args.cosine.max_epoch=100000")
    log = place[0] / "told" / "launch" / "workerlog.0"
    end = time.time() + 60
    while time.time() < end and not (log.exists() and "Epoch: 2/" in log.read_text()):
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert finish(process).code != 0
    assert "saved. Resume with the same command and -r" in log.read_text()
    (last,) = (place[0] / "told").glob("*/*/last.pdparams")
    read_checkpoint(last)


def test_on_gpus_a_lost_process_is_told_within_the_time_that_is_stated(monkeypatch, capsys):
    ended = threading.Event()
    monkeypatch.setattr(collectives.dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(collectives, "on_gpu", lambda: True)
    monkeypatch.setattr(collectives, "PATIENCE", 0.1)
    monkeypatch.setattr(collectives.os, "_exit", lambda code: code == 2 and ended.set())
    collectives.exchange(ended.wait, 50)
    assert ended.is_set()
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("error: another process of this job has ended, or did not answer")


def test_an_error_of_nccl_is_told_as_one_of_gloo_and_one_of_a_file_as_itself(monkeypatch):
    def fails(error):
        raise error

    monkeypatch.setattr(collectives.dist, "get_world_size", lambda: 2)
    with pytest.raises(UserError, match=r"another process of this job .*NCCL error\(6\)"):
        collectives.exchange(fails, OSError("(External) NCCL error(6), remote process exited."))
    with pytest.raises(FileNotFoundError):
        collectives.exchange(fails, FileNotFoundError(2, "no such file"))
