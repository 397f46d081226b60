"""The form for ONNX Runtime: joint-major.

Tensors are (N*M, V, C, T) in memory, frames innermost. Convolutions over time see them as (N*M*V, C, 1, T), each joint a sample
of theirs; those with weights for each joint as (N*M, V*C, 1, T). The sum over neighbours is then one product with a constant
matrix from the left, without transposes.
"""

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from model.layers import average

from .folded import FoldedAttention, FoldedGCN, constant, convolution, graph_constants, offset


class JointMajorGraphLayer(nn.Layer):
    """A SpatialGraphLayer: (N*M*V, C, 1, T) -> (N*M*V, C', 1, T).

    What a joint takes from itself, hop 0 and the residual, is one convolution with weights of its own for each joint, which an
    engine makes when it loads a program: their parts are a quarter of the size. The other hops follow the paper, features first
    and then the sum over neighbours, or the other way round where that is less work.
    """

    def __init__(self, layer):
        super().__init__()
        A, weight, residual, shift = graph_constants(layer)
        V = A.shape[1]
        near, first = np.diagonal(A[0])[:, None, None].copy(), weight[0]
        A[0][np.diag_indices(V)] = 0  # nothing is left of hop 0 as a rule
        far = [k for k in range(len(A)) if A[k].any()]
        A, weight, (out_channels, in_channels) = A[far], weight[far], residual.shape
        self.num_joints, self.act = V, layer.act
        self.sizes = (in_channels, out_channels, len(far))
        self.aggregate_first = (len(far) + 1) * in_channels < len(far) * out_channels
        if self.aggregate_first:
            pad = np.zeros((out_channels, len(far) * in_channels))
            first, residual = np.concatenate([first, pad], 1), np.concatenate([residual, *weight], 1)
            A = np.concatenate([np.eye(V)[None], A]).transpose(2, 0, 1).reshape(-1, V)  # rows: joint, then hop
        else:
            A = A.transpose(2, 1, 0).reshape(V, -1)  # columns: neighbour, then hop
            constant(self, "weight", weight.reshape(-1, in_channels, 1, 1))
        for name, value in (("near", near), ("first", first), ("residual", residual)):
            constant(self, name, value)
        constant(self, "A", A)
        self.offset = offset(shift)

    def forward(self, x):
        V, (in_channels, out_channels, far) = self.num_joints, self.sizes
        x = x.reshape([-1, V * in_channels, 1, 0])
        if self.aggregate_first:
            x = paddle.matmul(self.A, x.reshape([0, V, -1])).reshape([0, V * (far + 1) * in_channels, 1, -1])
        own = (self.near * self.first + self.residual).reshape([V * out_channels, -1, 1, 1])
        y = self.offset(F.conv2d(x, own, groups=V))
        if far and not self.aggregate_first:
            hops = F.conv2d(x.reshape([-1, in_channels, 1, 0]), self.weight).reshape([-1, V * far * out_channels, 1, 0])
            y = y + paddle.matmul(self.A, hops.reshape([0, V * far, -1])).reshape([0, V * out_channels, 1, -1])
        return self.act(y.reshape([-1, out_channels, 1, 0]))


class JointMajorAttention(FoldedAttention):
    """An AttentionLayer: (N*M*V, C, 1, T) to the same."""

    def forward(self, x):
        C = x.shape[1]
        weighted = self.weigh(x.reshape([-1, self.num_joints, C, 0]))
        return self.act(self.bn(weighted.reshape([-1, C, 1, 0])) + x)

    def weigh(self, x):
        """x * attention, both (N*M, V, C, T)."""
        return x * self.att(x.transpose([0, 2, 3, 1])).transpose([0, 3, 1, 2])


class JointMajorSTJoint(JointMajorAttention):
    """The same for ST-Joint, its means and its outer product written for the joint-major form."""

    def weigh(self, x):
        V, C = x.shape[1:3]
        over_joints = paddle.matmul(average(V).t(), x.reshape([0, V, -1])).reshape([0, C, -1, 1])
        over_time = paddle.matmul(x, self.att.frames.weights[self.att.stride]).transpose([0, 2, 1, 3])  # (N*M, C, V, 1)
        squeezed = F.hardswish(self.att.fcn(paddle.concat([over_joints, over_time], axis=2)))
        frames, joints = squeezed[:, :, :-V], squeezed[:, :, -V:]
        frames = F.sigmoid(self.att.conv_t(frames)).reshape([0, 1, -1])
        frames = paddle.matmul(paddle.ones([V, 1]), frames)  # repeats them: broadcasting takes ten times as long
        return x * F.sigmoid(self.att.conv_v(joints)).transpose([0, 2, 1, 3]) * frames.reshape([0, V, C, -1])


class JointMajorGCN(FoldedGCN):
    """See FoldedGCN."""

    GraphLayer, STJoint, Attention = JointMajorGraphLayer, JointMajorSTJoint, JointMajorAttention
    make_conv = staticmethod(convolution)

    def arrange(self, x):
        """(N, C, T, V, M) -> (N*M*V, C, 1, T)."""
        return x.transpose([0, 4, 3, 1, 2]).reshape([-1, 1, x.shape[1], 1, 0]).squeeze(1)

    def pool(self, x, weights):
        """(N*M*V, C, 1, T) -> means over bodies, joints and, by `weights`, frames (N, C)."""
        joints, C = self.num_bodies * self.num_joints, x.shape[1]
        x = paddle.matmul(x.reshape([-1, joints * C, 1, 0]), weights).reshape([-1, joints, C])
        return paddle.matmul(x, average(joints), transpose_x=True).flatten(1)
