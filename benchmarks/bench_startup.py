"""Start-up: how long `main.py --help` takes, and that neither it nor infer.py with ONNX Runtime loads Paddle."""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import networks
from benchmarks.bench_inference import export
from benchmarks.recordings import make_recordings
from benchmarks.timing import in_turn, once, python, start


def loads_paddle(*words):
    """Whether a command of ours loads Paddle: Python writes a line for each import."""
    done = subprocess.run([sys.executable, "-X", "importtime", *words], check=True, capture_output=True, text=True)
    return any(line.rsplit("|", 1)[-1].strip() == "paddle" for line in done.stderr.splitlines())


def main(argv=None):
    options, report = start(__spec__.name, __doc__, 20, argv)
    commands = {
        "main.py --help": ("main.py", "--help"),
        "infer.py --help": ("infer.py", "--help"),
        "import numpy": ("-c", "import numpy"),
        "import paddle": ("-c", "import paddle"),
    }
    taken = in_turn({name: (python, *words) for name, words in commands.items()}, options.repeats)
    main_help, _, numpy, _ = (
        report.add(name, [1000 * seconds for seconds in side.seconds], "ms") for name, side in taken.items()
    )
    report.compare("start-up: main.py --help", main_help, numpy, 3.0, at_most=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        once(networks.make_weights, folder)
        program, file = export(folder, "onnx", bodies=1), make_recordings(folder / "raw", 1)[0]
        commands = {
            "main.py --help": ("main.py", "--help"),
            "infer.py with ONNX Runtime": ("infer.py", "--model_file", f"{program}.onnx", "--data_file", str(file)),
        }
        for name, words in commands.items():
            report.row(f"Paddle loaded by {name}", "", "", int(loads_paddle(*words)), 0, at_most=True, unit="times")
    return report


if __name__ == "__main__":
    main()
