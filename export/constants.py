"""The constants of layers in exported forms, batch norm folded in."""

import numpy as np
import paddle
from paddle import nn


def constant(layer, name, value, dtype="float32"):
    """Give a layer a constant; None where the array is empty."""
    layer.register_buffer(name, paddle.to_tensor(np.ascontiguousarray(value), dtype) if value.size else None)


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
