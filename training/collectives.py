"""What the processes of one job do together. With one process every function returns at once."""

import os
import sys
import threading

import numpy as np
import paddle
import paddle.distributed as dist
from paddle.distributed.fleet.utils.hybrid_parallel_util import fused_allreduce_gradients

from utils.errors import UserError

from .device import on_gpu, send_to_host

PATIENCE = 600  # seconds that a process waits for the others on GPUs: NCCL itself waits without end
LOST = (
    "another process of this job has ended, or did not answer: its workerlog in the launcher's --log_dir says why; "
    "resume with the same command and -r"
)


def exchange(operation, *arguments):
    """Call an operation that waits for the other processes of the job, if there are any.

    Raises UserError, or on GPUs ends this process, where they are lost.
    """
    if dist.get_world_size() == 1:
        return
    watch = threading.Timer(PATIENCE, _give_up)
    watch.daemon = True
    if on_gpu():
        watch.start()
    try:
        operation(*arguments)
    except (RuntimeError, OSError) as error:  # gloo's and NCCL's; they have no type of their own for a lost connection
        if getattr(error, "errno", None) is not None:
            raise
        raise UserError(f"{LOST} ({str(error).strip().splitlines()[-1]})") from error
    finally:
        watch.cancel()


def _give_up():
    print(f"error: {LOST} (waited {PATIENCE} s)", file=sys.stderr, flush=True)
    os._exit(2)  # the main thread is in NCCL and hears of nothing


def gather(array):
    """Rows of `array` (n, ...) of all ranks, one rank after another; ranks may have different n."""
    parts = []
    exchange(dist.all_gather_object, parts, array)
    return np.concatenate(parts) if parts else array


@paddle.no_grad()
def send_figures(loss, logits, labels, *more):
    """Send off a step's figures, added up over all ranks, without waiting; returns the function that waits and gives their list.

    They are the Sums (training/progress.py) of loss (), logits (N, classes) and labels (N,), where of equal logits the lower
    class comes first, then the numbers `more`.
    """
    (N, classes), labels, true = logits.shape, labels.unsqueeze(1), paddle.index_sample(logits, labels.unsqueeze(1))
    place = ((logits > true) | ((logits == true) & (paddle.arange(classes) < labels))).sum(1)  # of the true class, from 0
    sums = [loss.astype("float64") * N, paddle.full([], N), (place < 1).sum(), (place < 5).sum(), ~paddle.isfinite(loss)]
    figures = [*sums, *(paddle.full([], float(number)) for number in more)]
    figures = paddle.stack([figure.astype("float64") for figure in figures])
    exchange(dist.all_reduce, figures)
    return send_to_host(figures)


def average_gradients(parameters):
    """Put the mean over all ranks in place of each gradient; all ranks must have gradients for the same parameters.

    One exchange of all gradients, once an optimizer step: the network's are about a megabyte, too few for parts to overlap
    with the backward pass, and batches that are accumulated or left out need no special case. It is Paddle's way of data
    parallel training: one copy in, one exchange, one copy out.
    """
    exchange(fused_allreduce_gradients, [p for p in parameters if not p.stop_gradient], None)


def broadcast(tensors):
    """Give all ranks rank 0's values, in place."""
    for tensor in tensors:
        exchange(dist.broadcast, tensor, 0)
