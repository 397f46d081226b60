"""Bodies that are written as a .skeleton file are those that the reader finds in it."""

import numpy as np

from reader.ntu_reader import read_skeleton
from reader.ntu_writer import skeleton_text
from tests.helpers.landmarks import performance


def test_written_bodies_are_read_again(tmp_path):
    bodies = np.stack([performance(10, frames=6), performance(23, frames=6, away=np.array([1, -0.8, 2])), np.zeros((6, 25, 3))])
    seen = np.array([[1, 1, 0, 0, 1, 1], [0, 1, 1, 0, 1, 1], [0] * 6], bool)
    states = np.random.default_rng(0).integers(0, 3, (3, 6, 25))
    (tmp_path / "a.skeleton").write_text(skeleton_text(bodies, states, seen, ["72057592000000000", "72057592000000001", "2"]))
    found = read_skeleton(tmp_path / "a.skeleton")
    assert found.shape == (4, 6, 25, 3)
    expected = np.zeros((4, 6, 25, 3))
    for frame, there in enumerate(seen.T):
        expected[: there.sum(), frame] = bodies[there, frame]  # whoever is alone has the first place
    np.testing.assert_allclose(found, expected, atol=1e-6)
    lines = (tmp_path / "a.skeleton").read_text().split("\n")
    assert [int(line.split()[-1]) for line in lines[4:29]] == states[0, 0].tolist()
