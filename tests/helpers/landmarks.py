"""MediaPipe's 33 landmarks of synthetic people, placed by anatomy as a perfect pose model would see them."""

import numpy as np

from dataset.demo_motion import LENGTH, Body, perform, turn
from tests.helpers.people import SEEN_FROM_CAMERA


def performance(action, frames=40, away=SEEN_FROM_CAMERA, angle=0.4):
    """Joints (T, 25, 3) in camera space of one who performs an action, turned a little."""
    body = Body(LENGTH, 1, 1, 1, 1)
    return turn(perform(action, frames, body, body, np.random.default_rng(action))[0], angle) + away


def landmarks(joints, size, focal):
    """(world (T,33,3), image (T,33,2)) of joints (T,25,3), in a picture that is not mirrored; focal length in pixels.

    Shoulders and hips of the model lie farther out than Kinect's joints, ears below the middle of the head, knuckles in the hand.
    """
    joint = dict(enumerate(np.moveaxis(joints, -2, 0), 1))
    up = (joint[21] - joint[1]) / np.linalg.norm(joint[21] - joint[1], axis=-1, keepdims=True)
    right = (joint[9] - joint[5]) / np.linalg.norm(joint[9] - joint[5], axis=-1, keepdims=True)
    points = dict.fromkeys(range(11), joint[4] - 0.03 * up)  # the face
    for side, shift in ((0, -right), (1, right)):  # left, right
        shoulder, elbow, wrist, hand, hip, knee, ankle, foot, tip, thumb = (
            joint[number + 4 * side - 2 * side * (number > 21)] for number in (5, 6, 7, 8, 13, 14, 15, 16, 22, 23)
        )
        points |= {
            7 + side: joint[4] - 0.03 * up + 0.07 * shift,
            11 + side: shoulder + 0.02 * up + 0.02 * shift,
            13 + side: elbow, 15 + side: wrist, 17 + side: hand + 0.02 * shift, 19 + side: (hand + tip) / 2, 21 + side: thumb,
            23 + side: hip + 0.02 * shift, 25 + side: knee, 27 + side: ankle, 29 + side: ankle, 31 + side: foot,
        }  # fmt: skip
    place = np.stack([points[number] for number in range(33)], -2) * (-1, -1, 1)  # x right and y down
    image = 0.5 + focal * place[..., :2] / place[..., 2:] / size
    return place - place[..., [23, 24], :].mean(-2, keepdims=True), image
