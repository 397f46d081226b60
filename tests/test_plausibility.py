"""Coordinates that can't be a person's in metres get a line that says what they look like; people in any pose get none."""

import numpy as np
import pytest

from dataset.demo_motion import ACTIONS
from dataset.graph import NTU, Graph
from reader import plausibility as p
from reader.ntu_reader import read_sample
from reader.plausibility import implausible
from reader.transformer import view_normalise
from tests.helpers.people import people
from tests.helpers.places import GOLDEN
from tools.demo_data import sample_texts

# BODY_25: NTU's joint at the place of each (OpenPose's own numbers), and metres that its points of face and feet lie off it.
BODY_25 = [3, 20, 8, 9, 10, 4, 5, 6, 0, 16, 17, 18, 12, 13, 14, 3, 3, 3, 3, 15, 15, 14, 19, 19, 18]
OFF = np.zeros((3, 1, 25, 1))
OFF[0, 0, 15:19, 0], OFF[0, 0, [20, 23], 0], OFF[1, 0, [21, 24], 0] = (-0.03, 0.03, -0.07, 0.07), (0.06, -0.06), -0.05


@pytest.mark.parametrize("size", [0.65, 0.85, 1.15])  # 1.1 m to nearly 2 m
@pytest.mark.parametrize("action", ACTIONS)
def test_people_of_any_size_standing_sitting_jumping_or_two_get_no_note(action, size):
    for seed in range(2):
        sample = people(action, seed, size)
        assert implausible(sample, NTU) == []
        assert implausible(view_normalise(sample), NTU, transform=True) == []


@pytest.mark.parametrize("size", [0.65, 1.1])
def test_people_who_lie_get_no_note(size):
    for action in ACTIONS:
        for seed in range(2):
            assert implausible(people(action, seed, size, lie=True), NTU) == []


def test_no_file_of_the_synthetic_recordings_at_hand_gets_a_note():
    files = sorted((GOLDEN / "skeletons").glob("*.skeleton"))
    if not files:
        pytest.skip(f"{GOLDEN} is absent")
    for path in files:
        sample, _ = read_sample(path)
        assert implausible(sample, NTU) == [], path.name
        assert implausible(view_normalise(sample), NTU, transform=True) == [], path.name


def test_no_file_of_the_demo_gets_a_note(tmp_path):
    for action in ACTIONS:
        for performer in (1, 2):
            for text in sample_texts(1, performer, 1, action, (20, 40)):
                (tmp_path / "a").write_text(text)
                sample, _ = read_sample(tmp_path / "a")
                assert implausible(sample, NTU) == [], (action, performer)


def in_pixels(sample):
    x, y, z = np.where(sample.any(0), sample, 1)
    return np.stack([960 + 1081 * x / z, 540 - 1081 * y / z, 0 * z]) * sample.any(0)


WRONG = {
    "millimetres": (lambda s: s * 1000, p.MILLIMETRES),
    "centimetres": (lambda s: s * 100, p.CENTIMETRES),
    "pixels": (in_pixels, p.PIXELS),
    "pixels with scores": (lambda s: in_pixels(s) + np.array([0, 0, 0.9])[:, None, None, None] * s.any(0), p.PIXELS),
    "shares of the image": (lambda s: in_pixels(s) / 1000, p.PIXELS),
    "normalised": (lambda s: s / 20, p.TINY),
    "BODY_25": (lambda s: (s[:, :, BODY_25] + OFF) * s[:, :, :1].any(0), p.ORDER),
    "reversed": (lambda s: s[:, :, ::-1], p.ORDER),
    "shifted by one": (lambda s: np.roll(s, 1, axis=2), p.ORDER),
    "y down": (lambda s: s * np.array([1, -1, 1])[:, None, None, None], p.Y_DOWN),
    "x and y turned": (lambda s: s * np.array([-1, -1, 1])[:, None, None, None], p.Y_DOWN),
    "view-normalised": (view_normalise, p.NORMALISED),
}


@pytest.mark.parametrize("action", [8, 10, 23, 27, 50])
@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_person_in_metres_gets_the_note_that_names_the_cause(kind, action):
    change, note = WRONG[kind]
    for size in (0.7, 1.1):
        assert implausible(change(people(action, size=size)), NTU) == [note]


@pytest.mark.parametrize("kind, note", [("millimetres", p.MILLIMETRES), ("BODY_25", p.ORDER)])
def test_what_is_wrong_shows_after_view_normalisation_too(kind, note):
    assert implausible(view_normalise(WRONG[kind][0](people()).astype("float32")), NTU, transform=True) == [note]


def test_a_thing_taken_for_a_body_beside_a_person_is_no_reason_for_a_note():
    sample = people(50)
    sample[..., 1] *= 40
    assert implausible(sample, NTU) == []
    assert implausible(np.zeros_like(sample), NTU) == []


@pytest.mark.parametrize("rate, notes", [(30, 0), (25, 0), (15, 1), (120, 1), (None, 0)])
def test_a_frame_rate_far_from_the_sensors_gets_a_note(rate, notes):
    found = implausible(people(), NTU, rate=rate)
    assert len(found) == notes and all(f"{rate} frames a second" in note for note in found)


def test_other_skeletons_and_images_have_no_metres_to_hold_to():
    assert implausible(people()[:2] * 1000, NTU) == []
    other = Graph("other", (), tuple(range(25)), {}, 0)
    assert implausible(people() * 1000, other) == []
