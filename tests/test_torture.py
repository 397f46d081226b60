"""A seeded sample of what `make torture` tries: bad inputs, kills, full disks; and the page that it writes."""

import csv
import json
import os
import pickle
import random
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from tests.torture import attempts, cases, faults_commands, faults_disks, faults_generation, faults_training
from tests.torture.jobs import trials
from tests.torture.page import page

FULL = pytest.mark.full


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder as `make torture` prepares it."""
    here, folder = os.getcwd(), tmp_path_factory.mktemp("torture")
    attempts.prepare(folder)
    os.chdir(here)
    return folder


@pytest.mark.parametrize("each", [2, pytest.param(25, marks=FULL)])
def test_bad_inputs_of_every_kind_are_refused_in_one_line_and_change_nothing(prepared, monkeypatch, each):
    monkeypatch.chdir(prepared)
    kinds = defaultdict(list)
    for case in cases.cases():
        kinds[case.kind].append(case)
    assert len(kinds) == 22
    rng, problems = random.Random(0), []
    for kind, found in kinds.items():
        for case in rng.sample(found, min(each, len(found))):
            result = attempts.attempt(case)
            problems += [(kind, case.rule, result.problem, result.line)] if result.problem else []
    assert not problems


def test_a_case_that_is_not_refused_is_a_failure(prepared, monkeypatch):
    monkeypatch.chdir(prepared)
    right = attempts.Case("label file, -e", "none", attempts.EVALUATE)
    assert attempts.attempt(right).problem.startswith("exit code 0; no single line")


def strike(function, wanted, *arguments, seed=0):
    """The trials, with problems only."""
    return [trial for trial in trials(function, wanted, *arguments)(str(seed), False) if trial["problem"]]


@pytest.mark.parametrize("kills", [3, pytest.param(24, marks=FULL)])
def test_data_sets_survive_kills(prepared, tmp_path, monkeypatch, kills):
    monkeypatch.chdir(prepared)
    assert not strike(faults_commands.kill_command, kills, faults_generation.Generation(tmp_path, files=64 if kills == 3 else 240))


@pytest.mark.parametrize("kills", [2, pytest.param(12, marks=FULL)])
def test_predictions_survive_kills_and_full_disks(prepared, tmp_path, monkeypatch, kills):
    monkeypatch.chdir(prepared)
    set_up = faults_commands.recognition(tmp_path, files=40 if kills == 2 else 240)
    assert not strike(faults_commands.kill_command, kills, set_up)
    assert not strike(faults_disks.small_files, kills // 2, set_up)


@FULL
@pytest.mark.parametrize("build", [faults_commands.export, faults_commands.conversion])
def test_exports_and_converted_weights_survive_kills_and_full_disks(prepared, tmp_path, monkeypatch, build):
    monkeypatch.chdir(prepared)
    set_up = build(tmp_path, faults_commands.other_weights(tmp_path))
    assert not strike(faults_commands.kill_command, 3, set_up)
    assert not strike(faults_disks.small_files, 3, set_up)


@FULL
def test_training_survives_kills_full_disks_and_the_loss_of_its_data(prepared, tmp_path, monkeypatch):
    monkeypatch.chdir(prepared)
    set_up = faults_training.Training(tmp_path)
    for function, *more in (
        (faults_training.kill_training, 3), (faults_disks.train_with_small_files,), (faults_training.remove_data,), (faults_training.cut_data,), (faults_training.two_trainings,),
    ):  # fmt: skip
        assert not strike(function, 1, set_up, *more)


def test_the_page_says_what_failed(tmp_path):
    log, head = tmp_path / "log", {"seed": 7, "seconds": 61, "quick": False, "cores": 2, "versions": "Python 3"}
    case = {"job": "inputs 0", "kind": "label file, -e", "rule": "cut", "problem": None, "line": "error: x", "taken": False}
    kill = {"job": "kill -gd", "fault": "SIGKILL", "command": "-gd", "detail": "", "problem": None, "struck": True}
    records = [
        case, {**case, "kind": "label file, infer"}, {**case, "rule": "empty", "problem": "exit code 0"},
        {**case, "rule": "odd", "taken": True}, kill, {**kill, "problem": "lost"}, {**kill, "struck": False},
        {"job": "disk -gd", "skipped": "read-only disks"},
    ]  # fmt: skip
    log.write_text("".join(json.dumps(record) + "\n" for record in [head, *records]))
    text = page(log)
    assert "| label file, -e | 3 | 1 | 1 | 1 |" in text and "| **all** | 4 | 2 | 1 | 1 |" in text
    assert "**4 bad inputs, 3 distinct rules broken, 2 faults, 2 failures.**" in text and "1 min 1 s on 2 cores" in text
    assert "| -gd: SIGKILL | 2 | 1 |" in text and "-gd 2. 1 faults came" in text and "Not tried: read-only disks." in text


NAMES = ("../../hacked", "/tmp/hacked2", "..\\..\\hacked3", "%s%n{0.__class__}{", "<script>hacked</script>", "=cmd()", "動" * 3000, "-rf *", "$(hacked)")


def test_names_in_data_stay_names(prepared, tmp_path, monkeypatch):
    shutil.copytree(prepared, tmp_path / "all", symlinks=True)
    monkeypatch.chdir(tmp_path / "all")
    path = Path("npy/original/ntu-xsub")
    np.save(path / "eval_data.npy", np.repeat(np.load(path / "eval_data.npy")[:1], len(NAMES), 0))
    (path / "eval_label.pkl").write_bytes(pickle.dumps((list(NAMES), [0] * len(NAMES), [300] * len(NAMES)), 4))
    before = set(tmp_path.rglob("*"))
    infer = [*attempts.INFER, f"--data_file={path}/eval_data.npy", f"--label_file={path}/eval_label.pkl"]
    for command in (
        attempts.EVALUATE, ["ensemble.py", "scores.npz", "--output=together.npz"], [*infer, "--output=out/a.csv"], [*infer, "--output=out/a.jsonl"],
    ):  # fmt: skip
        code, _, err = attempts.call(command)
        assert (code, err) == (0, "")
        if command is attempts.EVALUATE:
            scores = next(file for file in Path("work/temp").glob("*/scores.npz") if file.resolve() not in before)
            shutil.copy(scores, "scores.npz")
    made = {file.relative_to(Path.cwd()).parts[:2] for file in set(tmp_path.rglob("*")) - before}
    assert made == {("work", "temp"), ("out",), ("out", "a.csv"), ("out", "a.jsonl"), ("together.npz",)}
    names = [name.replace("\\", "/").rsplit("/", 1)[-1] for name in NAMES]
    with np.load("together.npz") as file:
        assert file["names"].tolist() == names
    assert [json.loads(line)["name"] for line in Path("out/a.jsonl").read_text().splitlines()] == names
    with open("out/a.csv", newline="", encoding="utf-8") as file:
        assert list(dict.fromkeys(row["name"] for row in csv.DictReader(file))) == list(dict.fromkeys(names))
