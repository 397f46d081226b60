"""The page's reader in JavaScript takes what Python's takes, refuses what it refuses, and makes the same numbers; run by node."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import yaml

from dataset.graph import NTU
from export.web import KINDS
from reader.ntu_reader import TRACKED_BODIES, SkeletonError, layout, read_skeleton, select_bodies
from reader.plausibility import implausible
from reader.recordings import _cut
from reader.transformer import view_normalise
from tests.helpers.landmarks import performance
from tests.helpers.places import ROOT
from tests.helpers.skeleton_corpus import body_lines, malformed, skeleton_bytes, to_bytes, well_formed

ASSETS = [ROOT / "export" / "assets" / "words.js", ROOT / "export" / "assets" / "reader.js"]
FILES = """
const fs = require("fs"), results = [];
for (let i = 0; fs.existsSync(`${i}.skeleton`); i++) {
  try {
    const found = readSkeleton(new Uint8Array(fs.readFileSync(`${i}.skeleton`)));
    results.push(null);
    const { M, T, V } = selectBodies(found);
    if (T > 300) continue;
    const x = layout(selectBodies(found), 0, T, 300);
    fs.writeFileSync(`${i}.layout`, x);
    fs.writeFileSync(`${i}.turned`, viewNormalise(x, M, 300, V));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    results.push([error.key, reason(error)]);
  }
}
console.log(JSON.stringify(results));
"""


def node(folder, driver):
    """What the page's functions and a driver print, read as JSON."""
    if not shutil.which("node"):
        pytest.skip("no node on PATH (Debian: apt-get install nodejs)")
    kinds = json.dumps(yaml.safe_load(KINDS.read_text()))
    (folder / "run.js").write_text("".join(path.read_text() for path in ASSETS) + f"KINDS = {kinds};" + driver)
    done = subprocess.run(["node", "run.js"], cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def generated(count):
    """Files of 1 to 40 frames, each with 0 to 6 bodies; in every second one it is one body, its joints in another order for each slot.

    The energies of these differ in their last bits, if at all.
    """
    rng = np.random.default_rng(0)
    for seed in range(count):
        counts = (*rng.integers(0, 7, rng.integers(0, 40)).tolist(), 1 + seed % 4)
        if seed % 2:
            yield skeleton_bytes(seed, counts)
            continue
        lines, orders = [str(len(counts))], [rng.permutation(25) for _ in range(4)]
        for _ in counts:
            head, number, *joints = body_lines(rng)
            lines += ["4", *(line for order in orders for line in (head, number, *(joints[v] for v in order)))]
        yield to_bytes(lines)


@pytest.mark.parametrize("count", [12, pytest.param(400, marks=pytest.mark.full)])
def test_coordinates_are_pythons_bit_for_bit(tmp_path, count):
    files = [*(data for _, data in well_formed()), *generated(count)]
    for number, data in enumerate(files):
        (tmp_path / f"{number}.skeleton").write_bytes(data)
    assert node(tmp_path, FILES) == [None] * len(files)
    for number in range(len(files)):
        wanted = layout(select_bodies(read_skeleton(tmp_path / f"{number}.skeleton", max_bodies=TRACKED_BODIES)), 300)
        for name, sample in ("layout", wanted), ("turned", view_normalise(wanted)):
            found = np.fromfile(tmp_path / f"{number}.{name}", "float32").reshape(2, 3, 300, 25)
            np.testing.assert_array_equal(found, sample.transpose(3, 0, 1, 2), f"{name} of {number}", strict=True)


def refusal(path):
    """Python's reason for refusing a file, of any length, as infer.py has it; None where it takes it."""
    try:
        return None if read_skeleton(path, None, TRACKED_BODIES).any() else "holds no body in any frame"
    except SkeletonError as error:
        return str(error).removeprefix(f"{path}: ")


def words_alone(text):
    """A reason without the values in it: numbers are printed in other ways, and bytes that are no text."""
    return re.sub(r"'.*' in the line|-?\d[\d.e+]*|–| to (?=,|$)|\s+", " ", re.sub(r"allowed:.*", "", text))


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.full)])
def test_bad_files_are_refused_with_pythons_words(tmp_path, step):
    cases = list(malformed())[::step]
    for number, (_, data) in enumerate(cases):
        (tmp_path / f"{number}.skeleton").write_bytes(data)
    found = node(tmp_path, FILES)
    for number, ((rule, _), refused) in enumerate(zip(cases, found, strict=True)):
        wanted = refusal(tmp_path / f"{number}.skeleton")
        assert (wanted is None) == (refused is None), rule
        if wanted:
            assert words_alone(refused[1]).split() == words_alone(wanted).split(), rule
            line = re.match(r"line \d+", wanted)
            assert line is None or refused[1].startswith(f"{line[0]}:"), rule


def test_windows_are_those_of_infer(tmp_path):
    cases = [(length, window, stride) for length in (1, 95, 96, 97, 126, 400) for window in (0, 8, 96) for stride in (1, 30, 200)]
    found = node(tmp_path, f"console.log(JSON.stringify({json.dumps(cases)}.map(([length, window, stride]) => cut(length, window, stride))));")
    assert found == [[list(span) for span in _cut(length, window or None, stride)] for length, window, stride in cases]


@pytest.mark.parametrize("shape", [(2, 3, 4, 5, 2), (3, 4, 5, 2)])
def test_arrays_are_read_as_numpy_reads_them(tmp_path, shape):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    np.save(tmp_path / "x.npy", x)
    found = node(tmp_path, 'console.log(JSON.stringify(readArray(new Uint8Array(require("fs").readFileSync("x.npy"))).map(r => ({ ...r, data: [...r.data] }))));')
    for recording, wanted in zip(found, x.reshape(-1, *shape[-4:]), strict=True):
        got = np.array(recording["data"], "float32").reshape(*(recording[key] for key in "MTVC"))
        np.testing.assert_array_equal(got, wanted.transpose(3, 1, 2, 0))


@pytest.mark.parametrize("change", ["float64", "int32", "three axes", "Fortran order", "cut", "no array"])
def test_arrays_of_another_kind_are_refused(tmp_path, change):
    x = np.zeros((3, 4, 5, 2), "float32")
    x = {"float64": x.astype(float), "int32": x.astype("int32"), "three axes": x[0], "Fortran order": np.asfortranarray(x)}.get(change, x)
    np.save(tmp_path / "x.npy", x)
    data = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes({"cut": data[:-4], "no array": b"hello"}.get(change, data))
    driver = 'try { readArray(new Uint8Array(require("fs").readFileSync("x.npy"))); console.log("null"); } catch (error) { console.log(JSON.stringify(error.key)); }'
    assert node(tmp_path, driver) == "npy"


@pytest.mark.parametrize("factor", [0.05, 1, 100, 1000])
def test_a_unit_that_is_not_metres_is_told_by_pythons_rule(tmp_path, factor):
    x = np.float32(performance(23) * factor).transpose(2, 0, 1)[..., None]  # C T V M
    np.save(tmp_path / "x.npy", x)
    driver = 'const unit = wrongUnit(readArray(new Uint8Array(require("fs").readFileSync("x.npy")))[0]); console.log(JSON.stringify(unit && say(unit)));'
    notes = implausible(x, NTU)
    assert len(notes) == (factor != 1)
    assert (node(tmp_path, driver) or ".").lower() == f"{''.join(notes)}."


def test_each_sentence_stands_in_both_languages_once(tmp_path):
    english, chinese = node(tmp_path, "console.log(JSON.stringify(Object.values(TEXTS).map(Object.keys)));")
    assert english == chinese
    written = re.findall(r"\b(\w+): \"", (ASSETS[0]).read_text())
    assert sorted(written) == sorted(english * 2)  # of two with one key the first would be lost
