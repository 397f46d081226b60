"""YAML texts and files, read safely and strictly, and types of what stands in them."""

import difflib
import os
import re
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from utils.errors import UserError
from utils.files import read_text


class _Loader(yaml.SafeLoader):
    """Safe YAML that reads 1e-4 as a number, as YAML 1.2 does, and refuses a key given twice and aliases.

    A few lines of aliases can stand for more values than memory holds.
    """

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not taken", self.peek_event().start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in set(keys):
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789"))


def find_yaml(name, folder, more=()):
    """The YAML file of this path, or of this name in a folder; raises ValueError, with near ones (of `more` too) of no file."""
    path = Path(name).expanduser() if Path(name).suffix in (".yaml", ".yml") else folder / f"{name}.yaml"
    if path.is_file() and path.stem != "defaults":
        return path
    known = sorted({*(file.stem for file in folder.glob("*.yaml")), *more} - {"defaults"})
    near = difflib.get_close_matches(str(name), known)
    raise ValueError(f"no file {path}; {'near' if near else 'there are'}: {', '.join(near or [*known[:6], '...'])}")


def parse_yaml(text, source):
    """Value of a YAML text; raises UserError naming `source` where it is not YAML."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        reason = " ".join(str(getattr(error, "problem", None) or error).split())
        raise UserError(f"{source}{place}: not valid YAML ({reason})") from error


def read_yaml(path):
    """Keys and values of a YAML file, {} where it is empty; raises UserError where it is anything else."""
    values = parse_yaml(read_text(path), path)
    if values is not None and not isinstance(values, dict):
        raise UserError(f"{path}: must hold keys and values, like configs/2001.yaml")
    return values or {}


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def _as_text(value):
    if isinstance(value, str) and not (value.isprintable() and len(value) < 1000):
        raise ValueError("must be a text of one line")
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**999 else value


Text = Annotated[str, BeforeValidator(_as_text), Field(min_length=1)]
FilePath = Annotated[Text, AfterValidator(os.path.expanduser)]
Positive = Annotated[int, Field(gt=0, le=2**31 - 1)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
