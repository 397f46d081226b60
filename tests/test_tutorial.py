"""The tutorial's commands and the notebook run as they stand, in a copy of the repository."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"
NEVER_COPIED = {".git", "demo", "workdir", "data", "log", "report", "build", ".pytest_cache", ".ruff_cache", ".hypothesis", "__pycache__"}


@pytest.fixture
def copy(tmp_path):
    """The repository as a fresh clone has it, without environments and what runs have written."""
    def left_out(folder, names):
        return {name for name in names if name in NEVER_COPIED or name.startswith(".venv")}

    return shutil.copytree(ROOT, tmp_path / "copy", ignore=left_out)


def run(folder, language, code):
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(folder)}
    argv = ["bash", "-euo", "pipefail", "-c", code] if language == "bash" else [sys.executable, "-c", code]
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=3000, check=False)
    assert done.returncode == 0, f"{code}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.mark.full
def test_the_tutorial_runs_word_by_word(copy):
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", (copy / "docs" / "tutorial.md").read_text(encoding="utf-8"), flags=re.M | re.S)
    outputs, shown = [], []
    for language, code in blocks:
        if language in ("bash", "python"):
            outputs.append(run(copy, language, code))
        elif language == "text":  # what the block before prints
            shown.append((code, outputs[-1]))
    assert len(outputs) > 8 and shown
    for expected, printed in shown:
        assert printed == expected
    everything = "\n".join(outputs)
    assert "Changed since the run began: scheduler_args.cosine.max_epoch: 6 -> 8" in everything
    assert "native: verified" in everything and "onnxruntime: verified" in everything
    right, count = map(int, re.search(r"Top-1 accuracy: (\d+)/(\d+)", everything.partition("Evaluating demo/workdir/demo_")[2]).groups())
    assert count == 120 and right / count > 0.5  # ten actions: chance is 0.1
    assert list(copy.glob("demo/workdir/demo_*/*/report_best.html"))
    assert (copy / "demo" / "results.csv").read_text().count("\n") == 1 + 5 * 300
    assert "S013C002P003R001A023.skeleton\nA023 hand waving 0." in everything


@pytest.mark.full
def test_the_readme_recognises_synthetic_people_with_the_published_weights(copy, published):
    run(copy, "bash", "python tools/demo_data.py --save_dir demo/skeletons --performers 6 --frames 40 70; python main.py -c demo -gd")  # as QUICK=1
    shutil.copy(published, copy / "xsub.pdparams")
    text = re.search(r"^## Recognise something$.*?(?=^## )", (copy / "README.md").read_text(encoding="utf-8"), flags=re.M | re.S)[0]
    code = re.sub(r"^(source|pip) .*$", "", text, flags=re.M)  # the environment is there
    first, report = re.findall(r"^```bash\n(.*?)^```$", code, flags=re.M | re.S)
    printed = run(copy, "bash", first)
    assert "51/60" in printed and "51" in text and printed.endswith(re.search(r"^```text\n(.*?)^```$", text, flags=re.M | re.S)[1])
    assert "report_xsub.html" in run(copy, "bash", report)


@pytest.mark.full
def test_the_notebook_runs_from_top_to_bottom(copy):
    nbformat = pytest.importorskip("nbformat", reason="pip install '.[notebook]'")
    nbclient = pytest.importorskip("nbclient", reason="pip install '.[notebook]'")
    notebook = nbformat.read(copy / "docs" / "tutorial.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=1500, resources={"metadata": {"path": str(copy / "docs")}}).execute()
    printed = "".join(out.get("text", "") for cell in notebook.cells for out in cell.get("outputs", []))
    pictures = sum("image/png" in out.get("data", {}) for cell in notebook.cells for out in cell.get("outputs", []))
    assert "(3, 6, 288, 25, 2)" in printed and "306,201 trained parameters" in printed
    assert re.search(r"^main stream, block-1_att +\[2, 128, 72, 25\]", printed, flags=re.M)
    assert re.search(r"^A\d{3} .* 0\.\d{3}$", printed, flags=re.M)
    assert pictures == 4


def test_the_notebook_is_kept_with_small_outputs_that_name_no_machine():
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text) < 300_000 and not re.search(r"/(tmp|home|root|work)/", text)
    cells = json.loads(text)["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    assert not [cell for cell in cells if cell.get("execution_count")]
    links = re.findall(r"\]\(([^)#]+)", "".join(line for cell in cells if cell["cell_type"] == "markdown" for line in cell["source"]))
    assert links and all((NOTEBOOK.parent / link).exists() for link in links)
