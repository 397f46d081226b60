"""What the names and shapes of a network's weights tell of it: why a file does not fit, in a sentence."""

LAYERS = {"SG": "_tcn-0.depth_conv1.", "Sep": "_tcn-0.depth_conv.", "Bottleneck": "_tcn-0.reduct_conv.", "Basic": "_tcn-0.conv."}
ATTENTIONS = {"stja": "_att.att.conv_t.", "fa": "_att.att.conv.", "pa": "_att.att.joints"}


def traits(shapes):
    """{what: value} of weights {structured name: shape}, under the keys of the YAML files where there is one; None: not told."""

    def size(part):
        return next((shape[0] for name, shape in shapes.items() if part in name and shape), None)

    def kind(parts):
        return next((key for key, part in parts.items() if any(part in name for name in shapes)), None)

    one_branch = [name for name in shapes if name.startswith(("input_branches.0.", "main_stream."))]
    one_branch.sort(key=lambda name: ("main_stream." in name, "stem_" not in name, name))
    attention = kind(ATTENTIONS) or ("none" if kind({"att": "_att."}) is None else None)
    if attention is None and (rows := size("_att.att.fcn.4.weight")):  # tables of joints may be left out
        channels = size("_att.bn.weight") or 1
        attention = "ca" if rows == channels else "ja" if rows % channels else "pa"
    return {
        "layer_type": kind(LAYERS),
        "att_type": attention,
        "channels": [shapes[name][0] for name in one_branch if name.endswith("_scn.bn.weight") and shapes[name]],
        "temporal layers": len({name.split("_tcn-")[0] + name.split("_tcn-")[1][:1] for name in one_branch if "_tcn-" in name}),
        "input branches": sum(name.startswith("input_branches.") and name.endswith(".init_bn.weight") for name in shapes),
        "values of a joint": size(".init_bn.weight"),
        "joints": next((shape[-1] for name, shape in shapes.items() if name.endswith((".A", ".edge")) and shape), None),
        "classes": size("classifier.fc.weight"),
    }


def say_misfit(theirs, ours):
    """The differences of two such dicts of shapes as text: `it has layer_type SG, needed Sep`; empty where they tell none."""
    mine, other = traits(ours), traits(theirs)
    differ = [f"{what} {other[what]}, needed {mine[what]}" for what in mine if other[what] not in (None, 0, [], mine[what])]
    hint = "; --new_head takes all but the classifier" if [text[:7] for text in differ] == ["classes"] else ""
    return "it has " + ", ".join(differ) + hint if differ else ""
