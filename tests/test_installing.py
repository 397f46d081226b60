"""What is installed: enough for what the code imports, and no Paddle for CPUs over one for GPUs."""

import ast
import re
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.helpers.places import ROOT
from tests.test_docs import PAGES

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOLDERS = [path.parent for path in ROOT.glob("*/__init__.py") if path.parent.name not in ("tests", "benchmarks")]
CODE = [*ROOT.glob("*.py"), *(path for folder in FOLDERS for path in folder.rglob("*.py"))]
OWN = {folder.name for folder in FOLDERS} | {path.stem for path in ROOT.glob("*.py")}
DISTRIBUTIONS = packages_distributions() | {"paddle": ["paddlepaddle"], "onnxruntime": ["onnxruntime"]}  # or those for GPUs
DISTRIBUTIONS |= {"cv2": ["opencv-contrib-python"], "mediapipe": ["mediapipe"]}  # of an environment of their own
EXTRAS = PROJECT["project"]["optional-dependencies"]
REQUIREMENTS = re.sub(r"#.*", "", (ROOT / "requirements.txt").read_text(encoding="utf-8")).split("\n")


def names(lines):
    """Distributions that lines of requirements name."""
    return {canonicalize_name(Requirement(line).name) for line in lines if line.strip()}


def imported(path, everywhere):
    """Distributions of the packages that a file imports, `everywhere` or where it can't do without: in no function, in no try."""
    nodes = [ast.parse(path.read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
        for module in {name.split(".")[0] for name in modules} - set(sys.stdlib_module_names) - OWN:
            yield from (canonicalize_name(name) for name in DISTRIBUTIONS.get(module, [module]))
        nodes += [child for child in ast.iter_child_nodes(node) if everywhere or not isinstance(child, ast.FunctionDef | ast.Try)]


def test_only_the_extra_cpu_installs_paddle():
    assert PROJECT["tool"]["setuptools"]["dynamic"]["dependencies"] == {"file": ["requirements.txt"]}
    assert names(EXTRAS["cpu"]) == {"paddlepaddle"}
    others = names(REQUIREMENTS).union(*(names(lines) for extra, lines in EXTRAS.items() if extra != "cpu"))
    assert len(others) > 15 and not [name for name in others if name.startswith("paddlepaddle")]


def test_what_is_imported_is_installed():
    running = names(REQUIREMENTS) | names(EXTRAS["cpu"])
    optional = running | names(EXTRAS["report"]) | names(EXTRAS["onnx"]) | names(EXTRAS["video"])
    more = {  # packages that one file alone may import
        "evaluation/figures.py": (names(EXTRAS["report"]), set()),  # as it begins: it is imported where they are installed
        "tools/player_gif.py": (set(), names(EXTRAS["dev"]) | {"pillow"}),  # pillow comes with the extra report's matplotlib
    }
    for path in CODE:
        at_first, later = more.get(path.relative_to(ROOT).as_posix(), (set(), set()))
        assert set(imported(path, everywhere=False)) <= running | at_first, path
        assert set(imported(path, everywhere=True)) <= optional | later, path


@pytest.mark.skipif(not shutil.which("make"), reason="no make")
@pytest.mark.parametrize(
    ("present", "wanted"), [("", True), ("paddlepaddle 3.3.1", True), ("paddlepaddle-gpu 3.3.1", False), ("paddlepaddle-xpu 3.3.1", False)]
)
def test_make_leaves_paddle_for_other_devices_alone(tmp_path, present, wanted):
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\necho 'Package Version\nnumpy 2.3.5\n{present}'\n")
    python.chmod(0o755)
    command = ["make", "--no-print-directory", "-n", f"VENV={tmp_path}", f"{tmp_path}/.ready"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "-r requirements.txt" in shown
    assert ("'.[cpu]'" in shown) == wanted


def test_what_pages_and_messages_say_to_install_exists():
    paths = [*PAGES, *(ROOT / "docs").glob("*.ipynb"), *CODE]
    lines = "\n".join(line for path in paths for line in path.read_text(encoding="utf-8").split("\n") if "pip install" in line)
    extras = {extra for found in re.findall(r"pip install \S*?\.\[([a-z,]+)\]", lines) for extra in found.split(",")}
    assert {"cpu", "onnx", "report"} <= extras <= set(EXTRAS)
    assert set(re.findall(r"-r ([\w./-]+\w)", lines)) == {"requirements.txt"}


def test_without_paddle_a_line_says_where_to_read():
    code = "import sys, main, utils.command; sys.modules['paddle'] = None; sys.exit(utils.command.run_command(lambda: main.main(['-ex', '-pp', 'a.pdparams'])))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"error: the package paddle is not installed; README.md, Installation, .*\n", done.stderr)
