"""Writes the page on the sizes and costs of the family's networks: python tools/model_info.py docs/model_zoo.md"""

import os
import sys

if __name__ == "__main__":  # before the imports, so that a signal during them is one line too
    sys.path.insert(0, os.path.realpath(f"{__file__}/../.."))
    from utils.command import run_command

    sys.exit(run_command("tools.model_info"))

import argparse
import math
import re
from collections import Counter

from options.schema import FOLDER, load_config
from utils.files import replacing
from utils.process import start_paddle

PUBLISHED = {  # FLOPs in 1e9: the paper (TPAMI 2022, section 5.5.3); for Sep its first version (arXiv 2106.15125v1)
    "B0 SG": 2.73, "B2 SG": 4.05, "B4 SG": 8.36, "B0 Sep": 3.08, "B2 Sep": 6.12, "B4 Sep": 15.24,
}  # fmt: skip
PAGE = """# The family

Made by `python tools/model_info.py docs/model_zoo.md`.

| config | data set | network | parameters | published top-1 |
| --- | --- | --- | --- | --- |
{configs}

The published Paddle run is another program's, with these weights of B0. Nothing else is measured here: it needs NTU RGB+D.

Cost of one sample, 288 frames and two bodies, in 1e9 multiply-accumulates. Convolutions (0.01 of B0's are attention's) and
graph products are counted as the paper writes them: first a convolution to K x C channels, then K products with V x V
matrices. The published FLOPs come from thop, which counts layers: convolutions, a bias as one operation an output, batch
norm as two an element, the last pooling as one, but no product outside a layer, so no graph product. Column "by layers"
follows that rule.

| network | built channels | temporal layers | parameters without edges | convolutions | graph products | by layers | published |
| --- | --- | --- | --- | --- | --- | --- | --- |
{costs}
"""


def count(model, data_shape):
    """Counter of one forward pass of a sample (I, C, T, V, M) on zeros: operations of "convolutions", "graph products", "rest".

    The rest is what thop counts besides convolutions.
    """
    import paddle
    from paddle import nn

    from model.layers import SpatialGraphConv

    cost = Counter()

    def add(layer, _, output):
        if isinstance(layer, nn.BatchNorm2D):
            cost["rest"] += 2 * output.size
        if isinstance(layer, SpatialGraphConv | nn.Conv2D | nn.Conv3D):
            graph = isinstance(layer, SpatialGraphConv)
            conv, outputs = (layer.gcn, output.size * layer.num_hops) if graph else (layer, output.size)
            cost["convolutions"] += outputs * math.prod(conv.weight.shape[1:])
            cost["graph products"] += outputs * output.shape[3] * graph
            cost["rest"] += outputs * (conv.bias is not None)

    hooks = [layer.register_forward_post_hook(add) for layer in model.sublayers()]
    model.eval()
    with paddle.no_grad():
        features = model(paddle.zeros([1, *data_shape]))[1]
    cost["rest"] += features.size  # the last pooling
    for hook in hooks:
        hook.remove()
    return cost


def parameters(model):
    """(trainable parameters, those without the weights of graph edges, as the paper counts)."""
    sizes = {name: math.prod(p.shape) for name, p in model.named_parameters() if not p.stop_gradient}
    return sum(sizes.values()), sum(size for name, size in sizes.items() if not name.endswith(".edge"))


def page():
    """The text of docs/model_zoo.md."""
    from initializer import build_model, data_shape

    rows, costs = [], {}
    for name in map(str, range(2001, 2025)):
        config = load_config(name)
        model = build_model(config)
        title = f"{config.model_type[-2:]} {config.model_args.layer_type}"
        trained, without_edges = parameters(model)
        published = re.search(r"\((.*)\)", (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")).group(1)
        rows.append(f"| {name} | {config.dataset} | {title} | {trained:,} | {published} |")
        if title not in costs:
            cost = count(model, data_shape(config))
            sizes = [" ".join(str(block[i]) for block in model.blocks) for i in (0, 2)]
            figures = cost["convolutions"], cost["graph products"], cost["convolutions"] + cost["rest"], PUBLISHED[title] * 1e9
            columns = [title, *sizes, f"{without_edges:,}", *(f"{n / 1e9:.2f}" for n in figures)]
            costs[title] = f"| {' | '.join(columns)} |"
    return PAGE.format(configs="\n".join(rows), costs="\n".join(costs.values()))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", help="docs/model_zoo.md")
    path = parser.parse_args().file
    start_paddle()
    with replacing(path) as temporary:
        temporary.write_text(page(), encoding="utf-8")
