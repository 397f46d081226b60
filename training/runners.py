"""How the network is run on batches of features: whole (GPU), or in parts side by side (CPU)."""

import copy
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn
from paddle.autograd import PyLayer

from model.layers import BatchNorm, sum_exactly

# Each part has its own Python work to do, and of Python one thread runs at a time. Measured at 32, 72 and 288 frames, 2 threads:
MOST_PARTS = 8
SMALLEST_PART = 14_400  # bodies x frames x joints that are worth a thread
SMALLEST_SAVING = 4_800  # and of equal bodies, that are worth a part of their own


class Runner:
    """Features (N, I, C, T, V, M), NumPy float32 -> logits (N, classes) of `model`."""

    def __init__(self, model):
        self.model = model

    def __call__(self, features):
        return self.model(paddle.to_tensor(features))[0]

    def backward(self, loss):
        """Add the gradients of `loss`, made from the last call's logits, to those of the model's parameters."""
        loss.backward()


class ThreadedRunner(Runner):
    """The same numbers on `threads` threads of a CPU, most of whose kernels in Paddle run on one thread each.

    The bodies of a batch are divided; each part runs in its thread through a copy of the network, whose batch norms take
    statistics over all parts. Bodies that are equal, as those of recordings with one person, are computed once and count as
    often as they occur. Small batches run whole.
    """

    def __init__(self, model, threads):
        super().__init__(model)
        self.threads, self.copies, self.outs, self.pooled = threads, [], [], None
        self.pool = ThreadPoolExecutor(MOST_PARTS + 1)

    def __call__(self, features):
        self.outs, with_gradient = [], paddle.is_grad_enabled()
        bodies = np.moveaxis(features, -1, 1).reshape(-1, *features.shape[1:-1])  # (N*M, I, C, T, V)
        parts, times, place = divide(bodies, min(self.threads, MOST_PARTS))
        paddle.base.core.set_num_threads(self.threads // max(times.count(1), 1))  # of MKL, in each of ours
        if len(parts) == 1 and times == [1]:
            return super().__call__(features)
        networks = self.prepare(times)

        def forward(network, rows):
            with paddle.set_grad_enabled(with_gradient):  # is a thread's own
                x = paddle.to_tensor(np.ascontiguousarray(bodies[rows].swapaxes(0, 1)))
                return network.pool(network.streams(x))

        outs = self.side_by_side(forward, networks, parts)
        pooled = paddle.concat([out.detach() for out in outs])
        if with_gradient:
            self.outs, self.pooled, pooled.stop_gradient = outs, pooled, False
        pooled = paddle.index_select(pooled, paddle.to_tensor(place))
        return self.model.classify(pooled.reshape([len(features), -1, pooled.shape[1]]))

    def backward(self, loss):
        super().backward(loss)
        outs, self.outs = self.outs, []
        if not outs:
            return
        gradients = self.pooled.grad.split([len(out) for out in outs])
        self.side_by_side(lambda out, gradient: paddle.autograd.backward([out], [gradient]), outs, gradients)
        networks = self.copies[: len(outs)]
        for mine, *its in zip(self.model.parameters(), *(network.parameters() for network in networks), strict=True):
            for parameter in its:
                if parameter.grad is not None:
                    mine.grad = parameter.grad if mine.grad is None else mine.grad + parameter.grad
                    parameter.clear_gradient(False)

    def prepare(self, times):
        """Copies of the network as it is now, for parts of which each row counts `times` times."""
        while len(self.copies) < len(times):
            self.copies.append(_copy(self.model))
        self.exchange, networks = PartExchange(times), self.copies[: len(times)]
        for part, network in enumerate(networks):
            network.train() if self.model.training else network.eval()
            for mine, its in zip(self.model.parameters(), network.parameters(), strict=True):
                if not mine.stop_gradient:
                    paddle.assign(mine.detach(), its.detach())
            for layer in network.sublayers():
                if isinstance(layer, BatchNormOfPart):
                    layer.part, layer.exchange = part, self.exchange
        return networks

    def side_by_side(self, function, *arguments):
        """[function(...) of each part]; raises what the first part that failed raised."""

        def guarded(*given):
            try:
                return function(*given)
            except BaseException as error:
                self.exchange.abort(error)
                raise

        futures = [self.pool.submit(guarded, *given) for given in zip(*arguments, strict=True)]
        failed = [future.exception() for future in futures]
        if any(failed):
            raise self.exchange.reason
        return [future.result() for future in futures]


def divide(bodies, most):
    """(rows of each part, how often each of its rows counts, place of each body among these rows) of bodies (N*M, I, C, T, V).

    At most `most` parts; and the most frequent body, where enough are equal, is one more, of one row.
    """
    size = bodies.shape[-2] * bodies.shape[-1]
    keys = [body.tobytes() for body in bodies]
    ((common, count),) = Counter(keys).most_common(1)
    merge = count > 1 and (count - 1) * size >= SMALLEST_SAVING
    single = np.array([not merge or key != common for key in keys])
    most = max(min(most, int(single.sum()) * size // max(SMALLEST_PART, 1)), 1)
    rows = [part for part in np.array_split(np.flatnonzero(single), most) if len(part)]
    place, times = np.where(single, single.cumsum() - 1, single.sum()), [1] * len(rows)
    return ([*rows, [keys.index(common)]], [*times, count], place) if merge else (rows, times, place)


class PartExchange:
    """What the parts of one batch pass to each other."""

    def __init__(self, times):
        self.times, self.values, self.reason = times, [None] * len(times), None
        self.barrier = threading.Barrier(len(times))

    def gather(self, part, value):
        """The values of all parts, in their order; waits for them. Raises BrokenBarrierError where one failed."""
        self.values[part] = value
        self.barrier.wait()
        values = list(self.values)
        self.barrier.wait()  # none passes the next before all have read this
        return values

    def abort(self, reason):
        self.reason = self.reason or reason
        self.barrier.abort()


def _copy(model):
    """A copy of the network whose batch norms are BatchNormOfPart; their running statistics are the model's own."""
    network = copy.deepcopy(model)
    for mine, its in zip(model.sublayers(), network.sublayers(), strict=True):
        if isinstance(mine, nn.BatchNorm2D):
            its.__class__ = BatchNormOfPart
            its._mean, its._variance = mine._mean, mine._variance
    return network


class BatchNormOfPart(BatchNorm):
    """Batch norm of one part of a batch by the statistics of the whole. The first part moves the running statistics."""

    def forward(self, x, conv_bias=None):
        if not self.training or len(self.exchange.times) == 1:
            return super().forward(x, conv_bias)
        mean, variance, count = self.statistics(x)
        if self.part == 0:
            self.move(mean if conv_bias is None else mean + conv_bias, variance)
        exact = self.sums_exactly(x)
        x, weight, bias = _WholeBatchStatistics.apply(x, self.weight, self.shift(conv_bias), self, mean, variance, count)
        bias = bias + 0.0  # a hook on what a PyLayer returns changes nothing
        y = F.batch_norm(x, mean, variance, weight, bias, False, epsilon=self._epsilon)
        if exact:
            sum_exactly(y, bias)
        return y

    @paddle.no_grad()
    def move(self, mean, variance):
        """Move the running statistics towards those of a batch."""
        for running, value in ((self._mean, mean), (self._variance, variance)):
            paddle.assign(self._momentum * running + (1 - self._momentum) * value, running)

    @paddle.no_grad()
    def statistics(self, x):
        """Mean and variance (C,) over all parts, and how many values each is of."""
        C = x.shape[1]
        mean, variance = paddle.zeros([C]), paddle.zeros([C])
        if x.size > C:
            F.batch_norm(x, mean, variance, None, None, True, 0.0)  # without momentum it sets both to those of x
        else:  # a single value, for which it sets nothing
            mean = x.flatten()
        count = x.size // C * self.exchange.times[self.part]
        counts, means, variances = zip(*self.exchange.gather(self.part, (count, mean, variance)), strict=True)
        means, variances = paddle.stack(means), paddle.stack(variances)
        shares = paddle.to_tensor(np.array(counts, "float32")[:, None] / sum(counts))
        mean = (shares * means).sum(0)
        return mean, (shares * (variances + (means - mean).square())).sum(0), sum(counts)


class _WholeBatchStatistics(PyLayer):
    """x, weight and bias for a batch norm by fixed statistics, as they are; backward adds what goes through the statistics."""

    @staticmethod
    def forward(ctx, x, weight, bias, bn, mean, variance, count):
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.bn, ctx.share, ctx.is_data = bn, bn.exchange.times[bn.part] / count, x.stop_gradient
        return x.view(x.shape), weight.clone(), bias.clone()  # new tensors to autograd; the large one shares its memory

    @staticmethod
    def backward(ctx, dx, dweight, dbias):
        x, weight, mean, variance = ctx.saved_tensor()
        gradients = zip(*ctx.bn.exchange.gather(ctx.bn.part, (dweight, dbias)), strict=True)
        if ctx.is_data:
            return None, dweight, dbias, None, None
        epsilon = ctx.bn._epsilon
        scale = -ctx.share * weight * paddle.rsqrt(variance + epsilon)
        through_variance, through_mean = (scale * sum(parts[1:], parts[0]) for parts in gradients)
        dx.add_(F.batch_norm(x, mean, variance, through_variance, through_mean, False, epsilon=epsilon))
        return dx, dweight, dbias, None, None
