"""Writes the page on every setting, from schema and commented defaults: python tools/config_page.py docs/configuration.md"""

import os
import sys

if __name__ == "__main__":  # before the imports, so that a signal during them is one line too
    sys.path.insert(0, os.path.realpath(f"{__file__}/../.."))
    from utils.command import run_command

    sys.exit(run_command("tools.config_page"))

import argparse

import yaml

from options.command_line import make_parser
from options.schema import FOLDER, Config
from utils.files import replacing

PAGE = """# Configuration

Made from [defaults.yaml](../configs/defaults.yaml) and [schema.py](../options/schema.py) by
`python tools/config_page.py docs/configuration.md` (`make docs`).

A run's settings are the defaults, then the file that `-c` names, then the command line, where every key is an option:
`--scheduler_args.cosine.max_epoch 30` or `--dataset_args.ntu.train_batch_size=32`; a switch alone means true. An unknown key,
a wrong type or a value out of range ends the command with one line and exit code 2. The merged settings are kept in the run
folder as `config.yaml`.
{settings}
"""
WORDS = {"boolean": "true, false", "string": "text", "integer": "whole number"}
LIMITS = {
    "minimum": "from {:.15g}",
    "exclusiveMinimum": "above {:.15g}",
    "maximum": "to {:.15g}",
    "exclusiveMaximum": "below {:.15g}",
}


def allowed(part, parts):
    """The values that a part of a JSON schema lets through, in words; `parts` are those that it may refer to."""
    if "$ref" in part:
        return parts[part["$ref"].rsplit("/", 1)[1]]["title"].lower()
    if "anyOf" in part:
        return ", ".join(allowed(option, parts) for option in part["anyOf"])
    if "enum" in part:
        return ", ".join(map(str, part["enum"]))
    if part["type"] == "array":
        return f"list: {allowed(part['items'], parts)}"
    limits = [words.format(part[key]) for key, words in LIMITS.items() if part.get(key, 2**31 - 1) != 2**31 - 1]
    return " ".join([WORDS.get(part["type"], part["type"]), *limits])


def leaves(node, schema, parts, path=()):
    """Yield (dotted key, YAML node, part of the schema) of every setting in a node of the defaults."""
    for key, value in node.value:
        part = schema["properties"][key.value]
        if isinstance(value, yaml.MappingNode):
            yield from leaves(value, parts[part["$ref"].rsplit("/", 1)[1]], parts, (*path, key.value))
        else:
            yield ".".join((*path, key.value)), value, part


def page():
    """The text of docs/configuration.md."""
    text, schema = (FOLDER / "defaults.yaml").read_text(encoding="utf-8"), Config.model_json_schema()
    flags = {action.dest: action.option_strings[0] for action in make_parser()._actions if action.option_strings[0][1] != "-"}
    rows, title, lines = [], None, text.splitlines()
    for key, node, part in leaves(yaml.compose(text), schema, schema["$defs"]):
        start, end = node.start_mark, node.end_mark
        above = [line[2:] for line in lines[4 : start.line] if line.startswith("# ")]  # after the file's own header
        if title != (title := above[-1] if above else "The process"):
            rows.append(f"\n## {title}\n\n| key | | default | allowed | meaning |\n| --- | --- | --- | --- | --- |")
        meaning = lines[start.line].partition(" # ")[2]
        cells = f"`{key}`", flags.get(key, ""), f"`{text[start.index : end.index]}`", allowed(part, schema["$defs"]), meaning
        rows.append(f"| {' | '.join(cells)} |")
    return PAGE.format(settings="\n".join(rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", help="docs/configuration.md")
    with replacing(parser.parse_args().file) as temporary:
        temporary.write_text(page(), encoding="utf-8")
