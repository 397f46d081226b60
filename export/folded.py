"""The network in a form that is exported: equal to the trained one by algebra, and faster on a CPU.

What the forms have in common: a layer's constants with batch norm folded in, and the way through the network. `joint_major.py` is
the form for ONNX Runtime, `products.py` the one for Paddle Inference; docs/deployment.md has what they are worth.
"""

import copy
import itertools

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from model.attentions import AttentionLayer
from model.layers import SpatialGraphLayer


class DeployedGCN(nn.Layer):
    """x (N, I, C, T, V, M) -> the logits (N, classes) of `model`, an EfficientGCN that stays as it is; and their softmax.

    A form says how tensors lie (`arrange`, `pool`) and what becomes of layers (`graph_layer`, `attention_layer`, `make_conv`).
    """

    def __init__(self, model, softmax=False):
        super().__init__()
        self.softmax, self.num_joints = softmax, model.num_joints
        self.input_branches = nn.LayerList([self._deploy(branch) for branch in model.input_branches])
        self.main_stream = self._deploy(model.main_stream)
        self.classifier = model.classifier

    def _deploy(self, stream):
        """A stream's layers in this form, in order."""
        layers = []
        for layer in copy.deepcopy(stream).children():
            if isinstance(layer, SpatialGraphLayer):
                layers.append(self.graph_layer(layer))
            elif isinstance(layer, AttentionLayer):
                layers.append(self.attention_layer(layer))
            else:
                layers.append(self.temporal_layer(layer))
        return nn.Sequential(*layers)

    def temporal_layer(self, layer):
        """The temporal layer (or batch norm), its convolutions now along the last axis and without bias."""
        for parent in layer.sublayers(include_self=True):
            children = list(parent.named_children())
            for (name, conv), (_, bn) in itertools.pairwise(children):
                if isinstance(conv, nn.Conv2D):
                    if conv.bias is not None:
                        bn._mean.set_value(bn._mean - conv.bias)
                    parent.add_sublayer(name, self.make_conv(conv.weight.numpy()[..., 0], conv._stride[0], conv._groups))
        return layer

    def forward(self, x):
        M = x.shape[5]
        x = self.arrange(x)  # the inputs first
        x = paddle.concat([branch(x[i]) for i, branch in enumerate(self.input_branches)], axis=1)
        logits = self.classifier(self.pool(self.main_stream(x), M))
        return (logits, F.softmax(logits)) if self.softmax else logits


# ---------------------------------------------------------------- constants of layers


def constant(layer, name, value):
    """Give a layer a constant; None where the array is empty."""
    layer.register_buffer(name, paddle.to_tensor(np.ascontiguousarray(value), "float32") if value.size else None)


def offset(values):
    """A batch norm that adds (C,) values to (N, C, 1, T), no more.

    Paddle adds a bias to such a tensor in 50 times the time of a batch norm, and ONNX Runtime folds it into the convolution.
    """
    bn = nn.BatchNorm2D(values.size, epsilon=0.0)
    bn.bias.set_value(values.reshape(-1).astype("float32"))
    return bn


def convolution(weight, stride=1, groups=1):
    """A convolution along the last axis, without bias, padded by half a window. `weight`: array (C', C / groups, window)."""
    out_channels, in_channels, window = weight.shape
    sizes = (in_channels * groups, out_channels, (1, window), (1, stride), (0, window // 2))
    conv = nn.Conv2D(*sizes, groups=groups, bias_attr=False)
    conv.weight.set_value(weight[:, :, None].astype("float32"))
    return conv


def array(tensor, size=0):
    """A parameter in double precision; zeros where there is none."""
    return np.zeros(size) if tensor is None else tensor.numpy().astype("float64")


def affine(bn):
    """(scale, shift) of a batch norm in evaluation: (C,) each."""
    mean, variance, weight, bias = (array(tensor) for tensor in (bn._mean, bn._variance, bn.weight, bn.bias))
    scale = weight / np.sqrt(variance + bn._epsilon)
    return scale, bias - mean * scale


def graph_constants(layer):
    """A SpatialGraphLayer as A (K, V, V), weight (K, C', C), residual (C', C) and shift (V, C'), batch norm folded in.

    out[w] = act(sum over hops k, joints v of A[k, v, w] weight[k] x[v], + residual x[w] + shift[w]).
    """
    conv = layer.conv
    A = array(conv.A) * (1 if conv.edge is None else array(conv.edge))
    K = len(A)
    scale, shift = affine(layer.bn)
    weight = array(conv.gcn.weight).reshape(K, len(scale), -1) * scale[:, None]
    bias = array(conv.gcn.bias, K * len(scale)).reshape(K, -1) * scale
    shift = np.einsum("kc,kvw->wc", bias, A) + shift
    if isinstance(layer.residual, nn.Identity):
        return A, weight, np.eye(len(scale)), shift
    conv, bn = layer.residual
    scale, more = affine(bn)
    return A, weight, scale[:, None] * array(conv.weight)[:, :, 0, 0], shift + scale * array(conv.bias, len(scale)) + more
