"""Which GPU a process computes on, with GPUs that are made up and Paddle's own launcher."""

import os
import subprocess
import sys
from collections import deque

import numpy as np
import paddle
import pytest

from tests.helpers.places import environment
from training import device
from utils.errors import UserError
from utils.log import set_up_logging


@pytest.fixture
def gpus(monkeypatch):
    """gpus(n, environment) -> pretend that Paddle finds n GPUs; set_device() then returns what it was asked for."""

    def pretend(count, **variables):
        monkeypatch.setattr(device, "gpu_count", lambda: count)
        monkeypatch.setattr(paddle, "set_device", lambda name: name)
        for name in ("CUDA_VISIBLE_DEVICES", "FLAGS_selected_gpus"):
            monkeypatch.setenv(name, "")  # so that it is put back, whatever is made of it
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return pretend


SCRIPT = """
import sys
from utils.process import start_paddle
start_paddle()
import paddle
from training import device
device.gpu_count, paddle.set_device = lambda: 4, lambda name: name
print(device.choose_device([int(gpu) for gpu in sys.argv[1:]]), "cores", __import__("os").environ["PADDLE_LOCAL_SIZE"])
"""


VISIBLE = {"GPU-3b, GPU-5c,GPU-8a": ([2, 1], "12"), "2,3": ([0, 1], "01"), None: ([1, 3], "13")}
ROWS = [
    pytest.param(visible, *row, marks=[pytest.mark.full] if number else [])
    for number, (visible, row) in enumerate(VISIBLE.items())
]


@pytest.mark.parametrize("visible, asked, given", ROWS, ids=str)
def test_gpus_are_places_among_the_visible_ones_whatever_paddles_launcher_calls_them(gpus, tmp_path, visible, asked, given):
    gpus(4, **{"CUDA_VISIBLE_DEVICES": visible} if visible else {})
    options = device.launcher_options(asked)
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "paddle.distributed.launch", *options, "--log_dir", str(tmp_path / "log")]
    done = subprocess.run(
        [*command, str(tmp_path / "script.py"), *map(str, asked)],
        env={**environment(), "CUDA_VISIBLE_DEVICES": os.environ["CUDA_VISIBLE_DEVICES"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    used = {
        line[4] for path in (tmp_path / "log").glob("workerlog.*") for line in path.read_text().splitlines() if line[:4] == "gpu:"
    }
    assert used == set(given)


def test_where_no_gpu_is_visible_one_process_runs_on_the_cpu(gpus, capsys):
    set_up_logging()
    gpus(0, CUDA_VISIBLE_DEVICES="")
    assert device.launcher_options([0, 1]) == [] and device.choose_device([0, 1]) == "cpu"
    assert "No GPU present: running on the CPU, in one process instead of 2" in capsys.readouterr().out


def test_of_parts_of_a_gpu_cuda_counts_one_and_the_second_is_one_line(gpus):
    gpus(1, CUDA_VISIBLE_DEVICES="MIG-3b,MIG-5c")
    assert device.choose_device([0]) == "gpu:0"
    with pytest.raises(UserError, match="--gpus 1: Paddle finds GPUs 0 to 0 here"):
        device.launcher_options([0, 1])


@pytest.mark.parametrize("asked", [[], [1]])
def test_no_launcher_is_needed_for_one_gpu(gpus, asked):
    gpus(2)
    assert device.launcher_options(asked) == []


def test_the_gpu_that_a_launcher_gave_is_obeyed(gpus):
    gpus(4)
    assert device.choose_device([1]) == "gpu:1"
    gpus(4, FLAGS_selected_gpus="2")  # a launcher of one process sets this alone
    assert device.choose_device([0]) == "gpu:2"


@pytest.mark.parametrize("choose", [device.choose_device, device.launcher_options])
def test_a_gpu_that_is_not_there_or_named_twice_is_one_line(gpus, choose):
    gpus(1)
    with pytest.raises(UserError, match="--gpus 1: Paddle finds GPUs 0 to 0 here"):  # as main.py -ex -g 1
        choose([1])
    gpus(2)
    with pytest.raises(UserError, match="--gpus 0: named twice"):
        choose([0, 0])


def test_an_exported_program_runs_on_the_gpu_that_is_asked_for(monkeypatch, tmp_path):
    from infer import parse
    from inference.engines import PaddleEngine

    monkeypatch.setattr(paddle, "is_compiled_with_cuda", lambda: True)
    monkeypatch.setattr(paddle.device.cuda, "device_count", lambda: 2)
    asked = []
    monkeypatch.setattr(paddle.inference.Config, "enable_use_gpu", lambda _, *options: asked.append(options), raising=False)
    for ending in ("json", "pdiparams"):
        (tmp_path / f"p.{ending}").write_text("{}")
    options = parse(["--model_file", "p", "--data_file", "d", "--use_gpu", "--gpu_id=1"])
    with pytest.raises(UserError, match="Paddle can't load it"):  # after the choice of a GPU
        PaddleEngine(tmp_path / "p.json", "gpu", gpu_id=options.gpu_id)
    assert asked[0][1] == 1
    with pytest.raises(UserError, match="--gpu_id 2: Paddle finds GPUs 0 to 1 here"):
        PaddleEngine(tmp_path / "p.json", "gpu", gpu_id=2)


def test_what_goes_to_a_gpu_goes_by_pinned_memory_without_waiting_and_stays_there_for_two_steps(monkeypatch):
    class Pinned:
        def cuda(self, blocking):
            return "on the GPU", blocking

    placed = []
    monkeypatch.setattr(device, "on_gpu", lambda: True)
    monkeypatch.setattr(device, "_pinned", deque(maxlen=device._pinned.maxlen))
    monkeypatch.setattr(paddle, "CUDAPinnedPlace", lambda: "pinned memory")
    monkeypatch.setattr(paddle, "to_tensor", lambda array, place: placed.append(place) or Pinned())
    assert [device.to_device(np.zeros(3)) for _ in range(6)] == 6 * [("on the GPU", False)]
    assert placed == 6 * ["pinned memory"] and len(device._pinned) == 4  # features and labels
