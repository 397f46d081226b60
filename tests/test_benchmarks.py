"""The benchmarks compare like with like: their plain baselines give our numbers, and a table's verdict follows from them."""

import re
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import gpu_checks
from benchmarks.plain import data
from benchmarks.scaling import SWEEPS, plot
from benchmarks.timing import Report, in_turn, started
from dataset.features import branch_features
from dataset.graph import NTU
from reader.ntu_reader import read_sample
from reader.transformer import view_normalise
from tests.helpers.places import ROOT, environment
from tests.helpers.skeleton_corpus import skeleton_bytes


@pytest.mark.parametrize("bodies", [(1, 1, 1), (2, 2, 1, 2), (0, 0, 1, 2, 0, 1), (4, 3, 0), (0, 0)])
def test_plain_reader_and_loops_give_our_samples_and_features(tmp_path, bodies):
    path = tmp_path / "S001C001P001R001A001.skeleton"
    path.write_bytes(skeleton_bytes(0, bodies))
    ours, plain = read_sample(path)[0], data.read_sample(path)
    np.testing.assert_allclose(plain, ours, atol=1e-6)
    np.testing.assert_allclose(data.view_normalise(plain), view_normalise(ours), atol=1e-5)
    np.testing.assert_allclose(data.sample_features(plain, NTU.parents, NTU.centre), branch_features(ours, NTU), atol=1e-6)


def test_plain_paddle_network_gives_our_logits():
    import paddle

    from benchmarks import networks
    from benchmarks.plain.network import EfficientGCNB0
    from tests.helpers.small import fill

    model = fill(networks.build_ours(frames=16))
    plain = EfficientGCNB0(paddle, {name: tensor.numpy() for name, tensor in model.state_dict().items()})
    x = networks.clips(2, 2, frames=16)
    np.testing.assert_allclose(plain(x).numpy(), model(paddle.to_tensor(x))[0].numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("unit", "ours", "other", "at_most", "ratio", "verdict"),
    [
        ("sequences/s", 4, 2, False, 2.0, "holds"),
        ("sequences/s", 2, 4, False, 0.5, "DOES NOT HOLD"),
        ("s", 2, 4, False, 2.0, "holds"),
        ("ms/file", 2, 4, False, 2.0, "holds"),
        ("ms/file", 4, 2, False, 0.5, "DOES NOT HOLD"),
        ("ms", 30, 20, True, 1.5, "holds"),
        ("ms", 60, 20, True, 3.0, "DOES NOT HOLD"),
    ],
)
def test_rates_and_times_are_compared_the_right_way_round(unit, ours, other, at_most, ratio, verdict):
    report = Report("command")
    sides = [report.add(name, [value, value, 100 * value], unit) for name, value in (("ours", ours), ("other", other))]
    report.compare("job", *sides, wanted=2.0, at_most=at_most)
    ((*_, value, asked, found),) = report.rows
    assert (value, asked, found) == (f"{ratio:g} x", f"at {'most' if at_most else 'least'} 2 x", verdict)


def counting(log, name):
    def run():
        with open(log, "a") as file:
            file.write(name)
        return name

    return run


def dying():
    raise RuntimeError("no such thing")


def test_sides_take_turns_in_processes_of_their_own(tmp_path):
    log = tmp_path / "log"
    taken = in_turn({name: (counting, log, name) for name in "AB"}, repeats=2, warm_up=1)
    assert log.read_text() == "ABABAB"
    assert [len(taken[name].seconds) for name in "AB"] == [2, 2] and taken["A"].values == ["A"] * 3


def test_a_side_that_dies_ends_the_program():
    with pytest.raises(SystemExit, match="dying"), started(dying):
        pass


def test_every_colour_of_the_scaling_plot_has_one_for_dark_pages(tmp_path):
    points = [[what, value, 1, 288, 2, 1, 10.0 * value] for what, values in SWEEPS.items() for value in values]
    plot(tmp_path / "plot.svg", {"one": points, "two": points}, [["loader", 1, 5.0], ["loader", 2, 9.0]])
    rules, drawn = (tmp_path / "plot.svg").read_text().split("@media(prefers-color-scheme:dark)")[1].split("</style>", 1)
    colours = set(re.findall(r"(?:fill|stroke): #\w{6}", drawn))
    assert len(colours) > 6 and all(f'[style*="{colour}"]' in rules for colour in colours), colours


def test_the_checks_of_a_gpu_say_in_one_line_that_there_is_none(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu_checks.py"])
    monkeypatch.setattr(gpu_checks, "gpu_count", lambda: 0)
    with pytest.raises(SystemExit, match="2"):
        gpu_checks.main()
    assert "error: Paddle finds no GPU here; CPU=1" in capsys.readouterr().err


@pytest.mark.full
def test_the_checks_of_a_gpu_run_on_a_cpu_and_print_a_table():
    command = [sys.executable, "-m", "benchmarks.gpu_checks", "--cpu"]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=500, check=False)
    rows = dict(line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("| "))
    assert done.returncode == 0, done.stderr
    assert (
        rows["--amp O1 float16"].startswith("in float32: ")
        and "loss" in rows["float32 --to_static"]
        and "native: verified" in rows["export"]
    )
    assert "resumed within 0.0e+00" in rows["float32"] and "samples/s" in rows["each of two processes"]
