"""The synthetic .skeleton files: their format, the figures of real files, and that people do what their label says."""

import re

import numpy as np
import pytest

from dataset.demo_motion import ACTIONS, PAIRS
from tests.helpers.kinect import BONES, HEAD, distance
from tests.helpers.places import ROOT
from tools.demo_data import write_demo

NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})\.skeleton")
X_SUB_TRAIN = {1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38}
TRUNK, ELBOW_TO_WRIST, HANDS_AND_FEET = [1, 2, 3, 4, 21], [6, 7, 10, 11], [8, 12, 16, 20, 22, 23, 24, 25]


class Skeleton:
    """One file, read line by line by the letter of the format: `frames` holds lists of bodies (header, joints (25,12))."""

    def __init__(self, path):
        self.setup, self.camera, self.performer, self.replication, self.action = map(int, NAME.fullmatch(path.name).groups())
        self.raw = path.read_bytes()
        lines = self.raw.decode("ascii").replace("\r\n", "\n").split("\n")
        assert lines.pop() == ""
        lines.reverse()
        self.words, self.frames = [], []
        for _ in range(int(lines.pop())):
            self.frames.append([])
            for _ in range(int(lines.pop())):
                header = lines.pop().split(" ")
                assert len(header) == 10
                assert int(lines.pop()) == 25
                rows = [lines.pop().split(" ") for _ in range(25)]
                assert {len(row) for row in rows} == {12}
                self.words += header[1:] + [word for row in rows for word in row]
                self.frames[-1].append((header, np.array(rows, float)))
        assert not lines
        self.counts = np.array([len(frame) for frame in self.frames])
        self.first = np.array([frame[0][1] for frame in self.frames if frame])  # (T,25,12)
        self.place = self.first[..., :3]


@pytest.fixture(scope="module")
def skeletons(tmp_path_factory):
    return [Skeleton(path) for path in write_demo(tmp_path_factory.mktemp("demo"), performers=8)]


def of_joints(table, joints):
    return np.array([table[joint - 1] for joint in joints])


# ---------------------------------------------------------------- format


def test_numbers_have_at_most_seven_significant_digits(skeletons):
    words = set(skeletons[0].words) | set(skeletons[-1].words)
    number = re.compile(r"-?(\d+)(?:\.(\d+))?(?:e-\d+)?")
    assert max(len("".join(filter(None, number.fullmatch(word).groups())).lstrip("0")) for word in words) == 7


def test_a_body_keeps_its_id_of_17_digits(skeletons):
    for skeleton in skeletons:
        ids = [header[0] for frame in skeleton.frames for header, _ in frame]
        assert all(re.fullmatch(r"\d{17}", i) for i in ids)
        assert len(set(ids)) == skeleton.counts.max()


def test_pixels_follow_from_a_pinhole_camera(skeletons):
    joints = np.concatenate([s.first.reshape(-1, 12) for s in skeletons])
    for axis, sign, columns in ((0, 1, (3, 5)), (1, -1, (4, 6))):
        for column, focal in zip(columns, (366, 1081), strict=True):
            centre = joints[:, column] - sign * focal * joints[:, axis] / joints[:, 2]
            assert np.ptp(centre) < 1e-2


def test_people_stand_where_real_ones_do(skeletons):
    spine = np.array([s.place[0, 0] for s in skeletons])
    assert (spine > (-0.9, -0.7, 2.4)).all()
    assert (spine < (0.9, 0.3, 4.2)).all()
    up = np.array([s.place[0, HEAD] - s.place[0, 0] for s in skeletons])
    assert (up[:, 1] > 0.4).all()


# ---------------------------------------------------------------- names and splits


def test_both_sides_of_every_split_have_every_action(skeletons):
    for side in (lambda s: s.performer in X_SUB_TRAIN, lambda s: s.camera in (2, 3), lambda s: s.setup % 2 == 0):
        for train in (True, False):
            assert {s.action for s in skeletons if side(s) == train} == set(ACTIONS)


def test_no_name_is_among_the_missing_skeletons(skeletons):
    listed = ROOT.parent / "shared/ntu_missing_skeletons.txt"
    if not listed.exists():
        pytest.skip(f"no {listed}")
    missing = set()
    for line in listed.read_text().splitlines():
        setup, *rest = line.split()
        missing |= {setup.rstrip(":") + name for name in rest}
    for p in range(1, 41):
        for camera in (1, 2, 3):
            for replication in (1, 2):
                for action in ACTIONS:
                    assert f"S{(10, 13)[p % 2]:03}C{camera:03}P{p:03}R{replication:03}A{action:03}" not in missing
    assert {s.setup for s in skeletons} == {10, 13}


def test_frame_counts_are_like_real_ones(tmp_path, skeletons):
    counts = [len(s.frames) for s in skeletons if s.camera == 1]
    assert 42 <= min(counts) <= max(counts) <= 227
    assert np.percentile(counts, (25, 50, 75)) == pytest.approx((74, 86, 105), abs=9)
    few = [Skeleton(path) for path in write_demo(tmp_path, performers=3, actions=(10,), frames=(20, 24))]
    assert {len(s.frames) for s in few} <= set(range(20, 25))


# ---------------------------------------------------------------- the same bytes again


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    options = {"performers": 3, "actions": (6, 58), "frames": (20, 30)}
    runs = [
        {path.name: path.read_bytes() for path in write_demo(tmp_path / str(i), seed=seed, **options)}
        for i, seed in enumerate((1, 1, 2))
    ]
    assert runs[0] == runs[1]
    assert runs[0].keys() == runs[2].keys()
    assert all(runs[0][name] != runs[2][name] for name in runs[0])


def test_a_file_depends_on_its_own_name_only(tmp_path):
    alone = write_demo(tmp_path / "a", performers=3, actions=(23,), frames=(20, 30))
    write_demo(tmp_path / "b", performers=4, repeats=2, actions=(6, 23), frames=(20, 30))
    for path in alone:
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_the_three_cameras_see_one_motion_45_degrees_apart(skeletons):
    views = [s for s in skeletons if (s.performer, s.action) == (1, 23) and (s.counts == 1).all()]
    views = [s.place[:, [0, 4, 8, 20, 1]].mean(0) for s in sorted(views, key=lambda s: s.camera)]
    assert len(views) == 3
    for other, angle in ((views[1], -45), (views[2], 45)):  # camera 2 stands to the left of camera 1, where x is positive
        a, b = (v[:, [0, 2]] - v[:, [0, 2]].mean(0) for v in (views[0], other))
        cross, dot = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum(), (a * b).sum()
        assert np.degrees(np.arctan2(cross, dot)) == pytest.approx(angle, abs=5)


# ---------------------------------------------------------------- the figures of real files


def test_bones_measure_as_in_real_files(skeletons):
    joints = list(BONES)
    ends = [BONES[joint][0] - 1 for joint in joints]
    bones = [np.linalg.norm(s.place[:, np.array(joints) - 1] - s.place[:, ends], axis=-1) for s in skeletons]
    length = np.median([b.mean(0) for b in bones], 0)
    assert length == pytest.approx([BONES[joint][1] for joint in joints], rel=0.08, abs=0.008)
    wobble = dict(zip(joints, np.median([b.std(0) / b.mean(0) for b in bones], 0), strict=True))
    assert all(0.06 < wobble[joint] < 0.15 for joint in (6, 7, 10, 11, 14, 15, 18, 19))
    assert all(0.25 < wobble[joint] < 0.50 for joint in (8, 12, 22, 23, 24, 25))
    assert max(wobble[1], wobble[21]) < 0.04


def test_jitter_is_that_of_real_files(skeletons):
    second = [np.linalg.norm(np.diff(s.place, 2, axis=0), axis=-1) * 1000 for s in skeletons]
    jitter = np.median([np.median(d, 0) for d in second], 0)  # mm
    for joints, low, high in ((TRUNK, 1, 2), (ELBOW_TO_WRIST, 4, 10), (HANDS_AND_FEET, 13, 18)):
        assert of_joints(jitter, joints).min() >= low - 0.3
        assert of_joints(jitter, joints).max() <= high + 0.5


def test_tracking_states_are_seen_inferred_and_lost(skeletons):
    states = np.concatenate([s.first[..., 11].ravel() for s in skeletons])
    seen, inferred, lost = ((states == state).mean() for state in (2, 1, 0))
    assert seen + inferred + lost == pytest.approx(1)
    assert seen > 0.85
    assert inferred > lost > 0


def test_actions_of_two_have_two_bodies_and_others_one(skeletons):
    for s in skeletons:
        assert np.median(s.counts) == 1 + (s.action in PAIRS) or s.counts.max() == 2 + (s.action in PAIRS)
        assert s.counts.max() >= 1 + (s.action in PAIRS)


@pytest.mark.parametrize(
    ("oddity", "shows"),
    [
        ("a body too many that flickers", lambda s: s.counts.max() > 1 + (s.action in PAIRS) and np.diff(s.counts).any()),
        ("frames without a body", lambda s: 0 in s.counts),
        ("a second person who is found late", lambda s: s.action in PAIRS and s.counts[0] == 1),
        ("carriage returns", lambda s: b"\r\n" in s.raw and s.raw.count(b"\r\n") == s.raw.count(b"\n")),
    ],
)
def test_some_files_but_few_have(skeletons, oddity, shows):
    assert 0 < sum(map(shows, skeletons)) < 0.25 * len(skeletons), oddity


# ---------------------------------------------------------------- learnable


def features(skeleton):
    """A few numbers of a file that don't depend on the camera: how far joints rise, spread and move, and how many people."""
    place = skeleton.place
    rise = place[..., 1] - place[:, :1, 1]
    out = distance(place[..., [0, 2]], place[:, :1, [0, 2]])
    quarter = len(place) // 4
    drop = place[-quarter:, 0, 1].mean() - place[:quarter, 0, 1].mean()
    pace = np.percentile(distance(place[1:], place[:-1]), 80, axis=0)
    return np.concatenate([rise.max(0), rise.std(0), out.max(0), out.std(0), pace, [3 * (skeleton.counts > 1).mean(), drop]])


@pytest.mark.parametrize(
    ("split", "is_train"), [("x-sub", lambda s: s.performer in X_SUB_TRAIN), ("x-view", lambda s: s.camera > 1)]
)
def test_a_nearest_centroid_tells_actions_of_unseen_people_and_cameras(skeletons, split, is_train):
    x, y = np.array([features(s) for s in skeletons]), np.array([s.action for s in skeletons])
    train = np.array([is_train(s) for s in skeletons])
    x = (x - x[train].mean(0)) / (x[train].std(0) + 1e-9)
    centroids = np.array([x[train & (y == action)].mean(0) for action in ACTIONS])
    guess = np.array(list(ACTIONS))[distance(x[~train, None], centroids).argmin(1)]
    assert (guess == y[~train]).mean() > 0.8, split  # chance is 0.1
