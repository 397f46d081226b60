"""Activations by name, a fresh layer each time."""

from paddle import nn

ACTIVATIONS = {"relu": nn.ReLU, "relu6": nn.ReLU6, "hswish": nn.Hardswish, "swish": nn.Swish}


def make_activation(name):
    """A new activation layer; raises ValueError with the names that exist."""
    if name not in ACTIVATIONS:
        raise ValueError(f"act_type {name!r}: must be one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()
