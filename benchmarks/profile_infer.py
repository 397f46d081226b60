"""Where the time of inference goes: the steps of one recording, and the operations of the ONNX program, as tables.

python -m benchmarks.profile_infer [--repeats 20]
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import networks
from benchmarks.bench_inference import export
from benchmarks.profile_train import table
from benchmarks.recordings import make_recordings
from benchmarks.timing import once


def steps(prefix, file, repeats):
    """{step: (calls, seconds)} of naming one recording's action, `repeats` times."""
    from infer import Recognizer
    from reader.recordings import read_samples

    recognizer = Recognizer(prefix, "onnxruntime")
    found = {}
    for repeat in range(repeats + 3):
        times = [time.perf_counter()]
        batch = list(read_samples(file, None, transform=False, window=None, stride=None))
        times.append(time.perf_counter())
        prepared = recognizer.prepare(batch)
        times.append(time.perf_counter())
        logits = recognizer.logits(*prepared)
        times.append(time.perf_counter())
        recognizer.name_actions(batch, logits)
        times.append(time.perf_counter())
        if repeat >= 3:
            for i, step in enumerate(("read the file", "features", "network", "name the action")):
                calls, seconds = found.get(step, (0, 0.0))
                found[step] = calls + 1, seconds + times[i + 1] - times[i]
    return found


def operations(file, bodies, folder, repeats):
    """{operation: (calls, seconds)} of `repeats` runs of an ONNX program, by ONNX Runtime's own profile."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.enable_profiling, options.profile_file_prefix, options.log_severity_level = True, f"{folder}/profile", 3
    session, x = onnxruntime.InferenceSession(file, options), networks.clips(1, bodies, slots=bodies)
    for _ in range(3 + repeats):
        session.run(None, {"x": x})
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    runs = [event["ts"] for event in events if event["name"] == "model_run"]
    found = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time") and event["ts"] >= sorted(runs)[3]:
            calls, seconds = found.get(event["args"]["op_name"], (0, 0.0))
            found[event["args"]["op_name"]] = calls + 1, seconds + event["dur"] / 1e6
    return found


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile_infer", description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        once(networks.make_weights, folder / "weights.npz", None, folder / "weights.pdparams")
        export(folder / "weights.pdparams", folder, [("onnx", False), ("onnx", True)])
        file = make_recordings(folder / "raw", 1)[0]
        found = steps(f"{folder}/one/weights", file, repeats)
        print("\n".join(table(f"One recording, one body, ONNX Runtime, mean of {repeats}:", found, repeats)))
        for name, bodies in (("two", 2), ("one", 1)):
            found = operations(f"{folder}/{name}/weights.onnx", bodies, folder, repeats)
            title = f"\nThe ONNX program for {name} {'bodies' if bodies == 2 else 'body'}, batch 1, mean of {repeats}:"
            print("\n".join(table(title, found, repeats)))


if __name__ == "__main__":
    sys.exit(main())
