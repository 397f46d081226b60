"""Scaling curves as CSV files and a plot: inference over batch, frames, bodies and threads; the loader and -gd over workers.

    python -m benchmarks.scaling [--quick] [--output FOLDER]

A file's name says what was measured on what: inference_ENGINE_fp32_CPU_CORES.csv. Each point is a median of turns.
"""

import argparse
import csv
import io
import os
import re
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks import networks
from benchmarks.bench_feeder import loader, write_data_set
from benchmarks.bench_inference import export
from benchmarks.bench_reader import generate
from benchmarks.recordings import make_recordings
from benchmarks.timing import environment, in_turn, once, one_at_a_time, processor, python, several
from utils.files import replacing
from utils.process import cores

ENGINES = {"paddle-native": ("paddle", "native"), "onnxruntime": ("onnx", "onnxruntime")}
SWEEPS = {  # what changes, the others as in BASE
    "batch": (1, 2, 4, 8, 16, 32, 64),
    "frames": (72, 144, 216, 288),
    "bodies": (1, 2),
    "threads": tuple(range(1, cores() + 1)),
}
BASE = {"batch": 1, "frames": 288, "bodies": 2, "threads": cores()}
WORKERS = (1, 2)
TURN, CALLS = 16, 2  # sequences of a side's turn, in batches; turns that count in each process


def inference(engine, folder, repeats, sweeps):
    """Rows (changed, value, batch, frames, bodies, threads, sequences/s) of one engine."""
    kind, name = ENGINES[engine]
    points = {(what, value): {**BASE, what: value} for what, values in sweeps.items() for value in values}
    sizes = {(point["bodies"], point["frames"]) for point in points.values()}
    files = {size: export(folder, kind, *size) for size in sizes}
    sides = {}
    for point in points.values():
        batch, frames, bodies, threads = side = tuple(point.values())
        run = (networks.run_program, files[bodies, frames], name, batch, bodies, frames, threads)
        sides[side] = (several, max(1, TURN // batch), *run)
    taken = one_at_a_time(sides, repeats, CALLS)
    rates = {side: max(side[0], TURN) / median(of_side.seconds) for side, of_side in taken.items()}
    return [[*key, *point.values(), rates[tuple(point.values())]] for key, point in points.items()]


def workers(folder, repeats, files):
    """Rows (job, workers, rate in files or sequences a second) of -gd and of the loader."""
    paths = write_data_set(folder, files)
    sides = {("loader, sequences", count): (loader, paths, count) for count in WORKERS}
    raw = make_recordings(folder / "raw", files)[0].parent
    for count in WORKERS:
        sides["-gd x-sub, files, with start-up", count] = (python, *generate("2001", raw, folder / "set", count))
    taken = in_turn(sides, repeats)
    return [[*key, files / median(side.seconds)] for key, side in taken.items()]


def write(path, head, rows):
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *([f"{x:.4g}" if isinstance(x, float) else x for x in row] for row in rows)])
    print(path, flush=True)


def plot(path, curves, worker_rows):
    """One panel for each thing that changes, in the report's colours; light or dark, as the viewer's system is."""
    import matplotlib

    from evaluation.figures import DARK, LIGHT

    matplotlib.use("svg")
    from matplotlib import pyplot

    words = ["text.color", "axes.labelcolor", "axes.titlecolor", "xtick.labelcolor", "ytick.labelcolor"]
    lines = dict.fromkeys(["axes.edgecolor", "xtick.color", "ytick.color", "grid.color"], LIGHT["line"])
    colours = dict.fromkeys(["figure.facecolor", "axes.facecolor", "savefig.facecolor"], LIGHT["panel"]) | dict.fromkeys(
        words, LIGHT["text"]
    )
    shape = {"font.size": 13, "axes.grid": True, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
    order = matplotlib.cycler(color=[LIGHT["accent"], LIGHT["wrong"]])
    matplotlib.rcParams.update(
        {**colours, **lines, **shape, "axes.prop_cycle": order, "lines.linewidth": 2.5, "svg.hashsalt": "scaling"}
    )
    figure, panels = pyplot.subplots(2, 3, figsize=(11, 6.4), layout="constrained")
    for panel, what in zip(panels.flat, SWEEPS, strict=False):
        for engine, rows in curves.items():
            points = [(row[1], row[-1]) for row in rows if row[0] == what]
            panel.plot(*zip(*points, strict=True), marker="o", label=engine)
        panel.set(title=what, ylim=(0, 1.1 * panel.dataLim.ymax))
        panel.set_xscale("log" if what == "batch" else "linear")
        panel.set_xticks(SWEEPS[what], [str(value) for value in SWEEPS[what]], minor=False)
        panel.minorticks_off()
    for job in dict.fromkeys(row[0] for row in worker_rows):
        points = [(row[1], row[2]) for row in worker_rows if row[0] == job]
        panels[1, 1].plot(*zip(*points, strict=True), marker="o", linestyle=":", label=job)
    panels[1, 1].set(title="workers of -gd, of the loader", ylim=(0, 1.1 * panels[1, 1].dataLim.ymax), xticks=WORKERS)
    panels[0, 0].set(ylabel="sequences/s")
    panels[1, 0].set(ylabel="sequences/s")
    panels[1, 1].set(ylabel="a second")
    panels[1, 2].axis("off")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.12)
    handles = [handle for panel in (panels[0, 0], panels[1, 1]) for handle in panel.get_legend_handles_labels()[0]]
    panels[1, 2].legend(handles=handles, loc="center left", fontsize=13)
    with io.StringIO() as drawn:
        figure.savefig(drawn, format="svg", metadata={"Date": None})
        svg = drawn.getvalue()
    rules = [f'[style*="{what}: {LIGHT[name]}"]{{{what}:{DARK[name]}!important}}' for name in DARK for what in ("fill", "stroke")]
    with replacing(path) as temporary:
        dark = f"@media(prefers-color-scheme:dark){{{''.join(rules)}}}"
        temporary.write_text(svg.replace("</style>", f"{dark}</style>", 1), encoding="utf-8")
    print(path)


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="fewer points and repeats: the figures mean nothing")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("scaling"))
    options = parser.parse_args()
    os.environ.update(environment())
    repeats = 1 if options.quick else options.repeats
    sweeps = {what: values[:2] if options.quick else values for what, values in SWEEPS.items()}
    device = re.sub(r"\W+", "-", processor() or "cpu").strip("-")
    versions = {"paddle-native": version("paddlepaddle"), "onnxruntime": version("onnxruntime")}
    with tempfile.TemporaryDirectory() as temporary:
        folder, curves = Path(temporary), {}
        once(networks.make_weights, folder)
        for engine in ENGINES:
            curves[engine] = inference(engine, folder, repeats, sweeps)
            path = options.output / f"inference_B0_{engine}-{versions[engine]}_fp32_{device}_{cores()}-cores.csv"
            write(path, ["changed", "value", "batch", "frames", "bodies", "threads", "sequences_per_second"], curves[engine])
        rows = workers(folder, repeats, 160 if options.quick else 1600)
        write(options.output / f"workers_{device}_{cores()}-cores.csv", ["job", "workers", "per_second"], rows)
    plot(options.output / f"scaling_{device}_{cores()}-cores.svg", curves, rows)


if __name__ == "__main__":
    sys.exit(main())
