"""Joints of Kinect v2, and the bones of the people in real recordings."""

import numpy as np

# Of real files: each joint's bone goes to this joint (from 1) and measures this many metres.
BONES = {
    1: (2, 0.27), 3: (21, 0.07), 4: (3, 0.12), 5: (21, 0.14), 6: (5, 0.23), 7: (6, 0.21), 8: (7, 0.06),
    9: (21, 0.13), 10: (9, 0.21), 11: (10, 0.22), 12: (11, 0.07), 13: (1, 0.06), 14: (13, 0.34), 15: (14, 0.33),
    16: (15, 0.1), 17: (1, 0.07), 18: (17, 0.33), 19: (18, 0.35), 20: (19, 0.1), 21: (2, 0.2), 22: (23, 0.06),
    23: (8, 0.04), 24: (25, 0.06), 25: (12, 0.04),
}  # fmt: skip
RIGHT_HAND, LEFT_HAND, HEAD, RIGHT_FOOT, LEFT_FOOT = 11, 7, 3, 19, 15  # joints from 0


def distance(a, b):
    return np.linalg.norm(a - b, axis=-1)
