"""The joint, velocity and bone branches with loops over frames and joints."""

import numpy as np


def sample_features(x, parents, centre):
    """(3, T, 25, M) coordinates to (3 branches, 6, T, 25, M)."""
    C, T, V, M = x.shape
    joint, velocity, bone = (np.zeros((2 * C, T, V, M), np.float32) for _ in range(3))
    joint[:C] = x
    for v in range(V):
        joint[C:, :, v] = x[:, :, v] - x[:, :, centre]
    for t in range(T - 2):
        velocity[:C, t] = x[:, t + 1] - x[:, t]
        velocity[C:, t] = x[:, t + 2] - x[:, t]
    for v in range(V):
        bone[:C, :, v] = x[:, :, v] - x[:, :, parents[v]]
    length = 0
    for c in range(C):
        length = length + bone[c] ** 2
    length = np.sqrt(length) + 0.0001
    for c in range(C):
        bone[C + c] = np.arccos(bone[c] / length)
    return np.stack([joint, velocity, bone])
