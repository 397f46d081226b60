"""One NTU RGB+D `.skeleton` file as an array; the format is described in docs/data.md.

The quick way to read turns the whole text into one JSON array, parses that with simdjson (measured with pysimdjson
7.0.2) and checks the structure on counts and line ends. In any doubt the exact way reads line after line: that one
alone decides that a file is wrong, and where. The quick way takes nothing that the exact one refuses.
"""

import math
import re
from collections import namedtuple
from functools import cache
from itertools import chain

import numpy as np
import simdjson

from reader.formats import kind_of
from utils.errors import UserError, printable
from utils.files import read_bytes

MAX_BODIES, NUM_BODIES, NUM_JOINTS, NUM_AXES = 4, 2, 25, 3
TRACKED_BODIES = 6  # by the sensor at once; NTU RGB+D has at most MAX_BODIES
MAX_FRAMES = 300  # the longest recording that a data set holds, and the frames of a sample
BODY_FIELDS, JOINT_FIELDS = 10, 12
FARTHEST = 1e6  # a coordinate beyond that is damage: the sensor sees 8 m, and its square must fit float32 with ease
BYTES_PER_FRAME = 32 << 10  # real files need at most 12 KB a frame, with four bodies
LONGEST_FILE = 256 << 20  # bytes, where the frames are not limited

_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})(?:(?i:\.skeleton))?", re.ASCII)
_HIGHEST = {"setup": 32, "camera": 3, "performer": 999, "replication": 999, "action": 120}
SampleName = namedtuple("SampleName", _HIGHEST)  # what a file name says, all counted from 1
_NUMBER = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_NOT_FINITE = re.compile(rb"[-+]?(nan(\([a-z]*\))?|inf(inity)?|1\.?#(ind|inf|qnan|snan)\d*)", re.IGNORECASE)


class SkeletonError(UserError):
    """A name or content that no `.skeleton` file of NTU RGB+D has: `path: line 7: reason` on one line, whatever the path."""


def parse_name(name):
    """SampleName of `SsssCcccPpppRrrrAaaa` or `SsssCcccPpppRrrrAaaa.skeleton`; SkeletonError for any other name."""
    match = _NAME.fullmatch(name)
    if not match:
        raise SkeletonError(f"{printable(name)}: the name is not of the form SsssCcccPpppRrrrAaaa.skeleton")
    sample = SampleName(*map(int, match.groups()))
    for (field, highest), value in zip(_HIGHEST.items(), sample, strict=True):
        if not 1 <= value <= highest:
            raise SkeletonError(f"{printable(name)}: {field} {value} in the name is not within 1 to {highest}")
    return sample


def read_sample(path):
    """A file as a sample of the data sets: (array (C=3, T=300, V=25, M=2) float32 in metres, frames in the file)."""
    bodies = read_skeleton(path)
    return layout(select_bodies(bodies), MAX_FRAMES), bodies.shape[1]


def read_skeleton(path, max_frames=MAX_FRAMES, max_bodies=MAX_BODIES):
    """Joint coordinates of a file: (`max_bodies`, T frames, 25, 3) float32 in metres, camera space.

    A body's slot is its place within the frame; slots without a body are 0. `max_frames` None takes any length.
    Raises UserError if the file can't be read, SkeletonError with line and reason if it is damaged or has more frames.
    """
    data = read_bytes(path, max_frames * BYTES_PER_FRAME if max_frames else LONGEST_FILE)
    try:
        return _parse_quickly(data, max_frames, max_bodies)
    except DOUBT:
        return _parse_exactly(path, data, max_frames, max_bodies)


def select_bodies(bodies, count=NUM_BODIES):
    """The `count` bodies that move most, most first: (M, T, V, C) to (count, T, V, C), or all where there are fewer.

    Energy is the sum over the axes of the standard deviation over a body's valid frames (coordinate sum not 0) and all
    joints; of equal bodies the later slot comes first.
    """
    valid = bodies.reshape(*bodies.shape[:2], -1).sum(axis=2) != 0
    energy = [
        np.ascontiguousarray(body[frames].reshape(-1, body.shape[-1]).T).std(axis=1).sum() if frames.any() else 0.0
        for body, frames in zip(bodies, valid, strict=True)
    ]
    return bodies[np.argsort(energy, kind="stable")[::-1][:count]]


def layout(bodies, num_frames):
    """Bodies in the model's order: (M, T, 25, 3) to (3, `num_frames`, 25, M), zero-padded at the end."""
    sample = np.zeros((NUM_AXES, num_frames, NUM_JOINTS, len(bodies)), np.float32)
    sample[:, : bodies.shape[1]] = bodies.transpose(3, 1, 2, 0)
    return sample


# ---------------------------------------------------------------- the quick way

# Each line end becomes one more number, so that the line structure can be checked on the flat array of all numbers.
_LINE_END = 999999999.0
_LINE_END_TEXT = b",999999999,"
_BODY_SIZE = BODY_FIELDS + 1 + 2 + NUM_JOINTS * (JOINT_FIELDS + 1)
_FRAME_SIZE = {bodies: 2 + bodies * _BODY_SIZE for bodies in range(TRACKED_BODIES + 1)}
_JOINT_COUNT = BODY_FIELDS + 1  # places counted from a body's start, here and below
_JOINTS = BODY_FIELDS + 3 + np.arange(NUM_JOINTS) * (JOINT_FIELDS + 1)
_LINE_ENDS = np.concatenate([[BODY_FIELDS, BODY_FIELDS + 2], _JOINTS + JOINT_FIELDS])
_COORDINATES = (_JOINTS[:, None] + np.arange(NUM_AXES)).ravel()

# what the quick way raises of a file that it can't vouch for, and simdjson of what is no JSON, or while another thread parses
DOUBT = (ValueError, TypeError, RuntimeError, LookupError)


def _parse_quickly(data, max_frames, max_bodies=MAX_BODIES):
    """What `_parse_exactly` would return; raises one of DOUBT where it might not."""
    numbers, num_lines = _parse_numbers(data)
    heads = _frame_heads(numbers, max_frames)
    counts = numbers[heads].astype(int)
    frame = np.repeat(np.arange(len(heads)), counts)  # of each body
    slot = np.arange(len(frame)) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = heads[frame] + 2 + slot * _BODY_SIZE
    # There are as many line ends as expected and they stand where expected: none is a number of the file in disguise.
    ends = np.concatenate([[1], heads + 1, (starts[:, None] + _LINE_ENDS).ravel()])
    if not num_lines == len(ends) == np.count_nonzero(numbers == _LINE_END) or (numbers[ends] != _LINE_END).any():
        raise ValueError("ends of lines")
    coordinates = numbers[starts[:, None] + _COORDINATES]
    joint_counts = numbers[starts + _JOINT_COUNT]
    if counts.max() > max_bodies or (joint_counts != NUM_JOINTS).any() or (abs(coordinates) > FARTHEST).any():
        raise ValueError("a count or coordinate")
    bodies = np.zeros((max_bodies, len(heads), NUM_JOINTS * NUM_AXES), np.float32)
    bodies[slot, frame] = coordinates
    return bodies.reshape(max_bodies, len(heads), NUM_JOINTS, NUM_AXES)


def _parse_numbers(data):
    """All numbers of the text, with _LINE_END after each line, and the number of lines."""
    if b"," in data or b"[" in data:
        raise ValueError("JSON's own signs")
    data = data.rstrip() + b"\n"
    text = data.replace(b"\n", _LINE_END_TEXT)
    num_lines = (len(text) - len(data)) // (len(_LINE_END_TEXT) - 1)
    text = b"[" + text + b"0]"
    text = np.frombuffer(text, np.uint8)
    text = text + (text == ord(" ")) * np.uint8(ord(",") - ord(" "))  # an eighth of the time of bytes.translate
    return np.frombuffer(_parser().parse(text).as_buffer(of_type="d"))[:-1], num_lines


@cache
def _parser():
    # glibc's malloc hands the buffers of each file back to the system and fetches them anew, which takes as long as the
    # rest of the reading, until it has once seen a larger block freed: mallopt(3), M_MMAP_THRESHOLD.
    bytearray(8 << 20)
    return simdjson.Parser()  # keeps its own buffers from file to file


def _frame_heads(numbers, max_frames):
    """Where in `numbers` each frame starts; the last frame ends with the last number."""
    num_frames = int(numbers[0])
    if num_frames != numbers[0] or not 1 <= num_frames <= (max_frames or len(numbers)):
        raise ValueError("the number of frames")
    heads, at = [], 2
    for _ in range(num_frames):
        heads.append(at)
        at += _FRAME_SIZE[numbers.item(at)]
    if at != len(numbers):
        raise ValueError("the end of the file")
    return np.array(heads)


# ---------------------------------------------------------------- the exact way


def _parse_exactly(path, data, max_frames, max_bodies=MAX_BODIES):
    """The same array read line by line; raises SkeletonError where the file is not as docs/data.md says."""
    if kind := kind_of(data):
        raise SkeletonError(f"{printable(path)}: line 1: the file is {kind}")
    lines = _Lines(path, data)
    num_frames = lines.count("number of frames", 1, max_frames or len(data))
    frames = []
    for _ in range(num_frames):
        frames.append(np.zeros((max_bodies, NUM_JOINTS, NUM_AXES), np.float32))
        for slot in range(lines.count("number of bodies", 0, max_bodies)):
            lines.numbers("body", BODY_FIELDS, used=0)
            lines.count("number of joints", NUM_JOINTS, NUM_JOINTS)
            for joint in range(NUM_JOINTS):
                coordinates = lines.numbers(f"joint {joint + 1}", JOINT_FIELDS, used=NUM_AXES)
                if far := [value for value in coordinates if abs(value) > FARTHEST]:
                    raise lines.error(f"joint {joint + 1} has a coordinate of {far[0]:g} m")
                frames[-1][slot, joint] = coordinates
    if lines.next_fields():
        raise lines.error("the file goes on after its last frame")
    return np.stack(frames, axis=1)


class _Lines:
    """The lines of a file that are not blank, one after the other, as numbers; errors know the line."""

    def __init__(self, path, data):
        self.path, lines = path, data.split(b"\n")
        filled = ((number, fields) for number, line in enumerate(lines, 1) if (fields := line.split()))
        self.rest = chain(filled, [(len(lines), None)])

    def error(self, reason):
        return SkeletonError(f"{printable(self.path)}: line {self.line}: {reason}")

    def next_fields(self):
        """Words of the next line, None at the end of the file."""
        self.line, fields = next(self.rest)
        return fields

    def numbers(self, what, count, used=1):
        """The first `used` of the `count` numbers of the next line; they are finite, what nobody uses may be NaN or infinite."""
        fields = self.next_fields()
        if fields is None:
            raise self.error(f"the file ends where the line '{what}' should stand")
        if len(fields) != count:
            raise self.error(f"the line '{what}' has {len(fields)} fields instead of {count}")
        for place, field in enumerate(fields):
            if not (_NUMBER.fullmatch(field) or (place >= used and _NOT_FINITE.fullmatch(field))):
                raise self.error(f"'{printable(field[:20])}' in the line '{what}' is not a number")
        values = [float(field) for field in fields[:used]]
        if not all(map(math.isfinite, values)):
            raise self.error(f"the line '{what}' has a number too large to hold")
        return values

    def count(self, what, lowest, highest):
        """The next line's one whole number."""
        (value,) = self.numbers(what, 1)
        if value != int(value):
            raise self.error(f"the {what} is {value:g}, not a whole number")
        if not lowest <= value <= highest:
            allowed = lowest if lowest == highest else f"{lowest} to {highest}"
            raise self.error(f"the {what} is {value:.15g}; allowed: {allowed}")
        return int(value)
