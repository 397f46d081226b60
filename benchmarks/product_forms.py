"""What each part of the form for Paddle Inference (export/products.py) is worth: native engine, samples of two bodies one by one.

    python -m benchmarks.product_forms [--repeats 6]

Seeded weights. The forms take turns of 8 samples, each in a process of its own, two turns a round after one that does not count.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks import networks
from benchmarks.timing import environment, once, one_at_a_time, several

TURN, CALLS = 8, 2


def write_forms(weights, folder):
    """Side: write the network in each form; the value is {what it is: program file}."""

    def run():
        model = networks.build_ours(weights)
        from export.folded import convolution
        from export.joint_major import JointMajorGCN
        from export.products import ProductGCN
        from export.program import write_paddle

        class Convolutions(ProductGCN):
            make_conv = staticmethod(convolution)

        class Depthwise(ProductGCN):
            def make_conv(self, weight, stride, groups):
                return super().make_conv(weight, stride, groups) if groups > 1 else convolution(weight, stride, groups)

        forms = {
            "joint-major, as for ONNX Runtime": JointMajorGCN,
            "joints and frames innermost": Convolutions,
            "and depthwise as products": Depthwise,
            "and all convolutions as products": ProductGCN,
        }
        files = {}
        for number, (name, form) in enumerate(forms.items()):
            program = form(model)
            program.eval()
            files[name] = str(write_paddle(program, Path(folder) / str(number), [3, 6, networks.FRAMES, 25, 2], ["logits"])[0])
        return files

    return run


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.product_forms", description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=6, help="rounds (default 6)")
    repeats = parser.parse_args().repeats
    os.environ.update(environment())
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.npz"
        once(networks.make_weights, weights)
        files = once(write_forms, weights, folder)[1]
        sides = {name: (several, TURN, networks.run_program, file, "native", 1) for name, file in files.items()}
        taken = one_at_a_time(sides, repeats, CALLS)
    for name, side in taken.items():
        times = [1000 * seconds / TURN for seconds in side.seconds]
        print(f"{name:34} {median(times):6.1f} ms ({min(times):.1f} to {max(times):.1f})")


if __name__ == "__main__":
    sys.exit(main())
