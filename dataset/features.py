"""The three input branches (joint, velocity, bone) computed from joint coordinates: the only place that does so."""

import numpy as np

BRANCHES = "JVB"


def branch_features(coordinates, graph, inputs=BRANCHES):
    """Input branches (..., I, 2C, T, V, M) float32 of coordinates (..., C, T, V, M) in metres; I branches in J, V, B order.

    J: coordinates; coordinates relative to the centre joint (m). V: displacement over one and over two frames (m), 0 for
    the last two frames. B: vector from the parent joint (m); its angle to each axis (radians). As in EfficientGCN,
    section 3.1, and in ResGCN, section 3.2.
    """
    x = np.asarray(coordinates, "float32")
    *lead, C, T, V, M = x.shape
    branches = [name for name in BRANCHES if name in inputs]
    out = np.empty((*lead, len(branches), 2 * C, T, V, M), "float32")
    for i, name in enumerate(branches):
        first, second = out[..., i, :C, :, :, :], out[..., i, C:, :, :, :]
        if name == "J":
            first[...] = x
            np.subtract(x, np.take(x, [graph.centre] * V, axis=-2), out=second)  # broadcasting over V takes three times as long
        elif name == "V":
            end = max(T - 2, 0)
            np.subtract(x[..., 1 : end + 1, :, :], x[..., :end, :, :], out=first[..., :end, :, :])
            np.subtract(x[..., 2:, :, :], x[..., :end, :, :], out=second[..., :end, :, :])
            first[..., end:, :, :] = second[..., end:, :, :] = 0
        else:
            np.subtract(x, np.take(x, graph.parents, axis=-2), out=first)
            length = np.sqrt(np.einsum("...ctvm,...ctvm->...tvm", first, first)) + np.float32(1e-4)
            np.divide(first, length[..., None, :, :, :], out=second)
            np.arccos(second, out=second)
    return out
