"""Recordings: right and wrong files, the choice of bodies, and the two ways of reading against each other."""

import os
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reader import ntu_reader
from reader.ntu_reader import SkeletonError, read_sample, read_skeleton, select_bodies
from tests.helpers.places import GOLDEN
from tests.helpers.skeleton_corpus import NAME, malformed, skeleton_bytes, skeleton_lines, to_bytes, well_formed
from utils.errors import UserError


def plain_read(path):
    """Independent of the reader: line by line, bodies by slot."""
    with open(path) as file:
        bodies = np.zeros((4, int(file.readline()), 25, 3), np.float32)
        for frame in range(bodies.shape[1]):
            for slot in range(int(file.readline())):
                file.readline()
                for joint in range(int(file.readline())):
                    bodies[slot, frame, joint] = [float(field) for field in file.readline().split()[:3]]
    return bodies


def write(tmp_path, data, name=NAME):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def quickly(data, max_frames=300):
    """The quick way's array, None where it leaves the file to the exact way."""
    try:
        return ntu_reader._parse_quickly(data, max_frames)
    except ntu_reader.DOUBT:
        return None


def exactly(data, max_frames=300):
    """The exact way's array, None where it refuses the file."""
    try:
        return ntu_reader._parse_exactly("file", data, max_frames)
    except SkeletonError:
        return None


# ---------------------------------------------------------------- right files


def test_each_body_stands_in_its_slot_and_frame(tmp_path):
    body = ["72057594037931101 0 1 1 1 1 0 0.1 0.2 2", "25"]
    first = [f"{joint} 0.5 -2e-1 1 2 3 4 5 6 7 8 2" for joint in range(25)]
    second = [f"-{joint} +.25 3. 1 2 3 4 5 6 7 8 2" for joint in range(25)]
    path = write(tmp_path, to_bytes(["4", "0", "2", *body, *first, *body, *second, "1", *body, *second, "0"]))
    expected = np.zeros((4, 4, 25, 3), np.float32)
    expected[0, 1] = [[joint, 0.5, -0.2] for joint in range(25)]
    expected[1, 1] = expected[0, 2] = [[-joint, 0.25, 3] for joint in range(25)]
    np.testing.assert_array_equal(read_skeleton(path), expected)


@pytest.mark.parametrize("counts", [(1,) * 5, (0, 4, 0, 2), (3, 3), (0, 0, 0), (1, 0, 2, 2, 0)])
def test_quick_way_reads_ordinary_files_as_a_plain_reader_does(tmp_path, counts):
    data = skeleton_bytes(1, counts)
    expected = plain_read(write(tmp_path, data))
    np.testing.assert_array_equal(quickly(data), expected)
    np.testing.assert_array_equal(exactly(data), expected)


@pytest.mark.parametrize("unusual", list(dict(well_formed())))
def test_unusual_white_space_and_numbers_change_nothing(tmp_path, unusual):
    expected = read_skeleton(write(tmp_path, skeleton_bytes(0, (0, 1, 2, 1))))
    np.testing.assert_array_equal(read_skeleton(write(tmp_path, dict(well_formed())[unusual])), expected)


def test_files_with_windows_line_ends_are_read_the_quick_way():
    assert quickly(dict(well_formed())["CRLF"]) is not None


def test_more_than_300_frames_are_read_only_where_asked_for(tmp_path):
    path = write(tmp_path, skeleton_bytes(2, (1,) * 301))
    with pytest.raises(SkeletonError, match="line 1: the number of frames is 301; allowed: 1 to 300"):
        read_skeleton(path)
    np.testing.assert_array_equal(read_skeleton(path, max_frames=None), plain_read(path))


def test_quick_way_is_not_lost_when_a_result_of_the_parser_is_still_held():
    data = skeleton_bytes(3)
    expected = exactly(data)
    held = ntu_reader._parser().parse(b"[1]")
    assert quickly(data) is None
    del held
    np.testing.assert_array_equal(quickly(data), expected)


@pytest.mark.parametrize("split", ["train", "eval"])
def test_samples_equal_the_published_reader(golden, split):
    golden = golden("reader")
    for name, data, length in zip(*(golden[f"xsub_{split}_{key}"] for key in ("name", "data", "length")), strict=True):
        sample, num_frames = read_sample(GOLDEN / "skeletons" / str(name))
        np.testing.assert_allclose(sample, data, atol=1e-6)
        assert num_frames == length


# ---------------------------------------------------------------- bodies


def moving(rng, frames, spread):
    return rng.normal(0, spread, (frames, 25, 3)).astype(np.float32)


def test_the_two_bodies_that_move_most_are_kept_most_first():
    rng = np.random.default_rng(0)
    bodies = np.stack([moving(rng, 6, spread) for spread in (0.2, 0.9, 0.1, 0.5)])
    np.testing.assert_array_equal(select_bodies(bodies), bodies[[1, 3]])


def test_null_frames_do_not_count_as_movement():
    rng = np.random.default_rng(0)
    bodies = np.zeros((4, 8, 25, 3), np.float32)
    bodies[0] = 100 + moving(rng, 8, 0.2)
    bodies[1, ::2] = 100 + moving(rng, 4, 0.1)  # with its null frames it would have an energy near 50
    np.testing.assert_array_equal(select_bodies(bodies), bodies[[0, 1]])


def test_of_equal_bodies_the_later_slot_comes_first():
    body = moving(np.random.default_rng(0), 5, 1)
    bodies = np.stack([body, body + 0, np.zeros_like(body), np.zeros_like(body)])
    bodies[1, :, :, 0] *= -1
    np.testing.assert_array_equal(select_bodies(bodies), bodies[[1, 0]])


def test_sample_is_laid_out_channels_first_and_padded_with_zeros(tmp_path):
    path = write(tmp_path, skeleton_bytes(5, (1, 2, 2)))
    sample, length = read_sample(path)
    bodies = select_bodies(plain_read(path))
    assert (sample.shape, sample.dtype, length) == ((3, 300, 25, 2), np.float32, 3)
    assert not sample[:, 3:].any()
    assert sample[2, 1, 20, 1] == bodies[1, 1, 20, 2] != 0
    np.testing.assert_array_equal(sample[:, :3], bodies.transpose(3, 1, 2, 0))


# ---------------------------------------------------------------- wrong files


def test_every_malformed_file_is_refused_with_its_line_and_a_reason(tmp_path):
    """A wrong number is named with its own line; no fault is found before the first line that differs from the right file's."""
    right, named = to_bytes(skeleton_lines(np.random.default_rng(0), (0, 1, 2, 1))).split(b"\n"), 0
    for rule, data in malformed():
        path = write(tmp_path, data)
        assert quickly(data) is None, rule
        with pytest.raises(SkeletonError) as caught:
            read_skeleton(path)
        lines = data.split(b"\n")
        first = 1 + next((i for i, (a, b) in enumerate(zip(lines, right, strict=False)) if a != b), min(map(len, (lines, right))))
        line = int(re.match(re.escape(f"{path}: line ") + r"(\d+): ", str(caught.value))[1])
        assert first <= line <= len(lines), rule
        if re.match(r"(body|joint) field|[xyz] is", rule):
            assert line == first, rule
            named += 1
        assert str(caught.value).isprintable(), rule
    assert named > 100


JOINT = "1 1 1 1 1 1 1 1 1 1 1 1"


@pytest.mark.parametrize(
    ("start", "stop", "new", "line", "reason"),
    [
        (0, 1, ["0"], 1, "the number of frames is 0; allowed: 1 to 300"),
        (0, 1, ["-1"], 1, "the number of frames is -1; allowed: 1 to 300"),
        (1, 2, ["5"], 2, "the number of bodies is 5; allowed: 0 to 4"),
        (3, 4, ["24"], 4, "the number of joints is 24; allowed: 25"),
        (3, 4, ["25.5"], 4, "the number of joints is 25.5, not a whole number"),
        (2, 3, ["1 2 3"], 3, "the line 'body' has 3 fields instead of 10"),
        (6, 7, [f"{JOINT} 1"], 7, "the line 'joint 3' has 13 fields instead of 12"),
        (6, 7, [JOINT.replace("1", "nan", 1)], 7, "'nan' in the line 'joint 3' is not a number"),
        (6, 7, [JOINT.replace("1", "1e400", 1)], 7, "the line 'joint 3' has a number too large to hold"),
        (6, 7, [JOINT.replace("1", "2e6", 1)], 7, "joint 3 has a coordinate of 2e+06 m"),
        (6, 7, ["", "", "x y"], 9, "the line 'joint 3' has 2 fields instead of 12"),
        (29, None, [], 30, "the file ends where the line 'number of bodies' should stand"),
        (85, None, ["", "0"], 87, "the file goes on after its last frame"),
    ],
)
def test_error_names_line_and_reason(start, stop, new, line, reason):
    lines = skeleton_lines(np.random.default_rng(0), (1, 1, 1))
    lines[start : stop or len(lines)] = new
    with pytest.raises(SkeletonError) as caught:
        ntu_reader._parse_exactly("file", to_bytes(lines), 300)
    assert str(caught.value) == f"file: line {line}: {reason}"


@pytest.mark.parametrize(("start", "reason"), [(b"\x1f\x8b", "compressed with gzip"), (b"\xef\xbb\xbf", "byte order")])
def test_files_of_another_kind_are_called_by_name(tmp_path, start, reason):
    with pytest.raises(SkeletonError, match=reason):
        read_skeleton(write(tmp_path, start + skeleton_bytes(0)))


def test_what_is_no_regular_file_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "link", "pipe", "absent"):
        with pytest.raises(UserError, match=f"{name}: (can't be read|is not a file)"):
            read_skeleton(tmp_path / name)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    path = write(tmp_path, b"")
    os.truncate(path, 1 << 40)
    for max_frames in (300, None):
        with pytest.raises(UserError, match="1099511627776 bytes"):
            read_skeleton(path, max_frames)


def test_error_stays_on_one_line_whatever_the_path():
    with pytest.raises(SkeletonError) as caught:
        ntu_reader._parse_exactly("a\nb/\udcff数.skeleton", b"1\nx", 300)
    assert str(caught.value) == "a\\nb/\\udcff数.skeleton: line 2: 'x' in the line 'number of bodies' is not a number"


# ---------------------------------------------------------------- the two ways agree

TOKENS = ("0", "1", "2", "25", "999999999", "-1", "1e9", "nan", "+1", "1.", ",", "[", "]", '"', "\t", "\r", " ", "\n", "")


@st.composite
def edited_files(draw):
    """A right file after some edits at its bytes, words or lines."""
    data = skeleton_bytes(draw(st.integers(0, 3)), draw(st.lists(st.integers(0, 2), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["byte", "space", "line", "cut"]))
        if kind == "space":  # put something in the place of a space, or of a line end
            places = [place for place, byte in enumerate(data) if byte in b" \n"]
            place = draw(st.sampled_from(places or [0]))
            data = data[:place] + draw(st.sampled_from(TOKENS)).encode() + data[place + 1 :]
        elif kind == "line":  # take lines from one place to another
            lines = data.split(b"\n")
            start, end = sorted(draw(st.tuples(*[st.integers(0, len(lines))] * 2)))
            block, rest = lines[start:end], lines[:start] + lines[end:]
            place = draw(st.integers(0, len(rest)))
            data = b"\n".join(rest[:place] + block + rest[place:])
        elif kind == "cut":
            data = data[: draw(st.integers(0, len(data)))]
        else:
            place = draw(st.integers(0, len(data)))
            token = draw(st.sampled_from(TOKENS) | st.text(max_size=3)).encode()
            data = data[:place] + token + data[place + draw(st.integers(0, 2)) :]
    return data


@given(edited_files())
@settings(max_examples=300, deadline=None)
def test_quick_way_accepts_nothing_that_the_exact_way_refuses(data):
    bodies = quickly(data)
    if bodies is not None:
        np.testing.assert_array_equal(bodies, exactly(data))


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=300, max_size=300), st.sampled_from(["%.7g", "%r", "%.17e", "%f"]))
@settings(max_examples=50, deadline=None)
def test_both_ways_read_any_number_format_alike(values, form):
    rows = np.reshape(values, (25, 12))
    lines = ["1", "1", " ".join(form % value for value in rows[0, :10].tolist()), "25"]
    data = to_bytes([*lines, *(" ".join(form % value for value in row.tolist()) for row in rows)])
    expected = [[float(form % value) for value in row[:3].tolist()] for row in rows]
    np.testing.assert_array_equal(quickly(data)[0, 0], np.float32(expected))
    np.testing.assert_array_equal(exactly(data)[0, 0], np.float32(expected))
