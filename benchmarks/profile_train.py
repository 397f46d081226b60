"""Where the time of a training step goes, by operation, as a table.

python -m benchmarks.profile_train [--batch 4] [--steps 3]
"""

import argparse
import sys

from benchmarks import networks
from utils.process import start_paddle

KERNEL, OUTSIDE = " kernel launch", "outside kernels: Python, autograd, allocation"


def kernels(profiler):
    """{kernel: (calls, seconds)} that a stopped paddle.profiler.Profiler has seen."""
    found = {}

    def visit(node):
        for child in node.children_node:
            visit(child)
        if node.name == "root node":
            return
        is_kernel = node.name.endswith(KERNEL)
        name = node.name.removesuffix(KERNEL) if is_kernel else OUTSIDE
        inner = sum(child.end_ns - child.start_ns for child in node.children_node)
        calls, seconds = found.get(name, (0, 0.0))
        found[name] = calls + is_kernel, seconds + (node.end_ns - node.start_ns - inner) / 1e9

    for root in profiler.profiler_result.get_data().values():
        visit(root)
    return found


def table(title, found, repeats, rest=12):
    """Lines of a Markdown table, longest first."""
    total = sum(seconds for _, seconds in found.values())
    ranked = sorted(found.items(), key=lambda item: -item[1][1])
    yield from (title, "", "| operation | calls | ms | share |", "| --- | --- | --- | --- |")
    for name, (calls, seconds) in ranked[:rest]:
        yield f"| {name} | {calls / repeats:.0f} | {1000 * seconds / repeats:.1f} | {seconds / total:.1%} |"
    left = sum(seconds for _, (_, seconds) in ranked[rest:])
    if left:
        yield f"| all others | | {1000 * left / repeats:.1f} | {left / total:.1%} |"
    yield f"| together | | {1000 * total / repeats:.1f} | |"


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile_train", description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=4, help="samples of a step (default 4)")
    parser.add_argument("--steps", type=int, default=3)
    options = parser.parse_args()
    start_paddle()
    import paddle

    step = networks.train_whole(None, options.batch, 2)  # in parts, threads would wait for each other
    step()
    step()
    targets = [paddle.profiler.ProfilerTarget.CPU]
    profiler = paddle.profiler.Profiler(targets=targets, on_trace_ready=lambda _: None)  # else it writes files
    with profiler:
        for _ in range(options.steps):
            step()
    title = f"One training step, batch {options.batch}, two bodies, Paddle {paddle.__version__}, mean of {options.steps}:"
    print("\n".join(table(title, kernels(profiler), options.steps)))


if __name__ == "__main__":
    sys.exit(main())
