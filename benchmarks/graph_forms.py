"""Forms of the spatial graph convolution that are equal by algebra: CPU time of forward and backward, in turn.

    python -m benchmarks.graph_forms [--repeats 6]

CPU time of all threads, so that other processes count little; shapes are those of B0's layers, 4 samples of 2 bodies.
"""

import argparse
import sys
import time
from statistics import median

from dataset.graph import NTU
from utils.process import start_paddle

SHAPES = ((6, 64, 288), (64, 48, 288), (48, 32, 288), (96, 64, 288), (64, 128, 144))  # channels in and out, frames


def forms():
    """{name: class} of layers; the model's own first."""
    import paddle
    import paddle.nn.functional as F

    from model.layers import SpatialGraphConv

    class Other(SpatialGraphConv):
        def parts(self, x):
            K = self.num_hops
            A, bias = self.A * self.edge, self.gcn.bias.reshape([K, -1])
            offset = paddle.matmul(bias, A.sum(1), transpose_x=True)
            return K, A, offset.reshape([1, -1, 1, x.shape[3]])

    class FeaturesFirst(Other):
        """The paper's order: one convolution to K x C channels, then a product for each hop, and their sum."""

        def forward(self, x):
            K, A, offset = self.parts(x)
            hops = paddle.split(F.conv2d(x, self.gcn.weight), K, axis=1)
            return sum(paddle.matmul(hop, A[d]) for d, hop in enumerate(hops)) + offset

    class Einsum(Other):
        """The same as one einsum."""

        def forward(self, x):
            K, A, _ = self.parts(x)
            y = self.gcn(x)
            return paddle.einsum("nkctv,kvw->nctw", y.reshape([y.shape[0], K, -1, *y.shape[2:]]), A)

    class Dilated(Other):
        """Neighbourhoods by one product with all hops side by side; the convolution picks the hops by dilation."""

        def forward(self, x):
            K, A, offset = self.parts(x)
            C, T, V = x.shape[1:]
            near = paddle.matmul(x.reshape([-1, V]), A.transpose([1, 0, 2]).reshape([V, K * V]))
            weight = self.gcn.weight.reshape([K, -1, C]).transpose([1, 2, 0]).unsqueeze(2)
            return F.conv2d(near.reshape([-1, C, T, K * V]), weight, dilation=(1, V)) + offset

    return {"the model's": SpatialGraphConv, "features first": FeaturesFirst, "einsum": Einsum, "dilated": Dilated}


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.graph_forms", description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=6)
    repeats = parser.parse_args().repeats
    start_paddle()
    import paddle

    classes = forms()
    print("\n".join([f"| channels, frames | {' | '.join(classes)} |", "| --- |" + " --- |" * len(classes)]))
    for inner, outer, T in SHAPES:
        paddle.seed(0)
        x = paddle.randn([8, inner, T, NTU.num_joints])
        x.stop_gradient = False
        layers = {name: form(inner, outer, NTU.adjacency(2)) for name, form in classes.items()}
        state, *_ = (layer.state_dict() for layer in layers.values())
        times, expected = {name: [] for name in layers}, None
        for layer in layers.values():
            layer.set_state_dict(state)
        for repeat in range(1 + repeats):
            for name, layer in layers.items():
                start = time.process_time()
                y = layer(x)
                y.backward(paddle.ones_like(y))
                times[name].append(1000 * (time.process_time() - start))
                expected = y if expected is None else expected
                if not repeat and float((y - expected).abs().max()) > 1e-4:
                    raise SystemExit(f"error: {name} gives other values")
        print(
            f"| {inner} to {outer}, {T} | {' | '.join(f'{median(taken[1:]):.0f} ms' for taken in times.values())} |", flush=True
        )


if __name__ == "__main__":
    sys.exit(main())
