"""The device that a process computes on, and its precision."""

import os

import paddle
from paddle.distributed import get_world_size

from model.layers import SpatialGraphConv
from utils.errors import UserError
from utils.log import get_logger


def gpu_count():
    """Number of GPUs that Paddle can use here."""
    return paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0


def on_gpu():
    """Whether this process computes on a GPU."""
    return "gpu" in paddle.get_device()


def several_gpus(gpus):
    """Whether `gpus` asks for a process each; raises UserError where some are not there. False on a machine without."""
    missing = [gpu for gpu in gpus if gpu >= gpu_count()]
    if missing and gpu_count():
        raise UserError(f"--gpus {missing[0]}: this machine has GPUs 0 to {gpu_count() - 1}")
    return len(gpus) > 1 and gpu_count() > 0


def choose_device(gpus):
    """Make Paddle use the first of `gpus`, the one that its launcher gave this process, or the CPU; returns its name."""
    if not gpus or gpu_count() == 0:
        if gpus:
            processes = "" if len(gpus) == 1 else f", in one process instead of {len(gpus)}"
            get_logger().info(f"No GPU present: running on the CPU{processes if get_world_size() == 1 else ''}")
        os.environ.setdefault("PADDLE_DISTRI_BACKEND", "gloo")
        return paddle.set_device("cpu")
    return paddle.set_device(f"gpu:{gpus[0] if get_world_size() == 1 else paddle.distributed.ParallelEnv().device_id}")


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
