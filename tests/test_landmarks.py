"""Landmarks of a pose model as Kinect's joints: on synthetic people whose joints are known, and by hand."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from dataset.demo_motion import ACTIONS
from reader.landmarks import FOCAL, LINGER, NEW, POINTS, RATE, follow, in_camera_space, resample
from tests.helpers.landmarks import landmarks, performance
from tests.helpers.places import ROOT

WIDE, TALL = (1920, 1080), (720, 1280)
MIDDLE_OF_SPINE = 1


def estimate(joints, size, noise=0.0, pixels=0.0, visibility=None):
    """Joints found again from landmarks with noise, in metres and pixels (standard deviation)."""
    world, image = landmarks(joints, size, FOCAL * max(size))
    rng = np.random.default_rng(0)
    world, image = world + noise * rng.standard_normal(world.shape), image + pixels * rng.standard_normal(image.shape) / size
    return in_camera_space(world, image, np.ones(world.shape[:2]) if visibility is None else visibility, size)


@pytest.mark.parametrize("size", [WIDE, TALL])
@pytest.mark.parametrize("action", ACTIONS)
def test_joints_come_back_within_two_centimetres(action, size):
    joints = performance(action)
    away = np.linalg.norm(estimate(joints, size)[..., :3] - joints, axis=-1).max(0)
    assert away[MIDDLE_OF_SPINE] < 0.08  # on the straight line, also of who bends
    assert np.delete(away, MIDDLE_OF_SPINE).max() < 0.02


@pytest.mark.parametrize("away", [(0, -0.9, 1.5), (0.8, -0.6, 3), (-1.5, -1.2, 5)])
def test_the_root_is_found_within_a_twentieth_of_the_distance_in_spite_of_noise(away):
    joints = performance(23, away=np.array(away))
    error = (estimate(joints, WIDE, noise=0.02, pixels=2)[..., :3] - joints).mean(1)
    assert np.linalg.norm(error, axis=-1).max() < 0.05 * away[2]


def test_landmarks_that_are_not_visible_hardly_count_for_the_root():
    joints, visibility = performance(23), np.ones((40, 33))
    visibility[:, 25:] = 0
    world, image = landmarks(joints, WIDE, FOCAL * max(WIDE))
    image[:, 25:] += 0.2
    found = in_camera_space(world, image, visibility, WIDE)
    assert abs(found[:, 0, :3] - joints[:, 0]).max() < 0.05
    assert abs(in_camera_space(world, image, np.ones((40, 33)), WIDE)[:, 0, :3] - joints[:, 0]).max() > 0.2
    np.testing.assert_allclose(found[..., [6, 15, 0], 3], [[1, 0, 1]] * 40, atol=1e-9)  # a wrist, a foot, the hips


def test_the_table_is_of_means_and_the_sides_are_alike():
    totals = {f"P{number}": 1.0 for number in range(33)}
    for name, terms in POINTS.items():
        totals[name] = sum(weight * totals[term] for term, weight in terms.items())
    assert [name for name, total in totals.items() if abs(total - (name != "U")) > 1e-12] == []
    assert {f"J{number}" for number in range(1, 26)} | set("HSEU") == set(POINTS)
    for left, right in (5, 9), (6, 10), (7, 11), (8, 12), (13, 17), (14, 18), (15, 19), (16, 20), (22, 24), (23, 25):
        swapped = {f"P{int(term[1:]) + 1}" if term[0] == "P" else term: weight for term, weight in POINTS[f"J{left}"].items()}
        assert swapped == POINTS[f"J{right}"]


@pytest.mark.parametrize("rate", [12, 24, 25, 60])
def test_any_rate_becomes_30_frames_a_second(rate):
    times = np.arange(2 * rate + 1) / rate
    values, seen = resample(times, np.stack([3 * times, 1 - times], -1), times[-1])
    clock = np.arange(2 * RATE + 1) / RATE
    np.testing.assert_allclose(values, np.stack([3 * clock, 1 - clock], -1), atol=1e-12)
    assert seen.all()


def test_short_gaps_are_bridged_and_nobody_is_there_in_long_ones():
    times = np.array([1.0, 1.4, 3.0])
    values, seen = resample(times, times[:, None], 4)
    clock = np.arange(4 * RATE + 1) / RATE
    np.testing.assert_allclose(values[:, 0], clock.clip(1, 3), atol=1e-12)
    there = (abs(clock - 1.2) < 0.2 + LINGER) | (abs(clock - 3) < LINGER)
    sure = abs(abs(clock[:, None] - times) - LINGER).min(1) > 1e-9
    assert (seen == there)[sure].all() and seen.any() and not seen.all()


def test_one_sight_is_enough():
    values, seen = resample(np.array([0.5]), np.array([[7.0]]), 1)
    assert (values == 7).all() and seen[RATE // 2] and not seen[0]


def test_people_keep_their_slots():
    one, two, far = np.array([0.0, 0, 3]), np.array([0.8, 0, 3]), np.array([2.5 * NEW, 0, 3])
    last = np.stack([one, two])
    assert follow(last, np.stack([two, one])) == (1, 0)
    assert follow(last, np.stack([two + 0.1])) == (1,)
    assert follow(last, np.empty((0, 3))) == ()
    empty = np.full(3, np.nan)
    assert follow(np.stack([one, empty]), np.stack([far])) == (1,)  # another person
    assert follow(np.stack([one, empty]), np.stack([two])) == (0,)  # the same, who moved
    assert follow(np.stack([empty, empty]), np.stack([one, two])) == (0, 1)


DRIVER = """
const { points, world, image, size, times, length } = JSON.parse(require("node:fs").readFileSync(0));
const joints = world.map((body, t) => inCameraSpace(body, image[t], size, points));
console.log(JSON.stringify([joints, resample(times, joints.map(rows => rows.flat()), length)]));
"""


@pytest.mark.skipif(not shutil.which("node"), reason="no node on PATH (Debian: apt-get install nodejs)")
def test_the_javascript_gives_the_numbers_of_the_python():
    rng, frames, size = np.random.default_rng(0), 12, (720, 1280)
    world, image = landmarks(performance(24, frames), size, 1000)
    visibility = rng.random((frames, 33)).round(1)  # also 0
    world, times = world + 0.05 * rng.standard_normal(world.shape), np.cumsum(rng.uniform(0.01, 0.4, frames))
    times[6:] += 1

    def named(points):
        return [[dict(zip(("x", "y", "z", "visibility"), point, strict=False)) for point in body] for body in points.tolist()]

    given = {"points": POINTS, "size": size, "times": times.tolist(), "length": times[-1] + 0.5, "world": named(world)}
    given["image"] = named(np.concatenate([image, 0 * image[..., :1], visibility[..., None]], -1))
    script = (ROOT / "reader" / "landmarks.js").read_text(encoding="utf-8") + DRIVER
    done = subprocess.run(["node", "-e", script], input=json.dumps(given), capture_output=True, text=True, check=True)
    joints, found = json.loads(done.stdout)
    expected = in_camera_space(world, image, visibility, size)
    np.testing.assert_allclose(joints, expected, rtol=1e-9, atol=1e-9)
    values, seen = resample(times, expected.reshape(frames, -1), times[-1] + 0.5)
    np.testing.assert_allclose(found["values"], values, rtol=1e-9, atol=1e-9)
    assert found["seen"] == seen.tolist() and not seen.all()
