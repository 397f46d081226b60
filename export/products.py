"""The form for Paddle Inference: matrix products in the place of convolutions.

Paddle's CPU kernels of convolutions copy each window of one sample at a time, and those of depthwise ones run on one thread,
channel by channel; a product takes the tensors as they lie. Other operations run on one thread, so there are as few as
possible. Tensors are (N*M, C, V, T), frames innermost.
"""

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from model.attentions import SpatioTemporalJointAttention
from model.layers import average

from .folded import DeployedGCN, affine, constant, convolution, graph_constants, offset

TILE = 16  # frames that a product in the place of a depthwise convolution takes at a time


class ProductGCN(DeployedGCN):
    """See DeployedGCN."""

    def make_conv(self, weight, stride, groups):
        """A layer equal to `convolution` of the array `weight` (C', C / groups, window): products, where these serve."""
        out_channels, in_channels, window = weight.shape
        if in_channels == 1 and out_channels == groups and window <= TILE and stride <= TILE:
            return BandProducts(weight[:, 0], stride)
        if groups == 1 and stride <= TILE:
            return TapProducts(weight, stride)
        return convolution(weight, stride, groups)

    def graph_layer(self, layer):
        return ProductGraphLayer(layer)

    def attention_layer(self, layer):
        stja = isinstance(layer.att, SpatioTemporalJointAttention)
        return (ProductSTJoint if stja else ProductAttention)(layer)

    def arrange(self, x):
        """(N, I, C, T, V, M) -> (I, N*M, C, V, T)."""
        I, C, T, V = x.shape[1:5]
        return x.transpose([1, 0, 5, 2, 4, 3]).reshape([I, -1, C, V, T])

    def pool(self, x, M):
        """(N*M, C, V, T) -> means over bodies, joints and frames (N, C)."""
        C, V, T = x.shape[1:]
        x = paddle.matmul(x.reshape([-1, C, V * T]), average(V * T)).reshape([-1, M, C])
        return paddle.matmul(x, average(M), transpose_x=True).flatten(1)


# ---------------------------------------------------------------- convolutions over time, (N, C, V, T) -> (N, C', V, T')


def padded(x, *frames):
    """x with that many zeros before its first frame and after its last one; F.pad takes ten times as long."""
    before, after = ([paddle.zeros([*x.shape[:3], n])] if n else [] for n in frames)
    return paddle.concat([*before, x, *after], axis=3) if before or after else x


class TapProducts(nn.Layer):
    """The sum over the taps of `weight` (C', C, window): of each one product with the shifted frames, every `stride`th."""

    bias = None  # asked for as a Conv2D's is

    def __init__(self, weight, stride):
        super().__init__()
        self.window = weight.shape[2]
        self.pick = BandProducts(np.ones((weight.shape[1], 1)), stride) if stride > 1 else nn.Identity()
        for tap in range(self.window):
            constant(self, f"tap_{tap}", weight[:, :, tap])

    def forward(self, x):
        T, half = x.shape[3], self.window // 2
        y = self._product(half, x)
        x = padded(x, half, half)
        for tap in range(self.window):
            if tap != half:
                y = y + self._product(tap, x[:, :, :, tap : tap + T])
        return y

    def _product(self, tap, x):
        x = self.pick(x)
        y = paddle.matmul(getattr(self, f"tap_{tap}"), x.flatten(2))
        return y.reshape([-1, y.shape[1], *x.shape[2:]])


class BandProducts(nn.Layer):
    """A depthwise convolution: per channel, tiles of frames times the band matrix that holds the `weight` (C, window).

    What outputs of a tile take from the next tile is a second product, with what of the band reaches over there.
    """

    bias = None  # asked for as a Conv2D's is

    def __init__(self, weight, stride):
        super().__init__()
        self.tile, self.stride, self.half = TILE // stride * stride, stride, weight.shape[1] // 2
        band = np.zeros((len(weight), 2 * self.tile, self.tile // stride))
        for frame in range(band.shape[2]):
            band[:, frame * stride : frame * stride + weight.shape[1], frame] = weight
        constant(self, "band", band[:, : self.tile])
        self.over = weight.shape[1] > 1
        if self.over:
            constant(self, "rest", band[:, self.tile :])

    def forward(self, x):
        C, V, T = x.shape[1:]
        tiles = -(-T // self.tile)
        shape = [-1, C, V * tiles, self.tile]
        x = padded(x, self.half, (tiles + self.over) * self.tile - T - self.half)
        if self.over:
            here, there = x[:, :, :, : -self.tile], x[:, :, :, self.tile :]
            y = paddle.matmul(here.reshape(shape), self.band) + paddle.matmul(there.reshape(shape), self.rest)
        else:
            y = paddle.matmul(x.reshape(shape), self.band)
        y, frames = y.reshape([-1, C, V, tiles * self.tile // self.stride]), -(-T // self.stride)
        return y if y.shape[3] == frames else y[:, :, :, :frames]


# ---------------------------------------------------------------- layers over joints, (N, C, V, T) -> (N, C', V, T)


class ProductGraphLayer(nn.Layer):
    """A SpatialGraphLayer: one product over channels, one over joints. The residual is one more hop, from each joint to itself.

    Joints come first where that leaves less to sum: C < C'.
    """

    def __init__(self, layer):
        super().__init__()
        A, weight, residual, shift = graph_constants(layer)
        V = A.shape[1]
        A, weight = np.concatenate([A, np.eye(V)[None]]), np.concatenate([weight, residual[None]])
        K, out_channels, in_channels = weight.shape
        self.hops, self.channels, self.joints_first, self.act = K, out_channels, in_channels < out_channels, layer.act
        if self.joints_first:
            constant(self, "A", A.transpose(0, 2, 1).reshape(K * V, V))
            constant(self, "weight", weight.transpose(1, 2, 0).reshape(out_channels, -1))  # columns: channel, then hop
        else:
            constant(self, "A", A.transpose(2, 0, 1).reshape(V, K * V))
            constant(self, "weight", weight.transpose(1, 0, 2).reshape(-1, in_channels))  # rows: channel, then hop
        self.offset = offset(shift.T)  # (C', V)

    def forward(self, x):
        C, V, T = x.shape[1:]
        if self.joints_first:
            x = paddle.matmul(self.weight, paddle.matmul(self.A, x).reshape([-1, C * self.hops, V * T]))
        else:
            x = paddle.matmul(self.A, paddle.matmul(self.weight, x.flatten(2)).reshape([-1, self.channels, self.hops * V, T]))
        return self.act(self.offset(x.reshape([-1, self.channels * V, 1, T]))).reshape([-1, self.channels, V, T])


class ProductAttention(nn.Layer):
    """An AttentionLayer. It shows the attention its tensor in the form that it knows."""

    def __init__(self, layer):
        super().__init__()
        self.att, self.bn, self.act = layer.att, layer.bn, layer.act

    def forward(self, x):
        return self.act(self.bn(x * self.att(x.transpose([0, 1, 3, 2])).transpose([0, 1, 3, 2])) + x)


class ProductSTJoint(nn.Layer):
    """The same for ST-Joint: batch norm and the residual's 1 are part of the outer product of frames and joints."""

    def __init__(self, layer):
        super().__init__()
        self.att, self.act = layer.att, layer.act
        scale, shift = affine(layer.bn)
        constant(self, "scale", scale[:, None, None])
        self.offset = offset(shift)

    def forward(self, x):
        V, T = x.shape[2:]
        over_joints = paddle.matmul(average(V).t(), x)  # (N*M, C, 1, T)
        over_time = paddle.matmul(x, average(T)).transpose([0, 1, 3, 2])  # (N*M, C, 1, V)
        squeezed = F.hardswish(self.att.fcn(paddle.concat([over_joints, over_time], axis=3)))
        frames, joints = paddle.split(squeezed, [T, V], axis=3)
        frames = F.sigmoid(self.att.conv_t(frames))
        joints = F.sigmoid(self.att.conv_v(joints)).transpose([0, 1, 3, 2]) * self.scale  # (N*M, C, V, 1)
        frames = paddle.concat([frames, paddle.ones(frames.shape)], axis=2)
        joints = paddle.concat([joints, paddle.ones(joints.shape)], axis=3)
        return self.act(self.offset(x * paddle.matmul(joints, frames)))
