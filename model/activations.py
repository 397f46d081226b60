"""Activations by name, a fresh layer each time."""

import paddle
import paddle.nn.functional as F
from paddle import nn


def on_cpu():
    """Whether operations run at once, on a CPU. Its kernels want other forms than a GPU's, which traced programs have too."""
    return paddle.in_dynamic_mode() and paddle.get_device() == "cpu"


class Swish(nn.Swish):
    """x * sigmoid(x). Training on a CPU takes Paddle's other form of it, silu: its gradient takes half the time.

    That gradient is nan below -88 (Paddle 3.3), which real weights reach. So x is set to -80 there, in place: function and
    gradient are 0 but for 1e-32.
    """

    def forward(self, x):
        if not self.training or not on_cpu():
            return F.swish(x)
        with paddle.no_grad():
            x.clip_(min=-80.0)
        return F.silu(x)


ACTIVATIONS = {"relu": nn.ReLU, "relu6": nn.ReLU6, "hswish": nn.Hardswish, "swish": Swish}
