"""A run killed at any instant and gone on with ends like one that never stopped; what can't be gone on with is one clear line."""

import json
import random
import signal
import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from tests.helpers.places import ROOT, environment
from tests.helpers.runs import end_state, run, run_folder
from tests.helpers.small import TINY, prepare_run, write_split
from training.checkpoint import read_checkpoint
from utils.errors import UserError

# Runs commands in forks of one process that has imported everything, so that a run costs a second and not five. A fork kills
# itself at the nth line that it executes in a given file, which repeats, however busy the machine is.
SERVER = """
import json, os, signal, sys
from collections import Counter
from utils.command import run_command
from utils.process import start_paddle
start_paddle()
import options.schema, initializer, main, paddle.framework.io, processor, training.recorder, tensorboardX
FILES = {module.__file__: module.__name__.split(".")[-1] for module in (
    processor, training.recorder, sys.modules["training.checkpoint"], sys.modules["evaluation.scores"], sys.modules["utils.log"], sys.modules["utils.files"],
    paddle.framework.io)}
processor.LOG_EVERY = 2

def run(argv, file, nth, count_file):
    seen = Counter()
    def line(frame, event, _):
        if event == "line":
            name = FILES[frame.f_code.co_filename]
            seen[name] += 1
            if name == file and seen[name] == nth:
                os.kill(os.getpid(), signal.SIGKILL)
        return line
    sys.settrace(lambda frame, event, _: line if frame.f_code.co_filename in FILES else None)
    code = run_command(lambda: main.main(argv))
    sys.settrace(None)
    json.dump(seen, open(count_file, "w"))
    return code

for request in sys.stdin:
    child = os.fork()
    if child == 0:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        code = run(*json.loads(request))
        sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def server():
    """server(argv, file, nth, count_file) -> exit code of a run of main.py; -9 where it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER], cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def ask(*request):
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    yield ask
    process.stdin.close()
    process.wait(timeout=60)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """straight(*options) -> work_dir of a run with them that nobody disturbed."""
    folder = tmp_path_factory.mktemp("straight")
    argv = prepare_run(folder)

    @cache
    def work_dir(*options):
        place = folder / f"work{len(list(folder.iterdir()))}"
        run([*argv, *options, "--work_dir", place])
        return place

    return work_dir


def assert_same_end(a, b):
    a, b = end_state(a), end_state(b)
    for key in a:
        np.testing.assert_equal(a[key], b[key], err_msg=key)
    assert a["final"]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(1, 20))])
def test_a_run_killed_again_and_again_ends_like_a_straight_one(tiny_run, server, seed):
    folder, argv = tiny_run
    rng, counts = random.Random(seed), folder / "counts"
    argv = [*argv, f"--workers={rng.choice([0, 2])}", f"--checkpoint_minutes={rng.choice(['1e-9', '1e-9', 1000])}"]
    assert server([*argv, f"--work_dir={folder}/straight"], "", 0, str(counts)) == 0
    lines, stopped, kills = json.loads(counts.read_text()), [*argv, f"--work_dir={folder}/stopped"], 0
    while kills < 5:
        file = rng.choice(sorted(lines))
        again = ["-r"] if list(folder.glob("stopped/*/*/*.pdparams")) else []
        code = server([*stopped, *again], file, rng.randint(1, lines[file]), str(counts))
        assert code in (0, -signal.SIGKILL)
        kills += code != 0
        if code == 0:
            break
    assert kills
    assert server([*stopped, "-r"], "", 0, str(counts)) == 0
    assert_same_end(folder / "straight", folder / "stopped")


def stop_after(monkeypatch, argv, updates):
    """Run until `updates` optimizer steps are done and saved, then break off."""
    import processor

    done, original = [], processor.Trainer.update

    def update(self):
        if len(done) == updates:
            raise InterruptedError
        done.append(1)
        original(self)

    monkeypatch.setattr(processor.Trainer, "update", update)
    with pytest.raises(InterruptedError):
        run([*argv, "--checkpoint_minutes=1e-9"])
    monkeypatch.setattr(processor.Trainer, "update", original)


@pytest.mark.parametrize("damage", ["empty", "cut", "missing"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before_it(tiny_run, straight, monkeypatch, capsys, damage):
    (folder, argv), alone = tiny_run, straight()
    stopped = [*argv, "--work_dir", str(folder / "stopped")]
    stop_after(monkeypatch, stopped, 5)
    last = run_folder(folder / "stopped") / "last.pdparams"
    content = last.read_bytes()
    last.write_bytes(content[: {"empty": 0, "cut": len(content) // 2}.get(damage)])
    if damage == "missing":
        last.unlink()
    capsys.readouterr()
    run([*stopped, "-r"])
    out = capsys.readouterr().out
    assert "previous.pdparams: epoch 2, batch 2" in out
    assert damage == "missing" or ("last.pdparams: not a usable file" in out and "falling back" in out)
    assert_same_end(alone, folder / "stopped")


def test_a_damaged_checkpoint_is_never_kept_in_place_of_the_good_one(tiny_run, monkeypatch):
    folder, argv = tiny_run
    stop_after(monkeypatch, argv, 5)
    run_dir = run_folder(folder / "work")
    (run_dir / "last.pdparams").write_bytes(b"damaged")
    stop_after(monkeypatch, [*argv, "-r"], 1)
    for name in ("last", "previous"):
        read_checkpoint(run_dir / f"{name}.pdparams")


def test_no_usable_checkpoint_is_one_line_that_says_why(tiny_run, monkeypatch):
    folder, argv = tiny_run
    stop_after(monkeypatch, argv, 2)
    for path in run_folder(folder / "work").glob("*.pdparams"):
        path.write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"no run with a usable checkpoint.*last\.pdparams: not a usable file"):
        run([*argv, "-r"])


@pytest.mark.parametrize(
    "number, raised, accumulate, saved", [(signal.SIGTERM, SystemExit, 1, 2), (signal.SIGINT, KeyboardInterrupt, 3, 3)]
)
def test_a_signal_during_an_epoch_saves_after_the_next_step(tiny_run, straight, monkeypatch, capsys, number, raised, accumulate, saved):
    import processor

    folder, argv = tiny_run
    argv, alone = [*argv, f"--accumulate={accumulate}"], straight(f"--accumulate={accumulate}")
    done, original, stopped = [], processor.Trainer.forward_backward, [*argv, "--work_dir", str(folder / "stopped")]

    def forward_backward(self, *batch):
        done.append(1)
        if len(done) == 3 + 2:  # the second batch of the second epoch of three
            signal.raise_signal(number)
        return original(self, *batch)

    monkeypatch.setattr(processor.Trainer, "forward_backward", forward_backward)
    with pytest.raises(raised):
        run(stopped)
    assert len(done) == 3 + saved
    assert f"Stopped at epoch 2/3, batch {saved}; saved. Resume with the same command and -r" in capsys.readouterr().out
    run([*stopped, "-r"])
    assert_same_end(alone, folder / "stopped")


def test_a_signal_during_an_evaluation_stops_it_at_once(tiny_run, straight, monkeypatch, capsys):
    from dataset.ntu_feeder import NTUFeeder

    folder, argv = tiny_run
    alone = straight()
    scored, original, stopped = [], NTUFeeder.batch, [*argv, "--work_dir", str(folder / "stopped")]

    def batch(self, indices):
        scored.extend(indices if len(self) == 7 else [])  # the eval split's size
        if len(scored) == 7 + 3:  # the first batch of the second evaluation
            signal.raise_signal(signal.SIGTERM)
        return original(self, indices)

    monkeypatch.setattr(NTUFeeder, "batch", batch)
    with pytest.raises(SystemExit):
        run(stopped)
    assert len(scored) == 7 + 3
    assert "Stopped at epoch 2/3, batch 3; saved. Resume with the same command and -r" in capsys.readouterr().out
    run([*stopped, "-r"])
    assert_same_end(alone, folder / "stopped")


def test_going_on_from_the_best_checkpoint_begins_the_epoch_after_it(tiny_run, capsys):
    folder, argv = tiny_run
    run(argv)
    run_dir = run_folder(folder / "work")
    state = read_checkpoint(run_dir / "best.pdparams")
    capsys.readouterr()
    run([*argv, "-r", "-pp", run_dir / "best.pdparams", "--scheduler_args.cosine.max_epoch=5"])
    assert f"best.pdparams: epoch {state['epoch'] + 2}, batch 1" in capsys.readouterr().out
    records = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records if "step" not in record] == [1, 2, 3, 4, 5]


def test_a_finished_run_has_nothing_left_to_do(tiny_run, capsys):
    folder, argv = tiny_run
    run(argv)
    before = end_state(folder / "work")
    capsys.readouterr()
    run([*argv, "-r"])
    printed = capsys.readouterr().out
    assert "epoch 3 was the last; for more: --scheduler_args.cosine.max_epoch N" in printed and "Training time" not in printed
    np.testing.assert_equal(end_state(folder / "work"), before)


def test_changed_settings_are_logged_a_line_each(tiny_run, monkeypatch, capsys):
    argv = tiny_run[1]
    stop_after(monkeypatch, argv, 4)
    capsys.readouterr()
    run([*argv, "-r", "--seed=5", "--optimizer_args.Momentum.momentum=0.5"])
    changed = [line.split("] ", 1)[1] for line in capsys.readouterr().out.splitlines() if "Changed" in line]
    assert changed == [
        "Changed since the run began: seed: 1 -> 5",
        "Changed since the run began: optimizer_args.Momentum.momentum: 0.9 -> 0.5",
        "Changed since the run began: checkpoint_minutes: 1e-09 -> 10.0",
    ]


def test_the_published_checkpoint_goes_on_at_epoch_70_of_70_with_the_published_rate(published, tmp_path, capsys):
    for split in ("train", "eval"):  # three samples: the rate does not depend on their number, weights not on the frames
        write_split(tmp_path / "npy" / "original" / "ntu-xsub", split, 3, classes=3)
    data = {key: TINY[key] for key in ("gpus", "workers", "no_progress_bar")}
    data |= {"dataset_args.ntu.num_frame": 16, "dataset_args.ntu.train_batch_size": 3, "work_dir": tmp_path / "work"}
    options = [f"--{key}={value}" for key, value in (*data.items(), ("dataset_args.ntu.root_folder", tmp_path / "npy"))]
    run(["-c", "2001", "-r", "-pp", published, *options])
    out, state = capsys.readouterr().out, read_checkpoint(published)
    assert "epoch 70, batch 1, learning rate 6.85233e-05" in out and f"{state['scheduler']['last_lr']:.6g}" == "6.85233e-05"
    assert out.count("Training accuracy") == 1 and "Epoch: 70/70, Training accuracy" in out
    assert "Best top-1 accuracy: 90.22%" in out or "Best top-1 accuracy: 100.00%" in out
    assert read_checkpoint(run_folder(tmp_path / "work") / "last.pdparams")["epoch"] == 69


def test_figures_of_another_kind_are_one_clear_line(tiny_run, monkeypatch):
    folder, argv = tiny_run
    stop_after(monkeypatch, argv, 5)
    metrics = run_folder(folder / "work") / "metrics.jsonl"
    metrics.write_bytes(b"[1]\n" * 1000)
    with pytest.raises(UserError, match=r"metrics\.jsonl: not the figures of a run"):
        run([*argv, "-r"])
    metrics.unlink()
    run([*argv, "-r"])
