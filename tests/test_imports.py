"""Who imports whom: data flows one way, and light commands stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

ROOMS = {p.stem for p in ROOT.glob("*.py")} | {p.name for p in ROOT.iterdir() if (p / "__init__.py").exists()}
ALLOWED = {
    "utils": {"utils"},
    "reader": {"reader", "utils"},
    "scheduler": {"utils"},
    "configs": {"configs", "utils"},
    "dataset": {"dataset", "utils"},
    "model": {"model", "dataset", "utils"},  # dataset: how checkpoints are read safely
    "generator": {"reader", "utils"},
    "initializer": {"dataset", "model", "scheduler", "reader", "utils"},
    "processor": {"dataset", "model", "scheduler", "utils"},
    "infer": {"reader", "dataset", "tools", "utils"},
    "tools": ROOMS - {"main", "processor"},
    "main": ROOMS,
}
PADDLE_FREE = ["reader", "scheduler", "configs", "dataset", "generator"]


def imported(path):
    """Top-level names that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield path.parent.name if node.level else node.module.split(".")[0]


def files(room):
    path = ROOT / f"{room}.py"
    return [path] if path.exists() else sorted((ROOT / room).glob("*.py"))


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_imports_only_what_it_may(room):
    assert files(room), room
    for path in files(room):
        wrong = (set(imported(path)) & ROOMS) - ALLOWED[room]
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


@pytest.mark.parametrize("room", PADDLE_FREE)
def test_rooms_without_paddle(room):
    for path in files(room):
        assert "paddle" not in set(imported(path)), path


def loaded_by(code):
    command = f"import sys\n{code}\nprint(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return set(out.split())


def test_help_loads_nothing_heavy():
    modules = loaded_by("import main\ntry: main.main(['--help'])\nexcept SystemExit: pass")
    assert not modules & {"paddle", "numpy", "pydantic", "yaml"}


def test_reading_and_scheduling_load_no_paddle():
    rooms = "reader.ntu_reader, reader.transformer, scheduler.lr_schedulers, scheduler.progress, dataset.features, generator"
    assert "paddle" not in loaded_by(f"import {rooms}")


def test_every_room_has_a_rule():
    rooms = {room for room in ROOMS if room not in ("tests", "benchmarks", "setup")}
    assert rooms <= set(ALLOWED), rooms - set(ALLOWED)
    assert Path(ROOT / "infer.py").exists()
