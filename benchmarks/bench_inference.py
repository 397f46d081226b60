"""Inference on the CPU: the exported programs against eager PyTorch of the same network, each at its best batch size."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import networks
from benchmarks.timing import once, one_at_a_time, several, start

CLOSE = 1e-4  # of logits
TURN = 16  # sequences of a side's turn, in batches
CALLS = 2  # turns that count in each process

PROGRAMS = [("paddle", False), ("onnx", False), ("onnx", True)]  # kind, for one body


def export(checkpoint, folder, programs=PROGRAMS):
    """Export a checkpoint as users do: for two bodies to FOLDER/two, for one to FOLDER/one."""
    for to, one_body in programs:
        target = f"{folder}/{'one' if one_body else 'two'}"
        command = ["main.py", "-c", "2001", "-ex", "-pp", str(checkpoint), "--export_to", to, "--save_inference_dir", target]
        command += ["--export_one_body", str(one_body), "-w", f"{folder}/workdir"]
        subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)


def best(report, taken, name):
    """The side of the highest rate among those of one form, {(form, batch): Taken}; all are reported."""
    sides = [
        report.add(f"{form}, batch {batch}", [TURN / seconds for seconds in side.seconds], "sequences/s")
        for (form, batch), side in taken.items()
        if form == name
    ]
    return max(sides, key=lambda side: side.median)


def check_equal(report, weights, programs):
    """Stop where a side's logits are not eager PyTorch's, on clips of two bodies and of one."""
    batch = 3
    for bodies in (2, 1):
        _, expected = once(networks.infer_torch, weights, batch, bodies)
        found = {
            "our network": once(networks.infer_ours, weights, batch, bodies),
            "plain Paddle port": once(networks.infer_plain, weights, batch, bodies),
            **{name: once(networks.infer_program, *program, batch, bodies) for name, program in programs.items()},
        }
        for name, (_, logits) in found.items():
            difference = np.abs(logits - expected).max()
            report.note(f"{name}, {bodies} bodies: logits within {difference:.1e} (largest {np.abs(expected).max():.1f})")
            if not difference <= CLOSE:
                raise SystemExit(f"error: logits of {name} differ by {difference:.1e}")


def main():
    options, report = start(__doc__, 3, weights=(None, "checkpoint; else seeded numbers"))
    batches = (1,) if options.quick else (1, 2, 4, 16)
    with tempfile.TemporaryDirectory() as folder:
        weights, checkpoint = Path(folder) / "weights.npz", Path(folder) / "weights.pdparams"
        once(networks.make_weights, weights, options.weights, checkpoint)
        export(checkpoint, folder)
        two, one = f"{folder}/two/weights", f"{folder}/one/weights"
        programs = {
            "Paddle Inference": (two, "native"),
            "ONNX Runtime": (two, "onnxruntime"),
            "ONNX Runtime, one-body program": (one, "onnxruntime"),
        }
        check_equal(report, weights, programs)
        sides = {("eager PyTorch", batch): (networks.infer_torch, weights, batch) for batch in batches}
        sides |= {("Paddle Inference", batch): (networks.run_program, two, "native", batch) for batch in batches[:2]}
        sides |= {("ONNX Runtime", batch): (networks.run_program, two, "onnxruntime", batch) for batch in batches[:3]}
        sides[("ONNX Runtime, one body", 1)] = (networks.infer_program, one, "onnxruntime", 1, 1)
        others = {
            ("our network, Paddle eager", 1): (networks.infer_ours, weights, 1),
            ("plain Paddle port", 1): (networks.infer_plain, weights, 1),
        }
        taken = {}
        for rounds, some in ((options.repeats, sides), (1, others)):
            turns = {key: (several, TURN // key[1], *side) for key, side in some.items()}
            taken |= one_at_a_time(turns, rounds, CALLS)
    torch, native, onnx, one_body = (
        best(report, taken, name) for name in ("eager PyTorch", "Paddle Inference", "ONNX Runtime", "ONNX Runtime, one body")
    )
    for name, _ in others:
        best(report, taken, name)
    report.compare("inference on the CPU, two bodies, ONNX Runtime", onnx, torch, 1.8, aim=2.3)
    report.compare("the same, Paddle Inference (native)", native, torch, 1.0)
    report.compare("inference on the CPU, one body, ONNX Runtime", one_body, torch, 4.0)
    report.save(options.json)


if __name__ == "__main__":
    main()
