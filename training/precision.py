"""Mixed precision."""

import paddle

from model.layers import SpatialGraphConv
from utils.errors import UserError
from utils.log import get_logger

from .device import on_gpu

CAPABILITY = {"float16": 7, "bfloat16": 8}  # of a GPU, below which Paddle computes in float32 instead, with a warning
# Beside Paddle's own lists. Batch norm has its statistics and parameters in float32 by itself; means add up in float32, too.
SIXTEEN_BITS = ["depthwise_conv2d", "reduce_mean"]


def mixed_precision(level, dtype, model=None, optimizer=None):
    """Arguments of paddle.amp.auto_cast; None: float32, which a CPU computes in, whatever the level.

    O1: convolutions, products and what follows them in 16 bits. O2: with an optimizer, the parameters of `model` too, but for
    those of batch norm and the graph (its fixed adjacency, its edges); float32 master weights are in the optimizer. Raises
    UserError where the GPU lacks the type.
    """
    if level is None:
        return None
    if not on_gpu():
        get_logger().info(f"--amp {level}: no GPU, so this run computes in float32")
        return None
    found = paddle.device.cuda.get_device_capability()
    if found[0] < CAPABILITY[dtype]:
        hint = "--amp_dtype float16, or leave --amp out" if found[0] >= CAPABILITY["float16"] else "leave --amp out"
        raise UserError(f"--amp_dtype {dtype}: this GPU (compute capability {found[0]}.{found[1]}) does not support it; {hint}")
    if level == "O2" and optimizer is not None:
        options = {"level": level, "dtype": dtype, "master_weight": True, "save_dtype": "float32"}
        paddle.amp.decorate(model, optimizer, **options, excluded_layers=[SpatialGraphConv])
    return {"enable": True, "level": level, "dtype": dtype, "custom_white_list": SIXTEEN_BITS}
