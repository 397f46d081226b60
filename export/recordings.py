"""How a program begins: where recordings end, which frames are computed and what each counts, the features of these frames."""

import math

import paddle
import paddle.nn.functional as F
from paddle import nn


class Beginning(nn.Layer):
    """What model/frames.py and dataset/features.py do, in operations that a program holds.

    `frames`: those of the program's layers, whose weights are set; all recordings of a batch are cut where the longest needs it,
    to `total` frames less a multiple of `step`.
    """

    def __init__(self, frames, total, step):
        super().__init__()
        self.frames, self.total = frames, total
        self.step = math.lcm(step, frames.strides[-1])
        self.register_buffer("numbers", paddle.arange(total))

    def cut(self, x, seen, axis):
        """x to the frames that are computed; `seen` (total,): above 0 in frames of the recording."""
        total, reach = self.total, self.frames.reach
        end = ((self.numbers + 1) * (seen > 0).astype("int64")).max()
        least = end + 2 * reach + self.frames.strides[-1] + 1
        computed = total - F.relu((total - least).astype("float32")).astype("int64") // self.step * self.step
        for stride in self.frames.strides:
            numbers, frames = self.numbers[: -(-total // stride)], -(-total // stride)
            counts = 1 + (numbers == (computed - reach - 1) // stride).astype("int64") * ((total - computed) // stride)
            weights = counts.astype("float32").reshape([-1, 1]) / frames
            self.frames.weights[stride] = weights[: (computed + stride - 1) // stride]
        return paddle.slice(x, [axis], [0], [computed])


class FeaturesIn(Beginning):
    """x (N, I, C, T, V, M), features of `total` frames -> [(N, C, T', V, M) of each branch]."""

    def forward(self, x):
        changes = (x - x[:, :, :, -1:]).abs().max(axis=[0, 1, 2, 4, 5])
        x = self.cut(x, changes, axis=3)
        return [x[:, i] for i in range(x.shape[1])]


class CoordinatesIn(Beginning):
    """x (N, C, T, V, M), coordinates in metres of at most `total` frames -> [(N, 2C, T', V, M) of each branch of `inputs`]."""

    def __init__(self, frames, total, step, graph, inputs):
        super().__init__(frames, total, step)
        self.inputs, self.centre = inputs, graph.centre
        self.register_buffer("parents", paddle.to_tensor(graph.parents, "int64"))

    def forward(self, x):
        nothing = paddle.zeros_like(x[:, :, :1]).expand([-1, -1, self.total, -1, -1])  # paddle2onnx's Pad has no defined value
        x = paddle.concat([x, nothing], axis=2)[:, :, : self.total]
        x = self.cut(x, x.abs().max(axis=[0, 1, 3, 4]), axis=2)
        return [getattr(self, name)(x) for name in "JVB" if name in self.inputs]

    def J(self, x):  # noqa: N802 (the branches' names)
        return paddle.concat([x, x - x[:, :, :, self.centre : self.centre + 1]], axis=1)

    def V(self, x):  # noqa: N802
        start, rest = x[:, :, :-2], 0 * x[:, :, -2:]
        steps = [paddle.concat([x[:, :, 1:-1] - start, rest], axis=2), paddle.concat([x[:, :, 2:] - start, rest], axis=2)]
        return paddle.concat(steps, axis=1)

    def B(self, x):  # noqa: N802
        bone = x - paddle.index_select(x, self.parents, axis=3)
        length = paddle.sqrt((bone * bone).sum(1, keepdim=True)) + 1e-4
        return paddle.concat([bone, paddle.acos(bone / length)], axis=1)
