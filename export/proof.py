"""Whether a written program gives the logits of the network that it is made from, on each engine that may run it."""

import numpy as np
import paddle

from utils.errors import UserError

LARGEST_DIFFERENCE = 1e-3  # of logits, relative to the largest
ON_GPU = {"gpu": 5e-3, "gpu fp16": 2e-2}  # the same: newer GPUs multiply with 10 bits (TF32, fp16)
BATCHES = ((0.3,), (0.1, 1), (0.5, 0, 0.04, 0.2, 0.35))  # recordings, by their share of the frames that the network takes


def recordings(data_shape):
    """[(N, C, T, V, M) float32] coordinates of BATCHES: joints that drift; of each second recording only one body is there."""
    _, C, T, V, M = data_shape
    batches = []
    for shares in BATCHES:
        rng, x = np.random.default_rng(len(shares)), np.zeros((len(shares), C // 2, T, V, M), "float32")
        for number, share in enumerate(shares):
            frames, bodies = int(share * T), M if number % 2 else 1
            steps = rng.normal(0, 0.03, (C // 2, frames, V, bodies))
            x[number, :, :frames, :, :bodies] = rng.normal(0, 0.5, (C // 2, 1, V, bodies)) + steps.cumsum(1)
        batches.append(x)
    return batches


def prove(model, file, prefix, data_shape, settings, open_engine, *, coordinates):
    """{engine: {verified, difference or reason}} of the program `file`; raises UserError where the first engine fails.

    The network must be on the CPU, which computes in float32.

    `settings`: its Preprocessing; `coordinates`: it takes these, without the frames after the longest recording, else features.
    """
    engines = ["onnxruntime"] if file.suffix == ".onnx" else ["native", "onednn"]
    if engines[0] == "native" and paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0:
        engines += ON_GPU
    batches, samples, expected = recordings(data_shape), [], []
    for x in batches:
        features = settings.features(x)
        with paddle.no_grad():
            expected.append(model(paddle.to_tensor(features))[0].numpy())
        end = 1 + np.flatnonzero(x.any(axis=(0, 1, 3, 4))).max(initial=0)
        samples.append(np.ascontiguousarray(x[:, :, :end]) if coordinates else features)
    results = {}
    for engine in engines:
        try:
            name, _, precision = engine.partition(" ")
            infer = open_engine(file, name, **({"precision": precision} if precision else {}))
            difference = max(_difference(infer(x), y) for x, y in zip(samples, expected, strict=True))
            good = difference <= ON_GPU.get(engine, LARGEST_DIFFERENCE)
            results[engine] = {"verified": good, "difference": float(f"{difference:.2g}")}
        except Exception as error:  # each engine has errors of its own; whatever it is, the engine can't be used
            results[engine] = {"verified": False, "reason": " ".join(str(error).split())[:200]}
        if not results[engines[0]]["verified"]:
            raise UserError(f"{prefix}: nothing exported; {describe(engines[0], results[engines[0]])}")
    return results


def describe(engine, result):
    """A line on what `prove` found of an engine."""
    if result["verified"]:
        sizes = " ".join(str(len(shares)) for shares in BATCHES)
        return f"{engine}: verified, logits within {result['difference']:.1e} of the largest (batches of {sizes} recordings)"
    found = f"logits off by {result['difference']:.1e} of the largest" if "difference" in result else result["reason"]
    return f"{engine}: not verified ({found}); infer.py refuses it"


def _difference(got, expected):
    """Largest difference relative to the largest expected value; infinite where values or sizes are unusable."""
    if got.shape != expected.shape or not np.isfinite(got).all():
        return np.inf
    return float(np.abs(got - expected).max() / np.abs(expected).max())
