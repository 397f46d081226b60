"""The report: one HTML page, for any browser without a network, of an evaluation and of what the network saw in samples."""

import html
import json
import math
from importlib import import_module
from pathlib import Path

import numpy as np

from utils.errors import UserError, printable
from utils.files import replacing
from utils.page import filled, packed
from utils.process import versions

from .saliency import sample_saliency
from .scores import top_confusions

ASSETS = Path(__file__).with_name("assets")
CONFUSIONS = 20  # listed on the page
MISSING = 9999  # in place of a coordinate that is not there


def check_report(samples, names, figures=None):
    """Raise UserError where a report could not be written, before the work that it is on: names, packages, folder of pictures."""
    if unknown := [name for name in names if name not in samples]:
        raise UserError(f"--report_args.names: {unknown[0]!r} is not among the {len(samples)} samples, such as {samples[0]!r}")
    try:
        import_module("plotly.offline")
        if figures:
            import_module("evaluation.figures")  # needs matplotlib
            Path(figures).mkdir(parents=True, exist_ok=True)
    except ImportError as error:
        raise UserError(f"the report needs the package {error.name} ({error}); pip install '.[report]'") from error
    except FileExistsError as error:
        raise UserError(f"--save_figures {figures}: is a file; name a folder") from error


def choose_samples(scores, count, names=()):
    """Indices of samples to show: those of `names`, else `count`.

    Half of these are wrong, the surest of each of the most frequent confusions; the others are the surest right ones, of
    classes spread over the list.
    """
    if names:
        return [scores.names.index(name) for name in names]
    predicted, sure = scores.logits.argmax(1), scores.probabilities().max(1)
    surest = {}  # (true, predicted class) -> index
    for index in np.argsort(-sure, kind="stable").tolist():
        surest.setdefault((int(scores.labels[index]), int(predicted[index])), index)
    wrong = [surest[pair[:2]] for pair in top_confusions(scores.confusion(), count)]
    right = [index for (true, guess), index in sorted(surest.items()) if true == guess]
    wrong = wrong[: max(count // 2, count - len(right))]
    wanted = min(count - len(wrong), len(right))
    return wrong + [right[i * len(right) // wanted] for i in range(wanted)]


def read_curves(run):
    """({figure: [[epochs], [values]]}, what is wrong or None) of a run folder's metrics.jsonl, steps left out."""
    curves, path = {}, run and run / "metrics.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if run and path.is_file() else []
        for record in map(json.loads, lines):
            for key, value in record.items():
                if "step" not in record and key != "epoch" and math.isfinite(value):
                    epochs, values = curves.setdefault(key, [[], []])
                    epochs.append(record["epoch"])
                    values.append(value)
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        return {}, f"{path.name} of the run can't be read ({error})."
    return curves, None


def describe_sample(sample):
    """A SampleSaliency for the page: coordinates from frame to frame, in thousandths of the farthest joint's distance."""
    points = sample.motion[sample.seen]
    centre = (points.min(0) + points.max(0)) / 2 if len(points) else np.zeros(3)
    extent = max(float(np.abs(points - centre).max(initial=0)), 1e-6)
    motion = np.rint((sample.motion - centre) / extent * 1000).astype(int)
    motion[~sample.seen] = MISSING
    maps = []
    for title, values in sample.maps.items():
        low, high, even = sample.limits(values)
        scaled = np.rint(np.clip((values - low) / (high - low), 0, 1) * 99).astype(int).ravel().tolist()
        maps.append({"title": title, "frames": len(values), "low": low, "high": high, "even": even, "values": scaled})
    best = np.argsort(-sample.probabilities, kind="stable")[:5].tolist()
    return {
        "name": sample.name,
        "label": sample.label,
        "top": [[number, float(sample.probabilities[number])] for number in best],
        "shape": sample.seen.shape,
        "peak": sample.peak,
        "motion": np.diff(motion, axis=0, prepend=0).ravel().tolist(),
        "maps": maps,
    }


def gather(scores, samples, *, title, classes, graph, run, about):
    """All that the page shows, as plain values. `about`: {what: text} on the run."""
    confusion = scores.confusion()
    true, predicted = np.nonzero(confusion)
    ece, counts, confidence, accuracy = scores.calibration()
    curves, note = read_curves(run)
    shown = {sample.name: number for number, sample in enumerate(samples)}
    guesses, confusions = scores.logits.argmax(1), []
    for actual, guess, times in top_confusions(confusion, CONFUSIONS):
        rows = np.flatnonzero((scores.labels == actual) & (guesses == guess))
        names = sorted((scores.names[i] for i in rows), key=lambda name: name not in shown)[:3]
        confusions.append([actual, guess, times, [[name, shown.get(name)] for name in names]])
    return {
        "title": title,
        "about": about,
        "classes": classes,
        "count": len(scores.labels),
        "top1": float(scores.hits(1).mean()),
        "top5": float(scores.hits(5).mean()),
        "loss": scores.mean_loss(),
        "ece": ece,
        "cells": np.stack([true, predicted, confusion[true, predicted]], 1).tolist(),
        "confusions": confusions,
        "calibration": {"counts": counts.tolist(), "confidence": confidence.tolist(), "accuracy": accuracy.tolist()},
        "curves": curves,
        "curves_note": note,
        "joints": graph.joint_names,
        "bones": graph.bones,
        "parts": list(graph.parts.items()),
        "samples": [describe_sample(sample) for sample in samples],
    }


def write_page(path, data):
    """Write the page."""
    from plotly.offline import get_plotlyjs

    texts = {"title": html.escape(data["title"]), "plotly": packed(get_plotlyjs())}
    texts["data"] = packed(json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False))
    page = filled(ASSETS / "page.html", [path for path in ASSETS.iterdir() if path.suffix in (".css", ".js")], **texts)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def write_report(model, feeder, scores, classes, *, about, chosen, up, run, folder, figures=None):
    """Write the report of an evaluation, and the pictures where a folder `figures` is given; returns {what: path}.

    `about`: {what: text} on network, data set and checkpoint (its path); `chosen`: what `choose_samples` takes; `up`: the axis
    that points up (see viewer_axes). The page goes to the checkpoint's run folder `run`, or where it has none, to `folder`.
    """
    bad = np.array(scores.names)[~np.isfinite(scores.logits).all(1)]
    if len(bad):
        raise UserError(f"no report: logits of {len(bad)} sample{'s' * (len(bad) > 1)} are not finite: {', '.join(bad[:10])}")
    samples = [sample_saliency(model, feeder, index, classes, up) for index in choose_samples(scores, *chosen)]
    title, page = f"{about['network']} on {about['data set']}", (run or folder) / f"report_{Path(about['checkpoint']).stem}.html"
    about = {what: printable(text) for what, text in about.items()} | {"samples": f"{len(scores.labels)} of its eval split"}
    about |= {"made with": versions()}
    data = gather(scores, samples, title=title, classes=classes, graph=feeder.graph, run=run, about=about)
    write_page(page, data)
    if not figures:
        return {"report": page}
    from .figures import save_figures

    pictures = save_figures(Path(figures), scores.confusion(), data["curves"], samples, classes, feeder.graph)
    return {"report": page, "figures": pictures}
