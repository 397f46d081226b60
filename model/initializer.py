"""Initial weights of the network."""

import math

from paddle import nn


def init_weights(model):
    """Fill a new network: convolutions normal with std sqrt(2 / fan_out), fan_out = out channels x kernel area, not divided
    by groups; biases 0; BN 1 and 0; the classifier normal with std 0.001 (as the paper's authors' code)."""
    for layer in model.sublayers():
        if isinstance(layer, (nn.Conv2D, nn.Conv3D)):
            fan_out = layer.weight.shape[0] * math.prod(layer.weight.shape[2:])
            std = 0.001 if isinstance(layer, nn.Conv3D) else math.sqrt(2 / fan_out)
            nn.initializer.Normal(0.0, std)(layer.weight)
            if layer.bias is not None:
                nn.initializer.Constant(0.0)(layer.bias)
