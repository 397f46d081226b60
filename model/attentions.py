"""Attention layers (EfficientGCN, section 3.4). Tensors are (N*M, C, T, V); each attention returns a map that broadcasts."""

import paddle
import paddle.nn.functional as F
from paddle import nn

from .activations import ACTIVATIONS
from .layers import BatchNorm, ConvBN, average, conv_bn, on_cpu


class SpatioTemporalJointAttention(nn.Layer):
    """ST-Joint (stja): which frames and which joints matter, from one shared squeeze. Map: (N*M, C, T, V) in (0, 1)."""

    def __init__(self, channels, reduct_ratio, bias=True, *, num_joints, frames, stride, **_):
        super().__init__()
        inner = channels // reduct_ratio
        self.frames, self.stride = frames, stride
        self.fcn = ConvBN(channels, inner, bias=bias)
        self.fcn[1].joints = num_joints
        self.conv_t = nn.Conv2D(inner, channels, 1)
        self.conv_v = nn.Conv2D(inner, channels, 1)

    def forward(self, x):
        V = x.shape[3]
        over_joints = paddle.matmul(x, average(V, x.dtype)) if on_cpu() else x.mean(3, keepdim=True)  # (N*M, C, T, 1)
        over_time = self.frames.mean(x, self.stride)  # (N*M, C, V, 1)
        squeezed = F.hardswish(self.fcn(paddle.concat([over_joints, over_time], axis=2)))
        frames, joints = squeezed[:, :, :-V], squeezed[:, :, -V:]
        frames = F.sigmoid(self.conv_t(frames))  # (N*M, C, T, 1)
        joints = F.sigmoid(self.conv_v(joints.transpose([0, 1, 3, 2])))  # (N*M, C, 1, V)
        return paddle.matmul(frames, joints)


def largest(x):
    """(N, C, H, W) -> (N, C, 1, 1): the largest values; the gradient of x.max takes a thousand times as long."""
    return F.adaptive_max_pool2d(x, 1)


class _SqueezeExcite(nn.Layer):
    """conv + BN + ReLU + conv over one pooled vector; children of `fcn` carry the numbers of the published checkpoints."""

    def __init__(self, channels, inner, out_channels, bias=True, frames=None, stride=1):
        super().__init__()
        self.frames, self.stride = frames, stride
        down, up = nn.Conv2D(channels, inner, 1, bias_attr=bias), nn.Conv2D(inner, out_channels, 1, bias_attr=bias)
        self.fcn = nn.Sequential(nn.Identity(), down, BatchNorm(inner), nn.ReLU(), up)

    def pool(self, x):
        """(N*M, C, T, V) -> (N*M, C, 1, 1): means over frames and joints."""
        return self.frames.mean(x, self.stride).mean(axis=2, keepdim=True)

    def squeeze(self, x):
        _, down, bn, relu, up = self.fcn
        return up(relu(conv_bn(down, bn, self.pool(x))))


class PartAttention(_SqueezeExcite):
    """pa: weights of the body parts per channel, softmax over parts. Map: (N*M, C, 1, V). `parts`: each joint's part."""

    def __init__(self, channels, reduct_ratio, bias=True, *, parts, frames, stride, **_):
        self.num_parts = int(parts.max()) + 1
        super().__init__(channels, channels // reduct_ratio, channels * self.num_parts, bias, frames, stride)
        self.channels = channels
        self.register_buffer("joints", paddle.to_tensor(parts, dtype="int64"))

    def forward(self, x):
        weights = F.softmax(self.squeeze(x).reshape([-1, self.channels, 1, self.num_parts]), axis=3)
        return paddle.index_select(weights, self.joints, axis=3)


class ChannelAttention(_SqueezeExcite):
    """ca: squeeze and excitation over channels. Map: (N*M, C, 1, 1) in (0, 1)."""

    def __init__(self, channels, *, frames, stride, **_):
        super().__init__(channels, channels // 4, channels, frames=frames, stride=stride)

    def forward(self, x):
        return F.sigmoid(self.squeeze(x))


class FrameAttention(nn.Layer):
    """fa: mean and max of each frame, one convolution over time. Map: (N*M, 1, T, 1), unbounded (no sigmoid)."""

    def __init__(self, **_):
        super().__init__()
        self.conv = nn.Conv2D(2, 1, (9, 1), padding=(4, 0))

    def forward(self, x):
        mean = x.mean(axis=[1, 3], keepdim=True)
        return self.conv(paddle.concat([mean, largest(x.transpose([0, 2, 1, 3])).transpose([0, 2, 1, 3])], axis=1))


class JointAttention(_SqueezeExcite):
    """ja: weights of the joints, by the largest value of each, softmax over them. Map: (N*M, 1, 1, V)."""

    def __init__(self, num_joints, **_):
        super().__init__(num_joints, num_joints // 2, num_joints)

    def pool(self, x):
        """(N*M, C, T, V) -> (N*M, V, 1, 1): the largest value of each joint."""
        return largest(x.transpose([0, 3, 1, 2]))

    def forward(self, x):
        return F.softmax(self.squeeze(x), axis=1).reshape([-1, 1, 1, x.shape[3]])


ATTENTIONS = {
    "stja": SpatioTemporalJointAttention,
    "pa": PartAttention,
    "ca": ChannelAttention,
    "fa": FrameAttention,
    "ja": JointAttention,
}


class AttentionLayer(nn.Layer):
    """act(BN(x * attention(x)) + x)."""

    def __init__(self, att_type, channels, act_type, **sizes):
        super().__init__()
        self.att = ATTENTIONS[att_type](channels=channels, **sizes)
        self.bn = BatchNorm(channels)
        self.act = ACTIVATIONS[act_type]()

    def forward(self, x):
        weights = self.att(x)
        weights = weights if weights.dtype == x.dtype else weights.astype(x.dtype)  # of mixed precision: softmax is in float32
        return self.act(self.bn(x * weights) + x)
