"""A copy of the repository in which the TIPC scripts run, with a stand-in for python that notes its arguments."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.places import ROOT
from tests.helpers.small import write_split

NAMES = ("EfficientGCNB0", "EfficientGCNB0_xview")
X_SUB = "test_tipc/configs/EfficientGCNB0/train_infer_python.txt"
X_VIEW = "test_tipc/configs/EfficientGCNB0_xview/train_infer_python.txt"
ONNX = "test_tipc/configs/EfficientGCNB0/paddle2onnx_infer_python.txt"
INNER = Path("original", "ntu-xsub")
LITE = "lite_train_lite_infer"
WHOLE = "whole_train_whole_infer"
STATUS = re.compile(r"\033\[\d+m Run (successfully|failed) with command - (.*)!  \033\[0m")


# Notes its arguments; fails where they contain $FAIL; leaves the files that the real commands would leave.
STAND_IN = """#!/usr/bin/env bash
[[ $1 != -c ]] || { echo "a warning"; echo "${GPUS:-0}"; exit "${NO_PADDLE:-0}"; }
printf '%s\\n' "${0##*/}" "$@" . >>"$RECORD"
[[ -z ${FAIL:-} || " $* " != *"$FAIL"* ]] || { echo "broken" >&2; exit "${FAIL_WITH:-1}"; }
[[ $1 != dataset/tiny_data_gen.py ]] || exec "$REAL_PYTHON" "$@"
copy_demo() { mkdir -p "$1" && cp -r "$DEMO"/. "$1"; }
for word; do
    case $word in
        --work_dir=*) [[ -n ${NO_WEIGHTS:-} ]] || echo "weights of $word" >"${word#*=}/model.pdparams" ;;
        --save-inference-dir=*) touch "${word#*=}/model.json" ;;
        --output=* | --save_file=*) touch "${word#*=}" ;;
        --dataset_args.ntu.root_folder=*) [[ " $* " != *" -gd "* ]] || copy_demo "${word#*=}" ;;
    esac
done
echo "avg_ips of $1"
"""


class Repository:
    """A copy of what the scripts need; `run` calls one of them from another folder, `commands` are those it ran."""

    def __init__(self, folder):
        self.root, self.elsewhere, self.bin = folder / "a repo", folder / "else where", folder / "stand ins"
        self.source, self.record = folder / "a source", folder / "record"

    def fill(self):
        for name in ("test_tipc", "dataset", "utils"):
            shutil.copytree(ROOT / name, self.root / name, ignore=shutil.ignore_patterns("__pycache__"))
        for split, count in (("train", 20), ("eval", 18)):
            write_split(self.source / INNER, split, count, frames=4)
        self.elsewhere.mkdir()
        self.bin.mkdir()
        for name in ("python", "paddle2onnx"):
            (self.bin / name).write_text(STAND_IN)
            (self.bin / name).chmod(0o755)
        return self

    def run(self, script, *arguments, cwd=None, **variables):
        self.record.write_text("")
        environment = {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}", "RECORD": str(self.record)}
        environment |= {"REAL_PYTHON": sys.executable, "DEMO": str(self.source), **variables}
        command = ["bash", self.root / "test_tipc" / script, *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd=cwd or self.elsewhere, env=environment)

    @property
    def commands(self):
        return [call.split("\n") for call in self.record.read_text().split("\n.\n")[:-1]]

    def prepare(self, mode=LITE, *more, config=X_SUB, **options):
        done = self.run("prepare.sh", config, mode, self.source, *more, **options)
        assert done.returncode == 0, done.stderr
        return done

    def train(self, mode=LITE, *more, config=X_SUB, **options):
        return self.run("test_train_inference_python.sh", config, mode, *more, **options)

    def status(self, mode=LITE, file="results_python.log"):
        return (self.root / "log" / "EfficientGCNB0" / mode / file).read_text()


@pytest.fixture
def repo(tmp_path):
    return Repository(tmp_path).fill()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    Repository(folder).fill().prepare()
    return folder


@pytest.fixture
def ready(prepared, tmp_path):
    """A copy of one in which lite data is prepared."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    return Repository(tmp_path)


def is_one_error_line(done):
    return done.returncode == 2 and len(done.stderr.splitlines()) == 1 and done.stderr.startswith("error: ")


def epochs_of(repo):
    words = [word for command in repo.commands for word in command]
    return [word.split("=")[1] for word in words if word.startswith("--scheduler_args.cosine.max_epoch=")]
