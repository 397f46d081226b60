"""Figures of a run: in the log, metrics.jsonl, TensorBoard, and the table of classes."""

import csv
import json
import re
import threading

import numpy as np
import paddle.nn.functional as F
import pytest

from tests.helpers.runs import final, run
from training.checkpoint import read_checkpoint
from training.recorder import Recorder, spoken


def events(folder):
    """{tag: [(step, value)]} of the newest TensorBoard file in a folder: records are length, checksum, Event, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    data, found, at = max(folder.glob("events.*"), key=lambda path: path.stat().st_mtime_ns).read_bytes(), {}, 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        event = Event.FromString(data[at + 12 : at + 12 + length])
        at += 16 + length
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_figures_of_steps_and_epochs_are_in_metrics_and_tensorboard(tiny_run, capsys):
    folder, argv = tiny_run
    run(argv)
    out, (_, _, run_folder) = capsys.readouterr().out, final(folder / "work")
    lines = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    steps, epochs = ([line for line in lines if ("step" in line) == kind] for kind in (True, False))
    assert [line["step"] for line in steps] == [3, 6, 9] and [line["epoch"] for line in epochs] == [1, 2, 3]
    costs = {"reader_cost", "batch_cost", "ips"}
    assert set(steps[0]) == {"epoch", "step", "loss", "top1", "top5", "lr"} | costs
    scores = {"train_loss", "train_top1", "train_top5", "eval_loss", "eval_top1", "eval_top5"}
    assert set(epochs[0]) == {"epoch", "lr"} | scores | costs
    for line in epochs:
        hits, top1, top5 = round(line["train_top1"] * 12), round(line["eval_top1"] * 7), round(line["eval_top5"] * 7)
        assert f"Epoch: {line['epoch']}/3, Training accuracy: {hits}/12(" in out
        assert f"Top-1 accuracy: {top1}/7({top1 / 7:.2%}), Top-5 accuracy: {top5}/7({top5 / 7:.2%}), " in out
        assert f"Mean loss:{line['eval_loss']:.4f}" in out
    plotted = events(run_folder)
    for kind, records in (("step", steps), ("epoch", epochs)):
        for key in set(records[0]) - {"step", "epoch"}:
            assert plotted[f"{kind}/{key}"] == [(line[kind], pytest.approx(line[key])) for line in records], key


def test_figures_are_on_disk_at_once_and_no_thread_is_left_to_write_them(tmp_path):
    before, recorder = threading.enumerate(), Recorder(tmp_path)
    recorder.add(epoch=2, step=7, loss=0.5)
    assert events(tmp_path) == {"step/loss": [(7, 0.5)]} and threading.enumerate() == before
    recorder.close()


def test_training_figures_are_means_over_the_batches_since_the_last_record(tiny_run, monkeypatch):
    import processor

    seen, original = [], F.cross_entropy

    def cross_entropy(logits, labels):
        loss, order = original(logits, labels), np.argsort(-logits.numpy(), 1, kind="stable")
        seen.append([loss.item(), *((order[:, :k] == labels.numpy()[:, None]).any(1).mean() for k in (1, 5))])
        return loss

    monkeypatch.setattr(processor.F, "cross_entropy", cross_entropy)
    monkeypatch.setattr(processor, "LOG_EVERY", 2)
    folder, argv = tiny_run
    run(argv)
    lines = final(folder / "work")[1]
    steps = [[line[key] for key in ("loss", "top1", "top5")] for line in lines if "step" in line]
    epochs = [[line[f"train_{key}"] for key in ("loss", "top1", "top5")] for line in lines if "step" not in line]
    seen = np.array(seen).reshape(3, 3, 3)  # epoch, batch, figure
    np.testing.assert_allclose(epochs, seen.mean(1), rtol=1e-6)
    np.testing.assert_allclose(steps, np.stack([seen[:, :2].mean(1), seen[:, 2]], 1).reshape(6, 3), rtol=1e-6)


def test_the_best_checkpoint_has_its_confusion_table_beside_it(tiny_run):
    folder, argv = tiny_run
    run(argv)
    run_folder = final(folder / "work")[2]
    state = read_checkpoint(run_folder / "best.pdparams")["best_state"]
    rows = list(csv.reader((run_folder / "best_classes.csv").open(encoding="utf-8")))
    assert rows[0][:4] == ["class", "samples", "accuracy", "drink water"] and len(rows) == 61
    assert [[int(x) for x in row[3:]] for row in rows[1:]] == state["cm"].tolist()
    assert [int(row[1]) for row in rows[1:]] == state["cm"].sum(1).tolist() and sum(int(row[1]) for row in rows[1:]) == 7
    right = sum(float(row[2]) * int(row[1]) for row in rows[1:] if row[2])
    assert right / 7 == pytest.approx(state["acc_top1"], abs=1e-3)


def test_long_runs_say_how_much_time_is_left_and_short_ones_do_not(tiny_run, monkeypatch, capsys):
    import processor

    run(tiny_run[1])
    assert "Time left" not in capsys.readouterr().out
    clock = iter(range(0, 10**9, 10))  # every look at the clock is ten seconds after the one before
    monkeypatch.setattr(processor.time, "time", lambda: next(clock))
    run([*tiny_run[1], "--scheduler_args.cosine.max_epoch=20"])
    left = re.findall(r"Time left: about (?:(\d+) h )?(?:(\d+) min)?(?:(\d+) s)?$", capsys.readouterr().out, re.M)
    seconds = [int(h or 0) * 3600 + int(m or 0) * 60 + int(s or 0) for h, m, s in left]
    assert len(seconds) == 19 and 0 < seconds[-1] < max(seconds) / 10


@pytest.mark.parametrize("seconds, text", [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (3569, "59 min"), (3571, "1 h 0 min"), (50328, "13 h 59 min")])
def test_times_are_said_as_people_say_them(seconds, text):
    assert spoken(seconds) == text


def test_figures_that_are_not_finite_are_left_out_so_that_every_line_is_json(tmp_path):
    recorder = Recorder(tmp_path)
    recorder.add(epoch=1, loss=float("nan"), top1=0.5, lr=float("inf"))
    recorder.close()

    def refuse(word):
        raise AssertionError(word)

    text = (tmp_path / "metrics.jsonl").read_text()
    assert json.loads(text, parse_constant=refuse) == {"epoch": 1, "top1": 0.5}
