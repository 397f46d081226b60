"""The network in a form that is exported: equal to the trained one by algebra, and faster.

What the forms have in common: the way through the network, and the constants of its layers. `joint_major.py` is the form for
ONNX Runtime, `products.py` the one for Paddle Inference on a CPU, and here is that for a GPU; docs/deployment.md has what they
are worth. Reshapes copy a size (0) or leave it open (-1) where it depends on samples or frames: a program that computed such
sizes would be mostly that.
"""

import copy
import itertools

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from model.attentions import AttentionLayer, SpatioTemporalJointAttention
from model.frames import weighted_mean
from model.layers import SpatialGraphLayer

from .recordings import CoordinatesIn, FeaturesIn


class FoldedGCN(nn.Layer):
    """Recordings -> the logits (N, classes) of `model`, an EfficientGCN that stays as it is; and their softmax.

    `data_shape` is a sample's (I, C, T, V, M). With `features` = (skeleton, inputs) the program takes coordinates
    (N, C / 2, T, V, M), T free up to data_shape's, else features (N, I, C, T, V, M). A form says how tensors lie (`arrange`,
    `pool`), what becomes of convolutions (`make_conv`), and its classes of other layers (`GraphLayer`, `STJoint`, `Attention`).
    """

    def __init__(self, model, data_shape, features=None, softmax=False):
        super().__init__()
        model = copy.deepcopy(model)
        self.softmax, self.num_joints, self.num_bodies, self.frames = softmax, model.num_joints, data_shape[4], model.frames
        self.num_frame, self.stride = data_shape[2], 1  # of the layer that is being made
        self.frames_step = 1  # frames are left out in multiples of this
        branches = []
        for branch in model.input_branches:
            self.stride = 1
            branches.append(self._fold(branch))
        self.input_branches, self.main_stream = nn.LayerList(branches), self._fold(model.main_stream)
        self.classifier = model.classifier
        settings = self.frames, data_shape[2], self.frames_step
        self.beginning = CoordinatesIn(*settings, *features) if features else FeaturesIn(*settings)

    def _fold(self, stream):
        """A stream's layers in this form, in order."""
        layers = []
        for layer in stream.children():
            if isinstance(layer, SpatialGraphLayer):
                layers.append(self.GraphLayer(layer))
            elif isinstance(layer, AttentionLayer):
                stja = isinstance(layer.att, SpatioTemporalJointAttention)
                layers.append((self.STJoint if stja else self.Attention)(layer, self.num_joints))
            else:
                layers.append(self.temporal_layer(layer))
        return nn.Sequential(*layers)

    def temporal_layer(self, layer):
        """The temporal layer (or batch norm), its convolutions now along the last axis and without bias."""
        before, after = self.stride, self.stride
        for parent in layer.sublayers(include_self=True):
            on_residual = parent is getattr(layer, "residual", None)
            for (name, conv), (_, bn) in itertools.pairwise(list(parent.named_children())):
                if isinstance(conv, nn.Conv2D):
                    if conv.bias is not None:
                        bn._mean.set_value(bn._mean - conv.bias)
                    self.stride = before if on_residual else after
                    parent.add_sublayer(name, self.make_conv(conv.weight.numpy()[..., 0], conv._stride[0], conv._groups))
                    after *= 1 if on_residual else conv._stride[0]
        self.stride = after
        return layer

    def forward(self, x):
        branches = self.beginning(x)
        x = paddle.concat([layers(self.arrange(branches[i])) for i, layers in enumerate(self.input_branches)], axis=1)
        weights = self.frames.weights[self.stride]
        logits = self.classifier(self.pool(self.main_stream(x), weights))
        return (logits, F.softmax(logits)) if self.softmax else logits


class TrainedGCN(FoldedGCN):
    """The form for Paddle Inference on a GPU: the network as it is trained, whose many channels a GPU computes at once.

    Nothing is folded here, Paddle Inference does that itself. Tensors are (N*M, C, T, V).
    """

    def _fold(self, stream):
        self.stride = stream.stride
        return stream

    def arrange(self, x):
        """(N, C, T, V, M) -> (N*M, C, T, V)."""
        C, _, V = x.shape[1:4]
        return x.transpose([0, 4, 1, 2, 3]).reshape([-1, 1, C, 0, V]).squeeze(1)

    def pool(self, x, weights):
        """(N*M, C, T, V) -> means over bodies, joints and, by `weights`, frames (N, C)."""
        return weighted_mean(x, weights).mean(axis=[2, 3]).reshape([-1, self.num_bodies, x.shape[1]]).mean(1)


class FoldedAttention(nn.Layer):
    """What the forms of an AttentionLayer have in common: the attention is as trained, and is shown its tensor as it knows it."""

    def __init__(self, layer, num_joints):
        super().__init__()
        self.att, self.bn, self.act, self.num_joints = layer.att, layer.bn, layer.act, num_joints


# ---------------------------------------------------------------- constants of layers, batch norm folded in


def constant(layer, name, value):
    """Give a layer a constant, float32; None where the array is empty."""
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
