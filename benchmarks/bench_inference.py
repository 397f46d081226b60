"""Recognition on the CPU, .skeleton in to class out, against eager PyTorch's network alone at its best batch; start-up apart.

Recordings have NTU's lengths and one or two people; PyTorch computes 288 frames and two bodies, as its users do.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import networks
from benchmarks.recordings import make_recordings
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
        _, expected = once(networks.infer, "torch", weights, batch, bodies)
        found = {
            "our network": once(networks.infer, "ours", weights, batch, bodies),
            "plain Paddle port": once(networks.infer, "paddle", weights, batch, bodies),
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
        programs = {"Paddle Inference": (two, "native"), "ONNX Runtime": (two, "onnxruntime")}
        check_equal(report, weights, {**programs, "ONNX Runtime, one-body program": (one, "onnxruntime")})
        pairs, single = (make_recordings(Path(folder, name), TURN, None, two_people=name == "two") for name in ("two", "one"))
        sides = {f"eager PyTorch, batch {n}": (several, TURN // n, networks.infer, "torch", weights, n) for n in batches}
        sides |= {
            "two people, ONNX Runtime": (networks.recognise, two, "onnxruntime", pairs),
            "two people, Paddle Inference": (networks.recognise, two, "native", pairs),
            "one person, ONNX Runtime": (networks.recognise, one, "onnxruntime", single),
            "288 frames, two people, ONNX Runtime": (several, TURN, networks.run_program, two, "onnxruntime", 1),
            "288 frames, two people, Paddle Inference": (several, TURN, networks.run_program, two, "native", 1),
        }
        taken = one_at_a_time(sides, options.repeats, CALLS)
    rates = {name: report.add(name, [TURN / s for s in side.seconds], "sequences/s") for name, side in taken.items()}
    torch = max((rate for name, rate in rates.items() if name.startswith("eager")), key=lambda side: side.median)
    for name, wanted, aim in (
        ("two people, ONNX Runtime", 4.0, 5.0),
        ("one person, ONNX Runtime", 8.0, 10.0),
        ("two people, Paddle Inference", 1.3, 2.0),
    ):
        report.compare(f"recognition, recordings of {name}", rates[name], torch, wanted, aim)
    for engine in ("ONNX Runtime", "Paddle Inference"):
        report.compare(f"the network alone, {engine}, 288 frames", rates[f"288 frames, two people, {engine}"], torch, None)
    return report


if __name__ == "__main__":
    main()
