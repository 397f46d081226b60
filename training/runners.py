"""How a network is run on batches of features: whole (GPU), or in groups side by side (CPU); without frames that need no work."""

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import paddle
from paddle import nn

from model.layers import BatchNorm
from model.nets import EfficientGCN
from utils.errors import UserError
from utils.log import get_logger

from .device import to_device
from .group_norm import Exchange, GroupBatchNorm

# Each group has its own Python work to do, and of Python one thread runs at a time. Measured at 32, 72 and 288 frames, 2 threads:
MOST_GROUPS = 8
SMALLEST_GROUP = 14_400  # bodies x frames x joints that are worth a thread
BATCH_NORMS = (nn.BatchNorm, nn.BatchNorm1D, nn.BatchNorm2D, nn.BatchNorm3D, nn.SyncBatchNorm)
DROPOUTS = (nn.Dropout, nn.Dropout2D, nn.Dropout3D, nn.AlphaDropout)
DRAWS = "a layer draws random numbers (F.dropout?), others in groups of a batch than whole; with paddle.nn.Dropout it runs whole"
FRAMES_STEP = 32  # on a GPU, where each shape of a batch has to be set up


class Runner:
    """Features (N, I, C, T, V, M), NumPy float32 -> logits (N, classes) of `model`, by one call of the network.

    Of recordings that have ended by then only the frames that differ are computed (model/frames.py), up to what the longest
    needs, rounded up to FRAMES_STEP; `all_frames`: all of them.
    """

    def __init__(self, model, all_frames=False):
        self.model, self.step = model, FRAMES_STEP
        synchronised = any(isinstance(layer, nn.SyncBatchNorm) for layer in model.sublayers())  # it knows no weights
        self.all_frames = all_frames or synchronised

    def __call__(self, features):
        T = features.shape[3]
        computed = self.model.frames.needed(T if self.all_frames else ends(features).max(), T, self.step)
        prepare(self.model, self.model, Exchange([1]), 0, computed, T)
        try:
            return self.model(to_device(np.ascontiguousarray(features[:, :, :, :computed])))[0]
        finally:
            self.model.frames.leave_out(T, T)

    def backward(self, loss):
        """Add the gradients of `loss`, made from the last call's logits, to those of the model's parameters."""
        loss.backward()

    def for_evaluation(self):
        """A Runner of the network as it is now, for a pass in which it does not change."""
        return self


class ThreadedRunner(Runner):
    """The same numbers on `threads` threads of a CPU, most of whose kernels in Paddle run on one thread each.

    The bodies of a batch are divided into groups of like length; each runs in its thread through a copy of the network, whose
    batch norms take statistics over all groups. Bodies that are not there are computed once and count as often as they occur.
    `folded`: makes of it a quicker Runner for evaluation.
    """

    def __init__(self, model, threads, all_frames=False, folded=None):
        super().__init__(model, all_frames)
        self.whole = whole_only(model)
        if self.whole:
            get_logger().info(f"{self.whole} would change the numbers in groups: batches run whole, slower")
        self.step, self.threads, self.copies, self.outs, self.pooled = 1, threads, [], [], None
        self.folded, self.exchange, self.pool = folded, None, ThreadPoolExecutor(MOST_GROUPS + 1)

    def __call__(self, features):
        if self.whole:
            return super().__call__(features)
        self.outs, with_gradient = [], paddle.is_grad_enabled()
        T = features.shape[3]
        last = np.full(features.shape[:1] + features.shape[-1:], T) if self.all_frames else ends(features)  # (N, M)
        needed = np.array([self.model.frames.needed(end, T) for end in last.flat])
        unlike = np.unique(needed[last.flat > 0]).size > 1  # else more groups than threads leave out no more frames
        most = MOST_GROUPS if unlike else self.threads
        groups, times, place = divide(features, last.reshape(-1), needed, most, SMALLEST_GROUP)
        self.share = max(self.threads // len(groups), 1)
        use_threads(self.share)
        if len(groups) == 1 and times == [1]:
            return super().__call__(features)
        self.exchange = Exchange(times)
        networks = self.networks(len(groups))

        def forward(group, network, rows):
            computed = int(needed[rows].max())
            prepare(self.model, network, self.exchange, group, computed, T)
            with paddle.set_grad_enabled(with_gradient):  # is a thread's own
                x = paddle.to_tensor(np.ascontiguousarray(bodies(features[:, :, :, :computed], rows).swapaxes(0, 1)))
                return network.pool(network.streams(x))

        drawn = next_random()
        outs = self.side_by_side(forward, range(len(groups)), networks, groups)
        if next_random() != drawn:
            raise UserError(DRAWS)
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
            found = [parameter.grad for parameter in its if parameter.grad is not None]
            if found:
                mine.grad = paddle.add_n(found if mine.grad is None else [mine.grad, *found])
            for parameter in its:
                parameter.clear_gradient(False)

    def for_evaluation(self):
        return self.folded(self) if self.folded and not (self.all_frames or self.whole) else self

    def networks(self, count):
        """So many copies of the network, which share its weights and running statistics."""
        while len(self.copies) < count:
            statistics = {id(p): p for p in self.model.parameters() if p.stop_gradient}
            self.copies.append(copy.deepcopy(self.model, memo=statistics))
        for network in self.copies[:count]:
            for mine, its in zip(self.model.parameters(), network.parameters(), strict=True):
                mine._share_buffer_to(its)
        return self.copies[:count]

    def side_by_side(self, function, *arguments):
        """[function(...) of each group]; raises what the first group that failed raised."""

        def guarded(*given):
            use_threads(self.share)
            try:
                return function(*given)
            except BaseException as error:
                self.exchange.reason = self.exchange.reason or error
                self.exchange.barrier.abort()
                raise

        futures = [self.pool.submit(guarded, *given) for given in zip(*arguments, strict=True)]
        failed = [future.exception() for future in futures]
        if any(failed):
            raise self.exchange.reason
        return [future.result() for future in futures]


def use_threads(number):
    """Have Paddle compute on so many threads: MKL everywhere, OpenMP where this thread calls it; its idle threads cost time."""
    paddle.base.core.set_num_threads(number)


def next_random():
    """The number that Paddle draws next on a CPU, and still draws next after this."""
    state = paddle.get_rng_state()
    number = paddle.rand([1]).item()
    paddle.set_rng_state(state)
    return number


def whole_only(model):
    """Name of a layer that groups of a batch would compute wrongly without a word, as a user's own may be; None: there is none.

    It looks at a whole batch, draws random numbers in each group's thread, or is a forward pass that groups do not take.
    """
    if type(model).forward is not EfficientGCN.forward:
        return f"{type(model).__name__}.forward"
    for name, layer in model.named_sublayers():
        batch = isinstance(layer, BATCH_NORMS) and not isinstance(layer, BatchNorm)
        random = isinstance(layer, DROPOUTS) and layer.p and not name.startswith("classifier.")
        if batch or random:
            return f"{name} ({type(layer).__name__})"
    return None


def prepare(model, network, exchange, group, computed, total):
    """Make `network`, the model or a copy of it, ready for one group of a batch: `computed` of `total` frames."""
    network.train() if model.training else network.eval()
    network.frames.leave_out(computed, total)
    for layer in network.sublayers():
        if isinstance(layer, nn.BatchNorm2D):
            layer.__class__ = GroupBatchNorm
            layer.exchange, layer.group, layer.frames = exchange, group, network.frames


def ends(features):
    """(N, M): where the features (N, I, C, T, V, M) of each body become constant in time: 0 to T, T where they never do."""
    N, _, _, T, V, M = features.shape
    rows = features.reshape(N, -1, T, V * M)
    changes = (rows != rows[:, :, -1:]).any(axis=1).reshape(N, T, V, M).any(axis=2)  # (N, T, M)
    return np.where(changes.any(1), T - changes[:, ::-1].argmax(1), 0)


def bodies(features, rows):
    """Bodies (n, I, C, T, V) of features (N, I, C, T, V, M): those whose numbers, counted sample by sample, are in `rows`."""
    return np.moveaxis(features, -1, 1)[np.divmod(rows, features.shape[-1])]


def divide(features, last, needed, most, smallest):
    """(rows of each group, how often each of its rows counts, place of each body among these rows) of features' N*M bodies.

    `last`: where each ends, `needed`: how many of its frames are computed. There are at most `most` groups, of like length and
    about equal work, `smallest` (bodies x frames x joints) or more; the bodies that are not there, all alike, are one group
    more, of one row.
    """
    nobody = np.flatnonzero(last == 0)
    empty = bodies(features[:, :, :, -1:], nobody)
    alike = nobody[(empty == empty[:1]).all(axis=(1, 2, 3, 4))]
    single = np.setdiff1d(np.arange(len(last)), alike if len(alike) > 1 else [])
    single = single[np.argsort(needed[single], kind="stable")]
    work = np.cumsum(needed[single]) * features.shape[4]
    most = max(min(most, int(work[-1]) // smallest if len(work) else 0), 1)
    number = (work - 1) * most // work[-1] if len(work) else work
    groups = [single[number == i] for i in range(most) if (number == i).any()]
    times, place = [1] * len(groups), np.empty(len(last), int)
    place[single] = np.arange(len(single))
    if len(alike) > 1:
        groups, times = [*groups, alike[:1]], [*times, len(alike)]
        place[alike] = len(single)
    return groups, times, place
