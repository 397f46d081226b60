"""The device that a process computes on."""

import os
from collections import deque

import paddle
from paddle.distributed import get_world_size

from utils.errors import UserError
from utils.log import get_logger

# What goes to a GPU stays in pinned memory until it is there: features and labels of two steps (Trainer.late)
_pinned = deque(maxlen=4)


def gpu_count():
    """Number of GPUs that Paddle can use here."""
    return paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0


def on_gpu():
    """Whether this process computes on a GPU."""
    return "gpu" in paddle.get_device()


def launcher_options(gpus):
    """Options of Paddle's launcher for a process on each of several `gpus`; [] where one process is enough, or none is there.

    The launcher calls GPUs by their labels in CUDA_VISIBLE_DEVICES; everything else, `gpus` too, by their place in that list.
    """
    check(gpus)
    if len(gpus) < 2 or gpu_count() == 0:
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "all").replace(" ", "")
    labels = visible.split(",") if visible != "all" else [str(place) for place in range(gpu_count())]
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(labels)  # the launcher takes spaces for part of a label
    return ["--gpus", ",".join(labels[gpu] for gpu in gpus)]


def check(gpus):
    """Raise UserError where one of `gpus` is named twice, or is not there though other GPUs are."""
    count, twice = gpu_count(), [gpu for gpu in gpus if gpus.count(gpu) > 1]
    if twice:
        raise UserError(f"--gpus {twice[0]}: named twice; a process has a GPU of its own")
    for gpu in gpus if count else ():
        if gpu >= count:
            raise UserError(f"--gpus {gpu}: Paddle finds GPUs 0 to {count - 1} here")


def choose_device(gpus):
    """Make Paddle use the GPU that its launcher gave this process, else the first of `gpus`, or the CPU; returns its name."""
    if not gpus or gpu_count() == 0:
        if gpus:
            processes = "" if len(gpus) == 1 else f", in one process instead of {len(gpus)}"
            get_logger().info(f"No GPU present: running on the CPU{processes if get_world_size() == 1 else ''}")
        os.environ.setdefault("PADDLE_DISTRI_BACKEND", "gloo")
        return paddle.set_device("cpu")
    given = os.environ.get("FLAGS_selected_gpus", "").split(",")[0]  # noqa: SIM112 (Paddle's spelling)
    if not given:
        check(gpus)
    return paddle.set_device(f"gpu:{given or gpus[0]}")


def to_device(array):
    """The array as a tensor; to a GPU it goes by pinned memory, so that nothing waits for what the GPU still computes."""
    if not on_gpu():
        return paddle.to_tensor(array)
    _pinned.append(paddle.to_tensor(array, place=paddle.CUDAPinnedPlace()))
    return _pinned[-1].cuda(blocking=False)


def send_to_host(tensor):
    """Send a tensor's numbers off at once; returns the function that waits for them and gives their list."""
    if not on_gpu():
        return tensor.tolist
    copy, event = tensor._copy_to(paddle.CUDAPinnedPlace(), False), paddle.device.cuda.Event()
    event.record()
    return lambda: event.synchronize() or copy.tolist()
