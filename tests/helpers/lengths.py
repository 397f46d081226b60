"""Recordings of unlike lengths of the three joints in a row that `small` networks take, or of more."""

import numpy as np

from dataset.features import branch_features
from tests.helpers.small import CHAIN


def coordinates(lengths, frames, channels=3, joints=3, seed=0):
    """(N, C, T, V, M) float32 for `lengths` (N, M) of bodies in frames: joints that drift; 0: nobody is there."""
    rng, lengths = np.random.default_rng(seed), np.array(lengths)
    x = np.zeros((len(lengths), channels, frames, joints, lengths.shape[1]), "float32")
    for n, m in zip(*np.nonzero(lengths), strict=True):
        T = lengths[n, m]
        x[n, :, :T, :, m] = rng.normal(0, 0.5, (channels, 1, joints)) + rng.normal(0, 0.1, (channels, T, joints)).cumsum(1)
    return x


def features(lengths, frames, **options):
    """(N, 3, 6, T, V, M) float32 of these `coordinates`."""
    return branch_features(coordinates(lengths, frames, **options), CHAIN)


def frames_seen(model):
    """A list that gets the number of frames of each batch that the main stream of `model` is run on."""
    seen = []
    model.input_branches[0].register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].shape[2]))
    return seen
