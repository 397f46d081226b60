"""Batches in a fixed order, computed ahead by threads. No Paddle.

Threads, not processes: a batch is a few large NumPy operations, which release the interpreter's lock, so threads keep several
cores busy, and there is no worker to die, to leave behind, or to seed.
"""

from collections import deque
from concurrent.futures import ThreadPoolExecutor


class Loader:
    """Iterates over `feeder.batch(indices)` for each list of indices that `batches` yields, up to 2 a worker ahead."""

    def __init__(self, feeder, batches, workers):
        self.feeder, self.batches, self.workers = feeder, batches, workers

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        if self.workers == 0:
            yield from map(self.feeder.batch, self.batches)
            return
        pool, ahead = ThreadPoolExecutor(self.workers), deque()
        try:
            for indices in self.batches:
                ahead.append(pool.submit(self.feeder.batch, indices))
                if len(ahead) > 2 * self.workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:  # the reader may stop early: what is not begun need not be
            pool.shutdown(cancel_futures=True)
