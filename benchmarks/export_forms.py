"""What the exported form of the network is worth: CPU time of one sample, trained form against exported form.

    python benchmarks/export_forms.py [--repeats 12] [--config 2001]

One thread, batch 1, weights as initialised, the same seeded input; the programs take turns. CPU time of the process, not wall
time, so that other processes on the machine count little. Printed: least and median of the repeats, and the ratio of the least.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from utils.process import start_paddle


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--config", default="2001")
    options = parser.parse_args()
    start_paddle()
    import paddle

    import initializer
    from export.program import write_onnx, write_paddle, write_program
    from inference.engines import open_engine
    from options.schema import load_config

    class Trained(paddle.nn.Layer):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, x):
            return self.network(x)[0]

    config = load_config(options.config)
    network = initializer.build_model(config)
    network.eval()
    *shape, M = initializer.data_shape(config)
    trained = Trained(network)
    trained.eval()
    for engine, to, write in (
        ("native", "paddle", write_paddle),
        ("onednn", "paddle", write_paddle),
        ("onnxruntime", "onnx", write_onnx),
    ):
        with tempfile.TemporaryDirectory() as folder:
            runs, times = {}, {}
            forms = {
                f"trained, {M} bodies": (M, write(trained, Path(folder) / "trained", [*shape, M], ["logits"])),
                f"exported, {M} bodies": (M, write_program(network, to, Path(folder) / "all", [*shape, M])),
                "exported, 1 body": (1, write_program(network, to, Path(folder) / "one", [*shape, 1])),
            }
            for name, (bodies, (file, _)) in forms.items():
                x = np.random.default_rng(0).normal(0, 0.3, (1, *shape, bodies)).astype("float32")
                runs[name], times[name] = (open_engine(file, engine, cpu_threads=1), x), []
            for _ in range(options.repeats + 1):
                for name, (run, x) in runs.items():
                    start = time.process_time()
                    run(x)
                    times[name].append(1000 * (time.process_time() - start))
        first = min(next(iter(times.values()))[1:])
        for name, taken in times.items():
            least = min(taken[1:])
            print(f"{engine:12} {name:20} {least:7.1f} ms CPU (median {median(taken[1:]):7.1f})  x {first / least:.2f}")


if __name__ == "__main__":
    main()
