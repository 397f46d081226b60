"""The record PREFIX.yaml beside an export: where it comes from, what its programs take, which engines run them rightly.

For each kind of program (paddle, onnx, triton) it lists the files with their sha256, and for each engine whether its logits
were equal to the live network's when it was exported.
"""

from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, ValidationError, model_validator

from dataset.features import branch_features
from dataset.graph import NTU
from options.yaml_file import Count, Positive, Section, Text, read_yaml
from utils.errors import UserError
from utils.files import sha256


class _Part(Section):
    model_config = ConfigDict(extra="ignore")  # a record tells people more than programs need


class JointTree(_Part):
    """What the features need of a skeleton: the centre joint, and each joint's parent."""

    name: Text
    centre: Count
    parents: list[Count]


class Preprocessing(_Part):
    """What is done to a recording before the network sees it."""

    inputs: Annotated[str, Field(pattern="^J?V?B?$", min_length=1)]
    num_frame: Positive
    transform: bool
    graph: JointTree
    num_person: Positive | None = None  # bodies of a sample, which a one-body program takes one by one

    def features(self, coordinates):
        """Input branches (N, I, 2C, T, V, M) of coordinates (N, C, T, V, M)."""
        return branch_features(coordinates, self.graph, self.inputs)


class Export(_Part):
    """A program: `input` is features (I, C, T, V, M) or coordinates (C, T, V, M), T free; `files` are {name: sha256}.

    `engines`: {name: {verified: whether its logits were equal to the live network's, ...}}.
    """

    input: Annotated[list[Positive], Field(min_length=4, max_length=5)]
    engines: dict[Text, dict]
    files: dict[Text, Text]


class Record(_Part):
    preprocessing: Preprocessing
    classes: list[Text]
    programs: dict[Text, Export]

    @model_validator(mode="after")
    def _fits(self):
        settings, graph = self.preprocessing, self.preprocessing.graph
        if max([graph.centre, *graph.parents]) >= len(graph.parents):
            raise ValueError("the graph names a joint that it lacks")
        for kind, entry in self.programs.items():
            *branches, _, T, V, _ = entry.input
            if branches not in ([], [len(settings.inputs)]) or [settings.num_frame, len(graph.parents)] != [T, V]:
                raise ValueError(f"the input of {kind} is not what the preprocessing makes")
        return self

    def entry(self, kind, path, params_file=None):
        """The Export of the program file `path`; raises UserError where a file of it is not the one that was recorded."""
        entry = self.programs.get(kind)
        if entry is None or path.name not in entry.files:
            raise UserError(f"{path}: not listed in {path.stem}.yaml beside it, so of another export; export again")
        for name, recorded in entry.files.items():
            file = Path(params_file) if params_file and name.endswith(".pdiparams") else path.parent / Path(name).name
            if not file.is_file() or sha256(file) != recorded:
                raise UserError(f"{file}: {'not the file' if file.is_file() else 'missing, one'} of this export; export again")
        return entry


def read_record(path):
    """A program's Record, None where it has none; raises UserError where it is damaged."""
    path = path.with_suffix(".yaml")
    try:
        return Record.model_validate(read_yaml(path)) if path.is_file() else None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise UserError(f"{path}: not a usable record ({place}: {first['msg'][:100]}); export again") from error


def preprocessing(inputs="JVB", num_frame=288, transform=False, graph=NTU, num_person=2):
    """The Preprocessing of these settings; the defaults are configuration 2001's."""
    tree = JointTree(name=graph.name, centre=graph.centre, parents=list(graph.parents))
    return Preprocessing(inputs=inputs, num_frame=num_frame, transform=transform, graph=tree, num_person=num_person)


def export_record(config, checkpoint, graph, classes):
    """The part of a record that is known before the export: source, preprocessing, names of the classes."""
    names = {"config": config.config, "dataset": config.dataset, "model": config.model_type}
    data = config.data
    settings = preprocessing(data.inputs, data.num_frame, data.transform, graph, data.num_person)
    return {
        "source": {"checkpoint": Path(checkpoint).name, "sha256": sha256(checkpoint), **names},
        "preprocessing": settings.model_dump(),
        "classes": classes,
    }
