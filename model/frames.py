"""Frames that need no work: of a recording that has ended, one frame stands for all that follow.

After the last recorded frame the features of a body are constant in time. Every layer looks at the frames near its own, up to the
network's `reach`, or at all frames by a mean or a maximum. So every layer's output is constant too, between `reach` frames after
the recording's end and `reach` frames before the last frame. Of this stretch one frame is computed, and counts as often as there
are frames left out: in means over time, and in training in the statistics of batch norm. Maxima need nothing. The result is that
of all frames, but for rounding. The condition is that the features are constant from the recording's end on; where they are not,
the recording ends with its last frame and all frames are computed.
"""

import math

import paddle
from paddle import nn

from .layers import average, on_cpu


class Frames:
    """Which frames a network computes, and what each counts; shared by its layers. As made: all frames, all alike."""

    def __init__(self):
        self.reach, self.strides = 0, [1]
        self.stand_ins, self.weights = {}, {}

    def follow(self, streams):
        """Take reach and strides from the convolutions over time of `streams`, which a feature passes one after the other."""
        for stream in streams:
            for name, layer in stream.named_sublayers():
                if isinstance(layer, nn.Conv2D) and "residual" not in name.split("."):
                    self.reach += layer._kernel_size[0] // 2 * self.strides[-1]
                    self.strides.append(self.strides[-1] * layer._stride[0])
        self.strides = sorted(set(self.strides))

    def needed(self, end, total, step=1):
        """How many of `total` frames to compute of recordings that end before frame `end` (0: nobody is there).

        So many that one is out of reach of both ends at each stride. What is left out is a multiple of `step` and of the strides'
        product, so that strides meet the same frames as in `total`.
        """
        least = end + 2 * self.reach + self.strides[-1] + 1
        step = math.lcm(step, self.strides[-1])
        return total - max(total - least, 0) // step * step

    def leave_out(self, computed, total):
        """Take the last constant frame that is out of reach of the end as standing for `total` - `computed` frames."""
        self.stand_ins, self.weights = {}, {}
        for stride in self.strides if computed < total else ():
            frames, left_out = -(-computed // stride), (total - computed) // stride
            stand_in = (computed - self.reach - 1) // stride
            counts = paddle.ones([frames, 1], "float64")
            counts[stand_in] = 1.0 + left_out
            self.stand_ins[frames] = stand_in, left_out
            self.weights[stride] = counts / (frames + left_out)

    def mean(self, x, stride):
        """(N*M, C, T, V) -> (N*M, C, V, 1): the mean over all frames of a recording, those left out as well: see above.

        On a GPU by reductions, which add up in float32 in mixed precision too. Exported programs have weights only.
        """
        T, weights, (stand_in, left_out) = x.shape[2], self.weights.get(stride), self.stand_ins.get(x.shape[2], (0, 0))
        if on_cpu() or (weights is not None and not left_out):
            return weighted_mean(x, average(T, x.dtype) if weights is None else weights)
        mean, total = x.mean(2), T + left_out
        if left_out:
            mean = mean * (T / total) + x[:, :, stand_in] * (left_out / total)
        return mean.unsqueeze(3)


def weighted_mean(x, weights):
    """(N*M, C, T, V) -> (N*M, C, V, 1): the sum over frames times `weights` (T, 1), which add up to 1."""
    return paddle.matmul(x, weights.astype(x.dtype), transpose_x=True)  # runs on all threads of a CPU, a reduction on one
