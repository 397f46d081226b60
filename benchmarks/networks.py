"""The network's sides of measurements: ours, the plain Paddle port, eager PyTorch, exported programs. Same weights, same clips.

Heavy imports stand inside the functions: each side's process loads its own framework only.
"""

import subprocess
import sys
from functools import partial
from importlib import import_module

import numpy as np

from dataset.features import branch_features
from dataset.graph import NTU
from tools.demo_data import FRAMES as LENGTHS

FRAMES = 288
MIX = 1 + 11 / 60  # bodies in NTU's recordings: 11 of 60 classes show two people
LEARNING_RATE = 0.01
PLAIN = ("torch", "paddle")  # frameworks of the plain network


def coordinates(batch, bodies=2, frames=FRAMES, slots=2, seed=0, real=False):
    """Coordinates (N, 3, T, 25, `slots`) of random walks that fill all frames, or, `real`, as many as NTU's recordings have.

    Of the bodies beyond `bodies` nothing is seen; 1.2: one in five samples has a second one.
    """
    rng, x = np.random.default_rng(seed), np.zeros((batch, 3, frames, NTU.num_joints, slots), "float32")
    for number, sample in enumerate(x):
        length = round(np.interp((number + 0.5) / batch, *LENGTHS)) if real else frames
        seen = int(bodies + (number * 7 % batch + 0.5) / batch)
        walk = rng.normal(0, 0.01, (3, length, NTU.num_joints, seen)).cumsum(1)
        sample[:, :length, :, :seen] = walk + rng.normal(0, 0.4, (3, 1, NTU.num_joints, seen)) + [[[[0]]], [[[0]]], [[[3]]]]
    return x


def clips(*arguments, **options):
    """Features (N, 3, 6, T, 25, slots) of such coordinates."""
    return branch_features(coordinates(*arguments, **options), NTU)


def build_ours(weights=None, train=False, frames=FRAMES):
    """Our network of configuration 2001 without dropout, so that losses can be compared."""
    from utils.process import start_paddle

    start_paddle()
    import initializer
    from options.schema import load_config

    config = load_config("2001", [("model_args.drop_prob", "0"), ("dataset_args.ntu.num_frame", str(frames))])
    model = initializer.build_model(config)
    if weights:
        model.set_state_dict(dict(np.load(weights)))
    model.train() if train else model.eval()
    return model


def make_weights(folder, source=None):
    """Side: write FOLDER/weights.npz and weights.pdparams: those of `source`, or seeded ones that leave no layer trivial."""

    def run():
        model = build_ours()
        import paddle

        from training.checkpoint import load_weights, read_checkpoint

        if source:
            load_weights(model, read_checkpoint(source), source)
        else:
            rng = np.random.default_rng(0)
            for name, tensor in model.state_dict().items():
                noise, last = rng.normal(size=tensor.shape), name.rsplit(".", 1)[-1]
                if last in ("_variance", "edge") or (last == "weight" and noise.ndim == 1):
                    tensor.set_value((1 + 0.1 * np.abs(noise)).astype("float32"))
                elif last in ("_mean", "bias"):
                    tensor.set_value((0.1 * noise).astype("float32"))
                elif name.endswith("fc.weight"):
                    tensor.set_value((0.3 * noise).astype("float32"))
        np.savez(f"{folder}/weights.npz", **{name: tensor.numpy() for name, tensor in model.state_dict().items()})
        paddle.save({"model": model.state_dict()}, f"{folder}/weights.pdparams")

    return run


def build_plain(framework, weights, training=False):
    """The network of benchmarks/plain in eager torch or paddle, as `framework` names it."""
    if framework == "paddle":
        from utils.process import start_paddle

        start_paddle()
    from benchmarks.plain.network import EfficientGCNB0

    return EfficientGCNB0(import_module(framework), dict(np.load(weights)), training)


# ---------------------------------------------------------------- one training step; the value is the loss


def train(side, weights, batch, bodies, real):
    """A step of SGD with Nesterov momentum.

    `side`: "ours", as main.py takes it; "all frames", the same without leaving any out; "torch", "paddle": the plain network.
    """
    if side in PLAIN:
        network = build_plain(side, weights, training=True)
        backward, parameters = lambda loss: loss.backward(), network.parameters
    else:
        model = build_ours(weights, train=True)
        import initializer

        network = initializer.build_runner(model, side == "all frames")
        backward, parameters = network.backward, [p for p in model.parameters() if not p.stop_gradient]
    framework = import_module(side if side in PLAIN else "paddle")
    x, labels = clips(batch, bodies, real=real), np.arange(batch) % 60
    if side == "torch":
        optimizer = framework.optim.SGD(parameters, LEARNING_RATE, 0.9, weight_decay=1e-4, nesterov=True)
        y, clear_gradients = framework.from_numpy(labels), optimizer.zero_grad
    else:
        options = {"parameters": parameters, "use_nesterov": True, "weight_decay": 1e-4}
        optimizer = framework.optimizer.Momentum(LEARNING_RATE, 0.9, **options)
        y, clear_gradients = framework.to_tensor(labels), partial(optimizer.clear_grad, set_to_zero=False)

    def step():
        loss = framework.nn.functional.cross_entropy(network(x), y)
        backward(loss)
        optimizer.step()
        clear_gradients()
        return loss.item()

    return step


def train_before(folder, weights, batch, bodies):
    """A step as the files of an older commit in `folder` take it, in a process of its own, on clips that fill all frames."""
    code = f"import sys; from benchmarks.networks import train_ours; step = train_ours({weights!r}, {batch}, {bodies})\n"
    code += "for _ in sys.stdin: print(step(), flush=True)"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=folder, text=True, bufsize=1, **pipes)
    return lambda: process.stdin.write("\n") and float(process.stdout.readline())


# ---------------------------------------------------------------- logits of one batch; the value are the logits


def infer(side, weights, batch, bodies=2, real=False):
    """Logits of "ours", as main.py -e computes them, or of the plain network in "torch" or "paddle"."""
    if side in PLAIN:
        network = build_plain(side, weights)
    else:
        model = build_ours(weights)
        import initializer

        network = initializer.build_runner(model).for_evaluation()
    framework, x = import_module(side if side in PLAIN else "paddle"), clips(batch, bodies, real=real)
    no_gradients = framework.inference_mode if side == "torch" else framework.no_grad

    def run():
        with no_gradients():
            return network(x).numpy()

    return run


def run_program(path, engine, batch, bodies=2, frames=FRAMES, threads=None):
    """An exported program as it is, on a whole batch of clips that fill all frames."""
    from inference.engines import find_program, open_engine

    file, _ = find_program(path, "onnx" if engine == "onnxruntime" else "paddle")
    program, x = open_engine(file, engine, cpu_threads=threads), coordinates(batch, bodies, frames, slots=bodies)
    x = x if len(program.input_shape()) == x.ndim else branch_features(x, NTU)
    return lambda: program(x)


def infer_program(path, engine, batch, bodies=2, real=False):
    """An exported program as infer.py runs it: one recording at a time, the bodies that are there, the frames that it needs."""
    from infer import Recognizer
    from reader.formats import Recording

    recognizer = Recognizer(path, engine)
    batch = [Recording(str(number), x) for number, x in enumerate(coordinates(batch, bodies, real=real))]
    return lambda: recognizer.logits(*recognizer.prepare(batch))


def recognise(path, engine, files):
    """Recordings to classes, as infer.py does it; the value are the labels."""
    from infer import Recognizer

    recognizer = Recognizer(path, engine)
    return lambda: [prediction.labels[0] for prediction in recognizer.predict(files)]
