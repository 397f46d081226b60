"""View normalisation, against the published arrays and a slow reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reader.ntu_reader import read_sample
from reader.transformer import view_normalise
from tests.helpers.places import GOLDEN

SPINE, LEFT_SHOULDER, RIGHT_SHOULDER = 1, 4, 8


def sample_of(seed, frames=((0, 20), (5, 12)), num_frames=30, spread=0.5):
    """(3, T, 25, 2) of random bodies 3 m away, each present in frames (from, to)."""
    rng = np.random.default_rng(seed)
    sample = np.zeros((3, num_frames, 25, 2), np.float32)
    for body, (start, end) in enumerate(frames):
        place = rng.normal((0, 0, 3), spread, (end - start, 25, 3))
        sample[:, start:end, :, body] = place.transpose(2, 0, 1)
    return sample


def slow_normalise(sample):
    """Independent of the transformer: frame by frame and joint by joint, rotations by quaternions."""
    bodies = sample.transpose(3, 1, 2, 0).astype(float)  # M T V C
    for body in bodies:
        if not body.any():
            continue
        if body[0].sum() == 0:
            frames = [frame.copy() for frame in body if frame.sum() != 0]
            body[:] = 0
            body[: len(frames)] = frames
        end = max(t for t, frame in enumerate(body) if frame.sum() != 0) + 1
        for t in range(end, len(body)):
            body[t] = body[t - end]
    spine = bodies[0, :, SPINE].copy()
    for body in bodies:
        for t, frame in enumerate(body):
            for joint in frame:
                if joint.sum() != 0:
                    joint[:] = joint - spine[t]
    for start, end, target in ((0, SPINE, (0, 0, 1)), (LEFT_SHOULDER, RIGHT_SHOULDER, (1, 0, 0))):
        vector = bodies[0, 0, end] - bodies[0, 0, start]
        axis = np.cross(vector, target)
        if np.linalg.norm(axis) == 0:
            continue
        angle = np.arccos(np.dot(vector, target) / np.linalg.norm(vector))
        w, turn = np.cos(angle / 2), np.sin(angle / 2) * axis / np.linalg.norm(axis)
        for body in bodies:
            for frame in body:
                if frame.sum() != 0:
                    for joint in frame:
                        joint[:] = joint + 2 * np.cross(turn, np.cross(turn, joint) + w * joint)
    return bodies.transpose(3, 1, 2, 0)


@pytest.mark.parametrize("split", ["train", "eval"])
def test_samples_equal_the_published_normalisation(golden, split):
    golden = golden("reader")
    for name, expected in zip(golden[f"xview_{split}_name"], golden[f"xview_{split}_data"], strict=True):
        sample, _ = read_sample(GOLDEN / "skeletons" / str(name))
        np.testing.assert_allclose(view_normalise(sample), expected, atol=1e-5)


@pytest.mark.parametrize(
    "frames",
    [
        ((0, 20), (5, 12)),  # second body comes late and goes early
        ((3, 20), (0, 30)),  # first body comes late
        ((0, 1), (29, 30)),  # one frame each
        ((0, 30), (0, 0)),  # one body
        ((10, 30), (0, 0)),
    ],
)
def test_result_equals_a_slow_reference(frames):
    sample = sample_of(1, frames)
    sample[:, 7, :, 0] = 0  # a gap
    sample[:, 12, 6, 0] = 0  # a joint that is not there
    np.testing.assert_allclose(view_normalise(sample), slow_normalise(sample), atol=1e-5)


def test_sample_without_any_skeleton_stays_zero():
    assert not view_normalise(np.zeros((3, 300, 25, 2), np.float32)).any()


def test_input_is_left_as_it_was():
    sample = sample_of(2)
    before = sample.copy()
    view_normalise(sample)
    np.testing.assert_array_equal(sample, before)


def test_spine_of_the_first_body_is_the_origin_of_every_frame():
    np.testing.assert_allclose(view_normalise(sample_of(3))[:, :, SPINE, 0], 0, atol=1e-6)


def test_shoulders_of_the_first_frame_lie_along_x():
    sample = view_normalise(sample_of(4))
    vector = sample[:, 0, RIGHT_SHOULDER, 0] - sample[:, 0, LEFT_SHOULDER, 0]
    np.testing.assert_allclose(vector / np.linalg.norm(vector), [1, 0, 0], atol=1e-5)


def test_upright_body_that_faces_the_camera_is_only_moved():
    sample = sample_of(5, ((0, 30), (0, 0)))
    sample[:, 0, 0, 0], sample[:, 0, SPINE, 0] = [0, 0, 2], [0, 0, 3]
    sample[:, 0, LEFT_SHOULDER, 0], sample[:, 0, RIGHT_SHOULDER, 0] = [-1, 2, 3], [1, 2, 3]
    moved = sample - sample[:, :, SPINE : SPINE + 1, :1]
    np.testing.assert_allclose(view_normalise(sample)[..., 0], moved[..., 0], atol=1e-6)


def test_opposite_and_missing_directions_turn_nothing():
    sample = sample_of(6, ((0, 30), (0, 0)))
    sample[:, 0, 0, 0], sample[:, 0, SPINE, 0] = [0, 0, 4], [0, 0, 3]  # along -z: no axis to turn about
    sample[:, 0, LEFT_SHOULDER, 0] = sample[:, 0, RIGHT_SHOULDER, 0] = [1, 2, 3]
    moved = sample - sample[:, :, SPINE : SPINE + 1, :1]
    np.testing.assert_allclose(view_normalise(sample)[..., 0], moved[..., 0], atol=1e-6)


def test_body_that_comes_late_starts_at_once_and_is_repeated_to_the_end():
    body = view_normalise(sample_of(7, ((4, 11), (0, 0)), num_frames=20))[..., 0]
    np.testing.assert_array_equal(body[:, 7:14], body[:, :7])
    np.testing.assert_array_equal(body[:, 14:], body[:, :6])
    assert (abs(body).sum(axis=(0, 2)) > 0).all()


def test_gap_amid_a_body_stays_and_is_repeated():
    sample = sample_of(8, ((0, 6), (0, 0)), num_frames=12)
    sample[:, 2, :, 0] = 0
    body = view_normalise(sample)[..., 0]
    assert list(np.flatnonzero(abs(body).sum(axis=(0, 2)) == 0)) == [2, 8]


def test_frame_whose_coordinates_sum_to_zero_is_not_turned():
    sample = sample_of(10, ((0, 30), (0, 30)))
    sample[:, 3, SPINE, 0] = 0
    sample[:, 3, :, 1] = 0
    sample[:, 3, 5, 1], sample[:, 3, 6, 1] = [1, 2, 3], [-2, -3, -1]
    np.testing.assert_array_equal(view_normalise(sample)[:, 3, :, 1], sample[:, 3, :, 1])


def test_second_body_keeps_its_place_beside_the_first():
    sample = sample_of(9, ((0, 30), (0, 30)))
    between = np.linalg.norm(sample[..., 1] - sample[:, :, SPINE : SPINE + 1, 0], axis=0)
    np.testing.assert_allclose(np.linalg.norm(view_normalise(sample)[..., 1], axis=0), between, atol=1e-5)


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(*[st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted)] * 2),
    st.floats(1e-3, 1e6),
)
@settings(max_examples=100, deadline=None)
def test_any_sample_keeps_its_distances_and_stays_finite(seed, frames, scale):
    sample = sample_of(seed, frames, num_frames=12) * np.float32(scale / 10)
    result = view_normalise(sample)
    assert (result.shape, result.dtype) == (sample.shape, np.float32)
    assert np.isfinite(result).all()
    for body, (start, end) in enumerate(frames):
        bones = np.linalg.norm(np.diff(sample[:, start:end, :, body], axis=2), axis=0)
        turned = np.linalg.norm(np.diff(result[:, : end - start, :, body], axis=2), axis=0)
        np.testing.assert_allclose(turned, bones, atol=1e-5 * scale)
