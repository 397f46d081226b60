"""View normalisation: the same motion seen from the same side, wherever camera and body stood."""

import numpy as np

_BOTTOM, _SPINE, _LEFT_SHOULDER, _RIGHT_SHOULDER = 0, 1, 4, 8  # joints, from 0
_X_AXIS, _Z_AXIS = np.eye(3)[[0, 2]]
_SMALLEST = 1e-6  # of an axis' components and of an angle in radians: below that nothing is rotated


def view_normalise(sample):
    """The sample with gaps filled, centred on the spine, and turned upright and to the front.

    (3, T, 25, M) to the same, float32 metres. The spine of the first body is the origin of every frame; in its first
    frame the spine then points along +z, and the line from left to right shoulder (taken after that turn) along +x,
    which may tilt z again, as in the published code. A sample without any skeleton stays zero.
    """
    bodies = np.ascontiguousarray(sample.transpose(3, 0, 1, 2))  # M C T V
    seen = np.flatnonzero(bodies.reshape(len(bodies), -1).any(axis=1))
    bodies = np.stack([_fill_gaps(body) for body in bodies[: seen.max(initial=0) + 1]])  # mostly one: nobody is second
    spine = bodies[0, :, :, _SPINE, None]  # C T 1
    bodies -= spine * (bodies.sum(axis=1, keepdims=True) != 0)
    bodies = _turn(bodies, _BOTTOM, _SPINE, _Z_AXIS)
    bodies = _turn(bodies, _LEFT_SHOULDER, _RIGHT_SHOULDER, _X_AXIS)
    result = np.zeros(sample.shape, np.float32)
    result[..., : len(bodies)] = bodies.transpose(1, 2, 3, 0)
    return result


def _fill_gaps(body):
    """One body, (3, T, 25), without null frames at start and end: its frames from the start fill the end, cyclically.

    Null frames in between go only where the body started with null frames, as in the published code.
    """
    valid = np.flatnonzero(_frame_sums(body))
    if not len(valid):
        return body
    source = valid if valid[0] > 0 else np.arange(valid[-1] + 1)
    return body[:, np.resize(source, body.shape[1])]


def _frame_sums(bodies):
    """Sum of all coordinates of each frame, 0 for a null frame: (..., 3, T, 25) to (..., T)."""
    return bodies.sum(axis=-3).sum(axis=-1)


def _turn(bodies, start, end, target):
    """All frames turned so that body 0's vector from joint `start` to joint `end` in frame 0 points along `target`."""
    vector = (bodies[0, :, 0, end] - bodies[0, :, 0, start]).astype(float)
    axis = np.cross(vector, target)
    if abs(axis).sum() < _SMALLEST:
        return bodies
    angle = np.arccos(np.clip(vector @ target / np.linalg.norm(vector), -1, 1))
    if angle < _SMALLEST:
        return bodies
    turned = np.einsum("ij,mjtv->mitv", _rotation(axis, angle).astype(np.float32), bodies)
    null = _frame_sums(bodies) == 0  # M T
    turned.swapaxes(1, 2)[null] = bodies.swapaxes(1, 2)[null]
    return turned


def _rotation(axis, angle):
    """The 3x3 matrix that turns by `angle` radians about `axis` (Rodrigues' formula)."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
