"""The exported network against the machine: its multiply-accumulates a second, and those of a large matrix product.

python -m benchmarks.roofline [--repeats 15]
"""

import argparse
import math
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks import networks
from benchmarks.scaling import export
from benchmarks.timing import environment, in_turn, once

SIZE = 2048  # of the square matrices whose product is the measure


def count(file, bodies):
    """(multiply-accumulates of convolutions, of matrix products) of one sample of an ONNX program, by its tensors' shapes."""
    import onnx
    import onnxruntime

    network = onnx.load(file)
    graph = network.graph
    nodes = [node for node in graph.node if node.op_type in ("Conv", "MatMul")]
    names = sorted({name for node in nodes for name in (node.output[0], *node.input)})
    del graph.output[:]
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)  # an output of each: their shapes are what is wanted
    session = onnxruntime.InferenceSession(network.SerializeToString())
    values = session.run(names, {"x": networks.clips(1, bodies, slots=bodies)})
    shapes = {name: value.shape for name, value in zip(names, values, strict=True)}
    work = {"Conv": 0, "MatMul": 0}
    for node in nodes:
        inner = shapes[node.input[1]][1:] if node.op_type == "Conv" else shapes[node.input[0]][-1:]
        work[node.op_type] += math.prod(shapes[node.output[0]]) * math.prod(inner)
    return work["Conv"], work["MatMul"]


def sgemm():
    """Side: a product of two square float32 matrices."""
    a, b = np.random.default_rng(0).normal(size=(2, SIZE, SIZE)).astype("float32")
    return lambda: float((a @ b)[0, 0])


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.roofline", description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    os.environ.update(environment())
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.npz"
        once(networks.make_weights, weights)
        files = {bodies: once(export, weights, folder, networks.FRAMES, bodies, "onnx")[1] for bodies in (2, 1)}
        sides = {bodies: (networks.run_program, file, "onnxruntime", 1, bodies) for bodies, file in files.items()}
        taken = in_turn({"matrix product": (sgemm,), **sides}, repeats, warm_up=2)
        rate = SIZE**3 / median(taken["matrix product"].seconds) / 1e9
        print(f"matrix product, {SIZE} x {SIZE}, float32: {rate:.1f} GMAC/s")
        for bodies, file in files.items():
            convolutions, products = (operations / 1e9 for operations in count(file, bodies))
            speed = 1 / median(taken[bodies].seconds)
            done = (convolutions + products) * speed
            print(
                f"ONNX Runtime, bodies {bodies}: {convolutions:.2f} GMAC of convolutions, {products:.2f} of products a sequence,"
            )
            print(f"  {speed:.1f} sequences/s = {done:.1f} GMAC/s, {done / rate:.0%} of the matrix product's")


if __name__ == "__main__":
    sys.exit(main())
