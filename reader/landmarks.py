"""The 33 landmarks of MediaPipe's pose model as the 25 joints of Kinect v2, where and when the sensor would see them.

landmarks.json, for Python and JavaScript alike, has the joints: points by name, each a weighted sum of landmarks, P0 to P32, and
of points above it: H and S, the middle of hips and shoulders, E of the ears, U = S - H, and J1 to J25 as NTU counts them.
"""

import itertools
import json
from pathlib import Path

import numpy as np

RATE = 30  # frames a second, Kinect v2's
FOCAL = 1081 / 1920  # focal length over the longer side of the picture, of Kinect v2's colour camera
LINGER = 0.25  # seconds before and after someone is found in which they are taken to be there
NEW = 1.0  # metres: who is farther from where people were last is another person

POINTS = json.loads(Path(__file__).with_name("landmarks.json").read_text(encoding="utf-8"))


def to_joints(landmarks):
    """(..., 33, C) to (..., 25, C), C coordinates or whatever else can be averaged."""
    points = {f"P{number}": landmarks[..., number, :] for number in range(33)}
    for name, terms in POINTS.items():
        points[name] = sum(weight * points[term] for term, weight in terms.items())
    return np.stack([points[f"J{number}"] for number in range(1, 26)], axis=-2)


def in_camera_space(world, image, visibility, size):
    """Joints (..., 25, 4) in Kinect's camera space: metres, x to the camera's left, y up, z away; and their visibility, 0 to 1.

    world (..., 33, 3), image (..., 33, 2), visibility (..., 33): landmarks of a picture that is not mirrored, as MediaPipe gives
    them; size: its width and height in pixels. The root (X, Y, Z), the origin of `world` before the camera, is the least squares
    of the pinhole equations x + X = ray (z + Z), y alike, weighted by visibility.
    """
    rays = (image - 0.5) * np.divide(size, FOCAL * max(size))
    offsets = rays * world[..., 2:] - world[..., :2]  # X = ray Z + offset
    weights = visibility[..., None].clip(1e-3) / visibility.clip(1e-3).sum(-1)[..., None, None]
    ray, offset = ((weights * values).sum(-2, keepdims=True) for values in (rays, offsets))
    spread = weights * (rays - ray)
    depth = -(spread * (offsets - offset)).sum((-2, -1), keepdims=True) / (spread * (rays - ray)).sum((-2, -1), keepdims=True)
    place = world + np.concatenate([ray * depth + offset, depth], axis=-1)
    return to_joints(np.concatenate([place * (-1, -1, 1), visibility[..., None]], axis=-1))


def follow(last, found):
    """Slots of the people at `found` (F, 3), so that they moved least since slots were at `last` (M, 3), NaN: empty; F <= M."""
    away = np.linalg.norm(last - found[:, None], axis=-1)  # F M
    cost = np.where(np.isnan(away), NEW, away)
    return min(itertools.permutations(range(len(last)), len(found)), key=lambda slots: cost[range(len(found)), slots].sum())


def resample(times, values, length):
    """Values (K, ...) at ascending `times` (K,) in seconds as (T, ...) at 30 frames a second from 0 to `length`; and (T,) bool.

    Linear in between, the first and the last before and after; the bool is False where no time is within LINGER.
    """
    clock = np.arange(round(length * RATE) + 1) / RATE
    place = np.interp(clock, times, np.arange(len(times)))
    before, after = np.floor(place).astype(int), np.ceil(place).astype(int)
    part = (place - before).reshape(-1, *[1] * (values.ndim - 1))
    seen = np.minimum(abs(clock - times[before]), abs(clock - times[after])) <= LINGER
    return values[before] + part * (values[after] - values[before]), seen
