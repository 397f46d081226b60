"""Pictures for papers: confusion matrix, curves, attention over joints as PNG, SVG and PDF; moving skeletons as GIF and MP4."""

import re
import shutil
import tempfile
from pathlib import Path

import numpy as np

from utils.errors import UserError
from utils.files import replacing
from utils.log import get_logger

try:
    from matplotlib import font_manager, ft2font, style
    from matplotlib.animation import FFMpegWriter, PillowWriter
    from matplotlib.collections import LineCollection
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure
except ImportError as error:
    raise UserError(f"--save_figures: needs the package matplotlib ({error}); pip install '.[report]'") from error

STYLE = Path(__file__).with_name("assets") / "paper.mplstyle"
WIDTH = 7.0  # inches, both columns of a two-column page
MOST_NAMED = 80  # classes whose names fit along a side
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#777777"  # Okabe and Ito, for all eyes
FONTS = ("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "WenQuanYi Zen Hei", "PingFang SC", "SimHei")


def save_figures(folder, data, samples, classes, graph):
    """Write all pictures of `data` (of report.gather) and `samples` to a folder, which is made; returns it.

    Files of a name that is there already are replaced, once all are drawn.
    """
    fonts, readable = _fonts(classes)
    names = classes if readable else [f"A{k + 1:03d}" for k in range(len(classes))]
    if not readable:
        get_logger().info("No font here has all letters of the class names (fonts-noto-cjk has Chinese): pictures give numbers")
    video = shutil.which("ffmpeg")
    if not video:
        get_logger().info("No ffmpeg on PATH: moving skeletons are GIF only, no MP4")
    with style.context([STYLE, {"font.family": fonts}]), tempfile.TemporaryDirectory() as made:
        figures = {"confusion": draw_confusion(data, names)}
        if data["curves"]:
            figures["curves"] = draw_curves(data["curves"])
        for number, sample in enumerate(samples, start=1):
            place = f"{number:02d}_{re.sub(r'[^A-Za-z0-9_-]', '_', sample.name.removesuffix('.skeleton'))[:80]}"
            figures[f"attention_{place}"] = draw_maps(sample, names, graph, data["joints"])
            animate(sample, graph, Path(made) / f"skeleton_{place}", video)
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
    letters = set("".join(texts))
    for name in fonts:
        face = ft2font.FT2Font(there[name])
        letters = {letter for letter in letters if not face.get_char_index(ord(letter))}
    return fonts, not letters


def _figure(height, columns=1, width=WIDTH, **options):
    figure = Figure(figsize=(width, height))
    return figure, figure.subplots(1, columns, **options)


def draw_confusion(data, names):
    """The confusion matrix, as shares of the true class, over the classes that occur."""
    cells = np.array(data["cells"])
    occurring = np.unique(cells[:, :2])
    shares = np.zeros((len(occurring), len(occurring)))
    shares[tuple(np.searchsorted(occurring, cells[:, :2]).T)] = cells[:, 2]
    shares /= np.maximum(shares.sum(1, keepdims=True), 1)
    figure, axes = _figure(6.4)
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1), interpolation="nearest")  # rare ones are seen too
    if len(occurring) <= MOST_NAMED:
        size, angle = min(8, 270 / len(occurring)), 60 if len(occurring) <= 25 else 90
        shown = [names[k] if len(names[k]) <= 32 else f"{names[k][:31]}…" for k in occurring]
        place = {"ha": "right", "va": "center" if angle == 90 else "top", "rotation": angle, "rotation_mode": "anchor"}
        axes.set_xticks(range(len(shown)), shown, fontsize=size, **place)
        axes.set_yticks(range(len(shown)), shown, fontsize=size)
        axes.tick_params(length=2)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, shrink=0.6, ticks=[0, 0.01, 0.05, 0.2, 0.5, 1], label="share of the true class")
    bar.ax.set_yticklabels(["0 %", "1 %", "5 %", "20 %", "50 %", "100 %"])
    return figure


def draw_curves(curves):
    """Accuracy, loss and learning rate over epochs, where the run has them."""
    figure, axes = _figure(2.1, 3)
    lines = {
        "train_top1": (0, "training top-1", BLUE, ":"),
        "eval_top1": (0, "evaluation top-1", BLUE, "-"),
        "eval_top5": (0, "evaluation top-5", PURPLE, "--"),
        "train_loss": (1, "training", ORANGE, ":"),
        "eval_loss": (1, "evaluation", ORANGE, "-"),
        "lr": (2, None, GREEN, "-"),
    }
    for key, (place, label, colour, style) in lines.items():
        if key in curves:
            epochs, values = curves[key]
            axes[place].plot(epochs, values, style, color=colour, label=label, lw=1.3, marker="." if len(epochs) < 20 else None)
    for axis, title in zip(axes, ("accuracy", "loss (nats)", "learning rate"), strict=True):
        axis.set(xlabel="epoch", ylabel=title)
        axis.set_ylim(bottom=0)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=6)
    axes[0].yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    return figure


def _body_colours(sample):
    return dict(zip(np.flatnonzero(sample.seen.any((0, 2))).tolist(), (GREY, PURPLE, GREEN, ORANGE), strict=False))


def _flat(sample):
    """(T, M, V, 2): the joints from 20 degrees beside the front."""
    x, y, z = np.moveaxis(sample.motion, -1, 0)
    return np.stack([x * np.cos(0.35) + z * np.sin(0.35), y], axis=-1)


def _bones(points, seen, graph):
    """Both ends of each of a body's bones that are there."""
    return [points[[a, b]] for a, b in graph.bones if seen[[a, b]].all()]


def _frame_the_body(axes, points):
    low, high = (points.min(0), points.max(0)) if len(points) else (np.zeros(2), np.ones(2))
    margin = 0.08 * max(high - low) + 1e-6
    axes.set(xlim=(low[0] - margin, high[0] + margin), ylim=(low[1] - margin, high[1] + margin), aspect="equal")
    axes.axis("off")


def draw_maps(sample, names, graph, joints):
    """One sample: its skeleton coloured by the map after the last block, and all maps of its first body, joints over time."""
    titles = list(sample.maps)
    figure, panels = _figure(0.6 + 0.11 * max(len(joints), 12), 1 + len(titles), width_ratios=[1.1, *[1] * len(titles)])
    body = next(iter(_body_colours(sample)), 0)
    values = sample.maps[titles[-1]]
    frame = int(values[:, body].mean(1).argmax()) * len(sample.seen) // len(values)  # the one that counts most
    seen, points, joint_values = sample.seen[frame, body], _flat(sample)[frame, body], values[:, body].mean(0)
    panels[0].add_collection(LineCollection(_bones(points, seen, graph), colors=GREY, lw=1.5, zorder=1))
    sizes = 8 + 60 * (joint_values - joint_values.min()) / (np.ptp(joint_values) or 1)
    panels[0].scatter(*points[seen].T, sizes[seen], joint_values[seen], cmap="cividis", zorder=2, edgecolors="black", lw=0.3)
    _frame_the_body(panels[0], points[seen])
    panels[0].set_title("mean over time of\nthe right-most map", fontsize=6)
    guess = int(sample.probabilities.argmax())
    said = f"predicted: {names[guess]} ({sample.probabilities[guess]:.0%}), true: {names[sample.label]}"
    if len(_body_colours(sample)) > 1:
        said += "; maps of the first body"
    figure.suptitle(said, fontsize=7, x=0.01, ha="left")
    extent = (0, len(sample.seen), len(joints), 0)
    for panel, title in zip(panels[1:], titles, strict=True):
        values = sample.maps[title][:, body].T
        image = panel.imshow(values, aspect="auto", cmap="cividis", interpolation="nearest", extent=extent)
        panel.set_yticks(np.arange(len(joints)) + 0.5, joints if panel is panels[1] else [], fontsize=5)
        panel.tick_params(length=1, labelsize=5)
        panel.set_xlabel("frame", fontsize=6)
        panel.set_title(title.split(":")[0].replace(", ", "\n"), fontsize=6)
        figure.colorbar(image, ax=panel, location="bottom", aspect=30).ax.tick_params(labelsize=5)
    return figure


def animate(sample, graph, path, video):
    """Write the moving skeleton, all bodies, at 15 frames a second to PATH.gif, and to PATH.mp4 where there is ffmpeg."""
    figure, axes = _figure(3, width=3)
    flat = _flat(sample)
    _frame_the_body(axes, flat[sample.seen])
    colours = _body_colours(sample).items()
    bodies = {body: axes.add_collection(LineCollection([], colors=colour, lw=2.5)) for body, colour in colours}
    dots = axes.scatter([], [], 14, color=BLUE, zorder=3)
    writers = [(PillowWriter(fps=15), ".gif")]
    if video:
        writers.append((FFMpegWriter(fps=15, codec="h264", extra_args=["-pix_fmt", "yuv420p"]), ".mp4"))
    for writer, suffix in writers:
        with writer.saving(figure, str(path.with_name(path.name + suffix)), dpi=120):
            for frame in range(0, len(flat), 2):
                for body, lines in bodies.items():
                    lines.set_segments(_bones(flat[frame, body], sample.seen[frame, body], graph))
                dots.set_offsets(flat[frame][sample.seen[frame]])
                writer.grab_frame()
