"""What a network computes in mixed precision on a GPU, traced on a CPU: types of tensors, and bytes that are kept for backward.

A traced program gets its casts from Paddle's own rule (paddle/fluid/imperative/amp_utils.h, one for tensors and for programs).
Float16 is traced as bfloat16: Paddle's lists for both hold the same operations of ours, but its CPU build has no float16 product.
It has neither batch norm nor maxima of 16 bits: leaky_relu, which has the type of its input too and keeps as much, and means take their
places.
"""

import math
from collections import Counter, defaultdict

import paddle
import paddle.nn.functional as F
from paddle.amp.auto_cast import amp_initialize

from initializer import build_model
from model.layers import BatchNorm, SpatialGraphConv
from options.schema import load_config

KEPT = {"conv2d": [0], "depthwise_conv2d": [0], "leaky_relu": [0], "swish": [0], "hardswish": [0], "matmul": [0, 1], "multiply": [0, 1]}
LARGE = 2**20  # values


def stand_in(self, x, conv_bias=None):
    return F.leaky_relu(x)


def mean(x, size):
    return x.mean([2, 3], keepdim=True)


def trace(monkeypatch, amp, *options, name="2001", half=False):
    """(bytes kept for backward, {operation: Counter of the types of its large results}) of a batch of 16, 288 frames, two bodies.

    `half`: parameters are as O2 has them. `amp`: arguments of auto_cast, None: float32.
    """
    monkeypatch.setattr(BatchNorm, "forward", stand_in)
    monkeypatch.setattr(F, "adaptive_max_pool2d", mean)
    model = build_model(load_config(name, options))
    model.train()
    if half:
        amp_initialize([model], "bfloat16", [SpatialGraphConv])
    amp = {**amp, "dtype": "bfloat16"} if amp else {"enable": False}

    def pooled(x):
        with paddle.amp.auto_cast(**amp):
            return model.pool(model.streams(x))

    spec = paddle.static.InputSpec([model.num_branches, 32, 6, 288, 25], "float32", "x")
    program = paddle.jit.to_static(pooled, full_graph=True, input_spec=[spec]).concrete_program.main_program
    kept, types = {}, defaultdict(Counter)
    for operation in program.global_block().ops:
        kind = operation.name().rpartition(".")[2]
        for value in (operation.operand_source(i) for i in KEPT.get(kind, ())):
            kept[value.id] = math.prod(value.shape) * (2 if value.dtype == paddle.bfloat16 else 4)
        first = operation.results()[0] if operation.num_results() else None
        if first is not None and kind in (*KEPT, "concat", "add", "mean", "cast") and math.prod(first.shape) >= LARGE:
            types[kind][str(first.dtype).rpartition(".")[2].lower()] += 1
    return sum(kept.values()), types
