"""Which setting a name may mean that is none: by its last part, by what other programs call it, by its letters."""

import difflib
from pathlib import Path

from .yaml_file import read_yaml

ALIASES = read_yaml(Path(__file__).with_name("aliases.yaml"))


def _keys(tree, unused, start=""):
    """Yield the dotted keys of a tree of dicts, and of its sections; not those in sections that are named in `unused`."""
    for key, value in tree.items():
        if key not in unused:
            yield start + key
            yield from _keys(value, unused, f"{start}{key}.") if isinstance(value, dict) else ()


def meant(name, values, defaults):
    """Dotted keys, at most three, that an unknown one of this last part may mean, among those that `values` uses."""
    data = "custom" if str(values["dataset"]).startswith("custom") else "ntu"
    choices = [key for section in ("dataset_args", "optimizer_args", "scheduler_args") for key in defaults[section]]
    unused = [key for key in choices if key not in (data, values["optimizer"], values["lr_scheduler"])]
    keys = list(_keys(defaults, unused))
    name = ALIASES.get(name.lower(), name.lower())
    parts = [name, *difflib.get_close_matches(name, {key.rpartition(".")[2] for key in keys})]
    return next(filter(None, ([key for key in keys if key.rpartition(".")[2] == part] for part in parts)), [])[:3]
