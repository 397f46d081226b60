"""Pictures for papers: confusion matrix, curves, attention over joints as PNG, SVG and PDF; moving skeletons as GIF and MP4."""

import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
from matplotlib import font_manager, ft2font, style
from matplotlib.animation import FuncAnimation
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure

from utils.files import replacing
from utils.log import get_logger

ASSETS = Path(__file__).with_name("assets")
PALETTE = (ASSETS / "palette.css").read_text(encoding="utf-8").split("}")
LIGHT, DARK = (dict(re.findall(r"--(\w+): (#\w{6})", theme)) for theme in PALETTE[:2])
RAMPS = ["low", "mid", "high"], ["zero", "half", "full"]
HEAT, SHARES = (LinearSegmentedColormap.from_list("", [LIGHT[name] for name in names]) for names in RAMPS)
TILT = 0.12  # radians, of the player's camera
WIDTH = 7.0  # inches, both columns of a two-column page
MOST_NAMED = 80  # classes whose names fit along a side
MOST_PRINTED = 20  # classes whose shares fit as numbers
FONTS = ("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "WenQuanYi Zen Hei", "PingFang SC", "SimHei")


def save_figures(folder, confusion, curves, samples, classes, graph):
    """Write all pictures to a folder, which is made; returns it. Files that are there are replaced, once all are drawn.

    confusion: (classes, classes) of Scores; curves: those of report.read_curves; samples: SampleSaliency of each; classes: names.
    """
    fonts, readable = _fonts(classes)
    names = [name if len(name) <= 32 else f"{name[:31]}…" for name in classes]
    if not readable:
        names = [f"A{k + 1:03d}" for k in range(len(classes))]
        get_logger().info("No font here has all letters of the class names (fonts-noto-cjk has Chinese): pictures give numbers")
    video = shutil.which("ffmpeg")
    if not video:
        get_logger().info("No ffmpeg on PATH: moving skeletons are GIF only, no MP4")
    with style.context([ASSETS / "paper.mplstyle", {"font.family": fonts}]), tempfile.TemporaryDirectory() as made:
        figures = {"confusion": draw_confusion(confusion, names)}
        if curves:
            figures["curves"] = draw_curves(curves)
        for number, sample in enumerate(samples, start=1):
            place = f"{number:02d}_{re.sub(r'[^A-Za-z0-9_-]', '_', sample.name.removesuffix('.skeleton'))[:80]}"
            figures[f"attention_{place}"] = draw_maps(sample, names, graph)
            animate(sample, names, graph, Path(made) / f"skeleton_{place}", video)
        for name, figure in figures.items():
            for suffix, metadata in (("png", {}), ("svg", {"Date": None}), ("pdf", {"CreationDate": None})):
                figure.savefig(Path(made) / f"{name}.{suffix}", dpi=300, metadata=metadata)
        for file in sorted(Path(made).iterdir()):
            with replacing(folder / file.name) as temporary:
                shutil.copyfile(file, temporary)
    return folder


def _fonts(texts):
    """(installed ones of FONTS, whether they have every letter of the texts)."""
    there = {font.name: font.fname for font in font_manager.fontManager.ttflist}
    fonts = [name for name in FONTS if name in there]
    drawn = {letter for name in fonts for letter in ft2font.FT2Font(there[name]).get_charmap()}
    return fonts, drawn.issuperset(map(ord, "".join(texts)))


def draw_confusion(confusion, names):
    """The confusion matrix, as shares of the true class, over the classes that occur."""
    occurring = np.flatnonzero(confusion.any(0) | confusion.any(1))
    counts = confusion[np.ix_(occurring, occurring)]
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure = Figure(figsize=(WIDTH, 6.4))
    axes = figure.subplots()
    image = axes.imshow(shares, SHARES, norm=PowerNorm(0.5, 0, 1), aspect="equal")  # rare ones are seen too
    if len(occurring) <= MOST_NAMED:
        size, angle = min(8, 270 / len(occurring)), 60 if len(occurring) <= 25 else 90
        shown = [names[k] for k in occurring]
        place = {"ha": "right", "va": "center" if angle == 90 else "top", "rotation": angle, "rotation_mode": "anchor"}
        axes.set_xticks(range(len(shown)), shown, fontsize=size, **place)
        axes.set_yticks(range(len(shown)), shown, fontsize=size)
    if len(occurring) <= MOST_PRINTED:
        for (row, column), share in np.ndenumerate(shares):
            colour = "white" if share > 0.4 else LIGHT["text"]
            axes.text(column, row, f"{100 * share:.0f}" if share else "", ha="center", va="center", color=colour, fontsize=6)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, shrink=0.6, ticks=[0, 0.01, 0.05, 0.2, 0.5, 1], label="share of the true class")
    bar.ax.set_yticklabels(["0 %", "1 %", "5 %", "20 %", "50 %", "100 %"])
    return figure


def draw_curves(curves):
    """Accuracy, loss and learning rate over epochs, where the run has them."""
    figure = Figure(figsize=(WIDTH, 2.1))
    axes = figure.subplots(1, 3)
    lines = {
        "train_top1": (0, "training top-1", "accent", ":"),
        "eval_top1": (0, "evaluation top-1", "accent", "-"),
        "eval_top5": (0, "evaluation top-5", "second", "--"),
        "train_loss": (1, "training", "mid", ":"),
        "eval_loss": (1, "evaluation", "wrong", "-"),
        "lr": (2, None, "right", "-"),
    }
    for key, (place, label, colour, fmt) in lines.items():
        if key in curves:
            epochs, values = curves[key]
            axes[place].plot(epochs, values, fmt, color=LIGHT[colour], label=label, marker="." if len(epochs) < 20 else None)
    for axis, title in zip(axes, ("accuracy", "loss (nats)", "learning rate"), strict=True):
        axis.set(xlabel="epoch", ylabel=title)
        axis.set_ylim(bottom=0)
        if axis.get_legend_handles_labels()[0]:
            axis.legend()
    axes[0].yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    return figure


def _said(sample, names):
    """What the network took a sample for, and what it is."""
    guess = int(sample.probabilities.argmax())
    return f"predicted: {names[guess]} ({sample.probabilities[guess]:.0%})\ntrue: {names[sample.label]}"


def _flat(sample):
    """(T, M, V, 3): the joints as the player opens on them, turned by 30 degrees and tilted; right, up, away."""
    x, y, z = np.moveaxis(sample.motion, -1, 0)
    turn = np.pi / 6 if z.any() else 0
    right, away = x * np.cos(turn) + z * np.sin(turn), z * np.cos(turn) - x * np.sin(turn)
    return np.stack([right, y * np.cos(TILT) + away * np.sin(TILT), away], axis=-1)


def skeletons(axes, sample, graph):
    """Prepare axes for a sample; returns draw(frame): its bodies there, coloured by class activation, as in the player."""
    flat, values = _flat(sample), next(iter(sample.maps.values()))
    low, high, _ = sample.limits(values)
    lines = axes.add_collection(LineCollection([], lw=2, capstyle="round", zorder=1))
    dots = axes.scatter([], [], [], [], cmap=HEAT, vmin=low, vmax=high, zorder=2, edgecolors="white", lw=0.4)
    axes.set(aspect="equal", xmargin=0.08, ymargin=0.08)
    axes.axis("off")
    axes.update_datalim(flat[sample.seen][:, :2])
    axes.autoscale_view()
    first = int(sample.seen.any((0, 2)).argmax())

    def draw(frame):
        seen, heat = sample.seen[frame], values[frame * len(values) // len(flat)]
        bones = [(m, [a, b]) for m in range(len(seen)) for a, b in graph.bones if seen[m, [a, b]].all()]
        colours = [LIGHT["muted" if m == first else "second"] for m, _ in bones]
        lines.set(segments=[flat[frame, m, ends, :2] for m, ends in bones], color=colours)
        order = np.argsort(-flat[frame][seen][:, 2])  # far ones first
        points, heat = flat[frame][seen][order, :2], heat[seen][order]
        dots.set(offsets=points, array=heat, sizes=10 + 50 * (heat - low) / (high - low))

    return draw


def draw_maps(sample, names, graph):
    """One sample: its skeletons in the frame of the highest class activation, and all maps of the first, joints over time."""
    figure = Figure(figsize=(WIDTH, 0.8 + 0.11 * max(graph.num_joints, 12)))
    panels = figure.subplots(1, 1 + len(sample.maps), width_ratios=[1.1, *[1] * len(sample.maps)])
    skeletons(panels[0], sample, graph)(sample.peak)
    panels[0].set_title(f"class activation,\nframe {sample.peak + 1}", fontsize=6)
    bodies = sample.seen.any((0, 2))
    more = "; maps of the first body" if bodies.sum() > 1 else ""
    figure.suptitle(_said(sample, names) + more, fontsize=7, x=0.01, ha="left")
    extent = (0, len(sample.seen), graph.num_joints, 0)
    for panel, (title, values) in zip(panels[1:], sample.maps.items(), strict=True):
        low, high, even = sample.limits(values)
        image = panel.imshow(values[:, bodies.argmax()].T, HEAT, vmin=low, vmax=high, extent=extent)
        panel.set_yticks(np.arange(graph.num_joints) + 0.5, graph.joint_names if panel is panels[1] else [], fontsize=5)
        panel.tick_params(length=1, labelsize=5)
        panel.set_xlabel("frame", fontsize=6)
        panel.set_title(title.split(":")[0].replace(", ", "\n") + " (nearly even)" * even, fontsize=6)
        figure.colorbar(image, ax=panel, location="bottom", aspect=30).ax.tick_params(labelsize=5)
    return figure


def animate(sample, names, graph, path, video):
    """Write the moving skeletons at 15 frames a second to PATH.gif, and to PATH.mp4 where there is ffmpeg."""
    figure = Figure(figsize=(3, 3.4))
    figure.suptitle(_said(sample, names), fontsize=7)
    movie = FuncAnimation(figure, skeletons(figure.subplots(), sample, graph), range(0, len(sample.seen), 2))
    movie.save(f"{path}.gif", "pillow", fps=15, dpi=120)
    if video:
        movie.save(f"{path}.mp4", "ffmpeg", fps=15, dpi=120, codec="h264")
