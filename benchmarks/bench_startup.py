"""Start-up: how long `main.py --help` takes; what it may load is held by tests/test_imports.py."""

from benchmarks.timing import in_turn, python, start

COMMANDS = {
    "main.py --help": ("main.py", "--help"),
    "infer.py --help": ("infer.py", "--help"),
    "import numpy": ("-c", "import numpy"),
    "import paddle": ("-c", "import paddle"),
}


def main(argv=None):
    options, report = start(__spec__.name, __doc__, 20, argv)
    taken = in_turn({name: (python, *words) for name, words in COMMANDS.items()}, options.repeats)
    main_help, _, numpy, _ = (
        report.add(name, [1000 * seconds for seconds in side.seconds], "ms") for name, side in taken.items()
    )
    report.compare("start-up: main.py --help", main_help, numpy, 3.0, at_most=True)
    return report


if __name__ == "__main__":
    main()
