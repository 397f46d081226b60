"""Learning-rate factor of each training step, and the epochs after which to evaluate. Plain numbers, no Paddle."""

import math


def cosine_factor(step, steps_per_epoch, max_epoch, warm_up):
    """Factor of the learning rate at `step` (one a batch, from 0): linear warm-up from 0, then half a cosine down to 0."""
    warm_up_steps = warm_up * steps_per_epoch
    if step < warm_up_steps:
        return step / warm_up_steps
    progress = (step - warm_up_steps) / max((max_epoch - warm_up) * steps_per_epoch, 1)
    return 0.5 * (math.cos(math.pi * progress) + 1)


def step_factor(step, steps_per_epoch, max_epoch, warm_up, step_lr):
    """Factor of the learning rate at `step`: linear warm-up, then a tenth at each epoch of `step_lr` that has begun."""
    warm_up_steps = warm_up * steps_per_epoch
    if step < warm_up_steps:
        return step / warm_up_steps
    return 0.1 ** sum(epoch <= step // steps_per_epoch for epoch in step_lr)


FACTORS = {"cosine": cosine_factor, "step": step_factor}


def evaluates_after(epoch, max_epoch, step_lr=None):
    """Whether to evaluate after `epoch` (from 0): every 5th, and each of the last 10 (cosine) or past the last step_lr (step)."""
    late = epoch >= max_epoch - 10 if step_lr is None else epoch + 1 > max(step_lr, default=0)
    return late or (epoch + 1) % 5 == 0
