"""JSON and CSV: nested lists of one's own, and what sensors and pose estimators write. A row of _FORMS is a form of JSON.

Sources: OpenPose, doc/02_output.md; Azure-Kinect-Samples, offline_processor; ZED SDK, body tracking JSON export; st-gcn
(Kinetics-skeleton). CSV is as programs around MediaPipe write it.
"""

import csv
import json
import re

import numpy as np

from dataset.graph import NTU
from utils.files import read_bytes, read_text

from . import LARGEST, MOST_VALUES, Recording, usable

_FORMS = {  # by the key of a frame's bodies: a frame's time, its ticks a second; a body's joints, identity, numbers of a joint
    "people": (None, 1, "pose_keypoints_2d", None, 3),
    "bodies": ("timestamp_usec", 1e6, "joint_positions", "body_id", 3),
    "body_list": ("timestamp", 1e9, "keypoint", "id", 3),
    "skeleton": (None, 1, "pose", None, 2),
}
_LAYOUTS = {18: "openpose18", 25: "openpose25", 32: "azure32"}  # of these forms, by the number of joints

_AXES = ("x", "y", "z", "v", "vis", "visibility", "score", "confidence", "presence")  # of columns, at the end of their names

# From Azure Kinect's millimetres, x to the sensor's right, y down, z away from it, to Kinect v2's metres, x to its left, y up, z
# away. Both are right-handed, so that y can't be turned up without x: a flip of y alone would exchange a body's left and right.
_AZURE_AXES = np.array([-0.001, -0.001, 0.001])[:, None, None, None]
# joints of Azure Kinect that come nearest to those of Kinect v2, in the latter's order
_AZURE_TO_NTU = [0, 1, 3, 26, 5, 6, 7, 8, 12, 13, 14, 15, 18, 19, 20, 21, 22, 23, 24, 25, 2, 9, 10, 16, 17]


def read_json(path, wanted):
    """The Recording of a JSON file, or of an OpenPose folder, which has a file a frame."""
    frames, layouts, times = {}, {}, []
    for file in openpose_files(path) or [path]:
        with usable(file):
            content = json.loads(read_bytes(file, LARGEST))
            if isinstance(content, list):  # one's own
                frames.update(enumerate((list(enumerate(frame)) for frame in content), len(frames)))
                continue
            rows = [content] if "people" in content else content.get("frames") or content.get("data") or list(content.values())
            key = next(filter(rows[0].__contains__, _FORMS), None)
            if key is None:
                raise ValueError("JSON of no form that is read here")
            time, ticks, *form = _FORMS[key]
            first = min(row.get("frame_index", 0) for row in rows)
            for row in rows:
                frames[row["frame_index"] - first if "frame_index" in row else len(frames)] = list(_bodies(row[key], *form))
            times, layouts = [row[time] / ticks for row in rows if time in row], _LAYOUTS
    x = _stack(frames)
    layout = layouts.get(x.shape[2])
    if layouts:
        x[np.isnan(x)] = 0  # ZED's joints that are not seen
    if layout == "azure32":
        x *= _AZURE_AXES
        if wanted.skeleton == NTU.name:
            x, layout = x[:, :, _AZURE_TO_NTU], NTU.name
    rate = (len(times) - 1) / (times[-1] - times[0]) if times and times[-1] > times[0] else None
    return [Recording(path.name, x, skeleton=layout, rate=rate)]


def openpose_files(folder):
    """The files of an OpenPose folder in order of their frames; none where it is another folder."""
    return sorted(folder.glob("*_keypoints.json"))


def _bodies(people, joints, identity, numbers):
    """Yield (identity of the body, points (V, C)) of a frame's; where all joints have scores, the highest first."""
    for place, person in enumerate(sorted(people, key=lambda person: -sum(person.get("score", ())))):
        points = np.reshape(person[joints], (-1, numbers))
        if "score" in person:  # a joint of score 0 was not seen
            score = np.array(person["score"])[:, None]
            points = np.hstack([points * (score != 0), score])
        if len(points):
            yield person.get(identity, place), points


def _stack(frames):
    """(C, T, V, M) of {frame: [(identity, points (V, C))]}: a body keeps its place until a new one comes while it is not seen."""
    T, places, found = 1 + max(frames, default=-1), [], {}
    for number, frame in sorted(frames.items()):
        seen = [identity for identity, _ in frame]
        for identity, points in frame:
            if identity not in places:
                free = next((place for place, old in enumerate(places) if old not in seen), len(places))
                places[free : free + 1] = [identity]
            found[number, places.index(identity)] = points
    points = np.stack(list(found.values()) or [()])
    if points.ndim != 3 or T * len(places) * points[0].size > MOST_VALUES:
        raise ValueError(f"{T} frames, {len(places)} bodies {points.shape[1:]}; needed are numbers, (V, C) a body")
    x = np.zeros((T, len(places), *points.shape[1:]), "float32")
    x[tuple(np.transpose(list(found)))] = points
    return x.transpose(3, 0, 2, 1)


def read_csv(path, wanted):
    """The Recording of a CSV file. A row is a frame (x0, y0, z0, x1, ... or nose_x, nose_y, ...) or a landmark (frame, x, y, z).

    Columns of other names do not count; empty fields are 0.
    """
    head, *rows = filter(None, csv.reader(read_text(path, LARGEST).splitlines()))
    names = ((place, re.findall("[a-z]+", name.lower())[-1:]) for place, name in enumerate(head))
    axes = {place: name[0] for place, name in names if name and name[0] in _AXES}
    C = len(set(axes.values()))
    if list(axes.values()) != list(axes.values())[:C] * (len(axes) // max(1, C)):
        raise ValueError("needed is a line of names like x0,y0,z0,x1 or frame,landmark,x,y,z")
    x = np.array([[row[place] or 0 for place in axes] for row in rows], float)
    return [Recording(path.name, x.reshape(-1, 1, wanted.num_joints, C), "TMVC")]
