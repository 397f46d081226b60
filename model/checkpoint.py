"""Checkpoint files: {model, opt, epoch, best_state, scheduler, ...} as paddle.save writes them.

Tensors are matched by their structured names (`main_stream.block-0_scn.bn.weight`). The names Paddle makes up
(`conv2d_0.w_0`), by which optimizer state is keyed, differ from process to process and are only used to go from one to the other.
"""

from pathlib import Path

import numpy as np
import paddle

from utils import UserError, load_pickle, replacing


def save_checkpoint(path, model, optimizer, schedule, *, epoch, best_state, **more):
    """Write a checkpoint in one step; `epoch` is the 0-based index of the last finished epoch (-1: none)."""
    state = {
        "model": model.state_dict(),
        "opt": optimizer.state_dict(),
        "epoch": epoch,
        "best_state": best_state,
        "scheduler": schedule.state_dict(),
        **more,
    }
    with replacing(path) as temporary:
        paddle.save(state, str(temporary))


def _array(value):
    return np.asarray(value[1] if isinstance(value, tuple) and len(value) == 2 else value)


def read_checkpoint(path):
    """A checkpoint's dict, read without running anything in it; a bare state dict is taken as {model: ...}.

    Raises UserError if the file is missing, damaged, or holds no weights.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such checkpoint file")
    state = load_pickle(path)
    if isinstance(state, dict) and "model" not in state and all(isinstance(name, str) for name in state):
        state = {"model": state}
    weights = state.get("model") if isinstance(state, dict) else None
    if not isinstance(weights, dict) or not weights:
        raise UserError(f"{path}: holds no model weights")
    for name, value in weights.items():
        if name != "StructuredToParameterName@@" and _array(value).dtype.kind not in "fiub":
            raise UserError(f"{path}: {name} is not an array of numbers")
    return state


def weight_arrays(state):
    """{structured name: array} of a checkpoint's model part."""
    return {name: _array(value) for name, value in state["model"].items() if name != "StructuredToParameterName@@"}


def _shorten(lines):
    return "; ".join(lines[:10]) + (f"; and {len(lines) - 10} more" if len(lines) > 10 else "")


def load_weights(model, state, path, skip=()):
    """Put a checkpoint's weights into `model`, all but names that start with one of `skip`.

    Raises UserError, model unchanged, naming the first ten entries that are missing, unexpected or of another shape.
    """
    ours, theirs = model.state_dict(), weight_arrays(state)
    kept = tuple(skip)
    wrong = [f"{name} is missing" for name in ours if name not in theirs and not name.startswith(kept or "\0")]
    wrong += [f"{name} is unexpected" for name in theirs if name not in ours]
    wrong += [
        f"{name} is {theirs[name].shape}, needed {tuple(ours[name].shape)}"
        for name in ours
        if name in theirs and not name.startswith(kept or "\0") and theirs[name].shape != tuple(ours[name].shape)
    ]
    if wrong:
        raise UserError(
            f"{path}: does not fit this configuration's network, {len(wrong)} entries differ: {_shorten(wrong)}"
        )
    chosen = {name: value for name, value in theirs.items() if not name.startswith(kept or "\0")}
    bad = [name for name, value in chosen.items() if value.dtype.kind == "f" and not np.isfinite(value).all()]
    if bad:
        raise UserError(f"{path}: {len(bad)} entries hold values that are not finite: {_shorten(bad)}")
    for name, value in chosen.items():
        ours[name].set_value(value.astype(str(ours[name].dtype).rsplit(".", 1)[-1]))


def load_optimizer(optimizer, model, state, path):
    """Put a checkpoint's optimizer state into `optimizer`, through structured names: model[name][0] -> opt[that + suffix].

    Raises UserError, naming the first ten entries, where a parameter's state is missing or of another shape.
    """
    saved, wrong, found = state.get("opt"), [], {}
    if not isinstance(saved, dict):
        raise UserError(f"{path}: holds no optimizer state; start from its weights with -pp, without -r")
    suffixes = {str(key).split(".", 1)[-1].split("_", 2)[-1] for key in saved if "." in str(key)}
    trained = [(name, p) for name, p in model.named_parameters() if not p.stop_gradient]
    for name, parameter in trained:
        entry = state["model"].get(name)
        old = entry[0] if isinstance(entry, tuple) else None
        mine = {suffix: saved[f"{old}_{suffix}"] for suffix in suffixes if f"{old}_{suffix}" in saved}
        if not mine or any(_array(v).size not in (1, parameter.size) for v in mine.values()):
            wrong.append(f"{name} {'is of another shape' if mine else 'has none'}")
        found.update({f"{parameter.name}_{suffix}": paddle.to_tensor(_array(value)) for suffix, value in mine.items()})
    expected = {"Momentum": "velocity_0", "Adam": "moment1_0"}.get(type(optimizer).__name__)
    if expected and not any(suffix.endswith(expected) for suffix in suffixes):
        raise UserError(
            f"{path}: its optimizer is not {type(optimizer).__name__}; choose that of the checkpoint with -o"
        )
    if wrong:
        raise UserError(f"{path}: optimizer state differs in {len(wrong)} parameters: {_shorten(wrong)}")
    optimizer.set_state_dict(found)
