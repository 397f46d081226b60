"""Training and evaluation on the CPU against eager PyTorch and the plain Paddle port, on recordings of the lengths of NTU's."""

import subprocess
import tempfile

from benchmarks import networks
from benchmarks.timing import once, one_at_a_time, several, start

TWO, MIX, FULL = "two people", "NTU's mix", "288 frames, two people"
RECORDINGS = {TWO: (2, True), MIX: (networks.MIX, True), FULL: (2, False)}  # bodies, NTU's lengths
ALL_FRAMES = "ec918aa"  # the last commit before frames were left out
CALLS = 2  # steps that count in each process
CLOSE = 1e-3  # of losses, relative
BATCHES = (1, 4, 16)  # of PyTorch's evaluation, whose best counts


def check_out(commit, folder):
    """Write the files of `commit` into `folder`; whether there is such a commit here."""
    return subprocess.run(f"git archive {commit} | tar -x -C {folder}", shell=True, check=False).returncode == 0


def main(argv=None):
    more = {"batch": (16, "samples of a step"), "weights": (None, "checkpoint; else seeded numbers")}
    options, report = start(__spec__.name, __doc__, 4, argv, **more)
    batch = 2 if options.quick else options.batch
    with tempfile.TemporaryDirectory() as folder:
        once(networks.make_weights, folder, options.weights)
        weights = f"{folder}/weights.npz"
        sides = {}
        for kind, recordings in RECORDINGS.items():
            sides["ours", kind] = (networks.train, "ours", weights, batch, *recordings)
            if kind == FULL and check_out(ALL_FRAMES, folder):  # next to ours, as the machine drifts
                sides["before", FULL] = (networks.train_before, folder, weights, batch, 2)
            sides["eager PyTorch", kind] = (networks.train, "torch", weights, batch, *recordings)
        sides["ours, all frames", TWO] = (networks.train, "all frames", weights, batch, *RECORDINGS[TWO])
        sides["plain Paddle port", TWO] = (networks.train, "paddle", weights, batch, *RECORDINGS[TWO])
        steps = one_at_a_time(sides, options.repeats, CALLS)
        turns = {"ours -e": (networks.infer, "ours", weights, batch, *RECORDINGS[MIX])}
        for size in BATCHES:
            turns[f"eager PyTorch, batch {size}"] = (several, batch // size, networks.infer, "torch", weights, size)
        scored = one_at_a_time({name: side for name, side in turns.items() if 0 not in side}, options.repeats, CALLS)
    for (name, kind), side in steps.items():
        losses, expected = (one.values[: 1 + CALLS] for one in (side, steps["eager PyTorch", kind]))
        if name != "before" and max(abs(a - b) / b for a, b in zip(losses, expected, strict=True)) > CLOSE:
            raise SystemExit(f"error: losses differ: {name}, {kind} {losses}, eager PyTorch {expected}")
    report.note(
        f"losses of {1 + CALLS} steps (dropout 0) are equal within {CLOSE:g} on all sides; the older commit has other clips"
    )
    rates = {
        (name, kind): report.add(f"{name}, {kind}", [batch / seconds for seconds in side.seconds], "sequences/s")
        for (name, kind), side in [*steps.items(), *(((name, "evaluation"), side) for name, side in scored.items())]
    }
    for kind, wanted, aim in ((TWO, 1.8, 2.3), (MIX, 2.5, 3.5), (FULL, 1.0, None)):
        report.compare(f"training, batch {batch}, {kind}", rates["ours", kind], rates["eager PyTorch", kind], wanted, aim)
    if ("before", FULL) in rates:
        job = f"training, {FULL}, against {ALL_FRAMES}, which left out nothing"
        report.compare(job, rates["ours", FULL], rates["before", FULL], 0.97, aim=1.0)
    report.compare(f"training, {TWO}, against the plain Paddle port", rates["ours", TWO], rates["plain Paddle port", TWO], 2.0)
    report.compare(f"training, {TWO}, against ours on all frames", rates["ours", TWO], rates["ours, all frames", TWO], None)
    ours, *others = (rate for (_, kind), rate in rates.items() if kind == "evaluation")
    report.compare("evaluation (-e), NTU's mix", ours, max(others, key=lambda side: side.median), 3.0, aim=5.0)
    return report


if __name__ == "__main__":
    main()
