"""The network's sides for timing.Side: ours, the plain Paddle port, eager PyTorch, exported programs. Same weights, same clips.

Heavy imports stand inside the functions: each side's process loads its own framework only.
"""

from functools import partial
from importlib import import_module

import numpy as np

from dataset.features import branch_features
from dataset.graph import NTU

FRAMES = 288
LEARNING_RATE = 0.01


def clips(batch, bodies=2, frames=FRAMES, slots=2, seed=0):
    """Features (N, 3, 6, T, 25, `slots`) of random walks; of the bodies beyond `bodies` nothing is seen."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 0.01, (batch, 3, frames, NTU.num_joints, bodies))
    x = np.zeros((batch, 3, frames, NTU.num_joints, slots), "float32")
    x[..., :bodies] = steps.cumsum(2) + rng.normal(0, 0.4, (batch, 3, 1, NTU.num_joints, bodies)) + [[[[[0]]], [[[0]]], [[[3]]]]]
    return branch_features(x, NTU)


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


def train_ours(in_parts, weights, batch, bodies):
    """A step as main.py takes it, in parts; or on the whole batch in one thread of Python."""
    model = build_ours(weights, train=True)
    import initializer
    from training.runners import Runner

    runner = initializer.build_runner(model) if in_parts else Runner(model)
    return training_step("paddle", runner, runner.backward, model.parameters(), batch, bodies)


def train_plain(framework, weights, batch, bodies):
    model = build_plain(framework, weights, training=True)
    return training_step(framework, model, lambda loss: loss.backward(), model.parameters, batch, bodies)


def training_step(framework, network, backward, parameters, batch, bodies):
    """A function that takes one step of SGD with Nesterov momentum and returns the loss; `network`: features to logits."""
    framework, x, labels = import_module(framework), clips(batch, bodies), np.arange(batch) % 60
    if framework.__name__ == "torch":
        optimizer = framework.optim.SGD(parameters, LEARNING_RATE, 0.9, weight_decay=1e-4, nesterov=True)
        y, clear_gradients = framework.from_numpy(labels), optimizer.zero_grad
    else:
        options = {"parameters": [p for p in parameters if not p.stop_gradient], "use_nesterov": True, "weight_decay": 1e-4}
        optimizer = framework.optimizer.Momentum(LEARNING_RATE, 0.9, **options)
        y, clear_gradients = framework.to_tensor(labels), partial(optimizer.clear_grad, set_to_zero=False)

    def step():
        loss = framework.nn.functional.cross_entropy(network(x), y)
        backward(loss)
        optimizer.step()
        clear_gradients()
        return loss.item()

    return step


# ---------------------------------------------------------------- logits of one batch; the value are the logits


def infer_ours(weights, batch, bodies=2):
    """Logits as main.py -e computes them: in parts."""
    model = build_ours(weights)
    import initializer

    return infer("paddle", initializer.build_runner(model), batch, bodies)


def infer_plain(framework, weights, batch, bodies=2):
    return infer(framework, build_plain(framework, weights), batch, bodies)


def infer(framework, network, batch, bodies):
    framework, x = import_module(framework), clips(batch, bodies)
    no_gradients = framework.inference_mode if framework.__name__ == "torch" else framework.no_grad

    def run():
        with no_gradients():
            return network(x).numpy()

    return run


def run_program(path, engine, batch, bodies=2, frames=FRAMES, threads=None):
    """An exported program as it is, on a whole batch."""
    from inference.engines import find_program, open_engine

    file, _ = find_program(path, "onnx" if engine == "onnxruntime" else "paddle")
    program, x = open_engine(file, engine, cpu_threads=threads), clips(batch, bodies, frames, slots=bodies)
    return lambda: program(x)


def infer_program(path, engine, batch, bodies=2):
    """An exported program as infer.py runs it: a one-body program computes the bodies that are there."""
    from infer import Recognizer

    recognizer, x = Recognizer(path, engine), clips(batch, bodies)
    present = None
    if recognizer.program.shape[-1] == 1:
        present = np.zeros((batch, 2), bool)
        present[:, :bodies] = True
        x = np.ascontiguousarray(np.moveaxis(x, -1, 1)[present][..., None])
    return lambda: recognizer.logits(x, present)
