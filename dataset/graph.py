"""The skeleton as a graph: joints, bones, parents, parts, hop distances. Joints count from 0 here, from 1 in NTU's documents."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

MAX_HOP = 10


@dataclass(frozen=True)
class Graph:
    """A skeleton layout. `parents[v]` is the joint that v's bone starts from (itself: no bone); `bones` are undirected."""

    name: str
    bones: tuple
    parents: tuple
    parts: dict
    centre: int  # the joint that the J branch is relative to
    joint_names: tuple = field(default=(), compare=False)

    @classmethod
    def from_names(cls, name, joints, bones, parents, parts, centre):
        """A layout given in names of joints; `joints` are in the order of the data."""
        number = {joint: v for v, joint in enumerate(joints)}
        return cls(
            name,
            tuple((number[a], number[b]) for a, b in bones),
            tuple(number[parents.get(joint, joint)] for joint in joints),
            {part: tuple(number[joint] for joint in members) for part, members in parts.items()},
            number[centre],
            tuple(joints),
        )

    @property
    def num_joints(self):
        return len(self.parents)

    @property
    def part_of_joint(self):
        """(V,) int64: the number of the part that each joint belongs to, parts counted in their order."""
        table = np.zeros(self.num_joints, "int64")
        for number, joints in enumerate(self.parts.values()):
            table[list(joints)] = number
        return table

    def hop_distance(self):
        """(V, V) int: bones between each two joints; MAX_HOP + 1 where there are more, or no way at all."""
        linked = np.eye(self.num_joints, dtype=bool)
        for a, b in self.bones:
            linked[a, b] = linked[b, a] = True
        distance = np.full(linked.shape, MAX_HOP + 1)
        for hop in range(MAX_HOP, -1, -1):
            distance[np.linalg.matrix_power(linked, hop)] = hop
        return distance

    def adjacency(self, hops=MAX_HOP):
        """(hops + 1, V, V) float64: slice d has the pairs d hops apart.

        All pairs within `hops` are neighbours; each column is divided by its sum over all of them, so that the slices of a
        column add up to 1 (EfficientGCN, section 3.2).
        """
        distance = self.hop_distance()
        near = (distance <= hops).astype(float)
        near /= near.sum(0, keepdims=True)
        return np.stack([np.where(distance == d, near, 0) for d in range(hops + 1)])


_FILE = Path(__file__).parents[1] / "configs" / "graphs" / "ntu.yaml"
NTU = Graph.from_names("ntu", **yaml.safe_load(_FILE.read_text(encoding="utf-8")))
