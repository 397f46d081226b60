"""Evaluation on a CPU: a network that is only scored runs in the form that is exported for CPUs, two bodies at a time."""

from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import numpy as np
import paddle

from training.runners import bodies, divide, ends, use_threads
from utils.log import get_logger

from .products import ProductGCN

GROUP = 8_000  # bodies x frames x joints that a thread computes at a time: their tensors stay in its cache
CLOSE = 1e-5  # of logits, relative to the largest


class FoldedRunner:
    """Features (N, I, C, T, V, M), NumPy float32 -> logits (N, classes) of `runner`'s model as it is now, without gradients.

    The first batch is computed by `runner` as well. Where the two differ, or the form can't be made, as may be with layers of
    your own, `runner` goes on alone.
    """

    def __init__(self, runner):
        self.runner, self.forms, self.first, self.nobody = runner, SimpleQueue(), True, {}
        self.pool = ThreadPoolExecutor(runner.threads)

    def __call__(self, features):
        if self.first:
            self.first = False
            return self.compare(features)
        return self.runner(features) if self.forms.empty() else self.compute(features)

    def compare(self, features):
        """The runner's logits of the first batch; without forms from then on, where they do not give the same."""
        expected, reason = self.runner(features), None
        try:
            for _ in range(self.runner.threads):
                form = ProductGCN(self.runner.model, (*features.shape[1:5], 1))
                form.eval()
                self.forms.put(form)
            difference = float((self.compute(features) - expected).abs().max() / expected.abs().max())
            reason = None if difference <= CLOSE else f"its logits differ by {difference:.1e} of the largest"
        except Exception as error:  # whatever there is in a layer that the form does not know
            reason = f"{type(error).__name__}: {error}"
        if reason:
            self.forms = SimpleQueue()
            get_logger().info(f"Evaluating the network as it is trained, as its form for CPUs is of no use ({reason})")
        return expected

    def compute(self, features):
        N, _, _, T, _, M = features.shape
        last = ends(features).reshape(-1)
        needed = np.array([self.runner.model.frames.needed(end, T) for end in last])
        groups, _, place = divide(features, last, needed, most=N * M, smallest=GROUP)
        logits = paddle.concat(list(self.pool.map(lambda rows: self.one_body(bodies(features, rows)), groups)))
        return paddle.index_select(logits, paddle.to_tensor(place)).reshape([N, M, -1]).mean(1)

    def one_body(self, x):
        """Logits of bodies (n, I, C, T, V); of a sample, they are the mean of its bodies', as the classifier is linear.

        Those of a body that is not there are kept: it is the same in all batches.
        """
        still = x[:, :, :, -1].tobytes() if (x == x[:, :, :, -1:]).all() else None
        if still in self.nobody:
            return self.nobody[still]
        form = self.forms.get()
        try:
            use_threads(1)
            with paddle.no_grad():
                logits = form(paddle.to_tensor(x[..., None]))
            if still:
                self.nobody = {still: logits}
            return logits
        finally:
            self.forms.put(form)
