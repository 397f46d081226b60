"""Checkpoint files: {model, opt, epoch, best_state, scheduler, ...} as paddle.save writes them.

Tensors are matched by their structured names (`main_stream.block-0_scn.bn.weight`). The names Paddle makes up
(`conv2d_0.w_0`), by which optimizer state is keyed, differ from process to process and are only used to go from one to the other.
"""

from pathlib import Path

import numpy as np
import paddle

from utils.errors import UserError
from utils.files import read_safetensors, replacing
from utils.pickles import load_pickle

from .traits import say_misfit

STATES = {"Momentum": {"velocity_0"}, "Adam": {"moment1_0", "moment2_0", "beta1_pow_acc_0", "beta2_pow_acc_0"}}
MASTER = "fp32_master_0"  # Paddle's name for the float32 copy of a parameter that is kept in 16 bits
NO_A = (
    "holds no A, the graph's adjacency, and how that was normalised can't be known from the rest: tools/convert_weights.py "
    "makes a whole file of it, with --hops 10 (as the published SG weights were trained) or --hops 3 (as the Sep weights)"
)
NAMES_TABLE = "StructuredToParameterName@@"  # an entry of paddle.save's, not a tensor


def save_checkpoint(path, model, optimizer, schedule, *, epoch, best_state, previous=None, **more):
    """Write a checkpoint in one step; `epoch` is the 0-based index of the last finished epoch (-1: none).

    `previous`: where the file that stood at `path` goes, so that a good one is there at every moment.
    """
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
        if previous and path.exists():
            path.replace(previous)


def _array(value, name, path):
    """A checkpoint's tensor as an array; raises UserError where it is anything but numbers."""
    value = value[1] if isinstance(value, tuple) and len(value) == 2 else value
    if not isinstance(value, np.ndarray | np.generic | float | int) or np.asarray(value).dtype.kind not in "fiub":
        raise UserError(f"{path}: {name} is not an array of numbers")  # lists could stand for more than memory holds
    return np.asarray(value)


def read_checkpoint(path):
    """A checkpoint's dict, read without running anything in it; a bare state dict is taken as {model: ...}.

    A folder is one of tools/publish.py. Raises UserError if the file is missing, damaged, or holds no weights.
    """
    path = weights_file(path)
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint file")
    if path.suffix in (".pth", ".pt", ".tar"):
        raise UserError(f"{path}: is of another program; convert it with tools/convert_weights.py")
    state = read_safetensors(path) if path.suffix == ".safetensors" else load_pickle(path)
    if isinstance(state, dict) and "model" not in state:
        state = {"model": state}
    if not isinstance(state, dict) or not isinstance(state["model"], dict) or not weight_arrays(state, path):
        raise UserError(f"{path}: holds no model weights")
    return state


def weights_file(path):
    """The file that holds the weights of a checkpoint, which may be a folder of tools/publish.py."""
    return Path(path) / "model.safetensors" if Path(path).is_dir() else Path(path)


def run_of(checkpoint):
    """The run folder that a checkpoint lies in, or None."""
    folder = Path(checkpoint).parent
    return folder if (folder / "config.yaml").is_file() and (folder / "log.txt").is_file() else None


def load_last(runs, path=None):
    """(checkpoint, its path, run folder or None, lines to log) to resume: of `path`, else of the newest run in the folder `runs`.

    A run's previous.pdparams stands in for a last.pdparams that is damaged or missing, as does a run before it. Raises
    UserError if there is none.
    """
    if path:
        return read_checkpoint(path), Path(path), run_of(path), []
    lines = []
    for folder in sorted(Path(runs).glob("*"), reverse=True):
        for last in (folder / "last.pdparams", folder / "previous.pdparams"):
            if last.is_file():
                try:
                    return read_checkpoint(last), last, folder, lines
                except UserError as error:
                    lines.append(f"{error}; falling back to the checkpoint before it")
    problems = "".join(f" ({line.split(';')[0]})" for line in lines)
    raise UserError(f"{runs}: no run with a usable checkpoint to resume{problems}; start one without -r, or give one with -pp")


def weight_arrays(state, path="checkpoint"):
    """{structured name: array} of a checkpoint's model part."""
    return {name: _array(value, name, path) for name, value in state["model"].items() if name != NAMES_TABLE}


def _shorten(lines, limit=10):
    return "; ".join(lines[:limit]) + (f"; and {len(lines) - limit} more" if len(lines) > limit else "")


def load_weights(model, state, path, skip=(), why=say_misfit):
    """Put a checkpoint's weights into `model`, all but names that start with one of `skip`; returns the names left out.

    Its `A`, the graph's adjacency, counts, however it is normalised, if it is of the same joint pairs. Raises UserError, model
    unchanged: what `why` says of the shapes of a whole other network, then the first entries that are missing, unexpected, of
    another shape or skeleton graph, or not finite: two where the network is another, else ten.
    """
    ours = model.state_dict(use_hook=False)  # the tensors themselves: O2's hook gives float32 copies
    theirs = weight_arrays(state, path)
    skipped = [name for name in ours if name.startswith(tuple(skip))]
    wanted = {name: tensor for name, tensor in ours.items() if name not in skipped}
    wrong = [f"{name} is unexpected" for name in theirs if name not in ours]
    for name, tensor in wanted.items():
        if name not in theirs:
            wrong.append(f"{name} is missing")
        elif theirs[name].shape != tuple(tensor.shape):
            wrong.append(f"{name} is {theirs[name].shape}, needed {tuple(tensor.shape)}")
        elif not np.isfinite(theirs[name]).all():
            wrong.append(f"{name} is not finite")
        elif name.endswith((".A", ".joints")) and not _same_graph(theirs[name], tensor.astype("float32").numpy()):
            wrong.append(f"{name} is of another skeleton graph")
    if wrong and all(line.endswith(".A is missing") for line in wrong):
        raise UserError(f"{path}: {NO_A}")
    if wrong:
        shapes = [{name: tuple(value.shape) for name, value in state.items()} for state in (theirs, ours)]
        sentence = why(*shapes) if shapes[0] != shapes[1] else ""
        counted = f"{len(wrong)} entries differ: {_shorten(wrong, 2 if sentence else 10)}"
        raise UserError(f"{path}: does not fit this configuration's network, {sentence}{'; ' * bool(sentence)}{counted}")
    for name, tensor in wanted.items():
        tensor.set_value(theirs[name].astype(str(tensor.dtype).rsplit(".", 1)[-1]))
    return skipped


def _same_graph(theirs, ours):
    """Whether two fixed tables are of one skeleton: an `A` with the same joint pairs, equal `joints`."""
    return np.array_equal(theirs != 0, ours != 0) if theirs.ndim > 1 else np.array_equal(theirs, ours)


def load_optimizer(optimizer, model, state, path):
    """Put a checkpoint's optimizer state into `optimizer`, through structured names: model[name][0] -> opt[that + suffix].

    Raises UserError, naming the first ten entries, where a parameter's state is missing, of another shape or not finite.
    """
    saved, wrong, found, masters = state.get("opt"), [], {}, {}
    if not isinstance(saved, dict):
        raise UserError(f"{path}: holds no optimizer state; start from its weights with -pp, without -r")
    kind, weights = type(optimizer).__name__, saved.get("master_weights")
    weights = weights if isinstance(weights, dict) else {}
    others = [other for other, suffixes in STATES.items() if any(str(key).endswith(tuple(suffixes)) for key in saved)]
    for name, parameter in model.named_parameters():
        if parameter.stop_gradient:
            continue
        entry = state["model"].get(name)
        old = entry[0] if isinstance(entry, tuple) else None
        was, now = (f"{MASTER}_" if half else "" for half in (old in weights, str(parameter.dtype).endswith("16")))
        mine = {s: saved.get(f"{old}_{was}{s}") for s in STATES[kind]}
        if was or now:  # --amp O2 until now, or from now on: the float32 weights go from the one to the other
            mine[MASTER] = weights.get(old, entry)
        values = {s: _array(value, f"opt of {name}", path) for s, value in mine.items() if value is not None}
        if len(values) < len(mine):
            wrong.append(f"{name} has none")
        elif any(v.size != 1 if "pow" in s else v.shape != tuple(parameter.shape) for s, v in values.items()):
            wrong.append(f"{name} is of another shape")
        elif not all(np.isfinite(v).all() for v in values.values()):
            wrong.append(f"{name} is not finite")
        else:
            tensors = {suffix: paddle.to_tensor(value.astype("float32")) for suffix, value in values.items()}
            master = tensors.pop(MASTER, None)
            if now:
                masters[parameter.name], master.name = master, f"{parameter.name}_{MASTER}"
            elif was:
                parameter.set_value(master)
            found.update({f"{parameter.name}_{now}{suffix}": tensor for suffix, tensor in tensors.items()})
    if wrong:
        hint = "" if kind in others or not others else f" (it is {others[0]}'s, not {kind}'s: choose that with -o)"
        raise UserError(f"{path}: optimizer state{hint} differs in {len(wrong)} parameters: {_shorten(wrong)}")
    more = {"master_weights": masters, "LR_Scheduler": optimizer.state_dict().get("LR_Scheduler")}  # 2.6 asks for the schedule
    optimizer.set_state_dict({**found, **{key: value for key, value in more.items() if value}})
