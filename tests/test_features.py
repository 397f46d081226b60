"""The branches J, V and B, against golden values and hand-made ones."""

import numpy as np
import pytest

from dataset.features import branch_features
from dataset.graph import NTU, Graph

CHAIN = Graph("chain", ((0, 1), (1, 2)), (0, 0, 1), {"all": (0, 1, 2)}, 1)


def test_features_are_the_published_ones(golden):
    data = golden("reader")["xsub_train_data"][golden("feeder")["index"]]
    features = branch_features(data[:, :, :288], NTU)
    np.testing.assert_allclose(features, golden("feeder")["features"], atol=1e-5)


def motion(T=6):
    """(3, T, V=3, M=1): joints at (0,0,0), (1,0,0), (1,2,0), all moving by 0.5 m a frame along z."""
    x = np.zeros((3, T, 3, 1), "float32")
    x[0, :, 1:] = 1
    x[1, :, 2] = 2
    x[2] = 0.5 * np.arange(T)[:, None, None]
    return x


def test_joint_branch_is_coordinates_and_offset_from_the_centre_joint():
    joint = branch_features(motion(), CHAIN)[0]
    np.testing.assert_array_equal(joint[:3], motion())
    np.testing.assert_allclose(joint[3:, 0, :, 0], [[-1, 0, 0], [0, 0, 2], [0, 0, 0]])


def test_steady_motion_has_constant_velocity_and_none_in_the_last_two_frames():
    velocity = branch_features(motion(), CHAIN)[1]
    np.testing.assert_allclose(velocity[2, :4], 0.5)
    np.testing.assert_allclose(velocity[5, :4], 1.0)
    assert not velocity[:, 4:].any() and not velocity[[0, 1, 3, 4]].any()


def test_bone_branch_is_vector_from_parent_and_its_angles():
    bone = branch_features(motion(), CHAIN)[2, :, 0, :, 0]
    np.testing.assert_allclose(bone[:3], [[0, 1, 0], [0, 0, 2], [0, 0, 0]])
    half = np.pi / 2
    expected = [[half, np.arccos(1 / 1.0001), half], [half, half, np.arccos(2 / 2.0001)], [half] * 3]
    np.testing.assert_allclose(bone[3:], expected, atol=1e-3)


def test_a_batch_gives_what_its_samples_give():
    batch = np.random.default_rng(0).normal(size=(2, 3, 6, 3, 2)).astype("float32")
    np.testing.assert_array_equal(branch_features(batch, CHAIN)[1], branch_features(batch[1], CHAIN))


@pytest.mark.parametrize("inputs, order", [("B", [2]), ("JV", [0, 1]), ("VB", [1, 2])])
def test_branches_can_be_chosen(inputs, order):
    np.testing.assert_array_equal(branch_features(motion(), CHAIN, inputs), branch_features(motion(), CHAIN)[order])
