"""Kinematic people who perform ten of the NTU actions: synthetic motion for the demo, NumPy only.

A pose is 20 numbers: pelvis, trunk, wrists, ankles. An action is a few rows of demo_poses.txt, between which people move
smoothly; every joint follows from the pose with bones of constant length.
"""

from collections import defaultdict, namedtuple
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RATE = 30  # frames a second, Kinect v2's
# Metres from each of Kinect v2's 25 joints to its parent: with the sensor's noise on top they measure as in real files.
LENGTH = np.array([27, 0, 7, 12, 14, 23, 21, 5, 13, 21, 22, 6, 5.7, 34, 33, 9, 6.7, 33, 35, 9, 20, 5, 2.4, 5, 2.4]) / 100
SIDES = ((1, (8, 9, 10, 11, 23, 24), (16, 17, 18, 19)), (-1, (4, 5, 6, 7, 21, 22), (12, 13, 14, 15)))  # sign, arm, leg

PARTS = np.cumsum([3, 5, 3, 3, 3])  # where a pose is split
ROWS = defaultdict(dict)  # {name: {percent or word: pose (20,), in metres and radians}}
for _name, _when, *_numbers in map(str.split, Path(__file__).with_name("demo_poses.txt").read_text().splitlines()):
    if _name != "#":
        ROWS[_name][int(_when) if _when.isdigit() else _when] = np.array(_numbers, float) / 100
# NTU's number: rows of each who takes part, and the seconds that it takes or, of what is kept up, swings a second.
ACTIONS = {
    6: (("pick",), 2.4), 8: (("sit",), 1.6), 9: (("rise",), 1.6), 10: (("clap",), 2.3), 23: (("wave",), 1.6),
    24: (("kick",), 1.5), 26: (("hop",), 2), 27: (("jump",), 1.7), 50: (("punch", "struck"), 1.6), 58: (("shake", "shake"), 2.2),
}  # fmt: skip
PAIRS = tuple(action for action, (roles, _) in ACTIONS.items() if len(roles) == 2)

# What stays the same of a person: bone lengths (25,) in metres, three factors, the skilled hand (1 right, -1 left).
Body = namedtuple("Body", "bones size tempo amplitude hand")


def draw_body(rng, left_handed):
    """A person drawn at random: 0.88 to 1.12 times the table's size, bones 1.5 % off the common proportions."""
    size = rng.uniform(0.88, 1.12)
    bones = LENGTH * size * rng.normal(1, 0.015, 25).clip(0.95, 1.05)
    return Body(bones, size, rng.uniform(0.85, 1.2), rng.uniform(0.85, 1.15), -1 if left_handed else 1)


def drift(rng, frames, shape=(), hertz=(0.2, 0.8)):
    """Smooth noise (frames, *shape) of unit variance: a sum of three slow sines."""
    frequency, phase = rng.uniform(*hertz, (3, *shape)), rng.uniform(0, 2 * np.pi, (3, *shape))
    time = np.arange(frames).reshape(-1, 1, *[1] * len(shape)) / RATE
    return np.sqrt(2 / 3) * np.cos(2 * np.pi * frequency * time + phase).sum(1)


def keys(phase, at, value):
    """Values (T,D) at `phase` (T,) of the smooth curve through `value` (K,D) at `at` (K,) that turns nowhere else (monotone)."""
    value, width = np.asarray(value, float), np.diff(at)[:, None]
    slope = np.diff(value, axis=0) / width
    before, after, tangent = slope[:-1], slope[1:], np.zeros_like(value)
    np.divide(2 * before * after, before + after, out=tangent[1:-1], where=before * after > 0)
    i = np.clip(np.searchsorted(at, phase, "right") - 1, 0, len(at) - 2)
    s = np.clip((phase - np.array(at)[i])[:, None] / width[i], 0, 1)
    curve = value[i] + (3 - 2 * s) * s * s * (value[i + 1] - value[i])
    return curve + width[i] * s * (1 - s) * ((1 - s) * tangent[i] - s * tangent[i + 1])


@dataclass
class Clip:
    """One performance's time, shared by those in it: frame count, whose tempo and amplitude rule, its random draws."""

    frames: int
    leader: Body
    rng: np.random.Generator

    def event(self, seconds):
        """Phase (T,) of what is done once: 0 before, 1 after; begins where it has room, hurries in a short clip."""
        whole = self.frames / RATE
        length = min(seconds / self.leader.tempo, 0.85 * whole)
        return np.clip((np.arange(self.frames) / RATE - self.rng.uniform(0.05, 0.95) * (whole - length)) / length, 0, 1)

    def hold(self):
        """Weight (T,1) of what is kept up: rises to 1 near the start, falls near the end; either may be cut off."""
        begin, end = self.rng.uniform((-0.12, 0.88), (0.10, 1.12))
        return keys(np.linspace(0, 1, self.frames), (begin, begin + 0.16, end - 0.16, end), [[0], [1], [1], [0]])

    def beat(self, hertz):
        """A swing (T,1) from -1 to 1 and back, in a rhythm that is not quite steady."""
        pace = hertz * self.leader.tempo * (1 + 0.06 * drift(self.rng, self.frames, (1,)))
        return np.sin(self.rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.cumsum(pace, 0) / RATE)

    def standing(self):
        """Poses (T,20) of one who stands there quietly."""
        pose, sway, place = ROWS["stand"].values()
        return pose + sway * drift(self.rng, self.frames, (20,)) + place * self.rng.standard_normal(20)

    def moves(self, roles, pace, people):
        """What an action adds to standing, (T,20) for each who takes part."""
        first, strength, mean_size = ROWS[roles[0]], self.leader.amplitude, np.mean([body.size for body in people])
        if "held" not in first:
            phase, nothing = 100 * self.event(pace), np.zeros(20)
            curves = ({0: nothing, **ROWS[name], 100: ROWS[name].get(100, nothing)} for name in roles)
            return [strength * keys(phase, list(curve), list(curve.values())) for curve in curves]
        up, beat, high = self.hold(), self.beat(pace), first["high"]
        swing = strength * (beat.clip(0) * high - beat.clip(None, 0) * first.get("low", -high))
        held = first["held"] + self.rng.uniform(-1, 1) * first.get("give", 0)
        return [up * (held + swing + (mean_size / body.size - 1) * first.get("meet", 0)) for body in people]


def unit(vector):
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def across(vector, axis):
    """The unit vectors (T,3) nearest to `vector` of those at right angles to the unit vectors `axis`."""
    return unit(vector - (vector * axis).sum(-1, keepdims=True) * axis)


def reach(root, target, upper, lower, pole):
    """Middle and end joint (T,3) of a limb of two bones that goes to, or towards, the target and bends to the pole."""
    line = target - root
    distance = np.linalg.norm(line, axis=-1, keepdims=True).clip(abs(upper - lower) + 0.02, 0.998 * (upper + lower))
    along, axis = (upper**2 - lower**2 + distance**2) / (2 * distance), unit(line)
    return root + axis * along + across(pole, axis) * np.sqrt(upper**2 - along**2), root + axis * distance


def joints(poses, body):
    """Joint positions (T,25,3) in metres: x to the person's right, y up from the floor, z backward; it stands at 0."""
    bones, place = body.bones, np.empty((len(poses), 25, 3))
    pelvis, trunk, *limbs = np.split(poses, PARTS, axis=1)
    lean, curl, nod, tilt, twist = trunk.T[..., None]

    def spine(angle):
        return np.cos(tilt) * np.concatenate([body.hand * np.tan(tilt), np.cos(angle), np.sin(angle)], -1)

    def right(angle, up):
        return across(np.concatenate([np.cos(angle), 0 * angle, body.hand * np.sin(angle)], -1), up)

    lower, upper = spine(lean), spine(lean + curl)
    shoulders, hips = right(twist, upper), right(0.4 * twist, lower)
    standing = 0.995 * min(bones[13] + bones[14], bones[17] + bones[18]) + 0.11 * body.size  # ankles are 8 cm up, hips hang 3
    place[:, 0] = pelvis * (body.hand, 1, 1) * body.size + (0, standing, 0)
    place[:, 1] = place[:, 0] + bones[0] * lower
    place[:, 20] = place[:, 1] + bones[20] * upper
    place[:, 2] = place[:, 20] + bones[2] * upper
    place[:, 3] = place[:, 2] + bones[3] * spine(lean + curl + nod)
    for sign, (shoulder, elbow, wrist, hand, tip, thumb), (hip, knee, ankle, foot) in SIDES:
        limb, outward = int(sign != body.hand), (sign * body.size, body.size, body.size)
        place[:, shoulder] = root = place[:, 20] + bones[shoulder] * unit(sign * shoulders - 0.3 * upper)
        goal = root + limbs[limb] * outward
        place[:, elbow], place[:, wrist] = reach(root, goal, bones[elbow], bones[wrist], (0.5 * sign, -0.6, -0.5))
        forearm = unit(place[:, wrist] - place[:, elbow])
        inward = across((-0.3 * sign, 0.6, 0.7), forearm)
        place[:, hand] = place[:, wrist] + bones[hand] * forearm
        place[:, thumb] = place[:, hand] + bones[thumb] * unit(0.4 * forearm + inward)
        place[:, tip] = place[:, thumb] + bones[tip] * unit(forearm - 0.3 * inward)
        place[:, hip] = root = place[:, 0] + bones[hip] * unit(sign * hips - 0.5 * lower)
        goal = limbs[2 + limb] * outward
        place[:, knee], place[:, ankle] = reach(root, goal, bones[knee], bones[ankle], (0.15 * sign, 0.2, 1))
        shin = unit(place[:, ankle] - place[:, knee])
        place[:, foot] = place[:, ankle] + bones[foot] * unit(across((0.25 * sign, 0, 1), shin) + 0.5 * shin)
    return place * (1, 1, -1)


def turn(place, angle):
    """The points (..., 3) turned by `angle` radians about the y axis, from -z towards -x."""
    cos, sin = np.cos(angle), np.sin(angle)
    return place @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])


def perform(action, frames, leader, other, rng):
    """One performance: a list of one or two bodies' joints (frames, 25, 3) in metres, y up from the floor.

    Alone the leader faces -z; two people face each other along x, a step apart, the leader on either side.
    """
    roles, pace = ACTIONS[action]
    clip, people = Clip(frames, leader, rng), (leader, other)[: len(roles)]
    if action == 58:  # whoever shakes hands gives the right one
        people = [body._replace(hand=1) for body in people]
    moves = clip.moves(roles, pace, people)
    places = [joints(clip.standing() + move, body) for move, body in zip(moves, people, strict=True)]
    if action in PAIRS:
        side, away = rng.choice((-1, 1)), 0.22 * (leader.size + other.size) * np.array([1, 0, 0])
        places = [turn(place, way * np.pi / 2) + way * away for place, way in zip(places, (side, -side), strict=True)]
    return places
