"""What a GPU makes of this project, as a table for an issue; --cpu tries the checks themselves, on 16 frames."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from utils.process import start_paddle, versions

start_paddle()
import numpy as np  # noqa: E402
import paddle  # noqa: E402
import paddle.nn.functional as F  # noqa: E402

import initializer  # noqa: E402
from export.program import export_program  # noqa: E402
from export.record import preprocessing  # noqa: E402
from inference.engines import open_engine  # noqa: E402
from options.schema import load_config  # noqa: E402
from training import checkpoint, collectives  # noqa: E402
from training.device import choose_device, gpu_count, to_device  # noqa: E402
from training.precision import mixed_precision  # noqa: E402
from training.progress import Sums  # noqa: E402
from training.runners import Runner  # noqa: E402

PRECISIONS = [(None, "float16"), ("O1", "float16"), ("O1", "bfloat16"), ("O2", "float16"), ("O2", "bfloat16")]


class Trained:
    """Configuration 2001 without dropout, in training on one batch of noise."""

    def __init__(self, options, level=None, dtype="float16"):
        self.options = options
        config = load_config("2001", [("dataset_args.ntu.num_frame", options.frames), ("model_args.drop_prob", 0)])
        self.model = initializer.build_model(config)
        if options.weights:
            checkpoint.load_weights(self.model, checkpoint.read_checkpoint(options.weights), options.weights)
        self.schedule = paddle.optimizer.lr.LambdaDecay(0.01, lambda n: 1.0)
        self.optimizer = initializer.build_optimizer(config, self.model, self.schedule)
        self.amp = mixed_precision(level, dtype, self.model, self.optimizer) or {"enable": False}
        self.scaler = paddle.amp.GradScaler(enable=self.amp["enable"] and dtype == "float16", init_loss_scaling=65536.0)
        self.run, rng = Runner(self.model, all_frames=True), np.random.default_rng(paddle.distributed.get_rank())
        self.x = rng.standard_normal((options.batch, 3, 6, options.frames, 25, 2), "float32")
        self.labels = np.arange(options.batch) % 60

    def step(self):
        """One training step; returns the function that waits for its mean loss, over all processes."""
        self.model.train()
        with paddle.amp.auto_cast(**self.amp):
            logits = self.run(self.x).astype("float32")
        labels = to_device(self.labels)
        loss = F.cross_entropy(logits, labels)
        self.run.backward(self.scaler.scale(loss))
        read = collectives.send_figures(loss, logits, labels)
        collectives.average_gradients(self.model.parameters())
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.clear_grad(set_to_zero=False)
        return lambda: Sums(*read()).means()["loss"]

    def figures(self):
        memory = None if self.options.cpu else paddle.device.cuda
        if memory:
            memory.reset_max_memory_allocated()
        first = self.step()()
        self.step()()
        start, read = time.perf_counter(), self.step()
        for _ in range(self.options.steps - 1):
            before, read = read, self.step()
            before()  # a step late, as in training
        last = read()
        rate = self.options.batch * self.options.steps / (time.perf_counter() - start)
        peak = f"{memory.max_memory_allocated() / 1e9:.2f} GB, " if memory else ""
        return f"{rate:.1f} samples/s, {peak}loss {first:.3f} to {last:.3f}"

    def resumed(self, again):
        """How far the next step's loss is from that of `again`, which goes on from a checkpoint."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "c"
            checkpoint.save_checkpoint(path, self.model, self.optimizer, self.schedule, epoch=0, best_state=None)
            state = checkpoint.read_checkpoint(path)
            checkpoint.load_weights(again.model, state, path)
            checkpoint.load_optimizer(again.optimizer, again.model, state, path)
        again.scaler.load_state_dict(self.scaler.state_dict())
        return abs(again.step()() / self.step()() - 1)

    def logits(self, x):
        self.model.eval()
        with paddle.no_grad():
            return self.model(paddle.to_tensor(x))[0].numpy()


def off(found, expected):
    return f"{np.abs(found - expected).max() / np.abs(expected).max():.1e} of the largest"


def checks(options):
    """Yield (check, result), rows of the table."""
    trained, gpu = Trained(options), paddle.get_device()
    found = trained.logits(trained.x[:2])
    trained.model.to(paddle.set_device("cpu"))
    yield "logits, against the CPU", off(found, trained.logits(trained.x[:2]))
    paddle.set_device(gpu)
    if options.golden and options.weights and options.frames == 288:
        model, steps, feeder = (np.load(f"{options.golden}/{name}.npz") for name in ("model_xsub", "train_step_xsub", "feeder"))
        trained = Trained(options)
        yield "published logits", off(trained.logits(feeder["features"]), model["logits"])
        trained.x, trained.labels = feeder["features"], steps["labels"]
        yield "published losses of three steps", off(np.array([trained.step()() for _ in range(3)]), steps["loss"][:3])
    for level, dtype in PRECISIONS[: 2 if options.cpu else None]:
        try:
            trained = Trained(options, level, dtype)
            said = "in float32: " if level and not trained.amp["enable"] else ""
            found = f"{said}{trained.figures()}; resumed within {trained.resumed(Trained(options, level, dtype)):.1e}"
        except Exception as error:  # a row of the table too
            found = f"failed: {' '.join(str(error).split())[-200:]}"
        yield f"--amp {level} {dtype}" if level else "float32", found
    trained = Trained(options)
    trained.run = initializer.build_runner(trained.model, to_static=True)
    yield "float32 --to_static", trained.figures()
    paddle.set_device("cpu")
    with tempfile.TemporaryDirectory() as folder:
        record = {"preprocessing": preprocessing(num_frame=options.frames).model_dump(), "classes": []}
        made = {"data_shape": (3, 6, options.frames, 25, 2), "record": record, "open_engine": open_engine, "device": gpu[:3]}
        yield "export", "<br>".join(export_program(Trained(options).model, Path(folder) / "p", **made)[1:])
    if options.cpu or gpu_count() > 1:
        job = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", "2", "--log_dir", tempfile.mkdtemp()]
        job += [__file__, "--pair", *(["--cpu"] if options.cpu else [])]
        root = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        done = subprocess.run(job, env=root, capture_output=True, text=True, check=False, timeout=120)
        yield ("each of two processes", next((line for line in done.stdout.splitlines() if "loss" in line), done.stderr[-200:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", help="checkpoint of configuration 2001; without: seeded weights")
    parser.add_argument("--golden", help="folder with outputs of the published code, for its weights")
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--pair", action="store_true", help="be one of two processes")
    options = parser.parse_args()
    options.frames, options.batch, options.steps = (16, 2, 2) if options.cpu else (288, 16, 20)
    if options.pair:
        choose_device([] if options.cpu else [0])
        paddle.distributed.init_parallel_env()
        print(Trained(options).figures())
        return
    if not options.cpu and gpu_count() == 0:
        parser.error("Paddle finds no GPU here; CPU=1 tries the checks themselves (--cpu)")
    paddle.set_device("cpu" if options.cpu else "gpu")
    name = "CPU" if options.cpu else paddle.device.cuda.get_device_name()
    print(f"{name}, {versions()}; configuration 2001, {options.frames} frames, batches of {options.batch}\n")
    print("| check | result |\n| --- | --- |", flush=True)
    for check, result in checks(options):
        print(f"| {check} | {result} |", flush=True)


if __name__ == "__main__":
    main()
