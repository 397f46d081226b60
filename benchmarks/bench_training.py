"""Training on the CPU: our step against eager PyTorch's and the plain Paddle port's; clips of one body against two."""

import tempfile

from benchmarks import networks
from benchmarks.timing import once, one_at_a_time, start

SIDES = {
    "our step, two bodies": (2, networks.train_ours, True),
    "the same, not in parts": (2, networks.train_ours, False),
    "eager PyTorch": (2, networks.train_plain, "torch"),
    "plain Paddle port": (2, networks.train_plain, "paddle"),
    "our step, clips of one body": (1, networks.train_ours, True),
}
CALLS = 2  # steps that count in each process
CLOSE = 1e-3  # of losses, relative


def main(argv=None):
    more = {"batch": (16, "samples of a step"), "weights": (None, "checkpoint; else seeded numbers")}
    options, report = start(__spec__.name, __doc__, 3, argv, **more)
    batch = 2 if options.quick else options.batch
    with tempfile.TemporaryDirectory() as folder:
        once(networks.make_weights, folder, options.weights)
        sides = {name: (*side, f"{folder}/weights.npz", batch, bodies) for name, (bodies, *side) in SIDES.items()}
        taken = one_at_a_time(sides, options.repeats, CALLS)
    expected = taken["eager PyTorch"].values[: 1 + CALLS]
    for name, (bodies, *_) in SIDES.items():
        losses = taken[name].values[: 1 + CALLS]
        if bodies == 2 and max(abs(a - b) / b for a, b in zip(losses, expected, strict=True)) > CLOSE:
            raise SystemExit(f"error: losses differ: {name} {losses}, eager PyTorch {expected}")
    report.note(f"losses of {1 + CALLS} steps (dropout 0) are equal within {CLOSE:g} on all sides: {expected}")
    ours, _, torch, plain, one = (
        report.add(name, [batch / seconds for seconds in side.seconds], "sequences/s", f"batch {batch}")
        for name, side in taken.items()
    )
    report.compare("training on the CPU, batch 16, two bodies", ours, torch, 1.0, aim=1.3)
    report.compare("the same, against the plain Paddle port", ours, plain, 2.0)
    report.compare("training, clips of one body, against two", one, ours, None, aim=1.4)
    return report


if __name__ == "__main__":
    main()
