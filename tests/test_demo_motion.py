"""That the people of the synthetic recordings move as people do, and do what their label says."""

import numpy as np
import pytest

from dataset.demo_motion import ACTIONS, PAIRS, draw_body, perform
from tests.helpers.kinect import BONES, HEAD, LEFT_FOOT, LEFT_HAND, RIGHT_FOOT, RIGHT_HAND, distance


def people(seed, left_handed=False):
    return (draw_body(np.random.default_rng((seed, i)), left_handed and not i) for i in range(2))


def act(action, seed, left_handed=False, frames=90):
    return perform(action, frames, *people(seed, left_handed), np.random.default_rng(seed))


@pytest.mark.parametrize("action", ACTIONS)
def test_bones_stay_constant_and_feet_above_the_floor(action):
    for seed in range(4):
        for body, place in zip(people(seed), act(action, seed), strict=False):
            for joint, (end, _) in BONES.items():
                length = np.linalg.norm(place[:, joint - 1] - place[:, end - 1], axis=-1)
                assert length == pytest.approx(body.bones[joint - 1], rel=1e-6)
            assert place[..., 1].min() > -0.03


@pytest.mark.parametrize("action", ACTIONS)
def test_motion_is_smooth_and_not_static(action):
    for seed in range(4):
        place = act(action, seed)[0]
        assert np.linalg.norm(np.diff(place, axis=0), axis=-1).max() < 0.30  # metres a frame: 9 m/s
        assert np.ptp(place, axis=0).max() > 0.3


def test_left_handed_people_mirror_the_right_handed():
    right, left = act(23, 5)[0], act(23, 5, left_handed=True)[0]
    assert np.median(right[30:60, RIGHT_HAND, 1]) > np.median(right[30:60, HEAD, 1]) - 0.1
    assert np.median(left[30:60, LEFT_HAND, 1]) == pytest.approx(np.median(right[30:60, RIGHT_HAND, 1]), abs=0.03)
    assert np.median(left[30:60, RIGHT_HAND, 1]) < np.median(left[30:60, 0, 1]) + 0.1


def turns(line, swing):
    """How often the line goes another way than before for at least `swing`."""
    count, last, way = 0, line[0], 0
    for value in line:
        if way * (value - last) > 0:
            last = value
        elif abs(value - last) >= swing:
            count, last, way = count + 1, value, np.sign(value - last)
    return count


# What a bystander would say of each action, on true joints (T,25,3); the right hand is the skilled one.
SEEN = {
    6: lambda a: a[:, RIGHT_HAND, 1].min() < 0.3 and a[-1, 0, 1] > a[:, 0, 1].min() + 0.15 and a[-1, RIGHT_HAND, 1] > 0.7,
    8: lambda a: a[0, 0, 1] - a[-1, 0, 1] > 0.25 and abs(a[-1, HEAD, 2] - a[-1, 0, 2]) < 0.15,
    9: lambda a: a[-1, 0, 1] - a[0, 0, 1] > 0.25 and abs(a[0, HEAD, 2] - a[0, 0, 2]) < 0.15,
    10: lambda a: (
        turns(distance(a[:, RIGHT_HAND], a[:, LEFT_HAND]), 0.08) >= 6 and distance(a[:, RIGHT_HAND], a[:, LEFT_HAND]).min() < 0.06
    ),
    23: lambda a: turns(a[25:62, RIGHT_HAND, 0], 0.1) >= 4 and (a[25:62, RIGHT_HAND, 1] > a[25:62, 20, 1]).all(),
    24: lambda a: a[:, RIGHT_FOOT, 2].min() < -0.45 and a[:, RIGHT_FOOT, 1].max() > 0.3 and a[:, LEFT_FOOT, 1].max() < 0.12,
    26: lambda a: turns(a[:, RIGHT_FOOT, 1], 0.05) >= 5 and np.median(a[25:62, LEFT_FOOT, 1]) > 0.15,
    27: lambda a: (a[:, [LEFT_FOOT, RIGHT_FOOT], 1].min(1) > 0.15).sum() in range(3, 25),
    50: lambda a, b: (
        distance(a[:, RIGHT_HAND, None], b[:, [2, 3, 4, 8, 20]]).min() < 0.32 and np.ptp(distance(b[:, HEAD], a[:, 0])) > 0.2
    ),
    58: lambda a, b: (
        (distance(a[25:62, RIGHT_HAND], b[25:62, RIGHT_HAND]) < 0.15).all() and turns(a[25:62, RIGHT_HAND, 1], 0.03) >= 4
    ),
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("seed", range(6))
def test_people_do_what_the_label_says(action, seed):
    assert SEEN[action](*act(action, seed))


@pytest.mark.parametrize("action", PAIRS)
def test_the_two_face_each_other(action):
    a, b = act(action, 1)
    for one, other in ((a, b), (b, a)):
        right, toward = one[0, 8] - one[0, 4], other[0, 0] - one[0, 0]
        ahead = np.cross([0, 1, 0], right)  # of one whose right is +x, ahead is -z
        assert ahead @ toward > 0.9 * np.linalg.norm(ahead) * np.linalg.norm(toward)
