"""Speed and memory of a Recognizer, as the blocks that Paddle's auto-log prints and its tools read."""

import platform
import statistics
import timeit
from functools import partial

import psutil

WARM_UP, REPEATS = 3, 20


def measure(recognizer, batch):
    """Lines with the environment, the model, and the median time of each step for one batch of Samples."""
    process = psutil.Process()
    process.cpu_percent()  # counts from here
    prepared, program = recognizer.prepare(batch), recognizer.program
    steps = {
        "preprocess": partial(recognizer.prepare, batch),
        "inference": partial(recognizer.logits, *prepared),
        "postprocess": partial(recognizer.name_actions, batch, recognizer.logits(*prepared)),
    }
    times = {step: timeit.repeat(run, number=1, repeat=WARM_UP + REPEATS)[WARM_UP:] for step, run in steps.items()}
    median = {step: 1000 * statistics.median(taken) for step, taken in times.items()}
    total = sum(median.values())
    blocks = {
        "Env info": [f"OS_version: {platform.platform()}", f"Python: {platform.python_version()}", program.infer.version],
        "Conf info": [
            f"runtime_device: {'gpu' if program.engine == 'gpu' else 'cpu'}",
            f"engine: {program.engine}",
            f"enable_mkldnn: {program.engine == 'onednn'}",
            "enable_tensorrt: False",  # a line that tools look for
            f"cpu_math_library_num_threads: {program.infer.threads}",
        ],
        "Model info": [f"model_name: {program.path.stem}", f"precision: {program.precision}"],
        "Data info": [f"batch_size: {len(batch)}", f"input_shape: {program.shape}", f"data_num: {len(batch) * REPEATS}"],
        "Perf info": [
            f"cpu_rss(MB): {process.memory_info().rss / 2**20:.1f}, cpu_util: {process.cpu_percent()}%",
            f"warm_up: {WARM_UP}, repeats: {REPEATS}, times are medians of one batch",
            ", ".join(f"{step}_time(ms): {value:.2f}" for step, value in median.items()),
            f"total time(ms): {total:.2f}, samples/s: {1000 * len(batch) / total:.2f}",
        ],
    }
    return [line for title, lines in blocks.items() for line in [f"{'-' * 22} {title} {'-' * 22}", *lines]]
