"""Scaling curves as CSV files and a plot: inference over batch, frames, bodies and threads; the loader and -gd over workers.

A file's name says what was measured on what: inference_ENGINE_fp32_CPU_CORES.csv. Each point is a median of turns.
"""

import csv
import io
import re
import tempfile
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks import networks
from benchmarks.bench_feeder import loader, write_data_set
from benchmarks.bench_inference import export
from benchmarks.bench_reader import generate
from benchmarks.recordings import make_recordings
from benchmarks.timing import in_turn, once, one_at_a_time, processor, python, several, start
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
    points = [(what, value, *{**BASE, what: value}.values()) for what, values in sweeps.items() for value in values]
    files, sides = {}, {}
    for _, _, batch, frames, bodies, threads in points:
        if (bodies, frames) not in files:
            files[bodies, frames] = export(folder, kind, bodies, frames)
        run = (networks.run_program, files[bodies, frames], name, batch, bodies, frames, threads)
        sides[batch, frames, bodies, threads] = (several, max(1, TURN // batch), *run)
    taken = one_at_a_time(sides, repeats, CALLS)
    return [[*point, max(point[2], TURN) / median(taken[point[2:]].seconds)] for point in points]


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
    from matplotlib import cycler, rc_context
    from matplotlib.figure import Figure

    from evaluation.figures import DARK, LIGHT

    coloured = {
        "text": "text.color axes.labelcolor axes.titlecolor xtick.labelcolor ytick.labelcolor",
        "line": "axes.edgecolor xtick.color ytick.color grid.color",
        "panel": "figure.facecolor axes.facecolor savefig.facecolor",
    }
    style = {"font.size": 13, "axes.grid": True, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
    style |= {"lines.linewidth": 2.5, "svg.hashsalt": "scaling"}
    style |= {key: LIGHT[name] for name, keys in coloured.items() for key in keys.split()}
    style["axes.prop_cycle"] = cycler(color=[LIGHT["accent"], LIGHT["wrong"]])
    with rc_context(style), io.StringIO() as drawn:
        figure = Figure(figsize=(11, 6.4), layout="constrained")
        *panels, last, free = figure.subplots(2, 3).flat
        for panel, what in zip(panels, SWEEPS, strict=True):
            draw(panel, [(engine, row[1], row[-1]) for engine, rows in curves.items() for row in rows if row[0] == what])
            panel.set(title=what, xscale="log" if what == "batch" else "linear")
            panel.set_xticks(SWEEPS[what], [str(value) for value in SWEEPS[what]], minor=False)
            panel.minorticks_off()
        draw(last, worker_rows, linestyle=":")
        last.set(title="workers of -gd, of the loader", xticks=WORKERS, ylabel="a second")
        for panel in panels[::3]:
            panel.set(ylabel="sequences/s")
        free.axis("off")
        free.legend(handles=[*panels[0].lines, *last.lines], loc="center left", fontsize=13)
        figure.get_layout_engine().set(w_pad=0.1, h_pad=0.12)
        figure.savefig(drawn, format="svg", metadata={"Date": None})
        svg = drawn.getvalue()
    rules = [f'[style*="{what}: {LIGHT[name]}"]{{{what}:{DARK[name]}!important}}' for name in DARK for what in ("fill", "stroke")]
    with replacing(path) as temporary:
        dark = f"@media(prefers-color-scheme:dark){{{''.join(rules)}}}"
        temporary.write_text(svg.replace("</style>", f"{dark}</style>", 1), encoding="utf-8")
    print(path)


def draw(panel, points, **line):
    """Draw a line for each label of `points`, rows (label, x, y)."""
    for label in dict.fromkeys(row[0] for row in points):
        xs, ys = zip(*(row[1:] for row in points if row[0] == label), strict=True)
        panel.plot(xs, ys, marker="o", label=label, **line)
    panel.set(ylim=(0, 1.1 * panel.dataLim.ymax))


def main():
    options, _ = start(__spec__.name, __doc__, 3, None, output=(Path(__file__).with_name("scaling"), "folder of the files"))
    sweeps = {what: values[:2] if options.quick else values for what, values in SWEEPS.items()}
    device = re.sub(r"\W+", "-", processor() or "cpu").strip("-") + f"_{cores()}-cores"
    versions = {"paddle-native": version("paddlepaddle"), "onnxruntime": version("onnxruntime")}
    with tempfile.TemporaryDirectory() as temporary:
        folder, curves = Path(temporary), {}
        once(networks.make_weights, folder)
        for engine in ENGINES:
            curves[engine] = inference(engine, folder, options.repeats, sweeps)
            path = options.output / f"inference_B0_{engine}-{versions[engine]}_fp32_{device}.csv"
            write(path, ["changed", "value", "batch", "frames", "bodies", "threads", "sequences_per_second"], curves[engine])
        rows = workers(folder, options.repeats, 160 if options.quick else 1600)
        write(options.output / f"workers_{device}.csv", ["job", "workers", "per_second"], rows)
    plot(options.output / f"scaling_{device}.svg", curves, rows)


if __name__ == "__main__":
    main()
