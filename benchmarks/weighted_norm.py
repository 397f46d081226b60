"""Would clips of one body train faster if the empty second body were computed once? Batch norm decides: this measures it.

    python -m benchmarks.weighted_norm [--repeats 9]

All empty bodies of a batch are equal, so that one row could stand for 16, if batch norm counted it 16 times. Paddle's own
kernel counts every row once; one made of means as products can count. Measured: forward and backward of both on a tensor of
the stem, the kernel with 16 bodies and 16 empty ones, the other with 16 and one. CPU time, so that others count little.
"""

import argparse
import sys
import time
from statistics import median

import numpy as np

from utils import start_paddle


def weighted_norm(bn, x, counts):
    """Batch norm of x (rows, C, T, V) in training, each row counted as often as `counts` (rows,) says."""
    import paddle

    rows, C, T, V = x.shape
    average = paddle.full([T * V, 1], 1.0 / (T * V))
    share = (counts / counts.sum()).unsqueeze(0)
    flat = x.reshape([rows, C, T * V])
    mean = paddle.matmul(share, paddle.matmul(flat, average).squeeze(-1))
    square = paddle.matmul(share, paddle.matmul(flat * flat, average).squeeze(-1))
    scale = bn.weight * paddle.rsqrt(square - mean * mean + bn._epsilon)
    return x * scale.reshape([1, C, 1, 1]) + (bn.bias - mean * scale).reshape([1, C, 1, 1])


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.weighted_norm", description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    start_paddle()
    import paddle

    paddle.seed(0)
    for C, T in ((64, 288), (128, 72)):
        bn = paddle.nn.BatchNorm2D(C)
        bodies, nobody = paddle.randn([16, C, T, 25]), paddle.zeros([1, C, T, 25])
        whole, short = paddle.concat([bodies, *[nobody] * 16]), paddle.concat([bodies, nobody])
        counts = paddle.to_tensor(np.r_[np.ones(16), 16].astype("float32"))
        difference = float((bn(whole)[:17] - weighted_norm(bn, short, counts)).abs().max())
        forms = {"kernel, 32 rows": (whole, bn), "counting, 17 rows": (short, lambda x: weighted_norm(bn, x, counts))}  # noqa: B023
        times = {name: [] for name in forms}
        for repeat in range(1 + options.repeats):
            for name, (x, norm) in forms.items():
                x.stop_gradient = False
                start = time.process_time()
                norm(x).backward(paddle.ones_like(x))
                if repeat:
                    times[name].append(1000 * (time.process_time() - start))
        text = ", ".join(
            f"{name}: {median(taken):.0f} ms ({min(taken):.0f} to {max(taken):.0f})" for name, taken in times.items()
        )
        print(f"{C} channels, {T} frames, equal within {difference:.0e}: {text}")


if __name__ == "__main__":
    sys.exit(main())
