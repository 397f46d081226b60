"""A skeleton layout of one's own, from a YAML file (docs/custom_data.md)."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from .yaml_file import Section, Text, find_yaml, read_yaml

FOLDER = Path(__file__).parents[1] / "configs" / "graphs"


class Skeleton(Section):
    """A skeleton layout in names of joints; a joint that `parents` leaves out starts no bone."""

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


def read_skeleton(name):
    """The dict in a skeleton's file, given by its path or its name in configs/graphs; what is no text stays as it is.

    Where the file has no bones, they are those from each joint to its parent.
    """
    if not isinstance(name, str):
        return name
    path = find_yaml(name, FOLDER)
    layout = {"name": path.stem, **read_yaml(path)}
    if isinstance(layout.get("parents"), dict):
        layout.setdefault("bones", [[parent, joint] for joint, parent in layout["parents"].items()])
    return layout
