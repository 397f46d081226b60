"""The device that a process computes on."""

import os

import paddle
from paddle.distributed import get_world_size

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
