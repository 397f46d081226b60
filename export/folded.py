"""The network in a form that is exported: equal to the trained one by algebra, and faster on a CPU.

What the forms have in common: the way through the network. `joint_major.py` is the form for ONNX Runtime, `products.py` the one
for Paddle Inference; docs/deployment.md has what they are worth. Reshapes copy a size (0) or leave it open (-1) where it depends
on samples or frames: a program that computed such sizes would be mostly that.
"""

import copy
import itertools

import paddle
import paddle.nn.functional as F
from paddle import nn

from model.attentions import AttentionLayer
from model.layers import SpatialGraphLayer

from .recordings import CoordinatesIn, FeaturesIn


class FoldedGCN(nn.Layer):
    """Recordings -> the logits (N, classes) of `model`, an EfficientGCN that stays as it is; and their softmax.

    `data_shape` is a sample's (I, C, T, V, M). With `features` = (skeleton, inputs) the program takes coordinates
    (N, C / 2, T, V, M), T free up to data_shape's, else features (N, I, C, T, V, M). A form says how tensors lie (`arrange`,
    `pool`) and what becomes of layers (`graph_layer`, `attention_layer`, `make_conv`).
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
                layers.append(self.graph_layer(layer))
            elif isinstance(layer, AttentionLayer):
                layers.append(self.attention_layer(layer))
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
