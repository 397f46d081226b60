"""Weights of other programs -> this project's, and back to a file that others read (docs/weights.md).

python tools/convert_weights.py 2001_EfficientGCN-B0_ntu-xsub.pth.tar b0_xsub.pdparams -c 2001

Reads PyTorch checkpoints (.pth.tar of the paper's authors' code), those of other Paddle ports, and safetensors; writes
.pdparams or .safetensors. Every name is reported: mapped, missing or unexpected; nothing is written unless all fit.
"""

import os
import sys

if __name__ == "__main__":  # before the imports, so that a signal during them is one line too
    sys.path.insert(0, os.path.realpath(f"{__file__}/../.."))
    from utils.command import run_command

    sys.exit(run_command("tools.convert_weights"))

import zipfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from dataset.graph import MAX_HOP
from options.schema import load_config
from utils.damage import usable
from utils.errors import UserError, printable
from utils.files import read_safetensors, replacing
from utils.pickles import Tensor, load_pickle, load_torch
from utils.process import start_paddle
from utils.terminal import Parser

HOLDERS = ("model", "state_dict", "model_state_dict", "net", "network")  # keys under which files keep their weights
WRAPPERS = {"module", "model", "net", "network", "backbone", "_layers"}  # what wrappers put before names
OUR_WORDS = {"running_mean": "_mean", "running_var": "_variance"}
UNUSED = "num_batches_tracked"  # PyTorch's count of batches, which nothing here depends on
BEFORE_1_6 = 0x1950A86A20F9469CFC6C  # the number that PyTorch's older files begin with


def read_weights(path):
    """{name in the file: array} of a PyTorch, Paddle or safetensors file; raises UserError where it has no weights."""
    if Path(path).suffix == ".safetensors":
        return read_safetensors(path)
    with usable(path, "holds no weights, or is damaged ({})"):
        content = load_torch(path) if zipfile.is_zipfile(path) else load_pickle(path)
        if type(content) is int and content == BEFORE_1_6:
            raise UserError(f"{path}: saved by PyTorch before 1.6, or in its format; load and save it with a newer one")
        for _ in HOLDERS:  # a file could hold itself
            content = next((content[key] for key in HOLDERS if key in content), content)
        return {str(name): array for name, value in content.items() if (array := _array(value)) is not None}


def _array(value):
    """The array of a tensor in a file, None for anything else that stands among them."""
    value = value.array if isinstance(value, Tensor) else value
    value = value[1] if isinstance(value, tuple) and len(value) == 2 else value  # Paddle: (its own name, array)
    return value if isinstance(value, np.ndarray) and value.dtype.kind in "fiub" else None


def our_name(name):
    """The name that an entry of another program has here: without wrappers, batch norm's statistics in Paddle's words."""
    words = name.split(".")
    while len(words) > 1 and words[0] in WRAPPERS:
        words = words[1:]
    return ".".join([*words[:-1], OUR_WORDS.get(words[-1], words[-1])])


def match(theirs, ours):
    """({our name: their array}, report lines, lines of what is wrong) for {name: array} and {our name: shape}.

    Shapes may differ in axes of length 1, as a linear layer's do from those of a 1x1x1 convolution. The fixed tables `A` and
    `joints` are not missed here: `convert` decides on `A`, the other follows from the graph.
    """
    found, lines, wrong = {}, [], []
    for name, array in theirs.items():
        target = our_name(name)
        shape = ours.get(target)
        if name.endswith(UNUSED):
            lines.append(f"unused      {name}")
        elif shape is None:
            wrong.append(f"unexpected  {name} {array.shape}")
        elif target in found:
            wrong.append(f"twice       {name}, which is also {target}")
        elif [n for n in array.shape if n > 1] != [n for n in shape if n > 1]:
            wrong.append(f"other shape {name} {array.shape}, needed {tuple(shape)}")
        else:
            found[target] = array.reshape(shape)
            lines.append(f"mapped      {name} -> {target} {tuple(shape)}")
    for name in ours.keys() - {our_name(name) for name in theirs}:
        fixed = name.rsplit(".", 1)[-1] in ("A", "joints")
        (lines if fixed else wrong).append(f"{'not in file' if fixed else 'missing    '} {name} {tuple(ours[name])}")
    return found, sorted(lines), sorted(wrong)


def convert(source, target, config, report=print, hops=None):
    """Write the weights in `source` as `target` (.pdparams or .safetensors), for the network of a configuration.

    `hops`: over how many the adjacency `A` of weights that lack it was normalised. Raises UserError, nothing written, where
    names or shapes do not fit or `A` is not known; `report` takes the lines on every name.
    """
    target = Path(target)
    if target.suffix not in (".pdparams", ".safetensors"):
        raise UserError(f"{target}: must end with .pdparams or .safetensors")
    theirs = read_weights(source)
    start_paddle()
    import paddle

    from initializer import build_model, skeleton_graph, why_misfit
    from training.checkpoint import load_weights

    model = build_model(config)
    ours = model.state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in ours.items()}
    found, lines, wrong = match(theirs, shapes)
    for line in [*lines, *wrong]:
        report(printable(line))
    if wrong:
        why = why_misfit({our_name(name): array.shape for name, array in theirs.items() if not name.endswith(UNUSED)}, shapes)
        first = f"{len(wrong)} entries do not fit configuration {config.config}, as {' '.join(wrong[0].split())}"
        raise UserError(f"{source}: {why}{'; ' * bool(why)}{first}")
    graph = skeleton_graph(config)
    for name, shape in shapes.items():
        if name.endswith(".joints"):
            found.setdefault(name, graph.part_of_joint)
        elif name.endswith(".A") and hops:
            found.setdefault(name, graph.adjacency(hops)[: shape[0]])
    load_weights(model, {"model": found}, source)
    with replacing(target) as temporary:
        if target.suffix == ".pdparams":
            paddle.save({"model": ours}, str(temporary))
        else:
            temporary.write_bytes(save({name: tensor.numpy() for name, tensor in ours.items()}, {"config": config.config}))


def main():
    parser = Parser(prog="tools/convert_weights.py", description=__doc__)
    parser.add_argument("source", help=".pth.tar, .pth, .pdparams or .safetensors")
    parser.add_argument("target", help=".pdparams or .safetensors")
    parser.add_argument("-c", "--config", required=True, help="configuration of the network, an ID or a YAML file")
    parser.add_argument(
        "--hops", type=int, choices=range(2, MAX_HOP + 1), help="weights without A: over how many hops it was normalised (10, 3)"
    )
    options = parser.parse_args()
    convert(options.source, options.target, load_config(options.config), hops=options.hops)
    print(f"Written: {options.target}")
