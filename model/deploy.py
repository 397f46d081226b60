"""The network in the form that is exported: equal to the trained one by algebra, and faster on a CPU.

Tensors are joint-major: (N*M, V, C, T) in memory, frames innermost. Convolutions over time see them as (N*M*V, C, 1, T), each
joint a sample of theirs; those with weights for each joint as (N*M, V*C, 1, T). The sum over neighbours is then one product
with a constant matrix from the left, without transposes. docs/deployment.md has what this is worth.

Biases go into batch norms: Paddle adds one to a (N, C, 1, T) tensor in 50 times the time of a batch norm, and ONNX Runtime folds
batch norms into convolutions by itself.
"""

import copy
import itertools

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from .attentions import AttentionLayer, SpatioTemporalJointAttention
from .layers import SpatialGraphLayer, average


class DeployedGCN(nn.Layer):
    """x (N, I, C, T, V, M) -> the logits (N, classes) of `model`, an EfficientGCN that stays as it is; and their softmax."""

    def __init__(self, model, softmax=False):
        super().__init__()
        self.softmax = softmax
        self.input_branches = nn.LayerList([_deploy(branch, model.num_joints) for branch in model.input_branches])
        self.main_stream = _deploy(model.main_stream, model.num_joints)
        self.classifier = model.classifier

    def forward(self, x):
        I, C, T, V, M = x.shape[1:]
        x = x.transpose([1, 0, 5, 4, 2, 3]).reshape([I, -1, C, 1, T])  # (I, N*M*V, C, 1, T)
        x = paddle.concat([branch(x[i]) for i, branch in enumerate(self.input_branches)], axis=1)
        x = self.main_stream(x)
        C, T = x.shape[1], x.shape[3]
        x = paddle.matmul(x.reshape([-1, M * V * C, T]), average(T)).reshape([-1, M * V, C])
        logits = self.classifier(paddle.matmul(x, average(M * V), transpose_x=True).flatten(1))
        return (logits, F.softmax(logits)) if self.softmax else logits


def _deploy(stream, num_joints):
    """A stream's layers in joint-major form, in order."""
    layers = []
    for layer in stream.children():
        if isinstance(layer, SpatialGraphLayer):
            layers.append(JointMajorGraphLayer(layer))
        elif isinstance(layer, AttentionLayer):
            stja = isinstance(layer.att, SpatioTemporalJointAttention)
            layers.append((JointMajorSTJoint if stja else JointMajorAttention)(layer, num_joints))
        else:
            layers.append(_turn(copy.deepcopy(layer)))
    return nn.Sequential(*layers)


def _turn(layer):
    """The temporal layer (or batch norm) with its convolutions along the last axis instead of the one before, without bias."""
    for parent in layer.sublayers(include_self=True):
        children = list(parent.named_children())
        for (name, conv), (_, bn) in itertools.pairwise(children):
            if isinstance(conv, nn.Conv2D):
                if conv.bias is not None:
                    bn._mean.set_value(bn._mean - conv.bias)
                parent.add_sublayer(name, _turned_conv(conv))
    return layer


def _turned_conv(conv):
    out_channels, _, window, _ = conv.weight.shape
    turned = nn.Conv2D(
        conv._in_channels, out_channels, (1, window), (1, conv._stride[0]), (0, conv._padding[0]), groups=conv._groups,
        bias_attr=False)  # fmt: skip
    turned.weight.set_value(conv.weight.transpose([0, 1, 3, 2]))
    return turned


def _array(tensor, size=0):
    return np.zeros(size) if tensor is None else tensor.numpy().astype("float64")


def _affine(bn):
    """(scale, shift) of a batch norm in evaluation: (C,) each."""
    mean, variance, weight, bias = (_array(tensor) for tensor in (bn._mean, bn._variance, bn.weight, bn.bias))
    scale = weight / np.sqrt(variance + bn._epsilon)
    return scale, bias - mean * scale


class JointMajorGraphLayer(nn.Layer):
    """A SpatialGraphLayer: (N*M*V, C, 1, T) -> (N*M*V, C', 1, T).

    What a joint takes from itself, hop 0 and the residual, is one convolution with weights of its own for each joint. The other
    hops follow the paper, features first and then the sum over neighbours, or the other way round where that is less work.
    """

    def __init__(self, layer):
        super().__init__()
        conv = layer.conv
        A = _array(conv.A) * (1 if conv.edge is None else _array(conv.edge))
        K, V = A.shape[:2]
        scale, shift = _affine(layer.bn)
        weight = _array(conv.gcn.weight).reshape(K, len(scale), -1) * scale[:, None]  # (K, C', C)
        bias = _array(conv.gcn.bias, K * len(scale)).reshape(K, -1) * scale
        offset = np.einsum("kc,kvw->wc", bias, A) + shift  # (V, C')
        if isinstance(layer.residual, nn.Identity):
            residual = np.eye(len(scale))
        else:
            conv, bn = layer.residual
            scale, shift = _affine(bn)
            residual = scale[:, None] * _array(conv.weight)[:, :, 0, 0]
            offset += scale * _array(conv.bias, len(scale)) + shift
        own = np.diagonal(A[0])[:, None, None] * weight[0] + residual  # (V, C', C)
        A[0][np.diag_indices(V)] = 0  # nothing is left of hop 0 as a rule
        far = [k for k in range(K) if A[k].any()]
        A, weight, (_, out_channels, in_channels) = A[far], weight[far], own.shape
        self.num_joints, self.act = V, layer.act
        self.sizes = (in_channels, out_channels, len(far))
        self.aggregate_first = (len(far) + 1) * in_channels < len(far) * out_channels
        if self.aggregate_first:
            own = np.concatenate([own, *(np.broadcast_to(w, own.shape) for w in weight)], axis=2)
            A = np.concatenate([np.eye(V)[None], A]).transpose(2, 0, 1).reshape(-1, V)  # rows: joint, then hop
        else:
            A = A.transpose(2, 1, 0).reshape(V, -1)  # columns: neighbour, then hop
            self._constant("weight", weight.reshape(-1, in_channels, 1, 1))
        self._constant("own", own.reshape(V * out_channels, -1, 1, 1))
        self._constant("A", A)
        self.offset = nn.BatchNorm2D(V * out_channels, epsilon=0.0)  # adds, no more
        self.offset.bias.set_value(offset.reshape(-1).astype("float32"))

    def _constant(self, name, value):
        self.register_buffer(name, paddle.to_tensor(np.ascontiguousarray(value), "float32") if value.size else None)

    def forward(self, x):
        V, (in_channels, out_channels, far), T = self.num_joints, self.sizes, x.shape[3]
        if self.aggregate_first:
            x = paddle.matmul(self.A, x.reshape([-1, V, in_channels * T]))
            return self.finish(self.own_part(x.reshape([-1, V * (far + 1) * in_channels, 1, T])))
        y = self.own_part(x.reshape([-1, V * in_channels, 1, T]))
        if far:
            hops = F.conv2d(x, self.weight).reshape([-1, V * far, out_channels * T])
            y = y + paddle.matmul(self.A, hops).reshape([-1, V * out_channels, 1, T])
        return self.finish(y)

    def own_part(self, x):
        return self.offset(F.conv2d(x, self.own, groups=self.num_joints))

    def finish(self, y):
        return self.act(y.reshape([-1, self.sizes[1], 1, y.shape[3]]))


class JointMajorAttention(nn.Layer):
    """An AttentionLayer: (N*M*V, C, 1, T) to the same. It shows the attention its tensor in the form that it knows."""

    def __init__(self, layer, num_joints):
        super().__init__()
        self.att, self.bn, self.act, self.num_joints = layer.att, layer.bn, layer.act, num_joints

    def forward(self, x):
        C, T = x.shape[1], x.shape[3]
        weighted = self.weigh(x.reshape([-1, self.num_joints, C, T]))
        return self.act(self.bn(weighted.reshape([-1, C, 1, T])) + x)

    def weigh(self, x):
        """x * attention, both (N*M, V, C, T)."""
        return x * self.att(x.transpose([0, 2, 3, 1])).transpose([0, 3, 1, 2])


class JointMajorSTJoint(JointMajorAttention):
    """The same for ST-Joint, its means and its outer product written for the joint-major form."""

    def weigh(self, x):
        V, C, T = x.shape[1:]
        over_joints = paddle.matmul(average(V).t(), x.reshape([-1, V, C * T])).reshape([-1, C, T, 1])
        over_time = paddle.matmul(x, average(T)).transpose([0, 2, 1, 3])  # (N*M, C, V, 1)
        squeezed = F.hardswish(self.att.fcn(paddle.concat([over_joints, over_time], axis=2)))
        frames, joints = paddle.split(squeezed, [T, V], axis=2)
        frames = F.sigmoid(self.att.conv_t(frames)).reshape([-1, 1, C * T])
        frames = paddle.matmul(paddle.ones([V, 1]), frames)  # repeats them: broadcasting takes ten times as long
        return x * F.sigmoid(self.att.conv_v(joints)).transpose([0, 2, 1, 3]) * frames.reshape([-1, V, C, T])
