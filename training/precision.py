"""Mixed precision."""

import paddle

from model.layers import SpatialGraphConv
from utils.log import get_logger

from .device import on_gpu


def mixed_precision(level, dtype, model, optimizer):
    """Arguments of paddle.amp.auto_cast (`level` None: None, off), with model and optimizer made ready for them.

    Batch norm computes in float32, as do the features, which the feeder makes. O2 keeps parameters in 16 bits beside float32
    master weights in the optimizer. On a CPU Paddle has no mixed precision: this is said, and float32 is used.
    """
    if level is None:
        return None
    if not on_gpu():
        get_logger().info(f"--amp {level}: no GPU, so this run computes in float32")
    elif level == "O2":  # the graph's fixed adjacency and its edge weights stay in float32
        paddle.amp.decorate(
            model,
            optimizer,
            level="O2",
            dtype=dtype,
            master_weight=True,
            save_dtype="float32",
            excluded_layers=[SpatialGraphConv],
        )
    norms = ["batch_norm", "sync_batch_norm", "sync_batch_norm_"]
    return {"enable": on_gpu(), "level": level, "dtype": dtype, "custom_black_list": norms}
