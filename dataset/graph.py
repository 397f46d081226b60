"""The skeleton as a graph: joints, bones, parents, parts, hop distances. Joints count from 0 here, from 1 in NTU's documents."""

from dataclasses import dataclass, field

import numpy as np

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

    def adjacency(self, max_distance=MAX_HOP):
        """(max_distance + 1, V, V) float64: slice d has the pairs d hops apart.

        All pairs within MAX_HOP hops are neighbours; each column is divided by its sum over all of them, so that the
        slices of a column add up to 1 (EfficientGCN, section 3.2).
        """
        distance = self.hop_distance()
        near = (distance <= MAX_HOP).astype(float)
        near /= near.sum(0, keepdims=True)
        return np.stack([np.where(distance == d, near, 0) for d in range(max_distance + 1)])


_BONES = """1-2 2-21 3-21 4-3 5-21 6-5 7-6 8-7 9-21 10-9 11-10 12-11 13-1 14-13 15-14 16-15 17-1 18-17 19-18 20-19 22-23 23-8
    24-25 25-12"""  # counted from 1, as in the data set's documents
_JOINTS = """spine base, spine mid, neck, head, left shoulder, left elbow, left wrist, left hand, right shoulder, right elbow,
    right wrist, right hand, left hip, left knee, left ankle, left foot, right hip, right knee, right ankle, right foot,
    spine shoulder, left hand tip, left thumb, right hand tip, right thumb"""

NTU = Graph(
    name="ntu",
    bones=tuple(tuple(int(joint) - 1 for joint in bone.split("-")) for bone in _BONES.split()),
    parents=tuple(j - 1 for j in (2, 2, 21, 3, 21, 5, 6, 7, 21, 9, 10, 11, 1, 13, 14, 15, 1, 17, 18, 19, 2, 23, 8, 25, 12)),
    parts={
        "left arm": (4, 5, 6, 7, 21, 22),
        "right arm": (8, 9, 10, 11, 23, 24),
        "left leg": (12, 13, 14, 15),
        "right leg": (16, 17, 18, 19),
        "torso": (0, 1, 2, 3, 20),
    },
    centre=1,
    joint_names=tuple(" ".join(name.split()) for name in _JOINTS.split(",")),
)
