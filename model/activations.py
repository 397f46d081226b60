"""Activations by name, a fresh layer each time."""

from paddle import nn

# Swish, not the twice as quick Silu: its gradient is nan below -88, which real weights reach (Paddle 3.3)
ACTIVATIONS = {"relu": nn.ReLU, "relu6": nn.ReLU6, "hswish": nn.Hardswish, "swish": nn.Swish}


def make_activation(name):
    """A new activation layer; raises ValueError with the names that exist."""
    if name not in ACTIVATIONS:
        raise ValueError(f"act_type {name!r}: must be one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()
