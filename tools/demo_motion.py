"""Kinematic people who perform ten of the NTU actions: synthetic motion for the demo, NumPy only.

A pose is a few lines over time (pelvis, trunk angles, where wrists and ankles go); every joint follows from it with
bones of constant length. Lines are in metres of a body of size 1, along (side, up, forward): side counts towards the
skilled hand for the pelvis and outward for a limb. A pair of limbs has the skilled hand's side first.
"""

from collections import namedtuple
from dataclasses import dataclass

import numpy as np

RATE = 30  # frames a second, Kinect v2's
# Kinect v2's 25 joints, counted from 0: the other end of each joint's bone (as in NTU's bone stream), and the bone's
# length in metres: with the sensor's noise on top they measure as in real files.
PARENT = np.array([1, 1, 20, 2, 20, 4, 5, 6, 20, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18, 1, 22, 7, 24, 11])
LENGTH = np.array(
    [
        0.27,
        0,
        0.07,
        0.12,
        0.14,
        0.23,
        0.21,
        0.05,
        0.13,
        0.21,
        0.22,
        0.06,
        0.057,
        0.34,
        0.33,
        0.09,
        0.067,
        0.33,
        0.35,
        0.09,
        0.20,
        0.05,
        0.024,
        0.05,
        0.024,
    ]
)
SIDES = ((1, (8, 9, 10, 11, 23, 24), (16, 17, 18, 19)), (-1, (4, 5, 6, 7, 21, 22), (12, 13, 14, 15)))  # sign, arm, leg
ACROSS, UP = np.eye(3)[:2]
ANKLE = np.array([0.09, 0.08, 0])  # of a standing foot, from the floor below the pelvis
WRIST = np.array([0.04, -0.42, 0.05])  # of a hanging hand, from the shoulder


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


def keys(phase, *points):
    """Values (T,D) at `phase` (T,) of the smooth curve through (phase, D values) that turns nowhere else (monotone)."""
    at, value = np.array([p for p, _ in points]), np.array([v for _, v in points], float)
    width = np.diff(at)[:, None]
    slope = np.diff(value, axis=0) / width
    before, after, tangent = slope[:-1], slope[1:], np.zeros_like(value)
    np.divide(2 * before * after, before + after, out=tangent[1:-1], where=before * after > 0)
    i = np.clip(np.searchsorted(at, phase, "right") - 1, 0, len(at) - 2)
    s = np.clip((phase - at[i])[:, None] / width[i], 0, 1)
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
        return keys(np.linspace(0, 1, self.frames), (begin, [0]), (begin + 0.16, [1]), (end - 0.16, [1]), (end, [0]))

    def beat(self, hertz):
        """A swing (T,1) from -1 to 1 and back, in a rhythm that is not quite steady."""
        pace = hertz * self.leader.tempo * (1 + 0.06 * drift(self.rng, self.frames, (1,)))
        return np.sin(self.rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.cumsum(pace, 0) / RATE)


class Pose:
    """What one body does over time; it starts as quiet standing with a little sway."""

    def __init__(self, clip, body):
        rng, frames = clip.rng, clip.frames
        self.body = body
        self.pelvis = drift(rng, frames, (3,)) * (0.010, 0.002, 0.010)  # (T,3), from where it stands
        self.wrist = np.stack([WRIST + 0.012 * drift(rng, frames, (3,)) for _ in range(2)])  # (2,T,3), from the shoulder
        self.ankle = np.tile(ANKLE + rng.normal(0, 0.02, (2, 1, 3)) * (1, 0, 1), (frames, 1))  # (2,T,3), from the floor
        # (T,5), radians: the trunk leans forward, upper back and head more so; the trunk leans to the skilled side, and
        # twists that shoulder forward
        self.trunk = 0.025 * drift(rng, frames, (5,)) + (0, 0.06, 0.05, 0, 0)


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


def joints(pose):
    """Joint positions (T,25,3) in metres: x to the person's right, y up from the floor, z backward; it stands at 0."""
    body, bones, place = pose.body, pose.body.bones, np.empty((len(pose.pelvis), 25, 3))
    lean, curl, nod, tilt, twist = pose.trunk.T[..., None]

    def spine(angle):
        return np.cos(tilt) * np.concatenate([body.hand * np.tan(tilt), np.cos(angle), np.sin(angle)], -1)

    def right(angle, up):
        return across(np.concatenate([np.cos(angle), 0 * angle, body.hand * np.sin(angle)], -1), up)

    lower, upper = spine(lean), spine(lean + curl)
    shoulders, hips = right(twist, upper), right(0.4 * twist, lower)
    standing = 0.995 * min(bones[13] + bones[14], bones[17] + bones[18]) + (ANKLE[1] + 0.03) * body.size
    place[:, 0] = pose.pelvis * (body.hand, 1, 1) * body.size + standing * UP
    for joint, below, bone in (
        (1, 0, bones[0] * lower),
        (20, 1, bones[20] * upper),
        (2, 20, bones[2] * upper),
        (3, 2, bones[3] * spine(lean + curl + nod)),
    ):
        place[:, joint] = place[:, below] + bone
    for sign, (shoulder, elbow, wrist, hand, tip, thumb), (hip, knee, ankle, foot) in SIDES:
        limb, outward = int(sign != body.hand), (sign * body.size, body.size, body.size)
        place[:, shoulder] = root = place[:, 20] + bones[shoulder] * unit(sign * shoulders - 0.3 * upper)
        goal = root + pose.wrist[limb] * outward
        place[:, elbow], place[:, wrist] = reach(root, goal, bones[elbow], bones[wrist], (0.5 * sign, -0.6, -0.5))
        forearm = unit(place[:, wrist] - place[:, elbow])
        inward = across((-0.3 * sign, 0.6, 0.7), forearm)
        place[:, hand] = place[:, wrist] + bones[hand] * forearm
        place[:, thumb] = place[:, hand] + bones[thumb] * unit(0.4 * forearm + inward)
        place[:, tip] = place[:, thumb] + bones[tip] * unit(forearm - 0.3 * inward)
        place[:, hip] = root = place[:, 0] + bones[hip] * unit(sign * hips - 0.5 * lower)
        goal = pose.ankle[limb] * outward
        place[:, knee], place[:, ankle] = reach(root, goal, bones[knee], bones[ankle], (0.15 * sign, 0.2, 1))
        shin = unit(place[:, ankle] - place[:, knee])
        place[:, foot] = place[:, ankle] + bones[foot] * unit(across((0.25 * sign, 0, 1), shin) + 0.5 * shin)
    return place * (1, 1, -1)


# The actions: each adds to quiet standing what its people do in one clip.
def pick_up(clip, pose):
    phase = clip.event(2.4)
    stoop = keys(phase, (0, [0]), (0.42, [1]), (0.52, [1]), (0.9, [0]), (1, [0]))
    pose.pelvis += stoop * (0, -0.30 * clip.leader.amplitude, -0.16)
    pose.trunk += stoop * (1, 0.5, -0.2, 0, 0)
    pose.ankle[0] += stoop * (0.02, 0, 0.10)
    pose.wrist[0] += keys(phase, (0, (0, 0, 0)), (0.42, (-0.06, -0.02, 0.08)), (0.55, (-0.06, 0, 0.06)), (0.9, (-0.08, 0.2, 0.2)))
    pose.wrist[1] += stoop * (0.02, 0.10, 0.06)


def sit_down(clip, pose, points=((0, [0]), (1, [1]))):
    seated = keys(clip.event(1.6), *points)
    passing = np.sin(np.pi * seated)  # the trunk dips forward on the way
    pose.pelvis += seated * (0, -0.37, -0.30) + passing * (0, 0.02, 0.02)
    pose.trunk[:, :1] += 0.55 * clip.leader.amplitude * passing + 0.04 * seated
    pose.wrist += seated * (0, 0.07, 0.16) + passing * (0.03, 0.03, 0.10)


def stand_up(clip, pose):
    sit_down(clip, pose, ((0, [1]), (1, [0])))


def clap(clip, pose):
    spread = 0.13 * clip.leader.amplitude * (0.5 + 0.5 * clip.beat(2.3))
    pose.wrist += clip.hold() * ((-0.155, clip.rng.uniform(0.16, 0.28), 0.24) + spread * (1, 0, 0.1))


def wave(clip, pose):
    up, swing = clip.hold(), 0.13 * clip.leader.amplitude * clip.beat(1.6)
    pose.wrist[0] += up * ((0.14, clip.rng.uniform(0.60, 0.68), 0.10) + swing * (1, -0.15, 0))
    pose.trunk += up * (0, 0, 0, -0.05, 0)


def kick(clip, pose):
    phase, far = clip.event(1.5), clip.leader.amplitude
    swing = keys(phase, (0, [0]), (0.3, [-1]), (0.52, [1]), (0.85, [0]), (1, [0]))
    pose.ankle[0] += keys(
        phase,
        (0, (0, 0, 0)),
        (0.3, (-0.02, 0.14, -0.28)),
        (0.52, (-0.10, 0.32 * far, 0.66 * far)),
        (0.62, (-0.09, 0.26, 0.42)),
        (0.85, (-0.02, 0.05, 0.05)),
        (1, (0, 0, 0)),
    )
    pose.pelvis += keys(phase, (0, (0, 0, 0)), (0.25, (-0.07, -0.02, -0.02)), (0.6, (-0.07, -0.01, 0.03)), (1, (0, 0, 0)))
    pose.trunk += swing * (-0.16, 0, 0, 0, -0.2)
    pose.wrist[0] += swing * (0.05, 0, -0.12) + abs(swing) * (0.08, 0.06, 0)
    pose.wrist[1] += swing * (0.05, 0.05, 0.16) + abs(swing) * (0.10, 0.06, 0)


def hop(clip, pose):
    up, bounce, height = clip.hold(), clip.beat(2), 0.11 * clip.leader.amplitude
    flight = up * np.maximum(bounce, 0) * height * UP
    pose.pelvis += up * ((0.05, 0, 0) + np.minimum(bounce, 0) * 0.06 * UP) + flight
    pose.ankle += up * (-0.03, 0, 0) + flight
    pose.ankle[1] += up * (0, 0.22, -0.20)
    pose.trunk += up * (0.08, 0, 0, 0, 0)
    pose.wrist += up * ((0.10, 0.10, 0.10) + bounce * (0.025, -0.05, 0.015))


def jump(clip, pose):
    phase = clip.event(1.7)
    crouch = keys(phase, (0, [0]), (0.28, [1]), (0.42, [-0.1]), (0.68, [0.1]), (0.78, [0.7]), (1, [0]))
    flight = 0.30 * clip.leader.amplitude * np.maximum(1 - ((phase[:, None] - 0.55) / 0.13) ** 2, 0) * UP
    pose.pelvis += crouch * (0, -0.22, -0.08) + flight
    pose.ankle += 0.9 * flight
    pose.trunk += crouch * (0.55, 0, 0, 0, 0)
    pose.wrist += keys(
        phase,
        (0, (0, 0, 0)),
        (0.25, (0.05, 0.06, -0.28)),
        (0.42, (0.05, 0.22, 0.34)),
        (0.57, (0.06, 0.72, 0.16)),
        (0.74, (0.06, 0.22, 0.28)),
        (1, (0, 0, 0)),
    )


def punch(clip, pose, struck):
    phase, hard = clip.event(1.6), clip.leader.amplitude
    drive = keys(phase, (0, [0]), (0.28, [-0.4]), (0.45, [1]), (0.6, [0.9]), (1, [0]))
    pose.wrist[0] += keys(
        phase,
        (0, (0, 0, 0)),
        (0.28, (0.02, 0.26, -0.02)),
        (0.45, (-0.16, 0.46, 0.42)),
        (0.55, (-0.14, 0.42, 0.38)),
        (1, (0, 0, 0)),
    )
    pose.wrist[1] += keys(phase, (0, (0, 0, 0)), (0.28, (-0.06, 0.26, 0.18)), (0.6, (-0.04, 0.24, 0.14)), (1, (0, 0, 0)))
    pose.pelvis += drive * (0, -0.02, 0.13 * hard)
    pose.ankle[1] += np.maximum(drive, 0) * (0, 0, 0.16)
    pose.trunk += drive * (0.15, 0, 0, 0, 0.55 * hard)
    blow = keys(phase, (0.42, [0]), (0.58, [1]), (0.75, [0.8]), (1, [0.1]))
    struck.pelvis += blow * (0.03, -0.03, -0.14)
    struck.ankle[0] += blow * (0, 0, -0.20)
    struck.trunk += blow * (-0.22 * hard, 0, -0.45 * hard, 0, -0.25)
    struck.wrist += blow * (0.06, 0.20, 0.18)


def shake_hands(clip, *poses):
    hold, pump = clip.hold(), 0.045 * clip.leader.amplitude * clip.beat(2.2)
    height = clip.rng.uniform(0.94, 1) * np.mean([pose.body.size for pose in poses])  # metres; shoulders: 1.21 sizes
    for pose in poses:
        pose.wrist[0] += hold * ((-0.13, height / pose.body.size - 1.21 - WRIST[1], 0.28) + pump * UP)
        pose.trunk += hold * (0.10, 0, 0, 0, 0.15)
        pose.ankle[0] += hold * (0, 0, 0.08)


ACTIONS = {6: pick_up, 8: sit_down, 9: stand_up, 10: clap, 23: wave, 24: kick, 26: hop, 27: jump, 50: punch, 58: shake_hands}
PAIRS = (50, 58)


def turn(place, angle):
    """The points (..., 3) turned by `angle` radians about the y axis, from -z towards -x."""
    cos, sin = np.cos(angle), np.sin(angle)
    return place @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])


def perform(action, frames, leader, other, rng):
    """One performance: a list of one or two bodies' joints (frames, 25, 3) in metres, y up from the floor.

    Alone the leader faces -z; two people face each other along x, a step apart, the leader on either side.
    """
    clip = Clip(frames, leader, rng)
    people = (leader, other) if action in PAIRS else (leader,)
    if action == 58:  # whoever shakes hands gives the right one
        people = [body._replace(hand=1) for body in people]
    poses = [Pose(clip, body) for body in people]
    ACTIONS[action](clip, *poses)
    places = [joints(pose) for pose in poses]
    if action in PAIRS:
        side, away = rng.choice((-1, 1)), 0.22 * (leader.size + other.size) * ACROSS
        places = [turn(place, way * np.pi / 2) + way * away for place, way in zip(places, (side, -side), strict=True)]
    return places
