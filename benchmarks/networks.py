"""The network's sides for timing.Side: ours, the plain Paddle port, eager PyTorch, exported programs. Same weights, same clips.

Heavy imports stand inside the functions: each side's process loads its own framework only.
"""

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


def labels(batch):
    return np.arange(batch, dtype="int64") % 60


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


def make_weights(path, source=None, checkpoint=None):
    """Write a state dict as npz, and as a checkpoint: that of `source`, or seeded numbers that leave no layer trivial."""

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
        np.savez(path, **{name: tensor.numpy() for name, tensor in model.state_dict().items()})
        if checkpoint:
            paddle.save({"model": model.state_dict()}, str(checkpoint))

    return run


# ---------------------------------------------------------------- one training step; the value is the loss


def train_ours(weights, batch, bodies):
    """A step as main.py takes it: in parts."""
    model = build_ours(weights, train=True)
    import initializer

    return paddle_step(initializer.build_runner(model), batch, bodies)


def train_whole(weights, batch, bodies):
    """The same on the whole batch in one thread of Python."""
    model = build_ours(weights, train=True)
    from training.runners import Runner

    return paddle_step(Runner(model), batch, bodies)


def train_plain(weights, batch, bodies):
    from utils.process import start_paddle

    start_paddle()
    import paddle

    from benchmarks.plain.paddle_model import EfficientGCNB0
    from training.runners import Runner

    class Plain(Runner):
        def __call__(self, features):
            return self.model(paddle.to_tensor(features))

    model = EfficientGCNB0(NTU.adjacency(2), drop_prob=0.0).load_paddle(np.load(weights))
    return paddle_step(Plain(model), batch, bodies)


def paddle_step(runner, batch, bodies):
    """A function that takes one step of Momentum with a Runner and returns the loss."""
    import paddle
    import paddle.nn.functional as F

    x, y = clips(batch, bodies), paddle.to_tensor(labels(batch))
    parameters = [p for p in runner.model.parameters() if not p.stop_gradient]
    optimizer = paddle.optimizer.Momentum(LEARNING_RATE, 0.9, parameters, use_nesterov=True, weight_decay=1e-4)

    def step():
        loss = F.cross_entropy(runner(x), y)
        runner.backward(loss)
        optimizer.step()
        optimizer.clear_grad(set_to_zero=False)
        return loss.item()

    return step


def train_torch(weights, batch, bodies):
    import torch
    import torch.nn.functional as F

    from benchmarks.plain.torch_model import EfficientGCNB0

    model = EfficientGCNB0(NTU.adjacency(2), drop_prob=0.0).load_paddle(np.load(weights)).train()
    x, y = torch.from_numpy(clips(batch, bodies)), torch.from_numpy(labels(batch))
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE, 0.9, weight_decay=1e-4, nesterov=True)

    def run():
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


# ---------------------------------------------------------------- logits of one batch; the value are the logits


def infer_torch(weights, batch, bodies=2, frames=FRAMES):
    import torch

    from benchmarks.plain.torch_model import EfficientGCNB0

    model = EfficientGCNB0(NTU.adjacency(2)).load_paddle(np.load(weights)).eval()
    x = torch.from_numpy(clips(batch, bodies, frames))

    def run():
        with torch.inference_mode():
            return model(x).numpy()

    return run


def infer_plain(weights, batch, bodies=2, frames=FRAMES):
    from utils.process import start_paddle

    start_paddle()
    import paddle

    from benchmarks.plain.paddle_model import EfficientGCNB0

    model = EfficientGCNB0(NTU.adjacency(2)).load_paddle(np.load(weights))
    model.eval()
    return _logits(lambda x: model(paddle.to_tensor(x)), clips(batch, bodies, frames))


def infer_ours(weights, batch, bodies=2, frames=FRAMES):
    """Logits as main.py -e computes them: in parts."""
    model = build_ours(weights, frames=frames)
    import initializer

    return _logits(initializer.build_runner(model), clips(batch, bodies, frames))


def _logits(network, x):
    import paddle

    def run():
        with paddle.no_grad():
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
