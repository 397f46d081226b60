"""Whether coordinates can be those of a person as NTU RGB+D's sensor gives them; a network answers with certainty either way."""

import numpy as np

from dataset.graph import NTU

FRAMES = 8  # of a recording that are looked at
BASE, MIDDLE, NECK, LEFT, RIGHT, ANKLES = 0, 1, 20, 4, 8, [14, 18]  # left and right shoulder
PARENTS, BONES = np.array(NTU.parents), np.arange(NTU.num_joints) != NTU.parents

# Measured on synthetic people standing, sitting, lying, jumping, 1.1 to 1.9 m tall, and on scattered points.
SMALLEST, LARGEST = 0.15, 4  # metres from the joint farthest from another to that one: people 0.4 to 2
FLAT = 0.03  # depth over width or height: people from 0.1
LONG_BONES = 2.2  # length of all bones over the joints' distances to their nearest: people 1.3 to 1.7, other orders from 2.9
SCATTERED = 3.8  # those distances over the body's extent: people 1.5 to 2.6; beyond that it is nobody in any order
RATES = 20, 45  # frames a second; the sensor has 30

PIXELS = "no depth: looks like pixels or image coordinates; the network takes metres in 3D"
CENTIMETRES = "larger than any person: looks like centimetres; the network takes metres (divide by 100)"
MILLIMETRES = "larger than any person: looks like millimetres; the network takes metres (divide by 1000)"
TINY = "smaller than any person: looks like normalised coordinates; the network takes metres"
ORDER = "bones as no person has them: looks like another order of joints; the network takes the 25 of Kinect v2, as NTU RGB+D"
Y_DOWN = "upside down: looks like y pointing down; the network takes y up (negate it)"
NORMALISED = "looks view-normalised already; this configuration takes recordings as the camera sees them"
RATE = "{:g} frames a second; the network learned at 30: resample it"


def implausible(coordinates, skeleton, transform=False, rate=None):
    """Lines, mostly none, on what (C, T, V, M) looks like instead of people in metres; for NTU's joints in 3D only.

    `transform`: view normalisation has been done; `rate`: frames a second, where they are known. A body that is as it
    should be is enough: another may be a thing that the sensor took for one.
    """
    notes = [] if rate is None or RATES[0] <= rate <= RATES[1] else [RATE.format(rate)]
    if len(coordinates) != 3 or tuple(skeleton.parents) != NTU.parents:
        return notes
    seen = [body[:, body.any(axis=(0, 2))] for body in np.moveaxis(coordinates, -1, 0).astype(float)]
    found = [_of_body(body, transform) for body in seen if body.size]
    notes += [note for note in (found or [[]])[0] if all(note in others for others in found)]
    if not transform and seen[0].size:
        first = seen[0][:, 0]
        across = first[:, RIGHT] - first[:, LEFT]
        if abs(first[:, MIDDLE]).max() < 1e-3 and abs(across[0]) > 0.999 * np.linalg.norm(across):
            notes.append(NORMALISED)
    return notes


def _of_body(body, transform):
    """The lines on one body (3, T, V), seen in every frame."""
    body = body[:, np.linspace(0, body.shape[1] - 1, FRAMES).astype(int)]
    width, height, depth = np.median(np.ptp(body, axis=2), axis=1)
    between = np.median(np.linalg.norm(body[..., None] - body[:, :, None], axis=0), axis=0)  # V V
    extent = between.max()
    if depth < FLAT * max(width, height):
        return [PIXELS]
    if not SMALLEST < extent < LARGEST:
        return [TINY if extent < LARGEST else CENTIMETRES if extent < 100 * LARGEST else MILLIMETRES]
    bones, nearest = between[np.arange(len(between)), PARENTS][BONES].sum(), np.sort(between, axis=1)[:, 1].sum()
    if bones > LONG_BONES * nearest and nearest < SCATTERED * extent:
        return [ORDER]
    neck, legs = _upward(body[..., NECK] - body[..., BASE]), _upward(body[..., ANKLES].mean(2) - body[..., BASE])
    return [Y_DOWN] if not transform and neck < -0.7 and legs > 0.5 else []


def _upward(vectors):
    """Median over the frames of the cosine between vectors (3, T) and the y axis."""
    return np.median(vectors[1] / np.maximum(np.linalg.norm(vectors, axis=0), 1e-9))
