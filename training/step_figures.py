"""Figures of a training step: made on the device, sent off at once, and read where nothing waits for them."""

import paddle

from . import collectives
from .device import on_gpu


@paddle.no_grad()
def send_figures(loss, logits, labels, *more):
    """Send off a step's figures, added up over all ranks, without waiting; returns the function that waits and gives their list.

    They are the Sums (training/progress.py) of loss (), logits (N, classes) and labels (N,), where of equal logits the lower
    class comes first, then the numbers `more`.
    """
    (N, classes), labels, true = logits.shape, labels.unsqueeze(1), paddle.index_sample(logits, labels.unsqueeze(1))
    place = ((logits > true) | ((logits == true) & (paddle.arange(classes) < labels))).sum(1)  # of the true class, from 0
    sums = [loss.astype("float64") * N, paddle.full([], N), (place < 1).sum(), (place < 5).sum(), ~paddle.isfinite(loss)]
    figures = [value.astype("float64") for value in (*sums, *(paddle.full([], float(number)) for number in more))]
    figures = collectives.add_up(paddle.stack(figures))
    if not on_gpu():
        return figures.tolist
    copy, event = figures._copy_to(paddle.CUDAPinnedPlace(), False), paddle.device.cuda.Event()
    event.record()
    return lambda: event.synchronize() or copy.tolist()
