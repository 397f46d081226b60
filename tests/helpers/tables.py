"""The tables of docs/configuration.md and docs/model_zoo.md, from the settings' schema and from the networks.

A table stands between the lines <!-- NAME --> and <!-- end -->; all else on the pages is written by hand. `python -m
tests.helpers.tables` (make docs) writes them anew, tests compare.
"""

import math
import re
from collections import Counter

from options.command_line import make_parser
from options.schema import FOLDER, NAMES, Config, load_config
from tests.helpers.places import ROOT
from utils.process import start_paddle

WORDS = {"boolean": "true, false", "string": "text", "integer": "whole number"}
LIMITS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
PUBLISHED = {  # FLOPs in 1e9: the paper (TPAMI 2022, section 5.5.3); for Sep its first version (arXiv 2106.15125v1)
    "B0 SG": 2.73, "B2 SG": 4.05, "B4 SG": 8.36, "B0 Sep": 3.08, "B2 Sep": 6.12, "B4 Sep": 15.24,
}  # fmt: skip


def row(*cells):
    return f"| {' | '.join(map(str, cells))} |\n"


def head(*titles):
    return row(*titles) + row(*["---"] * len(titles))


def allowed(part):
    """The values that a part of a JSON schema lets through, in words."""
    if "$ref" in part:
        return part["$ref"].rsplit("/", 1)[1].lower()
    if "anyOf" in part:
        return ", ".join(allowed(option) for option in part["anyOf"])
    if "enum" in part:
        return ", ".join(map(str, part["enum"]))
    if part["type"] == "array":
        return f"list: {allowed(part['items'])}"
    limits = [f"{word} {part[key]:.15g}" for key, word in LIMITS.items() if part.get(key, 2**31 - 1) != 2**31 - 1]
    return " ".join([WORDS.get(part["type"], part["type"]), *limits])


def settings():
    """{mark: table} of docs/configuration.md: each key with its switch, default, range and meaning, under its section."""
    schema, table = Config.model_json_schema(), ""
    flags = {action.dest: action.option_strings[0] for action in make_parser()._actions if action.option_strings[0][1] != "-"}
    sections = [("", schema)]  # start of the dotted keys and part of the schema, by depth
    _, text = (FOLDER / "defaults.yaml").read_text(encoding="utf-8").split("\n\n", 1)  # after the file's own header
    for line in ["# The process", *text.splitlines()]:
        if line.startswith("# "):
            table += f"\n## {line[2:]}\n\n" + head("key", "", "default", "allowed", "meaning")
        elif found := re.fullmatch(r"( *)(\w+):(?: +([^ #].*?))?(?: +# (.*))?", line):
            indent, key, default, meaning = found.groups()
            start, section = sections[len(indent) // 2]
            part, key = section["properties"][key], start + key
            if default:
                table += row(f"`{key}`", flags.get(key, ""), f"`{default}`", allowed(part), meaning)
            else:
                sections[len(indent) // 2 + 1 :] = [(f"{key}.", schema["$defs"][part["$ref"].rsplit("/", 1)[1]])]
    return {"settings": table}


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


def networks():
    """{mark: table} of docs/model_zoo.md: the configurations of the paper, and what a sample costs each of its networks."""
    start_paddle()
    from initializer import build_model, data_shape

    configs = head("config", "or", "data set", "network", "parameters", "published top-1")
    titles = ["network", "built channels", "temporal layers", "parameters without edges"]
    costs = {"": head(*titles, "convolutions", "graph products", "by layers", "published")}
    for named, name in NAMES.items():
        config = load_config(name)
        model = build_model(config)
        title = f"{config.model_type[-2:]} {config.model_args.layer_type}"
        trained, without_edges = parameters(model)
        published = re.search(r"\((.*)\)", (FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))[1]
        configs += row(name, named, config.dataset, title, f"{trained:,}", published)
        if title not in costs:
            cost = count(model, data_shape(config))
            sizes = [" ".join(str(block[i]) for block in model.blocks) for i in (0, 2)]
            figures = cost["convolutions"], cost["graph products"], cost["convolutions"] + cost["rest"], PUBLISHED[title] * 1e9
            costs[title] = row(title, *sizes, f"{without_edges:,}", *(f"{n / 1e9:.2f}" for n in figures))
    return {"configurations": configs, "costs": "".join(costs.values())}


TABLES = {"configuration": settings, "model_zoo": networks}


def page(name):
    """The text of docs/NAME.md with new tables."""
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    for mark, table in TABLES[name]().items():
        start = text.index("\n", text.index(f"<!-- {mark} -->")) + 1
        text = text[:start] + table + text[text.index("<!-- end -->", start) :]
    return text


if __name__ == "__main__":
    for table in TABLES:
        (ROOT / "docs" / f"{table}.md").write_text(page(table), encoding="utf-8")
