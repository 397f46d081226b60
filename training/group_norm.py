"""Batch norm of groups of a batch by the statistics of the whole, some of whose rows and frames count several times."""

import itertools
import threading

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle.autograd import PyLayer

from model.layers import BatchNorm, on_cpu, sum_exactly

PIECE = 800_000  # values whose mean and variance are taken at a time on a CPU: they stay in the cache


class Exchange:
    """What the groups of one batch pass to each other; each row of a group counts as often as its `times` says."""

    def __init__(self, times):
        self.times, self.values, self.reason = times, [None] * len(times), None
        self.barrier = threading.Barrier(len(times), self.join)

    def gather(self, group, value, function):
        """`function` of the list of all groups' values, in their order; waits for them. BrokenBarrierError where one failed."""
        self.values[group], self.function = value, function
        self.barrier.wait()
        return self.joined  # stays until all groups come with their next value

    def join(self):
        self.joined = self.function(self.values)

    def __deepcopy__(self, memo):
        return self  # it belongs to a batch, not to the network that is copied


class GroupBatchNorm(BatchNorm):
    """Batch norm of one group of a batch by the statistics of the whole. The first group moves the running statistics.

    A BatchNorm becomes one by its class, and is given its `exchange`, its `group` and the `frames` of its network: of a frame
    that stands for others, they count too.
    """

    def forward(self, x, conv_bias=None):
        stand_in = self.frames.stand_ins.get(x.shape[2] - self.joints)
        if not self.training or (len(self.exchange.times) == 1 and not stand_in):
            return super().forward(x, conv_bias)
        mean, variance, count = self.statistics(x, stand_in)
        if self.group == 0:
            self.move(mean if conv_bias is None else mean + conv_bias, variance)
        x, weight, bias = _WholeBatch.apply(x, self.weight, self.shift(conv_bias), self, mean, variance, count, stand_in)
        bias = bias + 0.0  # a hook on what a PyLayer returns changes nothing
        y = F.batch_norm(x, mean, variance, weight, bias, False, epsilon=self._epsilon)
        if self.sums_exactly():
            sum_exactly(y, bias)
        return y

    @paddle.no_grad()
    def move(self, mean, variance):
        """Move the running statistics towards those of a batch."""
        for running, value in ((self._mean, mean), (self._variance, variance)):
            paddle.assign(self.kept * running + (1 - self.kept) * value, running)

    @paddle.no_grad()
    def statistics(self, x, stand_in):
        """Mean and variance (C,) over all groups, and how many values each is of."""
        times, rows = self.exchange.times[self.group], max(PIECE * len(x) // x.size, 1) if on_cpu() else len(x)
        pieces = [self.moments(x[row : row + rows], times) for row in range(0, len(x), rows)]
        if stand_in:
            frame, left_out = stand_in
            pieces.append(self.moments(x[:, :, frame : frame + 1], times * left_out))
        return self.exchange.gather(self.group, pieces, whole_statistics)

    def moments(self, x, times):
        """(values that count, mean (C,), variance (C,)) of x (N, C, T, V), each value counting `times` times."""
        C = x.shape[1]
        mean, variance = paddle.zeros([C], self._mean.dtype), paddle.zeros([C], self._mean.dtype)
        if x.size > C:
            F.batch_norm(x, mean, variance, None, None, True, 0.0)  # without momentum it sets both to those of x
        else:  # a single value, for which it sets nothing
            mean = x.flatten().astype(mean.dtype)
        return x.size // C * times, mean, variance


def whole_statistics(groups):
    """(mean (C,), variance (C,), count) of what all moments() of all `groups` describe."""
    counts, means, variances = zip(*itertools.chain(*groups), strict=True)
    means, variances, total = paddle.stack(means), paddle.stack(variances), sum(counts)
    shares = paddle.stack([paddle.full([1], count / total, means.dtype) for count in counts])  # no copy that waits for a GPU
    mean = (shares * means).sum(0)
    return mean, (shares * (variances + (means - mean).square())).sum(0), total


def whole_sums(groups):
    """Each gradient's sum over all `groups`."""
    return [sum(values[1:], values[0]) for values in zip(*groups, strict=True)]


class _WholeBatch(PyLayer):
    """x, weight and bias for a batch norm by fixed statistics, as they are; backward adds what goes through the statistics."""

    @staticmethod
    def forward(ctx, x, weight, bias, bn, mean, variance, count, stand_in):
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.bn, ctx.exchange, ctx.group, ctx.stand_in = bn, bn.exchange, bn.group, stand_in
        ctx.share, ctx.is_data = bn.exchange.times[bn.group] / count, x.stop_gradient
        return x.view(x.shape), weight.clone(), bias.clone()  # new tensors to autograd; the large one shares its memory

    @staticmethod
    def backward(ctx, dx, dweight, dbias):
        x, weight, mean, variance = ctx.saved_tensor()
        gradients = ctx.exchange.gather(ctx.group, (dweight, dbias), whole_sums)
        if ctx.is_data:
            return None, dweight, dbias, None, None
        epsilon = float(np.float32(ctx.bn._epsilon))  # as Paddle's own batch norm has it
        scale = -ctx.share * weight * paddle.rsqrt(variance + epsilon)
        through_variance, through_mean = (scale * gradient for gradient in gradients)
        more = F.batch_norm(x, mean, variance, through_variance, through_mean, False, epsilon=epsilon)
        if ctx.stand_in:
            frame, left_out = ctx.stand_in
            more[:, :, frame] = more[:, :, frame] * (1.0 + left_out)
        dx.add_(more)
        return dx, dweight, dbias, None, None
