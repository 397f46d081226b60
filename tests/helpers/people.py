"""Synthetic people as the sensor sees them: any action of the demo, any size, standing or lying."""

import numpy as np

from dataset.demo_motion import LENGTH, Body, perform, turn
from reader.ntu_reader import layout
from tools.demo_data import sense

SEEN_FROM_CAMERA = np.array([0.1, -0.9, 3.2])


def people(action=10, seed=0, size=1.0, lie=False):
    """(3, T, 25, M) of one or two people before the camera, with the sensor's noise; `lie`: on their side."""
    rng = np.random.default_rng((seed, action))
    body = Body(LENGTH * size, size, 1, 1, 1)
    places = [turn(place, 0.3 * seed) for place in perform(action, 40, body, body, rng)]
    places = [place[..., [1, 0, 2]] * (1, -1, 1) if lie else place for place in places]
    places = [sense(place + SEEN_FROM_CAMERA, rng)[0] for place in places]
    return layout(np.stack(places).astype("float32"), 60)
