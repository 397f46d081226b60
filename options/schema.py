"""Types of every setting, and the one way to a configuration: defaults, then a YAML file, then the command line."""

import difflib
import itertools
import re
from functools import reduce
from pathlib import Path
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, create_model, model_validator

from utils.errors import UserError, printable

from .yaml_file import Count, FilePath, Positive, Section, Text, find_yaml, parse_yaml, read_yaml

FOLDER = Path(__file__).parents[1] / "configs"
DATASETS = ("ntu-xsub", "ntu-xview", "ntu-xsub120", "ntu-xset120")
FAMILY = itertools.product(("", "_sep"), (0, 2, 4), DATASETS)  # the order in which the paper's code counts its configurations
NAMES = {f"b{size}{layer}_{dataset[4:]}": str(2001 + n) for n, (layer, size, dataset) in enumerate(FAMILY)}  # b0_xsub: 2001


def _is_dataset(name):
    if name not in DATASETS and not re.fullmatch(r"custom-[A-Za-z0-9_-]+", name):
        raise ValueError(f"must be {', '.join(DATASETS)} or custom-NAME")
    return name


class Skeleton(Section):
    """A skeleton layout in names of joints (docs/custom_data.md); a joint that `parents` leaves out starts no bone."""

    name: Text
    joints: Annotated[list[Text], Field(min_length=2, max_length=1000)]
    bones: list[Annotated[list[Text], Field(min_length=2, max_length=2)]]
    parents: dict[Text, Text]
    parts: Annotated[dict[Text, list[Text]], Field(min_length=1)]
    centre: Text

    @model_validator(mode="after")
    def _names_fit(self):
        ends = [joint for bone in self.bones for joint in bone]
        members = [joint for part in self.parts.values() for joint in part]
        named = {*ends, *self.parents, *self.parents.values(), *members, self.centre}
        if unknown := sorted(named - set(self.joints)):
            raise ValueError(f"{unknown[0]!r} is not among the joints")
        for what, names in (("joints", self.joints), ("parts", members)):
            if twice := [name for name in self.joints if names.count(name) > 1]:
                raise ValueError(f"{twice[0]!r} stands twice in {what}")
        if missing := [joint for joint in self.joints if joint not in members]:
            raise ValueError(f"{missing[0]!r} belongs to no part")
        return self


def _skeleton(name):
    """The dict in a skeleton's file, given by its path or its name in configs/graphs; what is no text stays as it is.

    Where the file has no bones, they are those from each joint to its parent.
    """
    if not isinstance(name, str):
        return name
    path = find_yaml(name, FOLDER / "graphs")
    layout = {"name": path.stem, **read_yaml(path)}
    if isinstance(layout.get("parents"), dict):
        layout.setdefault("bones", [[parent, joint] for joint, parent in layout["parents"].items()])
    return layout


class Block(NamedTuple):
    channels: Annotated[int, Field(gt=0, le=4096)]
    stride: Literal[1, 2, 3, 4]
    depth: Annotated[float, Field(ge=0, le=100)]


def _block(row):
    if not isinstance(row, list) or len(row) != 3:
        raise ValueError("a row is [channels, stride, depth]")
    return dict(zip(Block._fields, row, strict=True))


TYPES = {  # of settings that are neither switches, numbers, choices nor paths
    "gpus": list[Count],
    "dataset": Annotated[str, AfterValidator(_is_dataset)],
    "graph": Annotated[Skeleton | None, BeforeValidator(_skeleton)],
    "model_type": Literal[tuple(f"EfficientGCN-B{digit}" for digit in range(10))],
    "block_args": Annotated[list[Annotated[Block, BeforeValidator(_block)]], Field(min_length=1, max_length=32)],
    "kernel_size": Annotated[list[Count], Field(min_length=2, max_length=2)],
    "scale_args": Annotated[list[Annotated[float, Field(gt=0, le=4)]], Field(min_length=2, max_length=2)],
    "step_lr": list[Positive],
    "names": Annotated[list[Text], BeforeValidator(lambda names: [names] if isinstance(names, str) else names)],
}


class NtuArgs(Section):
    """A sample is (num_channel, T, joints of graph, num_person)."""

    graph: ClassVar[None] = None
    num_channel: ClassVar[int] = 3
    num_person: ClassVar[int] = 2


class CustomArgs(Section):
    transform: ClassVar[bool] = False


class ModelArgs(Section):
    @model_validator(mode="after")
    def _sizes_fit(self):
        window, distance = self.kernel_size
        if window % 2 == 0 or window > 99 or distance > 10:
            raise ValueError("kernel_size: the temporal window must be odd and under 100, the graph distance at most 10")
        if self.fusion_stage >= len(self.block_args):
            raise ValueError(f"fusion_stage: must be below the number of blocks ({len(self.block_args)})")
        return self


class WholeConfig(Section):
    """A whole configuration; attributes carry the dotted keys of the YAML files."""

    config: Text

    @property
    def data(self):
        return self.dataset_args.ntu if self.dataset in DATASETS else self.dataset_args.custom

    @property
    def schedule(self):
        return getattr(self.scheduler_args, self.lr_scheduler)

    @model_validator(mode="after")
    def _one_job(self):
        jobs = [key for key in ("generate_data", "check", "evaluate", "extract", "visualize", "resume") if getattr(self, key)]
        if len(jobs) > 1:
            raise ValueError(f"{' and --'.join(jobs)}: one at a time")
        if (self.evaluate or self.extract or self.visualize) and self.pretrained_path is None:
            raise ValueError(f"{jobs[0]}: needs a checkpoint; add -pp best or -pp FILE")
        if (self.report or self.save_figures) and not (self.evaluate or self.visualize):
            raise ValueError(f"{'report' if self.report else 'save_figures'}: goes with -e or -v, which score a checkpoint")
        if self.dataset not in DATASETS and (self.generate_data or self.check):
            raise ValueError(f"{jobs[0]}: is for NTU RGB+D; {self.dataset} is made by tools/import_data.py")
        if self.dataset not in DATASETS and self.data.class_names is None:
            raise ValueError(f"dataset_args.custom.class_names: must name a text file, as dataset is {self.dataset}")
        return self

    def plain(self):
        """The configuration as dicts and lists, to be written to YAML and read back."""
        return self.model_dump(mode="json")


BASES = {"Config": WholeConfig, "ntu": NtuArgs, "custom": CustomArgs, "model_args": ModelArgs}


def _type(section, key, default):
    """The type of a setting: that of its default, within what ranges.yaml lets through."""
    rule = RANGES.get(f"{section}.{key}", RANGES.get(key, {}))
    if key in TYPES or isinstance(default, dict):
        return TYPES.get(key) or _section(key, default)
    if isinstance(rule, list):
        choices = Literal[tuple(choice for choice in rule if choice is not None)]
        return choices | None if None in rule else choices
    if isinstance(default, bool):
        return bool
    if default is None or isinstance(default, str):
        return FilePath if default else FilePath | None
    return Annotated[float if any(isinstance(limit, float) for limit in rule.values()) else int, Field(**rule)]


def _section(name, defaults):
    """The class of a section with these defaults {key: value}."""
    fields = {key: (_type(name, key, default), ...) for key, default in defaults.items()}
    return create_model(name, __base__=BASES.get(name, Section), **fields)


DEFAULTS = read_yaml(FOLDER / "defaults.yaml")
RANGES, ALIASES = (read_yaml(Path(__file__).with_name(f"{name}.yaml")) for name in ("ranges", "aliases"))
Config = _section("Config", DEFAULTS)


def changed_settings(old, new, key=""):
    """Yield `key: old -> new` for each of the settings, nested dicts, that differs; left out are those that change no result."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in old | new:
            yield from changed_settings(old.get(name), new.get(name), f"{key}.{name}" if key else name)
    elif old != new and key != "no_progress_bar":
        yield f"{key}: {old} -> {new}"


def _merge(base, changes):
    if not (isinstance(base, dict) and isinstance(changes, dict)):
        return changes
    return base | {key: _merge(base.get(key), value) for key, value in changes.items()}


def _keys(tree, unused, start=""):
    """Yield the dotted keys of a tree of dicts, and of its sections; not those in sections that are named in `unused`."""
    for key, value in tree.items():
        if key not in unused:
            yield start + key
            yield from _keys(value, unused, f"{start}{key}.") if isinstance(value, dict) else ()


def _meant(name, values):
    """Dotted keys, at most three, that an unknown one of this last part may mean, among those that `values` uses.

    Found by the last part, by what other programs call it, by its letters.
    """
    data = "custom" if str(values["dataset"]).startswith("custom") else "ntu"
    choices = [key for section in ("dataset_args", "optimizer_args", "scheduler_args") for key in DEFAULTS[section]]
    unused = [key for key in choices if key not in (data, values["optimizer"], values["lr_scheduler"])]
    keys = list(_keys(DEFAULTS, unused))
    name = ALIASES.get(name.lower(), name.lower())
    parts = [name, *difflib.get_close_matches(name, {key.rpartition(".")[2] for key in keys})]
    return next(filter(None, ([key for key in keys if key.rpartition(".")[2] == part] for part in parts)), [])[:3]


def _explain(error, values, given, path):
    """One line for the first thing that is wrong: key, value, what is allowed or meant; keys not `given` are of file `path`."""
    first = error.errors()[0]
    parts = [printable(str(part)) for part in first["loc"]]
    key, value, message = ".".join(parts), first["input"], first["msg"].removeprefix("Value error, ")
    typed = (key or message).startswith(given) or any(name.startswith(f"{key}.") for name in given)
    hidden = isinstance(value, dict) or (isinstance(value, int) and value.bit_length() > 999)
    if first["type"] == "extra_forbidden":
        near = " or ".join("--" * typed + name for name in _meant(parts[-1], values))
        message, hidden = f"no such key; {f'did you mean {near}?' if near else 'docs/configuration.md lists all'}", True
    place = f"{key}{'' if hidden else f' {value!r:.60}'}: " if key else ""
    return f"{'--' if typed else f'{path}: '}{place}{message[0].lower()}{message[1:]}"


def load_config(name, overrides=()):
    """The configuration NAME (an id in configs/, one of NAMES, a path) with `overrides` [(dotted key, value or YAML text)].

    Raises UserError, one line, on an unknown file or key (with near matches), a wrong type or a value out of range.
    """
    try:
        path = find_yaml(NAMES.get(name, name), FOLDER, NAMES)
    except ValueError as error:
        raise UserError(f"--config {name}: {error}") from error
    values = _merge(DEFAULTS, read_yaml(path))
    for dotted, value in overrides:
        parsed = parse_yaml(value, f"--{dotted}") if isinstance(value, str) else value
        values = _merge(values, reduce(lambda inner, key: {key: inner}, reversed(dotted.split(".")), parsed))
    values |= {"config": path.stem}
    try:
        return Config(**{str(key): value for key, value in values.items()})
    except ValidationError as error:
        raise UserError(_explain(error, values, tuple(dotted for dotted, _ in overrides), path)) from error
