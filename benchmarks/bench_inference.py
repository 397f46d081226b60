"""Inference on the CPU: the exported programs against eager PyTorch of the same network, each at its best batch size."""

import subprocess
import sys
import tempfile

import numpy as np

from benchmarks import networks
from benchmarks.timing import once, one_at_a_time, several, start

CLOSE = 1e-4  # of logits
TURN = 16  # sequences of a side's turn, in batches
CALLS = 2  # turns that count in each process


def export(folder, to, bodies=2, frames=networks.FRAMES):
    """Export FOLDER/weights.pdparams as users do; returns the program's path without its ending."""
    target = f"{folder}/{frames}_{bodies}"
    words = ["main.py", "-c", "2001", "-w", f"{folder}/workdir", "--dataset_args.ntu.num_frame", str(frames)]
    words += ["-ex", "-pp", f"{folder}/weights.pdparams", "--save_inference_dir", target]
    words += ["--export_to", to, "--export_one_body", str(bodies == 1)]
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    return f"{target}/weights"


def check_equal(report, weights, programs):
    """Stop where a side's logits are not eager PyTorch's, on clips of two bodies and of one."""
    batch = 3
    for bodies in (2, 1):
        _, expected = once(networks.infer_plain, "torch", weights, batch, bodies)
        found = {
            "our network": once(networks.infer_ours, weights, batch, bodies),
            "plain Paddle port": once(networks.infer_plain, "paddle", weights, batch, bodies),
            **{name: once(networks.infer_program, *program, batch, bodies) for name, program in programs.items()},
        }
        for name, (_, logits) in found.items():
            difference = np.abs(logits - expected).max()
            report.note(f"{name}, {bodies} bodies: logits within {difference:.1e} (largest {np.abs(expected).max():.1f})")
            if not difference <= CLOSE:
                raise SystemExit(f"error: logits of {name} differ by {difference:.1e}")


def main(argv=None):
    options, report = start(__spec__.name, __doc__, 3, argv, weights=(None, "checkpoint; else seeded numbers"))
    batches = (1,) if options.quick else (1, 2, 4, 16)
    with tempfile.TemporaryDirectory() as folder:
        once(networks.make_weights, folder, options.weights)
        weights, one = f"{folder}/weights.npz", export(folder, "onnx", bodies=1)
        two, _ = export(folder, "paddle"), export(folder, "onnx")  # side by side
        programs = {
            "Paddle Inference": (two, "native"),
            "ONNX Runtime": (two, "onnxruntime"),
            "ONNX Runtime, one-body program": (one, "onnxruntime"),
        }
        check_equal(report, weights, programs)
        sides = {("eager PyTorch", batch): (networks.infer_plain, "torch", weights, batch) for batch in batches}
        sides |= {("Paddle Inference", batch): (networks.run_program, two, "native", batch) for batch in batches[:2]}
        sides |= {("ONNX Runtime", batch): (networks.run_program, two, "onnxruntime", batch) for batch in batches[:3]}
        sides[("ONNX Runtime, one body", 1)] = (networks.infer_program, one, "onnxruntime", 1, 1)
        others = {
            ("our network, Paddle eager", 1): (networks.infer_ours, weights, 1),
            ("plain Paddle port", 1): (networks.infer_plain, "paddle", weights, 1),
        }
        best, taken = {}, {}
        for rounds, some in ((options.repeats, sides), (1, others)):
            turns = {key: (several, TURN // key[1], *side) for key, side in some.items()}
            taken |= one_at_a_time(turns, rounds, CALLS)
    for (name, batch), side in taken.items():
        measured = report.add(f"{name}, batch {batch}", [TURN / seconds for seconds in side.seconds], "sequences/s")
        best[name] = max(best.get(name, measured), measured, key=lambda one: one.median)
    torch, onnx = best["eager PyTorch"], best["ONNX Runtime"]
    report.compare("inference on the CPU, two bodies, ONNX Runtime", onnx, torch, 1.8, aim=2.3)
    report.compare("the same, Paddle Inference (native)", best["Paddle Inference"], torch, 1.0)
    report.compare("inference on the CPU, one body, ONNX Runtime", best["ONNX Runtime, one body"], torch, 4.0)
    return report


if __name__ == "__main__":
    main()
