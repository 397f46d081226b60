"""NTU RGB+D files read line by line; view normalisation and features with loops over frames and joints: no idea of ours in it."""

import math

import numpy as np

FRAMES, JOINTS, BODIES, SLOTS = 300, 25, 2, 4


def read_bodies(path):
    """Joint coordinates (4 bodies, T, 25, 3) of a `.skeleton` file, in metres."""
    with open(path, encoding="ascii") as file:
        bodies = np.zeros((SLOTS, int(file.readline()), JOINTS, 3), np.float32)
        for t in range(bodies.shape[1]):
            for m in range(int(file.readline())):
                file.readline()
                for v in range(int(file.readline())):
                    values = [float(field) for field in file.readline().split()]
                    bodies[m, t, v] = values[:3]
    return bodies


def energy(body):
    """Sum over the axes of the standard deviation over valid frames and all joints."""
    valid = body[[frame.sum() != 0 for frame in body]]
    return sum(valid[..., axis].std() for axis in range(3)) if len(valid) else 0.0


def read_sample(path):
    """The two bodies that move most as (3, 300, 25, 2)."""
    bodies = read_bodies(path)
    order = np.argsort([energy(body) for body in bodies], kind="stable")[::-1][:BODIES]
    sample = np.zeros((3, FRAMES, JOINTS, BODIES), np.float32)
    sample[:, : bodies.shape[1]] = bodies[order].transpose(3, 1, 2, 0)
    return sample


def view_normalise(sample):
    """(3, T, 25, M) without gaps, centred on body 0's spine, upright and to the front."""
    bodies = sample.transpose(3, 1, 2, 0).copy()  # M T V C
    if not bodies.any():
        return sample
    for body in bodies:
        if body.any():
            fill(body)
    spine = bodies[0, :, 1].copy()
    for body in bodies:
        if body.any():
            for t, frame in enumerate(body):
                for v, joint in enumerate(frame):
                    if joint.sum() != 0:
                        frame[v] = joint - spine[t]
    turn(bodies, bodies[0, 0, 1] - bodies[0, 0, 0], [0, 0, 1])
    turn(bodies, bodies[0, 0, 8] - bodies[0, 0, 4], [1, 0, 0])
    return bodies.transpose(3, 1, 2, 0)


def fill(body):
    """Move a body (T, 25, 3) to the first frame, and repeat it over the null frames at its end."""
    if body[0].sum() == 0:
        kept = body[[frame.sum() != 0 for frame in body]]
        body[:] = 0
        body[: len(kept)] = kept
    for t, frame in enumerate(body):
        if frame.sum() == 0 and body[t:].sum() == 0:
            rest = len(body) - t
            body[t:] = np.concatenate([body[:t]] * math.ceil(rest / t))[:rest]
            return


def turn(bodies, vector, target):
    """Turn all joints as `vector` must be turned to point along `target`."""
    axis = np.cross(vector, target)
    angle = np.arccos(np.clip(np.dot(vector, target) / np.linalg.norm(vector), -1, 1)) if vector.any() else 0.0
    if np.abs(axis).sum() < 1e-6 or angle < 1e-6:
        return
    axis = axis / np.linalg.norm(axis)
    matrix = math.cos(angle) * np.eye(3) + math.sin(angle) * np.cross(np.eye(3), axis)
    matrix += (1 - math.cos(angle)) * np.outer(axis, axis)
    for body in bodies:
        for frame in body:
            if frame.sum() != 0:
                for v, joint in enumerate(frame):
                    frame[v] = np.dot(matrix, joint)


def sample_features(x, parents, centre):
    """The joint, velocity and bone branches (3, 6, T, 25, M) of coordinates (3, T, 25, M)."""
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
