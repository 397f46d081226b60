"""The form for Paddle Inference: matrix products in the place of convolutions.

Paddle's CPU kernels of convolutions copy each window of one sample at a time, and those of depthwise ones run on one thread,
channel by channel; a product takes the tensors as they lie. Other operations run on one thread, so there are as few as
possible. Tensors are (N*M, C, V, T), frames innermost.
"""

import math

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from model.layers import average

from .folded import FoldedAttention, FoldedGCN, affine, constant, convolution, graph_constants, offset

TILE = 12  # frames that a product in the place of a depthwise convolution takes at a time


# ---------------------------------------------------------------- convolutions over time, (N, C, V, T) -> (N, C', V, T')


def padded(x, *frames):
    """x with that many zeros before its first frame and after its last one; F.pad takes ten times as long."""
    before, after = ([paddle.zeros_like(x[:, :, :, :1]).expand([-1, -1, -1, n])] if n else [] for n in frames)
    return paddle.concat([*before, x, *after], axis=3) if before or after else x


class TapProducts(nn.Layer):
    """The sum over the taps of `weight` (C', C, window): of each one product with the shifted frames, every `stride`th."""

    bias = None  # asked for as a Conv2D's is

    def __init__(self, weight, stride, frames):
        super().__init__()
        self.window = weight.shape[2]
        self.pick = BandProducts(np.ones((weight.shape[1], 1)), stride, frames) if stride > 1 else nn.Identity()
        for tap in range(self.window):
            constant(self, f"tap_{tap}", weight[:, :, tap])

    def forward(self, x):
        half = self.window // 2
        y = self._product(half, x)
        x = padded(x, half, half)
        for tap in range(self.window):
            if tap != half:
                y = y + self._product(tap, x[:, :, :, tap : (tap - 2 * half) or None])
        return y

    def _product(self, tap, x):
        x = self.pick(x)
        y = paddle.matmul(getattr(self, f"tap_{tap}"), x.reshape([0, 0, -1]))
        return y.reshape([0, 0, x.shape[2], -1])


class BandProducts(nn.Layer):
    """A depthwise convolution: per channel, tiles of frames times the band matrix that holds the `weight` (C, window).

    What outputs of a tile take from the next tile is a second product, with what of the band reaches over there. The number of
    frames may be `frames` or that less a multiple of the tile.
    """

    bias = None  # asked for as a Conv2D's is

    def __init__(self, weight, stride, frames):
        super().__init__()
        self.tile, half = TILE // stride * stride, weight.shape[1] // 2
        missing = -frames % self.tile
        self.drop = (frames + missing) // stride - -(-frames // stride)
        band = np.zeros((len(weight), 2 * self.tile, self.tile // stride))
        for frame in range(band.shape[2]):
            band[:, frame * stride : frame * stride + weight.shape[1], frame] = weight
        constant(self, "band", band[:, : self.tile])
        self.over = weight.shape[1] > 1
        self.padding = half, missing + self.over * self.tile - half
        if self.over:
            constant(self, "rest", band[:, self.tile :])

    def forward(self, x):
        C, V = x.shape[1:3]
        shape = [0, C, -1, self.tile]
        x = padded(x, *self.padding)
        if self.over:
            here, there = x[:, :, :, : -self.tile], x[:, :, :, self.tile :]
            y = paddle.matmul(here.reshape(shape), self.band) + paddle.matmul(there.reshape(shape), self.rest)
        else:
            y = paddle.matmul(x.reshape(shape), self.band)
        y = y.reshape([0, C, V, -1])
        return y[:, :, :, : -self.drop] if self.drop else y


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
        C, V = x.shape[1:3]
        if self.joints_first:
            x = paddle.matmul(self.weight, paddle.matmul(self.A, x).reshape([0, C * self.hops, -1]))
        else:
            hops = paddle.matmul(self.weight, x.reshape([0, 0, -1])).reshape([0, self.channels, self.hops * V, -1])
            x = paddle.matmul(self.A, hops)
        return self.act(self.offset(x.reshape([0, self.channels * V, 1, -1]))).reshape([0, self.channels, V, -1])


class ProductAttention(FoldedAttention):
    """An AttentionLayer."""

    def forward(self, x):
        return self.act(self.bn(x * self.att(x.transpose([0, 1, 3, 2])).transpose([0, 1, 3, 2])) + x)


class ProductSTJoint(nn.Layer):
    """The same for ST-Joint: batch norm and the residual's 1 are part of the outer product of frames and joints."""

    def __init__(self, layer, num_joints):
        super().__init__()
        self.att, self.act, self.num_joints = layer.att, layer.act, num_joints
        scale, shift = affine(layer.bn)
        constant(self, "scale", scale[:, None, None])
        self.offset = offset(shift)

    def forward(self, x):
        V = self.num_joints
        over_joints = paddle.matmul(average(V).t(), x)  # (N*M, C, 1, T)
        weights = self.att.frames.weights[self.att.stride]
        over_time = paddle.matmul(x, weights).transpose([0, 1, 3, 2])  # (N*M, C, 1, V)
        squeezed = F.hardswish(self.att.fcn(paddle.concat([over_joints, over_time], axis=3)))
        frames, joints = squeezed[:, :, :, :-V], squeezed[:, :, :, -V:]
        frames = F.sigmoid(self.att.conv_t(frames))
        joints = F.sigmoid(self.att.conv_v(joints)).transpose([0, 1, 3, 2]) * self.scale  # (N*M, C, V, 1)
        frames = paddle.concat([frames, paddle.ones_like(frames)], axis=2)
        joints = paddle.concat([joints, paddle.ones_like(joints)], axis=3)
        return self.act(self.offset(x * paddle.matmul(joints, frames)))


# ---------------------------------------------------------------- the network


class ProductGCN(FoldedGCN):
    """See FoldedGCN."""

    GraphLayer, STJoint, Attention = ProductGraphLayer, ProductSTJoint, ProductAttention

    def make_conv(self, weight, stride, groups):
        """A layer equal to `convolution` of the array `weight` (C', C / groups, window): products, where these serve."""
        out_channels, in_channels, window = weight.shape
        tile, frames = TILE // stride * stride, -(-self.num_frame // self.stride)
        depthwise = in_channels == 1 and out_channels == groups and window <= TILE
        if stride > TILE or not (depthwise or groups == 1):
            return convolution(weight, stride, groups)
        if depthwise or stride > 1:
            self.frames_step = math.lcm(self.frames_step, tile * self.stride)
        return BandProducts(weight[:, 0], stride, frames) if depthwise else TapProducts(weight, stride, frames)

    def arrange(self, x):
        """(N, C, T, V, M) -> (N*M, C, V, T)."""
        C, _, V = x.shape[1:4]
        return x.transpose([0, 4, 1, 3, 2]).reshape([-1, 1, C, V, 0]).squeeze(1)

    def pool(self, x, weights):
        """(N*M, C, V, T) -> means over bodies, joints and, by `weights`, frames (N, C)."""
        M, C, V = self.num_bodies, *x.shape[1:3]
        x = paddle.matmul(x, weights).reshape([-1, C, V])
        x = paddle.matmul(x, average(V)).reshape([-1, M, C])
        return paddle.matmul(x, average(M), transpose_x=True).flatten(1)
