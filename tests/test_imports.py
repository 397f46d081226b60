"""Who imports whom: data flows one way, and light commands stay light."""

import ast
import re
import subprocess
import sys

import pytest

from tests.helpers.places import ROOT

FLOORS = [  # from the ground up: modules import those of floors below, and of their own
    {"utils", "model", "scheduler"},
    {"options", "dataset", "training"},
    {"reader", "export"},
    {"inference", "initializer", "generator"},
    {"infer", "evaluation", "processor"},
    {"tools", "main"},
]
FORBIDDEN = {  # what the floors would allow
    "utils": {"model", "scheduler"},
    "model": {"utils", "scheduler"},
    "scheduler": {"utils", "model"},
    "export": {"reader"},
    "training": {"options", "dataset", "scheduler"},
    "options": {"model", "scheduler", "dataset"},
    "dataset": {"model", "scheduler", "options"},
    "infer": {"model", "training", "initializer"},
    "inference": {"model", "training", "initializer"},
    "evaluation": {"initializer", "options"},
}
PADDLE_FREE = ["reader", "dataset", "scheduler", "options", "generator"]
FLOOR = {package: number for number, names in enumerate(FLOORS) for package in names}
ON_TOP = {"tests", "benchmarks"}


def files(package):
    path = ROOT / f"{package}.py"
    return [path] if path.exists() else sorted((ROOT / package).rglob("*.py"))


def imported(path):
    """Full names of what a file imports, anywhere in it: of modules, and of names in them."""
    here = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*here[: len(here) + 1 - node.level], node.module or ""]) if node.level else node.module
            yield from (f"{base}.{alias.name}".replace("..", ".") for alias in node.names)


def packages(path):
    return {name.split(".")[0] for name in imported(path)}


def test_every_package_has_a_floor():
    names = {path.stem for path in ROOT.glob("*.py")} | {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert names - ON_TOP == set(FLOOR)


@pytest.mark.parametrize("package", sorted(FLOOR))
def test_no_arrow_runs_up(package):
    assert files(package), package
    for path in files(package):
        above = {name for name in packages(path) if FLOOR.get(name, 0) > FLOOR[package]} | (packages(path) & ON_TOP)
        assert not above, f"{path.relative_to(ROOT)} imports {above}"
        wrong = packages(path) & FORBIDDEN.get(package, set())
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


@pytest.mark.parametrize("package", sorted([*FLOOR, *ON_TOP]))
def test_what_is_imported_from_our_modules_is_there(package):
    """Imports within functions, which only a whole run would reach, too."""
    for path in files(package):
        for name in imported(path):
            base, _, last = name.rpartition(".")
            module = ROOT / base.replace(".", "/")
            source = module.with_suffix(".py") if module.with_suffix(".py").is_file() else module / "__init__.py"
            if base.split(".")[0] in {*FLOOR, *ON_TOP} and source.is_file():
                there = (module / f"{last}.py").is_file() or (module / last).is_dir()
                assert there or re.search(rf"\b{last}\b", source.read_text("utf-8")), f"{path.relative_to(ROOT)} imports {name}"


def test_no_two_modules_import_each_other():
    names = {}
    for package in FLOOR:
        for path in files(package):
            parts = path.relative_to(ROOT).with_suffix("").parts
            names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path

    def module(imported_name):
        """The module of ours that a full name lies in, or None."""
        parts = imported_name.split(".")
        return next((name for end in range(len(parts), 0, -1) if (name := ".".join(parts[:end])) in names), None)

    arrows = {name: {module(other) for other in imported(path)} - {name, None} for name, path in names.items()}
    for name in arrows:  # what can be reached from a module does not lead back to it
        reached, todo = set(), [name]
        while todo:
            new = arrows[todo.pop()] - reached
            reached |= new
            todo += new
        assert name not in reached, f"{name} imports itself by way of {sorted(reached)}"


@pytest.mark.parametrize("package", PADDLE_FREE)
def test_packages_without_paddle(package):
    for path in files(package):
        assert "paddle" not in packages(path), path


def test_the_network_knows_paddle_and_numpy_only():
    for path in files("model"):
        others = packages(path) - {"model", "paddle", "numpy", *sys.stdlib_module_names}
        assert not others, f"{path.relative_to(ROOT)} imports {others}"


def test_what_is_written_for_gpus_in_training_is_where_the_architecture_says_and_fits_on_two_screens():
    own, ask = {f"training/{name}.py" for name in ("device", "precision")}, {"export/proof.py", "inference/engines.py"}
    product = {path: path.read_text("utf-8") for package in FLOOR for path in files(package)}
    named = {path.relative_to(ROOT).as_posix() for path, text in product.items() if re.search(r"\.cuda\b|with_cuda|CUDA\w*Place", text)}
    assert named == own | ask
    assert sum(len((ROOT / name).read_text("utf-8").splitlines()) for name in own) <= 130
    assert all(name in (ROOT / "docs" / "architecture.md").read_text("utf-8") for name in own)


def loaded_by(code):
    command = f"import sys\n{code}\nprint(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return set(out.split())


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import main\ntry: main.main(['--help'])\nexcept SystemExit: pass", {"paddle", "numpy", "pydantic", "yaml"}),
        ("import generator, reader.transformer, dataset.features, scheduler.lr_schedulers, training.recorder", {"paddle"}),
        ("import tools.convert_weights", {"paddle", "torch"}),
    ],
)
def test_light_commands_load_nothing_heavy(code, heavy):
    assert not loaded_by(code) & heavy
